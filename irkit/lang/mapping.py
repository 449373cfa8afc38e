"""The transformation `vmap`: its head, and the op that it emits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from xdsl.ir import Block, Region, SSAValue

from dialects.dims import Dim
from dialects.graph.derivatives import VmapOp
from dialects.types import dims_of, tensor
from irkit.lang import tree
from irkit.lang.builder import type_of
from irkit.lang.made import fill, results_of
from irkit.lang.transforms import Made, Site, transform

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter


@transform("vmap(f, size=B, axes=[0, none])", "size", "axes")
def vmap(site: Site) -> Made:
    """It takes the inputs with one more dim, and gives the results with one more, the first."""
    if "size" not in site.settings:
        raise site.error(
            "vmap needs 'size'",
            site.node,
            expected="vmap(f, size=B), where B is a dim, a number, or a name that a call binds",
        )
    node = site.settings["size"]
    unknown = isinstance(node, tree.Name) and node.id not in site.program.dims
    size = Dim.of(node.id) if unknown else site.program.integer(node)  # pyright: ignore
    axes = _axes(site)
    inputs = [
        item if axis is None else _mapped(site, item, axis, size, node)
        for item, axis in zip(site.base.inputs, axes, strict=True)
    ]
    results = [tree.Result(r.name, _with_dim(r.type, 0, size, r.span), r.span) for r in results_of(site.base)]
    mapped = [(n, axis) for n, axis in enumerate(axes) if axis is not None]

    def emit(emitter: Emitter, args: Sequence[SSAValue]) -> list[SSAValue]:
        whole = [args[n] for n, _ in mapped]
        inner = list(args)
        block = Block()
        for n, axis in mapped:
            dims = dims_of(args[n].type)
            part = tensor(type_of(args[n]).element_type, dims[:axis] + dims[axis + 1 :])
            inner[n] = block.insert_arg(part, len(block.args))
            inner[n].name_hint = site.base.inputs[n].name.id
        fill(emitter, site, block, inner, {}, None)
        count = dims_of(whole[0].type)[mapped[0][1]]
        op = VmapOp(count, whole, [axis for _, axis in mapped], Region(block))
        return list(emitter.builder.add(op, emitter.loc(site.node)).results)

    return site.made(inputs, results, emit)


def _axes(site: Site) -> list[int | None]:
    """For each input the dim along which it is taken apart, none for one that is whole. Raises IrkitError."""
    base = site.base.inputs
    node = site.settings.get("axes")
    if node is None:
        return [0] * len(base)
    items = node.items if isinstance(node, tree.ListOf) else (node,) * len(base)
    expected = f"a number or none for each of {', '.join(i.name.id for i in base)}"
    found = tree.text_of(node)
    axes: list[int | None] = []
    for item in items:
        text = tree.text_of(item) if isinstance(item, tree.Number | tree.Name) else str(item)
        if text != "none" and not text.lstrip("-").isdigit():
            raise site.error("bad axes of vmap", node, found=found, expected=expected)
        axes.append(None if text == "none" else int(text))
    if len(axes) != len(base) or all(a is None for a in axes):
        fault = "vmap takes nothing apart" if len(axes) == len(base) else "wrong number of axes"
        raise site.error(fault, node, found=found, expected=expected)
    for n, (axis, item) in enumerate(zip(axes, base, strict=True)):
        rank = len(item.type.dims) + 1
        if axis is not None and not -rank <= axis < rank:
            raise site.error(
                f"'{item.name.id}' has no dim {axis} to be taken apart along",
                node,
                found=f"{rank} dims, with that of vmap",
            )
        axes[n] = axis % rank if axis is not None else None
    return axes


def _mapped(site: Site, item: tree.Input, axis: int, size: Dim, node: tree.Expr) -> tree.Input:
    if item.type.quant is not None:
        raise site.error(
            f"vmap cannot take the quantised '{item.name.id}' apart",
            site.node,
            found=str(item.type),
            hint="leave it whole: none among the axes",
        )
    return replace(item, type=_with_dim(item.type, axis, size, node.span), default=None)


def _with_dim(type_: tree.TypeRef, axis: int, size: Dim, span: tree.Span) -> tree.TypeRef:
    dims = (*type_.dims[:axis], size, *type_.dims[axis:])
    return replace(type_, dims=dims, span=span)
