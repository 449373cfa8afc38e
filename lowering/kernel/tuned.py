"""Schedules that a tuner found, in a folder: one TOML file for each kernel, called by the kernel's hash.

What the pass needs is `directives`; the tuner notes beside it what it measured. A folder is for one target, one compiler
and one machine.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from dialects.errors import IrkitError
from dialects.kernel import DefOp
from lowering.kernel.identity import kernel_hash

SUFFIX = ".toml"


def tuned_file(folder: Path, kernel: DefOp) -> Path:
    """The file of a kernel's schedule, which may or may not be there."""
    return folder / f"{kernel_hash(kernel)}{SUFFIX}"


def tuned_schedule(folder: Path, kernel: DefOp) -> tuple[str, ...] | None:
    """The directives that were found for a kernel; None where it was not tuned, or nothing faster than the schedule that
    the search began with was found. Raises IrkitError."""
    facts = read_tuned(tuned_file(folder, kernel))
    if facts is None or facts["directives"] == facts.get("start"):
        return None
    return tuple(facts["directives"])


def read_tuned(path: Path) -> dict[str, Any] | None:
    """All that a file says; None where there is none. Raises IrkitError for one that is damaged."""
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise _damaged(path, str(fault)) from None
    directives = facts.get("directives")
    if not isinstance(directives, list) or not all(isinstance(d, str) for d in directives):
        raise _damaged(path, "no list of texts called directives")
    return facts


def _damaged(path: Path, found: str) -> IrkitError:
    return IrkitError(
        f"cannot read the tuned schedule '{path}'",
        found=found,
        expected='TOML with directives = ["tile i 6", ...]',
        hint="remove the file, or run irkit tune --fresh",
    )
