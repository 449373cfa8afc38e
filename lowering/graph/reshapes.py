"""What a reshape does to dims: which it splits, joins, or leaves."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import Dim, product
from dialects.graph.shapes import Shape
from dialects.graph.sketch import Term


def shaped(x: Term, dims: Sequence[Dim]) -> Term:
    """A tensor with other dims."""
    return x if x.dims == tuple(dims) else x.reshape(dims)


def matching(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Runs of dims of two shapes that hold the same elements, as short as they can be; all in one where sizes are not
    known to differ."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        before, after = list(range(i, min(i + 1, len(old)))), list(range(j, min(j + 1, len(new))))
        a, b = (product(s[d] for d in run) for s, run in ((old, before), (new, after)))
        i, j = i + len(before), j + len(after)
        while a != b:
            is_less = a.value is None or b.value is None or a.value < b.value
            if i < len(old) and (is_less or j == len(new)):
                before.append(i)
                a, i = a * old[i], i + 1
            elif j < len(new):
                after.append(j)
                b, j = b * new[j], j + 1
            else:
                break
        found.append((before, after))
    return found
