"""Drawings of a run, with matplotlib: ratios row by row, and curves against one size."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib

from tools.bench.scale import AXES, memory_curves, time_curves

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "irkit"  # the same figures give the same file

import matplotlib.pyplot as plt  # noqa: E402


def ratios(results: Sequence[dict], path: str) -> None:
    """A bar for each race: our speed in multiples of the best peer's, with its interval and its goal."""
    races = [r for r in results if r.get("kind") == "race" and r["standings"][0]["ratio"]]
    names = list(dict.fromkeys(r["row"] for r in races))
    groups = list(dict.fromkeys((r["threads"], r["cc"]) for r in races))
    height = 0.8 / max(1, len(groups))
    figure, axes = plt.subplots(figsize=(8, 1 + 0.2 * len(names) * (1 + len(groups))))
    for n, group in enumerate(groups):
        own = [r for r in races if (r["threads"], r["cc"]) == group]
        found = [r["standings"][0]["ratio"] for r in own]
        places = [names.index(r["row"]) + (n - (len(groups) - 1) / 2) * height for r in own]
        medians = [f["median"] for f in found]
        lengths = [
            [f["median"] - f["low"] for f in found],
            [f["high"] - f["median"] for f in found],
        ]
        threads = f"{group[0]} thread{'s' if group[0] > 1 else ''}"
        axes.barh(
            places, medians, height, xerr=lengths, label=threads + (f", {group[1]}" if group[1] else "")
        )
        goals = [(r["standings"][0]["goal"], y) for r, y in zip(own, places, strict=True)]
        marks = [(goal, y) for goal, y in goals if goal is not None]
        axes.plot(
            [g for g, _ in marks], [y for _, y in marks], "k|", markersize=20 * height, markeredgewidth=2
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel("our speed in multiples of the best peer's; a stroke marks the goal")
    axes.legend()
    _save(figure, path)


def scale(results: Sequence[dict], path: str) -> None:
    """Time against size, and memory beside it for races, on logarithmic axes."""
    races = [r for r in results if r.get("kind") == "race"]
    panels = [("seconds", time_curves(results))]
    if races:
        panels.append(("bytes", memory_curves(results)))
    figure, columns = plt.subplots(1, len(panels), figsize=(7 * len(panels), 5), squeeze=False)
    label = "size"
    for name, text in AXES.items():
        if any(r["row"].startswith(name) for r in results):
            label = text
    for axes, (unit, curves) in zip(columns[0], panels, strict=True):
        for curve in curves:
            wide = 2.5 if curve.label.startswith("irkit") else 1
            points = [p for p in curve.points if p[1] > 0]
            axes.loglog(
                [n for n, _ in points], [v for _, v in points], marker="o", linewidth=wide, label=curve.label
            )
        axes.set_xlabel(label)
        axes.set_ylabel(unit)
        axes.grid(True, which="major", linewidth=0.3)
        axes.legend(fontsize="small")
    _save(figure, path)


def _save(figure: object, path: str) -> None:
    figure.tight_layout()  # pyright: ignore[reportAttributeAccessIssue]
    figure.savefig(path, metadata={"Date": None})  # pyright: ignore[reportAttributeAccessIssue]
    plt.close("all")
