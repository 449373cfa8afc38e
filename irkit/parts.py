"""Cuts a part out of a block of a host function: some of its ops, as a function that runs by itself.

What the ops read and do not make becomes an argument, with the value that the reference has there; what they make and
others need becomes a result. Constants belong to those who read them and go along.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue

from dialects.errors import IrkitError
from dialects.graph import ForOp, IfOp
from lowering.buffer.storage import argument_facts
from lowering.graph.interpret import run_graph

Env = Mapping[SSAValue, np.ndarray]


@dataclass(frozen=True)
class Part:
    """A module with one function, the ops of the whole that it holds, and the values that the results stand for."""

    module: ModuleOp
    ops: tuple[Operation, ...]
    inputs: tuple[SSAValue, ...]
    results: tuple[SSAValue, ...]
    names: tuple[str, ...]

    @property
    def function(self) -> FuncOp:
        """The function."""
        return next(op for op in self.module.ops if isinstance(op, FuncOp))

    def arrays(self, env: Env) -> dict[str, np.ndarray]:
        """The inputs by name, laid out as C has them."""
        return {name: np.array(env[v], order="C") for name, v in zip(self.names, self.inputs, strict=True)}


def is_constant(op: Operation) -> bool:
    """Whether an op reads nothing and makes the same every time: it goes along with those who read it."""
    return not op.operands and not op.regions and len(op.results) == 1 and op.name == "graph.constant"


def ops_of(block: Block) -> list[Operation]:
    """The ops of a block that can be at fault."""
    return [op for op in block.ops if op is not block.last_op and not is_constant(op) and op.results]


def cut(func: FuncOp, ops: Sequence[Operation], apart: bool = False, everything: bool = False) -> Part:
    """A part of some ops of one block, in its order. Apart, each op reads arguments and never what another one makes;
    results are what others need, or everything that is made."""
    writer = _Writer(func)
    wanted = set(ops)
    for op in ops:
        writer.add(op, apart)
    made = [r for op in ops for r in op.results]
    if not (apart or everything):
        made = [r for r in made if not r.uses or any(_inside(u.operation, wanted) is None for u in r.uses)]
    return writer.part(tuple(ops), made)


def _inside(op: Operation, wanted: set[Operation]) -> Operation | None:
    """The op of a set that an op is, or lies in."""
    current: Operation | None = op
    while current is not None and current not in wanted:
        current = current.parent_op()
    return current


class _Writer:
    """Builds the function; `known` tells what each value of the whole is in the part."""

    def __init__(self, func: FuncOp):
        self.func = func
        self.block = Block()
        self.known: dict[SSAValue, SSAValue] = {}
        self.arguments: dict[SSAValue, SSAValue] = {}
        self.constants: dict[SSAValue, SSAValue] = {}
        self.taken: set[str] = set()

    def add(self, op: Operation, apart: bool) -> None:
        read = {v: self._bring(v, apart) for v in values_read(op)}
        clone = op.clone(dict(read))
        self.block.add_op(clone)
        self.known.update(zip(op.results, clone.results, strict=True))
        for old, new in zip(op.results, clone.results, strict=True):
            new.name_hint = old.name_hint

    def _bring(self, value: SSAValue, apart: bool) -> SSAValue:
        """A value of the whole, in the part."""
        owner = value.owner
        if isinstance(owner, Operation) and is_constant(owner):
            if value not in self.constants:
                constant = owner.clone()
                self.block.add_op(constant)
                self.constants[value] = constant.results[0]
            return self.constants[value]
        if not apart and value in self.known:
            return self.known[value]
        if value not in self.arguments:
            arg = self.block.insert_arg(value.type, len(self.block.args))
            arg.name_hint = value.name_hint
            self.arguments[value] = arg
        return self.arguments[value]

    def part(self, ops: tuple[Operation, ...], made: Sequence[SSAValue]) -> Part:
        last = ReturnOp(*(self.known[v] for v in made))
        last.location = self.func.location
        self.block.add_op(last)
        inputs = tuple(self.arguments)
        name, types = self.func.sym_name.data, FunctionType.from_lists
        inner = FuncOp(name, types(self.block.arg_types, [v.type for v in made]), Region(self.block))
        facts = [self._argument(v) for v in inputs]
        inner.arg_attrs = ArrayAttr([DictionaryAttr(f) for f in facts])
        inner.res_attrs = ArrayAttr(
            [DictionaryAttr({"graph.name": StringAttr(self._name(v, "y"))}) for v in made]
        )
        inner.attributes.update(self.func.attributes)
        inner.location = self.func.location
        parent = self.func.parent_op()
        kernels = (
            [op.clone() for op in parent.ops if op is not self.func] if isinstance(parent, ModuleOp) else []
        )
        module = ModuleOp([*kernels, inner])
        module.location = self.func.location
        names = tuple(str(f["graph.name"].data) for f in facts)
        return Part(module, ops, inputs, tuple(made), names)

    def _argument(self, value: SSAValue) -> dict[str, StringAttr]:
        facts: dict = {}
        if isinstance(value, BlockArgument) and value.block is self.func.body.block:
            facts = dict(argument_facts(self.func, value.index))
        given = facts.get("graph.name")
        facts["graph.name"] = StringAttr(self._name(value, "x", given.data if given else None))
        return facts

    def _name(self, value: SSAValue, kind: str, given: str | None = None) -> str:
        base = re.sub(r"\W", "_", given or value.name_hint or kind, flags=re.ASCII)
        found, count = base, 0
        while found in self.taken:
            count += 1
            found = f"{base}_{count}"
        self.taken.add(found)
        return found


def values_read(op: Operation) -> list[SSAValue]:
    """The values from around it that an op reads, those of its regions among them, each once."""
    inside: set[SSAValue] = set()
    found: dict[SSAValue, None] = {}
    for inner in op.walk():
        inside.update(inner.results)
        for region in inner.regions:
            for block in region.blocks:
                inside.update(block.args)
        found.update(dict.fromkeys(inner.operands))
    return [v for v in found if v not in inside]


# -- the reference's values -----------------------------------------------------------------------------------


def values_of(func: FuncOp, block: Block, known: Env, sizes: Mapping[str, int]) -> dict[SSAValue, np.ndarray]:
    """The value that the reference gives to everything in a block, given what its ops read from around it."""
    part = cut(func, ops_of(block), everything=True)
    results = run_graph(part.function, part.arrays(known), sizes)
    return {**known, **dict(zip(part.results, results, strict=True))}


def bodies(op: Operation, func: FuncOp, known: Env, sizes: Mapping[str, int]) -> Iterable[tuple[Block, Env]]:
    """The blocks inside a loop or a choice with the values that their arguments have: those of a loop in its first
    round, then in its last one."""
    if isinstance(op, IfOp):
        body = (op.then if _value(op.condition, known) else op.otherwise).block
        yield body, {**known, **dict(zip(body.args, [_value(v, known) for v in op.inits], strict=True))}
    if not isinstance(op, ForOp):
        return
    lower, upper = (
        int(_value(b, known)) if isinstance(b, SSAValue) else b.evaluate(sizes) for b in op.bounds()
    )
    carried = [_value(v, known) for v in op.inits]
    env: dict[SSAValue, np.ndarray] = {}
    for t in range(lower, min(upper, lower + MAX_ROUNDS)):
        if op.conditional is not None and not carried[0]:
            break
        env = {**known, **dict(zip(op.block.args, [np.asarray(t, np.int64), *carried], strict=True))}
        if t == lower:
            yield op.block, env
        last = op.block.last_op
        assert last is not None
        inner = values_of(func, op.block, env, sizes)
        carried = [_value(v, inner) for v in last.operands]
    if env and upper > lower + 1:
        yield op.block, env


MAX_ROUNDS = 100
"""Rounds of a loop after which its values are looked at no further."""


def _value(value: SSAValue, known: Env) -> np.ndarray:
    """What the reference has for a value; constants are no part of `known`."""
    if value in known:
        return known[value]
    owner = value.owner
    if isinstance(owner, Operation) and is_constant(owner):
        return owner.run([])[0]  # pyright: ignore[reportAttributeAccessIssue]
    raise IrkitError("a value of the program is not known", owner if isinstance(owner, Operation) else None)
