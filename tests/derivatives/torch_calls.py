"""Calls of the ops with a derivative that `tests/ops/torch_calls.py` has not, each with what torch computes for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.ops.torch_calls import TorchCall, torch_calls

RNG = np.random.default_rng(17)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


ROWS, OTHER, ROW = normal(5, 6), normal(5, 6), normal(6)
POSITIVE = np.abs(ROWS) + np.float32(0.2)
CUBE, SQUARE = normal(3, 4, 2), normal(4, 4)
TIES = np.round(normal(5, 6) * 2) / np.float32(2)
"""Rows with equal elements."""
ZEROS = np.where(np.abs(CUBE) < 0.6, 0, CUBE).astype(np.float32)
PLACES = np.array([3, 0, -1, 3, -5, 1])
ALONG = np.array([[0, -2, 1], [5, 4, 4], [0, -6, 2], [3, 1, 0], [2, 2, 2]])
PAIRS = np.array([[0, 1], [-1, 5], [0, 1]])


def all_calls() -> list[TorchCall]:
    """The calls of both files with a derivative; torch has to be there."""
    torch = importlib.import_module("torch")
    own = [*_of_one(torch), *_of_two(torch), *_along_dims(torch), *_moves(torch), *_products(torch)]
    return [*(call for call in torch_calls() if not call.result and not is_otherwise(call)), *own]


def is_otherwise(call: TorchCall) -> bool:
    """Whether torch gives another derivative, or none, for reasons that are known."""
    is_nan = any(np.isnan(a).any() for a in call.arrays if a.dtype == np.float32)
    if call.name in ("one_hot", "batch_norm"):  # integers; torch has none of the mean and the variance
        return True
    if call.name in (
        "adaptive_max_pool2d",
        "global_max_pool",
    ):  # equal elements share here, as in max(x, axis=1)
        return is_nan
    if call.name == "top_k":  # of equal elements torch takes any
        return any((np.diff(np.sort(a, axis=-1)) == 0).any() or np.isinf(a).any() for a in call.arrays)
    if call.name == "absolute_error":  # NaN here, and 0 there
        return is_nan
    if call.name == "reduce_logsumexp":  # NaN there for rows of nothing but -inf, and 0 here
        return bool(np.isneginf(call.arrays[0]).all(axis=1).any())
    # NaN there for a target of zero, and 0 here
    return call.name == "kl_divergence" and any((a == 0).any() for a in call.arrays)


def _of_one(torch: Any) -> Iterator[TorchCall]:
    for name in ("exp", "exp2", "expm1", "sin", "cos", "tan", "atan", "tanh", "abs", "neg", "relu", "square"):
        yield TorchCall(name, (ROWS,), {}, getattr(torch, name))
    for name in ("log", "log2", "log1p", "sqrt", "rsqrt", "reciprocal"):
        yield TorchCall(name, (POSITIVE,), {}, getattr(torch, name))
    for name in ("floor", "ceil", "round", "sign"):
        yield TorchCall(name, (ROWS,), {}, getattr(torch, name))
    for name in ("abs", "relu", "sign"):
        yield TorchCall(name, (TIES,), {}, getattr(torch, name))
    for x in (ROWS, TIES):
        yield TorchCall("clamp", (x,), {"low": -0.5, "high": 1.0}, lambda x: x.clamp(-0.5, 1))


def _of_two(torch: Any) -> Iterator[TorchCall]:
    names = {"add": "add", "sub": "sub", "mul": "mul", "div": "div", "mod": "remainder", "atan2": "atan2"}
    for name, function in names.items():
        for arrays in ((ROWS, OTHER), (ROWS, ROW), (ROW, ROWS), (ROWS[:, :1], ROW), (np.float32(0.7), ROW)):
            yield TorchCall(name, tuple(np.asarray(a) for a in arrays), {}, getattr(torch, function))
    for name, function in (("max", "maximum"), ("min", "minimum")):
        for arrays in ((ROWS, ROW), (TIES, TIES[:, ::-1].copy()), (TIES, TIES)):
            yield TorchCall(name, arrays, {}, getattr(torch, function))
    yield TorchCall("pow", (POSITIVE, OTHER), {}, torch.pow)
    whole = np.array([0, 1, 2, 3, -1, -2], np.float32)
    yield TorchCall("pow", (ROWS, whole), {}, torch.pow)
    yield TorchCall("pow", (np.where(ROWS < 0, 0, ROWS), np.abs(whole)), {}, torch.pow)
    kl = torch.nn.functional.kl_div
    yield TorchCall("kl_divergence", (ROWS, POSITIVE), {}, lambda q, p: kl(q, p, reduction="none"))
    yield TorchCall("where", (OTHER > 0, ROWS, ROW), {}, torch.where)


def _along_dims(torch: Any) -> Iterator[TorchCall]:
    def along(name: str, x: np.ndarray, function: Callable[..., Any]) -> Iterator[TorchCall]:
        for axes, keep in (((1,), False), ((0, 2), True), ((0, 1, 2), False)):
            yield TorchCall(
                name,
                (x,),
                {"axes": axes, "keepdims": keep},
                lambda t, axes=axes, keep=keep: function(t, axes, keep),
            )

    def product(t: Any, axes: tuple[int, ...], keep: bool) -> Any:
        for axis in axes[::-1]:
            t = t.prod(axis, keepdim=keep)
        return t

    holes = np.array([[1, np.nan, 2], [-np.inf, 1, 3]], np.float32)
    yield TorchCall("reduce_logsumexp", (holes,), {"axes": (1,)}, lambda t: t.logsumexp(1))
    equal = np.round(CUBE)
    yield from along("reduce_sum", CUBE, torch.sum)
    yield from along("reduce_mean", CUBE, torch.mean)
    for x in (CUBE, equal):
        yield from along("reduce_max", x, torch.amax)
        yield from along("reduce_min", x, torch.amin)
    for x in (CUBE, ZEROS):
        yield from along("reduce_prod", x, product)
    yield from along("reduce_var", CUBE, lambda t, a, k: torch.var(t, a, correction=0, keepdim=k))
    yield from along("reduce_std", CUBE, lambda t, a, k: torch.std(t, a, correction=0, keepdim=k))
    for x in (CUBE, np.zeros_like(CUBE)):
        yield from along("reduce_l2", x, lambda t, a, k: torch.linalg.vector_norm(t, 2, a, k))
    for axis in (0, 1, 2):
        yield TorchCall("cumsum", (CUBE,), {"axis": axis}, lambda t, a=axis: t.cumsum(a))
        for x in (CUBE, ZEROS):
            yield TorchCall("cumprod", (x,), {"axis": axis}, lambda t, a=axis: t.cumprod(a))
        for x in (equal, -equal):
            yield TorchCall("cummax", (x,), {"axis": axis}, lambda t, a=axis: t.cummax(a).values)
            yield TorchCall("cummin", (x,), {"axis": axis}, lambda t, a=axis: t.cummin(a).values)
        for down in (False, True):
            yield TorchCall(
                "sort",
                (CUBE,),
                {"axis": axis, "descending": down},
                lambda t, a=axis, d=down: t.sort(dim=a, descending=d, stable=True).values,
            )


def _moves(torch: Any) -> Iterator[TorchCall]:
    f = torch.nn.functional
    yield TorchCall("reshape", (CUBE,), {"shape": (6, 4)}, lambda t: t.reshape(6, 4))
    yield TorchCall("transpose", (CUBE,), {"perm": (2, 0, 1)}, lambda t: t.permute(2, 0, 1))
    yield TorchCall("broadcast", (ROW,), {"shape": (3, 6)}, lambda t: t.expand(3, 6))
    yield TorchCall("concat", (ROWS, OTHER), {"axis": 1}, lambda a, b: torch.cat((a, b), 1))
    yield TorchCall(
        "slice",
        (ROWS,),
        {"starts": (1, 0), "stops": (5, 6), "strides": (2, 3)},
        lambda t: t[1:5:2, ::3],
    )
    yield TorchCall("split", (ROWS,), {"parts": 3, "axis": 1}, lambda t: t.split(2, 1)[0])
    for mode, name in (
        ("constant", "constant"),
        ("edge", "replicate"),
        ("reflect", "reflect"),
        ("wrap", "circular"),
    ):
        yield TorchCall(
            "pad",
            (CUBE,),
            {"pads": (0, 0, 2, 3, 1, 1), "mode": mode},
            lambda t, m=name: f.pad(t, (1, 1, 2, 3), m),
        )
    yield TorchCall("tile", (ROWS,), {"repeats": (2, 3)}, lambda t: t.repeat(2, 3))
    yield TorchCall("flip", (ROWS,), {"axes": (0,)}, lambda t: t.flip(0))
    yield TorchCall("roll", (ROWS,), {"shift": 2, "axis": 1}, lambda t: t.roll(2, 1))
    yield TorchCall("tril", (ROWS,), {"k": 1}, lambda t: t.tril(1))
    yield TorchCall("triu", (ROWS,), {"k": -1}, lambda t: t.triu(-1))
    yield TorchCall("gather", (ROWS, PLACES), {"axis": 0}, lambda t, i: t[i])
    yield TorchCall("gather", (ROWS, PLACES), {"axis": 1}, lambda t, i: t[:, i])
    yield TorchCall("take_along", (ROWS, ALONG), {"axis": 1}, lambda t, i: t.gather(1, i % 6))
    yield TorchCall("gather_nd", (ROWS, PAIRS), {}, lambda t, i: t[i[:, 0], i[:, 1]])


def _products(torch: Any) -> Iterator[TorchCall]:
    shapes = (
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (2, 4, 3)),
        ((2, 3, 4), (4,)),
        ((4,), (4,)),
    )
    for a, b in shapes:
        yield TorchCall("matmul", (normal(*a), normal(*b)), {}, torch.matmul)
    for spec, *shapes in (
        ("ij,jk->ik", (3, 4), (4, 2)),
        ("bij,bjk->ib", (2, 3, 4), (2, 4, 5)),
        ("ii,ij->j", (3, 3), (3, 4)),
        ("ij,jk,k->", (3, 4), (4, 2), (2,)),
    ):
        yield TorchCall(
            "einsum",
            tuple(normal(*s) for s in shapes),
            {"spec": spec},
            lambda *t, s=spec: torch.einsum(s, *t),
        )
    yield TorchCall(  # F.batch_norm has no gradients of the mean and the variance
        "batch_norm",
        (CUBE, ROW[:4], ROW[2:], OTHER[0, :4], POSITIVE[0, :4]),
        {},
        lambda x, s, b, m, v: (x - m[:, None]) / torch.sqrt(v[:, None] + 1e-5) * s[:, None] + b[:, None],
    )
    positive = SQUARE @ SQUARE.T + np.eye(4, dtype=np.float32)
    yield TorchCall(  # of the triangle that it reads
        "cholesky",
        (positive,),
        {},
        lambda x: torch.linalg.cholesky(x.tril() + x.tril(-1).transpose(0, 1)),
    )
