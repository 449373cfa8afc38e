"""Curves: time, memory or compile time against one size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import log


@dataclass(frozen=True)
class Curve:
    """Points (size, value) of one candidate."""

    label: str
    points: tuple[tuple[int, float], ...]

    @property
    def exponent(self) -> float | None:
        """p where the value grows as size ** p between the two greatest sizes; None where it is not known."""
        if len(self.points) < 2:
            return None
        (n, a), (m, b) = self.points[-2:]
        return log(b / a) / log(m / n) if a > 0 and b > 0 else None


AXES = {
    "gemm": "N of f32 N x N times N x N",
    "mlp": "batch of 784-512-512-10",
    "attention": "sequence, 8 heads of 64",
    "compile": "elementwise ops",
}


def size_of(row: str) -> int:
    """The size in the name of a row: 512 of gemm512."""
    found = re.search(r"(\d+)$", row)
    assert found, row
    return int(found[1])


def time_curves(results: Sequence[dict]) -> list[Curve]:
    """Seconds against size, of every candidate at every thread count; of the compiler for its own plot."""
    curves: dict[str, dict[int, float]] = {}
    for r in results:
        if r.get("kind") == "budget":
            curves.setdefault("irkit, to C text", {})[size_of(r["row"])] = r["spent"]["seconds"]
        elif r.get("kind") == "race":
            many = "" if r["threads"] == 1 else f", {r['threads']} threads"
            for name, seconds in r["seconds"].items():
                curves.setdefault(name + many, {})[size_of(r["row"])] = seconds
    return [Curve(label, tuple(sorted(points.items()))) for label, points in curves.items()]


def memory_curves(results: Sequence[dict]) -> list[Curve]:
    """Bytes against size: all arrays of ours, inputs and result among them, and where it was measured each candidate's
    peak."""
    curves: dict[str, dict[int, float]] = {}
    for r in (r for r in results if r.get("kind") == "race"):
        curves.setdefault("irkit, all arrays", {})[size_of(r["row"])] = r["peak_bytes"] + r["array_bytes"]
        for name, size in r["memory"].items():
            curves.setdefault(f"{name}, process", {})[size_of(r["row"])] = size
    return [Curve(label, tuple(sorted(points.items()))) for label, points in curves.items()]


def growth(results: Sequence[dict], what: str) -> str:
    """How time and memory grow at the end of each curve."""
    lines: list[str] = []
    for kind, curves in (("time", time_curves(results)), ("memory", memory_curves(results))):
        for curve in curves:
            if curve.exponent is not None and what in AXES:
                lines.append(f"{kind} of {curve.label} grows as size ** {curve.exponent:.2f}")
    return "\n".join(lines)
