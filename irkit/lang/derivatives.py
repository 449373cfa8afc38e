"""The transformations `grad`, `value_and_grad`, `vjp`, `jvp` and `vmap`: their heads, and the region ops that they emit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from xdsl.ir import Block, Region, SSAValue

from dialects import graph
from dialects.dims import Dim
from dialects.graph.derivatives import JvpOp, VjpOp, VmapOp
from dialects.types import dims_of, tensor
from irkit.lang import tree
from irkit.lang.builder import type_of
from irkit.lang.transforms import Function, Made, Site, transform
from irkit.lang.wrt import Wrt, is_float_type, wrt_of

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter

# -- reverse mode -----------------------------------------------------------------------------------------------


@transform("grad(f, wrt=[x, w])", "wrt")
def grad(site: Site) -> Made:
    """The gradients of the first result, a float scalar; other results are left out."""
    wrt = wrt_of(site)
    _check_loss(site)

    def emit(emitter: Emitter, args: Sequence[SSAValue]) -> list[SSAValue]:
        op = _gradient(emitter, site, wrt, args)
        return list(op.results[-len(wrt) :])

    return site.made(site.base.inputs, _cotangents(wrt, []), emit)


@transform("value_and_grad(f, wrt=[x, w])", "wrt")
def value_and_grad(site: Site) -> Made:
    """All results, then the gradients of the first, a float scalar."""
    wrt = wrt_of(site)
    _check_loss(site)
    values = results_of(site.base)

    def emit(emitter: Emitter, args: Sequence[SSAValue]) -> list[SSAValue]:
        return list(_gradient(emitter, site, wrt, args).results)

    return site.made(site.base.inputs, _cotangents(wrt, values), emit)


@transform("vjp(f, wrt=[x, w])", "wrt")
def vjp(site: Site) -> Made:
    """It takes a seed for each float result too; gives the results, then the cotangents."""
    wrt = wrt_of(site)
    values = results_of(site.base)
    seeded = [n for n, r in enumerate(values) if is_float_type(r.type)]
    if not seeded:
        raise site.error(
            f"'{site.base.name.id}' has no result to differentiate",
            site.node.args[0],
            found=", ".join(str(r.type) for r in values),
            expected="a result of floats",
        )
    taken = _taken(site)
    inputs = list(site.base.inputs)
    for n in seeded:
        name = values[n].name
        wanted = f"seed_{name}" if name else "seed" if len(values) == 1 else f"seed{n}"
        inputs.append(_input(_fresh(wanted, taken), values[n].type, site))
    order = [*seeded, *(n for n in range(len(values)) if n not in seeded)]
    count = len(site.base.inputs)

    def emit(emitter: Emitter, args: Sequence[SSAValue]) -> list[SSAValue]:
        given, region = _body(emitter, site, wrt, args[:count], order)
        op = _add(emitter, VjpOp(given, args[count:], region), site)
        place = dict(zip(order, op.results, strict=False))
        return [*(place[n] for n in range(len(order))), *op.results[len(order) :]]

    return site.made(inputs, _cotangents(wrt, values), emit)


def _check_loss(site: Site) -> None:
    """Raises IrkitError unless the first result is a scalar of floats."""
    first = site.base.results[0].type
    if first.dims or not is_float_type(first):
        raise site.error(
            f"{site.node.callee.id} takes a function that gives a float scalar",
            site.node.args[0],
            found=f"{first} from '{site.base.name.id}'",
            expected="f32, or another dtype of floats",
            hint="reduce it, as by mean(...)" if is_float_type(first) else "vjp and jvp take other functions",
        )


def _gradient(emitter: Emitter, site: Site, wrt: Sequence[Wrt], args: Sequence[SSAValue]) -> VjpOp:
    given, region = _body(emitter, site, wrt, args, None)
    first = region.block.last_op
    assert first is not None
    one = emitter.builder.number(1.0, type_of(first.operands[0]).element_type, emitter.loc(site.node))
    op = VjpOp(given, [one], region)
    _add(emitter, op, site)
    return op


def _cotangents(wrt: Sequence[Wrt], values: Sequence[tree.Result]) -> list[tree.Result]:
    return named([*values, *(tree.Result(f"d_{w.name}", w.type, w.span) for w in wrt)])


# -- forward mode -----------------------------------------------------------------------------------------------


@transform("jvp(f, wrt=[x, w])", "wrt")
def jvp(site: Site) -> Made:
    """It takes a direction for each of wrt too; gives the results, then the derivatives of those of floats."""
    wrt = wrt_of(site)
    values = results_of(site.base)
    taken = _taken(site)
    inputs = [*site.base.inputs, *(_input(_fresh(f"t_{w.name}", taken), w.type, site) for w in wrt)]
    count = len(site.base.inputs)
    along = [
        tree.Result(f"t_{r.name}" if r.name else None, r.type, r.span)
        for r in values
        if is_float_type(r.type)
    ]

    def emit(emitter: Emitter, args: Sequence[SSAValue]) -> list[SSAValue]:
        given, region = _body(emitter, site, wrt, args[:count], None)
        return _add(emitter, JvpOp(given, args[count:], region), site).results  # pyright: ignore

    return site.made(inputs, named([*values, *along]), emit)


# -- mapping ----------------------------------------------------------------------------------------------------


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
        _fill(emitter, site, block, inner, {}, None)
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


# -- bodies -----------------------------------------------------------------------------------------------------


def _body(
    emitter: Emitter, site: Site, wrt: Sequence[Wrt], args: Sequence[SSAValue], order: Sequence[int] | None
) -> tuple[list[SSAValue], Region]:
    """What an op differentiates with respect to, and its body, which gives the results in an order."""
    places = {i.name.id: n for n, i in enumerate(site.base.inputs)}
    given = [emitter.param_value(w.name, w.node) if w.is_param else args[places[w.name]] for w in wrt]
    block = Block(arg_types=[v.type for v in given])
    inner = list(args)
    params: dict[str, SSAValue] = {}
    for w, arg in zip(wrt, block.args, strict=True):
        arg.name_hint = w.name
        if w.is_param:
            params[w.name] = arg
        else:
            inner[places[w.name]] = arg
    _fill(emitter, site, block, inner, params, order)
    return given, Region(block)


def _fill(
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


def _add(emitter: Emitter, op: VjpOp | JvpOp, site: Site) -> VjpOp | JvpOp:
    emitter.builder.add(op, emitter.loc(site.node))
    return op


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
    return [r if r.name is None else replace(r, name=_fresh(r.name, taken)) for r in results]


def _taken(site: Site) -> set[str]:
    return {*(i.name.id for i in site.base.inputs), *site.program.params, *site.program.dims}


def _fresh(wanted: str, taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name


def _input(name: str, type_: tree.TypeRef, site: Site) -> tree.Input:
    return tree.Input(tree.Name(name, site.node.span), type_, None, site.node.span)
