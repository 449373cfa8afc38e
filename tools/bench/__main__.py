"""The command `python -m tools.bench`: runs rows, and shows them in tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from irkit.files import write_atomically
from tools.bench import budgets, cores, memory, report, rows, worker
from tools.bench.peers import PEERS, absent

SCALES = (*rows.SCALES, "compile")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line, checked; names of rows, peers and compilers in full."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=main.__doc__)
    parser.add_argument(
        "--rows", default="*", metavar="PATTERN", help="rows to run: gemm*, or several: gemm*,lit*"
    )
    parser.add_argument("--scale", choices=SCALES, help="instead of rows: time against one size; see --plot")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1], metavar="N", help="thread counts of the races"
    )
    parser.add_argument("--peers", default=",".join(PEERS), help="peers to race (default: %(default)s)")
    parser.add_argument("--cc", default="", help="build ours with each of these: gcc,clang")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="rounds of a race (default: 15)")
    parser.add_argument(
        "--memory",
        action="store_true",
        help="also measure peak memory and what is shipped, in processes of their own",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here, row by row")
    parser.add_argument("--markdown", metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--plot", metavar="FILE", help="also draw ratios, or the curves of --scale (.svg)")
    parser.add_argument(
        "--cores", type=int, metavar="N", help="measure nothing: count what keeps the rows from N cores"
    )
    parser.add_argument("--list", action="store_true", help="list the rows that match")
    args = parser.parse_args(argv)
    args.peers = [p for p in args.peers.split(",") if p]
    args.cc = [cc for cc in args.cc.split(",") if cc] or [None]
    if unknown := set(args.peers) - set(PEERS):
        parser.error(f"unknown peer {min(unknown)}; known are {', '.join(PEERS)}")
    if args.cores is not None and args.cores < 1:
        parser.error("a machine has at least 1 core")
    if min(args.threads) < 1 or args.rounds < 1:
        parser.error("a thread count is at least 1, and so is the number of rounds")
    args.names = _names(args)
    if not args.names:
        parser.error(f"no row is called {args.rows}; --list names them")
    return args


def _names(args: argparse.Namespace) -> list[str]:
    if args.scale == "compile":
        return [row.name for row in budgets.SCALE]
    if args.scale:
        return [row.name for row in rows.SCALES[args.scale]]
    patterns = args.rows.split(",")
    known = (*rows.NAMES, *(row.name for row in budgets.ROWS))
    return [name for name in known if any(fnmatchcase(name, p) for p in patterns)]


def main(argv: Sequence[str] | None = None) -> int:
    """Races compiled programs against peers, and holds the compiler to its budgets; 1 where a row misses its goal."""
    args = arguments(argv)
    if args.list:
        print("\n".join(args.names))
        return 0
    if args.cores is not None:
        print(cores.table((row for row in rows.ROWS if row.name in args.names), args.cores))
        return 0
    gone = absent(args.peers)
    for peer, word in gone.items():
        print(f"peer {peer} is skipped: {word}", file=sys.stderr)
    results: list[dict] = []
    for result in run(args, tuple(p for p in args.peers if p not in gone)):
        results.append(result)
        _say(result)
        _keep(results, args.json)  # a run that is broken off keeps what it has
    if args.memory:
        _add_memory(results)
        _keep(results, args.json)
    report.show(results, args.scale)
    command = " ".join(["python -m tools.bench", *(sys.argv[1:] if argv is None else argv)])
    if args.markdown:
        write_atomically(args.markdown, report.markdown(results, command))
    if args.plot:
        from tools.bench import plot

        (plot.scale if args.scale else plot.ratios)(results, args.plot)
    missed = not args.scale and any(r.get("passed") is False for r in results)
    return int(missed or any("fault" in r for r in results))


def run(args: argparse.Namespace, peers: tuple[str, ...]) -> Iterator[dict]:
    """What each row gives, in the order of thread counts."""
    races = tuple(n for n in args.names if rows.find(n))
    others = tuple(n for n in args.names if budgets.find(n))
    to_come = [n for n in args.names if n in rows.NOT_YET]
    for count in args.threads:
        if races:
            yield from worker.start(worker.Job(races, count, peers, tuple(args.cc), args.rounds))
        for name in to_come:
            yield {"kind": "not yet", "row": name, "threads": count, "reason": rows.NOT_YET[name]}
    if others:
        yield from worker.start(worker.Job(others))


def _say(result: dict) -> None:
    """Tells that a row is done, as all of them may take an hour."""
    threads = f", {result['threads']} threads" if result.get("threads", 1) > 1 else ""
    print(f"{result['row']}{threads}: {'at fault' if 'fault' in result else 'done'}", file=sys.stderr)


def _keep(results: list[dict], file: Path | None) -> None:
    if file:
        write_atomically(str(file), json.dumps(results, indent=1) + "\n")


def _add_memory(results: list[dict]) -> None:
    """Measures each candidate of each race once, and writes it to every result of that race."""
    peers: dict[tuple[str, int], dict[str, memory.Needs]] = {}
    for result in (r for r in results if r.get("kind") == "race"):
        row, threads = key = result["row"], result["threads"]
        if key not in peers:
            peers[key] = dict(memory.measured(row, threads, [(peer, None) for peer in result["versions"]]))
        own = memory.measured(row, threads, [("irkit", result["cc"] or None)])
        found = peers[key] | dict(own)
        result["memory"] = {name: n.memory for name, n in found.items()}
        result["shipped"] = {name: n.shipped for name, n in found.items() if n.shipped is not None}


if __name__ == "__main__":
    sys.exit(main())
