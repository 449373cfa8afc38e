"""Rotary position embedding: a sum with what is turned by a quarter, or pair by pair; of halves or of neighbours."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import SSAValue

from dialects.dims import ONE, ZERO, Dim
from dialects.graph import OPS, GraphOp, make
from dialects.graph.base import Values
from dialects.graph.shapes import Shape, dims, ints
from dialects.graph.sketch import Term
from dialects.types import dims_of
from lowering.graph.recognise.forms import NUMBER, Form, either
from lowering.graph.recognise.rules import recognised
from lowering.graph.simplify.values import produced_by
from lowering.rewriting import Pattern, Rewriter, pattern, unless_scheduled


def _half(x: Form, cut: Form, flat: Form) -> Form:
    """Half of the features, cut out of them, or of pairs of them."""
    of_pairs = x.of("reshape").of("slice", parameters=cut).of("reshape", shape=flat)
    return either(x.of("slice", parameters=cut), of_pairs)


def _minus_half(x: Form, cut: Form, flat: Form) -> Form:
    """The negative of half of the features, negated before they are cut out or behind."""
    return either(-_half(x, cut, flat), _half(-x, cut, flat))


def _joined(a: Form, b: Form, axis: Form, pairs: Form) -> Form:
    """All of a before b, or each element of a before that of b."""
    of_pairs = a.of("reshape", shape=pairs).of("concat", b.of("reshape", shape=pairs), axis=axis)
    return either(a.of("concat", b, axis=axis), of_pairs.of("reshape"))


def _sum(x: Form, cos: Form, sin: Form, a: Form, b: Form, axis: Form, pairs: Form, flat: Form) -> Form:
    """The halves are turned by negating the first of them, or by taking off what the second of them is negated in."""
    first, second = _half(x, a, flat), _half(x, b, flat)
    turned = _joined(_minus_half(x, b, flat), first, axis, pairs)
    back = _joined(second, _minus_half(x, a, flat), axis, pairs)
    return either(x * cos + either(turned, -back) * sin, x * cos - back * sin)


def _by_pairs(x: Form, cos: Form, sin: Form, a: Form, b: Form, axis: Form, pairs: Form, flat: Form) -> Form:
    first, second = _half(x, a, flat), _half(x, b, flat)
    real = either(first * cos - second * sin, first * cos + _minus_half(x, b, flat) * sin)
    return _joined(real, second * cos + first * sin, axis, pairs)


def _which(x: Term, cut: Values) -> tuple[int, bool] | None:
    """Whether a slice has the first or the second of each pair, and whether the two of a pair are neighbours."""
    *front, last = zip(dims(cut, "starts"), dims(cut, "stops"), ints(cut, "strides"), strict=True)
    features = x.dims[-1].value or 0
    is_of_pairs = len(front) == len(x.dims)
    if not is_of_pairs and len(front) != len(x.dims) - 1:
        return None
    sizes = (*x.dims[:-1], Dim.of(features // 2)) if is_of_pairs else x.dims[:-1]
    if any(row != (ZERO, size, 1) for row, size in zip(front, sizes, strict=True)) or features % 2:
        return None
    start, stop, stride = last[0].value, last[1].value or 0, last[2]
    for second in (0, 1):
        if is_of_pairs and (start, stop) == (second, second + 1):
            return second, True
        if not is_of_pairs and stride == 2 and start == second and stop >= features - 1 + second:
            return second, True
        if not is_of_pairs and (start, stop, stride) == (
            second * features // 2,
            (1 + second) * features // 2,
            1,
        ):
            return second, False
    return None


def _turned(
    x: Term,
    cos: Term,
    sin: Term,
    a: Values,
    b: Values,
    axis: int,
    pairs: Shape | None = None,
    flat: Shape | None = None,
) -> Term | None:
    """The op, where one slice has the first of each pair, the other the second, and they are joined as they were cut."""
    is_inner = pairs is not None
    half = (*x.dims[:-1], x.dims[-1] // 2)
    if _which(x, a) != (0, is_inner) or _which(x, b) != (1, is_inner):
        return None
    if axis != len(x.dims) - (not is_inner) or pairs not in (None, (*half, ONE)) or flat not in (None, half):
        return None
    return x.of("rotary_embedding", cos, sin, interleaved=is_inner)


def _rule(name: str, written: Callable[..., Form]) -> Pattern:
    return recognised(
        name,
        lambda x, cos, sin, a=NUMBER, b=NUMBER, axis=NUMBER, pairs=NUMBER, flat=NUMBER: written(
            x, cos, sin, a, b, axis, pairs, flat
        ),
        _turned,
    )


@pattern(OPS["rotary_embedding"])
def rotary_of_equal_pairs(op: GraphOp, rewriter: Rewriter) -> None:
    """rotary(x, c for both of each pair, s) = rotary(x, c, s)"""
    x, *tables = op.operands
    is_inner = bool(op.values()["interleaved"])
    halves = [_half_of(table, is_inner) or table for table in tables]
    if halves != tables:
        rewriter.replace(op, make("rotary_embedding", [x, *halves], op.values()))


def _half_of(table: SSAValue, is_inner: bool) -> SSAValue | None:
    """What a table of cosines or sines has for the pairs, where both features of each have the same."""
    if not is_inner:
        joined = produced_by(table, "concat")
        is_last = joined is not None and joined.values()["axis"] == len(dims_of(table.type)) - 1  # pyright: ignore
        parts = list(joined.operands) if joined is not None and is_last else []
        return parts[0] if len(parts) == 2 and parts[0] is parts[1] else None
    values: list[SSAValue] = [table]
    for name in ("reshape", "broadcast", "reshape"):
        inner = produced_by(values[-1], name)
        if inner is None:
            return None
        values.append(inner.operands[0])
    _, twice, narrow, source = values
    *front, features = dims_of(table.type)
    half = (*front, features // 2)
    is_repeated = dims_of(twice.type) == (*half, Dim.of(2)) and dims_of(narrow.type) == (*half, ONE)
    return source if is_repeated and dims_of(source.type) == half else None


RULES: tuple[Pattern, ...] = (
    _rule("rotary_of_sum", _sum),
    _rule("rotary_of_pairs", _by_pairs),
    *unless_scheduled((rotary_of_equal_pairs,)),
)
