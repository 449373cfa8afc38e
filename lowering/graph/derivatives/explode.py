"""Index notation taken apart: reads that only move elements, elementwise ops for the body, a reduction.

So derivatives need no rules for scalars: what moves elements is transposed, and all else is ops of the graph, which are
fused again. A read keeps to the axes that it names; the rest is broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects import arith, builtin
from xdsl.dialects.builtin import IntegerAttr, StringAttr
from xdsl.ir import Operation, SSAValue

from dialects.dims import ONE, Dim
from dialects.errors import IrkitError
from dialects.graph.base import array_of, dense
from dialects.graph.sketch import Sketch, Term
from dialects.graph.structure import Access, IndexOp
from dialects.types import dtype_name, is_unsigned
from lowering.graph.derivatives.rules import spread_to

Axes = Sequence[tuple[str, Dim]]


def exploded(op: IndexOp, sketch: Sketch) -> Term:
    """Index notation as other ops: its result."""
    axes = op.extents()
    shape = [size for _, size in axes]
    env: dict[SSAValue, Term] = {}
    accesses = op.accesses()
    for number in range(len(accesses)):
        arg = op.body.block.args[number]
        if arg.first_use is not None:
            env[arg] = signless(moved_elements(op, sketch, number))
    for position, (arg, size) in enumerate(zip(op.body.block.args[len(accesses) :], shape, strict=True)):
        if arg.first_use is not None:
            along = [size if i == position else ONE for i in range(len(axes))]
            env[arg] = sketch.make("iota", shape=(size,), axis=0, dtype="i64").reshape(along)
    value = _scalars(op, sketch, env)
    element = op.results[0].type.element_type  # pyright: ignore[reportAttributeAccessIssue]
    if is_unsigned(element):
        value = value.cast(dtype_name(element))
    value = spread_to(value, shape)
    if op.combiner is None:
        return value
    outer = len(op.axes.data)
    return value.of(f"reduce_{op.combiner.data}", axes=tuple(range(outer, len(axes))))


def signless(t: Term) -> Term:
    """Unsigned integers as signed ones of the same width, as bodies hold them."""
    return t.cast(f"i{t.dtype[1:]}") if t.dtype.startswith("u") else t


def is_plain(op: IndexOp) -> bool:
    """Whether index notation only moves elements, and may sum them: one read is the body."""
    last = op.body.block.last_op
    return (
        (op.combiner is None or op.combiner.data == "sum")
        and last is op.body.block.first_op
        and last is not None
        and last.operands[0] in op.body.block.args[: len(op.reads)]
    )


def moved_elements(op: IndexOp, sketch: Sketch, number: int) -> Term:
    """The elements that an access reads, with a dim for each axis, one where it does not name it."""
    access, axes = op.accesses()[number], op.extents()
    source = sketch.term(op.operands[access.operand])
    named = _names(op, access)
    kept = [(name, size) for name, size in axes if name in named]
    wide = [size if name in named else ONE for name, size in axes]
    order = [str(e) for e in access.index]
    sizes = dict(kept)
    if sorted(order) == sorted(sizes) and all(sizes[n] == d for n, d in zip(order, source.dims, strict=True)):
        perm = tuple(order.index(n) for n, _ in kept)
        moved = source if perm == tuple(range(len(perm))) else source.of("transpose", perm=perm)
        return moved.reshape(wide)
    reads, operands = _with_places(op, access)
    values = [sketch.term(op.operands[n]) for n in operands]
    last = len(reads) - 1
    moved = sketch.points(values, kept, reads, source.type.element_type, lambda block: block.args[last])
    return moved.reshape(wide)


def _names(op: IndexOp, access: Access) -> frozenset[str]:
    """The axes that an access depends on, also by way of the reads in its indices."""
    found = frozenset().union(*(e.names() for e in access.index))
    accesses = op.accesses()
    for name in sorted(n for n in found if n.startswith("_")):
        found |= _names(op, accesses[int(name[1:])])
    return found


def _with_places(op: IndexOp, access: Access) -> tuple[list[Access], list[int]]:
    """An access after the reads that its indices name, numbered anew; and the operands that they read."""
    accesses = op.accesses()
    reads: list[Access] = []
    operands: list[int] = []
    number: dict[int, int] = {}

    def enter(a: Access) -> int:
        renamed: dict[str, Dim] = {}
        for name in sorted({n for e in a.index for n in e.names() if n.startswith("_")}):
            old = int(name[1:])
            if old not in number:
                number[old] = enter(accesses[old])
            renamed[name] = Dim.of(f"_{number[old]}")
        if a.operand not in operands:
            operands.append(a.operand)
        # All at once, so that a new number is not taken for an old one.
        index = tuple(e.subst(renamed) for e in a.index)
        reads.append(Access(operands.index(a.operand), index, a.boundary, a.value))
        return len(reads) - 1

    enter(access)
    return reads, operands


# -- scalars ------------------------------------------------------------------------------------------------------

Make = Callable[[Operation, Sequence[Term]], Term]


def _scalars(op: IndexOp, sketch: Sketch, env: dict[SSAValue, Term]) -> Term:
    for inner in op.body.block.ops:
        if inner is op.body.block.last_op:
            return env[inner.operands[0]]
        if (x := _sigmoid_of(inner)) is not None and x in env:
            env[inner.results[0]] = env[x].of("sigmoid")
        elif isinstance(inner, arith.ConstantOp):
            env[inner.results[0]] = _constant(inner, sketch)
        else:
            env[inner.results[0]] = scalar(inner, [env[v] for v in inner.operands])
    raise AssertionError("a body ends with a yield")


def _constant(op: arith.ConstantOp, sketch: Sketch) -> Term:
    value = op.value
    if isinstance(value, IntegerAttr) and op.result.type == builtin.i1:
        return sketch.number(bool(value.value.data), builtin.i1)
    if isinstance(value, builtin.DenseIntOrFPElementsAttr):
        return sketch.make("constant", value=dense(array_of(value)))
    element = op.result.type
    if isinstance(element, builtin.IntegerType):
        element = builtin.IntegerType(element.width.data, builtin.Signedness.SIGNED)
    return sketch.number(value.value.data, element)  # pyright: ignore[reportAttributeAccessIssue]


def _sigmoid_of(op: Operation) -> SSAValue | None:
    """x where an op is 1 / (1 + exp(-x)): the derivative of the whole has no infinities."""
    if op.name != "arith.divf" or not _is_one(op.operands[0]):
        return None
    total = op.operands[1].owner
    if not isinstance(total, arith.AddfOp) or not _is_one(total.lhs):
        return None
    exp = total.rhs.owner
    if not isinstance(exp, Operation) or exp.name != "math.exp":
        return None
    neg = exp.operands[0].owner
    return neg.operands[0] if isinstance(neg, arith.NegfOp) else None


def _is_one(value: SSAValue) -> bool:
    owner = value.owner
    return (
        isinstance(owner, arith.ConstantOp) and getattr(getattr(owner.value, "value", None), "data", 0) == 1.0
    )


def scalar(op: Operation, x: Sequence[Term]) -> Term:
    """A scalar op as an op of the graph. Raises IrkitError for one that has no such form."""
    rule = _SCALARS.get(op.name)
    if rule is None:
        raise IrkitError(f"'{op.name}' has no derivative", op, hint="take it out of the index notation")
    return rule(op, x)


def _plain(name: str) -> Make:
    return lambda op, x: x[0].of(name, *x[1:])


def _as_unsigned(name: str) -> Make:
    def make(op: Operation, x: Sequence[Term]) -> Term:
        wide = [t.cast(f"u{t.dtype[1:]}") if t.dtype != "bool" else t for t in x]
        return signless(wide[0].of(name, *wide[1:]))

    return make


def _bits(name: str) -> Make:
    """A bitwise op, or the logical one of bools."""
    return lambda op, x: x[0].of(f"{'logical' if x[0].dtype == 'bool' else 'bitwise'}_{name}", *x[1:])


_CMPI = ("eq", "ne", "lt", "le", "gt", "ge", "lt", "le", "gt", "ge")
_CMPF = ("", "eq", "gt", "ge", "lt", "le", "ne", "", "eq", "gt", "ge", "lt", "le", "ne")
_FLIPPED = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}


def _compare_integers(op: Operation, x: Sequence[Term]) -> Term:
    code = op.properties["predicate"].value.data  # pyright: ignore
    if code > 5 and x[0].dtype != "bool":
        x = [t.cast(f"u{t.dtype[1:]}") for t in x]
    if x[0].dtype == "bool":
        x = [t.cast("i32") for t in x]
    return x[0].of("compare", x[1], pred=_CMPI[code])


def _compare_floats(op: Operation, x: Sequence[Term]) -> Term:
    """Ordered predicates are false with NaN, as graph.compare is but for `ne`; unordered ones are their negations."""
    code = op.properties["predicate"].value.data  # pyright: ignore
    a, b = x
    is_nan = a.differs(a).of("logical_or", b.differs(b))
    if code in (0, 15):
        return (
            a.of("compare", a, pred="lt") if code == 0 else is_nan.of("logical_or", is_nan.of("logical_not"))
        )
    if code in (7, 14):
        return is_nan.of("logical_not") if code == 7 else is_nan
    pred = _CMPF[code]
    if code < 7:
        found = a.of("compare", b, pred=pred)
        return found.both(is_nan.of("logical_not")) if pred == "ne" else found
    if pred == "ne":
        return a.differs(b)
    return (
        a.of("compare", b, pred=_FLIPPED[pred]).of("logical_not")
        if pred != "eq"
        else a.equals(b).of("logical_or", is_nan)
    )


def _select(op: Operation, x: Sequence[Term]) -> Term:
    return x[0].sketch.make("where", *x)


def _cast(op: Operation, x: Sequence[Term]) -> Term:
    """To the type of the result, integers signed."""
    element = op.results[0].type
    if isinstance(element, builtin.IntegerType) and element.width.data > 1:
        return x[0].cast(f"i{element.width.data}")
    return x[0].cast(dtype_name(element))


def _from_unsigned(op: Operation, x: Sequence[Term]) -> Term:
    source = x[0] if x[0].dtype == "bool" else x[0].cast(f"u{x[0].dtype[1:]}")
    return _cast(op, [source])


def _extend(op: Operation, x: Sequence[Term]) -> Term:
    wide = _cast(op, x)
    return -wide if x[0].dtype == "bool" else wide


def _truncate(op: Operation, x: Sequence[Term]) -> Term:
    if op.results[0].type == builtin.i1:
        return x[0].of("bitwise_and", 1).differs(0)
    return _cast(op, x)


def _to_unsigned(op: Operation, x: Sequence[Term]) -> Term:
    return signless(x[0].cast(f"u{op.results[0].type.width.data}"))  # pyright: ignore


def _float_to_integer(op: Operation, x: Sequence[Term]) -> Term:
    return (_to_unsigned if _kind(op) == "unsigned" else _cast)(op, x)


def _kind(op: Operation) -> str:
    kind = op.properties["kind"]
    assert isinstance(kind, StringAttr)
    return kind.data


_INTEGER: Mapping[str, Make] = {
    "floordiv": _plain("div"),
    "mod": _plain("mod"),
    "udiv": _as_unsigned("div"),
    "umod": _as_unsigned("mod"),
    "upow": _as_unsigned("pow"),
    "ipow": _plain("pow"),
    "shl": _plain("shift_left"),
    "sar": _plain("shift_right"),
    "shr": _as_unsigned("shift_right"),
}


def _remainder(op: Operation, x: Sequence[Term]) -> Term:
    """C's fmod, with the sign of the dividend."""
    a, b = x[0], abs(x[1])
    return (a < 0.0).where(-((-a).of("mod", b)), a.of("mod", b))


_SCALARS: dict[str, Make] = {
    **{
        f"arith.{name}": _plain(graph)
        for name, graph in {
            "addf": "add",
            "subf": "sub",
            "mulf": "mul",
            "divf": "div",
            "negf": "neg",
            "maximumf": "max",
            "minimumf": "min",
            "addi": "add",
            "subi": "sub",
            "muli": "mul",
            "maxsi": "max",
            "minsi": "min",
            "floordivsi": "div",
            "shli": "shift_left",
            "shrsi": "shift_right",
        }.items()
    },
    **{
        f"arith.{name}": _as_unsigned(graph)
        for name, graph in {
            "maxui": "max",
            "minui": "min",
            "divui": "div",
            "remui": "mod",
            "shrui": "shift_right",
        }.items()
    },
    **{f"arith.{name}": _bits(graph) for name, graph in {"andi": "and", "ori": "or", "xori": "xor"}.items()},
    **{
        f"math.{name}": _plain(graph)
        for name, graph in {
            **{
                n: n for n in ("exp", "exp2", "expm1", "log", "log2", "log1p", "sqrt", "rsqrt", "tanh", "erf")
            },
            **{n: n for n in ("sin", "cos", "floor", "ceil")},
            "absf": "abs",
            "absi": "abs",
            "powf": "pow",
            "ipowi": "pow",
        }.items()
    },
    "math.fma": lambda op, x: x[0] * x[1] + x[2],
    "arith.cmpi": _compare_integers,
    "arith.cmpf": _compare_floats,
    "arith.select": _select,
    "arith.extf": _cast,
    "arith.truncf": _cast,
    "arith.sitofp": _cast,
    "arith.fptosi": _cast,
    "arith.uitofp": _from_unsigned,
    "arith.extui": _from_unsigned,
    "arith.extsi": _extend,
    "arith.trunci": _truncate,
    "arith.fptoui": _to_unsigned,
    "kernel.fptoint": _float_to_integer,
    "kernel.integer": lambda op, x: _INTEGER[_kind(op)](op, x),
    "kernel.remf": _remainder,
}
