"""In which order a product of many tensors is computed with the fewest multiply-adds: plain functions of dims.

A tree says the order: a number is a factor, a pair the product of two. What is made of parameters alone costs nothing in a
run, as long as it takes no more memory than they do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from dialects.dims import ONE, ZERO, Dim, product
from dialects.graph.shapes import Shape, broadcast

Tree: TypeAlias = "int | tuple[Tree, Tree]"
Size: TypeAlias = Callable[[Dim], float]
"""What a number of multiply-adds is taken to be where orders are compared."""


@dataclass(frozen=True)
class Factor:
    """A tensor in a product: its letters in order, and the bytes of the parameters that it is made of, if it is fixed."""

    letters: str
    sources: int | None = None


@dataclass(frozen=True)
class Sum:
    """A product of factors, summed over the letters that the result does not have."""

    factors: tuple[Factor, ...]
    result: str
    sizes: dict[str, Dim]
    element_bytes: int

    def count(self, letters: str) -> Dim:
        """How many points letters span, each taken once."""
        return product(self.sizes[c] for c in dict.fromkeys(letters))

    def left(self, inside: frozenset[int]) -> str:
        """The letters that the product of some factors has left: those of the result and of other factors."""
        needed = set(self.result).union(*(f.letters for i, f in enumerate(self.factors) if i not in inside))
        letters = "".join(self.factors[i].letters for i in sorted(inside))
        return "".join(c for c in dict.fromkeys(letters) if c in needed)

    def times(self, a: Factor, b: Factor, inside: frozenset[int]) -> tuple[Factor, Dim]:
        """The product of two, which hold the factors `inside` between them, and its multiply-adds in each run."""
        letters = self.result if len(inside) == len(self.factors) else self.left(inside)
        if a.sources is not None and b.sources is not None:
            both, own = a.sources + b.sources, (self.count(letters) * self.element_bytes).value
            if own is not None and own <= both:
                return Factor(letters, both), ZERO
        return Factor(letters), self.count(a.letters + b.letters)

    def cost(self, tree: Tree) -> Dim:
        """The multiply-adds of an order."""
        return self._walk(tree)[1]

    def _walk(self, tree: Tree) -> tuple[Factor, Dim, frozenset[int]]:
        if isinstance(tree, int):
            return self.factors[tree], ZERO, frozenset((tree,))
        (a, first, left), (b, second, right) = map(self._walk, tree)
        out, own = self.times(a, b, left | right)
        return out, first + second + own, left | right


def best_in_a_row(total: Sum, size: Size) -> Tree:
    """The best order of neighbours, as matrices need: each run of factors is split where that is cheapest."""
    count = len(total.factors)
    best: dict[tuple[int, int], tuple[float, Factor, Tree]] = {
        (i, i): (0.0, f, i) for i, f in enumerate(total.factors)
    }
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            inside = frozenset(range(i, i + length))
            pairs = [(best[i, k], best[k + 1, i + length - 1]) for k in range(i, i + length - 1)]
            best[i, i + length - 1] = _cheapest(total, pairs, inside, size)
    return best[0, count - 1][2]


def best_of_all(total: Sum, size: Size) -> Tree:
    """The best order in which any two factors may meet; for no more than eight of them or so."""
    count = len(total.factors)
    best: dict[frozenset[int], tuple[float, Factor, Tree]] = {
        frozenset((i,)): (0.0, f, i) for i, f in enumerate(total.factors)
    }
    for length in range(2, count + 1):
        for chosen in combinations(range(count), length):
            inside, first, rest = frozenset(chosen), chosen[0], chosen[1:]
            lefts = (frozenset((first, *c)) for n in range(length - 1) for c in combinations(rest, n))
            pairs = [(best[left], best[inside - left]) for left in lefts]
            best[inside] = _cheapest(total, pairs, inside, size)
    return best[frozenset(range(count))][2]


def _cheapest(
    total: Sum,
    pairs: Sequence[tuple[tuple[float, Factor, Tree], tuple[float, Factor, Tree]]],
    inside: frozenset[int],
    size: Size,
) -> tuple[float, Factor, Tree]:
    found: list[tuple[float, Factor, Tree]] = []
    for (first, a, left), (second, b, right) in pairs:
        out, own = total.times(a, b, inside)
        found.append((first + second + size(own), out, (left, right)))
    return min(found, key=lambda f: f[0])


# -- matrices as letters --------------------------------------------------------------------------------------------


def chain(shapes: Sequence[Shape], sources: Sequence[int | None], element_bytes: int) -> Sum:
    """A product of matrices in a row, each with dims of a batch before its two; the first may be a row, and the last a
    column, of one dim. Letters: lower case ones for rows and columns, capital ones for the batch, counted from its end."""
    rows = [s[-2] if len(s) > 1 else (s[-1] if i else ONE) for i, s in enumerate(shapes)]  # pyright: ignore[reportGeneralTypeIssues]
    *_, last = shapes[-1] if len(shapes[-1]) > 1 else (ONE,)
    sizes = dict(zip(map(_letter, range(len(shapes) + 1)), [*rows, last], strict=True))
    batch = broadcast([s[:-2] for s in shapes])
    names = [chr(ord("A") + len(batch) - 1 - i) for i in range(len(batch))]
    sizes |= dict(zip(names, batch, strict=True))
    factors: list[Factor] = []
    for i, (shape, own) in enumerate(zip(shapes, sources, strict=True)):
        lead = shape[:-2]
        wide = [n for n, d in zip(names[len(names) - len(lead) :], lead, strict=True) if d != ONE]
        factors.append(Factor("".join(wide) + _letter(i) + _letter(i + 1), own))
    result = "".join(names) + _letter(0) + _letter(len(shapes))
    return Sum(tuple(factors), result, sizes, element_bytes)


def _letter(i: int) -> str:
    return chr(ord("a") + i)
