"""loop-map-gpu: nests mapped to the blocks and threads of a GPU."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Block, Region
from xdsl.passes import ModulePass

from dialects import loop
from dialects.dims import Dim, DimAttr
from dialects.errors import IrkitError
from dialects.kernel import ArgAttr, ExternOp
from lowering.loop.gpu.chain import Chain, chain_of
from lowering.loop.gpu.points import map_points
from lowering.loop.gpu.products import tile_of
from lowering.loop.gpu.rows import map_rows, rows_reduced
from lowering.loop.gpu.tiles import map_tiles
from lowering.loop.remade import fill_locations
from lowering.target import Gpu, get_target


@dataclass(frozen=True)
class LoopMapGpu(ModulePass):
    """Maps each nest to blocks and threads, by what is in it.

    Expects: functions of one nest, as `kernel-to-loop` makes them for a CUDA target; those that are mapped are left alone.
    Does: (1) a product with a register tile becomes a tile of the result for each block, whose operands its threads stage in
    shared memory; (2) reductions in lanes become a block for each row, whose threads share the reduction; (3) any other
    nest becomes a thread for each point of its independent loops.
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
        chain = _chain(func)
        body = Block(arg_types=[a.type for a in func.block.args])
        for new, old in zip(body.args, func.block.args, strict=True):
            new.name_hint = old.name_hint
        kind = "empty"
        if chain is not None:
            kind = self._fill(func, chain, body, gpu)
            fill_locations(body, chain.around)
        self.stats[kind] = self.stats.get(kind, 0) + 1
        func.detach_region(func.body)
        func.add_region(Region(body))
        signature = [ArgAttr(a.mode, a.alias, DimAttr(Dim.of(gpu.access))) for a in func.signature.data]
        func.properties["signature"] = builtin.ArrayAttr(signature)

    @staticmethod
    def _fill(func: loop.FuncOp, chain: Chain, body: Block, gpu: Gpu) -> str:
        tile = tile_of(chain)
        if tile is not None:
            map_tiles(func, chain, tile, body, gpu)
            return "tiles"
        if rows_reduced(chain):
            map_rows(func, chain, body, gpu)
            return "rows"
        map_points(func, chain, body, gpu)
        return "points"


def is_mapped(func: loop.FuncOp) -> bool:
    """Whether a function has a block loop."""
    return any(isinstance(op, loop.ForOp) and op.role.data == "block" for op in func.block.ops)


def _chain(func: loop.FuncOp) -> Chain | None:
    """The independent loops of a function; None where it computes nothing. Raises IrkitError where it has no one nest."""
    name = f"cannot map @{func.sym_name.data} to blocks and threads"
    for op in func.body.walk():
        if isinstance(op, ExternOp):
            raise IrkitError(f"{name}: it is C text written by hand", op, expected="loops")
        if isinstance(op, loop.BarrierOp):
            hint = "blocks do not wait for one another: write what comes after the barrier as another kernel"
            raise IrkitError(f"{name}: its threads meet at a barrier", op, hint=hint)
        if isinstance(op, loop.AllocOp):
            raise IrkitError(
                f"{name}: it has a {op.ref_type.space.data} array of its own",
                op,
                expected="a schedule without pack and without blocks of a packed product",
                hint="kernel-schedule{target=cuda} writes one",
            )
    nests = [op for op in func.block.ops if isinstance(op, loop.ForOp)]
    writers = [op for op in nests if not op.inits]
    if len(writers) > 1:
        raise IrkitError(
            f"{name}: it has {len(writers)} nests",
            writers[1],
            expected="outputs over the same axes",
            hint="write each output as a kernel of its own",
        )
    if not nests:
        return None
    if len(nests) > 1:  # reductions of all that there is, then what is made of them: one row
        return Chain((), tuple(func.block.ops), nests[-1])
    before = [op for op in func.block.ops if op is not nests[0]]
    chain = chain_of(nests[0], before)
    if chain is None:
        raise IrkitError(
            f"{name}: iterations of loop {nests[0].variable} depend on one another",
            nests[0],
            expected="a loop whose iterations write to elements of their own",
            hint="a state that is carried along all points, or updates at places looked up, have no order between threads",
        )
    return chain
