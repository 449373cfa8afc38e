"""The command `python -m tools.bench`: runs rows, and shows them in two tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.bench import budgets, rows, worker


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line, checked; names of rows and peers in full."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=main.__doc__)
    parser.add_argument(
        "--rows", default="*", metavar="PATTERN", help="rows to run: gemm*, or several: gemm*,lit*"
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1], metavar="N", help="thread counts of the races"
    )
    parser.add_argument("--peers", default=",".join(rows.PEERS), help="peers to race (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--list", action="store_true", help="list the rows that match")
    args = parser.parse_args(argv)
    args.peers = [p for p in args.peers.split(",") if p]
    patterns = args.rows.split(",")
    args.names = [
        r.name for r in (*rows.ROWS, *budgets.ROWS) if any(fnmatchcase(r.name, p) for p in patterns)
    ]
    if unknown := set(args.peers) - set(rows.PEERS):
        parser.error(f"unknown peer {min(unknown)}; known are {', '.join(rows.PEERS)}")
    if not args.names:
        parser.error(f"no row is called {args.rows}; --list names them")
    if min(args.threads) < 1:
        parser.error("a thread count is at least 1")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Races compiled programs against peers, and holds the compiler to its budgets; 1 where a row misses its goal."""
    args = arguments(argv)
    if args.list:
        print("\n".join(args.names))
        return 0
    names = args.names
    races = [n for n in names if any(n == r.name for r in rows.ROWS)]
    others = [n for n in names if n not in races]
    results: list[dict] = []
    for count in args.threads if races else ():
        results += worker.start(count, args.peers, races)
    if others:
        results += worker.start(1, (), others)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    show(results)
    return int(any(not r.get("reached") for r in results))


def show(results: list[dict]) -> None:
    """The tables of both kinds of rows, then the faults."""
    console = Console()
    for kind, table in (("speed", speed_table), ("budget", budget_table)):
        if rows := [r for r in results if r.get("kind") == kind]:
            console.print(table(rows))
    for result in results:
        if "fault" in result:
            console.print(f"[red]{result['row']}[/]: {result['fault']}", highlight=False)


def speed_table(results: list[dict]) -> Table:
    versions = {peer: v for r in results for peer, v in r["versions"].items()}
    table = Table(title="Times in ms, medians; ratio: our speed in multiples of the best peer's")
    table.add_column("row", no_wrap=True)
    headings = (
        "threads",
        "irkit",
        *(f"{p} {versions[p]}" for p in versions),
        "GFLOP/s",
        "ratio",
        "95%",
        "goal",
    )
    for heading in (*headings, "compile s", "arena MiB"):
        table.add_column(heading, justify="right")
    for r in results:
        ratio, seconds = r["ratio"], r["seconds"]
        table.add_row(
            r["row"],
            str(r["threads"]),
            *(f"{seconds[name] * 1e3:.3g}" if name in seconds else "" for name in ("irkit", *versions)),
            f"{r['flops'] / seconds['irkit'] / 1e9:.0f}",
            coloured(f"{ratio['median']:.2f}", r["reached"]) if r["goal"] else f"{ratio['median']:.2f}",
            f"{ratio['low']:.2f}-{ratio['high']:.2f}",
            f"{r['goal']:.2f}" if r["goal"] else "",
            f"{r['compile_seconds']:.2f}",
            f"{r['peak_bytes'] / 2**20:.1f}",
        )
    return table


def budget_table(results: list[dict]) -> Table:
    table = Table(title="Seconds; the best of three")
    table.add_column("row", no_wrap=True)
    for heading in ("seconds", "budget"):
        table.add_column(heading, justify="right")
    table.add_column("most of it")
    table.add_column("what")
    for r in results:
        spent = r["spent"]
        steps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in list(spent["steps"].items())[:4])
        seconds = coloured(f"{spent['seconds']:.2f}", r["reached"])
        table.add_row(r["row"], seconds, f"{r['budget']:g}", steps, spent["remark"])
    return table


def coloured(text: str, good: bool) -> str:
    return f"[{'green' if good else 'red'}]{text}[/]"


if __name__ == "__main__":
    sys.exit(main())
