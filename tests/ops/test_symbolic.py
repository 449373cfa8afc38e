"""Ops on dims that are known as the program runs: one program for all sizes, against the references at several."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from dialects.dims import Dim
from dialects.errors import ErrorList
from dialects.graph.ranges import least
from irkit.checking import random_inputs, slacks
from irkit.lang.emit import to_graph
from irkit.lang.parser import parse
from lowering.graph.interpret import run_graph

DIMS = """dim B = 3 in 1..5
dim C = 2 in 1..4
dim H = 8 in 5..11
dim W = 9 in 5..11
dim N = 4 in 2..6
"""

INPUTS = {
    "x": "f32[B, C, H, W]",
    "y": "f32[B, H]",
    "z": "f32[H, W]",
    "u": "f32[B, 2 * N]",
    "k": "f32[4, C, 3, 3]",
    "g": "f32[4, 2, 3]",
    "v": "f32[B, 4, H]",
    "t": "f32[C, 4, 3, 3]",
    "d": "f32[N, 1, 2, 2, 3]",
    "i": "i32[N]",
    "w": "f32[N, H]",
}

CALLS: list[tuple[str, str]] = [
    ("f32[B, 4, H, W]", "conv2d(x, k, padding=1)"),
    ("f32[B, 4, (H - 1) / 2 + 1, (W - 1) / 2 + 1]", "conv2d(x, k, stride=2, padding=1)"),
    ("f32[B, 4, H, W - 4]", "conv2d(x, k, padding=[1, 3, 0, 0], dilation=2)"),
    ("f32[B, 4, H]", 'conv1d(v, g, padding="same", groups=2)'),
    ("f32[B, N, C + 1, H - 1, W - 2]", "conv3d(reshape(x, [B, 1, C, H, W]), d, padding=[1, 0, 0])"),
    ("f32[B, 4, 2 * H, 2 * W]", "conv_transpose2d(x, t, stride=2, padding=1, output_padding=1)"),
    ("f32[B, C, (H - 1) / 2 + 1, (W - 1) / 2 + 1]", "max_pool2d(x, 3, stride=2, padding=1)"),
    ("f32[B, C, H / 2, W / 2]", "avg_pool2d(x, 2)"),
    ("f32[B, C, H + 1, W + 1]", "avg_pool2d(x, 2, stride=1, padding=1, count_padding=false)"),
    ("f32[B, C, 1, 1]", "global_avg_pool(x)"),
    ("f32[B, C, 3, 2]", "adaptive_avg_pool2d(x, [3, 2])"),
    ("f32[B, C, N, 2]", "adaptive_max_pool2d(x, [N, 2])"),
    ("f32[B, C, 5, 13]", "resize_bilinear(x, [5, 13])"),
    ("f32[B, C, 2 * H, N]", "resize_bilinear(x, [2 * H, N])"),
    ("f32[B, C, 2 * H, N]", "resize_nearest(x, [2 * H, N])"),
    ("f32[B + N, H]", "concat(y, w, axis=0)"),
    ("f32[B, H + 5]", 'pad(y, [0, 0, 3, 2], mode="reflect")'),
    ("f32[2 * B, 11]", "pad(y, [0, B, 0, 11 - H], value=2)"),
    ("f32[B * H, W]", "reshape(x[:, 0], [B * H, W])"),
    ("f32[B * 2, N * H]", "tile(y, [2, N])"),
    ("f32[B, N]", "u[:, N:] + u[:, ::2]"),
    ("f32[B, H - H / 2]", "y[:, H / 2:]"),
    ("f32[B, H]", "roll(y, N, axis=1) + flip(y, [1])"),
    ("f32[B, H]", "cumsum(y, axis=1) + cumprod(y, axis=0, reverse=true)"),
    ("f32[B, H]", "sort(y, axis=1, descending=true)"),
    ("f32[H, H]", 'einsum(y, y, spec="bi,bj->ij")'),
    ("f32[B, H]", 'scatter(y, i, w, mode="add")'),
    ("f32[B, N]", "gather(y, i, axis=1)"),
    ("f32[N, H]", "one_hot(i, H)"),
    ("i64[B, H]", "iota([B, H], axis=0) + cast(iota([H], dtype=i32), i64)"),
    ("f32[H, W]", "tril(z, 1) + triu(z, -2)"),
    ("f32[B, H]", "softmax(y) + layer_norm(y, w[0], w[1])"),
]


def source() -> str:
    """All calls as one function."""
    heads = ", ".join(f"{name}: {type_}" for name, type_ in INPUTS.items())
    types = ", ".join(f"r{i}: {type_}" for i, (type_, _) in enumerate(CALLS))
    return f"{DIMS}\nfn main({heads}) -> ({types}) {{\n  return {', '.join(call for _, call in CALLS)}\n}}\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("symbolic") / "m.tg"
    path.write_text(source())
    return irkit.compile(path)


@pytest.mark.parametrize(
    "sizes",
    [
        {"B": 3, "C": 2, "H": 8, "W": 9, "N": 4},
        {"B": 1, "C": 1, "H": 5, "W": 5, "N": 2},
        {"B": 5, "C": 4, "H": 11, "W": 6, "N": 6},
    ],
)
def test_one_program_for_all_sizes(model, sizes: dict[str, int]):
    (func,) = to_graph(parse(source())).ops
    arrays = random_inputs(func, sizes)  # pyright: ignore[reportArgumentType]
    expected = run_graph(func, arrays, sizes)  # pyright: ignore[reportArgumentType]
    slack = slacks(func, arrays, sizes, expected)  # pyright: ignore[reportArgumentType]
    for i, (found, wanted, room) in enumerate(zip(model(**arrays), expected, slack, strict=True)):
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=max(room, 2e-6), err_msg=str(i))


# -- what may leave its range -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message", "expected"),
    [
        ("y[:, 0:B]", "slice 0:B may leave dim 1", "-B + H >= 0 for all sizes"),
        ("y[:, N - 3:]", "slice N - 3:H may leave dim 1", "N - 3 >= 0 for all sizes"),
        ("y[:, 7:]", "slice may give a negative dim", None),
        ("top_k(y, B)[0]", "there may be no B elements in dim 1", "-B + H >= 0"),
        ('pad(y, [0, 0, 5, 0], mode="reflect")', "dim 1 may be too small for pad", "H - 6 >= 0"),
        ("conv2d(x, zeros([1, C, 7, 3], f32))", "conv2d may give a negative dim", "H - 6 >= 0"),
        ("split(y, 2, axis=1)", "a dim of size H does not split into 2 equal parts", None),
    ],
)
def test_what_may_leave_its_range_is_told(call: str, message: str, expected: str | None):
    text = (
        f"{DIMS}\nfn main(x: {INPUTS['x']}, y: {INPUTS['y']}) -> f32 {{\n  a = {call}\n  return sum(a)\n}}\n"
    )
    if "top_k" in call:
        text = text.replace("a = top_k(y, B)[0]", "a, n = top_k(y, B)")
    with pytest.raises(ErrorList) as fault:
        to_graph(parse(text.replace("H = 8 in 5", "H = 8 in 4"), "m.tg"))
    (error,) = fault.value.errors
    assert message in error.message
    assert error.loc is not None and error.loc.line == 8
    if expected:
        assert error.expected is not None and error.expected.startswith(expected)


def test_a_slice_that_stays_inside_is_taken():
    text = f"{DIMS}\nfn main(y: f32[B, H]) -> f32 {{\n  return sum(y[:, 0:min(B, H)]) + sum(y[:, H / 3:2 * H / 3])\n}}\n"
    to_graph(parse(text))


@pytest.mark.parametrize(
    ("expr", "bound"),
    [
        ("H - H floordiv 2", 0),
        ("H floordiv 2 - H floordiv 3", 0),
        ("H - min(B, H)", 0),
        ("max(B, H) - B", 0),
        ("(2 * H) floordiv 3 - H floordiv 3", 0),
        ("B - H", -10),
    ],
)
def test_lower_bounds(expr: str, bound: int):
    ranges = {"B": (1.0, 5.0), "H": (5.0, 11.0)}
    dim = Dim.parse(expr)
    true = min(dim.evaluate({"B": b, "H": h}) for b in range(1, 6) for h in range(5, 12))
    assert bound <= least(dim, ranges) <= true
