"""Remarks: what a pass did to an op and why, or why it did not; told where it is decided, heard only by who asks.

A pass asks `listener` for a reporter, which is there only while somebody listens to the category:

    if (tell := listener("fuse", self.name)) is not None:
        tell.missed(op, "relu starts a kernel of its own", "it computes [8], and the kernel of add [8, 16]")

So the texts cost nothing otherwise, and nothing that a pass decides may depend on whether a reporter is there. The
collector is found by a context variable: decisions lie deep below the passes, and an argument through all of them would
serve this alone. A context variable holds for one thread and one `with`, so that compilations do not hear each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from xdsl.dialects.builtin import LocationAttr, StringAttr, SymbolRefAttr
from xdsl.ir import Operation

from dialects.errors import Loc, locs_of_attr, op_loc

Kind = Literal["applied", "missed", "analysis"]

KINDS: dict[str, str] = {
    "applied": "what was done",
    "missed": "what was not done",
    "analysis": "what was found",
}

CATEGORIES: dict[str, str] = {
    "products": "products in another order",
    "fuse": "which ops run as one kernel",
    "share": "kernels that run in several places",
    "reduce-merge": "reductions that walk their rows together",
    "vectorise": "axes that run in lanes",
    "tile": "register tiles, and sums in blocks",
    "pack": "operands of contractions copied into panels",
    "once": "kernels that run once, where parameters are set",
    "parallel": "axes that threads split",
    "peel": "reads outside of an array: guards and clamps, gone or kept",
    "prefetch": "rows that are asked for before they are read",
    "in-place": "results in the memory of operands",
    "memory": "what intermediates take",
    "prune": "arguments and results that do nothing",
}


@dataclass(frozen=True)
class Remark:
    """One decision. `op` is `@kernel` or an op's name, `locs` its places in the source, `see` those of what the reason
    speaks of; `args` are the numbers and names in the text, for tools."""

    kind: Kind
    category: str
    pass_name: str
    op: str
    locs: tuple[Loc, ...]
    message: str
    reason: str = ""
    see: tuple[Loc, ...] = ()
    args: tuple[tuple[str, str | int], ...] = ()

    @property
    def loc(self) -> Loc | None:
        """The first place, at which it is shown."""
        return self.locs[0] if self.locs else None


@dataclass
class Remarks:
    """Collects the remarks of some categories and kinds, each once."""

    categories: frozenset[str] = frozenset(CATEGORIES)
    kinds: frozenset[str] = frozenset(KINDS)
    found: dict[Remark, None] = field(default_factory=dict)

    def add(self, remark: Remark) -> None:
        """Keeps a remark of a wanted kind."""
        if remark.kind in self.kinds:
            self.found[remark] = None

    def in_order(self) -> list[Remark]:
        """All, as the source has them; those of one place as they came; last those that have no place."""

        def place(remark: Remark) -> tuple[bool, str, int, int]:
            loc = remark.loc
            return (True, "", 0, 0) if loc is None else (False, loc.file, loc.line, loc.col)

        return sorted(self.found, key=place)


@dataclass(frozen=True)
class Reporter:
    """What a pass tells remarks of one category to."""

    remarks: Remarks
    category: str
    pass_name: str

    def applied(
        self, op: Operation, message: str, reason: str = "", see: Iterable[Operation] = (), **args: str | int
    ) -> None:
        """Something was done."""
        self._tell("applied", op, message, reason, see, args)

    def missed(
        self, op: Operation, message: str, reason: str = "", see: Iterable[Operation] = (), **args: str | int
    ) -> None:
        """Something was not done."""
        self._tell("missed", op, message, reason, see, args)

    def analysis(
        self, op: Operation, message: str, reason: str = "", see: Iterable[Operation] = (), **args: str | int
    ) -> None:
        """Something was found that explains what is done, or just is so."""
        self._tell("analysis", op, message, reason, see, args)

    def _tell(
        self,
        kind: Kind,
        op: Operation,
        message: str,
        reason: str,
        see: Iterable[Operation],
        args: dict[str, str | int],
    ) -> None:
        locs = places_of(op)
        others = dict.fromkeys(loc for other in see for loc in places_of(other)[:1] if loc not in locs[:1])
        self.remarks.add(
            Remark(
                kind,
                self.category,
                self.pass_name,
                label_of(op),
                locs,
                message,
                reason,
                tuple(others),
                tuple(args.items()),
            )
        )


_HEARD_BY: ContextVar[Remarks | None] = ContextVar("irkit_remarks", default=None)


def listener(category: str, pass_name: str) -> Reporter | None:
    """A reporter for remarks of a category, or None where nobody listens to them."""
    remarks = _HEARD_BY.get()
    if remarks is None or category not in remarks.categories:
        return None
    return Reporter(remarks, category, pass_name)


@contextmanager
def listening(remarks: Remarks | None) -> Iterator[None]:
    """Remarks that are told inside go to a collector; with None nobody hears them."""
    token = _HEARD_BY.set(remarks)
    try:
        yield
    finally:
        _HEARD_BY.reset(token)


def places_of(op: Operation) -> tuple[Loc, ...]:
    """The places in the source of an op, each once; of what is around it where it knows none."""
    location = op.location
    own = tuple(dict.fromkeys(locs_of_attr(location))) if isinstance(location, LocationAttr) else ()
    if own:
        return own
    around = op_loc(op)
    return (around,) if around is not None else ()


def label_of(op: Operation) -> str:
    """`@k` for a kernel, a function or a call of one, else the op's name."""
    symbol = next((p for n in ("sym_name", "callee") if (p := op.properties.get(n)) is not None), None)
    if symbol is None:
        return op.name
    symbol = symbol.root_reference if isinstance(symbol, SymbolRefAttr) else symbol
    return f"@{symbol.data}" if isinstance(symbol, StringAttr) else op.name


def counted(count: int, noun: str) -> str:
    """`1 op`, `2 ops`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
