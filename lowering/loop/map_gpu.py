"""loop-map-gpu: nests mapped to the blocks and threads of a GPU."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Block, Region
from xdsl.passes import ModulePass

from dialects import loop
from dialects.dims import ZERO, Dim, DimAttr, product
from dialects.errors import IrkitError
from dialects.kernel import ArgAttr
from lowering.loop.gpu.attention import Attention, is_attention
from lowering.loop.gpu.chain import Chain
from lowering.loop.gpu.columns import Columns, column_sum
from lowering.loop.gpu.grid import Form, fill_grid
from lowering.loop.gpu.matrices import product_of_matrices
from lowering.loop.gpu.mma import Matrices
from lowering.loop.gpu.owners import Owners, updates_of
from lowering.loop.gpu.parts import chain_of_part, groups_of
from lowering.loop.gpu.points import Points
from lowering.loop.gpu.products import tile_of
from lowering.loop.gpu.rows import Rows, rows_reduced
from lowering.loop.gpu.scans import Scans, scan_of
from lowering.loop.gpu.team import Team
from lowering.loop.gpu.text import Text, text_of
from lowering.loop.gpu.tiles import Tiles
from lowering.loop.remade import fill_locations
from lowering.target import Gpu, get_target


@dataclass(frozen=True)
class LoopMapGpu(ModulePass):
    """Maps each nest to blocks and threads, by what is in it.

    Expects: functions as `kernel-to-loop` makes them for a CUDA target, split where nests wait for others (`loop-split-nests`);
    those that are mapped are left alone.
    Does: (1) a product of matrices that tensor cores multiply becomes a tile of the result for each block, which its warps compute
    there while copies fill further stages of shared memory, another product with a register tile one whose operands the
    threads stage in shared memory; (2) reductions in lanes become a block for each row, or a warp, whose threads share the
    reduction; (3) of few points with long sums each, a block takes some points and its threads parts of the sums; (4) of few
    long scans, a block takes each, and of updates at places that are looked up, a thread those of its element; (5) any other
    nest becomes a thread for each point of its independent loops, one where there are none; (6) of several nests, the first
    blocks run the first, those behind them the next; (7) a function with memory or barriers of its own is run by one block as
    by a team; (8) text written by hand is run by a grid as its kernel says; (9) attention that was kept whole becomes a block for
    some queries of a head, which goes over the keys on tensor cores.
    Leaves: functions whose outermost loop is a `block` loop around a `thread` loop; arguments are aligned as vector accesses
    need it.
    """

    name = "loop-map-gpu"

    target: str = "cuda"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        gpu = get_target(self.target).gpu
        if gpu is None:
            raise IrkitError(
                f"target '{self.target}' has no blocks and threads",
                expected="a CUDA target",
                hint="loop-map-gpu{target=cuda}",
            )
        for func in [f for f in op.ops if isinstance(f, loop.FuncOp) and not is_mapped(f)]:
            self._map(func, gpu)

    def _map(self, func: loop.FuncOp, gpu: Gpu) -> None:
        forms = _forms(func, gpu)
        body = Block(arg_types=[a.type for a in func.block.args])
        for new, old in zip(body.args, func.block.args, strict=True):
            new.name_hint = old.name_hint
        if forms:
            fill_grid(func, forms, body)
            fill_locations(body, next(iter(func.block.ops)))
        for kind in {form.kind for form in forms} or {"empty"}:
            self.stats[kind] = self.stats.get(kind, 0) + 1
        func.detach_region(func.body)
        func.add_region(Region(body))
        signature = [ArgAttr(a.mode, a.alias, DimAttr(Dim.of(gpu.access))) for a in func.signature.data]
        func.properties["signature"] = builtin.ArrayAttr(signature)


def is_mapped(func: loop.FuncOp) -> bool:
    """Whether a function has a block loop."""
    return any(isinstance(op, loop.ForOp) and op.role.data == "block" for op in func.block.ops)


def _forms(func: loop.FuncOp, gpu: Gpu) -> list[Form]:
    """How a function is run: a form for each of its nests, which run at once, or one for all of it."""
    if (text := text_of(func)) is not None:
        return [Attention(func, text, gpu) if is_attention(func, text) else Text(text, gpu)]
    groups = groups_of(func)
    if groups is None or len(groups) > 1:
        return [Team(func, gpu)]
    ranges = func.symbols.ranges()
    chains = [chain_of_part(func, part) for group in groups for part in group]
    chains = [c for c in chains if product(c.counts(ranges)) != ZERO]
    if len(chains) == 1 and (found := product_of_matrices(chains[0], gpu)) is not None:
        return [Matrices(func, chains[0], found, gpu)]
    return [_form(func, c, gpu) for c in chains]


def _form(func: loop.FuncOp, chain: Chain, gpu: Gpu) -> Form:
    tile = tile_of(chain)
    if tile is not None:
        return Tiles(func, chain, tile, gpu)
    if reductions := rows_reduced(chain):
        return Rows(func, chain, reductions, gpu)
    points = product(chain.counts(func.symbols.ranges())).value
    if points is not None and points < gpu.processors * gpu.threads:
        if (found := column_sum(chain)) is not None:
            return Columns(func, chain, found, gpu)
        if reductions := rows_reduced(chain, plain=True):
            return Rows(func, chain, reductions, gpu)
        if (scan := scan_of(func, chain, points, gpu)) is not None:
            return Scans(func, chain, scan, gpu)
        if (updates := updates_of(func, chain, points, gpu)) is not None:
            return Owners(func, chain, updates, gpu)
    return Points(func, chain, gpu)
