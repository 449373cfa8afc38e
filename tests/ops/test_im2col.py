"""kernel-im2col: convolutions that pack give the numbers of the reference, whatever their windows, steps and groups."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from dialects.kernel import DefOp
from irkit import pipeline
from irkit.lang.emit import to_graph
from irkit.lang.parser import parse
from lowering.graph.interpret import run_graph
from tests.ops.harness import Call, check_all, module_of
from tests.ops.test_contractions import conv, normal

CALLS = [
    conv((1, 8, 13, 13), (16, 8, 3, 3), padding=1),
    conv((2, 8, 13, 20), (16, 8, 3, 3), bias=True),
    conv((1, 8, 27, 27), (16, 8, 3, 3), padding=1, stride=2),
    conv((1, 8, 40, 41), (16, 8, 5, 4), padding=2, stride=(2, 3)),
    conv((1, 8, 17, 17), (16, 8, 3, 3), padding=2, dilation=2),
    conv((1, 8, 11, 8), (16, 8, 3, 3), padding=(5, 6, 7, 2)),
    conv((1, 32, 7, 9), (32, 32, 3, 3), padding=1),
    conv((2, 32, 12, 12), (32, 32, 1, 1), bias=True),
    conv((1, 32, 24, 24), (32, 32, 1, 1), stride=2),
    conv((2, 32, 12, 12), (24, 16, 3, 3), padding=1, groups=2),
    conv((1, 96, 18, 18), (96, 32, 1, 1), groups=3, bias=True),
    conv((1, 3, 32, 32), (16, 3, 7, 7), padding=3, stride=2),
]


WINDOWS = [
    conv((2, 6, 11, 21), (6, 1, 3, 3), padding=1, groups=6),
    conv((1, 4, 13, 33), (8, 1, 5, 5), padding=2, stride=2, groups=4, bias=True),
    Call("max_pool2d", [normal(4, 3, 17, 35)], {"kernel": 3, "stride": 2, "padding": 1}),
    Call("max_pool2d", [normal(3, 3, 12, 19)], {"kernel": (2, 5), "stride": 1, "padding": (1, 2)}),
    Call(
        "avg_pool2d", [normal(3, 3, 12, 19)], {"kernel": 3, "stride": 1, "padding": 1, "count_padding": False}
    ),
    Call("avg_pool2d", [normal(5, 3, 12, 40)], {"kernel": 4, "stride": 3, "padding": 2}),
]
"""Windows that are copied and read as they are."""


@pytest.mark.parametrize("threads", [1, 3])
def test_results_equal_the_reference(threads: int):
    check_all([*CALLS, *WINDOWS], threads=threads)


def test_all_of_them_pack():
    module = module_of(CALLS)
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel", "avx2"), pipeline.context())
    schedules = {op.sym_name.data: op.schedule for op in module.ops if isinstance(op, DefOp)}
    products = [s for name, s in schedules.items() if s is not None and "windows" not in name]
    assert len(products) == len(CALLS)
    assert all(any(d.startswith(("tile i", "tile j")) for d in s.data) for s in products)


def test_windows_are_copied():
    module = module_of(WINDOWS)
    pipeline.run_passes(module, pipeline.passes_to("graph", "kernel", "avx2"), pipeline.context())
    kernels = [op.sym_name.data for op in module.ops if isinstance(op, DefOp)]
    assert sum("windows" in name for name in kernels) == len(WINDOWS)


def test_a_batch_of_any_size():
    text = """dim B = 3 in 1..5
fn main(x: f32[B, 8, 14, 14], w: f32[16, 8, 3, 3]) -> f32[B, 16, 7, 7] { return conv2d(x, w, padding=1, stride=2) }"""
    program = irkit.compile(text)
    rng = np.random.default_rng(0)
    w = rng.standard_normal((16, 8, 3, 3)).astype(np.float32)
    x = rng.standard_normal((5, 8, 14, 14)).astype(np.float32)
    whole = program(x, w)
    for size in range(1, 5):
        np.testing.assert_array_equal(program(x[:size], w), whole[:size])


@pytest.mark.parametrize(
    "body",
    [
        "relu(x + conv2d(x, w, padding=1))",  # x is read twice, at other places
        "relu(conv2d(x, w, padding=1)) * x",
    ],
)
def test_an_image_that_is_read_elsewhere_too(body: str):
    text = f"fn main(x: f32[1, 16, 8, 12], w: f32[16, 16, 3, 3]) -> f32[1, 16, 8, 12] {{ return {body} }}"
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((1, 16, 8, 12), (16, 16, 3, 3)))
    main = next(iter(to_graph(parse(text, "image.tg")).ops))
    (expected,) = run_graph(main, [x, w])  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(irkit.compile(text)(x, w), expected, rtol=1e-5, atol=1e-4)
