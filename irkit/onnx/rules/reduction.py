"""Reductions, positions of extremes, running sums, and what normalises by a reduction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import is_float, sizes
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor

Over = Callable[[Callable[..., Any], Tensor], Tensor]
"""Applies a reduction along the axes of a node."""


def _mean(x: Tensor, over: Over) -> Tensor:
    return over(ops.mean, x) if is_float(x) else _in_floats(x, lambda y: over(ops.mean, y))


def _l2(x: Tensor, over: Over) -> Tensor:
    return over(ops.l2, x) if is_float(x) else _in_floats(x, lambda y: over(ops.l2, y))


def _in_floats(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    return ops.cast(function(ops.cast(x, "f64")), x.dtype_name)


def _log_sum(x: Tensor, over: Over) -> Tensor:
    return ops.log(over(ops.sum, _floats(x)))


def _log_sum_exp(x: Tensor, over: Over) -> Tensor:
    return over(ops.logsumexp, _floats(x))


def _floats(x: Tensor) -> Tensor:
    if not is_float(x):
        raise Unsupported("logarithms of integers")
    return x


def _extreme(number: Callable[..., Any], truth: Callable[..., Any]) -> Callable[[Tensor, Over], Tensor]:
    return lambda x, over: over(truth if x.dtype_name == "bool" else number, x)


KINDS: dict[str, Callable[[Tensor, Over], Tensor]] = {
    "ReduceL1": lambda x, over: over(ops.sum, ops.abs(x)),
    "ReduceL2": _l2,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _extreme(ops.max, ops.any),
    "ReduceMean": _mean,
    "ReduceMin": _extreme(ops.min, ops.all),
    "ReduceProd": lambda x, over: over(ops.prod, x),
    "ReduceSum": lambda x, over: over(ops.sum, x),
    "ReduceSumSquare": lambda x, over: over(ops.sum, ops.square(x)),
}


@rule(*KINDS)
def reduce(n: Node) -> Result:
    """No axes mean all of them, or none with noop_with_empty_axes: of one element each then."""
    x = n[0]
    axes = n.axes(1, x.ndim)
    if not axes:
        axes = [] if n.attr("noop_with_empty_axes", 0) else list(range(x.ndim))
    keep = bool(n.attr("keepdims", 1))

    def over(op: Callable[..., Any], y: Tensor) -> Tensor:
        if axes:
            return op(y, axis=None if len(axes) == y.ndim else sorted(axes), keepdims=keep)
        return ops.abs(y) if op is ops.l2 else y

    return KINDS[n.op](x, over)


@rule("ArgMax", "ArgMin")
def arg_extreme(n: Node) -> Result:
    """The last of equals is the first of the reversed."""
    x, axis, keep = n[0], n.axis(0), bool(n.attr("keepdims", 1))
    op = ops.argmax if n.op == "ArgMax" else ops.argmin
    if not n.attr("select_last_index", 0):
        return op(x, axis=axis, keepdims=keep)
    last = x.shape[axis] - 1
    end = n.scope.tensor(sizes([last]).reshape(())) if isinstance(last, Size) else last
    return end - op(ops.flip(x, axes=[axis]), axis=axis, keepdims=keep)


@rule("CumSum", "CumProd")
def cumulative(n: Node) -> Result:
    axis = n.at(n.ints(1, "the axis")[0], n.rank())
    op = ops.cumsum if n.op == "CumSum" else ops.cumprod
    return op(n[0], axis=axis, reverse=bool(n.attr("reverse", 0)), exclusive=bool(n.attr("exclusive", 0)))


@rule("TopK")
def top_k(n: Node) -> Result:
    """k was an attribute before opset 10; what is sorted does for `sorted=0` too."""
    k = n.sizes(1, "k")[0] if n.version >= 10 else n.needs("k")
    return ops.top_k(n[0], k, axis=n.axis(-1), largest=bool(n.attr("largest", 1)))


@rule("Hardmax")
def hardmax(n: Node) -> Result:
    """Before opset 13 the dims from the axis on were one."""
    x = n[0]
    if n.version >= 13:
        return _hardmax(x, n.axis(-1))
    return flattened(x, n.axis(1), lambda y: _hardmax(y, 1))


def _hardmax(x: Tensor, axis: int) -> Tensor:
    place = ops.argmax(x, axis=axis, keepdims=True)
    there = ops.iota([d if i == axis else 1 for i, d in enumerate(x.shape)], axis=axis, dtype="i64")
    return ops.cast(there == place, x.dtype_name)


def flattened(x: Tensor, axis: int, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of a matrix whose columns are all dims from an axis on."""
    if axis == x.ndim - 1:
        rest = x.shape[-1]
        matrix = x if x.ndim == 2 else ops.reshape(x, [-1, rest])
    else:
        rows: Size | int = 1
        for d in x.shape[:axis]:
            rows = d * rows
        matrix = ops.reshape(x, [rows, -1])
    y = function(matrix)
    return y if x.ndim == 2 and axis == 1 else ops.reshape(y, list(x.shape))


@rule("LpNormalization")
def lp_normalization(n: Node) -> Result:
    """Where the norm is zero, so is the result."""
    x, axis, p = n[0], n.axis(-1), n.only("p", 2, 1)
    norm = (
        ops.l2(x, axis=[axis], keepdims=True) if p == 2 else ops.sum(ops.abs(x), axis=[axis], keepdims=True)
    )
    return x / ops.where(norm == 0, 1, norm)
