"""Ops that compute element by element, with broadcasting as in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from irkit.onnx.node import Node, Result, rule
from irkit.onnx.values import is_float
from irkit.tracing import ops
from irkit.tracing.tensor import Tensor


def operand(n: Node, index: int, rank: int = 0) -> Any:
    """An input: a number where it is one that is known, which reads better than a constant, else a tensor.

    An array of one element stands for a number too beside a tensor of as many dims.
    """
    value = n.value(index)
    if (
        isinstance(value, np.ndarray)
        and value.size == 1
        and value.ndim <= rank
        and value.dtype.kind in "fiub"
    ):
        return value.item()
    return n[index]


def pair(n: Node) -> tuple[Any, Any]:
    """Two inputs, at most one of them a number. Before opset 7 the second one was broadcast from an axis on."""
    a, b = operand(n, 0, n.rank(1)), operand(n, 1, n.rank(0))
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = n[0]
    if (
        n.version < 7
        and n.attr("broadcast", 0)
        and (axis := n.attr("axis")) is not None
        and isinstance(b, Tensor)
    ):
        trailing = n.rank(0) - n.at(axis, n.rank(0)) - b.ndim
        b = ops.reshape(b, [*b.shape, *[1] * trailing])
    return a, b


def register_binary(name: str, function: Callable[[Any, Any], Tensor]) -> None:
    rule(name)(lambda n: function(*pair(n)))


for _name, _op in {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "And": "logical_and",
    "Or": "logical_or",
    "Xor": "logical_xor",
    "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
}.items():
    register_binary(_name, getattr(ops, _op))

for _name, _pred in {
    "Equal": "eq",
    "Less": "lt",
    "LessOrEqual": "le",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
}.items():
    register_binary(_name, lambda a, b, pred=_pred: ops.compare(a, b, pred=pred))

for _name, _op in {
    "Abs": "abs",
    "Atan": "atan",
    "BitwiseNot": "bitwise_not",
    "Ceil": "ceil",
    "Cos": "cos",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "HardSwish": "hardswish",
    "IsNaN": "is_nan",
    "Log": "log",
    "Mish": "mish",
    "Neg": "neg",
    "Not": "logical_not",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Softplus": "softplus",
    "Sqrt": "sqrt",
    "Tan": "tan",
    "Tanh": "tanh",
}.items():
    rule(_name)(lambda n, op=_op: getattr(ops, op)(n[0]))


@rule("Identity")
def identity(n: Node) -> Result:
    return n.held()[:1]


@rule("Max", "Min", "Sum")
def variadic(n: Node) -> Result:
    op = {"Max": ops.maximum, "Min": ops.minimum, "Sum": ops.add}[n.op]
    return reduce(op, n.tensors())


@rule("Mean")
def mean(n: Node) -> Result:
    return reduce(ops.add, n.tensors()) / len(n)


@rule("Div")
def div(n: Node) -> Result:
    """Integers divide towards zero."""
    a, b = pair(n)
    firm = a if isinstance(a, Tensor) else b
    if is_float(firm) or firm.dtype.kind == "u":
        return ops.div(a, b)
    a, b = n[0], n[1]
    down = ops.div(a, b)
    exact = ops.compare(down * b, a, pred="eq")
    negative = ops.compare(down, 0, pred="lt")
    return ops.where(ops.logical_and(negative, ops.logical_not(exact)), down + 1, down)


@rule("Mod")
def mod(n: Node) -> Result:
    """With fmod=1 the sign is that of the dividend, as in C."""
    a, b = n[0], n[1]
    if not n.attr("fmod", 0):
        return ops.mod(a, b)
    if is_float(a):
        found = ops.mod(ops.abs(a), ops.abs(b))
        return ops.where(ops.compare(a, 0, pred="lt"), -found, found)
    found = ops.mod(a, b)
    if a.dtype.kind == "u":
        return found
    turned = ops.compare(ops.bitwise_xor(found, a), 0, pred="lt")
    return ops.where(ops.logical_and(turned, ops.compare(found, 0, pred="ne")), found - b, found)


@rule("Pow")
def power(n: Node) -> Result:
    """The exponent may have a dtype of its own; the result has that of the base."""
    a, b = n[0], operand(n, 1, n.rank(0))
    if isinstance(b, int | float):
        if is_float(a) or (isinstance(b, int) and b >= 0):
            return ops.pow(a, float(b) if is_float(a) else b)
        b = n[1]
    if b.dtype_name == a.dtype_name:
        return ops.pow(a, b)
    if is_float(a):
        return ops.pow(a, ops.cast(b, a.dtype_name))
    return ops.cast(ops.pow(ops.cast(a, "f64"), ops.cast(b, "f64")), a.dtype_name)


@rule("Where")
def where(n: Node) -> Result:
    rank = n.rank(0)
    a, b = operand(n, 1, rank), operand(n, 2, rank)
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = n[1]
    return ops.where(n[0], a, b)


@rule("BitShift")
def bit_shift(n: Node) -> Result:
    direction = n.only("direction", "LEFT", "RIGHT")
    return (ops.shift_left if direction == "LEFT" else ops.shift_right)(n[0], n[1])


@rule("IsInf")
def is_inf(n: Node) -> Result:
    x, found = n[0], ops.is_inf(n[0])
    if not n.attr("detect_negative", 1):
        found = ops.logical_and(found, ops.compare(x, 0, pred="gt"))
    if not n.attr("detect_positive", 1):
        found = ops.logical_and(found, ops.compare(x, 0, pred="lt"))
    return found


@rule("Clip")
def clip(n: Node) -> Result:
    """The bounds were attributes before opset 11."""
    x = n[0]
    low, high = (n.attr("min"), n.attr("max")) if n.version < 11 else _bounds(n)
    if isinstance(low, float) and isinstance(high, float):
        return ops.clamp(x, low, high)
    if low is not None:
        x = ops.maximum(x, low)
    return x if high is None else ops.minimum(x, high)


def _bounds(n: Node) -> tuple[Any, Any]:
    found = [operand(n, i) if n.has(i) else None for i in (1, 2)]
    return found[0], found[1]
