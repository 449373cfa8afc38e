"""Schedules: ordered lists of directives that name axes.

| directive | meaning |
|---|---|
| `tile i 14` | a register tile of 14 points along axis i |
| `vector j 32` | 32 points along axis j at once; where j is reduced: in lanes that are folded at the end |
| `split k 256` | visit axis k in blocks of 256: cache blocks of a packed contraction, partial sums of a reduction |
| `pack lhs`, `pack rhs` | copy an operand of a contraction into panels in the order in which the tile reads it; where the
rows are split between the threads, all threads share the right panels, else each packs what it needs |
| `parallel i` | split axis i between the threads |
| `order i j` | loops from the outermost inwards, around tiles, vectors and reductions |
| `whole e` | take the whole axis at once, as a vector |
| `keep k` | what a reduction over axis k computes with exp and the like is kept in a row of memory for results that need it again |
| `stream` | results bypass the caches: for arrays that no cache holds |

`parse_schedule` reads them and `Schedule` answers the questions that the lowering asks; a directive that is malformed
or illegal for its kernel raises an IrkitError that quotes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dialects.errors import IrkitError
from dialects.kernel import DefOp, ScanOp, WriteOp
from lowering.kernel.fields import field_axes, reduced_axes
from lowering.kernel.keep import kept_of

MAX_POINTS = 1 << 16
"""Of tiles, vectors and whole axes together."""

FORMS = {
    "tile": "tile AXIS SIZE",
    "vector": "vector AXIS LANES",
    "split": "split AXIS SIZE",
    "pack": "pack lhs|rhs",
    "parallel": "parallel AXIS",
    "order": "order AXIS...",
    "whole": "whole AXIS",
    "keep": "keep AXIS",
    "stream": "stream",
}


@dataclass(frozen=True)
class Schedule:
    """The directives of one kernel, by what they decide."""

    tile: dict[str, int] = field(default_factory=dict)
    vector: dict[str, int] = field(default_factory=dict)
    split: dict[str, int] = field(default_factory=dict)
    pack: frozenset[str] = frozenset()
    parallel: str | None = None
    order: tuple[str, ...] = ()
    whole: frozenset[str] = frozenset()
    keep: tuple[str, ...] = ()
    stream: bool = False


@dataclass(frozen=True)
class _Directive:
    text: str
    verb: str
    names: tuple[str, ...] = ()
    size: int = 0


def parse_schedule(kernel: DefOp, directives: Sequence[str]) -> Schedule:
    """Reads and checks a kernel's directives."""
    read = [_read(kernel, text) for text in directives]
    _check_repeated(kernel, read)
    packed = {d.names[0] for d in read if d.verb == "pack"}
    for directive in read:
        _check_axes(kernel, directive, bool(packed))
    _check_points(kernel, read)
    _check_kept(kernel, read)
    sizes = {
        verb: {d.names[0]: d.size for d in read if d.verb == verb} for verb in ("tile", "vector", "split")
    }
    return Schedule(
        sizes["tile"],
        sizes["vector"],
        sizes["split"],
        frozenset(packed),
        next((d.names[0] for d in read if d.verb == "parallel"), None),
        next((d.names for d in read if d.verb == "order"), ()),
        frozenset(d.names[0] for d in read if d.verb == "whole"),
        tuple(d.names[0] for d in read if d.verb == "keep"),
        any(d.verb == "stream" for d in read),
    )


def _read(kernel: DefOp, text: str) -> _Directive:
    """One directive, well formed and about axes that exist."""
    verb, *words = text.split() or [""]
    if verb not in FORMS:
        raise _bad(kernel, text, f"unknown directive '{verb}'", "one of " + ", ".join(FORMS))
    if verb == "pack":
        if words not in (["lhs"], ["rhs"]):
            raise _bad(kernel, text, "pack names no operand of a contraction", FORMS[verb])
        return _Directive(text, verb, (words[0],))
    if verb == "stream" and not words:
        return _Directive(text, verb)
    sized = verb in ("tile", "vector", "split")
    names = words if verb == "order" else words[:1]
    if not names or len(words) != len(names) + sized:
        raise _bad(kernel, text, f"malformed '{verb}'", FORMS[verb])
    axes = kernel.extents()
    for name in names:
        if name not in axes:
            raise _bad(kernel, text, f"the kernel has no axis '{name}'", "one of " + ", ".join(sorted(axes)))
    if sized and (not words[1].isdigit() or int(words[1]) == 0):
        raise _bad(kernel, text, f"'{words[1]}' is no positive size", FORMS[verb])
    return _Directive(text, verb, tuple(names), int(words[1]) if sized else 0)


def _check_repeated(kernel: DefOp, read: Sequence[_Directive]) -> None:
    """No directive decides what another one has decided."""
    decided: dict[tuple[str, ...], str] = {}
    for d in read:
        key = {"tile": ("shape", *d.names), "vector": ("shape", *d.names), "whole": ("shape", *d.names)}.get(
            d.verb, (d.verb, *d.names) if d.verb in ("split", "pack", "keep") else (d.verb,)
        )
        if key in decided:
            message = "a directive decides what another one does"
            raise _bad(kernel, d.text, message, f'only one of it and "{decided[key]}"')
        decided[key] = d.text


def _check_points(kernel: DefOp, read: Sequence[_Directive]) -> None:
    """What is taken at once fits into registers and some stack."""
    points, extents = 1, kernel.extents()
    for d in read:
        if d.verb in ("tile", "vector", "whole"):
            points *= d.size or extents[d.names[0]].value or 1
            if points > MAX_POINTS:
                raise _bad(kernel, d.text, f"{points} points are too many at once", f"at most {MAX_POINTS}")


def _check_axes(kernel: DefOp, d: _Directive, packed: bool) -> None:
    """The directive means something for its axis."""
    reduced = reduced_axes(kernel)
    is_reduced = bool(reduced.intersection(d.names))
    free = "an axis that no reduction removes"
    if d.verb == "parallel" and is_reduced:
        message = (
            f"axis '{d.names[0]}' carries a reduction: each point needs the state that the one before leaves"
        )
        raise _bad(kernel, d.text, message, free)
    if d.verb in ("parallel", "tile", "vector", "whole"):
        if _swept_axes(kernel).intersection(d.names):
            message = f"along axis '{d.names[0]}' updates follow one another"
            raise _bad(kernel, d.text, message, "an axis that is an index of its own in every write")
        if scanned_axes(kernel).intersection(d.names):
            message = (
                f"axis '{d.names[0]}' carries a scan: each point needs the state that the one before leaves"
            )
            raise _bad(kernel, d.text, message, "an axis that no scan runs along")
    if d.verb in ("tile", "whole") and is_reduced:
        raise _bad(
            kernel, d.text, f"axis '{d.names[0]}' is reduced, and a tile holds points of results", free
        )
    if d.verb == "vector" and is_reduced and d.size & (d.size - 1):
        raise _bad(kernel, d.text, "the lanes of a reduction are folded in halves", "a power of two")
    if d.verb == "whole" and kernel.extents()[d.names[0]].value is None:
        message = f"the extent of axis '{d.names[0]}' is not known"
        raise _bad(kernel, d.text, message, "an axis of constant extent")
    if packed and d.verb in ("vector", "whole", "order", "keep", "stream"):
        message = f"'{d.verb}' has no place in the nest of a packed contraction"
        raise _bad(kernel, d.text, message, "tile, split, parallel and pack")
    if not packed and d.verb == "split" and not is_reduced:
        message = f"axis '{d.names[0]}' is not reduced, and only packed contractions have blocks of results"
        raise _bad(kernel, d.text, message, "an axis that a reduction removes")


def _check_kept(kernel: DefOp, read: Sequence[_Directive]) -> None:
    """Something is computed again that can be kept, one row at a time."""
    for d in read:
        if d.verb == "keep":
            kept = kept_of(kernel, d.names[0])
            if not kept:
                message = f"nothing that a reduction over '{d.names[0]}' computes with exp and the like is needed again"
                raise _bad(
                    kernel,
                    d.text,
                    message,
                    "a reduction over this axis alone, and a result of the same function",
                )
            inside = {d.names[0], *(k.along for k in kept)}
            summed = reduced_axes(kernel)
            other = next(
                (
                    o
                    for o in read
                    if o.verb in ("tile", "whole", "vector") and o.names[0] not in inside | summed
                ),
                None,
            )
            if other is not None:
                message = f'a row is kept for one point of the other axes, and "{other.text}" takes several'
                raise _bad(kernel, d.text, message, f'"vector" along {" or ".join(sorted(inside))} alone')


def _swept_axes(kernel: DefOp) -> set[str]:
    """The axes whose points may write to one element."""
    axes = field_axes(kernel)
    found: set[str] = set()
    for op in kernel.block.ops:
        if isinstance(op, WriteOp) and op.combiner is not None:
            named = {n for e in op.index.data for n in e.names()}.union(
                *(axes[v] for v in (op.value, *op.indices))
            )
            found |= {n for n in named if n in kernel.extents()} - set(op.own_axes())
    return found


def scanned_axes(kernel: DefOp) -> set[str]:
    """The axes along which a state is carried from point to point."""
    return {op.along.data for op in kernel.block.ops if isinstance(op, ScanOp)}


def _bad(kernel: DefOp, text: str, message: str, expected: str) -> IrkitError:
    return IrkitError(
        f"schedule of @{kernel.sym_name.data}: {message}",
        kernel,
        found=f'"{text}"',
        expected=expected,
        hint="directives are listed in docs/architecture.md",
    )
