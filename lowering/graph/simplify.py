"""graph-simplify: algebra that keeps every bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import product
from dialects.graph import OPS, ConstantOp, CustomOp, ForOp, GraphOp, IfOp, YieldOp, dense, make
from dialects.graph.carrying import has_quantised
from dialects.graph.elementwise import Elementwise
from dialects.graph.reduction import Reduce
from dialects.graph.shapes import dims, ints
from dialects.types import DTYPES, AnyTensor, dims_of, is_complex, is_float, is_integer, is_unsigned
from lowering.rewriting import Pattern, Rewriter, pattern, rewrite_greedily

FOLD_LIMIT = 1024
"""Constants of more elements than this are not computed at compile time."""


@dataclass(frozen=True)
class GraphSimplify(ModulePass):
    """Simplifies by rules under which results stay the same to the last bit, NaN and signed zeros included.

    Expects: functions at the graph level.
    Does: in one worklist walk, (1) drops neutral elements: x + 0, x - 0, x * 1, x / 1, x ** 1; (2) undoes pairs:
    neg neg, not not, transposes, reshapes, broadcasts, casts; (3) drops what changes nothing: a cast to the same
    dtype, an identity transpose, a reduction over dims of size 1, ...; (4) computes ops on constants by their
    references, up to a size; (5) takes what a loop does not change out of its carried values.
    Leaves: a function at the graph level. Transcendental functions of constants are as exact as NumPy has them.
    """

    name = "graph-simplify"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp):
                for name, count in rewrite_greedily(function, PATTERNS).items():
                    self.stats[name] = self.stats.get(name, 0) + count


# -- helpers ------------------------------------------------------------------------------------------------------


def splat_of(value: SSAValue) -> float | int | bool | complex | None:
    """The one number that all elements of a constant are."""
    return value.owner.splat if isinstance(value.owner, ConstantOp) else None


def produced_by(value: SSAValue, name: str) -> GraphOp | None:
    """The op that makes a value, if it is the graph op of that name."""
    owner = value.owner
    return owner if isinstance(owner, GraphOp) and type(owner) is OPS[name] else None


def type_of(value: SSAValue) -> AnyTensor:
    """The tensor type of a value."""
    assert isinstance(value.type, TensorType)
    return value.type


def replace_by(op: Operation, value: SSAValue, rewriter: Rewriter) -> None:
    """Gives the uses of an op's result to a value of its dtype, broadcast where its shape is smaller."""
    if value.type == op.results[0].type:
        rewriter.replace_with_values(op, [value])
    else:
        rewriter.replace(op, make("broadcast", [value], {"shape": dims_of(op.results[0].type)}))


def is_positive_zero(number: object) -> bool:
    return number == 0 and not str(number).startswith("-")


# -- neutral elements -----------------------------------------------------------------------------------------------


@pattern(OPS["add"])
def add_of_zero(op: GraphOp, rewriter: Rewriter) -> None:
    """x + 0 = x for integers; x + (-0.0) = x for floats, where -0.0 + 0.0 is 0.0"""
    for x, other in (op.operands, reversed(op.operands)):
        zero = splat_of(other)
        element = type_of(other).element_type
        if zero == 0 and (is_integer(element) or (is_float(element) and not is_positive_zero(zero))):
            replace_by(op, x, rewriter)
            return


@pattern(OPS["sub"])
def sub_of_zero(op: GraphOp, rewriter: Rewriter) -> None:
    """x - 0 = x"""
    zero = splat_of(op.operands[1])
    if zero is not None and is_positive_zero(zero) and not is_complex(type_of(op.operands[1]).element_type):
        replace_by(op, op.operands[0], rewriter)


@pattern(OPS["mul"])
def mul_of_one(op: GraphOp, rewriter: Rewriter) -> None:
    """x * 1 = x"""
    for x, other in (op.operands, reversed(op.operands)):
        if splat_of(other) == 1 and not is_complex(type_of(other).element_type):
            replace_by(op, x, rewriter)
            return


@pattern(OPS["div"], OPS["pow"])
def div_or_pow_of_one(op: GraphOp, rewriter: Rewriter) -> None:
    """x / 1 = x; x ** 1 = x"""
    if splat_of(op.operands[1]) == 1 and not is_complex(type_of(op.operands[1]).element_type):
        replace_by(op, op.operands[0], rewriter)


@pattern(OPS["min"], OPS["max"], OPS["logical_and"], OPS["logical_or"])
def op_of_equals(op: GraphOp, rewriter: Rewriter) -> None:
    """min(x, x) = max(x, x) = x; x and x = x or x = x"""
    if op.operands[0] is op.operands[1]:
        rewriter.replace_with_values(op, [op.operands[0]])


@pattern(OPS["logical_and"], OPS["logical_or"])
def logic_of_constant(op: GraphOp, rewriter: Rewriter) -> None:
    """x and true = x; x or false = x"""
    for x, other in (op.operands, reversed(op.operands)):
        if splat_of(other) is (type(op) is OPS["logical_and"]):
            replace_by(op, x, rewriter)
            return


@pattern(OPS["where"])
def where_of_constant(op: GraphOp, rewriter: Rewriter) -> None:
    """where(true, a, b) = a; where(false, a, b) = b; where(c, a, a) = a"""
    condition, a, b = op.operands
    chosen = splat_of(condition)
    if a is b:
        replace_by(op, a, rewriter)
    elif chosen is not None:
        replace_by(op, a if chosen else b, rewriter)


# -- pairs ----------------------------------------------------------------------------------------------------------


@pattern(OPS["neg"], OPS["logical_not"])
def involution_twice(op: GraphOp, rewriter: Rewriter) -> None:
    """neg(neg(x)) = x; not(not(x)) = x"""
    if (inner := op.operands[0].owner) and isinstance(inner, GraphOp) and type(inner) is type(op):
        rewriter.replace_with_values(op, [inner.operands[0]])


@pattern(OPS["abs"], OPS["relu"], OPS["floor"], OPS["ceil"])
def projection_twice(op: GraphOp, rewriter: Rewriter) -> None:
    """f(f(x)) = f(x) for abs, relu, floor, ceil; floor(ceil(x)) = ceil(x); ceil(floor(x)) = floor(x)"""
    rounding = (OPS["floor"], OPS["ceil"])
    inner = type(op.operands[0].owner)
    if inner is type(op) or (type(op) in rounding and inner in rounding):
        rewriter.replace_with_values(op, [op.operands[0]])


@pattern(OPS["abs"])
def abs_of_neg(op: GraphOp, rewriter: Rewriter) -> None:
    """abs(neg(x)) = abs(x)"""
    if (inner := produced_by(op.operands[0], "neg")) is not None:
        rewriter.replace(op, make("abs", inner.operands), absorbed=(inner,))


@pattern(OPS["add"], OPS["sub"])
def add_or_sub_of_neg(op: GraphOp, rewriter: Rewriter) -> None:
    """x + neg(y) = x - y; x - neg(y) = x + y"""
    x, y = op.operands
    if (inner := produced_by(y, "neg")) is not None:
        other = "sub" if type(op) is OPS["add"] else "add"
        rewriter.replace(op, make(other, [x, inner.operands[0]]), absorbed=(inner,))


@pattern(OPS["transpose"])
def transpose_of_transpose(op: GraphOp, rewriter: Rewriter) -> None:
    """transpose(x, 0 1 ...) = x; transpose(transpose(x, p), q) = transpose(x, p[q])"""
    perm = ints(op.values(), "perm")
    if perm == tuple(range(len(perm))):
        rewriter.replace_with_values(op, op.operands)
    elif (inner := produced_by(op.operands[0], "transpose")) is not None:
        first = ints(inner.values(), "perm")
        both = [first[p] for p in perm]
        rewriter.replace(op, make("transpose", inner.operands, {"perm": both}), absorbed=(inner,))


@pattern(OPS["reshape"])
def reshape_of_reshape(op: GraphOp, rewriter: Rewriter) -> None:
    """reshape(x, its shape) = x; reshape(reshape(x)) = reshape(x)"""
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)
    elif (inner := produced_by(op.operands[0], "reshape")) is not None:
        shape = {"shape": dims(op.values(), "shape")}
        rewriter.replace(op, make("reshape", inner.operands, shape), absorbed=(inner,))


@pattern(OPS["broadcast"])
def broadcast_of_broadcast(op: GraphOp, rewriter: Rewriter) -> None:
    """broadcast(x, its shape) = x; broadcast(broadcast(x)) = broadcast(x)"""
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)
    elif (inner := produced_by(op.operands[0], "broadcast")) is not None:
        shape = {"shape": dims(op.values(), "shape")}
        rewriter.replace(op, make("broadcast", inner.operands, shape), absorbed=(inner,))


@pattern(*{cls for cls in OPS.values() if issubclass(cls, Elementwise) and cls.ARITY[0] > 1})
def elementwise_of_broadcast(op: GraphOp, rewriter: Rewriter) -> None:
    """f(broadcast(x), y) = f(x, y) where y has the shape of the result"""
    if has_quantised([type_of(v) for v in op.operands]):
        return  # scales go along dims counted from the front
    for number, operand in enumerate(op.operands):
        inner = produced_by(operand, "broadcast")
        if inner is None:
            continue
        operands = list(op.operands)
        operands[number] = inner.operands[0]
        shapes = {dims_of(v.type) for i, v in enumerate(op.operands) if i != number}
        if dims_of(op.results[0].type) in shapes:
            rewriter.replace(
                op, make(op.name.removeprefix("graph."), operands, op.values()), absorbed=(inner,)
            )
            return


@pattern(OPS["cast"])
def cast_of_cast(op: GraphOp, rewriter: Rewriter) -> None:
    """cast(x, its dtype) = x; cast(cast(x, wider), t) = cast(x, t), but only floats are quantised"""
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)
        return
    inner = produced_by(op.operands[0], "cast")
    if inner is None:
        return
    source, middle = (type_of(v).element_type for v in (inner.operands[0], op.operands[0]))
    if keeps_values(source, middle) and (is_float(source) or not has_quantised([type_of(op.results[0])])):
        rewriter.replace(op, make("cast", inner.operands, op.values()), absorbed=(inner,))


def keeps_values(source: Attribute, target: Attribute) -> bool:
    """Whether a cast loses nothing, and casting on from either gives the same: wider of the same kind."""
    if source == builtin.i1:
        return target != builtin.i1
    if is_float(source) and is_float(target):
        return target in _WIDER.get(source, ())
    if not (is_integer(source) and is_integer(target)):
        return False
    assert isinstance(source, builtin.IntegerType) and isinstance(target, builtin.IntegerType)
    if target.width.data <= source.width.data:
        return False
    return is_unsigned(source) or not is_unsigned(target)


_WIDER: dict[Attribute, tuple[Attribute, ...]] = {
    builtin.f32: (builtin.f64,),
    builtin.f16: (builtin.f32, builtin.f64),
    builtin.bf16: (builtin.f32, builtin.f64),
    **{
        DTYPES[name]: (builtin.f16, builtin.bf16, builtin.f32, builtin.f64)
        for name in ("f8e4m3", "f8e5m2", "f8e4m3fnuz", "f8e5m2fnuz", "f4e2m1")
    },
    DTYPES["f8e8m0"]: (builtin.bf16, builtin.f32, builtin.f64),
}


# -- what changes nothing --------------------------------------------------------------------------------------------


@pattern(OPS["concat"])
def concat_of_one(op: GraphOp, rewriter: Rewriter) -> None:
    """concat(x) = x"""
    if len(op.operands) == 1:
        rewriter.replace_with_values(op, op.operands)


@pattern(OPS["slice"])
def slice_of_all(op: GraphOp, rewriter: Rewriter) -> None:
    """x[:] = x"""
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)


@pattern(*{cls for cls in OPS.values() if issubclass(cls, Reduce)})
def reduce_of_ones(op: GraphOp, rewriter: Rewriter) -> None:
    """A reduction over no dims, or over dims of size 1, is a reshape."""
    sizes = dims_of(op.operands[0].type)
    if any(sizes[a].value != 1 for a in ints(op.values(), "axes")):
        return
    if op.operands[0].type == op.results[0].type:
        rewriter.replace_with_values(op, op.operands)
    else:
        rewriter.replace(op, make("reshape", op.operands, {"shape": dims_of(op.results[0].type)}))


# -- constants -------------------------------------------------------------------------------------------------------

NOT_FOLDED = frozenset(OPS[name] for name in ("constant", "random", "broadcast"))


@pattern(*(set(OPS.values()) - NOT_FOLDED))
def op_of_constants(op: GraphOp, rewriter: Rewriter) -> None:
    """f(c) is computed where all operands are constants, and it is small"""
    if not all(isinstance(v.owner, ConstantOp) for v in op.operands) or not is_small(
        [*op.operands, *op.results]
    ):
        return
    if has_quantised([type_of(r) for r in op.results]):
        return  # of which there are no constants
    arrays = op.run([v.owner.array() for v in op.operands])  # pyright: ignore[reportAttributeAccessIssue]
    elements = [type_of(r).element_type for r in op.results]
    folded = [make("constant", [], {"value": dense(a, e)}) for a, e in zip(arrays, elements, strict=True)]
    owners = [v.owner for v in op.operands if isinstance(v.owner, Operation)]
    rewriter.replace(op, folded, [f.results[0] for f in folded], absorbed=owners)


@pattern(CustomOp)
def custom_of_constants(op: CustomOp, rewriter: Rewriter) -> None:
    """An op of the file is its formula where all operands are constants, and small"""
    if all(isinstance(v.owner, ConstantOp) for v in op.operands) and is_small([*op.operands, *op.results]):
        rewriter.replace(op, *op.decomposed())


def is_small(values: Sequence[SSAValue]) -> bool:
    """Whether tensors have a known number of elements, within the limit."""
    counts = [product(dims_of(v.type)).value for v in values]
    return all(count is not None and count <= FOLD_LIMIT for count in counts)


# -- loops -----------------------------------------------------------------------------------------------------------


@pattern(ForOp)
def loop_of_no_iterations(op: ForOp, rewriter: Rewriter) -> None:
    """A loop that never runs gives what it carries in."""
    lower, upper = op.bounds()
    if isinstance(lower, SSAValue) or isinstance(upper, SSAValue):
        return
    trips = (upper - lower).value
    stops = op.conditional is not None and is_constant(op.inits[0], False)
    if stops or (trips is not None and trips <= 0):
        rewriter.replace_with_values(op, list(op.inits))


@pattern(IfOp)
def if_of_constant(op: IfOp, rewriter: Rewriter) -> None:
    """A choice that is known is the body that is chosen"""
    known = next((c for c in (True, False) if is_constant(op.condition, c)), None)
    if known is None:
        return
    body = (op.then if known else op.otherwise).block
    last = body.last_op
    assert isinstance(last, YieldOp)
    for arg, init in zip(body.args, op.inits, strict=True):
        arg.replace_all_uses_with(init)
    values = list(last.operands)
    body.erase_op(last)
    parent = op.parent
    assert parent is not None
    for inner in list(body.ops):
        inner.detach()
        parent.insert_op_before(inner, op)
    rewriter.replace_with_values(op, values)


def is_constant(value: SSAValue, wanted: bool) -> bool:
    """Whether a value is a known truth."""
    return isinstance(value.owner, ConstantOp) and value.owner.splat is wanted


@pattern(ForOp)
def carried_value_unchanged(op: ForOp, rewriter: Rewriter) -> None:
    """A value that a loop yields as it got it is the initial one, inside and after."""
    last = op.block.last_op
    assert isinstance(last, YieldOp)
    for number, (arg, value, init) in enumerate(zip(op.block.args[1:], last.operands, op.inits, strict=True)):
        if value is not arg:
            continue
        if any(use.operation is not last for use in arg.uses) or op.results[number].first_use is not None:
            rewriter.replace_uses(op.results[number], init)
            rewriter.replace_uses(arg, init)
            last.operands[number] = arg


PATTERNS: tuple[Pattern, ...] = (
    add_of_zero,
    sub_of_zero,
    mul_of_one,
    div_or_pow_of_one,
    op_of_equals,
    logic_of_constant,
    where_of_constant,
    involution_twice,
    projection_twice,
    abs_of_neg,
    add_or_sub_of_neg,
    transpose_of_transpose,
    reshape_of_reshape,
    broadcast_of_broadcast,
    elementwise_of_broadcast,
    cast_of_cast,
    concat_of_one,
    slice_of_all,
    reduce_of_ones,
    op_of_constants,
    custom_of_constants,
    loop_of_no_iterations,
    if_of_constant,
    carried_value_unchanged,
)
"""The rules, in the order in which they are tried at an op."""
