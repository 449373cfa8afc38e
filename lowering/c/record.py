"""Instrumented C: a program that takes down when each of its tasks begins and ends, on every thread.

The plain program has none of this. An instrumented one has `NAME_record`, which names the memory that all later runs
write their events to:

    typedef struct { int64_t task, begin, end; } irk_event;    // nanoseconds of CLOCK_MONOTONIC, or another clock
    typedef struct { irk_event *events; int64_t *counts; int64_t capacity; const uint8_t *skipped; } irk_record;
    void NAME_record(irk_record *record);

Thread t writes to `events[t * capacity]` onwards and counts in `counts[t * 8]`, a cache line of its own. A thread goes
on counting where its events are full, so that a first run with a capacity of 0 tells how much memory is needed. Where
`skipped` is no null pointer, the tasks that it marks are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.dialects.builtin import FileLineColLoc, LocationAttr
from xdsl.ir import Operation

from dialects import buffer
from dialects.dims import Dim
from dialects.types import RefType

Task: TypeAlias = buffer.CallOp | buffer.CopyOp | buffer.BarrierOp

COUNT_STRIDE = 8
"""The counts of two threads are so many integers apart."""


@dataclass(frozen=True, order=True)
class SourceLine:
    """A line of a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class RecordedTask:
    """A task of an instrumented program: `kind` is kernel, copy or barrier; `bytes` are those that a copy moves."""

    kind: str
    name: str
    sources: tuple[SourceLine, ...]
    bytes: Dim


class Recorder:
    """Hands out the numbers of the tasks of one program, in the order of its text; `clock` is one of POSIX."""

    def __init__(self, clock: str = "CLOCK_MONOTONIC") -> None:
        self.tasks: list[RecordedTask] = []
        self.clock = clock

    def task(self, op: Task, call: str) -> str:
        """The statement that runs a call and takes down its times."""
        kind, name, size = "barrier", "barrier", Dim.of(0)
        if isinstance(op, buffer.CallOp):
            kind, name = "kernel", op.callee.root_reference.data
        elif isinstance(op, buffer.CopyOp):
            kind = name = "copy"
            type_ = op.source.type
            assert isinstance(type_, RefType)
            size = type_.bytes() * 2
        self.tasks.append(RecordedTask(kind, name, source_lines(op), size))
        return f"IRK_TASK({len(self.tasks) - 1}, {call})"

    def prelude(self, name: str) -> str:
        """What stands before the kernels of an instrumented program."""
        return _PRELUDE.replace("NAME", name).replace("CLOCK", self.clock)


def sources_text(sources: Iterable[SourceLine]) -> str:
    """Lines of source for people, those of one file together: `mlp.tg:13,15`."""
    files: dict[str, list[str]] = {}
    for source in sources:
        files.setdefault(source.file, []).append(str(source.line))
    return ", ".join(f"{file}:{','.join(lines)}" for file, lines in files.items())


def source_lines(op: Operation) -> tuple[SourceLine, ...]:
    """The lines of source that an op stands for, each once, in order of place."""
    found: set[SourceLine] = set()
    _collect(op.location, found)
    return tuple(sorted(found))


def _collect(attr: LocationAttr | None, found: set[SourceLine]) -> None:
    if isinstance(attr, FileLineColLoc):
        found.add(SourceLine(attr.filename.data, attr.line.data))
    for part in getattr(attr, "locations", ()):
        _collect(part, found)


_PRELUDE = f"""#include <time.h>

typedef struct {{ int64_t task, begin, end; }} irk_event;
typedef struct {{ irk_event *events; int64_t *counts; int64_t capacity; const uint8_t *skipped; }} irk_record;

static irk_record *irk_recorded;

void NAME_record(irk_record *record);
void NAME_record(irk_record *record) {{ irk_recorded = record; }}

static inline int64_t irk_now(void) {{
  struct timespec now;
  clock_gettime(CLOCK, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}}

static inline void irk_take_down(int tid, int64_t task, int64_t begin) {{
  irk_record *const record = irk_recorded;
  const int64_t end = irk_now();
  if (!record) return;
  const int64_t count = record->counts[tid * {COUNT_STRIDE}]++;
  if (count < record->capacity) record->events[tid * record->capacity + count] = (irk_event){{task, begin, end}};
}}

#define IRK_TASK(id, call) \\
  do {{ \\
    if (irk_recorded && irk_recorded->skipped && irk_recorded->skipped[id]) break; \\
    const int64_t irk_begin = irk_now(); \\
    call; \\
    irk_take_down(tid, id, irk_begin); \\
  }} while (0)
"""
