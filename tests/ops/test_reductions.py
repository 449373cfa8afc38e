"""Reductions, softmax and layer norm through compiled C: every set of axes, dtypes, sizes around the vector width, long
sums, NaN and infinities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dialects.graph.reduction import REDUCTIONS
from tests.graph.samples import FLOATS, NUMBERS
from tests.ops.harness import Call, check_all, run_all
from tests.ops.test_contractions import normal
from tests.ops.test_elementwise import edges

F32 = np.float32
TAKES = {name: FLOATS if row[1] == "f" else NUMBERS for name, row in REDUCTIONS.items()}


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_every_set_of_axes(kind: str):
    x = normal(3, 4, 2, 5)
    subsets = [s for n in range(1, 5) for s in itertools.combinations(range(4), n)]
    calls = [Call(kind, [x], {"axes": s, "keepdims": keep}) for s in subsets for keep in (False, True)]
    check_all([*calls, Call(kind, [x], {"axes": (-1, 0)}), Call(kind, [np.asarray(F32(2.5))])])


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_dtypes(kind: str):
    calls: list[Call] = []
    for dtype in TAKES[kind]:
        for axes in ((0,), (1,), (0, 1)):
            calls.append(Call(kind, [normal(3, 37, dtype=dtype)], {"axes": axes}))
        if kind != "reduce_mean" or dtype not in FLOATS:
            calls.append(Call(kind, [edges(dtype)[None, :]], {"axes": (0,)}))
    if kind in ("reduce_max", "reduce_min"):
        calls += [Call(kind, [edges(dtype)]) for dtype in NUMBERS]
    check_all(calls)


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_sizes(cc: str):
    """Numbers of one sign: sums of both may end near zero, where no order of additions is exact."""
    sizes = (1, 7, 8, 15, 16, 17, 31, 32, 33, 65, 1000)
    calls = [
        Call(kind, [np.abs(normal(2, n))], {"axes": (1,)})
        for kind in ("reduce_sum", "reduce_max")
        for n in sizes
    ]
    calls += [
        Call(kind, [np.abs(normal(n, 3))], {"axes": (0,)})
        for kind in ("reduce_sum", "reduce_min")
        for n in sizes
    ]
    calls += [Call("reduce_mean", [np.abs(normal(n))]) for n in sizes]
    check_all(calls, cc)


def test_nothing_to_reduce():
    calls: list[Call] = []
    for kind, dtype in itertools.product(REDUCTIONS, ("f32", "i32", "u8", "f16")):
        if dtype in TAKES[kind]:
            calls.append(Call(kind, [normal(3, 0, dtype=dtype)], {"axes": (1,)}))
            calls.append(Call(kind, [normal(0, 3, dtype=dtype)], {"axes": (1,)}))
            calls.append(Call(kind, [normal(0, 2, dtype=dtype)]))
    check_all(calls)


def test_nan_and_infinities():
    x = normal(6, 40)
    x[0, 3], x[1, 39], x[2, 0], x[3, 5], x[3, 6] = np.nan, np.inf, -np.inf, np.inf, -np.inf
    x[4] = -np.inf
    calls = [Call(kind, [x], {"axes": axes}) for kind in REDUCTIONS for axes in ((0,), (1,))]
    calls += [Call("argmax", [x], {"axis": axis}) for axis in (0, 1)]
    check_all(calls)


def test_long_sums_are_as_exact_as_numpy():
    """Rounding errors of many sums of 100,000 numbers, in root mean square: at most four times NumPy's."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (20, 100_000)).astype(F32)
    calls = [Call(kind, [x], {"axes": (1,)}) for kind in ("reduce_sum", "reduce_mean")]
    calls += [
        Call("reduce_sum", [x.reshape(10, 20, -1).copy()], {"axes": (0, 2)}),
        Call("reduce_sum", [x.T.copy()], {"axes": (0,)}),
        Call("matmul", [x[:2], x.T.copy()]),
        Call("matmul", [x[:, :9000].copy(), rng.uniform(0, 1, (9000, 40)).astype(F32)]),
        Call("softmax", [6 * x]),
    ]
    for call, found in zip(calls, run_all(calls), strict=True):
        wide = call.reference([a.astype(np.float64) for a in call.arrays])
        ours, numpy = (np.sqrt(np.mean((a / wide - 1) ** 2)) for a in (found, call.reference()))
        assert ours <= 4 * numpy, (call, ours, numpy)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_argmax(dtype: str):
    x = normal(5, 37, dtype=dtype)
    ties = np.zeros((3, 20), x.dtype)
    calls = [Call("argmax", [x], {"axis": a, "keepdims": k}) for a in (0, 1) for k in (False, True)]
    check_all(
        [*calls, Call("argmax", [ties]), Call("argmax", [ties], {"axis": 0}), Call("argmax", [edges(dtype)])]
    )


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 2), ("clang", 1)])
def test_softmax(cc: str, threads: int):
    x = normal(4, 33)
    x[1, 4], x[2], x[3, 0] = -np.inf, -np.inf, np.nan
    big = normal(3, 40) * 1000
    hot = normal(2, 5)
    hot[0, 1] = np.inf
    calls = [
        Call("softmax", [x]),
        Call("softmax", [big]),
        Call("softmax", [hot]),
        Call("softmax", [normal(3, 1)]),
    ]
    calls += [Call("softmax", [normal(3, 4, 5)], {"axis": a}) for a in (0, 1, 2)]
    calls += [Call("softmax", [normal(2, n)]) for n in (2, 15, 16, 17, 64, 1001)]
    calls += [Call("softmax", [normal(5, 20, dtype=d)]) for d in FLOATS]
    calls += [Call("softmax", [normal(0, 4)]), Call("softmax", [normal(4, 0)])]
    check_all(calls, cc, threads)


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 2), ("clang", 1)])
def test_layer_norm(cc: str, threads: int):
    def layer_norm(x: np.ndarray, **values: object) -> Call:
        n = x.shape[-1]
        return Call("layer_norm", [x, normal(n).astype(x.dtype), normal(n).astype(x.dtype)], values)

    calls = [layer_norm(normal(3, n)) for n in (1, 2, 15, 16, 17, 64, 1001)]
    calls += [
        layer_norm(normal(2, 3, 5)),
        layer_norm(normal(7)),
        layer_norm(normal(0, 4)),
        layer_norm(normal(3, 4), eps=0.5),
    ]
    calls += [layer_norm(normal(4, 20, dtype=d)) for d in FLOATS]
    x = normal(3, 20)
    x[0, 0], x[1, 1] = np.nan, np.inf
    check_all([*calls, layer_norm(x)], cc, threads)


def test_layer_norm_of_a_large_mean():
    """The variance of numbers near 1000 must not be a difference of their squares, nor the mean drift: with a variance of
    one, the error is that of rounding a mean of 1000."""
    x = (1000 + normal(4, 256)).astype(F32)
    call = Call("layer_norm", [x, np.ones(256, F32), np.zeros(256, F32)])
    (found,) = run_all([call])
    wide = call.reference([a.astype(np.float64) for a in call.arrays])
    assert np.abs(found - wide).max() <= 4 * np.spacing(F32(1000)) / 2
