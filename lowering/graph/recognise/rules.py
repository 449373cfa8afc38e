"""Rules of graph-recognise: a form on the left, on the right what it is."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from dialects.graph import GraphOp, Mismatch
from dialects.graph.carrying import has_quantised
from dialects.graph.sketch import Sketch, Term
from dialects.types import is_float
from lowering.graph.recognise.forms import Form, form
from lowering.graph.recognise.match import Match, is_cheap, is_other_product, matches
from lowering.rewriting import Pattern, Rewriter, is_scheduled


def recognised(name: str, found: Callable[..., Form], made: Callable[..., Term | None]) -> Pattern:
    """The rule that what has the form `found` is what `made` makes of the holes: terms, numbers and parameters, by name.

    It holds where the ops in between have no other uses, and no schedules; `made` may give None where more is wanting.
    """
    wanted = form(found)
    needed = tuple(signature(made).parameters)

    def apply(op: Operation, rewriter: Rewriter) -> None:
        assert isinstance(op, GraphOp)
        known = Match({}, (), rewriter.memory)
        if is_other_product(wanted, op.results[0], known):
            return
        for match in matches(wanted, op.results[0], known):
            if not may_be_absorbed(op, match) or not computes_floats(op):
                continue
            sketch = Sketch()
            holes = {n: sketch.term(v) if isinstance(v, SSAValue) else v for n, v in match.found.items()}
            try:
                term = made(**{n: holes[n] for n in needed if n in holes})
            except Mismatch:  # the op does not take these operands
                term = None
            if term is not None and term.type == op.results[0].type:
                rewriter.replace(op, sketch.ops, [term.value], [o for o in match.ops if o is not op])
                return
            sketch.discard()

    return Pattern(name, wanted.roots, apply)  # pyright: ignore[reportArgumentType]


def computes_floats(op: Operation) -> bool:
    """Whether all tensors that an op has to do with are plain, and its result is of floats."""
    types = [v.type for v in (*op.operands, *op.results) if isinstance(v.type, TensorType)]
    return is_float(types[-1].element_type) and not has_quantised(types)


def may_be_absorbed(op: Operation, match: Match) -> bool:
    """Whether what an op is made of may go with it: nothing else uses it, and nobody has said how it is to run."""
    inside = {id(o) for o in match.ops}
    if any(map(is_scheduled, match.ops)):
        return False
    return all(
        o is op or is_cheap(o) or all(id(use.operation) in inside for r in o.results for use in r.uses)
        for o in match.ops
    )
