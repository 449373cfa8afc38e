"""`irkit fmt`: lays `.tg` files out in the one way of the language; comments stay."""

from __future__ import annotations

import argparse
import sys

from dialects.errors import ErrorList, IrkitError
from irkit.files import read_text, write_atomically


def execute(args: argparse.Namespace) -> None:
    """Rewrites files in place, `-` to standard output; raises ErrorList and leaves a file as it is when it has errors."""
    from irkit.lang.format import format_text
    from irkit.lang.parser import parse_alone

    faults: list[IrkitError] = []
    stale: list[str] = []
    for name in args.files:
        try:
            text = read_text(name)
            parse_alone(text, "<stdin>" if name == "-" else name)
        except (IrkitError, ErrorList) as fault:
            faults += fault.errors if isinstance(fault, ErrorList) else [fault]
            continue
        laid_out = format_text(text)
        if args.check:
            stale += [name] if laid_out != text else []
        elif name == "-":
            sys.stdout.write(laid_out)
        elif laid_out != text:
            write_atomically(name, laid_out)
            print(f"formatted {name}")
    faults += [
        IrkitError(f"{name} is not laid out as irkit fmt does it", hint=f"run irkit fmt {name}")
        for name in stale
    ]
    if faults:
        raise ErrorList(faults)
