"""Drawing ops that work element by element, and casts."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.fuzz_onnx.drawing import Drawing, Value, draws

ANY = (
    "Abs Neg Ceil Floor Round Sign Exp Sin Cos Tan Erf Sigmoid Tanh Relu Softplus Softsign HardSwish Mish Identity Atan Sinh Cosh "
    "Asinh IsNaN IsInf"
)
SIGNED = ("int8", "int16", "int32", "int64")


@draws(8)
def unary(d: Drawing) -> None:
    x = d.pick("f")
    d.add(d.one(ANY), [x])


@draws(3)
def activation(d: Drawing) -> None:
    op = d.one("Elu Selu Celu LeakyRelu HardSigmoid ThresholdedRelu Gelu Shrink Swish")
    alpha = round(float(d.rng.uniform(0.1, 1.5)), 3)
    attributes = {
        "Gelu": {"approximate": d.one(("none", "tanh"))},
        "Shrink": {"lambd": alpha, "bias": d.one((0.0, 0.3))},
        "HardSigmoid": {"alpha": alpha / 2, "beta": 0.4},
        "Selu": {"alpha": alpha, "gamma": 1.1},
    }.get(op, {"alpha": alpha})
    d.add(op, [d.pick("f")], **(attributes if d.chance(0.7) else {}))


@draws(4)
def limited(d: Drawing) -> None:
    """Functions of some numbers only, of operands that are brought there first."""
    op = d.one("Sqrt Log Reciprocal Asin Acos Atanh Acosh")
    x = d.pick("f")
    if op in ("Asin", "Acos", "Atanh"):
        inner = d.add(d.one(("Sin", "Tanh", "Softsign")), [x])
        inner = d.add("Mul", [inner, d.keep(np.array(0.9, x.array.dtype))])
    else:
        inner = d.add("Add", [d.add("Abs", [x]), d.keep(np.array(1.1, x.array.dtype))])
    d.add(op, [inner])


@draws(1.5)
def integer_unary(d: Drawing) -> None:
    x = d.pick("i", test=lambda v: v.array.dtype.name in SIGNED)
    d.add(d.one(("Abs", "Neg", "Sign", "BitwiseNot", "Identity")), [x])


def pair(d: Drawing, kind: str, low: float | None = None, high: float = 4) -> tuple[Value, Value]:
    """Two operands that broadcast to each other, either the smaller one."""
    x = d.pick(kind)
    return x, d.other(d.broadcast(x.shape), x.array.dtype.name, low, high)


@draws(9)
def binary(d: Drawing) -> None:
    x, y = pair(d, "fffi")
    operands = [y, x] if d.chance(0.4) else [x, y]
    d.add(d.one(("Add", "Sub", "Mul", "Add", "Mul", "Max", "Min")), operands)


@draws(2)
def quotient(d: Drawing) -> None:
    x, y = pair(d, "ffi", 1, 4)
    d.add("Div", [x, y])


@draws(1)
def remainder(d: Drawing) -> None:
    x, y = pair(d, "fi", 1, 5)
    d.add("Mod", [x, y], fmod=1 if x.kind == "f" else d.integer(0, 1))


@draws(1.5)
def power(d: Drawing) -> None:
    x = d.pick("f")
    if d.chance(0.5):
        d.add("Pow", [x, d.keep(np.array(d.one((2, 3, 2, 1, 0)), x.array.dtype))])
    else:
        d.add(
            "Pow",
            [
                d.add("Add", [d.add("Abs", [x]), d.keep(np.array(0.5, x.array.dtype))]),
                d.other(d.broadcast(x.shape), x.array.dtype.name, -2, 2),
            ],
        )


@draws(1)
def several(d: Drawing) -> None:
    x = d.pick("f")
    others = [d.other(d.broadcast(x.shape), x.array.dtype.name) for _ in range(d.integer(0, 3))]
    d.add(d.one(("Sum", "Mean", "Max", "Min")), [x, *others])


@draws(1)
def slope(d: Drawing) -> None:
    x = d.pick("f")
    d.add("PRelu", [x, d.other(d.broadcast(x.shape), x.array.dtype.name)])


@draws(1.5)
def clip(d: Drawing) -> None:
    x = d.pick("ffi")
    low, high = (d.keep(np.array(v, x.array.dtype)) if d.chance(0.8) else None for v in (0, 2))
    d.add("Clip", [x, low, high])


@draws(4)
def comparison(d: Drawing) -> None:
    x, y = pair(d, "ffi")
    d.add(d.one(("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")), [x, y])


@draws(2)
def logical(d: Drawing) -> None:
    x, y = pair(d, "b")
    op = d.one(("And", "Or", "Xor", "Not"))
    d.add(op, [x] if op == "Not" else [x, y])


@draws(1)
def bits(d: Drawing) -> None:
    x, y = pair(d, "i")
    d.add(d.one(("BitwiseAnd", "BitwiseOr", "BitwiseXor")), [x, y])


@draws(0.7)
def shift(d: Drawing) -> None:
    dtype = d.one(("uint8", "uint16", "uint32", "uint64"))
    shape = d.shape(2)
    d.add(
        "BitShift",
        [d.other(shape, dtype, 0, 50), d.other(shape, dtype, 0, 6)],
        direction=d.one(("LEFT", "RIGHT")),
    )


@draws(4)
def where(d: Drawing) -> None:
    x = d.pick("ffib")
    shape = d.broadcast(x.shape)
    known = [v for v in d.pool if v.kind == "b" and fits(v.shape, x.shape)]
    condition = d.one(known) if known and d.chance(0.7) else d.other(shape, "bool")
    y = d.other(d.broadcast(x.shape), x.array.dtype.name)
    d.add("Where", [condition, y, x] if d.chance(0.5) else [condition, x, y])


def fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether one shape broadcasts to another."""
    return len(shape) <= len(whole) and all(
        n in (1, m) for n, m in zip(shape[::-1], whole[::-1], strict=False)
    )


@draws(5)
def cast(d: Drawing) -> None:
    x = d.pick("fib")
    dtype = np.dtype(
        d.one(("float32", "float32", "float16", "float64", "int32", "int64", "int8", "uint8", "bool"))
    )
    if x.kind == "f" and dtype.kind == "u":
        x = d.add("Abs", [x])
    if x.kind == "f" and dtype.itemsize == 1 and dtype.kind in "iu":
        x = d.add("Clip", [x, None, d.keep(np.array(100, x.array.dtype))])
    if d.chance(0.2):
        d.add("CastLike", [x, d.other(d.shape(1), dtype.name)])
    else:
        d.add("Cast", [x], to=helper.np_dtype_to_tensor_dtype(dtype))


@draws(1.5)
def quantised(d: Drawing) -> None:
    x = d.pick("f", test=lambda v: v.array.dtype == np.float32)
    dtype = d.one(("int8", "uint8"))
    zero = d.keep(np.array(d.integer(0, 20), dtype))
    scale = d.keep(np.array(d.one((0.1, 0.05, 0.25)), np.float32))
    if d.chance(0.25):
        d.all("DynamicQuantizeLinear", [x], 3)
        return
    q = d.add("QuantizeLinear", [x, scale, zero])
    d.add("DequantizeLinear", [q, scale, zero])
