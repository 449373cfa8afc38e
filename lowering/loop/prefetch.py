"""loop-prefetch: the last of several sweeps over a row asks for the next row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, VectorType, i1
from xdsl.ir import Block, BlockArgument, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ONE, Dim, dmin
from dialects.loop import ForOp, FuncOp, LoadOp, PrefetchOp
from dialects.types import RefType, element_bytes
from lowering.remarks import listener
from lowering.target import Target, get_target

SHORT = 1 << 10
"""Bytes of a row below which the hardware has the next one at hand."""


@dataclass(frozen=True)
class Row:
    """A row of an array that sweeps read, one after another, in each iteration of a loop: the load of each sweep."""

    rows: ForOp
    array: SSAValue
    loads: tuple[LoadOp, ...]


@dataclass(frozen=True)
class LoopPrefetch(ModulePass):
    """Lets the time that is spent on one row serve to fetch the next.

    Where several sweeps go over a row, the first waits for memory and the others compute on what is in cache, while
    memory idles. (A single sweep leaves nothing to do: there the hardware sees what comes next.)

    Expects: functions of the loop level as they will run on a CPU; for other targets, and for plain C99, it does nothing.
    Does: where a loop goes over the rows of an argument that is only read, and (1) two or more loops in its body each read
    the row in vectors from its beginning on, (2) all of the array does not fit into the second level of cache, (3) a row is
    not too short, and two of them fit into the first two levels, and (4) the last of these loops is not held up by
    conversions, that one asks for the row that comes next. Sizes that are symbols count as the greatest they can be. The
    last row asks for itself.
    Leaves: the same functions with a `loop.prefetch` behind some loads.
    """

    name = "loop-prefetch"

    target: str = "native"
    cc: str = "gcc"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = get_target(self.target, self.cc)
        if target.gpu is None and not target.portable:
            for func in [f for f in op.ops if isinstance(f, FuncOp)]:
                ask_ahead(func, target)


def ask_ahead(func: FuncOp, target: Target) -> None:
    """Adds the prefetches of one function."""
    ranges = func.symbols.ranges()
    tell = listener("prefetch", LoopPrefetch.name)
    for row in [found for op in func.walk() if isinstance(op, ForOp) for found in rows_of(op, func)]:
        name = row.array.name_hint or "an array"
        reason = why_not(row, target, ranges)
        if reason is None:
            _insert(row)
        if tell is None:
            continue
        if reason is not None:
            tell.missed(func, f"does not ask for rows of {name} before it reads them", reason)
            continue
        size = int(_row_bytes(row).bounds(ranges)[1])
        message = f"asks for the next row of {name} in the last of {len(row.loads)} loops over a row"
        because = f"rows of {size} bytes stay in cache, and all of them do not"
        tell.applied(func, message, because, array=name, loops=len(row.loads), row_bytes=size)


def why_not(row: Row, target: Target, ranges: dict[str, tuple[float, float]]) -> str | None:
    """Why it does not pay to ask for the next row; None where it does."""
    length, size = (int(d.bounds(ranges)[1]) for d in (_row_bytes(row), _type(row.array).bytes()))
    if size <= target.l2:
        return f"all of it fits into the second-level cache of {target.l2 >> 10} KiB"
    if length < SHORT:
        return f"a row of {length} bytes is too short"
    if 2 * length > target.l1 + target.l2:
        return f"two rows of {length} bytes do not fit into the first two levels of cache"
    if _has_narrow(row.loads[-1].parent):
        return "its last loop converts numbers of less than 32 bits, which takes longer than memory does"
    return None


def _has_narrow(body: Block | None) -> bool:
    """Whether a loop holds vectors of small numbers. They are converted lane by lane, and gcc makes vectors of that only in a
    block without a prefetch."""
    types = [r.type for op in body.ops for r in op.results] if body is not None else []
    elements = {t.get_element_type() for t in types if isinstance(t, VectorType)} - {i1}
    return any(element_bytes(element) < 4 for element in elements)


def rows_of(rows: ForOp, func: FuncOp) -> list[Row]:
    """The rows that several loops in the body of a loop sweep over."""
    if rows.step != ONE:
        return []
    ranges = func.symbols.ranges()
    swept: dict[tuple[SSAValue, tuple[Dim, ...]], list[LoadOp]] = {}
    for loop in [op for op in rows.block.ops if isinstance(op, ForOp)]:
        seen: set[tuple[SSAValue, tuple[Dim, ...]]] = set()
        for chain, load in _loads((loop,)):
            key = (load.array, load.index.data[:-1])
            if key not in seen and _is_sweep(chain, load, rows, ranges) and _is_read_only(load.array, func):
                seen.add(key)
                swept.setdefault(key, []).append(load)
    return [Row(rows, array, tuple(loads)) for (array, _), loads in swept.items() if len(loads) > 1]


def _loads(chain: tuple[ForOp, ...]) -> Iterator[tuple[tuple[ForOp, ...], LoadOp]]:
    """The loads in a loop and in those inside of it, each with the loops around it."""
    for op in chain[-1].block.ops:
        if isinstance(op, LoadOp):
            yield chain, op
        elif isinstance(op, ForOp):
            yield from _loads((*chain, op))


def _is_sweep(
    chain: Sequence[ForOp], load: LoadOp, rows: ForOp, ranges: dict[str, tuple[float, float]]
) -> bool:
    """Whether a load in nested loops reads, once each and in vectors, the elements of a row that the outer loop moves."""
    if load.guard is not None or load.indices or not load.index.data:
        return False
    *place, last = load.index.data
    type_, names = _type(load.array), {n for e in place for n in e.names()}
    in_vectors = load.along is not None and load.along.data == (Dim.of(len(place)),)
    if not in_vectors or type_.strides.data[-1] != ONE or last.coefficient(chain[-1].variable) != ONE:
        return False
    if rows.variable not in names or names & {loop.variable for loop in chain}:
        return False
    bounds = [(loop.lower.names() | loop.upper.names()) for loop in chain]
    if rows.variable in frozenset(last.names()).union(*bounds):
        return False
    # An outer loop of blocks is where those inside of it begin; any other one would repeat the row.
    if any(loop.variable not in bounds[n + 1] for n, loop in enumerate(chain[:-1])):
        return False
    return _covers(chain[0], type_.shape.data[-1], ranges)


def _covers(loop: ForOp, row: Dim, ranges: dict[str, tuple[float, float]]) -> bool:
    """Whether a loop goes over a row, and not over an edge of it that another loop leaves."""
    first, end = loop.lower.value, loop.upper.bounds(ranges)[1]
    return first is not None and end != float("inf") and 2 * (end - first) >= row.bounds(ranges)[1]


def _is_read_only(array: SSAValue, func: FuncOp) -> bool:
    return isinstance(array, BlockArgument) and (
        array.block is func.block and not func.signature.data[array.index].is_output
    )


def _insert(row: Row) -> None:
    """Asks for the same elements of the next row, behind the load of the last sweep."""
    load, variable = row.loads[-1], row.rows.variable
    following = dmin(Dim.of(variable) + 1, row.rows.upper - 1)
    index = [expr.subst({variable: following}) for expr in load.index.data]
    ahead = PrefetchOp(row.array, index, load.result.type, along=load.along, valid=load.valid)
    ahead.location = load.location
    block = load.parent
    assert block is not None
    block.insert_op_after(ahead, load)


def _type(array: SSAValue) -> RefType:
    assert isinstance(array.type, RefType)
    return array.type


def _row_bytes(row: Row) -> Dim:
    type_ = _type(row.array)
    return type_.shape.data[-1] * element_bytes(type_.element_type)
