"""Checks between passes: structure, dominance, and which ops a level may hold.

xDSL's verifier checks ops one by one, stops at the first fault, and accepts a use before its definition. Here every
op is checked, the faults come back together as `IrkitError`s with the op's source line, and a definition must
dominate its uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue
from xdsl.irdl.dominance import DominanceInfo
from xdsl.traits import NoTerminator
from xdsl.utils.exceptions import VerifyException

from dialects.errors import ErrorList, IrkitError
from dialects.types import RefType, dims_of

MAX_ELEMENTS = 2**60
"""Of one array; with the bytes of an element, an int64 counts them."""

MAX_ERRORS = 20
"""No run reports more faults of the IR than this."""


def verify_module(module: Operation) -> None:
    """Checks each op by its own verifier, then dominance. Raises ErrorList with what was found."""
    if errors := list(islice(chain(structure_errors(module), dominance_errors(module)), MAX_ERRORS)):
        raise ErrorList(errors)


def structure_errors(root: Operation) -> Iterator[IrkitError]:
    """The faults that the ops' own verifiers find."""
    for op in root.walk():
        try:
            op.verify(verify_nested_ops=False)
        except (VerifyException, ValueError) as fault:
            yield IrkitError(f"'{op.name}' op does not verify: {str(fault).strip()}", op)
        except IrkitError as fault:
            yield (
                fault
                if fault.loc
                else IrkitError(
                    fault.message, op, found=fault.found, expected=fault.expected, hint=fault.hint
                )
            )
        yield from size_errors(op)
        if isinstance(op, FuncOp) and len(op.body.blocks) > 1:
            yield IrkitError(
                f"a function has {len(op.body.blocks)} blocks", op, expected="one: control flow has regions"
            )
        for region in op.regions:
            if len(region.blocks) == 1 and region.block.is_empty and not op.has_trait(NoTerminator):
                yield IrkitError(f"'{op.name}' op has an empty block, which must end in a terminator", op)


def size_errors(op: Operation) -> Iterator[IrkitError]:
    """The arrays that an op makes, or that its regions take, with more elements than an int64 counts."""
    values: list[SSAValue] = [*op.results, *(a for r in op.regions for b in r.blocks for a in b.args)]
    for type_ in dict.fromkeys(v.type for v in values):
        if not isinstance(type_, TensorType | RefType):
            continue
        count = 1
        for dim in dims_of(type_):
            count *= dim.value or 1
        if count > MAX_ELEMENTS:
            yield IrkitError(
                f"an array of {count} elements is too large",
                op,
                found=str(type_),
                expected=f"at most {MAX_ELEMENTS}",
            )


def dominance_errors(root: Operation) -> Iterator[IrkitError]:
    """The uses inside `root` that their definition does not dominate."""
    order = {op: position for position, op in enumerate(root.walk())}
    dominance: dict[Region, DominanceInfo] = {}
    for op in order:
        if op is root:
            continue
        for number, operand in enumerate(op.operands):
            if not _dominates(operand, op, order, dominance):
                yield _dominance_error(operand, op, number)


def _dominates(
    value: SSAValue, user: Operation, order: dict[Operation, int], known: dict[Region, DominanceInfo]
) -> bool:
    try:
        home = value.owner if isinstance(value.owner, Block) else value.owner.parent
    except ValueError:  # xDSL's stand-in for a value that the text names and never defines
        return False
    if home is None or home.parent is None:
        return False
    ancestor = _ancestor_in_region(user, home.parent)
    if ancestor is None or ancestor.parent is None:
        return False
    if ancestor.parent is home:
        return not isinstance(value, OpResult) or order.get(value.op, -1) < order[ancestor]
    if home.parent not in known:
        known[home.parent] = DominanceInfo(home.parent)
    return known[home.parent].strictly_dominates(home, ancestor.parent)


def _ancestor_in_region(op: Operation, region: Region) -> Operation | None:
    """The op itself, or the op around it that lies directly in a block of the region."""
    current: Operation | None = op
    while current is not None and current.parent_region() is not region:
        current = current.parent_op()
    return current


def _dominance_error(value: SSAValue, user: Operation, number: int) -> IrkitError:
    name = f"%{value.name_hint}" if value.name_hint else f"number {number}"
    if isinstance(value, OpResult):
        where = (
            f"is defined by a '{value.op.name}' op that comes later, or that lies in a region that is closed"
        )
    else:
        where = "is an argument of a block that does not enclose the op"
    return IrkitError(
        f"operand {name} of '{user.name}' op does not dominate its use",
        user,
        found=f"the operand {where}",
        expected="a definition before the use, in the same block or in one around it",
    )


def check_only(root: Operation, allowed: Iterable[str], level: str) -> None:
    """Checks that `root` holds no ops but the allowed ones. Raises ErrorList, one error for each kind left over.

    `allowed` names ops ("func.func") and whole dialects ("arith"); `level` is what the message calls the place, such
    as "the loop level" or "graph-to-kernel".
    """
    names = frozenset(allowed)
    count: Counter[str] = Counter()
    first: dict[str, Operation] = {}
    for op in root.walk():
        if op is root or op.name in names or op.name.partition(".")[0] in names:
            continue
        count[op.name] += 1
        first.setdefault(op.name, op)
    if count:
        raise ErrorList([_leftover(name, n, first[name], level) for name, n in count.most_common(MAX_ERRORS)])


def _leftover(name: str, count: int, op: Operation, level: str) -> IrkitError:
    ops = "op is" if count == 1 else "ops are"
    return IrkitError(
        f"{count} leftover '{name}' {ops} not allowed after {level}",
        op,
        found=f"'{name}'" + (" here first" if count > 1 else ""),
        expected="an op with a lowering to this level",
        hint=f"check that '{name}' has a lowering rule, and that the passes before {level} have run",
    )
