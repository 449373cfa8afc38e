"""Kernels written by hand: C text for an op, chosen by target and by a predicate on the call.

An op that has no formula and no rule runs by such a kernel; an op that has one may be overridden by it. Built-in ops and
those of plugins register them alike:

    @register_kernel("argsort", scratch=lambda call: 8 * call.operands[0].dims[-1])
    def merge_sort(code: Code) -> str:
        x, out = code.inputs[0], code.outputs[0]
        return f"for (int64_t i = 0; i < {x.dims[0]}; i++) {out.name}[i] = ...;"

Among the kernels whose predicate holds the one that was registered last is taken.

On a GPU each thread of a grid runs that text, as one of `nthreads`, which suits an op with many independent rows. A kernel
with target="cuda" is taken there before it: its text is run by each thread of `blocks` blocks of `threads` threads, and has
CUDA's own names, `threadIdx.x`, `blockIdx.x`, `__shared__` and `__syncthreads()`; its scratch belongs to the whole grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dialects.dims import ONE, ZERO, Dim
from dialects.graph.base import GraphOp, Value, Values, short_name
from dialects.types import AnyTensor, dims_of, dtype_name


@dataclass(frozen=True)
class Tensor:
    """A tensor of a call: its dtype by name, and its dims."""

    dtype: str
    dims: tuple[Dim, ...]


@dataclass(frozen=True)
class Call:
    """A use of an op: what it takes, what it gives, and its complete parameters."""

    op: str
    operands: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    values: Values

    @staticmethod
    def of(op: GraphOp) -> Call:
        return call_of(
            short_name(type(op)),
            [v.type for v in op.operands],  # pyright: ignore
            [r.type for r in op.results],  # pyright: ignore
            op.values(),
        )


def call_of(
    name: str, operands: Sequence[AnyTensor], results: Sequence[AnyTensor], values: dict[str, Value]
) -> Call:
    """A call from types."""

    def tensor(type_: AnyTensor) -> Tensor:
        return Tensor(dtype_name(type_.element_type), dims_of(type_))

    return Call(name, tuple(map(tensor, operands)), tuple(map(tensor, results)), values)


@dataclass(frozen=True)
class CArray:
    """An array in C text: the name of the pointer to its first element, its element type in C, its dtype, and its dims as
    C expressions. Elements are contiguous, the last dim runs fastest."""

    name: str
    ctype: str
    dtype: str
    dims: tuple[str, ...]

    def size(self, first: int = 0, last: int | None = None) -> str:
        """The number of elements over a range of dims, as a C expression."""
        return " * ".join(f"({d})" for d in self.dims[first:last]) or "1"


@dataclass(frozen=True)
class Code:
    """What the text of a kernel may use. Besides: `tid` and `nthreads` (all threads of the team run the text), and
    `irk_chunk(first, last, step, tid, nthreads, &begin, &end)`, which gives a thread its part of a range."""

    call: Call
    inputs: tuple[CArray, ...]
    outputs: tuple[CArray, ...]
    scratch: str | None
    """A `char *` to this thread's own bytes, aligned to 64."""


Predicate = Callable[[Call], bool]
Build = Callable[[Code], str]


@dataclass(frozen=True)
class Kernel:
    """A registered kernel."""

    name: str
    op: str
    target: str
    when: Predicate
    scratch: Callable[[Call], Dim | int]
    build: Build
    blocks: Callable[[Call], Dim | int] = lambda _: ONE
    threads: int = 1


KERNELS: dict[str, list[Kernel]] = {}
"""The kernels of each op, by its short name."""


def register_kernel(
    op: str,
    target: str = "c",
    when: Predicate = lambda _: True,
    scratch: Callable[[Call], Dim | int] = lambda _: ZERO,
    blocks: Callable[[Call], Dim | int] = lambda _: ONE,
    threads: int = 1,
) -> Callable[[Build], Build]:
    """Declares a function that gives the text of a kernel; `scratch` is the number of bytes that each thread needs. For a
    GPU: that the grid needs, and the grid."""

    def declare(build: Build) -> Build:
        kernel = Kernel(build.__name__, op, target, when, scratch, build, blocks, threads)
        KERNELS.setdefault(op, []).append(kernel)
        return build

    return declare


def find_kernel(call: Call, target: str = "c") -> Kernel | None:
    """The kernel that a call takes, if there is one."""
    for kernel in reversed(KERNELS.get(call.op, ())):
        if kernel.target == target and kernel.when(call):
            return kernel
    return None


WHOLE = "graph.whole"
"""The attribute of an op that has a form of its own below the graph level, where it is a kernel by itself."""


def runs_by_hand(op: object) -> bool:
    """Whether an op is a kernel by itself: one that a registered kernel runs, or that has a form of its own."""
    if not isinstance(op, GraphOp):
        return False
    return WHOLE in op.attributes or (
        short_name(type(op)) in KERNELS and find_kernel(Call.of(op)) is not None
    )
