"""The bodies of index notation as expressions on elements.

Bodies hold signless integers and convert by themselves; the text has dtypes with signs. Each value is written with the
dtype that the text gives it, and a cast stands where an op reads the same bits with another sign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType
from xdsl.ir import Attribute, Block, Operation, SSAValue

from dialects.errors import IrkitError
from dialects.types import DTYPES, dtype_name
from irkit.lang.parser import COMPARISON, PRECEDENCE, UNARY
from irkit.lang.unparse.text import PRIMARY, Expr, literal, number


@dataclass(frozen=True)
class Scalar:
    """An element: its text, and the dtype that the text has; a number alone takes the dtype that it meets."""

    expr: Expr
    dtype: str
    value: float | int | bool | None = None


SIGNS = {"s": "i", "u": "u"}

INFIX: dict[str, tuple[str, str]] = {
    **{f"arith.{n}{k}": (s, "") for n, s in (("add", "+"), ("sub", "-"), ("mul", "*")) for k in "fi"},
    "arith.divf": ("/", ""),
    "arith.andi": ("&", ""),
    "arith.ori": ("|", ""),
    "arith.xori": ("^", ""),
    "math.powf": ("**", ""),
    "math.ipowi": ("**", "s"),
    **{
        f"kernel.integer.{kind}": found
        for kind, found in {
            "floordiv": ("/", "s"),
            "udiv": ("/", "u"),
            "mod": ("%", "s"),
            "umod": ("%", "u"),
            "ipow": ("**", "s"),
            "upow": ("**", "u"),
            "shl": ("<<", ""),
            "sar": (">>", "s"),
            "shr": (">>", "u"),
        }.items()
    },
}
"""Scalar ops as operators, with the sign that they read their operands with."""

CALLS: dict[str, tuple[str, str]] = {
    **{
        f"math.{n}": (n, "")
        for n in ("exp", "log", "sqrt", "rsqrt", "tanh", "erf", "sin", "cos", "floor", "ceil")
    },
    "math.absf": ("abs", ""),
    "math.absi": ("abs", "s"),
    "arith.minimumf": ("minimum", ""),
    "arith.maximumf": ("maximum", ""),
    **{f"arith.{m}{s}i": (f"{m}imum", s) for m in ("min", "max") for s in "su"},
}
"""Scalar ops as calls, with the sign of their operands."""

CASTS = {
    "arith.extf": "",
    "arith.truncf": "",
    "arith.sitofp": "s",
    "arith.uitofp": "u",
    "arith.extsi": "s",
    "arith.extui": "u",
    "arith.trunci": "",
    "kernel.fptoint": "",
}
"""Scalar ops that are casts, with the sign of their operand."""


class Body:
    """Writes the value that a body yields. `texts` are those of the block's arguments; `named` gives the name of a
    constant that has one."""

    def __init__(
        self,
        block: Block,
        texts: Sequence[Scalar],
        keep: Callable[[Scalar], Scalar],
        named: Callable[[Operation], str | None],
    ):
        self.named = named
        self.known: dict[SSAValue, Scalar] = dict(zip(block.args, texts, strict=True))
        self.keep = keep
        for op in block.ops:
            if op is block.last_op:
                break
            found = self._op(op)
            shared = len(list(op.results[0].uses)) > 1
            self.known[op.results[0]] = keep(found) if shared else found
        last = block.last_op
        assert last is not None
        self.result = self.known[last.operands[0]]

    def _op(self, op: Operation) -> Scalar:
        if isinstance(op, arith.ConstantOp):
            found = _constant(op)
            return replace(found, expr=Expr(word)) if (word := self.named(op)) else found
        name = f"{op.name}.{op.kind.data}" if op.name == "kernel.integer" else op.name  # pyright: ignore
        operands = [self.known[v] for v in op.operands]
        if name in INFIX:
            sign, reads = INFIX[name]
            return _infix(sign, *_agreed(operands, reads))
        if name in CALLS:
            word, reads = CALLS[name]
            args = _agreed(operands, reads)
            return Scalar(Expr(f"{word}({', '.join(a.expr.text for a in args)})"), args[0].dtype)
        if name in CASTS:
            return cast(_signed(operands[0], CASTS[name]), _target(op))
        if name == "arith.negf":
            return Scalar(Expr("-" + typed(operands[0]).expr.within(UNARY + 1), UNARY), operands[0].dtype)
        if isinstance(op, arith.CmpfOp | arith.CmpiOp):
            return _compare(op, operands)
        if isinstance(op, arith.SelectOp):
            return self._select(op, operands)
        if op.name == "kernel.remf":
            # The language's remainder is this one and a choice, which names it again (`_select`).
            return Scalar(Expr("", PRIMARY), operands[0].dtype)
        raise _no_word(op)

    def _select(self, op: arith.SelectOp, operands: list[Scalar]) -> Scalar:
        rest = op.operands[2].owner
        if isinstance(rest, Operation) and rest.name == "kernel.remf":
            turned = op.operands[1].owner
            if isinstance(turned, arith.AddfOp) and set(turned.operands) == {
                rest.results[0],
                rest.operands[1],
            }:
                return _infix("%", *_agreed([self.known[v] for v in rest.operands], ""))
            raise _no_word(rest)
        condition, *ways = operands
        a, b = _agreed(ways, "")
        return Scalar(Expr(f"where({typed(condition).expr.text}, {a.expr.text}, {b.expr.text})"), a.dtype)


def _no_word(op: Operation) -> IrkitError:
    return IrkitError(
        f"index notation has no word for '{op.name}'", op, hint="write the op as a function of tensors"
    )


def _constant(op: arith.ConstantOp) -> Scalar:
    value, type_ = op.value, op.results[0].type
    assert isinstance(value, IntegerAttr | FloatAttr)
    data = value.value.data
    if isinstance(type_, IntegerType):
        width = type_.width.data
        if width == 1:
            return Scalar(number("true" if data else "false"), "bool", bool(data))
        return Scalar(number(str(data)), f"i{width}", data)
    return Scalar(number(literal(data, type_)), dtype_name(type_), data)


def typed(x: Scalar) -> Scalar:
    """A number with its dtype; what has one already stays."""
    if x.value is None:
        return x
    return Scalar(Expr(f"cast({x.expr.text}, {x.dtype})"), x.dtype)


def cast(x: Scalar, dtype: str) -> Scalar:
    if x.value is None and x.dtype == dtype:
        return x
    return Scalar(Expr(f"cast({typed(x).expr.text}, {dtype})"), dtype)


def _signed(x: Scalar, reads: str) -> Scalar:
    """The same bits with the sign that an op reads them with; a bool is without sign."""
    if not reads or x.dtype[0] not in "iu" or x.dtype[0] == SIGNS[reads]:
        return x
    if x.value is not None:
        width = int(x.dtype[1:])
        value = int(x.value) % 2**width if reads == "u" else int(x.value)
        return Scalar(number(str(value)), f"{SIGNS[reads]}{width}", value)
    return cast(x, SIGNS[reads] + x.dtype[1:])


def _agreed(operands: Sequence[Scalar], reads: str) -> list[Scalar]:
    """Operands of one dtype; numbers stand alone beside one that has it."""
    found = [_signed(x, reads) for x in operands]
    firm = [x for x in found if x.value is None]
    if not firm:
        return [typed(x) for x in found]
    dtype = firm[0].dtype
    return [cast(x, dtype) if x.value is None else _fitting(x, dtype) for x in found]


def _fitting(x: Scalar, dtype: str) -> Scalar:
    if dtype[0] == "u" and x.value is not None and x.value < 0:
        value = int(x.value) % 2 ** int(dtype[1:])
        return Scalar(number(str(value)), dtype, value)
    return x


def _infix(sign: str, a: Scalar, b: Scalar) -> Scalar:
    level = PRECEDENCE[sign]
    low, high = level, level + 1
    if sign == "**":
        low = high = PRIMARY
    elif level == COMPARISON:
        low = high
    right = b.expr.within(high)
    right = f"({right})" if right.startswith("-") else right
    return Scalar(Expr(f"{a.expr.within(low)} {sign} {right}", level), a.dtype)


_FLOAT_SIGNS = {"oeq": "==", "une": "!=", "olt": "<", "ole": "<=", "ogt": ">", "oge": ">="}
_INTEGER_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _compare(op: arith.CmpfOp | arith.CmpiOp, operands: Sequence[Scalar]) -> Scalar:
    number_ = op.predicate.value.data
    if isinstance(op, arith.CmpfOp):
        name = arith.CMPF_COMPARISON_OPERATIONS[number_]
        if name not in _FLOAT_SIGNS:
            raise IrkitError(f"index notation has no comparison '{name}'", op)
        sign, reads = _FLOAT_SIGNS[name], ""
    else:
        name = arith.CMPI_COMPARISON_OPERATIONS[number_]
        sign, reads = _INTEGER_SIGNS[name[-2:]], name[0] if len(name) == 3 else ""
    found = _infix(sign, *_agreed(operands, reads))
    return Scalar(found.expr, "bool")


def _target(op: Operation) -> str:
    type_: Attribute = op.results[0].type
    if not isinstance(type_, IntegerType):
        return dtype_name(type_)
    if type_.width.data == 1:
        raise _no_word(op)
    unsigned = op.name == "kernel.fptoint" and op.kind.data == "unsigned"  # pyright: ignore
    return f"{'u' if unsigned else 'i'}{type_.width.data}"


def finished(x: Scalar, element: Attribute) -> Scalar:
    """A value with the dtype of the tensor that it goes to."""
    dtype = dtype_name(element)
    if x.value is not None and dtype in DTYPES:
        value = _fitting(x, dtype)
        return Scalar(Expr(f"cast({value.expr.text}, {dtype})"), dtype)
    return cast(x, dtype)
