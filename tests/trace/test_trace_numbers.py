"""A function on arrays gives the same numbers when it is traced: NumPy itself is the judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import irkit
from irkit import ops

X = np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 3, 4)
M = X[0]
P = np.abs(X) + np.float32(0.5)
INT = np.arange(24, dtype=np.int32).reshape(4, 6) - 5
C = (X[0] + 1j * X[1]).astype(np.complex64)
ROWS = np.array([2, 0, 1], np.int64)
BIG = np.arange(48, dtype=np.float32).reshape(4, 12) / 10

CASES: list[tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = [
    # operators, from both sides
    (lambda x: (x + 1) * 2 - x / 3 + (1 - x) * (2 / (x + 9)) - -x, (X,)),
    (lambda x: abs(x) ** 2 + 2**x + x % 2 + 7 % (abs(x) + 1) + x // 0.5, (X,)),
    (lambda i: (i // 3, i % 3, i & 6 | 1 ^ i, ~i, i << 2, i >> 1, i**2), (INT,)),
    (lambda x: ((x > 0) & (x <= 2) | ~(x != 1), x > 1, x == x), (X,)),
    (lambda x, m: x @ m.T, (X, M)),
    (lambda m: np.float32(2) * m + m * np.array([1, 2, 3, 4], np.float32), (M,)),
    (lambda m: m @ BIG + BIG[0], (M,)),
    # indices
    (lambda x: (x[0], x[:, 1], x[..., -1], x[1, 2, 3], x[:, 1:3], x[:, ::2, ::-1]), (X,)),
    (lambda x: (x[None], x[:, None, 0], x[0:100], x[..., 2:1], x[:, ::-2], x[-1:, -2:]), (X,)),
    (lambda m, r: (m[r], m[:, r], m[np.array([0, 2])], m[[1, 1], 1:3]), (M, ROWS)),
    (lambda m: sum(row.sum() for row in m), (M,)),
    # methods
    (lambda x: (x.sum(), x.mean(axis=1), x.max(axis=(0, 2)), x.min(axis=-1, keepdims=True)), (X,)),
    (lambda x: (x.argmax(), x.argmin(axis=1), x.cumsum(), x.cumprod(axis=1), x.std(axis=0), x.var()), (X,)),
    (
        lambda x: (
            x.T,
            x.mT if hasattr(x, "mT") else x.swapaxes(-1, -2),
            x.transpose(1, 0, 2),
            x.swapaxes(0, 2),
        ),
        (X,),
    ),
    (
        lambda x: (
            x.reshape(-1),
            x.reshape(6, -1),
            x.reshape([4, 6]),
            x.ravel(),
            x[:1].squeeze(),
            x.astype(np.float64),
        ),
        (X,),
    ),
    (
        lambda x: ((x > 0).any(axis=0), (x > 0).all(), x.clip(-1, 1), x.round(), x.shape[0] * x, x.ndim * x),
        (X,),
    ),
    (lambda c: (c.real, c.imag, c.conj(), abs(c), c * c, c + 2), (C,)),
    # functions
    (
        lambda x: [
            f(x)
            for f in (np.exp, np.sin, np.cos, np.tanh, np.floor, np.ceil, np.sign, np.square, np.negative)
        ],
        (X,),
    ),
    (
        lambda x: [
            f(x) for f in (np.sqrt, np.log, np.log2, np.log10, np.log1p, np.reciprocal, np.expm1, np.exp2)
        ],
        (P,),
    ),
    (
        lambda x: (
            np.sinh(x),
            np.cosh(x),
            np.tan(x),
            np.arctan(x),
            np.arctan2(x, 2),
            np.rint(x),
            np.isnan(x),
            np.fabs(x),
        ),
        (X,),
    ),
    (
        lambda x, y: (
            np.maximum(x, y),
            np.minimum(0, x),
            np.power(y, 2),
            np.add(x, y),
            np.subtract(x, 1),
        ),
        (X, P),
    ),
    (
        lambda x: (
            np.where(x > 0, x, 0),
            np.clip(x, -1, 1),
            np.sum(x, axis=(0, 1)),
            np.max(x),
            np.mean(x, axis=0),
        ),
        (X,),
    ),
    (
        lambda x: (
            np.concatenate([x, x], 1),
            np.stack([x, x], -1),
            np.vstack([x[0], x[0]]),
            np.hstack([x[0], x[0]]),
        ),
        (X,),
    ),
    (lambda x: (*np.split(x, 3, axis=1), *np.split(x, [1, 3], axis=2)), (X,)),
    (
        lambda x: (
            np.transpose(x),
            np.swapaxes(x, 0, 1),
            np.moveaxis(x, 0, -1),
            np.expand_dims(x, (0, 2)),
            np.squeeze(x[:1]),
        ),
        (X,),
    ),
    (
        lambda x: (
            np.broadcast_to(x, (2, 2, 3, 4)),
            np.flip(x, 1),
            np.roll(x, 2, 1),
            np.roll(x, 5),
            np.tile(x, (2, 1)),
            np.ravel(x),
        ),
        (X,),
    ),
    (lambda x: (np.pad(x, 1), np.pad(x, ((0, 0), (1, 0), (2, 1)), "edge"), np.tril(x), np.triu(x, 1)), (X,)),
    (
        lambda x, r: (
            np.take(x, r, axis=1),
            np.take_along_axis(x, np.argsort(x, -1), -1),
            np.take_along_axis(x, np.argsort(x, -1) - 2, -1),
            np.take_along_axis(x, np.argsort(x, axis=None), None),
            np.sort(x, axis=None),
            np.sort(x, 0),
            np.concatenate([x, 2 * x], axis=None),
            np.inner(x[0], x[1]),
            np.linalg.norm(x[0, 0], 2),
            np.sort(-x),
            np.argmax(x, 1),
        ),
        (X, ROWS),
    ),
    (
        lambda x, m: (
            np.dot(m, m.T),
            np.outer(m[0], m[1]),
            np.einsum("bij,kj->bik", x, m),
            np.inner(m, m),
            np.vdot(m, m),
        ),
        (X, M),
    ),
    (
        lambda x: (
            np.zeros_like(x),
            np.ones_like(x),
            np.full_like(x, 3),
            np.linalg.norm(x, axis=-1),
            np.shape(x)[0] * x,
        ),
        (X,),
    ),
    (lambda m: (np.linalg.cholesky(m @ m.T + 3 * np.eye(3, dtype=np.float32)),), (M,)),
    (lambda x: (np.add.reduce(x, 1), np.maximum.reduce(x), np.cumsum(x, axis=1), np.prod(x, axis=2)), (X,)),
]


def arrays(result: object) -> list[np.ndarray]:
    return [np.asarray(r) for r in result] if isinstance(result, tuple | list) else [np.asarray(result)]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_traced_functions_give_numpys_numbers(number: int):
    fn, args = CASES[number]
    wanted = arrays(fn(*args))
    found = irkit.trace(fn).graph(*args).interpret(*args)
    assert len(wanted) == len(found)
    for a, b in zip(wanted, found, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype or a.dtype.kind in "fiu", (a.dtype, b.dtype)
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-5)


def test_the_program_is_compiled_once_for_each_signature():
    calls: list[str] = []

    @irkit.trace
    def f(x, scale: float = 2.0):
        calls.append(str(x.shape))
        return np.exp(x) * scale

    np.testing.assert_allclose(f(M), np.exp(M) * 2, rtol=1e-5)
    f(M + 1)
    assert calls == ["(3, 4)"]
    np.testing.assert_allclose(f(M, 3.0), np.exp(M) * 3, rtol=1e-5)
    np.testing.assert_allclose(f(M, scale=1), np.exp(M), rtol=1e-5)
    f(M[:2])
    assert calls == ["(3, 4)", "(3, 4)", "(3, 4)", "(2, 4)"]


def test_nested_arguments_and_results_keep_their_form():
    @irkit.trace
    def f(params, pair):
        a, b = pair
        return {"y": a @ params["w"] + params["bias"][0], "parts": [b, (a,)]}

    w, bias = M.T.copy(), np.float32([1, 2, 3])
    out = f({"w": w, "bias": [bias]}, (M, X))
    np.testing.assert_allclose(out["y"], M @ w + bias, rtol=1e-5)
    np.testing.assert_array_equal(out["parts"][1][0], M)
    assert [a.name for a in f.compile({"w": w, "bias": [bias]}, (M, X)).inputs][:2] == [
        "params_w",
        "params_bias_0",
    ]


def test_traced_functions_call_each_other_and_are_methods():
    @irkit.trace
    def half(x):
        return x / 2

    class Model:
        def __init__(self, scale: float):
            self.scale = scale

        @irkit.trace
        def __call__(self, x):
            return half(x) * self.scale

    np.testing.assert_allclose(Model(6.0)(M), M * 3, rtol=1e-6)
    np.testing.assert_allclose(Model(2.0)(M), M, rtol=1e-6)


def test_dims_with_a_range_make_one_program_for_all_sizes():
    batch = irkit.dim("B", 4, 1, 9)

    @irkit.trace
    def f(x):
        n = x.shape[0]
        assert n >= 1 and n != 10 and x.shape[1] == 4
        y = np.concatenate([x, ops.zeros([n, 4])])
        return y[:n].reshape(2 * n, 2), x[1:], x.sum(axis=0), x.at[1:].add(1)

    program = f.compile(irkit.spec([batch, 4]))
    for size in (2, 3, 9):
        x = np.ones((size, 4), np.float32)
        a, b, c, d = program(x)
        assert a.shape == (2 * size, 2) and b.shape == (size - 1, 4) and c[0] == size
        assert d[0, 0] == 1 and d[-1, 0] == 2


@pytest.mark.parametrize("mode", ("set", "add", "mul", "max", "min"))
@pytest.mark.parametrize(
    "key",
    (
        1,
        -1,
        slice(1, 3),
        slice(None, None, -2),
        (slice(None), 2),
        (slice(0, 2), slice(1, None, 2)),
        (0, 1),
        ...,
    ),
    ids=str,
)
def test_at_writes_what_an_assignment_would(key: Any, mode: str):
    value = np.asarray(M[key] * 0 + 0.25, np.float32)
    wanted = M.copy()
    change = {"set": lambda a, b: b, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[
        mode
    ]
    wanted[key] = change(wanted[key], value)
    (found,) = irkit.trace(lambda x, v: getattr(x.at[key], mode)(v)).graph(M, value).interpret(M, value)
    np.testing.assert_array_equal(found, wanted)


def test_at_adds_at_each_place_of_a_tensor():
    index = np.array([0, 2, 0], np.int32)
    (found,) = irkit.trace(lambda x, i: x.at[i].add(1)).graph(M, index).interpret(M, index)
    wanted = M.copy()
    np.add.at(wanted, index, np.float32(1))
    np.testing.assert_array_equal(found, wanted)
