"""graph-channels-last, graph-copy-views: convolutions in the layout that tensor cores multiply.

A convolution of channels that lie side by side is a product of matrices whose rows are the points of the result: at each
point of the filter, the channels of a pixel are a row of the left one ("implicit GEMM", S. Chetlur et al., "cuDNN: Efficient
Primitives for Deep Learning", 2014; NHWC).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp, TensorType, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ONE, Dim
from dialects.graph import GraphOp, IndexOp, make, operation_name
from dialects.graph.contraction import Conv2dOp
from dialects.graph.shapes import edges, ints, number
from dialects.graph.structure import Access, YieldOp
from dialects.types import dims_of, storage
from lowering.graph.fuse_groups import is_view
from lowering.loop.gpu.matrices import has_instruction
from lowering.rewriting import Rewriter, is_scheduled, pattern, rewrite_greedily
from lowering.target import Gpu, get_target

CHUNK = 8
"""Channels come in so many, for copies of 16 bytes and whole fragments; there are zeros for those that an image lacks."""

LAST, FIRST, FILTERS = (0, 2, 3, 1), (0, 3, 1, 2), (2, 3, 1, 0)
"""Dims of an image with channels last, of one with channels first again, and of filters with what they give last."""


@dataclass(frozen=True)
class GraphChannelsLast(ModulePass):
    """Writes convolutions for tensor cores, with channels last.

    Expects: functions at the graph level.
    Does: for a target with tensor cores, a conv2d of numbers that these multiply, of one group and filters in multiples of 8,
    becomes index notation over an image and filters that are transposed; its result is transposed back. `graph-sink` lets such
    transposes cancel. What the program schedules stays.
    Leaves: a function at the graph level; a sum may be taken in another order.
    """

    name = "graph-channels-last"

    target: str = "cuda"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        gpu = get_target(self.target).gpu
        if gpu is None:
            return

        @pattern(Conv2dOp)
        def channels_last(conv: Conv2dOp, rewriter: Rewriter) -> None:
            if _fits(conv, gpu):
                new = _written_out(conv)
                rewriter.replace(conv, new, new[-1].results)

        for func in (f for f in op.ops if isinstance(f, FuncOp)):
            for rule, count in rewrite_greedily(func, (channels_last,)).items():
                self.stats[rule] = self.stats.get(rule, 0) + count


@dataclass(frozen=True)
class GraphCopyViews(ModulePass):
    """Copies what a product for tensor cores would read through a transpose.

    Expects: functions at the graph level.
    Does: for a target with tensor cores, an operand of a sum of products in index notation that is a transpose which moves the
    last dim is copied, so that elements lie side by side; of a parameter once.
    Leaves: a function at the graph level, and the same numbers.
    """

    name = "graph-copy-views"

    target: str = "cuda"
    stats: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        gpu = get_target(self.target).gpu
        if gpu is None:
            return
        copies: dict[SSAValue, IndexOp] = {}
        for product in [o for o in op.walk() if isinstance(o, IndexOp) and _is_product(o, gpu)]:
            for place, value in enumerate(product.operands):
                if not _moves_last(value):
                    continue
                if value not in copies:
                    copies[value] = _copy_of(value)
                    copies[value].location = product.location
                    Rewriter().insert_after(value.owner, copies[value])  # pyright: ignore[reportArgumentType]
                product.operands[place] = copies[value].results[0]
        self.stats["views copied"] = len(copies)


def _element(value: SSAValue) -> Attribute:
    assert isinstance(value.type, TensorType)
    return value.type.element_type


def _fits(conv: Conv2dOp, gpu: Gpu) -> bool:
    channels, filters = (d.value for d in (dims_of(conv.operands[1].type)[n] for n in (1, 0)))  # pyright: ignore
    if channels is None or filters is None or not channels or filters % CHUNK or is_scheduled(conv):
        return False
    return number(conv.values(), "groups") == 1 and has_instruction(_element(conv.operands[0]), gpu)


def _written_out(conv: Conv2dOp) -> list[Operation]:
    """The ops that a convolution is with channels last."""
    x, w, *bias = conv.operands
    image = make("transpose", [x], {"perm": list(LAST)})
    filters = make("transpose", [w], {"perm": list(FILTERS)})
    ops: list[Operation] = [image, filters]
    if missing := -(dims_of(w.type)[1].value or 0) % CHUNK:  # pyright: ignore[reportArgumentType]
        image = make("pad", [image.results[0]], {"pads": [Dim.of(n) for n in (*[0] * 7, missing)]})
        filters = make("pad", [filters.results[0]], {"pads": [Dim.of(n) for n in (*[0] * 5, missing, 0, 0)]})
        ops += [image, filters]
    n, o, h, v = dims_of(conv.results[0].type)  # pyright: ignore[reportArgumentType]
    r, s, c, _ = dims_of(filters.results[0].type)  # pyright: ignore[reportArgumentType]
    sums = [("r", r), ("s", s), ("c", c)]
    window = [(name, size) for name, size in sums if size != ONE or name == "c"]
    taps = [Dim.of(name) if (name, size) in window else Dim.of(0) for name, size in sums[:2]]
    values = conv.values()
    padding = edges(values, 2)
    spot = [
        Dim.of(axis) * step + tap * wide - before
        for axis, tap, step, wide, (before, _) in zip(
            ("h", "v"), taps, ints(values, "stride"), ints(values, "dilation"), padding, strict=True
        )
    ]
    outside = "zero" if any(map(any, padding)) else "none"
    reads = [
        Access(0, (Dim.of("n"), *spot, Dim.of("c")), outside),
        Access(1, (*taps, Dim.of("c"), Dim.of("o"))),
    ]
    element = storage(_element(x))
    body = Block(arg_types=[element, element, *[i64] * (4 + len(window))])
    product = arith.MulfOp(body.args[0], body.args[1])
    body.add_ops([product, YieldOp(product.result)])
    total = IndexOp(
        [image.results[0], filters.results[0]],
        [("n", n), ("h", h), ("v", v), ("o", o)],
        reads,
        _element(x),
        Region(body),
        "sum",
        window,
    )
    ops.append(total)
    if bias:
        ops.append(make("add", [total.results[0], bias[0]], {}))
    return [*ops, make("transpose", [ops[-1].results[0]], {"perm": list(FIRST)})]


def _is_product(op: IndexOp, gpu: Gpu) -> bool:
    """Whether index notation sums products of two elements that tensor cores multiply."""
    ops = list(op.body.block.ops)
    if op.combiner is None or op.combiner.data != "sum" or len(op.reads) != 2 or len(ops) != 2:
        return False
    reads = set(op.body.block.args[:2])
    return (
        isinstance(ops[0], arith.MulfOp)
        and {*ops[0].operands} == reads
        and has_instruction(_element(op.operands[0]), gpu)
    )


def _moves_last(value: SSAValue) -> bool:
    """Whether a value is a transpose, through views, whose last dim is another one's."""
    while isinstance(op := value.owner, GraphOp) and is_view(op):
        if operation_name(op) == "transpose":
            perm = ints(op.values(), "perm")
            return perm[-1] != len(perm) - 1
        value = op.operands[0]
    return False


def _copy_of(value: SSAValue) -> IndexOp:
    """A tensor of its own with the elements of a value."""
    axes = [(f"d{number}", size) for number, size in enumerate(dims_of(value.type))]  # pyright: ignore
    body = Block(arg_types=[storage(_element(value)), *[i64] * len(axes)])
    body.add_op(YieldOp(body.args[0]))
    reads = [Access(0, tuple(Dim.of(name) for name, _ in axes))]
    return IndexOp([value], axes, reads, _element(value), Region(body))
