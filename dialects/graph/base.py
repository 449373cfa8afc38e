"""What every graph op is made of: tensors in and out, named parameters, inference, a NumPy reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import ClassVar, TypeAlias, TypeVar

import numpy as np
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BoolAttr,
    BytesAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    StringAttr,
    TensorType,
    f64,
    i1,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure

from dialects.dims import Dim, DimAttr, DimsAttr
from dialects.errors import IrkitError, Loc, Mismatch
from dialects.graph.carrying import QUANTISED, check_fits, has_quantised, with_element
from dialects.graph.ranges import check_ranges, symbol_ranges
from dialects.quant import QuantType
from dialects.types import (
    DTYPE_NAMES,
    DTYPES,
    AnyTensor,
    dims_of,
    dtype_name,
    is_float,
    np_dtype,
    tensor,
    type_text,
)

Value: TypeAlias = "int | float | bool | str | Dim | tuple[int, ...] | tuple[Dim, ...] | Attribute | None"
Values: TypeAlias = "Mapping[str, Value]"
Array: TypeAlias = "np.ndarray"


# -- parameters -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of parameter: how a message names it, what it makes of a Python value, the attribute that holds it."""

    text: str
    check: Callable[[object], Value]
    encode: Callable[[Value], Attribute]


def _check_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError
    return int(value)


def _check_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise TypeError
    return float(value)


def _check_bool(value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def _check_str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _check_ints(value: object) -> tuple[int, ...]:
    if isinstance(value, int | np.integer):
        return (_check_int(value),)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError
    return tuple(map(_as_int, value))


def _as_int(value: object) -> int:
    if isinstance(value, Dim) and value.value is not None:
        return value.value
    return _check_int(value)


def _check_pair(value: object) -> tuple[int, ...]:
    found = _check_ints(value)
    if len(found) not in (1, 2):
        raise TypeError
    return found * 2 if len(found) == 1 else found


def _check_padding(value: object) -> Value:
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise TypeError
        return value
    return _check_ints(value)


def _encode_padding(value: Value) -> Attribute:
    return StringAttr(value) if isinstance(value, str) else _encode_ints(value)


def _as_dim(value: object) -> Dim:
    if isinstance(value, Dim):
        return value
    if isinstance(value, str):
        try:
            return Dim.parse(value)
        except ValueError:
            raise TypeError from None
    return Dim.of(_check_int(value))


def _check_dims(value: object) -> tuple[Dim, ...]:
    if isinstance(value, int | Dim | str | np.integer):
        return (_as_dim(value),)
    if not isinstance(value, Sequence):
        raise TypeError
    return tuple(map(_as_dim, value))


def _check_size(value: object) -> int | Dim:
    found = _as_dim(value)
    return found if found.value is None else found.value


def _check_sizes(value: object) -> Value:
    dims_ = _check_dims(value)
    assert isinstance(dims_, tuple)
    return tuple(map(_check_size, dims_))  # pyright: ignore[reportReturnType]


def _encode_size(value: Value) -> Attribute:
    return DimAttr(value) if isinstance(value, Dim) else IntegerAttr(value, i64)  # pyright: ignore


def _encode_sizes(value: Value) -> Attribute:
    assert isinstance(value, tuple)
    if any(isinstance(v, Dim) for v in value):
        return DimsAttr(tuple(map(Dim.of, value)))
    return _encode_ints(value)


def _check_dtype(value: object) -> str:
    if isinstance(value, Attribute) and value in DTYPE_NAMES:
        return DTYPE_NAMES[value]
    if not isinstance(value, str) or value not in DTYPES:
        raise TypeError
    return value


def _check_element(value: object) -> Value:
    return value if isinstance(value, QuantType) else _check_dtype(value)


def _check_dense(value: object) -> Attribute:
    if isinstance(value, np.ndarray | np.generic):
        return dense(np.asarray(value))
    if not isinstance(value, DenseIntOrFPElementsAttr):
        raise TypeError
    return value


def _itself(value: Value) -> Attribute:
    assert isinstance(value, Attribute)
    return value


def _encode_ints(value: Value) -> Attribute:
    return DenseArrayBase.from_list(i64, list(value))  # pyright: ignore


KINDS: dict[str, Kind] = {
    "int": Kind("an integer", _check_int, lambda v: IntegerAttr(v, i64)),  # pyright: ignore
    "float": Kind("a number", _check_float, lambda v: FloatAttr(v, f64)),  # pyright: ignore
    "bool": Kind("true or false", _check_bool, lambda v: BoolAttr.from_bool(bool(v))),
    "str": Kind("a word", _check_str, lambda v: StringAttr(str(v))),
    "ints": Kind("a list of integers", _check_ints, _encode_ints),
    "pair": Kind("one integer or two", _check_pair, _encode_ints),
    "padding": Kind(
        'one integer, one for each dim, two for each dim (before and after), "same" or "valid"',
        _check_padding,
        _encode_padding,
    ),
    "dims": Kind("a list of dims", _check_dims, lambda v: DimsAttr(v)),  # pyright: ignore
    "size": Kind("an integer or a dim", _check_size, _encode_size),
    "sizes": Kind("a list of integers or dims", _check_sizes, _encode_sizes),
    "dtype": Kind("a dtype: " + ", ".join(DTYPES), _check_dtype, lambda v: StringAttr(str(v))),
    "element": Kind(
        f"a dtype: {', '.join(DTYPES)}, or quant(i8, scale=0.05)",
        _check_element,
        lambda v: v if isinstance(v, QuantType) else StringAttr(str(v)),
    ),
    "dense": Kind("constant elements", _check_dense, _itself),
}
"""The kinds of parameters. Values are what `GraphOp.values` gives: Python scalars, tuples of int or Dim, attributes."""


class Param:
    """A named parameter of an op: its kind, its default (`REQUIRED` for none), the words that it may be."""

    REQUIRED: ClassVar = object()

    def __init__(self, kind: str, default: object = REQUIRED, choices: Sequence[str] = ()):
        self.kind = kind
        self.default = default
        self.choices = tuple(choices)

    @property
    def text(self) -> str:
        """What the parameter has to be, for a message."""
        return "one of " + ", ".join(self.choices) if self.choices else KINDS[self.kind].text

    def check(self, value: object) -> Value:
        """The value in its one form; raises TypeError for one of another kind."""
        if isinstance(value, Attribute):
            value = Param.decode(value)
        found = KINDS[self.kind].check(value)
        if self.choices and found not in self.choices:
            raise TypeError
        return found

    def encode(self, value: Value) -> Attribute:
        """The attribute that holds a checked value."""
        if self.kind == "dense":
            return _itself(value)
        return _encoded(self.kind, value, type(value))

    @staticmethod
    def decode(attr: Attribute) -> Value:
        """The Python value that an attribute holds."""
        if isinstance(attr, IntegerAttr):
            return bool(attr.value.data) if attr.type == i1 else attr.value.data
        if isinstance(attr, FloatAttr):
            return attr.value.data
        if isinstance(attr, StringAttr):
            return attr.data
        if isinstance(attr, DenseArrayBase):
            return tuple(attr.get_values())
        return attr.data if isinstance(attr, DimsAttr | DimAttr) else attr


@lru_cache(maxsize=4096)
def _encoded(kind: str, value: Value, _: type) -> Attribute:
    """One attribute object for equal values (and not one for 1, 1.0 and true)."""
    return KINDS[kind].encode(value)


# -- constant elements --------------------------------------------------------------------------------------------


_ELEMENTS: dict[np.dtype, Attribute] = {np_dtype(name): element for name, element in DTYPES.items()}


def dense(array: Array, element: Attribute | str | None = None) -> DenseIntOrFPElementsAttr:
    """An array as a dense attribute; its dtype follows from the array's where it is not given."""
    if element is None:
        element = _ELEMENTS[array.dtype]
    element = DTYPES[element] if isinstance(element, str) else element
    array = np.ascontiguousarray(array, np_dtype(element)).reshape(array.shape)
    if element == i1:
        array = array.astype(np.uint8) * 255  # as xDSL's parser has it
    return DenseIntOrFPElementsAttr(tensor(element, array.shape), BytesAttr(array.tobytes()))  # pyright: ignore


def array_of(attr: Attribute) -> Array:
    """The array that a dense attribute holds (read-only)."""
    assert isinstance(attr, DenseIntOrFPElementsAttr)
    element = attr.get_element_type()
    if element == i1:
        return (np.frombuffer(attr.data.data, np.uint8) != 0).reshape(attr.get_shape())
    return np.frombuffer(attr.data.data, np_dtype(element)).reshape(attr.get_shape())


# -- ops ----------------------------------------------------------------------------------------------------------


class GraphOp(IRDLOperation):
    """Base of the graph ops without regions: any number of tensors in and out.

    A subclass states `PARAMS`, the least and greatest number of operands `ARITY`, their names `OPERANDS`, and defines
    `infer` and `reference`; `complete` brings parameters into their one form (axes counted from the front, ...).
    """

    PARAMS: ClassVar[dict[str, Param]] = {}
    ARITY: ClassVar[tuple[int, int]] = (1, 1)
    OPERANDS: ClassVar[tuple[str, ...]] = ("x",)

    inputs = var_operand_def()
    outputs = var_result_def()

    traits = traits_def(Pure())

    @classmethod
    def complete(cls, types: Sequence[AnyTensor], values: dict[str, Value]) -> None:
        """Fills in, in place, what follows from the operands; raises Mismatch."""

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        """Result types from operand types and complete parameters; raises Mismatch."""
        raise NotImplementedError

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        """What the op computes, in NumPy: the judge of every back end. All dims have values here."""
        raise NotImplementedError

    def values(self) -> dict[str, Value]:
        """The parameters as Python values, complete."""
        return resolved(type(self), [v.type for v in self.operands], self.properties)  # pyright: ignore

    def run(
        self, arrays: Sequence[Array], dims: Mapping[str, int] | None = None, wide: bool = False
    ) -> list[Array]:
        """The reference on arrays of the operands' dtypes; dims gives symbolic dims their values. With `wide`, what comes
        from operands in f64 is in f64 whatever float the op says, but for what is cast."""
        values, results = self.values(), [r.type for r in self.results]
        if dims:
            values = {key: _substituted(value, dims, self.PARAMS[key].kind) for key, value in values.items()}
            results = [tensor(t.element_type, [d.subst(dims) for d in dims_of(t)]) for t in results]  # pyright: ignore
        if wide and self.name != "graph.cast" and any(a.dtype == np.float64 for a in arrays):
            results = [tensor(f64, dims_of(t)) if is_float(t.element_type) else t for t in results]  # pyright: ignore
        types: list[AnyTensor] = [v.type for v in self.operands]  # pyright: ignore
        rule = QUANTISED.get(short_name(type(self))) if has_quantised(types) else None
        with np.errstate(all="ignore"):
            if rule is not None and rule.run is not None:
                out = rule.run(types, arrays, values, results)  # pyright: ignore
            else:
                out = self.reference(arrays, values, results)  # pyright: ignore
        return [np.asarray(a, np_dtype(t.element_type)) for a, t in zip(out, results, strict=True)]  # pyright: ignore

    # One assembly format for all: `graph.NAME %operands {parameters} : (types) -> type`.

    @classmethod
    def parse(cls, parser: Parser) -> GraphOp:
        operands = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        properties = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        position = parser.pos
        inputs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        parser.parse_punctuation("->")
        outputs = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        attributes = {key: properties.pop(key) for key in list(properties) if key not in cls.PARAMS}
        return cls.create(
            operands=parser.resolve_operands(operands or [], inputs, position),
            result_types=[parser.parse_type()] if outputs is None else outputs,
            properties=properties,
            attributes=attributes,
        )

    def print(self, printer: Printer) -> None:
        if self.operands:
            printer.print_string(" ")
            printer.print_list(self.operands, printer.print_ssa_value)
        printer.print_op_attributes({**self.properties, **self.attributes})
        printer.print_string(" : (")
        printer.print_list([v.type for v in self.operands], printer.print_attribute)
        printer.print_string(") -> ")
        many = len(self.results) != 1
        printer.print_string("(" if many else "")
        printer.print_list([v.type for v in self.results], printer.print_attribute)
        printer.print_string(")" if many else "")

    def verify_(self) -> None:
        cls, types = type(self), [v.type for v in self.operands]
        check_operands(cls, types)
        expected = result_types(cls, types, resolved(cls, types, self.properties))  # pyright: ignore
        found = [v.type for v in self.results]
        if found != expected:
            raise Mismatch(
                f"{short_name(cls)} has another result type",
                found=", ".join(map(str, found)),
                expected=", ".join(map(str, expected)),
            )
        if self.has_symbols():
            check_ranges(short_name(cls), types, self.values(), expected, symbol_ranges(self))  # pyright: ignore

    def has_symbols(self) -> bool:
        """Whether a type of the op has a dim that is no number."""
        return any(
            DYNAMIC_INDEX in v.type.get_shape()
            for v in (*self.results, *self.operands)
            if isinstance(v.type, TensorType)
        )


def _substituted(value: Value, dims: Mapping[str, int], kind: str) -> Value:
    """A parameter with symbols replaced; sizes become integers."""
    if isinstance(value, Dim):
        return _check_size(value.subst(dims))
    if isinstance(value, tuple) and any(isinstance(d, Dim) for d in value):
        found = tuple(Dim.of(d).subst(dims) for d in value)
        return _check_sizes(found) if kind == "sizes" else found
    return value


OPS: dict[str, type[GraphOp]] = {}
"""Every graph op by its short name (`add`), built in or registered from outside."""

OpT = TypeVar("OpT", bound=GraphOp)


def register_op(cls: type[OpT]) -> type[OpT]:
    """Makes an op known to the language, the passes and the interpreter; used by built-in ops and by others alike.

    Its parameters become optional properties; a dialect other than graph has to hold the op itself.
    """
    fields = {f"{name}_attr": opt_prop_def(Attribute, prop_name=name) for name in cls.PARAMS}
    body = {**vars(cls), **fields, "__annotations__": {**vars(cls).get("__annotations__", {}), **_CONSTANTS}}
    defined: type[OpT] = irdl_op_definition(type(cls.__name__, cls.__bases__, body))  # pyright: ignore
    name = short_name(defined)
    if name in OPS:
        raise IrkitError(
            f"there is an op '{name}' already",
            found=f"{defined.name} and {OPS[name].name}",
            hint="give it another name",
        )
    OPS[name] = defined
    return defined


_CONSTANTS = dict.fromkeys(("PARAMS", "ARITY", "OPERANDS", "EXAMPLE"), ClassVar)


def short_name(op: type[Operation] | Operation) -> str:
    """`add` for graph.add."""
    return op.name.partition(".")[2]


def operation_name(op: Operation) -> str:
    """`add` for graph.add."""
    return short_name(op)


def check_operands(cls: type[GraphOp], types: Sequence[Attribute]) -> None:
    """Raises Mismatch for a wrong number of operands, and for operands that are no tensors of a known dtype."""
    low, high = cls.ARITY
    if not low <= len(types) <= high:
        wanted = str(low) if low == high else f"{low} to {high}" if high < 1000 else f"at least {low}"
        raise Mismatch(
            f"wrong number of operands for {short_name(cls)}",
            found=str(len(types)),
            expected=f"{wanted}: {', '.join(cls.OPERANDS)}" if cls.OPERANDS else wanted,
        )
    for type_ in types:
        if not isinstance(type_, TensorType):
            raise Mismatch(f"{short_name(cls)} takes tensors", found=str(type_))
        if isinstance(type_.element_type, QuantType):
            _check_quantised(cls, type_, type_.element_type)
        elif type_.element_type not in DTYPE_NAMES:
            raise Mismatch(
                f"{short_name(cls)} has no {type_.element_type} form",
                found=str(type_),
                expected="a tensor of floats, integers, bools or complex numbers",
            )


def _check_quantised(cls: type[GraphOp], type_: AnyTensor, element: QuantType) -> None:
    if short_name(cls) not in QUANTISED:
        raise Mismatch(
            f"{short_name(cls)} does not compute with quantised elements",
            found=type_text(type_),
            hint=f"dequantise with cast(x, {dtype_name(element.expressed)}); "
            f"reinterpret(x, {dtype_name(element.storage)}) gives the stored numbers",
        )
    check_fits(element, dims_of(type_))


def result_types(cls: type[GraphOp], types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
    """The result types of an op: what it infers, on quantised operands as its rule carries them on. Raises Mismatch."""
    if not has_quantised(types):
        return cls.infer(types, values)
    rule = QUANTISED[short_name(cls)]
    rule.check(short_name(cls), types)
    results = cls.infer([with_element(t, rule.seen(t.element_type)) for t in types], values)
    elements = rule.elements(types, values, results)
    return [with_element(t, e) for t, e in zip(results, elements, strict=True)]


def resolved(cls: type[GraphOp], types: Sequence[AnyTensor], found: Mapping[str, object]) -> dict[str, Value]:
    """Complete parameters from attributes or Python values; raises Mismatch."""
    values: dict[str, Value] = {}
    for key, param in cls.PARAMS.items():
        given = found.get(key)
        if given is None:
            if param.default is Param.REQUIRED:
                raise Mismatch(
                    f"{short_name(cls)} needs the parameter '{key}'", expected=f"{key}=..., {param.text}"
                )
            values[key] = param.default  # pyright: ignore[reportArgumentType]
            continue
        try:
            values[key] = param.check(given)
        except TypeError:
            close = get_close_matches(str(given), param.choices, n=1)
            hint = f"did you mean '{close[0]}'?" if close else None
            shown = f'"{given}"' if isinstance(given, str) else str(given)
            message = f"bad parameter '{key}' of {short_name(cls)}"
            raise Mismatch(message, found=shown, expected=param.text, hint=hint) from None
    cls.complete(types, values)
    return values


def make(
    name: str,
    operands: Sequence[SSAValue],
    values: Mapping[str, object] | None = None,
    loc: Loc | LocationAttr | None = None,
) -> GraphOp:
    """A detached graph op from Python values, its result types inferred; raises IrkitError at `loc`."""
    try:
        cls = _op(name)
        given = values or {}
        for key in given:
            if key not in cls.PARAMS:
                raise _unknown_parameter(cls, key)
        types = [v.type for v in operands]
        check_operands(cls, types)
        found = resolved(cls, types, given)  # pyright: ignore[reportArgumentType]
        results = result_types(cls, types, found)  # pyright: ignore[reportArgumentType]
    except Mismatch as error:
        error.loc = loc if isinstance(loc, Loc) else None
        raise
    params = cls.PARAMS
    properties = {key: params[key].encode(value) for key, value in found.items() if value is not None}
    op = cls.create(operands=operands, result_types=results, properties=properties)
    if loc is not None:
        op.location = loc.attr() if isinstance(loc, Loc) else loc
    return op


def _op(name: str) -> type[GraphOp]:
    if name not in OPS:
        close = get_close_matches(name, OPS, n=1)
        raise Mismatch(f"unknown op '{name}'", hint=f"did you mean '{close[0]}'?" if close else None)
    return OPS[name]


def _unknown_parameter(cls: type[GraphOp], key: str) -> Mismatch:
    close = get_close_matches(key, cls.PARAMS, n=1)
    return Mismatch(
        f"{short_name(cls)} has no parameter '{key}'",
        expected=f"one of {', '.join(cls.PARAMS)}" if cls.PARAMS else "no parameters",
        hint=f"did you mean '{close[0]}'?" if close else None,
    )


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
