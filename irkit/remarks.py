"""Remarks on the command line: which are asked for, and how they are shown and written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import TextIO

from dialects.errors import IrkitError, Loc
from irkit.diagnostics import nearest, render_remarks
from irkit.files import check_writable, write_atomically
from lowering.remarks import CATEGORIES, KINDS, Remark, Remarks


def asked_remarks(args: argparse.Namespace) -> Remarks | None:
    """The collector that a command line asks for. Raises IrkitError for unknown names, and a file that cannot be written."""
    if args.remarks is None and args.remarks_file is None:
        if args.remarks_filter is not None:
            raise IrkitError(
                "--remarks-filter without remarks", hint="add --remarks, or --remarks-file FILE.json"
            )
        return None
    if args.remarks_file is not None:
        check_writable(args.remarks_file)
    return Remarks(
        _names("--remarks", args.remarks, CATEGORIES), _names("--remarks-filter", args.remarks_filter, KINDS)
    )


def show_remarks(
    remarks: Remarks, args: argparse.Namespace, out: TextIO, sources: Mapping[str, str] | None = None
) -> None:
    """Prints what was collected, and writes it to a file, as the command line asks. Raises IrkitError."""
    found = remarks.in_order()
    if args.remarks is not None and found:
        print(render_remarks(found, sources), file=out)
    if args.remarks_file is not None:
        write_atomically(args.remarks_file, remarks_json(found))


def remarks_json(remarks: Iterable[Remark]) -> str:
    """Remarks as JSON: a version, and a list of objects with the fields of `Remark`."""
    return json.dumps({"version": 1, "remarks": [_entry(r) for r in remarks]}, indent=1) + "\n"


def _entry(remark: Remark) -> dict[str, object]:
    return {
        "kind": remark.kind,
        "category": remark.category,
        "pass": remark.pass_name,
        "op": remark.op,
        "locations": [_place(loc) for loc in remark.locs],
        "message": remark.message,
        "reason": remark.reason,
        "see": [_place(loc) for loc in remark.see],
        "args": dict(remark.args),
    }


def _place(loc: Loc) -> dict[str, str | int]:
    return {"file": loc.file, "line": loc.line, "column": loc.col}


def _names(option: str, text: str | None, known: Mapping[str, str]) -> frozenset[str]:
    """The names of a comma-separated list; all where there is none."""
    names = [name.strip() for name in (text if text is not None else ",".join(known)).split(",")]
    for name in names:
        if name not in known:
            raise IrkitError(
                f"{option}: unknown name '{name}'",
                expected=f"some of {', '.join(known)}",
                hint=nearest(name, known),
            )
    return frozenset(names)
