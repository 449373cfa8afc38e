"""Places the boxes of a drawing in layers, from the top down (Sugiyama, Tagawa and Toda, "Methods for visual
understanding of hierarchical system structures", 1981). Knows boxes by number and size only.

1. A box lies one layer below the lowest box that it reads from; what reads nothing lies just above its first reader.
2. An edge over several layers goes through a point in each of them; edges from one box share their points.
3. Sweeps down and up order each layer by the mean place of its neighbours, and keep the order with the fewest crossings.
4. Within a layer, boxes move as near to the mean of their neighbours as the gaps allow, by least squares.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP_X = 20.0
GAP_Y = 46.0
POINT = 6.0
"""The width that a passing edge takes."""

ORDER_SWEEPS = 8
PLACE_SWEEPS = 6

Point = tuple[float, float]


@dataclass(frozen=True)
class Segment:
    """A part of the edges from one box, between two layers; it ends at a box or, with None, at a point on the way."""

    source: int
    target: int | None
    start: Point
    end: Point


@dataclass(frozen=True)
class Layout:
    """The centre of each box, and the parts of the edges; edges from one box share them."""

    centres: tuple[Point, ...]
    segments: tuple[Segment, ...]
    width: float
    height: float


def layered(sizes: Sequence[Point], edges: Sequence[tuple[int, int]]) -> Layout:
    """Places boxes of (width, height); every edge leads from a box to one of a higher number."""
    if not sizes:
        return Layout((), (), 0.0, 0.0)
    layer = layers_of(len(sizes), edges)
    links, places, owner = _links(layer, edges)
    widths = [w for w, _ in sizes] + [POINT] * (len(places) - len(sizes))
    rows = _ordered(places, links)
    x = _placed(rows, links, widths)
    tops, heights, height = _rows(rows, sizes)
    left = min(at - width / 2 for at, width in zip(x, widths, strict=True))
    right = max(at + width / 2 for at, width in zip(x, widths, strict=True))
    middle = [tops[row] + heights[row] / 2 for row in places]
    points = [(at - left, y) for at, y in zip(x, middle, strict=True)]
    half = [h / 2 for _, h in sizes] + [0.0] * (len(places) - len(sizes))
    segments = tuple(
        Segment(
            owner[a],
            b if b < len(sizes) else None,
            (points[a][0], points[a][1] + half[a]),
            (points[b][0], points[b][1] - half[b]),
        )
        for a, b in links
    )
    return Layout(tuple(points[: len(sizes)]), segments, right - left, height)


def layers_of(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The layer of each box."""
    layer = [0] * count
    first_reader: dict[int, int] = {}
    fed = {target for _, target in edges}
    for source, target in sorted(edges):  # by source: a source has its layer before it is read
        layer[target] = max(layer[target], layer[source] + 1)
    for source, target in edges:
        first_reader[source] = min(first_reader.get(source, layer[target]), layer[target])
    for box, row in first_reader.items():
        if box not in fed:
            layer[box] = max(0, row - 1)
    return layer


def _links(
    layer: Sequence[int], edges: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pairs of boxes and points, by number, between which edges go; then of each box and point the layer, and the box
    that its edges come from."""
    last: dict[int, int] = {}
    for source, target in edges:
        last[source] = max(last.get(source, 0), layer[target] - 1)
    places, owner = list(layer), list(range(len(layer)))
    through: dict[tuple[int, int], int] = {}
    links: set[tuple[int, int]] = set()
    for source, end in last.items():
        at = through[source, layer[source]] = source
        for row in range(layer[source] + 1, end + 1):
            point = through[source, row] = len(places)
            places.append(row)
            owner.append(source)
            links.add((at, point))
            at = point
    links.update((through[source, layer[target] - 1], target) for source, target in edges)
    return sorted(links), places, owner


def _neighbours(count: int, links: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for a, b in links:
        below[a].append(b)
        above[b].append(a)
    return above, below


def _ordered(places: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The boxes and points of each layer from left to right."""
    rows: list[list[int]] = [[] for _ in range(max(places) + 1)]
    for item, row in enumerate(places):
        rows[row].append(item)
    above, below = _neighbours(len(places), links)
    best, fewest = [list(r) for r in rows], crossings(rows, below)
    for sweep in range(ORDER_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        near = above if down else below
        position = {item: n for row in rows for n, item in enumerate(row)}
        for row in rows if down else reversed(rows):
            row.sort(key=lambda item: _mean([position[n] for n in near[item]], position[item]))
            position.update({item: n for n, item in enumerate(row)})
        if (count := crossings(rows, below)) < fewest:
            best, fewest = [list(r) for r in rows], count
    return best


def crossings(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """How often links between neighbouring layers cross."""
    total = 0
    for upper, lower in pairwise(rows):
        position = {item: n for n, item in enumerate(lower)}
        seen: list[int] = []
        for item in upper:
            ends = sorted(position[n] for n in below[item])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _placed(
    rows: Sequence[Sequence[int]], links: Sequence[tuple[int, int]], widths: Sequence[float]
) -> list[float]:
    """The x of the middle of every box and point."""
    above, below = _neighbours(len(widths), links)
    x = [0.0] * len(widths)
    for row in rows:
        _spread(row, {item: 0.0 for item in row}, widths, x)
    for sweep in range(PLACE_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            near = above if down else below
            wanted = {
                item: _mean([x[n] for n in near[item] or above[item] or below[item]], x[item]) for item in row
            }
            _spread(row, wanted, widths, x)
    return x


def _spread(row: Sequence[int], wanted: Mapping[int, float], widths: Sequence[float], x: list[float]) -> None:
    """Puts a row's items as near to where they are wanted as their order and gaps allow: isotonic regression."""
    offsets: list[float] = []
    at = 0.0
    for n, item in enumerate(row):
        at += (widths[row[n - 1]] + widths[item]) / 2 + GAP_X if n else 0.0
        offsets.append(at)
    pools: list[tuple[float, int]] = []  # mean and count; means increase
    for item, offset in zip(row, offsets, strict=True):
        mean, count = wanted[item] - offset, 1
        while pools and pools[-1][0] >= mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    means = (mean for mean, count in pools for _ in range(count))
    for item, offset, mean in zip(row, offsets, means, strict=True):
        x[item] = mean + offset


def _rows(rows: Sequence[Sequence[int]], sizes: Sequence[Point]) -> tuple[list[float], list[float], float]:
    """The top and the height of each layer, and the height of all."""
    tops: list[float] = []
    heights: list[float] = []
    at = 0.0
    for row in rows:
        tops.append(at)
        heights.append(max((sizes[item][1] for item in row if item < len(sizes)), default=0.0))
        at += heights[-1] + GAP_Y
    return tops, heights, at - GAP_Y
