"""Shape rules that several ops share; all work on dim expressions."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE, Dim, dims_text
from dialects.graph.base import Mismatch

Shape = tuple[Dim, ...]


def broadcast(shapes: Sequence[Shape], what: str = "operands") -> Shape:
    """NumPy's rule: aligned at the last dim, equal or one. Raises Mismatch with both shapes and the offending dim."""
    rank = max((len(s) for s in shapes), default=0)
    out: list[Dim] = []
    for position in range(-rank, 0):
        sizes = [s[position] for s in shapes if len(s) >= -position]
        wide = [s for s in sizes if s != ONE]
        if any(s != wide[0] for s in wide[1:]):
            raise Mismatch(
                f"shapes do not broadcast at dim {rank + position}",
                found=" and ".join(dims_text(s) for s in shapes),
                expected=f"equal sizes, or 1: {wide[0]} against {next(s for s in wide[1:] if s != wide[0])}",
                hint="reshape or transpose one of them",
            )
        out.append(wide[0] if wide else ONE)
    return tuple(out)


def axis_of(axis: int, rank: int, what: str) -> int:
    """A dim number counted from the front; raises Mismatch where there is none."""
    if not -rank <= axis < rank:
        raise Mismatch(f"{what} has no dim {axis}", found=f"a tensor of rank {rank}", expected=f"{-rank} to {rank - 1}")
    return axis % rank


def window(size: Dim, kernel: int, stride: int, padding: int, dilation: int = 1) -> Dim:
    """The output size of a convolution or pooling along one dim."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def pair(value: Sequence[int], what: str) -> tuple[int, int]:
    """Height and width from one integer or two."""
    if len(value) == 1:
        return value[0], value[0]
    if len(value) == 2:
        return value[0], value[1]
    raise Mismatch(f"{what} takes one integer or two", found=str(list(value)))
