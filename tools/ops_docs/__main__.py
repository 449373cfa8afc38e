"""`python -m tools.ops_docs`: writes the op reference, or compares it with what it would write."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dialects.errors import ErrorList, IrkitError
from dialects.graph import OPS
from irkit.files import write_atomically
from tools.ops_docs.examples import Shown, shown
from tools.ops_docs.pages import Cells, index, page, read_cells
from tools.ops_docs.table import blank, measured, rows, with_torch

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def documented() -> list[str]:
    """The ops that have a page: those that are built in."""
    return sorted(name for name, op in OPS.items() if op.__module__.startswith("dialects."))


Table = Callable[[list[Shown], Cells], Cells]
"""Makes the table of dtypes of examples and an earlier table."""


def reference(table: Table | None = None, docs: Path = DOCS) -> Mapping[Path, str]:
    """The files of the reference; the table of dtypes keeps what was measured before where it is not made anew.

    Raises IrkitError that names every op without an example.
    """
    examples = list(all_examples())
    place = docs / "ops.md"
    known = read_cells(place.read_text(encoding="utf-8")) if place.exists() else {}
    cells: Cells = blank(rows(examples), known) if table is None else table(examples, known)
    files = {docs / "ops" / f"{e.name}.md": page(e) for e in examples}
    return {docs / "ops.md": index(examples, cells), **files}


def all_examples() -> list[Shown]:
    """The example of every documented op; all that fail are told together."""
    faults: list[str] = []
    found: list[Shown] = []
    for name in documented():
        try:
            found.append(shown(name))
        except (IrkitError, ErrorList) as fault:
            faults.append(str(fault))
    if faults:
        raise IrkitError("\n".join(faults))
    return found


def differences(files: Mapping[Path, str], docs: Path = DOCS) -> list[str]:
    """What stands otherwise in the folder: the first lines of each difference."""
    found: list[str] = []
    for path, text in files.items():
        have = path.read_text(encoding="utf-8") if path.exists() else ""
        if have != text:
            lines = difflib.unified_diff(
                have.splitlines(), text.splitlines(), str(path), "generated", "", "", 0
            )
            found.append("\n".join(list(lines)[:12]))
    return found + [f"{path}: no op has this page" for path in _spare(files, docs)]


def _spare(files: Mapping[Path, str], docs: Path) -> list[Path]:
    return sorted(path for path in (docs / "ops").glob("*.md") if path not in files)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.ops_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where files differ")
    parser.add_argument(
        "--keep-table", action="store_true", help="run nothing; keep the marks of the table of dtypes"
    )
    parser.add_argument("--torch", action="store_true", help="measure the column of torch alone")
    args = parser.parse_args()
    note: Callable[[str], None] = lambda text: print(text, file=sys.stderr)  # noqa: E731
    try:
        files = reference(
            None
            if args.keep_table
            else lambda examples, known: (
                with_torch(blank(rows(examples), known), note)
                if args.torch
                else measured(rows(examples), note, known)
            )
        )
    except IrkitError as fault:
        print(fault, file=sys.stderr)
        return 1
    if args.check:
        found = differences(files)
        print(
            "\n".join(
                [*found, "run python -m tools.ops_docs"] if found else ["the op reference is up to date"]
            )
        )
        return 1 if found else 0
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(str(path), text)
    for path in _spare(files, DOCS):
        path.unlink()
    print(f"{len(files)} files in {DOCS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
