"""Which bytes the calls and copies of a program touch: the arithmetic behind the placing of barriers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """The bytes low <= b < high of one space: the arena, an argument, or an array that a loop swaps."""

    space: Hashable
    low: float
    high: float


@dataclass(frozen=True)
class Access:
    """What one op reads and writes."""

    reads: tuple[Span, ...]
    writes: tuple[Span, ...]


class SpanSet:
    """A union of spans; each space holds disjoint ranges in order."""

    def __init__(self, spans: Iterable[Span] = ()):
        self.ranges: dict[Hashable, tuple[list[float], list[float]]] = {}
        for span in spans:
            self.add(span)

    def __iter__(self) -> Iterator[Span]:
        for space, (lows, highs) in self.ranges.items():
            for low, high in zip(lows, highs, strict=True):
                yield Span(space, low, high)

    def add(self, span: Span) -> None:
        """Joins the ranges that the span overlaps or touches with it."""
        if span.low >= span.high:
            return
        lows, highs = self.ranges.setdefault(span.space, ([], []))
        first, last = bisect_left(highs, span.low), bisect_right(lows, span.high)
        low, high = span.low, span.high
        if first < last:
            low, high = min(low, lows[first]), max(high, highs[last - 1])
        lows[first:last], highs[first:last] = [low], [high]

    def meets(self, span: Span) -> bool:
        """Whether any byte of the span is in the set."""
        known = self.ranges.get(span.space)
        if known is None or span.low >= span.high:
            return False
        lows, highs = known
        at = bisect_right(highs, span.low)
        return at < len(lows) and lows[at] < span.high

    def contains(self, span: Span) -> bool:
        """Whether all bytes of the span are in the set."""
        if span.low >= span.high:
            return True
        known = self.ranges.get(span.space)
        if known is None:
            return False
        lows, highs = known
        at = bisect_right(highs, span.low)
        return at < len(lows) and lows[at] <= span.low and span.high <= highs[at]


class Footprint:
    """All that was read and written over a stretch of the program."""

    def __init__(self) -> None:
        self.reads, self.writes = SpanSet(), SpanSet()

    def add(self, access: Access) -> None:
        for span in access.reads:
            self.reads.add(span)
        for span in access.writes:
            self.writes.add(span)

    def clashes(self, access: Access) -> bool:
        """Whether the access must wait for what is in here: read after write, write after read, write after write."""
        return any(self.writes.meets(s) for s in access.reads) or any(
            self.writes.meets(s) or self.reads.meets(s) for s in access.writes
        )

    def as_access(self) -> Access:
        return Access(tuple(self.reads), tuple(self.writes))

    def copy(self) -> Footprint:
        twin = Footprint()
        twin.add(self.as_access())
        return twin

    def renamed(self, names: Mapping[Hashable, tuple[Span, ...]]) -> Access:
        """The same with whole spaces replaced by the spans that they stand for."""

        def rename(spans: SpanSet) -> tuple[Span, ...]:
            return tuple(new for span in spans for new in names.get(span.space, (span,)))

        return Access(rename(self.reads), rename(self.writes))

    def contains(self, access: Access) -> bool:
        return all(map(self.reads.contains, access.reads)) and all(map(self.writes.contains, access.writes))
