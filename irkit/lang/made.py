"""What transformations share: names and types of heads, and functions inside of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from xdsl.ir import Block, SSAValue

from dialects import graph
from dialects.names import unique
from irkit.lang import tree
from irkit.lang.transforms import Function, Site

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter


def fill(
    emitter: Emitter,
    site: Site,
    block: Block,
    args: Sequence[SSAValue],
    params: Mapping[str, SSAValue],
    order: Sequence[int] | None,
) -> None:
    """Appends a function to a block, with other values for some parameters."""
    outside, emitter.builder.block = emitter.builder.block, block
    before = {name: emitter.params.get(name) for name in params}
    emitter.params.update(params)
    try:
        values = emitter.apply(site.base, args, site.node)
    finally:
        emitter.builder.block = outside
        for name, value in before.items():
            if value is not None:
                emitter.params[name] = value
    end = graph.YieldOp(*(values if order is None else [values[n] for n in order]))
    end.location = emitter.loc(site.node).attr()
    block.add_op(end)


# -- heads ------------------------------------------------------------------------------------------------------


def results_of(fn: Function) -> list[tree.Result]:
    """The results of a function, named as they are declared, or like the values that are returned."""
    last = fn.body[-1] if isinstance(fn, tree.FnDecl) and fn.body else None
    values = last.values if isinstance(last, tree.Return) and len(last.values) == len(fn.results) else ()
    hints = [v.id if isinstance(v, tree.Name) else None for v in values] or [None] * len(fn.results)
    return [replace(r, name=r.name or hint) for r, hint in zip(fn.results, hints, strict=True)]


def named(results: Iterable[tree.Result]) -> list[tree.Result]:
    """Results with distinct names, as far as they have names."""
    taken: set[str] = set()
    return [r if r.name is None else replace(r, name=unique(r.name, taken, first=2)) for r in results]


def taken_names(site: Site) -> set[str]:
    return {*(i.name.id for i in site.base.inputs), *site.program.params, *site.program.dims}


def added_input(name: str, type_: tree.TypeRef, site: Site) -> tree.Input:
    return tree.Input(tree.Name(name, site.node.span), type_, None, site.node.span)
