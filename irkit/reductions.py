"""The ways in which `irkit reduce` makes a module smaller.

A reduction lists its targets in a module, in order of the text, and takes some of them away, last ones first. It may leave
IR that is not valid, or that means something else: the reducer verifies and asks whether the rest is still interesting.
What is no longer used goes by itself (`sweep`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AnyFloat,
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    FunctionType,
    IndexType,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    StringAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.traits import IsTerminator, SymbolOpInterface, is_side_effect_free

from dialects.dims import Dim
from dialects.graph import ForOp, GraphOp, IfOp, YieldOp
from dialects.graph.base import Param
from dialects.kernel import DefOp, GroupOp, LaunchOp, ScheduleAttr

Take = Callable[[], None]


@dataclass(frozen=True)
class Reduction:
    """A name for people, and the targets of a module: each a function that takes the target away."""

    name: str
    targets: Callable[[ModuleOp], Iterator[Take]]


def count_ops(module: ModuleOp) -> int:
    """The ops of a module but for modules, functions and terminators."""
    return sum(_is_counted(op) for op in module.walk())


def _is_counted(op: Operation) -> bool:
    return not (isinstance(op, ModuleOp) or op.has_trait(SymbolOpInterface) or op.has_trait(IsTerminator))


def sweep(module: ModuleOp) -> None:
    """Erases ops that do nothing but give results which nobody uses, last ones first."""
    for op in reversed(list(module.walk())):
        used = any(r.uses for r in op.results)
        if (
            op.parent is not None
            and not used
            and _is_counted(op)
            and (is_side_effect_free(op) or isinstance(op, LaunchOp))
        ):
            op.detach()
            op.erase()


# -- functions and their interface ----------------------------------------------------------------------------


def functions(module: ModuleOp) -> Iterator[Take]:
    """Whole functions, kernels and programs."""
    for op in module.ops:
        yield lambda op=op: _erase(op)


def results(module: ModuleOp) -> Iterator[Take]:
    """Results of functions."""
    for func in _functions(module):
        last = func.body.block.last_op
        if isinstance(last, ReturnOp):
            for value in range(len(last.operands)):
                yield lambda func=func, last=last, value=value: _drop_result(func, last, value)


def arguments(module: ModuleOp) -> Iterator[Take]:
    """Arguments that nobody uses."""
    for func in _functions(module):
        for number in range(len(func.body.block.args)):
            if not func.body.block.args[number].uses:
                yield lambda func=func, number=number: _drop_argument(func, number)


def _functions(module: ModuleOp) -> list[FuncOp]:
    return [op for op in module.walk() if isinstance(op, FuncOp) and not op.is_declaration]


def _drop_result(func: FuncOp, last: ReturnOp, number: int) -> None:
    last.operands = [v for n, v in enumerate(last.operands) if n != number]
    func.res_attrs = _without(func.res_attrs, number)
    _retype(func)


def _drop_argument(func: FuncOp, number: int) -> None:
    func.body.block.erase_arg(func.body.block.args[number])
    func.arg_attrs = _without(func.arg_attrs, number)
    _retype(func)


def _without(attrs: ArrayAttr[DictionaryAttr] | None, number: int) -> ArrayAttr[DictionaryAttr] | None:
    return None if attrs is None else ArrayAttr([a for n, a in enumerate(attrs.data) if n != number])


def _retype(func: FuncOp) -> None:
    last = func.body.block.last_op
    assert last is not None
    outputs = [v.type for v in last.operands]
    func.function_type = FunctionType.from_lists(func.body.block.arg_types, outputs)


# -- ops ------------------------------------------------------------------------------------------------------


def to_arguments(module: ModuleOp) -> Iterator[Take]:
    """Ops on tensors, whose results become arguments of the function."""
    for func in _functions(module):
        for op in func.body.walk():
            if op.results and all(isinstance(r.type, TensorType) for r in op.results):
                yield lambda func=func, op=op: _to_arguments(func, op)


def _to_arguments(func: FuncOp, op: Operation) -> None:
    taken = {str(a.data["graph.name"]) for a in func.arg_attrs.data} if func.arg_attrs is not None else set()
    for result in op.results:
        if not result.uses:
            continue
        arg = func.body.block.insert_arg(result.type, len(func.body.block.args))
        result.replace_all_uses_with(arg)
        if func.arg_attrs is not None:
            number = next(n for n in range(len(taken) + 1) if str(StringAttr(f"v{n}")) not in taken)
            name = StringAttr(f"v{number}")
            taken.add(str(name))
            func.arg_attrs = ArrayAttr([*func.arg_attrs.data, DictionaryAttr({"graph.name": name})])
    _erase(op)
    _retype(func)


def to_operands(module: ModuleOp) -> Iterator[Take]:
    """Ops that read something of the type of each result, which takes the result's place."""
    for op in module.walk():
        if op.results and all(_like(op, r.type) is not None for r in op.results):
            yield lambda op=op: _to_operands(op)


def _to_operands(op: Operation) -> None:
    for result in op.results:
        if (operand := _like(op, result.type)) is not None:
            result.replace_all_uses_with(operand)
    _erase(op)


def _like(op: Operation, type_: Attribute) -> SSAValue | None:
    return next((v for v in op.operands if v.type == type_), None)


def to_constants(module: ModuleOp) -> Iterator[Take]:
    """Ops on single numbers, which become the number 1."""
    for op in module.walk():
        if not isinstance(op, arith.ConstantOp) and len(op.results) == 1 and _one(op.results[0].type):
            yield lambda op=op: _to_constant(op)


def _one(type_: Attribute) -> FloatAttr | IntegerAttr | None:
    if isinstance(type_, AnyFloat):
        return FloatAttr(1.0, type_)
    return IntegerAttr(1, type_) if isinstance(type_, IntegerType | IndexType) else None


def _to_constant(op: Operation) -> None:
    value = _one(op.results[0].type)
    assert value is not None and op.parent is not None
    constant = arith.ConstantOp(value)
    constant.location = op.location
    op.parent.insert_op_before(constant, op)
    op.results[0].replace_all_uses_with(constant.result)
    _erase(op)


def unused(module: ModuleOp) -> Iterator[Take]:
    """Ops that give nothing, or nothing that is used: stores, calls, barriers, loops around them."""
    for op in module.walk():
        if op.parent is not None and _is_counted(op) and not any(r.uses for r in op.results):
            yield lambda op=op: _erase(op)


def _erase(op: Operation) -> None:
    op.detach()
    op.erase(safe_erase=False)


# -- loops and choices ----------------------------------------------------------------------------------------


def bodies(module: ModuleOp) -> Iterator[Take]:
    """Loops, choices and groups, of which one way through stays."""
    for op in module.walk():
        if isinstance(op, IfOp):
            yield lambda op=op: _inline(op, op.then.block, list(op.inits))
            yield lambda op=op: _inline(op, op.otherwise.block, list(op.inits))
        elif isinstance(op, GroupOp):
            yield lambda op=op: _inline(op, op.body.block, [])
        elif isinstance(op, ForOp) and not op.block.args[0].uses:
            yield lambda op=op: _inline(op, op.block, [None, *op.inits])


def _inline(op: Operation, body: Block, values: list[SSAValue | None]) -> None:
    if op.parent is None:  # the other way through a choice has taken it
        return
    for arg, value in zip(body.args, values, strict=True):
        if value is not None:
            arg.replace_all_uses_with(value)
    last = body.last_op
    assert last is not None
    yielded = list(last.operands)
    _erase(last)
    for inner in list(body.ops):
        inner.detach()
        op.parent.insert_op_before(inner, op)
    for result, value in zip(op.results, yielded, strict=True):
        result.replace_all_uses_with(value)
    _erase(op)


def rounds(module: ModuleOp) -> Iterator[Take]:
    """Loops, which run once, and no longer end early."""
    for op in module.walk():
        if isinstance(op, ForOp):
            yield lambda op=op: _run_once(op)


def _run_once(op: ForOp) -> None:
    body = op.detach_region(op.body)
    values = list(op.inits)
    _replace(op, ForOp(Dim.of(0), Dim.of(1), values, body))


def carried(module: ModuleOp) -> Iterator[Take]:
    """What loops and choices carry and nobody uses after them: of each all, and one by one."""
    for op in module.walk():
        if isinstance(op, ForOp | IfOp):
            unused = {n for n, r in enumerate(op.results) if not r.uses}
            for numbers in (unused, *({n} for n in unused if len(unused) > 1)):
                if numbers:
                    yield lambda op=op, numbers=numbers: _drop_carried(op, numbers)


def _drop_carried(op: ForOp | IfOp, numbers: set[int]) -> None:
    """Leaves values out; inside they stand for what they are at the start."""
    for region in op.regions:
        block = region.block
        for number in sorted(numbers, reverse=True):
            arg = block.args[number + (1 if isinstance(op, ForOp) else 0)]
            arg.replace_all_uses_with(op.inits[number])
            block.erase_arg(arg)
        last = block.last_op
        assert isinstance(last, YieldOp)
        last.operands = [v for n, v in enumerate(last.operands) if n not in numbers]
    inits = [v for n, v in enumerate(op.inits) if n not in numbers]
    kept = [r for n, r in enumerate(op.results) if n not in numbers]
    regions = [op.detach_region(r) for r in list(op.regions)]
    if isinstance(op, ForOp):
        is_conditional = op.conditional is not None and 0 not in numbers
        new: Operation = ForOp(*op.bounds(), inits, regions[0], is_conditional)
    else:
        new = IfOp(op.condition, inits, *regions)
    _replace(op, new, kept)


def _replace(op: Operation, new: Operation, results: Sequence[SSAValue] | None = None) -> None:
    assert op.parent is not None
    new.location = op.location
    op.parent.insert_op_before(new, op)
    for old, fresh in zip(list(op.results) if results is None else results, new.results, strict=True):
        old.replace_all_uses_with(fresh)
    _erase(op)


# -- attributes -----------------------------------------------------------------------------------------------


def attributes(module: ModuleOp) -> Iterator[Take]:
    """Attributes that ops can do without: those they carry along, parameters that have a default, facts of arguments."""
    for op in module.walk():
        for key in list(op.attributes):
            yield lambda op=op, key=key: _drop_key(op.attributes, key)
        if isinstance(op, GraphOp):
            for key, param in op.PARAMS.items():
                if param.default is not Param.REQUIRED and key in op.properties:
                    yield lambda op=op, key=key: _drop_key(op.properties, key)
        if isinstance(op, FuncOp) and op.arg_attrs is not None:
            for number, facts in enumerate(op.arg_attrs.data):
                for key in facts.data:
                    if key != "graph.name":
                        yield lambda op=op, number=number, key=key: _drop_fact(op, number, key)


def _drop_key(attrs: dict[str, Attribute], key: str) -> None:
    attrs.pop(key, None)


def _drop_fact(func: FuncOp, number: int, key: str) -> None:
    assert func.arg_attrs is not None
    facts = [dict(a.data) for a in func.arg_attrs.data]
    facts[number].pop(key, None)
    func.arg_attrs = ArrayAttr([DictionaryAttr(f) for f in facts])


def directives(module: ModuleOp) -> Iterator[Take]:
    """Directives of the schedules of kernels."""
    for op in module.walk():
        if isinstance(op, DefOp) and (schedule := op.schedule) is not None:
            for number in range(len(schedule.data)):
                yield lambda op=op, number=number: _drop_directive(op, number)


def _drop_directive(op: DefOp, number: int) -> None:
    assert op.schedule is not None
    op.schedule = ScheduleAttr(tuple(d for n, d in enumerate(op.schedule.data) if n != number))


REDUCTIONS = (
    Reduction("functions", functions),
    Reduction("results", results),
    Reduction("ops by arguments", to_arguments),
    Reduction("ops by operands", to_operands),
    Reduction("loops and choices", bodies),
    Reduction("rounds", rounds),
    Reduction("carried values", carried),
    Reduction("ops that nobody uses", unused),
    Reduction("numbers", to_constants),
    Reduction("arguments", arguments),
    Reduction("attributes", attributes),
    Reduction("directives", directives),
)
"""In the order in which they are tried: what takes most away comes first."""
