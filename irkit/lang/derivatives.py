"""The transformations `grad`, `value_and_grad`, `vjp` and `jvp`: their heads, and the ops that they emit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.ir import Block, Region, SSAValue

from dialects.graph.derivatives import JvpOp, VjpOp
from dialects.names import unique
from irkit.lang import tree
from irkit.lang.builder import type_of
from irkit.lang.made import added_input, fill, named, results_of, taken_names
from irkit.lang.transforms import Made, Site, transform
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
    taken = taken_names(site)
    inputs = list(site.base.inputs)
    for n in seeded:
        name = values[n].name
        wanted = f"seed_{name}" if name else "seed" if len(values) == 1 else f"seed{n}"
        inputs.append(added_input(unique(wanted, taken, first=2), values[n].type, site))
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
    taken = taken_names(site)
    inputs = [
        *site.base.inputs,
        *(added_input(unique(f"t_{w.name}", taken, first=2), w.type, site) for w in wrt),
    ]
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
    fill(emitter, site, block, inner, params, order)
    return given, Region(block)


def _add(emitter: Emitter, op: VjpOp | JvpOp, site: Site) -> VjpOp | JvpOp:
    emitter.builder.add(op, emitter.loc(site.node))
    return op
