"""kernel-schedule: the cost model writes a schedule for each kernel that has none."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd, prod
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects import arith, builtin
from xdsl.ir import Attribute, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ONE
from dialects.kernel import DefOp, ExternOp, ReadOp, ReduceOp, ScheduleAttr, WriteOp
from dialects.types import RefType, element_bytes
from lowering.kernel import schedule_remarks
from lowering.kernel.contraction import Contraction, contractions
from lowering.kernel.cost import LONG_SUM, extent_sizes
from lowering.kernel.fields import Axes, field_axes, reduced_axes
from lowering.kernel.keep import kept_of
from lowering.kernel.mutation import refusal
from lowering.kernel.schedule_gpu import choose_gpu
from lowering.kernel.schedule_remarks import Unpacked
from lowering.kernel.tuned import tuned_file, tuned_schedule
from lowering.loop.contraction import can_pack
from lowering.loop.memory import LINE
from lowering.schedule import scanned_axes
from lowering.target import Target, get_target

PACK_FLOPS = 2 * 48**3
"""Contractions of fewer floating-point operations are not worth packing."""

CHAINS = 4
"""Sums in lanes that go on side by side, so that no addition waits for the one before."""

WAYS = 8
"""Lines that share a place in a first-level cache, on the least of machines."""

PAGE = 4096

STREAMS = 8
"""Rows of a matrix that are read side by side: a processor's prefetcher follows no more than some streams."""

DEAR = 4
"""How many times longer they have to be where combining two blocks takes exponentials."""


@dataclass(frozen=True)
class KernelSchedule(ModulePass):
    """Chooses loop order, vector axes, tiles, blocks and packing from the target's registers and caches.

    Expects: kernels in axes form.
    Does: (0) a kernel that `tuned`, a folder, holds a schedule for gets that (`lowering.kernel.tuned`); of the others
    (1) contractions with enough work are tiled, blocked and packed, those of a few rows tiled and blocked;
    (2) a reduction with states of different axes takes the extra axis whole; (3) the axis with most contiguous
    accesses becomes the vector axis; (4) a long sum is split in blocks, which rounds less; (5) a contraction left
    untiled gets a tile over a second axis; (6) what takes exp and the like twice for each element is kept in between;
    (7) results that no cache holds bypass them.
    Leaves: every kernel with a schedule; those that had one keep it, whatever a tuner found.
    """

    name = "kernel-schedule"

    target: str = "native"
    cc: str = "gcc"
    tuned: str = ""
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        target = get_target(self.target, self.cc)
        for kernel in op.ops:
            if isinstance(kernel, DefOp) and kernel.schedule is not None:
                schedule_remarks.given(kernel)
            elif isinstance(kernel, DefOp) and kernel.in_axes_form:
                found = found_by_tuning(kernel, Path(self.tuned)) if self.tuned else None
                directives = tuple(choose(kernel, target)) if found is None else found
                kernel.properties["schedule"] = ScheduleAttr(directives)
                packed = any(d.startswith("pack") for d in directives)
                kind = "tuned" if found is not None else "packed" if packed else "direct"
                self.stats[kind] = self.stats.get(kind, 0) + 1


def found_by_tuning(kernel: DefOp, folder: Path) -> tuple[str, ...] | None:
    """The schedule that a tuner found for a kernel, if there is one. Raises IrkitError for one that is illegal."""
    directives = tuned_schedule(folder, kernel)
    if directives is None:
        return None
    if (fault := refusal(kernel, directives)) is not None:
        fault.hint = f"it is from '{tuned_file(folder, kernel)}': remove that, or run irkit tune --fresh"
        raise fault
    schedule_remarks.by_tuner(kernel, directives)
    return directives


def choose(kernel: DefOp, target: Target) -> list[str]:
    """The cost model: the directives of one kernel."""
    if any(isinstance(op, ExternOp) for op in kernel.block.ops):
        schedule_remarks.by_hand(kernel)
        return []
    axes = field_axes(kernel)
    sizes = extent_sizes(kernel)
    reductions = [op for op in kernel.block.ops if isinstance(op, ReduceOp)]
    contraction = next(contractions(kernel), None)
    if contraction is not None:
        why = unpacked(kernel, contraction, sizes, target)
        tiled = None if why is not None else _pack(contraction, sizes, target)
        if target.packs and can_pack(kernel, contraction):
            tiled = _stream(contraction, sizes, target) or tiled
        if tiled is not None:
            schedule_remarks.tiled(kernel, tiled, target)
            return tiled
        assert why is not None
        schedule_remarks.not_packed(kernel, contraction, why, sizes, target)
    return _direct(kernel, axes, sizes, reductions, contraction, target)


# -- packed contractions ----------------------------------------------------------------------------------------


def _stream(c: Contraction, sizes: dict[str, int], target: Target) -> list[str] | None:
    """A few rows times a large matrix: it is read once, a few of its rows at a time, and the sums wait in memory."""
    j, k = c.n[0], c.k[0]
    m, n, depth = sizes[c.m[0]] if c.m else 1, sizes[j], sizes[k]
    element = c.reduce.results[0].type
    lanes = target.lanes(element)
    if m >= 4 or n < 4 * lanes or depth * n * element_bytes(element) <= target.l1 or not _is_plain(c.rhs, j):
        return None
    rows = [f"tile {c.m[0]} {m}"] if c.m else []
    block = _even_block(depth, max(STREAMS, depth // LONG_SUM))
    return [*rows, f"tile {j} {4 * lanes // (1 if m < 3 else 2)}", f"split {k} {block}", f"parallel {j}"]


def unpacked(kernel: DefOp, c: Contraction, sizes: dict[str, int], target: Target) -> Unpacked | None:
    """Why a contraction is not packed: the nest does not cover it, or it has too little work for the copies to pay."""
    if not target.packs:
        return Unpacked.TARGET
    if not c.m or not can_pack(kernel, c):
        return Unpacked.FORM
    return too_small(c, sizes, target)


def too_small(c: Contraction, sizes: dict[str, int], target: Target) -> Unpacked | None:
    """Why a contraction with rows has too little work for the copies to pay; what it sums over counts as one axis."""
    m, n, depth = (prod(sizes[a] for a in axes) for axes in (c.m, c.n, c.k))
    if 2 * m * n * depth * prod(sizes[a] for a in c.spread) < PACK_FLOPS:
        return Unpacked.FLOPS
    if m < 4:
        return Unpacked.ROWS
    if n <= target.lanes(c.reduce.results[0].type) // 2:
        return Unpacked.COLUMNS
    return Unpacked.DEPTH if depth < 16 else None


def _pack(c: Contraction, sizes: dict[str, int], target: Target) -> list[str]:
    i, j, k = c.m[0], c.n[0], c.k[0]
    m, n, depth = sizes[i], sizes[j], sizes[k]
    element = c.reduce.results[0].type
    mr, nr = register_tile(c, sizes, target)
    threads = max(1, target.cores)
    tiles = [f"tile {i} {mr}", f"tile {j} {nr}"]
    packed = [] if _is_plain(c.rhs, j) and _lies_well(c.rhs, k, depth, target) else ["pack rhs"]
    batch = next((a for a in c.batch if sizes[a] >= threads), None)
    columns = batch or (j if -(-n // nr) >= threads else None)
    kc = _even_block(depth, target.long_kc)
    block = m * min(kc, depth) * element_bytes(element)
    if columns is not None and block <= target.resident:
        # The rows stay in a cache, so that a panel of columns is packed and used up at once.
        in_place = block <= target.l2 and _is_plain(c.lhs, k) and not _collide(c.lhs, i, mr)
        packed += [] if in_place else ["pack lhs"]
        return [*tiles, f"split {k} {kc}", *packed, f"parallel {columns}"]
    out = [*tiles, f"split {k} {_even_block(depth, target.kc)}", *packed]
    rows = _block_of_rows(-(-m // mr), target.mc // mr, threads)
    by_rows = m >= n or -(-m // (rows * mr)) >= threads
    return [*out, f"split {i} {rows * mr}", "pack lhs", f"parallel {i if by_rows else j}"]


def register_tile(c: Contraction, sizes: dict[str, int], target: Target) -> tuple[int, int]:
    """Rows and columns of the register tile of a contraction: of a narrow one, more rows of a single vector."""
    element = c.reduce.results[0].type
    rows, columns = target.register_tile(element)
    lanes = target.lanes(element)
    fitting = min(columns, -(-sizes[c.n[0]] // lanes) * lanes)
    return min(rows * max(1, columns // fitting // 2 * 2), sizes[c.m[0]]), fitting


def _block_of_rows(tiles: int, most: int, threads: int) -> int:
    """The tiles of a block, so that there are as many blocks for each thread, if there are enough tiles for that."""
    blocks = -(-tiles // most)
    for count in range(-(-blocks // threads) * threads, min(tiles, 2 * blocks + threads) + 1, threads):
        if -(-tiles // -(-tiles // count)) == count:
            return -(-tiles // count)
    return max(1, min(most, -(-tiles // threads)))


def _is_plain(value: SSAValue, axis: str) -> bool:
    """Whether a field is read from memory as it is, element after element along an axis."""
    op = value.owner
    return isinstance(op, ReadOp) and op.otherwise is None and not op.indices and _step(op, axis) == 1


def _collide(value: SSAValue, axis: str, rows: int) -> bool:
    """Whether so many rows of a field in memory would fight for the same lines of a cache: each begins a page or more
    after the one before, at one place within it."""
    step = _bytes_between(value, axis)
    return rows > WAYS and (step is None or step % PAGE == 0)


def _lies_well(value: SSAValue, axis: str, rows: int, target: Target) -> bool:
    """Whether a matrix is so small that it stays in the first-level cache, and its rows do not fight for lines there."""
    step = _bytes_between(value, axis)
    if step is None or rows * step > target.l1 or step == 0:
        return False
    places = target.l1 // LINE // WAYS
    return 2 * rows * LINE <= places // gcd(places, max(1, step // LINE)) * WAYS * LINE


def _bytes_between(value: SSAValue, axis: str) -> int | None:
    """The bytes from one point of a field in memory to the next along an axis; None where they are not known."""
    op = value.owner
    assert isinstance(op, ReadOp)
    type_ = op.array.type
    assert isinstance(type_, RefType)
    for expr, stride in zip(op.index.data, type_.strides.data, strict=True):
        if axis in expr.names():
            return None if stride.value is None else stride.value * element_bytes(type_.element_type)
    return 0


def _even_block(extent: int, block: int) -> int:
    """A block size near the wanted one that leaves no small remainder."""
    count = max(1, round(extent / block))
    return -(-extent // count) if extent > block else block


# -- everything else ----------------------------------------------------------------------------------------------


def _direct(
    kernel: DefOp,
    axes: dict[SSAValue, Axes],
    sizes: dict[str, int],
    reductions: list[ReduceOp],
    contraction: Contraction | None,
    target: Target,
) -> list[str]:
    scores = _contiguity(kernel)
    out: list[str] = []
    scanned = scanned_axes(kernel)
    free = [a for a in _free_axes(kernel) if a not in scanned]
    whole = [
        a
        for op in reductions
        for a in _extra_state_axes(op, axes)
        if sizes[a] <= target.whole and dict(kernel.axes.data)[a].value
    ]
    out += [f"whole {a}" for a in dict.fromkeys(whole)]
    if target.gpu is not None:
        return out or choose_gpu(kernel, free, sizes, contraction, target)
    lanes = target.lanes(_widest(kernel))
    one_by_one = target.portable and contraction is None
    vector = None if whole or one_by_one else _best(free, scores, sizes)
    columns, rows = (target.tile[1], target.tile[0]) if target.portable else (lanes, 6)
    facts = schedule_remarks.Facts(kernel, target, sizes, scores)
    if vector is not None:
        wide = contraction is not None and not target.portable
        size = _vector_size(sizes[vector], columns, wide)
        out.append(f"vector {vector} {size}")
        schedule_remarks.vector_axis(facts, vector, size)
    else:
        schedule_remarks.no_vector_axis(facts, free, sorted(scanned), whole)
    for op in reductions:
        reduced = None if target.portable else _best(set(op.axes), scores, sizes)
        width = 1
        if reduced is not None and sizes[reduced] >= 4:
            in_lanes = vector is None or vector not in _kept_axes(op, axes)
            several = in_lanes and sizes[reduced] >= 4 * CHAINS * lanes
            size = _vector_size(sizes[reduced], CHAINS * lanes if several else lanes, wide=False)
            out.append(f"vector {reduced} {size}")
            width = size if in_lanes else 1
        schedule_remarks.reduced_axis(facts, op, reduced, vector)
        blocks = _blocks(op, sizes, {reduced: width} if reduced is not None else {})
        schedule_remarks.blocks_of_sum(facts, op, blocks)
        out += blocks
    if contraction is not None:
        tiled = None
        if vector is not None and not whole:
            # A tile over an axis of the other operand reuses each vector that was loaded.
            others = contraction.m if vector in contraction.n else contraction.n
            tiled = next((a for a in reversed(others) if a in free), None)
        if tiled is not None and sizes[tiled] > 1:
            out.append(f"tile {tiled} {min(rows, sizes[tiled])}")
        schedule_remarks.register_tile(facts, contraction, vector, tiled, rows)
    out += _kept_rows(kernel, reductions, vector, target, sizes) if not whole else []
    if vector is not None and _leaves_caches(kernel, target, sizes):
        out.append("stream")
    outer = [a for a in free if a != vector and a not in whole]
    if outer and sizes[outer[0]] < 4 * target.cores and vector not in (None, outer[0]):
        widest = max([*outer, vector or outer[0]], key=lambda a: sizes[a])
        if sizes[widest] > sizes[outer[0]] and not reductions:
            out.append(f"parallel {widest}")
            schedule_remarks.threads(facts, widest, outer[0])
    return list(dict.fromkeys(out))


def _kept_rows(
    kernel: DefOp, reductions: list[ReduceOp], vector: str | None, target: Target, sizes: dict[str, int]
) -> list[str]:
    """Rows whose elements are worth keeping: what is computed of them again costs more than a cache that holds them."""
    out: list[str] = []
    for axis in dict.fromkeys(a for op in reductions for a in op.axes):
        kept = [] if target.portable else kept_of(kernel, axis)
        room = sum(sizes[axis] * element_bytes(k.first.type) for k in kept)
        if kept and room <= target.l2 // 4 and vector in (None, *(k.along for k in kept)):
            out.append(f"keep {axis}")
    return out


def _leaves_caches(kernel: DefOp, target: Target, sizes: dict[str, int]) -> bool:
    """Whether results are written once, each in one go, and are so large that no cache holds them."""
    writes = [op for op in kernel.block.ops if isinstance(op, WriteOp)]
    return target.streams and all(
        w.combiner is None
        and prod(sizes[a] for a in w.own_axes()) * element_bytes(_element_of(w)) > target.l3
        for w in writes
    )


def _element_of(write: WriteOp) -> Attribute:
    type_ = write.array.type
    assert isinstance(type_, RefType)
    return type_.element_type


def _kept_axes(op: ReduceOp, axes: dict[SSAValue, Axes]) -> Axes:
    """The axes of a reduction's results."""
    return frozenset[str]().union(*(axes[r] for r in op.results))


def _blocks(op: ReduceOp, sizes: dict[str, int], lanes: dict[str, int]) -> list[str]:
    """Splits the longest axis of a long sum, so that it is a sum of about as many sums as each of them has terms: the
    error grows with the length of the longest chain of additions. Combinations that take exponentials have to be rare."""
    terms = {a: -(-sizes[a] // lanes.get(a, 1)) for a in op.axes}
    total = prod(terms.values())
    rounds = any(isinstance(o, arith.AddfOp | arith.MulfOp) for o in op.step.block.ops)
    dear = any(o.name.startswith("math.") for o in op.combine.block.ops)
    if not rounds or total < (DEAR if dear else 1) * LONG_SUM:
        return []
    axis = max(terms, key=lambda a: terms[a])
    order = [a for a in op.axes if a not in lanes] + [a for a in op.axes if a in lanes]
    inside = prod(terms[a] for a in order[order.index(axis) + 1 :])
    block = max(2, round(total**0.5 / inside))
    return [f"split {axis} {block * lanes.get(axis, 1)}"] if 2 * block <= terms[axis] else []


def _widest(kernel: DefOp) -> Attribute:
    """The element type that decides the number of lanes: the one of the first output."""
    return _element_of(next(op for op in kernel.block.ops if isinstance(op, WriteOp)))


def _free_axes(kernel: DefOp) -> list[str]:
    """The axes of the first write, in the order of its output's dims."""
    declared = kernel.extents()
    write = next(op for op in kernel.block.ops if isinstance(op, WriteOp))
    out: list[str] = []
    for expr in write.index.data:
        out += sorted(n for n in expr.names() if n in declared and n not in out)
    return out


def _contiguity(kernel: DefOp) -> dict[str, int]:
    """For each axis: accesses that step by one element along it, less those that step otherwise.

    Writes count double, reads inside a reduction four times, since they are made at each of its points.
    """
    scores = {name: 0 for name, _ in kernel.axes.data}
    reduced = reduced_axes(kernel)
    for op in kernel.block.ops:
        if isinstance(op, ReadOp | WriteOp):
            often = any(e.names() & reduced for e in op.index.data)
            weight = 2 if isinstance(op, WriteOp) else 4 if often else 1
            for axis in scores:
                scores[axis] += weight * _step(op, axis)
    return scores


def _step(op: ReadOp | WriteOp, axis: str) -> int:
    """1 for a contiguous access along an axis, -1 for another, 0 for none."""
    type_ = op.array.type
    assert isinstance(type_, RefType)
    found = 0
    for expr, stride in zip(op.index.data, type_.strides.data, strict=True):
        if axis in expr.names():
            plain = stride == ONE and (expr.coefficient(axis) in (ONE, None))
            found = 1 if plain and not found else -1
    return found


def _best(candidates: set[str] | list[str], scores: dict[str, int], sizes: dict[str, int]) -> str | None:
    """The axis with most contiguous accesses, if it has more than others; ties go to the longest."""
    good = [a for a in candidates if scores[a] > 0 and sizes[a] > 1]
    return max(good, key=lambda a: (scores[a], sizes[a])) if good else None


def _vector_size(extent: int, lanes: int, wide: bool) -> int:
    if extent >= lanes:
        return 2 * lanes if wide and extent >= 2 * lanes else lanes
    return 1 << max(1, (extent - 1).bit_length())


def _extra_state_axes(op: ReduceOp, axes: dict[SSAValue, Axes]) -> list[str]:
    """Axes that some states of a tuple have and others lack; a mere count of elements has none and does not matter."""
    states = [
        axes[a] for a, counts in zip(op.finish.block.args, _depends_on_elements(op), strict=True) if counts
    ]
    if len(states) < 2:
        return []
    shared = frozenset.intersection(*states)
    return sorted(frozenset.union(*states) - shared)


def _depends_on_elements(op: ReduceOp) -> list[bool]:
    """For each state, whether the elements flow into it."""
    block = op.step.block
    count = len(op.state_types)
    states, last = block.args[:count], block.last_op
    assert last is not None
    touched: set[SSAValue] = set(block.args[count:])
    while True:
        before = len(touched)
        for inner in block.ops:
            if any(v in touched for v in inner.operands):
                touched.update(inner.results)
        touched.update(s for s, v in zip(states, last.operands, strict=True) if v in touched)
        if len(touched) == before:
            return [s in touched for s in states]
