"""graph-split-complex: complex tensors become pairs of real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, LocationAttr, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ONE, ZERO, Dim
from dialects.errors import IrkitError
from dialects.graph import ConstantOp, CustomOp, ForOp, GraphOp, IfOp, YieldOp, dense
from dialects.graph.base import make, short_name
from dialects.graph.complexes import REAL
from dialects.graph.shapes import broadcast
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of, dtype_name, is_complex, tensor, type_text
from lowering.graph.decompose import put_formula

Parts = tuple[Term, Term]
"""The real and the imaginary part."""

MOVES = frozenset(
    [
        "reshape",
        "transpose",
        "broadcast",
        "concat",
        "slice",
        "gather",
        "pad",
        "tile",
        "flip",
        "roll",
        "split",
        "take_along",
        "gather_nd",
        "tril",
        "triu",
        "pixel_shuffle",
        "resize_nearest",
        "scatter",
        "scatter_nd",
        "scatter_along",
        "reduce_sum",
        "reduce_mean",
        "neg",
        "add",
        "sub",
    ]
)
"""Ops that do to each part what they do to the whole."""


@dataclass(frozen=True)
class GraphSplitComplex(ModulePass):
    """Puts the arithmetic of real numbers in the place of complex ones.

    Expects: functions at the graph level.
    Does: (1) an argument or result of complex numbers becomes one of real numbers with a last dim of two, which is the
    same memory; (2) each complex value becomes its two parts; (3) ops that move elements or are linear run on both, products,
    quotients and comparisons are spelt out; (4) loops and choices carry both parts; (5) an op of the file that meets
    complex numbers is its formula.
    Leaves: functions without complex numbers; an op without such a form is an error.
    """

    name = "graph-split-complex"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and _meets_complex(function):
                for custom in [o for o in function.walk() if isinstance(o, CustomOp) and _meets_complex(o)]:
                    put_formula(custom)
                _Splitter().function(function)
                self.stats["functions split"] = self.stats.get("functions split", 0) + 1


def _meets_complex(root: Operation) -> bool:
    return any(
        _is_complex(v)
        for op in root.walk()
        for v in (*op.operands, *op.results, *(a for r in op.regions for a in r.block.args))
    )


def _is_complex(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and is_complex(value.type.element_type)


class _Splitter:
    def __init__(self) -> None:
        self.parts: dict[SSAValue, Parts] = {}

    # -- functions --------------------------------------------------------------------------------------------

    def function(self, func: FuncOp) -> None:
        block = func.body.block
        first = block.first_op
        head = Sketch(func.location if isinstance(func.location, LocationAttr) else None)
        taken = list(func.arg_attrs.data) if func.arg_attrs is not None else []
        for number, arg in enumerate(list(block.args)):
            if _is_complex(arg):
                name = dtype_name(arg.type.element_type)  # pyright: ignore
                new = block.insert_arg(tensor(REAL[name], (*dims_of(arg.type), Dim.of(2))), arg.index)
                new.name_hint = arg.name_hint
                whole = head.term(new)
                self.parts[arg] = (_part(whole, 0), _part(whole, 1))
                if taken:
                    taken[number] = _marked(taken[number], name)
        for op in head.ops:
            assert first is not None
            block.insert_op_before(op, first)
        kept = set(head.ops)
        self.block(block, kept)
        results = self._results(func, block)
        for arg in [a for a in block.args if _is_complex(a)]:
            block.erase_arg(arg)
        last = block.last_op
        assert last is not None
        func.function_type = builtin.FunctionType.from_lists(
            [a.type for a in block.args], [v.type for v in last.operands]
        )
        if taken:
            func.properties["arg_attrs"] = ArrayAttr(taken)
        if results is not None:
            func.properties["res_attrs"] = ArrayAttr(results)

    def _results(self, func: FuncOp, block: Block) -> list[DictionaryAttr] | None:
        last = block.last_op
        assert last is not None
        given = list(func.res_attrs.data) if func.res_attrs is not None else None
        sketch = Sketch(last.location if isinstance(last.location, LocationAttr) else None)
        operands: list[SSAValue] = []
        for number, value in enumerate(last.operands):
            if value not in self.parts:
                operands.append(value)
                continue
            re, im = (sketch.term(p.value) for p in self.parts[value])
            shape = (*re.dims, ONE)
            operands.append(sketch.make("concat", re.reshape(shape), im.reshape(shape), axis=-1).value)
            if given is not None:
                given[number] = _marked(given[number], dtype_name(value.type.element_type))  # pyright: ignore
        for op in sketch.ops:
            block.insert_op_before(op, last)
        last.operands = operands
        for op in reversed(list(block.ops)):  # the complex ops, which nothing reads any more
            if op is not last and any(_is_complex(r) for r in op.results):
                block.erase_op(op)
        return given

    # -- blocks -----------------------------------------------------------------------------------------------

    def block(self, block: Block, skip: set[Operation]) -> None:
        """Adds the ops on parts behind each op on complex numbers; those are erased at the end."""
        for op in list(block.ops):
            if op in skip or not any(_is_complex(v) for o in op.walk() for v in (*o.operands, *o.results)):
                continue
            if op is block.last_op:
                continue
            if isinstance(op, ForOp | IfOp):
                self.structure(op)
            else:
                self.op(block, op)

    def op(self, block: Block, op: Operation) -> None:
        name = short_name(type(op)) if isinstance(op, GraphOp) else op.name
        if not isinstance(op, GraphOp) or (name not in MOVES and name not in RULES):
            raise IrkitError(
                f"{name} has no form on complex numbers",
                op,
                found=", ".join(type_text(v.type) for v in op.operands if isinstance(v.type, TensorType)),  # pyright: ignore
                expected="an op that moves elements, or arithmetic",
                hint="keep the real and the imaginary part in a tensor each: real(x), imag(x)",
            )
        sketch = Sketch(op.location if isinstance(op.location, LocationAttr) else None)
        operands: list[Term | Parts] = [
            (sketch.term(self.parts[v][0].value), sketch.term(self.parts[v][1].value))
            if v in self.parts
            else sketch.term(v)
            for v in op.operands
        ]
        results = _moved(sketch, op, operands) if name in MOVES else RULES[name](sketch, op, operands)
        for new in sketch.ops:
            block.insert_op_before(new, op)
        for old, new in zip(op.results, results, strict=True):
            if isinstance(new, tuple):
                self.parts[old] = new
            else:
                old.replace_all_uses_with(new.value)
        if not any(_is_complex(r) for r in op.results):
            block.erase_op(op)

    def structure(self, op: ForOp | IfOp) -> None:
        """A loop or choice that carries the parts in the place of the whole."""
        extra = 1 if isinstance(op, ForOp) else 0
        inits = self._split(op.inits)
        for region in op.regions:
            block = region.block
            for arg in list(block.args[extra:]):
                if _is_complex(arg):
                    at = arg.index
                    real = tensor(REAL[dtype_name(arg.type.element_type)], dims_of(arg.type))  # pyright: ignore
                    pair = [block.insert_arg(real, at + k) for k in (0, 1)]
                    sketch = Sketch()
                    self.parts[arg] = (sketch.term(pair[0]), sketch.term(pair[1]))
            self.block(block, set())
            last = block.last_op
            assert isinstance(last, YieldOp)
            last.operands = self._split(last.operands)
            for inner in reversed(list(block.ops)):
                if inner is not last and any(_is_complex(r) for r in inner.results):
                    block.erase_op(inner)
            for arg in [a for a in block.args if _is_complex(a)]:
                block.erase_arg(arg)
        new: ForOp | IfOp
        if isinstance(op, ForOp):
            new = ForOp(*op.bounds(), inits, op.detach_region(0), op.conditional is not None)
        else:
            then, otherwise = op.detach_region(0), op.detach_region(0)
            new = IfOp(op.condition, inits, then, otherwise)
        new.location = op.location
        parent = op.parent
        assert parent is not None
        parent.insert_op_before(new, op)
        results = iter(new.results)
        sketch = Sketch()
        for old in op.results:
            if _is_complex(old):
                self.parts[old] = (sketch.term(next(results)), sketch.term(next(results)))
            else:
                old.replace_all_uses_with(next(results))
        if not any(_is_complex(r) for r in op.results):
            parent.erase_op(op)

    def _split(self, values: Sequence[SSAValue]) -> list[SSAValue]:
        return [p for v in values for p in ((q.value for q in self.parts[v]) if v in self.parts else (v,))]


def _part(whole: Term, number: int) -> Term:
    """One half of a tensor with a last dim of two."""
    dims = whole.dims
    starts = [ZERO] * (len(dims) - 1) + [Dim.of(number)]
    stops = [*dims[:-1], Dim.of(number + 1)]
    return whole.of("slice", starts=starts, stops=stops).reshape(dims[:-1])


def _marked(facts: Attribute, dtype: str) -> DictionaryAttr:
    """The attributes of an argument with the dtype that the interface tells."""
    assert isinstance(facts, DictionaryAttr)
    return DictionaryAttr({**facts.data, "graph.dtype": StringAttr(dtype)})


# -- ops ----------------------------------------------------------------------------------------------------------

Rule = Callable[[Sketch, GraphOp, "list[Term | Parts]"], "list[Term | Parts]"]


def _moved(sketch: Sketch, op: GraphOp, operands: list[Term | Parts]) -> list[Term | Parts]:
    values = dict(op.values())
    halves: list[list[SSAValue]] = []
    for number in (0, 1):
        own = [o[number].value if isinstance(o, tuple) else o.value for o in operands]
        given = {k: 0.0 if number and k == "value" and isinstance(v, float) else v for k, v in values.items()}
        halves.append(list(_make(sketch, op, own, given).results))
    return [(sketch.term(a), sketch.term(b)) for a, b in zip(*halves, strict=True)]


def _make(sketch: Sketch, op: GraphOp, operands: list[SSAValue], values: dict) -> Operation:
    return sketch.add(
        make(short_name(type(op)), operands, {k: v for k, v in values.items() if v is not None}, sketch.loc)
    )


def _pair(value: Term | Parts) -> Parts:
    assert isinstance(value, tuple)
    return value


def _mul(sketch: Sketch, op: GraphOp, x: list[Term | Parts]) -> list[Term | Parts]:
    (a, b), (c, d) = map(_pair, x)
    return [(a * c - b * d, a * d + b * c)]


def _div(sketch: Sketch, op: GraphOp, x: list[Term | Parts]) -> list[Term | Parts]:
    """R. L. Smith, "Algorithm 116: Complex Division", 1962: the ratio of the smaller part keeps squares from overflow."""
    (a, b), (c, d) = map(_pair, x)
    wide = abs(c) >= abs(d)
    ratio = wide.where(d, c) / wide.where(c, d)
    size = wide.where(c, d) + ratio * wide.where(d, c)
    re = wide.where(a + b * ratio, a * ratio + b)
    im = wide.where(b - a * ratio, b * ratio - a)
    return [(re / size, im / size)]


def _compare(sketch: Sketch, op: GraphOp, x: list[Term | Parts]) -> list[Term | Parts]:
    (a, b), (c, d) = map(_pair, x)
    if op.values()["pred"] == "eq":
        return [a.equals(c).both(b.equals(d))]
    return [a.differs(c).of("logical_or", b.differs(d))]


def _where(sketch: Sketch, op: GraphOp, x: list[Term | Parts]) -> list[Term | Parts]:
    condition, yes, no = x
    assert isinstance(condition, Term)
    (a, b), (c, d) = _pair(yes), _pair(no)
    return [(condition.where(a, c), condition.where(b, d))]


def _cast(sketch: Sketch, op: GraphOp, x: list[Term | Parts]) -> list[Term | Parts]:
    real = REAL[str(op.values()["dtype"])]
    if isinstance(x[0], tuple):
        return [(x[0][0].cast(real), x[0][1].cast(real))]
    re = x[0].cast(real)
    return [(re, sketch.number(0.0, re.type.element_type).of("broadcast", shape=re.dims))]


def _matmul(sketch: Sketch, op: GraphOp, x: list[Term | Parts]) -> list[Term | Parts]:
    (a, b), (c, d) = map(_pair, x)
    return [(a.of("matmul", c) - b.of("matmul", d), a.of("matmul", d) + b.of("matmul", c))]


def _constant(sketch: Sketch, op: GraphOp, x: list[Term | Parts]) -> list[Term | Parts]:
    assert isinstance(op, ConstantOp)
    array = np.asarray(op.array())
    re, im = np.ascontiguousarray(array.real), np.ascontiguousarray(array.imag)  # pyright: ignore
    parts = [sketch.make("constant", value=dense(p.reshape(array.shape))) for p in (re, im)]
    return [(parts[0], parts[1])]


def _magnitude(sketch: Sketch, op: GraphOp, x: list[Term | Parts]) -> list[Term | Parts]:
    """The larger part times sqrt(1 + ratio^2), which does not overflow."""
    re, im = (abs(p) for p in _pair(x[0]))
    high, low = re.of("max", im), re.of("min", im)
    ratio = low / high
    scaled = high * (1.0 + ratio * ratio).of("sqrt")
    plain = high.equals(0.0).of("logical_or", high.equals(float("inf")))
    return [plain.where(high, scaled)]


RULES: dict[str, Rule] = {
    "mul": _mul,
    "div": _div,
    "compare": _compare,
    "where": _where,
    "cast": _cast,
    "matmul": _matmul,
    "constant": _constant,
    "real": lambda sketch, op, x: [_pair(x[0])[0]],
    "imag": lambda sketch, op, x: [_pair(x[0])[1]],
    "conj": lambda sketch, op, x: [(_pair(x[0])[0], -_pair(x[0])[1])],
    "complex": lambda sketch, op, x: [_whole(x)],
    "magnitude": _magnitude,
}
"""How arithmetic on complex numbers reads on their parts."""


def _whole(x: list[Term | Parts]) -> Parts:
    re, im = x
    assert isinstance(re, Term) and isinstance(im, Term)
    return _spread(re, im), _spread(im, re)


def _spread(a: Term, b: Term) -> Term:
    """a, broadcast against b."""
    if a.dims == b.dims:
        return a
    return a.of("broadcast", shape=broadcast([a.dims, b.dims]))
