"""What derived ops are made of: a formula over terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from xdsl.dialects.builtin import LocationAttr, i1
from xdsl.ir import Block, Operation, SSAValue

from dialects.graph.base import Array, GraphOp, Param, Values, register_op
from dialects.graph.elementwise import Elementwise
from dialects.graph.numerics import cast_array, widened
from dialects.graph.sketch import Sketch, Term
from dialects.types import SMALL_FLOATS as SMALL, AnyTensor, dims_of, np_dtype, tensor


class Derived(GraphOp):
    """Base: `formula` gives the results from the operands and the complete parameters."""

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        raise NotImplementedError

    def decomposed(self) -> tuple[list[Operation], list[SSAValue]]:
        """The ops that stand for this one, at its location, and the values for its results."""
        location = self.location if isinstance(self.location, LocationAttr) else None
        sketch = Sketch(location)
        results = self.formula([sketch.term(v) for v in self.operands], self.values())
        return sketch.ops, [t.value for t in results]

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        sketch = Sketch()
        block = Block(arg_types=types)
        return [t.type for t in cls.formula([sketch.term(v) for v in block.args], values)]


class DerivedElementwise(Derived, Elementwise):
    """Base of derived elementwise ops; small floats are computed in f32."""

    PARAMS: ClassVar[dict[str, Param]] = {}
    FORMULA: ClassVar[Callable[..., Term]]

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        return Elementwise.infer.__func__(cls, types, values)  # pyright: ignore[reportFunctionMemberAccess]

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        dtype = x[0].dtype
        wide = [t.cast("f32") for t in x] if dtype in SMALL else x
        return [cls.FORMULA(*wide, **values).cast(dtype)]

    @classmethod
    def reference(cls, arrays: Sequence[Array], values: Values, results: Sequence[AnyTensor]) -> list[Array]:
        return [cast_array(cls.FUNCTION(*widened(arrays), **values), results[0].element_type)]


class Test(DerivedElementwise):
    """Base of derived ops that give a bool for each element."""

    @classmethod
    def infer(cls, types: Sequence[AnyTensor], values: Values) -> list[AnyTensor]:
        return [tensor(i1, dims_of(t)) for t in super().infer(types, values)]

    @classmethod
    def formula(cls, x: Sequence[Term], values: Values) -> Sequence[Term]:
        wide = [t.cast("f32") for t in x] if x[0].dtype in SMALL else x
        return [cls.FORMULA(*wide, **values)]


_FACTS = dict.fromkeys(("TAKES", "FUNCTION", "FORMULA", "ARITY", "OPERANDS", "PARAMS"), ClassVar)


def elementwise(
    name: str,
    function: Callable[..., Array],
    formula: Callable[..., Term],
    doc: str,
    takes: str = "f",
    operands: tuple[str, ...] = ("x",),
    params: Mapping[str, Param] | None = None,
    base: type[DerivedElementwise] = DerivedElementwise,
) -> type[DerivedElementwise]:
    """Registers a derived elementwise op: its NumPy function on widened arrays and its formula, both of the operands
    and, by name, the parameters."""
    body = {
        "name": f"graph.{name}",
        "__doc__": doc,
        "__module__": __name__,
        "__annotations__": dict(_FACTS),
        "TAKES": takes,
        "FUNCTION": staticmethod(function),
        "FORMULA": staticmethod(formula),
        "ARITY": (len(operands), len(operands)),
        "OPERANDS": operands,
        "PARAMS": dict(params or {}),
    }
    return register_op(type(f"{name.title().replace('_', '')}Op", (base,), body))


def in_f64(function: Callable[..., Array]) -> Callable[..., Array]:
    """A NumPy function computed in f64 and rounded once."""

    def wide(*arrays: Array, **values: object) -> Array:
        out = function(*(a.astype("f8") if a.dtype.kind == "f" else a for a in arrays), **values)
        return out.astype(arrays[0].dtype)

    return wide


def computed(arrays: Sequence[Array], result: AnyTensor, function: Callable[..., Array]) -> list[Array]:
    """A reference over floats: computed in f64, rounded once to the result's dtype."""
    wide = [
        a.astype("f8") if a.dtype.kind == "f" or a.dtype == np_dtype("bf16") else a for a in widened(arrays)
    ]
    return [cast_array(function(*wide), result.element_type)]
