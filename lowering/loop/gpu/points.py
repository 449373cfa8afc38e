"""Point by point: a thread for each iteration of the independent loops, whatever their body is."""

from __future__ import annotations

from xdsl.ir import Block

from dialects import loop
from dialects.dims import Dim, ceildiv, product
from lowering.loop.gpu.chain import Chain, Mover, numbers_of, threads_for
from lowering.loop.remade import fresh_name
from lowering.target import Gpu


def map_points(func: loop.FuncOp, chain: Chain, body: Block, gpu: Gpu) -> None:
    """Fills a body: neighbouring threads take neighbouring points of the innermost loop."""
    ranges = func.symbols.ranges()
    counts = chain.counts(ranges)
    total = product(counts)
    size = threads_for(total.value or gpu.threads, gpu.warp, gpu.threads)
    blocks = loop.ForOp(fresh_name("b", func), 0, ceildiv(total, size), role="block")
    threads = loop.ForOp(fresh_name("t", func), 0, size, role="thread")
    body.add_op(blocks)
    blocks.block.add_op(threads)
    point = Dim.of(blocks.variable) * size + Dim.of(threads.variable)
    inside = threads.block
    if total.value is None or total.value % size:
        branch = loop.IfOp([total - 1 - point])
        inside.add_op(branch)
        inside = branch.then.block
    numbers = zip(chain.axes, numbers_of(point, counts), strict=True)
    names = {axis.variable: axis.at(number) for axis, number in numbers}
    mover = Mover(names, dict(zip(func.block.args, body.args, strict=True)))
    for op in chain.body:
        mover.copy(op, inside)
