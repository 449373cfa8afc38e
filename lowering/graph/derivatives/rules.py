"""The tables of derivatives, by op, and how entries are made.

A rule of reverse mode takes a `Step` and gives, for each operand, the sum over the results of cotangent times derivative,
or None. Elementwise ops state partial derivatives once, for both modes: a partial takes what it multiplies, the result,
and the operands. Terms of a step make graph ops, so that rules are differentiated in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeAlias

from xdsl.ir import Operation

from dialects.dims import ONE, Dim
from dialects.graph.base import GraphOp, Value, short_name
from dialects.graph.sketch import Sketch, Term


@dataclass(frozen=True)
class Step:
    """One op of a walk: its operands x, its results y, cotangents or tangents g (None for zero), and which operands count."""

    op: Operation
    sketch: Sketch
    x: Sequence[Term]
    y: Sequence[Term]
    g: Sequence[Term | None]
    wanted: Sequence[bool]
    values: Mapping[str, Value]

    @property
    def cotangent(self) -> Term:
        """That of the only result."""
        (g,) = self.g
        assert g is not None
        return g

    def tangent(self, number: int) -> Term:
        """That of an operand which has one."""
        g = self.g[number]
        assert g is not None
        return g


Rule: TypeAlias = "Callable[[Step], Sequence[Term | None]]"
Partial: TypeAlias = "Callable[..., Term]"

REVERSE: dict[str, Rule] = {}
"""Rules of reverse mode by the short name of the op; derived ops without one are differentiated by their formula."""

FORWARD: dict[str, Rule] = {}
"""Rules of forward mode: g holds a tangent for each operand, the rule gives one for each result."""

PARTIALS: dict[str, tuple[Partial | None, ...]] = {}
"""Elementwise ops: for each operand the partial derivative as `partial(t, y, *x, **parameters)`, the product with t."""

CONSTANT: set[str] = set()
"""Ops whose results do not change, or change by jumps: their derivative is zero."""


def reverse(*names: str) -> Callable[[Rule], Rule]:
    """Enters a rule of reverse mode."""

    def enter(rule: Rule) -> Rule:
        REVERSE.update(dict.fromkeys(names, rule))
        return rule

    return enter


def forward(*names: str) -> Callable[[Rule], Rule]:
    """Enters a rule of forward mode."""

    def enter(rule: Rule) -> Rule:
        FORWARD.update(dict.fromkeys(names, rule))
        return rule

    return enter


def step_of(op: Operation, sketch: Sketch, g: Sequence[Term | None], wanted: Sequence[bool]) -> Step:
    """The step of an op, with its parameters."""
    values = op.values() if isinstance(op, GraphOp) else {}
    x, y = ([sketch.term(v) for v in vs] for vs in (op.operands, op.results))
    return Step(op, sketch, x, y, g, wanted, values)


def has_rule(op: Operation) -> bool:
    """Whether an op has a rule of its own."""
    return (name := short_name(op)) in REVERSE or name in PARTIALS or name in CONSTANT


def pulled_back(step: Step) -> Sequence[Term | None]:
    """The cotangents of the operands of an op that has a rule."""
    name = short_name(step.op)
    if name in REVERSE:
        return REVERSE[name](step)
    out: list[Term | None] = []
    for partial, x, wanted in zip(PARTIALS[name], step.x, step.wanted, strict=True):
        if partial is None or not wanted:
            out.append(None)
        else:
            out.append(summed_to(partial(step.cotangent, step.y[0], *step.x, **step.values), x.dims))
    return out


def has_forward_rule(op: Operation) -> bool:
    """Whether an op has a rule of its own in forward mode."""
    return (name := short_name(op)) in FORWARD or name in PARTIALS or name in CONSTANT


def pushed_forward(step: Step) -> Sequence[Term | None]:
    """The tangents of the results of an op that has a rule."""
    name = short_name(step.op)
    if name in FORWARD:
        return FORWARD[name](step)
    parts: list[Term | None] = []
    for partial, t in zip(PARTIALS[name], step.g, strict=True):
        parts.append(None if partial is None or t is None else partial(t, step.y[0], *step.x, **step.values))
    total = added(parts)
    return [None if total is None else spread_to(total, step.y[0].dims)]


def added(parts: Sequence[Term | None]) -> Term | None:
    """The sum of those that are there."""
    known = [t for t in parts if t is not None]
    return reduce(add, known) if known else None


# -- shapes -------------------------------------------------------------------------------------------------------


def summed_to(t: Term, dims: Sequence[Dim]) -> Term:
    """The transpose of broadcasting from dims: sums over the dims that it made."""
    if t.dims == tuple(dims):
        return t
    lead = len(t.dims) - len(dims)
    wide = [i + lead for i, d in enumerate(dims) if d == ONE and t.dims[i + lead] != ONE]
    axes = (*range(lead), *wide)
    return t.of("reduce_sum", axes=axes).reshape(dims) if axes else t.reshape(dims)


def spread_to(t: Term, dims: Sequence[Dim]) -> Term:
    """Broadcast to dims, where it has others."""
    return t if t.dims == tuple(dims) else t.of("broadcast", shape=tuple(dims))


def filled(sketch: Sketch, like: Term, number: float = 0.0) -> Term:
    """A number, zero where none is given, in the shape and dtype of another term."""
    return spread_to(sketch.number(number, like.type.element_type), like.dims)
