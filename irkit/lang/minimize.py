"""The transformation `minimize`: a step of training, which is forward, backward and the update of parameters in one function.

    fn step = minimize(loss, wrt=params, optimizer=adamw(lr=1e-3), schedule=cosine_decay(steps=1000), clip=1.0)

An optimiser is an op, of irkit's own (`irkit/optimisers/`) or of the file. Its operands `param`, `grad`, `step` (the number
of the step, from 1 on) and `scale` (what the schedule gives) are bound by name, in any order and as far as it has them; all
others are state, which is of the parameter's type and begins with zeros. It returns the new parameter, then the new state in
the order of the head. A schedule is an op of one operand, the number of steps that are done, which gives a factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from xdsl.ir import SSAValue

from dialects import graph
from dialects.names import unique
from dialects.types import type_text
from irkit.diagnostics import nearest
from irkit.lang import tree
from irkit.lang.builder import type_of
from irkit.lang.derivatives import value_and_grad
from irkit.lang.made import results_of, taken_names
from irkit.lang.op_calls import Calls
from irkit.lang.transforms import Made, Site, transform
from irkit.lang.wrt import PARAMS, Wrt, wrt_of

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter

GIVEN = ("param", "grad", "step", "scale")
"""The operands of an optimiser that are no state."""

OPTIMISERS = ("sgd", "adam", "adamw", "adagrad", "rmsprop")
SCHEDULES = ("constant_rate", "cosine_decay", "linear_decay", "step_decay", "exponential_decay")
COUNTER = "i64"
USAGE = "minimize(loss, wrt=params, optimizer=adamw(lr=1e-3), schedule=cosine_decay(steps=1000), clip=1.0, clip_value=0.5)"


@transform(USAGE, "wrt", "optimizer", "schedule", "clip", "clip_value")
def minimize(site: Site) -> Made:
    """All results of the loss; then, as updates of arguments, the new parameters, their state, and the number of steps."""
    site = replace(site, settings={"wrt": tree.Name(PARAMS, site.node.callee.span)} | dict(site.settings))
    wrt = _parameters(site)
    optimiser, settings = _op(site, "optimizer", OPTIMISERS)
    kinds = [o.name.id for o in optimiser.operands]
    if "param" not in kinds or "grad" not in kinds:
        raise site.error(
            f"'{optimiser.name.id}' is no optimiser",
            site.settings["optimizer"],
            found=f"operands {', '.join(kinds)}",
            expected="operands named param and grad",
        )
    schedule = _op(site, "schedule", SCHEDULES) if "schedule" in site.settings else None
    if schedule is not None and len(schedule[0].operands) != 1:
        raise site.error(
            f"'{schedule[0].name.id}' is no schedule",
            site.settings["schedule"],
            expected="an op of one operand, the number of steps that are done",
        )
    clips = {n: _number(site, n) for n in ("clip", "clip_value") if n in site.settings}
    states, counter = _states(site, wrt, [k for k in kinds if k not in GIVEN])
    inputs = [*site.base.inputs, *(i for own in states for i in own), counter]
    gradients = value_and_grad(replace(site, settings={"wrt": site.settings["wrt"]}))
    values = results_of(site.base)
    count = len(site.base.inputs)

    def emit(emitter: Emitter, args: Sequence[SSAValue]) -> list[SSAValue]:
        calls = Calls(emitter, site)
        found = gradients.emit(emitter, args[:count])
        grads = calls.clipped(found[len(values) :], clips)
        loc = emitter.loc(site.node)
        done = args[-1]
        one = emitter.builder.number(1, type_of(done).element_type, loc)
        step = emitter.builder.one("add", [done, one], loc)
        kept = iter(args[count:-1])
        params: list[SSAValue] = []
        moved: list[SSAValue] = []
        for w, grad, own in zip(wrt, grads, states, strict=True):
            held = [next(kept) for _ in own]
            operands: dict[str, SSAValue | float] = {
                "param": emitter.param_value(w.name, w.node),
                "grad": grad,
                "step": calls.counted(step, type_of(grad).element_type),
                "scale": 1.0
                if schedule is None
                else calls.factor(schedule, done, type_of(grad).element_type),
                **dict(zip((k for k in kinds if k not in GIVEN), held, strict=True)),
            }
            results = calls.op(optimiser, {k: operands[k] for k in kinds}, settings)
            _check_results(site, optimiser, w, results, [operands["param"], *held])
            results = _past_idle(results, held)
            params.append(results[0])
            moved += results[1:]
        return [*found[: len(values)], *params, *moved, step]

    updated = [*(w.name for w in wrt), *(i.name.id for i in inputs[count:])]
    types = [*(w.type for w in wrt), *(i.type for i in inputs[count:])]
    span = site.node.span
    results = [tree.Result(f"new_{n}", t, span) for n, t in zip(updated, types, strict=True)]
    made = site.made(inputs, [*values, *results], emit)
    return replace(
        made,
        states=frozenset(i.name.id for i in inputs[count:]),
        updates=(*(None for _ in values), *updated),
    )


def _parameters(site: Site) -> list[Wrt]:
    found = wrt_of(site)
    for w in found:
        if not w.is_param:
            raise site.error(
                f"minimize changes parameters, and '{w.name}' is an input",
                w.node,
                expected="parameters of the file, or params for all",
                hint=f"declare it: param {w.name}: {w.type} = zeros()",
            )
    return found


def _op(site: Site, setting: str, known: Sequence[str]) -> tuple[tree.OpDecl, tuple[tree.Keyword, ...]]:
    """The op that a setting calls, and the settings of the op. Raises IrkitError."""
    node = site.settings.get(setting)
    expected = f"one of {', '.join(known)}, or an op of the file"
    if node is None:
        raise site.error(
            f"minimize needs '{setting}'", site.node, expected=expected, hint=f"{setting}={known[0]}()"
        )
    if isinstance(node, tree.Name):
        node = tree.Call(node, (), (), node.span)
    name = node.callee if isinstance(node, tree.Call) else None
    decl = site.program.ops.get(name.id) if name is not None else None
    if decl is None or not isinstance(node, tree.Call):
        hint = nearest(name.id, known) if name is not None else None
        text = f"'{name.id}'" if name is not None else "this"
        raise site.error(f"{text} is no op to use as {setting}", node, expected=expected, hint=hint)
    names = [s.name.id for s in decl.settings]
    if len(node.args) > len(names):
        raise site.error(f"too many settings for '{decl.name.id}'", node, expected=", ".join(names))
    given = [tree.Keyword(n, a, a.span) for n, a in zip(names, node.args, strict=False)]
    for keyword in node.keywords:
        if keyword.name not in names or keyword.name in [k.name for k in given]:
            fault = "is given twice" if keyword.name in names else "is no setting"
            raise site.error(
                f"'{keyword.name}' {fault} of '{decl.name.id}'",
                keyword,
                expected=", ".join(names) or "none",
                hint=nearest(keyword.name, names),
            )
        given.append(keyword)
    return decl, tuple(given)


def _number(site: Site, setting: str) -> float:
    node = site.settings[setting]
    value = site.program.number(node)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise site.error(
            f"bad setting '{setting}' of minimize", node, found=str(value), expected="a number above 0"
        )
    return float(value)


def _states(
    site: Site, wrt: Sequence[Wrt], kinds: Sequence[str]
) -> tuple[list[list[tree.Input]], tree.Input]:
    """The inputs that hold the state of each parameter, and the one that counts steps."""
    taken = taken_names(site) | {r.name for r in site.base.results if r.name}

    def zeros(name: str, type_: tree.TypeRef) -> tree.Input:
        span = site.node.callee.span
        init = tree.Call(tree.Name("zeros", span), (), (), span)
        return tree.Input(
            tree.Name(unique(name, taken, first=2), span), replace(type_, span=span), init, span
        )

    states = [[zeros(f"{w.name}_{kind}", w.type) for kind in kinds] for w in wrt]
    return states, zeros("step", tree.TypeRef(COUNTER, (), site.node.callee.span))


def _check_results(
    site: Site, optimiser: tree.OpDecl, w: Wrt, results: Sequence[SSAValue], olds: Sequence[object]
) -> None:
    wanted = [type_of(v) for v in olds if isinstance(v, SSAValue)]
    if [v.type for v in results] != wanted:
        raise site.error(
            f"'{optimiser.name.id}' does not give what an optimiser gives for '{w.name}'",
            site.settings["optimizer"],
            found=", ".join(type_text(type_of(v)) for v in results),
            expected=", ".join(map(type_text, wanted)),
            hint="return the new parameter, then the new state in the order of the operands",
        )


def _past_idle(results: Sequence[SSAValue], held: Sequence[SSAValue]) -> list[SSAValue]:
    """The results, where a state that the optimiser neither reads nor changes stands for itself, and is not read any more."""
    op = results[0].owner
    assert isinstance(op, graph.CustomOp)
    end = op.body.block.last_op
    assert end is not None
    found = list(results)
    for number, state in enumerate(held, 1):
        inner = op.body.block.args[list(op.operands).index(state)]
        if end.operands[number] is inner:
            found[number] = state
            if len(list(inner.uses)) == 1:
                op.operands[inner.index] = op.operands[0]
    return found
