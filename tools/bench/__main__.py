"""The command `python -m tools.bench`: runs rows, and shows them in two tables."""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tools.bench import budgets, speed, worker


@click.command()
@click.option("--rows", "pattern", default="*", help="Rows to run, as a pattern, or several with commas: gemm*,lit*")
@click.option("--threads", multiple=True, type=click.IntRange(1), default=(1,), help="Thread counts; may be repeated.")
@click.argument("more_threads", nargs=-1, type=click.IntRange(1))
@click.option("--peers", default=",".join(speed.PEERS), help="Peers to race, of: " + ", ".join(speed.PEERS))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures to this file.")
@click.option("--list", "only_list", is_flag=True, help="List the rows.")
def main(
    pattern: str,
    threads: tuple[int, ...],
    more_threads: tuple[int, ...],
    peers: str,
    json_file: Path | None,
    only_list: bool,
) -> None:
    """Runs the benchmark, and exits 1 where a row misses its goal."""
    patterns = pattern.split(",")
    names = [r.name for r in (*speed.ROWS, *budgets.ROWS) if any(fnmatchcase(r.name, p) for p in patterns)]
    chosen = [p for p in peers.split(",") if p]
    if unknown := set(chosen) - set(speed.PEERS):
        raise click.BadParameter(f"unknown peer {min(unknown)}", param_hint="--peers")
    if not names:
        raise click.BadParameter(f"no row is called {pattern}", param_hint="--rows")
    if only_list:
        print("\n".join(names))
        return
    races = [n for n in names if any(n == r.name for r in speed.ROWS)]
    others = [n for n in names if n not in races]
    results: list[dict] = []
    for count in (*threads, *more_threads) if races else ():
        results += worker.start(count, chosen, races)
    if others:
        results += worker.start(1, (), others)
    if json_file:
        json_file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    show(results)
    sys.exit(any(not r.get("reached") for r in results))


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
    peers = [name for name in results[0]["seconds"] if name != "irkit"]
    versions = results[0]["versions"]
    table = Table(title="Times in ms, medians; ratio: our speed in multiples of the best peer's")
    table.add_column("row")
    for heading in ("threads", "irkit", *(f"{p} {versions[p]}" for p in peers), "GFLOP/s", "ratio", "95%", "goal"):
        table.add_column(heading, justify="right")
    table.add_column("compile s", justify="right")
    table.add_column("arena MiB", justify="right")
    for r in results:
        ratio = r["ratio"]
        table.add_row(
            r["row"],
            str(r["threads"]),
            *(f"{r['seconds'][name] * 1e3:.3g}" for name in ("irkit", *peers)),
            f"{r['flops'] / r['seconds']['irkit'] / 1e9:.0f}",
            coloured(f"{ratio['median']:.2f}", r["reached"]),
            f"{ratio['low']:.2f}-{ratio['high']:.2f}",
            f"{r['goal']:.2f}",
            f"{r['compile_seconds']:.2f}",
            f"{r['peak_bytes'] / 2**20:.1f}",
        )
    return table


def budget_table(results: list[dict]) -> Table:
    table = Table(title="Seconds; the best of three")
    table.add_column("row")
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
    main()
