"""Finds a C compiler and builds shared libraries with it."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dialects.errors import IrkitError

RACELESS = "-fno-predictive-commoning"
"""GCC, from -O3 on, carries elements that later rounds of a loop store, and where these do not come stores what the array held
before: over what another thread has written there meanwhile. Clang does no such thing, and does not know the flag."""

FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-ffp-contract=fast", "-fno-math-errno")
USERS_FLAGS = "IRKIT_CFLAGS"
"""The environment variable with further flags; they come last, and so win over ours."""

THREADS = ("-pthread", "-DIRK_TEAM_PTHREADS")
INCLUDE = Path(__file__).resolve().parents[2] / "lowering" / "c" / "include"
"""The folder of the headers that emitted C includes."""

CANDIDATES = ("gcc", "clang", "cc")


@dataclass(frozen=True)
class Compiler:
    """A C compiler: the words that start its command line, and the file that its identity is read from."""

    KIND: ClassVar[str] = "C compiler"
    SUFFIX: ClassVar[str] = ".c"
    FOLDERS: ClassVar[tuple[Path, ...]] = (INCLUDE,)
    """What it is called, the names of its sources, and the folders of the headers that they include."""

    command: tuple[str, ...]
    path: Path

    @property
    def name(self) -> str:
        """The command as one text, as `--cc` takes it."""
        return shlex.join(self.command)

    def identity(self) -> str:
        """Changes when the compiler is replaced; found without starting it."""
        real = self.path.resolve()
        facts = real.stat()
        return f"{shlex.join(self.command)} {real} {facts.st_size} {facts.st_mtime_ns}"

    @property
    def raceless(self) -> tuple[str, ...]:
        """What keeps it from writing where the program does not; GCC by its name, but where that is Clang's too."""
        return (RACELESS,) if "gcc" in self.path.resolve().name and sys.platform != "darwin" else ()

    def flags(self, cflags: Sequence[str] = ()) -> tuple[str, ...]:
        """How it builds a library: our flags, those of a target, then the user's. Raises IrkitError."""
        return (*FLAGS, *self.raceless, *THREADS, *cflags, *users_flags())

    def version(self) -> str:
        """The first line of `--version`."""
        done = subprocess.run([*self.command, "--version"], capture_output=True, text=True, check=False)
        return (done.stdout.splitlines() or [""])[0]

    def shared_library(self, source: Path, output: Path, cflags: Sequence[str] = ()) -> None:
        """Compiles one file to a shared library. Raises IrkitError with what the compiler said."""
        self._run([*self._words(cflags), "-shared", str(source), "-o", str(output), "-lm"], output)

    def shared_library_of(self, sources: Sequence[Path], output: Path, cflags: Sequence[str] = ()) -> None:
        """Compiles C files side by side, and links them to a shared library. Raises IrkitError as `shared_library` does."""
        if len(sources) == 1:
            return self.shared_library(sources[0], output, cflags)
        objects = [source.with_suffix(".o") for source in sources]

        def build(source: Path, built: Path) -> None:
            self._run([*self._words(cflags), "-c", str(source), "-o", str(built)], built)

        with ThreadPoolExecutor(len(sources)) as pool:
            list(pool.map(build, sources, objects))
        self._run([*self._words(cflags), "-shared", *map(str, objects), "-o", str(output), "-lm"], output)
        return None

    def _words(self, cflags: Sequence[str]) -> list[str]:
        return [*self.flags(cflags), *(f"-I{folder}" for folder in self.FOLDERS)]

    def _run(self, arguments: Sequence[str], output: Path) -> None:
        words = [*self.command, *arguments]
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        except OSError as fault:
            raise IrkitError(f"cannot start the {self.KIND} '{self.name}': {fault.strerror}") from None
        if done.returncode:
            shown = "\n".join(line for line in done.stderr.splitlines() if "error" in line)[:2000]
            end = f"failed with exit code {done.returncode}"
            if done.returncode < 0:
                end = f"was killed by {signal.Signals(-done.returncode).name}"
            raise IrkitError(
                f"the {self.KIND} '{self.name}' {end}",
                found=shown or done.stderr[-2000:] or "no message",
                hint=f"the command was: {shlex.join(words)}",
            )
        if not output.is_file():
            raise IrkitError(
                f"'{self.name}' is no {self.KIND}: it ended well and wrote nothing",
                hint=f"the command was: {shlex.join(words)}",
            )


def users_flags() -> tuple[str, ...]:
    """What the environment adds to the command line. Raises IrkitError where its quotes do not match."""
    text = os.environ.get(USERS_FLAGS, "")
    try:
        return tuple(shlex.split(text))
    except ValueError as fault:
        raise IrkitError(
            f"cannot read {USERS_FLAGS}: {fault}",
            found=text,
            expected="flags of the C compiler as a shell takes them",
        ) from None


def find_compiler(name: str | None = None) -> Compiler:
    """A compiler by name, or else the one of the CC variable, or gcc, clang, cc, or the one of the ziglang package.

    A name may hold arguments (`ccache gcc`). Raises IrkitError where there is none.
    """
    asked = name or os.environ.get("CC", "").strip()
    if asked:
        found = _zig() if asked in ("zig", "ziglang", "zig cc") else _by_name(_words(asked))
        if found is None:
            where = "" if name else ", which the CC variable names"
            raise IrkitError(
                f"there is no C compiler '{asked}'{where}",
                found=_found_text(),
                expected="a command on the PATH, or the path of a compiler",
                hint=_HINT,
            )
        return found
    for candidate in CANDIDATES:
        if (found := _by_name([candidate])) is not None:
            return found
    if (found := _zig()) is not None:
        return found
    raise IrkitError(
        "there is no C compiler", expected=f"one of {', '.join(CANDIDATES)} on the PATH", hint=_HINT
    )


_HINT = "install gcc or clang, or `pip install irkit[cc]` for the compiler in the ziglang package"


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as fault:
        raise IrkitError(f"cannot read the C compiler '{command}'", found=str(fault).lower()) from None


def _by_name(words: Sequence[str]) -> Compiler | None:
    path = shutil.which(words[0]) if words else None
    return Compiler(tuple(words), Path(path)) if path else None


def _zig() -> Compiler | None:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        path = shutil.which("zig")
        return Compiler(("zig", "cc"), Path(path)) if path else None
    return Compiler((sys.executable, "-m", "ziglang", "cc"), Path(spec.origin))


def _found_text() -> str:
    known = [c for c in CANDIDATES if shutil.which(c)]
    return f"{', '.join(known)} on the PATH" if known else "no compiler on the PATH"
