"""Calls of the ops that NumPy does not have, each with what torch computes for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dialects.graph.numerics import cast_array
from dialects.types import DTYPES, np_dtype

FUNCTIONS: dict[str, str] = {
    "absolute_error": "F.l1_loss",
    "adaptive_avg_pool2d": "F.adaptive_avg_pool2d",
    "adaptive_max_pool2d": "F.adaptive_max_pool2d",
    "attention": "F.scaled_dot_product_attention",
    "avg_pool2d": "F.avg_pool2d",
    "batch_norm": "F.batch_norm",
    "binary_cross_entropy": "F.binary_cross_entropy_with_logits",
    "conv1d": "F.conv1d",
    "conv2d": "F.conv2d",
    "conv3d": "F.conv3d",
    "conv_transpose1d": "F.conv_transpose1d",
    "conv_transpose2d": "F.conv_transpose2d",
    "cross_entropy": "F.cross_entropy",
    "cummax": "torch.cummax",
    "cummin": "torch.cummin",
    "elu": "F.elu",
    "erf": "torch.erf",
    "gelu": "F.gelu",
    "global_avg_pool": "F.adaptive_avg_pool2d",
    "global_max_pool": "F.adaptive_max_pool2d",
    "group_norm": "F.group_norm",
    "hardsigmoid": "F.hardsigmoid",
    "hardswish": "F.hardswish",
    "huber": "F.huber_loss",
    "kl_divergence": "F.kl_div",
    "layer_norm": "F.layer_norm",
    "leaky_relu": "F.leaky_relu",
    "log_sigmoid": "F.logsigmoid",
    "log_softmax": "F.log_softmax",
    "max_pool2d": "F.max_pool2d",
    "mish": "F.mish",
    "one_hot": "F.one_hot",
    "pixel_shuffle": "F.pixel_shuffle",
    "reduce_logsumexp": "torch.logsumexp",
    "relu6": "F.relu6",
    "resize_bilinear": "F.interpolate",
    "resize_nearest": "F.interpolate",
    "rms_norm": "F.rms_norm",
    "scatter": "torch.index_reduce",
    "scatter_along": "torch.scatter_reduce",
    "scatter_nd": "torch.index_put",
    "sigmoid": "torch.sigmoid",
    "silu": "F.silu",
    "softmax": "F.softmax",
    "softplus": "F.softplus",
    "squared_error": "F.mse_loss",
    "top_k": "torch.topk",
    "triangular_solve": "torch.linalg.solve_triangular",
}
"""The function of torch that each op is compared with; `F` is `torch.nn.functional`."""


@dataclass(frozen=True)
class TorchCall:
    """A call of an op. Floats stand for the dtype that is tried, integers stay; `function` takes torch's tensors."""

    name: str
    arrays: tuple[np.ndarray, ...]
    values: Mapping[str, object]
    function: Callable[..., Any]
    result: int = 0

    def in_dtype(self, dtype: str) -> list[np.ndarray]:
        return [_as(a, dtype) if a.dtype == np.float32 else a for a in self.arrays]

    def __str__(self) -> str:
        shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in self.arrays)
        return f"{self.name}({shapes}, {dict(self.values)}), result {self.result}"


def _as(array: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers of either sign become integers of their size, complex numbers get an imaginary part."""
    if dtype == "bool":
        return array > 0
    if dtype[0] == "c":
        return (array + 1j * np.flip(array)).astype(np_dtype(DTYPES[dtype]))
    if dtype[0] in "iu":
        array = np.nan_to_num(np.rint(3 * array), posinf=7, neginf=-7).clip(0 if dtype[0] == "u" else -7, 7)
    return cast_array(array, DTYPES[dtype])


RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


X1, X2, X3 = normal(2, 4, 11), normal(2, 4, 7, 9), normal(2, 4, 5, 6, 7)
W1, W2, W3 = normal(6, 2, 3), normal(6, 2, 3, 2), normal(6, 2, 2, 3, 2)
T1, T2 = normal(4, 3, 3), normal(4, 3, 3, 2)
BIAS, C, D = normal(6), normal(4), normal(4)
SIZES = np.abs(normal(4)) + np.float32(0.1)
ROWS, OTHER, SCALE, SHIFT = normal(5, 6), normal(5, 6), normal(6), normal(6)
UNIT = RNG.random((5, 6)).astype(np.float32)
LABELS = np.array([1, 0, 3, 2, 4], np.int64)
ALONG = np.array([[0, 2, 1], [5, 4, 3], [0, 5, 2], [3, 1, 0], [2, 3, 4]])
TWICE = np.array([[0, 0, 1]] * 5)
PLACES = np.array([3, 0, 2])
DIFFERENT = RNG.permuted(np.tile(np.arange(6, dtype=np.float32) / 3, (5, 1)), axis=1)
"""Rows of numbers that stay different as integers."""
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1, -1, 3, -3, 6, 100, -100], np.float32)
HOLES = np.where(UNIT < 0.2, -np.inf, ROWS).astype(np.float32)
"""Rows with some -inf, one with nothing else, and one with NaN."""
HOLES[2], HOLES[4, 1] = -np.inf, np.nan


def differing_calls() -> list[TorchCall]:
    """Calls in which torch gives something else, as the pages of the ops say; torch has to be there."""
    f = importlib.import_module("torch").nn.functional
    none, half, q, k = (np.float32(x) for x in ([0], [0.5], [[[1, 2]]], [[[3, 1], [1, 2]]]))
    infinite, least = np.float32([np.inf]), np.float32([-np.inf])
    line = np.arange(14, dtype=np.float32).reshape(1, 1, 1, 14)
    return [
        TorchCall(
            "binary_cross_entropy",
            (least, half),
            {},
            lambda x, y: f.binary_cross_entropy_with_logits(x, y, reduction="none"),
        ),
        *(
            TorchCall("kl_divergence", (a, b), {}, lambda x, y: f.kl_div(x, y, reduction="none"))
            for a, b in ((least, none), (half, infinite))
        ),
        TorchCall("resize_nearest", (line,), {"size": (1, 46)}, lambda x: f.interpolate(x, (1, 46))),
        TorchCall(
            "attention",
            (q, k, k),
            {"causal": True},
            lambda *t: f.scaled_dot_product_attention(*t, is_causal=True),
        ),
    ]


def torch_calls() -> list[TorchCall]:
    """The calls; torch has to be there."""
    torch = importlib.import_module("torch")
    functional = torch.nn.functional
    return [
        *_elementwise(torch, functional),
        *_windows(functional),
        *_normalisations(torch, functional),
        *_losses(functional),
        *_moving(torch, functional),
    ]


def _elementwise(torch: Any, f: Any) -> Iterator[TorchCall]:
    for array in (ROWS * 4, SPECIAL):
        for name in ("softplus", "hardswish", "hardsigmoid", "mish", "silu", "relu6", "gelu"):
            yield TorchCall(name, (array,), {}, getattr(f, name))
        yield TorchCall("gelu", (array,), {"approximate": "tanh"}, lambda x: f.gelu(x, approximate="tanh"))
        yield TorchCall("log_sigmoid", (array,), {}, f.logsigmoid)
        yield TorchCall("leaky_relu", (array,), {"alpha": 0.1}, lambda x: f.leaky_relu(x, 0.1))
        yield TorchCall("elu", (array,), {"alpha": 1.5}, lambda x: f.elu(x, 1.5))
        yield TorchCall("erf", (array,), {}, torch.erf)
        yield TorchCall("sigmoid", (array,), {}, torch.sigmoid)


def _windows(f: Any) -> Iterator[TorchCall]:
    def conv(name: str, arrays: tuple[np.ndarray, ...], **values: Any) -> TorchCall:
        function = getattr(f, name)
        return TorchCall(name, arrays, {"groups": 2, **values}, lambda *t: function(*t, groups=2, **values))

    for values in ({}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": "same"}, {"padding": "valid"}):
        yield conv("conv1d", (X1, W1, BIAS), **values)
    for values in ({"padding": "same"}, {"dilation": (2, 1), "padding": (2, 0)}, {"stride": (2, 3)}):
        yield conv("conv2d", (X2, W2, BIAS), **values)
    around = {"groups": 2, "padding": [1, 0, 2, 3], "stride": 2}
    yield TorchCall(
        "conv2d", (X2, W2), around, lambda x, w: f.conv2d(f.pad(x, (2, 3, 1, 0)), w, groups=2, stride=2)
    )
    for values in ({"padding": "same"}, {"stride": (2, 1, 2), "padding": (1, 0, 1), "dilation": (1, 2, 1)}):
        yield conv("conv3d", (X3, W3, BIAS), **values)
    for values in ({}, {"stride": 3, "padding": 1, "output_padding": 2}, {"dilation": 2, "padding": 5}):
        yield conv("conv_transpose1d", (X1, T1, BIAS), **values)
    for values in (
        {},
        {"stride": 2, "padding": (1, 0), "output_padding": (1, 0)},
        {"stride": (1, 3), "dilation": (2, 1), "padding": 2},
    ):
        yield conv("conv_transpose2d", (X2, T2, BIAS), **values)
    infinite = np.where(np.abs(X2) > 1.5, np.inf * X2, X2).astype(np.float32)
    infinite[0, 0, 3, 3] = np.nan
    for x in (X2, infinite):
        for values in ({"kernel": 2}, {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 0)}):
            rest = {"kernel_size" if k == "kernel" else k: v for k, v in values.items()}
            yield TorchCall("max_pool2d", (x,), values, lambda t, rest=rest: f.max_pool2d(t, **rest))
            yield TorchCall("avg_pool2d", (x,), values, lambda t, rest=rest: f.avg_pool2d(t, **rest))
        yield TorchCall(
            "avg_pool2d",
            (x,),
            {"kernel": 3, "stride": 2, "padding": 1, "count_padding": False},
            lambda t: f.avg_pool2d(t, 3, 2, 1, count_include_pad=False),
        )
        for kind in ("avg", "max"):
            function = getattr(f, f"adaptive_{kind}_pool2d")
            for size in ((3, 4), (5, 2), (9, 11)):
                yield TorchCall(
                    f"adaptive_{kind}_pool2d",
                    (x,),
                    {"size": size},
                    lambda t, g=function, s=size: g(t, s),
                )
            yield TorchCall(f"global_{kind}_pool", (x,), {}, lambda t, g=function: g(t, 1))


def _normalisations(torch: Any, f: Any) -> Iterator[TorchCall]:
    yield TorchCall("batch_norm", (X2, C, D, C, SIZES), {}, lambda x, s, b, m, v: f.batch_norm(x, m, v, s, b))
    for groups in (1, 2, 4):
        yield TorchCall(
            "group_norm",
            (X2, C, D),
            {"groups": groups},
            lambda x, s, b, g=groups: f.group_norm(x, g, s, b),
        )
    for x in (ROWS, np.full((2, 6), 3, np.float32)):
        yield TorchCall("layer_norm", (x, SCALE, SHIFT), {}, lambda x, s, b: f.layer_norm(x, (6,), s, b))
        yield TorchCall("rms_norm", (x, SCALE), {"eps": 1e-5}, lambda x, s: f.rms_norm(x, (6,), s, 1e-5))
    for x in (ROWS * 5, HOLES):
        yield TorchCall("softmax", (x,), {}, lambda x: f.softmax(x, -1))
        yield TorchCall("log_softmax", (x,), {"axis": 0}, lambda x: f.log_softmax(x, 0))
        yield TorchCall("log_softmax", (x,), {}, lambda x: f.log_softmax(x, -1))
        yield TorchCall("reduce_logsumexp", (x,), {"axes": [1]}, lambda x: torch.logsumexp(x, 1))
    q, k, v = (normal(2, 3, 6, 4) for _ in range(3))
    seen, mask = RNG.random((3, 6, 6)) < 0.6, normal(3, 6, 6)
    seen[1, 2] = False
    attend = f.scaled_dot_product_attention
    yield TorchCall("attention", (q, k, v), {}, attend)
    yield TorchCall("attention", (q, k, v), {"causal": True}, lambda *t: attend(*t, is_causal=True))
    yield TorchCall("attention", (q, k, v, mask), {"scale": 0.3}, lambda *t: attend(*t, scale=0.3))
    yield TorchCall("attention", (q, k, v, seen), {}, attend)
    hidden = np.where(seen, mask, -np.inf).astype(np.float32)
    yield TorchCall("attention", (q, k, v, hidden), {}, attend)
    matrix = np.tril(normal(4, 4)) + 4 * np.eye(4, dtype=np.float32)
    for lower, a in ((True, matrix), (False, matrix.T.copy())):
        yield TorchCall(
            "triangular_solve",
            (a, normal(4, 2)),
            {"lower": lower},
            lambda a, b, low=lower: torch.linalg.solve_triangular(a, b, upper=not low),
        )


def _losses(f: Any) -> Iterator[TorchCall]:
    for logits in (ROWS, HOLES):
        yield TorchCall(
            "cross_entropy", (logits, LABELS), {}, lambda x, y: f.cross_entropy(x, y, reduction="none")
        )
    whole, some = SPECIAL, SPECIAL[-np.inf != SPECIAL]
    finite = SPECIAL[~np.isinf(SPECIAL)]
    kept = np.where(UNIT < 0.3, 0, UNIT).astype(np.float32)
    pairs = (  # with what is not finite as far as it is the same: the pages of the ops say where it is not
        ("absolute_error", f.l1_loss, {}, (ROWS, OTHER), (whole, whole)),
        ("squared_error", f.mse_loss, {}, (ROWS, OTHER), (whole, whole)),
        ("huber", f.huber_loss, {"delta": 0.5}, (ROWS, OTHER), (whole, whole)),
        ("binary_cross_entropy", f.binary_cross_entropy_with_logits, {}, (ROWS * 9, UNIT), (some, some)),
        ("kl_divergence", f.kl_div, {}, (ROWS, kept), (whole, finite)),
    )
    few = np.array([0.25, 0.5, 1], np.float32)
    for name, function, values, plain, (left, right) in pairs:
        first = np.tile(left, 3), np.repeat(few, left.size)
        second = np.repeat(few, right.size), np.tile(right, 3)
        for arrays in (plain, first, second):
            yield TorchCall(
                name, arrays, values, lambda x, y, g=function, v=values: g(x, y, reduction="none", **v)
            )


def _moving(torch: Any, f: Any) -> Iterator[TorchCall]:
    yield TorchCall("pixel_shuffle", (X2,), {"factor": 2}, lambda x: f.pixel_shuffle(x, 2))
    for size in ((5, 20), (7, 9), (14, 3), (1, 1)):
        yield TorchCall(
            "resize_nearest", (X2,), {"size": size}, lambda x, s=size: f.interpolate(x, s, mode="nearest")
        )
        yield TorchCall(
            "resize_bilinear",
            (X2,),
            {"size": size},
            lambda x, s=size: f.interpolate(x, s, mode="bilinear", align_corners=False),
        )
    yield TorchCall("one_hot", (LABELS,), {"classes": 6, "dtype": "i64"}, lambda y: f.one_hot(y, 6))
    for x in (ROWS, HOLES):
        for axis in (0, 1):
            yield TorchCall("cummax", (x,), {"axis": axis}, lambda x, a=axis: x.cummax(a).values)
            yield TorchCall("cummin", (x,), {"axis": axis}, lambda x, a=axis: x.cummin(a).values)
    for x in (ROWS, HOLES, DIFFERENT):
        for largest in (True, False):
            for result in (0, 1) if x is DIFFERENT else (0,):  # of equal elements torch gives any place
                yield TorchCall(
                    "top_k",
                    (x,),
                    {"k": 3, "largest": largest},
                    lambda x, big=largest, n=result: x.topk(3, largest=big)[n],
                    result,
                )
    combined = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    yield TorchCall("scatter", (ROWS, PLACES, OTHER[:3]), {}, lambda x, i, u: x.index_copy(0, i, u))
    yield TorchCall(
        "scatter_along", (ROWS, ALONG, OTHER[:, :3]), {"axis": 1}, lambda x, i, u: x.scatter(1, i, u)
    )
    yield TorchCall(
        "scatter",
        (ROWS, PLACES[[0, 1, 0]], OTHER[:3]),
        {"mode": "add"},
        lambda x, i, u: x.index_add(0, i, u),
    )
    for mode, reduce in combined.items():
        yield TorchCall(
            "scatter_along",
            (ROWS, TWICE, OTHER[:, :3]),
            {"axis": 1, "mode": mode},
            lambda x, i, u, r=reduce: x.scatter_reduce(1, i, u, r),
        )
        if mode != "add":
            yield TorchCall(
                "scatter",
                (ROWS, PLACES[[0, 1, 0]], OTHER[:3]),
                {"mode": mode},
                lambda x, i, u, r=reduce: x.index_reduce(0, i, u, r),
            )
    pairs = np.array([[0, 1], [4, 5], [0, 1]])
    yield TorchCall(
        "scatter_nd",
        (ROWS, pairs[:2], OTHER[0, :2]),
        {},
        lambda x, i, u: x.index_put(tuple(i.unbind(-1)), u),
    )
    yield TorchCall(
        "scatter_nd",
        (ROWS, pairs, OTHER[0, :3]),
        {"mode": "add"},
        lambda x, i, u: x.index_put(tuple(i.unbind(-1)), u, accumulate=True),
    )
