"""kernel-im2col: convolutions that pack give the numbers of the reference, whatever their windows, steps and groups."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import VectorType

import irkit
from dialects.kernel import DefOp
from dialects.loop import LoadOp
from irkit import pipeline
from irkit.api import lower
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


def agrees(text: str, shapes: list[tuple[int, ...]], target: str = "native") -> None:
    """Holds a program of f32 to the graph's interpreter."""
    main = next(iter(to_graph(parse(text, "program.tg")).ops))
    arrays = [normal(*shape) for shape in shapes]
    expected = run_graph(main, arrays)  # pyright: ignore[reportArgumentType]
    found = irkit.compile(text, target=target)(*arrays)
    for a, b in zip(found if isinstance(found, tuple) else [found], expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_copy_is_made_before_all_that_read_it():
    """The kernel of the first product is that of the third, and so comes before that of the second."""
    text = """fn main(x: f32[1, 16, 20, 21], w: f32[16, 16, 3, 3], v: f32[16, 16, 3, 3])
    -> (f32[1, 16, 10, 11], f32[1, 16, 10, 11], f32[1, 16, 10, 11]) {
  u = sort(x, axis=3)
  a = conv2d(x, w, padding=1, stride=2)
  b = relu(conv2d(u, v, padding=1, stride=2))
  c = conv2d(u, w, padding=1, stride=2)
  return a, b, c
}"""
    agrees(text, [(1, 16, 20, 21), (16, 16, 3, 3), (16, 16, 3, 3)])


def test_an_array_that_is_both_operands():
    text = """fn main(w: f32[8, 8, 8, 8]) -> f32[8, 8, 8, 8] {
  y[p, q, r, s] = sum(a, b) w[p, q, a, b] * w[a, b, r, s]
  return y
}"""
    agrees(text, [(8, 8, 8, 8)])


def test_a_whole_vector_is_read_where_all_vectors_start_at_known_places_alone():
    """A loop from a dim of a run: its last vector may start anywhere."""
    text = """dim S = 3 in 1..7
fn main(x: f32[97], z: f32[97], q: f32[S]) -> f32[97] {
  y[i] = x[i] + z[i - S] * q[0], boundary=zero
  return y
}"""
    inside = [
        op
        for op in lower(text, "loop", target="avx2").walk()
        if isinstance(op, LoadOp)
        and isinstance(op.result.type, VectorType)
        and "S" in {n for e in op.index.data for n in e.names()}
    ]
    assert inside and all(op.valid is not None for op in inside)
