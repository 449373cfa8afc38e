"""Reading and writing of text files, with errors that say what to do."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from dialects.errors import IrkitError

MAX_TEXT = 1 << 28
"""Characters of a text; a device that never ends, such as /dev/zero, has more."""


def read_text(path: str) -> str:
    """The text of a file, or of standard input for `-`, without a byte order mark. Raises IrkitError."""
    check_name(path)
    try:
        if path == "-":
            text = sys.stdin.read(MAX_TEXT + 1)
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read(MAX_TEXT + 1)
        if len(text) > MAX_TEXT:
            raise IrkitError(f"'{path}' has no end in sight", expected=f"at most {MAX_TEXT} characters")
        return text.removeprefix("\ufeff")
    except FileNotFoundError:
        raise IrkitError(f"there is no file '{path}'", hint=_near_file(path)) from None
    except UnicodeDecodeError as fault:
        raise IrkitError(
            f"'{path}' is not text",
            found=f"byte {fault.start} is not UTF-8",
            expected="a .tg or .mlir file in UTF-8",
        ) from None
    except OSError as fault:
        raise IrkitError(f"cannot read '{path}': {fault.strerror}") from None


def check_name(path: str) -> None:
    """Raises IrkitError for the name of a file that is no text: it could not be printed, nor stand in C."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise IrkitError("the name of a file is not UTF-8", found=ascii(path), hint="rename it") from None


def _near_file(path: str) -> str | None:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"there is no folder '{folder}' either"
    near = get_close_matches(os.path.basename(path), sorted(os.listdir(folder)), n=1)
    return f"did you mean '{os.path.join(os.path.dirname(path), near[0])}'?" if near else None


def write_atomically(path: str, text: str) -> None:
    """Writes a text so that others see the old file or the whole new one. Raises IrkitError."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: str, content: bytes) -> None:
    """Writes a file so that others see the old one or the whole new one. Raises IrkitError."""
    check_name(path)
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe cannot be replaced
            with open(path, "wb") as file:
                file.write(content)
            return
        path = os.path.realpath(path)
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o666 & ~_umask()
        # the name of the file may be as long as the system allows, so it is no part of the temporary one
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
        try:
            with open(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as fault:
        raise IrkitError(
            f"cannot write '{path}': {fault.strerror}", hint="check that the folder exists and is writable"
        ) from None


def check_writable(path: str, makes_folders: bool = False) -> None:
    """Raises IrkitError where a file cannot be written, before the work that makes its content."""
    check_name(path)
    target = Path(path).absolute()
    folder = target.parent
    if makes_folders:
        folder = next(p for p in (folder, *folder.parents) if p.exists())
    if not folder.is_dir():
        found = f"'{folder}' is a file" if folder.exists() else f"there is no folder '{folder}'"
        raise IrkitError(f"cannot write '{path}'", found=found, hint="name a file in a folder that exists")
    if target.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        found = "a folder" if target.is_dir() else f"a folder '{folder}' that is not writable"
        raise IrkitError(f"cannot write '{path}'", found=found, hint="choose another place")


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes all files, each whole or not at all, none before all are ready. Raises IrkitError."""
    check_name(str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as stage:
            for name, content in files.items():
                (Path(stage) / name).write_bytes(content)
            for name in files:
                os.replace(Path(stage) / name, folder / name)
    except OSError as fault:
        raise IrkitError(
            f"cannot write to '{folder}': {fault.strerror}", hint="check that the folder is writable"
        ) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
