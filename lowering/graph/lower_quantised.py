"""graph-lower-quantised: quantised tensors become the numbers that they are stored in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, LocationAttr, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from dialects.graph import CustomOp, GraphOp, dense
from dialects.graph.base import short_name
from dialects.graph.carrying import with_element
from dialects.graph.numerics import along_dim
from dialects.graph.quantised import stored_value
from dialects.graph.sketch import Sketch, Term
from dialects.quant import QuantType, stored_range
from dialects.types import AnyTensor, dtype_name, element_bytes, is_float, np_dtype
from lowering.graph.simplify.values import type_of

FAR = 2.0**40
"""Steps beyond this saturate in any storage; 64-bit integers hold them."""


@dataclass(frozen=True)
class GraphLowerQuantised(ModulePass):
    """Puts storage in the place of quantised types, and arithmetic in that of the casts to and from them.

    Expects: functions at the graph level.
    Does: (1) gives every quantised value the type of what is stored; an argument or result is marked with its type, which
    the interface tells; (2) writes casts out as quotients and products, roundings and sums; (3) gives pad the number that
    is stored for its value, and relu the zero points.
    Leaves: functions without quantised types.
    """

    name = "graph-lower-quantised"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                count = _lower(function)
                if count:
                    self.stats["values retyped"] = self.stats.get("values retyped", 0) + count


def _lower(func: FuncOp) -> int:
    """Lowers one function; the number of quantised values that it had."""
    for custom in [o for o in func.body.walk() if isinstance(o, CustomOp)]:
        custom.drop_rule()  # it would take other types, and what is stored has no derivative
    inputs, outputs = list(func.function_type.inputs), list(func.function_type.outputs)
    work: list[tuple[GraphOp, Sequence[AnyTensor], dict[str, object]]] = []
    values: list[SSAValue] = list(func.body.block.args)
    for op in func.body.walk():
        values += [*op.results, *(a for region in op.regions for a in region.block.args)]
        if isinstance(op, GraphOp) and short_name(type(op)) in FORMULAS:
            types = [type_of(v) for v in (*op.operands, *op.results)]
            if any(_quantised(t) for t in types):
                work.append((op, types, dict(op.values())))
    quantised = [v for v in values if _quantised(v.type)]
    for value in quantised:
        assert isinstance(value.type, TensorType) and isinstance(value.type.element_type, QuantType)
        Rewriter.replace_value_with_new_type(value, with_element(value.type, value.type.element_type.storage))
    for op, types, given in work:
        sketch = Sketch(op.location if isinstance(op.location, LocationAttr) else None)
        out = FORMULAS[short_name(type(op))](sketch.term(op.operands[0]), types, given)
        Rewriter.insert_op(sketch.ops, InsertPoint.before(op))
        op.results[0].replace_all_uses_with(out.value)
        op.detach()
        op.erase()
    if quantised:
        last = func.body.block.last_op
        assert last is not None
        func.function_type = builtin.FunctionType.from_lists(
            [a.type for a in func.body.block.args], [v.type for v in last.operands]
        )
        for key, types in (("arg_attrs", inputs), ("res_attrs", outputs)):
            facts = func.properties.get(key)
            if isinstance(facts, ArrayAttr):
                func.properties[key] = ArrayAttr(map(_marked, facts.data, types))
    return len(quantised)


def _quantised(type_: object) -> bool:
    return isinstance(type_, TensorType) and isinstance(type_.element_type, QuantType)


def _marked(facts: DictionaryAttr, type_: object) -> DictionaryAttr:
    """The attributes of an argument or result, with its quantised type."""
    if not isinstance(type_, TensorType) or not isinstance(type_.element_type, QuantType):
        return facts
    return DictionaryAttr({**facts.data, "graph.quantised": StringAttr(type_.element_type.text)})


# -- formulas -------------------------------------------------------------------------------------------------------

Formula = Callable[[Term, Sequence[AnyTensor], "Mapping[str, object]"], Term]
"""From what is stored, the types of the operands and results as they were, and the parameters."""


def _cast(x: Term, types: Sequence[AnyTensor], values: Mapping[str, object]) -> Term:
    source, target = types[0].element_type, types[1].element_type
    if source == target:
        return x
    if isinstance(source, QuantType):
        x = _dequantised(x, source)
    return _quantise(x, target) if isinstance(target, QuantType) else x.cast(dtype_name(target))


def _dequantised(x: Term, q: QuantType) -> Term:
    """(stored - zero point) * scale: `dialects.graph.numerics.dequantised_array`."""
    if any(q.zeros):
        dtype = "i32" if element_bytes(q.storage) <= 2 else "i64"
        x = x.cast(dtype) - _row(x, q, q.zeros, dtype)
    return (x.cast(_wide(q)) * _row(x, q, q.scales, _wide(q))).cast(dtype_name(q.expressed))


def _quantise(x: Term, q: QuantType) -> Term:
    """round(x / scale) + zero point, saturated: `dialects.graph.numerics.quantised_array`."""
    storage = dtype_name(q.storage)
    low, high = stored_range(q.storage)
    quotient = x.cast(dtype_name(q.expressed)).cast(_wide(q)) / _row(x, q, q.scales, _wide(q))
    if is_float(q.storage):
        return quotient.of("max", low).of("min", high).cast(storage)
    steps = quotient.of("round")
    if not any(q.zeros):
        return steps.cast(storage)
    if element_bytes(q.storage) <= 2:  # the ends, less the zero point, are numbers of f32
        ends = [_row(x, q, [end - z for z in q.zeros], _wide(q)) for end in (low, high)]
        inside = steps.of("max", ends[0]).of("min", ends[1])
        return (inside.cast("i32") + _row(x, q, q.zeros, "i32")).cast(storage)
    near = steps.of("max", -FAR).of("min", FAR).cast("i64") + _row(x, q, q.zeros, "i64")
    return near.of("max", int(low)).of("min", int(high)).cast(storage)


def _wide(q: QuantType) -> str:
    """The dtype of quotients and products."""
    return "f64" if dtype_name(q.expressed) == "f64" else "f32"


def _row(x: Term, q: QuantType, numbers: Sequence[float], dtype: str) -> Term:
    """One number for the tensor, or those along a dim, as a constant that broadcasts against x."""
    row = along_dim(numbers, q, len(x.dims), np_dtype(dtype))
    return x.sketch.make("constant", value=dense(row, dtype))


def _pad(x: Term, types: Sequence[AnyTensor], values: Mapping[str, object]) -> Term:
    if values["mode"] == "constant":
        values = {**values, "value": stored_value(types[0], values)}  # pyright: ignore[reportArgumentType]
    return x.of("pad", **values)


def _relu(x: Term, types: Sequence[AnyTensor], values: Mapping[str, object]) -> Term:
    q = types[0].element_type
    assert isinstance(q, QuantType)
    return x.of("max", _row(x, q, q.zeros, x.dtype)) if any(q.zeros) else x.of("relu")


def _itself(x: Term, types: Sequence[AnyTensor], values: Mapping[str, object]) -> Term:
    return x


FORMULAS: dict[str, Formula] = {"cast": _cast, "reinterpret": _itself, "pad": _pad, "relu": _relu}
"""Ops that read otherwise on what is stored; all others stay as they are."""
