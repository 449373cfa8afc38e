"""graph-fold-pads: windows read beyond the edges themselves, and slices take back what pads put there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ZERO, Dim
from dialects.graph import OPS, GraphOp, make
from dialects.graph.carrying import has_quantised
from dialects.graph.contraction import AvgPool2dOp, Conv2dOp, MaxPool2dOp, Pool
from dialects.graph.derived.arrangement import PadOp
from dialects.graph.derived.convolution import Convolution
from dialects.graph.movement import SliceOp
from dialects.graph.ranges import least, symbol_ranges
from dialects.graph.shapes import dims, edges, extents, ints, number, two
from dialects.types import DTYPES, dims_of, dtype_name, integer_range, is_float
from lowering.graph.simplify.values import type_of
from lowering.rewriting import Pattern, Rewriter, is_scheduled, pattern, rewrite_greedily, unless_scheduled


@dataclass(frozen=True)
class GraphFoldPads(ModulePass):
    """Folds pads into the windows that read them, and into each other; slices into pads and slices.

    Expects: functions at the graph level.
    Does: (1) a pad by zeros becomes padding of the convolution that reads it, or of a mean pooling that counts its padding;
    (2) so does a pad of a max pooling by what is no greater than any element, -inf or 0 behind relu, and of a pooling as
    far as half its window; (3) a pad of a pad by the same value, or of edges, is one pad, and a pad by nothing none;
    (4) a slice inside of what was padded is a slice of that; (5) a slice of a slice is one slice. Widths that are dims,
    quantised elements, and what the program schedules, stay as they are.
    Leaves: a function at the graph level, and the same numbers: only the sign of a zero may differ.
    """

    name = "graph-fold-pads"

    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and any(isinstance(o, PadOp | SliceOp) for o in function.walk()):
                for name, count in rewrite_greedily(function, PATTERNS).items():
                    self.stats[name] = self.stats.get(name, 0) + count


# -- pads -----------------------------------------------------------------------------------------------------------


def pad_of(value: SSAValue) -> PadOp | None:
    """The pad that makes a value, if it is one of plain elements that the program gives no schedule of its own."""
    op = value.owner
    if not isinstance(op, PadOp) or is_scheduled(op):
        return None
    return None if has_quantised([type_of(value)]) else op


def known_pads(op: PadOp) -> list[tuple[int, int]] | None:
    """The widths before and after each dim, if they are numbers."""
    flat = [p.value for p in extents(op.values(), "pads")]
    if any(p is None for p in flat):
        return None
    return list(zip(flat[::2], flat[1::2], strict=True))  # pyright: ignore[reportReturnType]


def constant_of(op: PadOp) -> float | None:
    """What a pad puts at all edges."""
    values = op.values()
    return number(values, "value") if values["mode"] == "constant" else None


@pattern(PadOp)
def pad_by_nothing(op: PadOp, rewriter: Rewriter) -> None:
    """pad(x, 0 0 ...) = x"""
    if all(p == ZERO for p in extents(op.values(), "pads")):
        rewriter.replace_with_values(op, op.operands)


@pattern(PadOp)
def pad_of_pad(op: PadOp, rewriter: Rewriter) -> None:
    """pad(pad(x, p), q) = pad(x, p + q), where both put in the same value, or the edge"""
    inner = pad_of(op.operands[0])
    if inner is None:
        return
    values, first = op.values(), inner.values()
    is_same = values["mode"] == first["mode"] and str(values["value"]) == str(first["value"])
    if values["mode"] not in ("constant", "edge") or not is_same:
        return
    pads = [p + q for p, q in zip(extents(first, "pads"), extents(values, "pads"), strict=True)]
    rewriter.replace(op, make("pad", inner.operands, {**values, "pads": pads}), absorbed=(inner,))


# -- windows --------------------------------------------------------------------------------------------------------


@pattern(Conv2dOp, Convolution)
def conv_of_pad(op: GraphOp, rewriter: Rewriter) -> None:
    """conv(pad(x, p, 0), w, padding=q) = conv(x, w, padding=p + q)"""
    inner = pad_of(op.operands[0])
    if inner is not None and constant_of(inner) == 0:
        put_padding(op, inner, len(dims_of(op.operands[0].type)) - 2, rewriter)  # pyright: ignore[reportArgumentType]


@pattern(AvgPool2dOp)
def avg_pool_of_pad(op: AvgPool2dOp, rewriter: Rewriter) -> None:
    """avg_pool(pad(x, p, 0), padding=q) = avg_pool(x, padding=p + q), where padding counts"""
    inner = pad_of(op.operands[0])
    if inner is not None and constant_of(inner) == 0 and op.values()["count_padding"]:
        put_padding(op, inner, 2, rewriter)


@pattern(MaxPool2dOp)
def max_pool_of_pad(op: MaxPool2dOp, rewriter: Rewriter) -> None:
    """max_pool(pad(x, p, v), padding=q) = max_pool(x, padding=p + q), where v is no greater than any x"""
    inner = pad_of(op.operands[0])
    value = None if inner is None else constant_of(inner)
    if inner is None or value is None or type_of(op.operands[0]).element_type in NO_INFINITY:
        return
    if value <= lower_bound(inner.operands[0]):
        put_padding(op, inner, 2, rewriter)


def put_padding(op: GraphOp, inner: PadOp, rank: int, rewriter: Rewriter) -> None:
    """Lets an op over windows of the last dims pad by itself; a pooling does as far as half its window."""
    pads, values = known_pads(inner), op.values()
    if pads is None or any(map(any, pads[: len(pads) - rank])):
        return
    both = [
        (before + p, after + q)
        for (before, after), (p, q) in zip(edges(values, rank), pads[len(pads) - rank :], strict=True)
    ]
    if isinstance(op, Pool):
        kernel = two(values, "kernel")
        if any(2 * max(edge) > size for edge, size in zip(both, kernel, strict=True)):
            return
    padding = [p for edge in both for p in edge]
    operands = [inner.operands[0], *op.operands[1:]]
    new = make(op.name.removeprefix("graph."), operands, {**values, "padding": padding})
    rewriter.replace(op, new, absorbed=(inner,))


NO_INFINITY = (DTYPES["f8e4m3"],)
"""What a pad by -inf is NaN in."""

NEVER_NEGATIVE = frozenset({"relu", "relu6", "abs", "exp", "sigmoid", "softmax"})
"""Ops of floats that give nothing below zero, but NaN."""

SAME_ELEMENTS = frozenset({"reshape", "transpose", "slice", "broadcast", "max_pool2d"})
"""Ops of which each result is an element of what they read."""


def lower_bound(value: SSAValue) -> float:
    """What no element of a value is less than."""
    source = value
    while isinstance(op := source.owner, GraphOp) and op.name.removeprefix("graph.") in SAME_ELEMENTS:
        source = op.operands[0]
    element, op = type_of(value).element_type, source.owner
    if isinstance(op, GraphOp) and is_float(element) and op.name.removeprefix("graph.") in NEVER_NEGATIVE:
        return 0.0
    if isinstance(op, OPS["relu"]):
        return 0.0
    return -math.inf if is_float(element) else integer_range(dtype_name(element))[0]


# -- slices ---------------------------------------------------------------------------------------------------------

Range = tuple[Dim, Dim, int]
"""Start, stop and stride along a dim."""


def ranges(op: SliceOp) -> list[Range]:
    values = op.values()
    return list(zip(dims(values, "starts"), dims(values, "stops"), ints(values, "strides"), strict=True))


def put_ranges(op: SliceOp, inner: GraphOp, found: Sequence[Range], rewriter: Rewriter) -> None:
    """Puts a slice of what an op reads in the place of another, if it is seen to stay inside for all sizes."""
    sizes, known = dims_of(type_of(inner.operands[0])), symbol_ranges(op)
    rooms = [d for (start, stop, _), size in zip(found, sizes, strict=True) for d in (start, size - stop)]
    if any(d.value is None and least(d, known) < 0 for d in rooms):
        return
    starts, stops, strides = zip(*found, strict=True)
    new = make("slice", inner.operands, {"starts": starts, "stops": stops, "strides": strides})
    rewriter.replace(op, new, absorbed=(inner,))


@pattern(SliceOp)
def slice_of_pad(op: SliceOp, rewriter: Rewriter) -> None:
    """pad(x, p)[a:b] = x[a - p:b - p], where nothing of the pad is in it"""
    inner = pad_of(op.operands[0])
    if inner is None:
        return
    before = extents(inner.values(), "pads")[::2]
    found = [
        (start - p, stop - p, stride) for (start, stop, stride), p in zip(ranges(op), before, strict=True)
    ]
    sizes = dims_of(type_of(inner.operands[0]))
    lows = [start.value for start, _, _ in found]
    rooms = [(size - stop).value for (_, stop, _), size in zip(found, sizes, strict=True)]
    if all(n is not None and n >= 0 for n in (*lows, *rooms)):
        put_ranges(op, inner, found, rewriter)


@pattern(SliceOp)
def slice_of_slice(op: SliceOp, rewriter: Rewriter) -> None:
    """x[a:b][c:d] = x[a + c:a + d]; with strides s and t, x[a + c * s:...:s * t]"""
    inner = op.operands[0].owner
    if not isinstance(inner, SliceOp) or is_scheduled(inner) or has_quantised([type_of(op.results[0])]):
        return
    found = [joined(first, second) for first, second in zip(ranges(inner), ranges(op), strict=True)]
    if all(r is not None for r in found):
        put_ranges(op, inner, [r for r in found if r is not None], rewriter)


def joined(first: Range, second: Range) -> Range | None:
    """The range that a range of what another one takes is."""
    (a, _, s), (c, d, t) = first, second
    if s == 1:
        return a + c, a + d, t
    width = (d - c).value
    if width is None:
        return None
    last = max(0, (-(-width // t) - 1) * s * t + 1) if width else 0
    return a + c * s, a + c * s + last, s * t


PATTERNS: tuple[Pattern, ...] = unless_scheduled(
    (pad_by_nothing, pad_of_pad, conv_of_pad, avg_pool_of_pad, max_pool_of_pad, slice_of_pad, slice_of_slice)
)
"""The rules, in the order in which they are tried at an op."""
