"""The tables of a run, on the terminal and as Markdown."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf

from rich.console import Console
from rich.table import Table

from irkit.runtime.compiler import find_compiler
from tools.bench import rows
from tools.bench.measure import geomean

RACE = (
    "row",
    "threads",
    "irkit, ms",
    "best peers, ms",
    "ratio",
    "95%",
    "goal",
    "of the limit",
    "compile, s",
    "memory, MiB",
    "shipped, MiB",
)
WIDTH = 180
"""Columns of a table that goes to a file."""

BUDGET = ("row", "seconds", "budget", "most of it", "what")


@dataclass(frozen=True)
class Line:
    """Cells of a table; `passed` says whether the goal is reached, None where there is none or nothing decides."""

    cells: tuple[str, ...]
    passed: bool | None = None


def race_lines(results: Iterable[dict]) -> list[Line]:
    """A line for each standing of each race that has a goal, else for that among all peers; and for rows to come."""
    lines: list[Line] = []
    for r in results:
        if r.get("kind") == "not yet":
            lines.append(Line((r["row"], str(r["threads"]), "not yet", r["reason"], *[""] * (len(RACE) - 4))))
        elif r.get("kind") == "race":
            shown = [s for s in r["standings"] if s["goal"] is not None] or r["standings"][:1]
            lines += [_race_line(r, s) for s in shown]
    return lines


def _race_line(r: dict, standing: dict) -> Line:
    seconds, ratio = r["seconds"], standing["ratio"]
    peers = sorted(r["versions"], key=lambda peer: seconds[peer])
    if standing["peer"]:
        peers = [standing["peer"], *(p for p in peers if p != standing["peer"])]
    name = r["row"] + (f" ({r['cc']})" if r["cc"] else "")
    goal = "" if standing["goal"] is None else f"{standing['goal']:.2f}"
    if goal and standing["among"] != "all":
        goal += f", {standing['among']}"
    if r["bandwidth"] is not None:
        goal += f", or {r['bandwidth']:.0%} of bytes"
    passed = standing["passed"]
    if r["bandwidth"] is not None and r["of_bytes"]["high"] >= r["bandwidth"]:
        passed = True
    return Line(
        (
            name,
            str(r["threads"]),
            milliseconds(seconds[r["name"]]),
            ", ".join(f"{p} {milliseconds(seconds[p])}" for p in peers[:3]) or "no peer",
            f"{ratio['median']:.2f}" if ratio else "",
            f"{ratio['low']:.2f} to {ratio['high']:.2f}" if ratio else "",
            goal,
            f"{r['of_limit']['median']:.0%} {r['binds']}",
            f"{r['compile_seconds'][r['name']]:.2f}",
            memory(r),
            least(r["shipped"]),
        ),
        passed,
    )


def memory(r: dict) -> str:
    """Ours, then the least of the peers; where they were not measured, our arena."""
    return least(r["memory"]) or f"arena {r['peak_bytes'] / 2**20:.1f}"


def least(sizes: Mapping[str, int]) -> str:
    """Our bytes in MiB, then the fewest of the peers; nothing where ours are not known."""
    found = dict(sizes)
    if "irkit" not in found:
        return ""
    own = f"{found.pop('irkit') / 2**20:.1f}"
    if not found:
        return own
    peer = min(found, key=lambda peer: found[peer])
    return f"{own}; {peer} {found[peer] / 2**20:.1f}"


def budget_lines(results: Iterable[dict]) -> list[Line]:
    lines: list[Line] = []
    for r in (r for r in results if r.get("kind") == "budget"):
        spent = r["spent"]
        steps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in list(spent["steps"].items())[:4])
        cells = (r["row"], f"{spent['seconds']:.2f}", budget_text(r["budget"]), steps, spent["remark"])
        lines.append(Line(cells, r["passed"]))
    return lines


def remarks(results: Sequence[dict]) -> list[str]:
    """Peers that were left out of a race, and faults."""
    found: list[str] = []
    for r in (r for r in results if r.get("kind") == "race"):
        found += [f"{r['row']}: {peer} is left out: {word}" for peer, word in r["skipped"].items()]
    return found + [f"{r['row']}: {r['fault']}" for r in results if "fault" in r]


def budget_text(seconds: float) -> str:
    return "" if isinf(seconds) else f"{seconds:g}"


def means(results: Sequence[dict]) -> list[str]:
    """The geometric mean of the ratios for each thread count and C compiler, and how many of its rows ran."""
    counted = {row.name for row in rows.ROWS if row.in_geomean}
    ratios: dict[str, list[float]] = {}
    for r in results:
        if r.get("kind") == "race" and r["row"] in counted and r["standings"][0]["ratio"]:
            where = f"{r['threads']} thread{'s' if r['threads'] > 1 else ''}"
            where += f", {r['cc']}" if r["cc"] else ""
            ratios.setdefault(where, []).append(r["standings"][0]["ratio"]["median"])
    return [
        f"geometric mean of {len(found)} of {len(counted)} rows, {where}: {geomean(found):.2f}"
        f" (goal {rows.GEOMEAN:.2f})"
        for where, found in ratios.items()
    ]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"


def machine(results: Sequence[dict]) -> str:
    """The processor, the compilers and the versions of the peers."""
    model = platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    compilers = dict.fromkeys(r["cc"] or None for r in results if r.get("kind") == "race") or {None: None}
    versions = {p: v for r in results for p, v in r.get("versions", {}).items() if v}
    told = [model, *(find_compiler(cc).version() for cc in compilers)]
    return "; ".join(told) + "; " + ", ".join(f"{p} {v}" for p, v in versions.items())


# -- on the terminal ------------------------------------------------------------------------------------------


def show(results: Sequence[dict], scale: str | None = None) -> None:
    """The tables of both kinds of rows, then growth or means, and the remarks."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    tables = (
        ("Races: medians; ratio: our speed in multiples of the best peer's", RACE, race_lines(results)),
        ("Seconds; the best of some runs", BUDGET, budget_lines(results)),
    )
    for title, headings, lines in tables:
        if lines:
            console.print(_table(title, headings, lines))
    if scale:
        from tools.bench.scale import growth

        console.print(growth(results, scale), highlight=False)
    for remark in [*([] if scale else means(results)), *remarks(results)]:
        console.print(remark, highlight=False, markup=False)


def _table(title: str, headings: Sequence[str], lines: Iterable[Line]) -> Table:
    table = Table(title=title)
    for n, heading in enumerate(headings):
        table.add_column(heading, no_wrap=n == 0, overflow="fold")
    for line in lines:
        colour = {True: "green", False: "red", None: None}[line.passed]
        table.add_row(*line.cells, style=colour)
    return table


# -- as Markdown ----------------------------------------------------------------------------------------------


def markdown(results: Sequence[dict], command: str) -> str:
    """The tables with the command and the machine, as docs/performance.md holds them; a missed goal is marked."""
    parts = [f"`{command}`", machine(results)]
    for headings, lines in ((RACE, race_lines(results)), (BUDGET, budget_lines(results))):
        if lines:
            parts.append("\n".join(_markdown_table(headings, lines)))
    if told := [*means(results), *remarks(results)]:
        parts.append("\n".join(f"- {remark}" for remark in told))
    return "\n\n".join(parts) + "\n"


def _markdown_table(headings: Sequence[str], lines: Iterable[Line]) -> Iterable[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    goal = headings.index("goal") if "goal" in headings else headings.index("budget")
    for line in lines:
        cells = list(line.cells)
        if line.passed is False:
            cells[goal] += " missed"
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
