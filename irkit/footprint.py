"""What the C pair of a program takes on a device: flash, RAM and stack, read off the compiled object files.

The files are compiled with the flags that `irkit compile` prints, each function in a section of its own. The compiler
says how much stack each function takes (`-fstack-usage`); a relocation from one function's section to another's is a
call, or an address that may be called, so that the deepest chain over relocations bounds the stack.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dialects.errors import IrkitError
from irkit.elf import X86, Elf, Sizes
from irkit.runtime.compiler import Compiler
from lowering.c.abi import ProgramSpec
from lowering.target import Target

_ROW = re.compile(r"^.*:(?P<name>[^:\s]+)\t(?P<size>\d+)\t(?P<kind>[\w,]+)$")


def build_flags(target: Target, compiler: Compiler) -> tuple[str, ...]:
    """What `irkit compile` tells the user to compile with."""
    standard = ("-std=c99", "-pedantic") if target.portable else ("-std=gnu11",)
    return (*standard, "-O3", "-fno-math-errno", *compiler.raceless, *target.cflags)


@dataclass(frozen=True)
class Frame:
    """A function with the bytes of its frame; not bounded where they depend on data."""

    name: str
    bytes: int
    is_bounded: bool


@dataclass(frozen=True)
class Stack:
    """The frames of all functions, the chain of calls from the entry that takes most, and its bytes.

    `outside` are the functions that the objects call but do not hold, such as memcpy; what they take comes on top.
    """

    frames: tuple[Frame, ...]
    chain: tuple[str, ...]
    bytes: int
    is_bounded: bool
    outside: tuple[str, ...]


@dataclass(frozen=True)
class ObjectSize:
    """The sizes of one compiled file."""

    file: str
    sizes: Sizes


@dataclass(frozen=True)
class Footprint:
    """All that a program takes on one thread. `const_bytes` are the weights in C, which stand in rodata;
    `file_bytes` those in a file; `peak_bytes` are the intermediates in the arena, `arena_bytes` all of it;
    `prepared_bytes` hold what is made of the parameters once."""

    name: str
    compiler: str
    objects: tuple[ObjectSize, ...]
    const_bytes: int
    file_bytes: int
    peak_bytes: int
    arena_bytes: int
    prepared_bytes: int
    stack: Stack | None

    @property
    def flash(self) -> int:
        """Bytes of code, constants and initial data."""
        return sum(o.sizes.text + o.sizes.rodata + o.sizes.data for o in self.objects)

    @property
    def ram(self) -> int:
        """Bytes of data, arena, prepared memory and stack."""
        fixed = sum(o.sizes.data + o.sizes.bss for o in self.objects)
        memory = self.arena_bytes + self.prepared_bytes
        return fixed + memory + (self.stack.bytes if self.stack is not None else 0)

    def json(self) -> str:
        """All of it as JSON text."""
        return json.dumps({**asdict(self), "flash": self.flash, "ram": self.ram}, indent=1) + "\n"


def footprint(
    spec: ProgramSpec, files: Mapping[str, bytes], weight_bytes: int, compiler: Compiler, flags: Sequence[str]
) -> Footprint:
    """Compiles the C files of a program, but for the example, and measures them. Raises IrkitError."""
    objects: list[ObjectSize] = []
    stack = None
    with tempfile.TemporaryDirectory(prefix="irkit-size-") as folder:
        for name, content in files.items():
            if name.endswith((".c", ".h")):
                (Path(folder) / name).write_bytes(content)
        for name in (n for n in files if n.endswith(".c") and n != "main.c"):
            elf, usage = compiled(Path(folder) / name, compiler, flags)
            objects.append(ObjectSize(name, elf.sizes()))
            if name == f"{spec.name}.c" and usage is not None:
                stack = stack_of(elf, usage, f"{spec.name}_run")
    is_const = f"{spec.name}_weights.c" in files
    return Footprint(
        name=spec.name,
        compiler=compiler.version() or compiler.name,
        objects=tuple(objects),
        const_bytes=weight_bytes if is_const else 0,
        file_bytes=len(files.get(f"{spec.name}_weights.bin", b"")),
        peak_bytes=spec.peak_bytes,
        arena_bytes=-(-spec.arena_bytes // 64) * 64 + spec.scratch_bytes,
        prepared_bytes=spec.prepared_bytes,
        stack=stack,
    )


def compiled(source: Path, compiler: Compiler, flags: Sequence[str]) -> tuple[Elf, str | None]:
    """The object of a C file, and what the compiler says of stack; None where it says nothing."""
    words = [*compiler.command, *flags, "-ffunction-sections", "-c", source.name, "-o", "size.o"]
    for extra in (["-fstack-usage"], []):
        done = _run([*words, *extra], source.parent)
        if not done.returncode:
            break
    else:
        raise IrkitError(
            f"the C compiler '{compiler.name}' failed with exit code {done.returncode}",
            found=done.stderr[-2000:] or "no message",
        )
    # gcc names the file after the object, other compilers may after the source.
    reports = [source.parent / "size.su", source.with_suffix(".su")]
    usage = next((p.read_text(encoding="utf-8", errors="replace") for p in reports if p.exists()), None)
    return Elf((source.parent / "size.o").read_bytes(), f"{source.stem}.o"), usage


def _run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as fault:
        raise IrkitError(f"cannot start the C compiler '{words[0]}': {fault.strerror}") from None


# -- the stack ------------------------------------------------------------------------------------------------


def stack_of(elf: Elf, usage: str, entry: str) -> Stack | None:
    """The stack that an entry of an object takes at most; None where the compiler tells nothing of it."""
    frames = _frames(usage)
    names = elf.functions()
    if entry not in frames or not names:
        return None
    calls: dict[str, set[str]] = {name: set() for name in names.values()}
    outside: set[str] = set()
    for section, symbol in elf.references():
        caller = names.get(section)
        if caller is None:
            continue
        if symbol.section in names:
            calls[caller].add(names[symbol.section])
        elif not symbol.section and symbol.name and not symbol.name.startswith("_GLOBAL"):
            outside.add(symbol.name)
    for part in ("_program", "_once"):
        if "irk_team_run" in calls and (program := entry.removesuffix("_run") + part) in calls:
            calls["irk_team_run"].add(program)  # by a pointer that is handed to it
    sizes = {name: _frame(frames, name, elf.machine) for name in calls}
    size, chain = deepest(entry, calls, {n: f.bytes for n, f in sizes.items()})
    reached = _reached(entry, calls)
    return Stack(
        frames=tuple(sorted(sizes.values(), key=lambda f: (-f.bytes, f.name))),
        chain=chain,
        bytes=size,
        is_bounded=all(sizes[name].is_bounded for name in reached),
        outside=tuple(sorted(outside)),
    )


def _frames(usage: str) -> dict[str, Frame]:
    found: dict[str, Frame] = {}
    for line in usage.splitlines():
        row = _ROW.match(line)
        if row is None:
            continue
        name, size = row["name"], int(row["size"])
        bounded = row["kind"] in ("static", "dynamic,bounded")
        if name not in found or found[name].bytes < size:
            found[name] = Frame(name, size, bounded)
    return found


def _frame(frames: Mapping[str, Frame], name: str, machine: int) -> Frame:
    """The frame of a function by its symbol, which gcc gives a number where it made several of one function."""
    known = frames.get(name) or frames.get(re.sub(r"\.\d+$", "", name))
    if known is None:
        return Frame(name, 0, False)
    # A function without locals has a frame of 0 where the compiler does not count the return address.
    pushed = X86.get(machine, 0) if min(f.bytes for f in frames.values()) == 0 else 0
    return Frame(name, known.bytes + pushed, known.is_bounded)


def _reached(entry: str, calls: Mapping[str, set[str]]) -> set[str]:
    found, pending = {entry}, [entry]
    while pending:
        for name in calls[pending.pop()] - found:
            found.add(name)
            pending.append(name)
    return found


def deepest(
    entry: str, calls: Mapping[str, set[str]], sizes: Mapping[str, int]
) -> tuple[int, tuple[str, ...]]:
    """The bytes and the functions of the chain of calls that takes most. Raises IrkitError for one without end."""
    known: dict[str, tuple[int, tuple[str, ...]]] = {}
    open_: list[str] = []

    def visit(name: str) -> tuple[int, tuple[str, ...]]:
        if name in open_:
            cycle = " -> ".join([*open_[open_.index(name) :], name])
            raise IrkitError("the stack has no bound", found=f"functions that call each other: {cycle}")
        if name not in known:
            open_.append(name)
            below = max((visit(n) for n in sorted(calls[name] - {name})), default=(0, ()))
            open_.pop()
            known[name] = sizes[name] + below[0], (name, *below[1])
        return known[name]

    return visit(entry)
