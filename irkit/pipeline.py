"""The pipeline as data: the passes of each level, in order, with named stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from dialects.errors import IrkitError
from irkit.collector import paused
from irkit.plugins import plugin_dialects
from lowering.target import is_cuda
from lowering.verify import check_only

LEVELS = ("graph", "kernel", "loop", "buffer", "c")

CUDA = "cuda"
"""What CUDA text is called: kernels mapped to blocks and threads, and the host program that launches them."""

UPSTREAM = "upstream"
"""What the way to MLIR's own dialects is called: it leaves irkit's levels after the buffer level."""

STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "graph",
        (
            "graph-differentiate",
            "graph-simplify",
            "graph-cse",
            "graph-recognise",
            "graph-simplify-reductions",
            "graph-fold-pads",
            "graph-fold-scale",
            "graph-order-products",
            "graph-dce",
            "graph-prune",
            "graph-hoist",
            "graph-sink",
            "graph-fold-scale",  # again: of what reductions and sinking have brought next to products
        ),
    ),
    (
        "kernel",
        (
            "graph-lower-quantised",
            "graph-split-complex",
            "graph-decompose",
            "graph-cse",
            "graph-dce",
            "graph-merge-products",
            "graph-fuse",
            "graph-outline",
            "graph-to-kernel",
            "kernel-merge-reductions",
            "kernel-simplify",
            "kernel-collapse-axes",
            "kernel-im2col",
            "kernel-schedule",
            "kernel-prepack",
        ),
    ),
    ("loop", ("kernel-to-loop", "loop-prefetch")),
    ("buffer", ("kernel-to-buffer", "buffer-tile-time", "buffer-place-barriers")),
)
"""Each level with the passes that lead to it from the one before."""

MAPPING: dict[str, tuple[str, ...]] = {
    "graph-hoist": ("graph-channels-last",),
    "graph-merge-products": ("graph-copy-views",),
    "kernel-to-loop": ("loop-split-nests", "loop-split-sums", "loop-map-gpu"),
}
"""Passes that follow a standard one where the target has blocks and threads."""

THREADED = frozenset({"buffer-tile-time"})
"""Passes for teams of threads, which a target with blocks and threads does without."""

PASSES: dict[str, tuple[str, str]] = {
    "graph-differentiate": ("lowering.graph.differentiate", "GraphDifferentiate"),
    "graph-simplify": ("lowering.graph.simplify", "GraphSimplify"),
    "graph-simplify-reductions": ("lowering.graph.simplify_reductions", "GraphSimplifyReductions"),
    "graph-recognise": ("lowering.graph.recognise", "GraphRecognise"),
    "graph-cse": ("lowering.graph.cse", "GraphCse"),
    "graph-fold-pads": ("lowering.graph.fold_pads", "GraphFoldPads"),
    "graph-fold-scale": ("lowering.graph.fold_scale", "GraphFoldScale"),
    "graph-order-products": ("lowering.graph.order_products", "GraphOrderProducts"),
    "graph-dce": ("lowering.graph.dce", "GraphDce"),
    "graph-hoist": ("lowering.graph.hoist", "GraphHoist"),
    "graph-prune": ("lowering.graph.prune", "GraphPrune"),
    "graph-channels-last": ("lowering.graph.channels_last", "GraphChannelsLast"),
    "graph-sink": ("lowering.graph.sink", "GraphSink"),
    "graph-lower-quantised": ("lowering.graph.lower_quantised", "GraphLowerQuantised"),
    "graph-split-complex": ("lowering.graph.split_complex", "GraphSplitComplex"),
    "graph-decompose": ("lowering.graph.decompose", "GraphDecompose"),
    "graph-merge-products": ("lowering.graph.products.merge", "GraphMergeProducts"),
    "graph-copy-views": ("lowering.graph.channels_last", "GraphCopyViews"),
    "graph-fuse": ("lowering.graph.fuse", "GraphFuse"),
    "graph-outline": ("lowering.graph.outline", "GraphOutline"),
    "graph-to-kernel": ("lowering.kernel.graph_to_kernel", "GraphToKernel"),
    "kernel-merge-reductions": ("lowering.kernel.merge_reductions", "KernelMergeReductions"),
    "kernel-simplify": ("lowering.kernel.simplify", "KernelSimplify"),
    "kernel-collapse-axes": ("lowering.kernel.collapse", "KernelCollapseAxes"),
    "kernel-im2col": ("lowering.kernel.im2col", "KernelIm2col"),
    "kernel-schedule": ("lowering.kernel.schedule", "KernelSchedule"),
    "kernel-prepack": ("lowering.kernel.prepack", "KernelPrepack"),
    "kernel-to-loop": ("lowering.loop.kernel_to_loop", "KernelToLoop"),
    "loop-prefetch": ("lowering.loop.prefetch", "LoopPrefetch"),
    "loop-split-nests": ("lowering.loop.split_nests", "LoopSplitNests"),
    "loop-split-sums": ("lowering.loop.split_sums", "LoopSplitSums"),
    "loop-map-gpu": ("lowering.loop.map_gpu", "LoopMapGpu"),
    "kernel-to-buffer": ("lowering.buffer.kernel_to_buffer", "KernelToBuffer"),
    "buffer-tile-time": ("lowering.buffer.tile_time", "BufferTileTime"),
    "buffer-place-barriers": ("lowering.buffer.barriers", "BufferPlaceBarriers"),
    "buffer-to-upstream": ("lowering.upstream.buffer_to_upstream", "BufferToUpstream"),
}
"""Every pass of ours by name: module and class, imported when first asked for."""

AFTER: dict[str, list[str]] = {}
"""Passes of plugins, by the standard pass that they follow."""

ALLOWED: dict[str, frozenset[str]] = {
    "graph-to-kernel": frozenset(
        {"builtin", "func", "arith", "math", "kernel", "graph.for", "graph.yield", "graph.constant"}
    ),
    "kernel-to-loop": frozenset(
        {
            "builtin",
            "func",
            "arith",
            "math",
            "loop",
            "kernel.launch",
            "graph.for",
            "graph.yield",
            "graph.constant",
        }
        | {
            f"kernel.{name}"
            for name in ("fptoint", "convert", "compare", "select", "integer", "remf", "random", "extern")
        }
    ),
    "kernel-to-buffer": frozenset(
        {"builtin", "arith", "math", "loop", "buffer"}
        | {
            f"kernel.{name}"
            for name in ("fptoint", "convert", "compare", "select", "integer", "remf", "random", "extern")
        }
    ),
    "buffer-to-upstream": frozenset({"builtin", "func", "arith", "math", "scf", "memref", "vector"}),
}
"""What may be left after each change of level: ops by name, and whole dialects."""

TARGETED = {
    "graph-fold-scale": ("target", "cc"),
    "graph-order-products": ("target", "cc"),
    "kernel-im2col": ("target", "cc"),
    "graph-decompose": ("target",),
    "graph-merge-products": ("target", "cc"),
    "kernel-schedule": ("target", "cc"),
    "kernel-prepack": ("target", "cc"),
    "loop-prefetch": ("target", "cc"),
    "graph-channels-last": ("target",),
    "graph-copy-views": ("target",),
    "loop-split-nests": ("target",),
    "loop-split-sums": ("target",),
    "loop-map-gpu": ("target",),
    "buffer-tile-time": ("target", "cc"),
}
"""Passes whose options name the target, and the compiler."""


FAST_MATH = frozenset({"graph-simplify", "graph-recognise"})
"""Passes that have rules for numbers that are finite, and overflow nowhere."""


def all_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Every pass of ours by name, as a function that imports it."""

    def loader(module: str, cls: str) -> Callable[[], type[ModulePass]]:
        return lambda: getattr(import_module(module), cls)

    return {name: loader(*where) for name, where in PASSES.items()}


def make_pass(
    name: str, target: str = "native", cc: str = "gcc", tuned: str = "", fast_math: bool = False
) -> ModulePass:
    """A pass with the options that the standard pipeline gives it."""
    cls = all_passes()[name]()
    options = {"target": target, "cc": cc}
    chosen: dict[str, str | bool] = {n: options[n] for n in TARGETED.get(name, ())}
    if name in FAST_MATH and fast_math:
        chosen["fast_math"] = True
    if name == "kernel-schedule" and tuned:
        chosen["tuned"] = tuned
    return cls(**chosen)


def passes_to(
    level_from: str,
    level_to: str,
    target: str = "native",
    cc: str = "gcc",
    tuned: str = "",
    fast_math: bool = False,
) -> list[ModulePass]:
    """The standard passes that bring a module of one level to another; `tuned` is a folder of tuned schedules, `fast_math`
    lets the passes of `FAST_MATH` go by the algebra of real numbers.

    From `graph` to `graph` runs the graph optimiser; from another level to itself nothing.
    """
    start = LEVELS.index(level_from)
    stop = min(LEVELS.index(level_to), len(STAGES) - 1)
    first = start if start == 0 else start + 1
    standard = [name for _, names in STAGES[first : stop + 1] for name in names]
    mapping: Mapping[str, tuple[str, ...]] = {}
    if is_cuda(target):
        mapping, standard = MAPPING, [n for n in standard if n not in THREADED]
        if level_from == "loop" and standard:
            standard = [*MAPPING["kernel-to-loop"], *standard]  # kernels that are mapped stay as they are
    return [
        make_pass(n, target, cc, tuned, fast_math)
        for name in standard
        for n in (name, *AFTER.get(name, ()), *mapping.get(name, ()))
    ]


def split(passes: Sequence[ModulePass], name: str) -> tuple[Sequence[ModulePass], Sequence[ModulePass]]:
    """The passes before the one of a name, and the rest."""
    place = [step.name for step in passes].index(name)
    return passes[:place], passes[place:]


def passes_cuda(level_from: str, target: str) -> list[ModulePass]:
    """The passes that bring a module of one level to a program whose kernels are mapped to blocks and threads."""
    return passes_to(level_from, "buffer", target)


def passes_upstream(
    level_from: str, target: str = "native", cc: str = "gcc", tuned: str = ""
) -> list[ModulePass]:
    """The passes that bring a module of one level to MLIR's own dialects."""
    return [*passes_to(level_from, "buffer", target, cc, tuned), make_pass("buffer-to-upstream")]


def level_of(module: builtin.ModuleOp) -> str:
    """The level that a module is at: the lowest whose host program it holds."""
    names = {type(op).name for op in module.ops}
    if "buffer.program" in names:
        return "buffer"
    if "loop.func" in names:
        return "loop"
    if "kernel.def" in names:
        return "kernel"
    return "graph"


def context() -> Context:
    """An xDSL context with the dialects of all levels."""
    from xdsl.dialects.arith import Arith
    from xdsl.dialects.builtin import Builtin
    from xdsl.dialects.func import Func
    from xdsl.dialects.math import Math

    from dialects.buffer import Buffer
    from dialects.graph import Graph
    from dialects.kernel import Kernel
    from dialects.loop import Loop

    ctx = Context()
    for dialect in (Builtin, Func, Arith, Math, Graph, Kernel, Loop, Buffer, *plugin_dialects()):
        ctx.load_dialect(dialect)
    return ctx


def run_passes(module: builtin.ModuleOp, passes: Sequence[ModulePass], ctx: Context | None = None) -> None:
    """Runs passes in order, and checks the IR after each change of level. Raises IrkitError or ErrorList."""
    ctx = ctx or context()
    with paused():
        for step in passes:
            step.apply(ctx, module)
            check_level(module, step.name)


def check_level(module: builtin.ModuleOp, name: str) -> None:
    """After a pass that changes the level: no op of the level above is left. Raises ErrorList."""
    if (allowed := ALLOWED.get(name)) is not None:
        check_only(module, allowed, name)


def require_level(module: builtin.ModuleOp, level: str) -> Operation:
    """The host program of a module at a level; raises IrkitError where there is none."""
    wanted = "buffer.program" if level == "buffer" else "func.func"
    for op in module.ops:
        if type(op).name == wanted:
            return op
    raise IrkitError(
        f"the module holds no {wanted}", module, hint="give it a function, or start from an earlier level"
    )
