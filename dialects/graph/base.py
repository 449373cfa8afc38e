"""What every graph op is made of: tensors in, tensors out, named parameters, inference, a NumPy reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeAlias

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    BoolAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f64,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation, traits_def, var_operand_def, var_result_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim, DimsAttr
from dialects.errors import IrkitError, Loc
from dialects.types import AnyTensor, dtype_name, np_dtype, type_text

Value: TypeAlias = "int | float | bool | str | tuple[int, ...] | tuple[Dim, ...] | Attribute | None"
Values: TypeAlias = "Mapping[str, Value]"
Array: TypeAlias = "np.ndarray"


class Param:
    """A named parameter of an op: its kind, and its default (`REQUIRED` for none)."""

    REQUIRED: ClassVar = object()

    def __init__(self, kind: str, default: object = REQUIRED):
        self.kind = kind
        self.default = default

    def encode(self, value: object) -> Attribute | None:
        """The attribute that holds a Python value; raises TypeError for one of another kind."""
        if value is None or isinstance(value, Attribute):
            return value
        match self.kind:
            case "int" if isinstance(value, int):
                return IntegerAttr(value, i64)
            case "float" if isinstance(value, int | float):
                return FloatAttr(float(value), f64)
            case "bool" if isinstance(value, bool):
                return BoolAttr.from_bool(value)
            case "str" if isinstance(value, str):
                return StringAttr(value)
            case "ints" if isinstance(value, int):
                return DenseArrayBase.from_list(i64, [value])
            case "ints" if isinstance(value, Sequence) and all(isinstance(v, int) for v in value):
                return DenseArrayBase.from_list(i64, list(value))
            case "dims" if isinstance(value, Sequence) and not isinstance(value, str):
                return DimsAttr(tuple(Dim.of(v) for v in value))
            case _:
                raise TypeError(f"expected {_KINDS.get(self.kind, self.kind)}")

    @staticmethod
    def decode(attr: Attribute | None) -> Value:
        """The Python value that an attribute holds."""
        if isinstance(attr, IntegerAttr):
            return bool(attr.value.data) if attr.type.width.data == 1 else attr.value.data  # pyright: ignore
        if isinstance(attr, FloatAttr):
            return attr.value.data
        if isinstance(attr, StringAttr):
            return attr.data
        if isinstance(attr, DenseArrayBase):
            return tuple(attr.get_values())  # pyright: ignore
        if isinstance(attr, DimsAttr):
            return attr.data
        return attr


_KINDS = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a word", "ints": "a list of integers"}


class GraphOp(IRDLOperation):
    """Base of the graph ops: any number of tensors in and out.

    A subclass states `PARAMS`, the range of operand counts `ARITY`, `infer` and `reference`.
    """

    PARAMS: ClassVar[dict[str, Param]] = {}
    ARITY: ClassVar[tuple[int, int]] = (1, 1)
    OPERANDS: ClassVar[tuple[str, ...]] = ("x",)

    inputs = var_operand_def()
    outputs = var_result_def()

    traits = traits_def(Pure())

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        """Result types from operand types and parameters; raises Mismatch."""
        raise NotImplementedError

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        """What the op computes, in NumPy: the judge of every back end."""
        raise NotImplementedError

    def values(self) -> dict[str, Value]:
        """The parameters as Python values, defaults filled in."""
        out: dict[str, Value] = {}
        for name, param in self.PARAMS.items():
            out[name] = Param.decode(self.attributes[name]) if name in self.attributes else param.default  # pyright: ignore
        return out

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The reference on arrays of the operands' dtypes."""
        with np.errstate(all="ignore"):
            out = self.reference(arrays, self.values(), [r.type for r in self.outputs])  # pyright: ignore
        return [np.asarray(a, np_dtype(r.type.element_type)) for a, r in zip(out, self.outputs, strict=True)]  # pyright: ignore

    @classmethod
    def parse(cls, parser: Parser) -> GraphOp:
        operands = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        inputs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_punctuation("->")
        outputs = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        if outputs is None:
            outputs = [parser.parse_type()]
        resolved = parser.resolve_operands(operands or [], inputs, parser.pos)
        return cls.create(operands=resolved, result_types=outputs, attributes=attributes)

    def print(self, printer: Printer) -> None:
        if self.inputs:
            printer.print_string(" ")
            printer.print_list(self.inputs, printer.print_ssa_value)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : (")
        printer.print_list([v.type for v in self.inputs], printer.print_attribute)
        printer.print_string(") -> ")
        many = len(self.outputs) != 1
        printer.print_string("(" if many else "")
        printer.print_list([v.type for v in self.outputs], printer.print_attribute)
        printer.print_string(")" if many else "")

    def verify_(self) -> None:
        types = [v.type for v in self.inputs]
        if not all(isinstance(t, TensorType) for t in types):
            raise VerifyException(f"operands of {self.name} are tensors, found {', '.join(map(str, types))}")
        try:
            check_arity(type(self), len(types))
            expected = self.infer(types, self.values())  # pyright: ignore
        except Mismatch as error:
            raise VerifyException(str(error)) from error
        found = [v.type for v in self.outputs]
        if found != expected:
            raise VerifyException(f"{self.name} gives {', '.join(map(str, expected))}, found {', '.join(map(str, found))}")


class Mismatch(Exception):
    """Operands or parameters that an op does not take."""

    def __init__(self, message: str, *, found: str | None = None, expected: str | None = None, hint: str | None = None):
        super().__init__(message + (f": found {found}" if found else "") + (f", expected {expected}" if expected else ""))
        self.message, self.found, self.expected, self.hint = message, found, expected, hint

    def at(self, loc: Loc | None) -> IrkitError:
        """The same as an error with its place."""
        return IrkitError(self.message, loc, found=self.found, expected=self.expected, hint=self.hint)


OPS: dict[str, type[GraphOp]] = {}
"""Every graph op by its short name (`add`), built in or registered from outside."""


def register_op(cls: type[GraphOp]) -> type[GraphOp]:
    """Makes an op known to the language, the passes and the interpreter; used by built-in ops and by others alike."""
    OPS[cls.name.removeprefix("graph.")] = cls
    return cls


def check_arity(cls: type[GraphOp], count: int) -> None:
    """Raises Mismatch for a wrong number of operands."""
    low, high = cls.ARITY
    if not low <= count <= high:
        wanted = str(low) if low == high else f"{low} to {high}" if high < 1000 else f"at least {low}"
        raise Mismatch(f"wrong number of operands for {cls.name.removeprefix('graph.')}", found=str(count), expected=wanted)


def make(name: str, operands: Sequence[SSAValue], values: Mapping[str, object] | None = None, loc: Loc | None = None) -> GraphOp:
    """A graph op from Python values, its result types inferred; raises IrkitError at `loc`."""
    cls = OPS[name]
    attributes: dict[str, Attribute] = {}
    given = values or {}
    for key in given:
        if key not in cls.PARAMS:
            known = ", ".join(cls.PARAMS) or "none"
            raise IrkitError(f"{name} has no parameter '{key}'", loc, found=key, expected=f"one of: {known}")
    for key, param in cls.PARAMS.items():
        value = given.get(key)
        if value is None:
            if param.default is Param.REQUIRED:
                raise IrkitError(f"{name} needs the parameter '{key}'", loc, expected=f"{key} = {_KINDS.get(param.kind, param.kind)}")
            continue
        try:
            encoded = param.encode(value)
        except TypeError as error:
            raise IrkitError(f"parameter '{key}' of {name}", loc, found=repr(value), expected=str(error).removeprefix("expected ")) from None
        if encoded is not None:
            attributes[key] = encoded
    op = cls.create(operands=operands, attributes=attributes)
    types = [v.type for v in operands]
    try:
        check_arity(cls, len(types))
        results = cls.infer(types, op.values())  # pyright: ignore
    except Mismatch as error:
        raise error.at(loc) from None
    built = cls.create(operands=operands, result_types=results, attributes=attributes)
    if loc is not None:
        built.location = loc.attr()
    return built


def same_dtype(types: Sequence[AnyTensor], what: str) -> Attribute:
    """The element type that all operands share; raises Mismatch."""
    first = types[0].element_type
    for other in types[1:]:
        if other.element_type != first:
            raise Mismatch(
                f"{what} needs operands of one dtype",
                found=" and ".join(type_text(t) for t in types),
                expected=f"{dtype_name(first)} on both sides",
                hint=f"convert one with cast(x, {dtype_name(first)})",
            )
    return first


Rule = Callable[[Sequence[Array]], Array]


def operation_name(op: Operation) -> str:
    """`add` for graph.add."""
    return op.name.removeprefix("graph.")
