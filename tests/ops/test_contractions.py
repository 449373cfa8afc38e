"""Matrix products, convolutions, pooling and attention through compiled C: ranks, sizes around tiles and cache blocks,
dtypes, fused neighbours, NaN and infinities, compilers and threads."""

from __future__ import annotations

import itertools
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

import irkit
from dialects.types import np_dtype
from lowering.kernel.schedule import _block_of_rows  # pyright: ignore[reportPrivateUsage]
from tests.graph.samples import FLOATS, NUMBERS
from tests.ops.harness import Call, check_all, run_all

RNG = np.random.default_rng(0)
F32 = np.float32


def normal(*shape: int, dtype: str = "f32") -> np.ndarray:
    if dtype[0] in "iu":
        return RNG.integers(0 if dtype[0] == "u" else -9, 10, shape).astype(np_dtype(dtype))
    return RNG.standard_normal(shape).astype(F32).astype(np_dtype(dtype))


def matmul(a: tuple[int, ...], b: tuple[int, ...], dtype: str = "f32") -> Call:
    return Call("matmul", [normal(*a, dtype=dtype), normal(*b, dtype=dtype)])


# -- matmul -------------------------------------------------------------------------------------------------------


def test_matmul_ranks_and_batches():
    check_all(
        [
            matmul((3, 4), (4, 5)),
            matmul((4,), (4, 5)),
            matmul((3, 4), (4,)),
            matmul((4,), (4,)),
            matmul((2, 3, 4), (4, 5)),
            matmul((2, 3, 4), (2, 4, 5)),
            matmul((3, 4), (2, 4, 5)),
            matmul((2, 1, 3, 4), (5, 4, 2)),
            matmul((2, 3, 4), (4,)),
            matmul((4,), (2, 4, 5)),
            matmul((1, 3, 4), (2, 4, 5)),
            matmul((0, 3, 4), (0, 4, 5)),
            *(matmul((m, k), (k, n)) for m, k, n in itertools.product((0, 1, 2), repeat=3)),
        ]
    )


SIZES = (1, 2, 13, 14, 15, 31, 32, 33, 64)


@pytest.mark.parametrize("m", SIZES)
def test_matmul_sizes_around_the_register_tile(m: int):
    check_all([matmul((m, k), (k, n)) for k in (1, 16, 33) for n in SIZES])


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 1), ("gcc", 3), ("clang", 2)])
def test_matmul_with_packed_panels(cc: str, threads: int):
    sizes = [
        (64, 255, 64),
        (57, 256, 33),
        (70, 257, 65),
        (15, 513, 257),
        (257, 96, 130),
        (129, 300, 31),
        (64, 1025, 48),
    ]
    check_all(
        [matmul((m, k), (k, n)) for m, k, n in sizes] + [matmul((2, 65, 260), (2, 260, 70))], cc, threads
    )


@pytest.mark.parametrize("dtype", NUMBERS)
def test_matmul_dtypes(dtype: str):
    check_all(
        [matmul((7, 9), (9, 19), dtype), matmul((66, 130), (130, 50), dtype), matmul((9,), (9, 3), dtype)]
    )


def test_matmul_keeps_nan_and_infinity_where_they_are():
    a, b = normal(61, 300), normal(300, 53)
    a[60, 7], b[299, 52], a[5, 299], b[3, 0] = np.nan, np.inf, -np.inf, np.nan
    check_all([Call("matmul", [a, b]), Call("matmul", [a[:5, :7].copy(), b[:7, :5].copy()])])


def test_matmul_of_huge_and_tiny_numbers():
    a = (normal(20, 40) * 10.0 ** RNG.integers(-15, 15, (20, 40))).astype(F32)
    check_all([Call("matmul", [a, normal(40, 20)])])


# -- fused neighbours -----------------------------------------------------------------------------------------------


FUSED = """
fn main(x: f32[M, K], w: f32[K, N], v: f32[N, K], b: f32[N], r: f32[M, N])
    -> (f32[M, N], f32[M, N], f32[M, N], f32[M, N], f32[M, N], f32[N, M], f32[M], f32[M, N]) {
  plain = x @ w
  return relu(plain + b), gelu(plain * 2 + b) + r, relu(x) @ w, x @ transpose(v), exp(x - 1) @ (w * 0.5), transpose(plain), sum(x @ w, axis=1), softmax(x @ w + b, axis=1)
}
"""


@pytest.mark.parametrize(("m", "k", "n"), [(3, 4, 5), (33, 70, 47), (64, 300, 96), (1, 129, 50)])
def test_prologues_and_epilogues(m: int, k: int, n: int):
    dims = f"dim M = {m}\ndim K = {k}\ndim N = {n}\n"
    program = irkit.compile(dims + FUSED, threads=2)
    x, w, v, b, r = normal(m, k), normal(k, n), normal(n, k), normal(n), normal(m, n)
    found = program(x=x, w=w, v=v, b=b, r=r)
    x, w, v, b, r = (a.astype(np.float64) for a in (x, w, v, b, r))
    plain = x @ w
    gelu = Call("gelu", [plain * 2 + b]).reference()
    e = np.exp(plain + b - (plain + b).max(axis=1, keepdims=True))
    expected = [
        np.maximum(plain + b, 0),
        gelu + r,
        np.maximum(x, 0) @ w,
        x @ v.T,
        np.exp(x - 1) @ (w * 0.5),
        plain.T,
        plain.sum(axis=1),
        e / e.sum(axis=1, keepdims=True),
    ]
    for a, wide in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, wide, rtol=2e-5, atol=2e-6 * np.sqrt(k) * max(1, np.abs(wide).max()))


@given(tiles=st.integers(1, 400), most=st.integers(1, 20), threads=st.integers(1, 8))
def test_threads_get_equal_shares_of_rows(tiles: int, most: int, threads: int):
    """The blocks that a thread takes hold as many tiles as those of any other, give or take one for each block."""
    block = _block_of_rows(tiles, most, threads)
    assert 1 <= block <= max(most, 1)
    count = -(-tiles // block)
    bounds = [number * tiles // count for number in range(count + 1)]
    assert max(b - a for a, b in pairwise(bounds)) <= block
    if tiles >= 8 * threads and most >= 2:
        each, extra = divmod(count, threads)
        firsts = [t * each + min(t, extra) for t in range(threads + 1)]
        shares = [bounds[b] - bounds[a] for a, b in pairwise(firsts)]
        assert max(shares) - min(shares) <= (each + 1 if extra == 0 else block + each + 1)


def test_results_do_not_depend_on_threads():
    calls = [
        matmul((150, 300), (300, 90)),
        matmul((3, 40, 50), (3, 50, 60)),
        conv((2, 4, 13, 11), (6, 4, 3, 3), padding=1),
    ]
    first = run_all(calls, threads=1)
    for threads in (2, 3, 5):
        for a, b in zip(first, run_all(calls, threads=threads), strict=True):
            np.testing.assert_array_equal(a, b)


SYMBOLIC = """
dim M = 64 in 0..150
dim K = 300 in 0..600
dim N = 70 in 0..140
fn main(x: f32[M, K], w: f32[K, N], b: f32[N]) -> (f32[M, N], f32[M, N], f32[M, 2, N], f32[M, K]) {
  h = x @ w
  return relu(h + b), softmax(h), concat(reshape(x, [M, 1, K]), reshape(x, [M, 1, K]), axis=1) @ w, attention(x, x, x, scale=0.05)
}
"""


def test_one_program_for_every_size():
    program = irkit.compile(SYMBOLIC, threads=2)
    sizes = [(1, 0, 33), (65, 0, 31), (0, 5, 4), (14, 1, 1), (65, 255, 64), (150, 256, 33), (3, 257, 140)]
    for m, k, n in [*sizes, (129, 513, 70), (150, 600, 140)]:
        x, w, b = normal(m, k), normal(k, n), normal(n)
        found = program(x, w, b)
        x, w, b = (a.astype(np.float64) for a in (x, w, b))
        h = Call("matmul", [x, w]).reference()
        expected = [
            np.maximum(h + b, 0),
            Call("softmax", [h]).reference(),
            np.stack([h, h], axis=1),
            Call("attention", [x, x, x], {"scale": 0.05}).reference(),
        ]
        for a, wide in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, wide, rtol=1e-5, atol=1e-5 * np.sqrt(k))


# -- convolution and pooling ----------------------------------------------------------------------------------------


def conv(
    x: tuple[int, ...], w: tuple[int, ...], dtype: str = "f32", bias: bool = False, **values: object
) -> Call:
    arrays = [
        normal(*x, dtype=dtype),
        normal(*w, dtype=dtype),
        *([normal(w[0], dtype=dtype)] if bias else []),
    ]
    return Call("conv2d", arrays, values)


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 1), ("gcc", 2), ("clang", 1)])
def test_conv2d(cc: str, threads: int):
    check_all(
        [
            conv((1, 1, 5, 5), (1, 1, 3, 3)),
            conv((2, 3, 8, 9), (4, 3, 3, 3), padding=1, bias=True),
            conv((2, 3, 9, 8), (5, 3, 3, 2), stride=2, padding=(1, 0)),
            conv((1, 4, 7, 7), (6, 2, 3, 3), groups=2, padding=2),
            conv((2, 4, 9, 9), (4, 1, 3, 3), groups=4, padding=1, stride=(2, 1)),
            conv((1, 4, 6, 6), (8, 1, 3, 3), groups=4, bias=True),
            conv((2, 8, 5, 6), (16, 8, 1, 1)),
            conv((1, 2, 11, 10), (3, 2, 3, 3), dilation=2, padding=2),
            conv((1, 2, 11, 13), (3, 2, 5, 4), dilation=(1, 3), stride=(3, 2), padding=(2, 4)),
            conv((1, 3, 4, 4), (2, 3, 4, 4)),
            conv((1, 2, 2, 2), (2, 2, 5, 5), padding=3),
            conv((0, 2, 5, 5), (3, 2, 3, 3)),
            conv((1, 0, 5, 5), (3, 0, 3, 3), padding=1),
            conv((1, 16, 14, 14), (32, 16, 3, 3), padding=1),
            conv((1, 3, 20, 37), (7, 3, 7, 7), stride=2, padding=3),
        ],
        cc,
        threads,
    )


def test_conv2d_dtypes_and_infinities():
    calls = [conv((1, 2, 6, 6), (3, 2, 3, 3), dtype, padding=1) for dtype in ("f64", "f16", "bf16")]
    x = normal(1, 2, 6, 6)
    x[0, 0, 0, 0], x[0, 1, 5, 5] = np.inf, np.nan
    calls.append(Call("conv2d", [x, normal(2, 2, 3, 3)], {"padding": 1}))
    check_all(calls)


@pytest.mark.parametrize("kind", ["max_pool2d", "avg_pool2d"])
def test_pooling(kind: str):
    x = normal(2, 3, 9, 11)
    x[0, 0, 4, 4], x[1, 2, 0, 0], x[0, 1] = np.nan, np.inf, -np.abs(x[0, 1])
    settings = [
        {"kernel": 2},
        {"kernel": 3, "stride": 1, "padding": 1},
        {"kernel": (3, 2), "stride": (2, 3), "padding": (1, 0)},
        {"kernel": (1, 1)},
        {"kernel": (9, 11)},
        {"kernel": 4, "padding": 2},
    ]
    calls = [Call(kind, [x], values) for values in settings]
    calls += [Call(kind, [normal(1, 2, 6, 6, dtype=d)], {"kernel": 2}) for d in ("f64", "f16", "bf16")]
    calls += [
        Call(kind, [-np.abs(normal(2, 6, 7).astype(np_dtype(d)))], {"kernel": (2, 3), "padding": 1})
        for d in FLOATS
    ]
    calls.append(Call(kind, [normal(0, 2, 6, 6)], {"kernel": 2}))
    check_all(calls)


# -- attention ------------------------------------------------------------------------------------------------------


def attention(
    q: tuple[int, ...],
    k: tuple[int, ...],
    v: tuple[int, ...],
    mask: np.ndarray | None = None,
    **values: object,
) -> Call:
    return Call("attention", [normal(*q), normal(*k), normal(*v), *([] if mask is None else [mask])], values)


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 1), ("gcc", 3), ("clang", 2)])
def test_attention(cc: str, threads: int):
    added = normal(5, 7)
    added[1] = -np.inf  # a row that sees nothing
    added[2, 3:] = -np.inf
    odd = added.copy()
    odd[3, 0], odd[4, 0] = np.inf, np.nan
    seen = RNG.random((5, 7)) < 0.5
    seen[0], seen[1] = False, True
    check_all(
        [
            attention((5, 4), (7, 4), (7, 3)),
            attention((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)),
            attention((2, 9, 8), (2, 9, 8), (2, 9, 8), causal=True),
            attention((4, 8), (9, 8), (9, 8), causal=True),
            attention((9, 8), (4, 8), (4, 8), causal=True),
            attention((5, 4), (7, 4), (7, 3), added),
            attention((5, 4), (7, 4), (7, 3), seen),
            attention((2, 5, 4), (2, 7, 4), (2, 7, 3), seen, scale=0.25),
            attention((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4), normal(2, 1, 5, 7)),
            attention((5, 4), (7, 4), (7, 3), seen, unseen="nan"),
            attention((5, 4), (7, 4), (7, 3), added, unseen="nan"),
            attention((9, 8), (4, 8), (4, 8), causal=True, unseen="nan"),
            attention((5, 4), (7, 4), (7, 3), seen, hidden=-1e9),
            attention((9, 8), (4, 8), (4, 8), causal=True, hidden=-3.0, unseen="nan"),
            attention((5, 4), (7, 4), (7, 3), odd, unseen="safe"),
            attention((2, 3, 5, 4), (2, 1, 7, 4), (1, 3, 7, 4), seen, causal=True),
            attention((2, 3, 5, 4), (1, 3, 7, 4), (2, 1, 7, 4), added, unseen="nan"),
            attention((5, 4), (0, 4), (0, 3), unseen="nan"),
            attention((5, 4), (1, 4), (1, 3)),
            attention((1, 4), (1, 4), (1, 1)),
            attention((3, 33, 17), (3, 65, 17), (3, 65, 31)),
            attention((1, 64, 64), (1, 64, 64), (1, 64, 64), causal=True),
            attention((0, 4), (7, 4), (7, 3)),
            Call("attention", [normal(6, 8) * 40, normal(9, 8) * 40, normal(9, 5)]),
            Call(
                "attention", [normal(6, 8, dtype="f16"), normal(9, 8, dtype="f16"), normal(9, 5, dtype="f16")]
            ),
            Call(
                "attention",
                [
                    normal(6, 8).astype(np.float64),
                    normal(9, 8).astype(np.float64),
                    normal(9, 5).astype(np.float64),
                ],
            ),
        ],
        cc,
        threads,
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_attention_in_blocks_of_rows(monkeypatch: pytest.MonkeyPatch, threads: int):
    """A loop over blocks where the scores would leave the caches; the last block overlaps the one before."""
    monkeypatch.setattr("lowering.graph.attention.SCORES", 1)
    monkeypatch.setattr("lowering.graph.attention.ROWS", 12)
    seen = RNG.random((31, 40)) < 0.5
    seen[7] = False
    calls = [
        attention((2, 31, 16), (2, 40, 16), (2, 40, 17)),
        attention((2, 31, 16), (2, 40, 16), (2, 40, 17), causal=True),
        attention((40, 16), (31, 16), (31, 16), causal=True),
        attention((2, 31, 16), (2, 40, 16), (2, 40, 17), seen, causal=True),
        attention((40, 16), (31, 16), (31, 16), causal=True, unseen="nan"),
        attention((2, 31, 16), (2, 40, 16), (2, 40, 17), seen, unseen="nan"),
        attention((2, 31, 16), (2, 40, 16), (2, 40, 17), normal(2, 31, 40)),
        attention((2, 31, 16), (2, 40, 16), (2, 40, 17), normal(1, 40), scale=0.5),
        attention((2, 3, 31, 16), (2, 1, 40, 16), (2, 1, 40, 17), seen, hidden=-1e9, causal=True),
    ]
    check_all(calls, threads=threads)


def test_guards_hold_for_every_column_of_a_panel():
    """A right operand of which each panel reads the first or the last column beyond an edge."""
    text = """fn main(x: f32[64, 48], w: f32[48, 16], v: f32[48, 40]) -> (f32[64, 16], f32[64, 40]) {
  y[i, j] = sum(k) x[i, k] * w[k, j + 1], boundary=zero
  z[i, j] = sum(k) x[i, k] * max(v[k, j - 1], v[k, j + 1]), boundary=clamp
  return y, z
}"""
    x, w, v = normal(64, 48), normal(48, 16), normal(48, 40)
    y, z = irkit.compile(text)(x, w, v)
    np.testing.assert_allclose(y, x @ np.pad(w, ((0, 0), (0, 1)))[:, 1:], rtol=1e-4, atol=1e-4)
    edged = np.pad(v, ((0, 0), (1, 1)), mode="edge")
    np.testing.assert_allclose(z, x @ np.maximum(edged[:, :-2], edged[:, 2:]), rtol=1e-4, atol=1e-4)
