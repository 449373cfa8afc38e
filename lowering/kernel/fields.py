"""Which axes each field of a kernel depends on."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.ir import Block, Operation, SSAValue

from dialects.kernel import DefOp, IndexOp, ReadOp, ReduceOp, ScanOp, WriteOp

Axes = frozenset[str]


def reduced_axes(kernel: DefOp) -> set[str]:
    """The axes that reductions remove."""
    return {a for op in kernel.block.ops if isinstance(op, ReduceOp) for a in op.axes}


def field_axes(kernel: DefOp) -> dict[SSAValue, Axes]:
    """The axes of every scalar value in the kernel, those inside reductions included.

    A reduction's state component has the axes of what flows into it, less the reduced ones; as a state feeds back into
    itself, its axes are the least fixed point of the step.
    """
    declared = {name for name, _ in kernel.axes.data}
    axes: dict[SSAValue, Axes] = {}
    for op in kernel.block.ops:
        _visit(op, axes, declared)
    return axes


def _visit(op: Operation, axes: dict[SSAValue, Axes], declared: set[str]) -> None:
    if isinstance(op, ReduceOp):
        _visit_reduce(op, axes, declared)
        return
    if isinstance(op, ScanOp):
        _visit_scan(op, axes, declared)
        return
    found: set[str] = set()
    if isinstance(op, ReadOp):
        for expr in op.index.data:
            found |= expr.names() & declared
    elif isinstance(op, IndexOp):
        found |= op.expr.data.names() & declared
    if not isinstance(op, WriteOp):
        for operand in op.operands:
            found |= axes.get(operand, frozenset())
        for result in op.results:
            axes[result] = frozenset(found)


def _visit_reduce(op: ReduceOp, axes: dict[SSAValue, Axes], declared: set[str]) -> None:
    inputs = [axes.get(v, frozenset()) for v in op.inputs]
    reduced = frozenset(op.axes)
    count = len(op.state_types)
    states: list[Axes] = [frozenset()] * count
    while True:
        # Inside the step elements still vary along the reduced axes; the state never does.
        yielded = _through(op.step.block, [*states, *inputs], axes, declared)
        following = [(a | b) - reduced for a, b in zip(states, yielded, strict=True)]
        if following == states:
            break
        states = following
    _through(op.init.block, [], axes, declared)
    _through(op.combine.block, states * 2, axes, declared)
    finished = _through(op.finish.block, states, axes, declared)
    axes.update(zip(op.results, finished, strict=True))


def _visit_scan(op: ScanOp, axes: dict[SSAValue, Axes], declared: set[str]) -> None:
    inputs = [axes.get(v, frozenset()) for v in op.inputs]
    states = [frozenset({op.along.data})] * len(op.results)
    while True:
        yielded = _through(op.step.block, [*states, *inputs], axes, declared)
        following = [a | b for a, b in zip(states, yielded, strict=True)]
        if following == states:
            break
        states = following
    _through(op.init.block, [], axes, declared)
    axes.update(zip(op.results, states, strict=True))


def _through(block: Block, args: list[Axes], axes: dict[SSAValue, Axes], declared: set[str]) -> list[Axes]:
    """Propagates through a region's block; returns the axes of what it yields."""
    axes.update(zip(block.args, args, strict=True))
    for op in block.ops:
        _visit(op, axes, declared)
    last = block.last_op
    assert last is not None
    return [axes[v] for v in last.operands]


def state_axes(op: ReduceOp, axes: dict[SSAValue, Axes]) -> list[Axes]:
    """The axes of each state component of a reduction that `field_axes` has visited."""
    return [axes[arg] for arg in op.finish.block.args]


def reads_of(value: SSAValue) -> Iterator[ReadOp]:
    """The reads that a field is computed from, each once."""
    work, seen = [value], {value}
    while work:
        op = work.pop().owner
        if isinstance(op, ReadOp):
            yield op
        if isinstance(op, Operation):
            work += [v for v in op.operands if v not in seen]
            seen.update(op.operands)
