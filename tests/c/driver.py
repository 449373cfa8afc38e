"""Builds emitted C with a driver of its own and compares its numbers: many programs in one binary, arrays with no byte to
spare and no alignment but their element's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects.dims import Dim
from dialects.types import np_dtype
from irkit import pipeline
from irkit.checking import Arrays, compare, random_inputs, slacks
from irkit.runtime.compiler import INCLUDE
from lowering.c.abi import ProgramSpec
from lowering.c.emit import emit_program
from lowering.c.names import c_field
from lowering.graph.interpret import run_graph
from lowering.target import get_target
from tests.levels.test_round_trip import module_of
from tools.ops_docs.__main__ import all_examples
from tools.ops_docs.examples import all_in_one

GNU = ("-std=gnu11",)
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wvla", "-Wno-unused-function"]
SIZES = {"B": 5}


@dataclass(frozen=True)
class Unit:
    """One program: its C, its inputs, and the results that it has to give."""

    spec: ProgramSpec
    func: FuncOp
    inputs: Arrays
    expected: list[np.ndarray]
    slack: list[float]
    sizes: dict[str, int]


def unit_of(name: str, target: str) -> Unit:
    """One of the programs, on random inputs."""
    module = module_of(name)
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    attr = func.attributes.get("graph.symbols")
    sizes = {s: SIZES.get(s, 3) for s, _, _ in attr.data} if attr is not None else {}  # pyright: ignore
    return _unit(name, module, random_inputs(func, sizes, seed=4), sizes, target)


def unit_of_every_op(target: str) -> Unit:
    """The examples of all ops as one program, on their own inputs."""
    module, arrays = all_in_one(all_examples())
    return _unit("ops", module, {f"x{i}": a for i, a in enumerate(arrays)}, {}, target)


def _unit(name: str, module: ModuleOp, inputs: Arrays, sizes: dict[str, int], target: str) -> Unit:
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    expected = run_graph(func, inputs, sizes)
    slack = slacks(func, inputs, sizes, expected)
    kept = func.clone()
    pipeline.run_passes(module, pipeline.passes_to("graph", "buffer", target, "gcc"), pipeline.context())
    spec = emit_program(module, get_target(target, "gcc"), f"p_{name}")
    return Unit(spec, kept, inputs, expected, slack, sizes)


def driver(units: list[Unit], threads: int) -> str:
    """A main that reads each program's inputs, runs it and writes its results; every array ends where its block ends,
    and starts one element after where it begins."""
    lines = ["#include <stdio.h>", "#include <stdlib.h>", *(f'#include "{u.spec.name}.h"' for u in units)]
    lines.append(
        """
static void *block(size_t bytes, size_t element) { char *p = malloc(bytes + element); return p ? p + element : NULL; }
static void *get(FILE *file, size_t bytes, size_t element) {
  void *p = block(bytes, element);
  if (!p || fread(p, 1, bytes, file) != bytes) exit(3);
  return p;
}"""
    )
    for u in units:
        name = u.spec.name
        lines += [f"static int run_{name}(FILE *in, FILE *out) {{", f"  {name}_args args = {{0}};"]
        lines += [f"  args.{c_field(s)} = {v};" for s, v in u.sizes.items()]
        for a in u.spec.args:
            element = np_dtype(a.dtype).itemsize
            bytes_ = element * int(np.prod([Dim.parse(d).evaluate(u.sizes) for d in a.dims], dtype=np.int64))
            call = f"block({bytes_}, {element})" if a.role == "output" else f"get(in, {bytes_}, {element})"
            lines.append(f"  void *const a_{c_field(a.name)} = {call};")
            lines.append(f"  args.{c_field(a.name)} = a_{c_field(a.name)};")
        team = f"{name}_team_create({threads})" if threads > 1 else "NULL"
        lines += [
            f"  const size_t bytes = {name}_arena_bytes(&args, {threads});",
            "  void *arena = aligned_alloc(64, (bytes + 63) / 64 * 64);",
            f"  irk_team *team = {team};",
            "  int code = 0;",
            *(_prepare(u.spec) if u.spec.prepared_bytes else []),
            f"  for (int round = 0; round < 3; round++) code |= {name}_run(&args, arena, team);",
            f"  if (team) {name}_team_destroy(team);",
        ]
        for a in u.spec.args:
            element = np_dtype(a.dtype).itemsize
            bytes_ = element * int(np.prod([Dim.parse(d).evaluate(u.sizes) for d in a.dims], dtype=np.int64))
            if a.role == "output":
                lines.append(f"  fwrite(a_{c_field(a.name)}, 1, {bytes_}, out);")
            lines.append(f"  free((char *)a_{c_field(a.name)} - {element});")
        lines += [f"  free(args.{u.spec.prepared_field});"] if u.spec.prepared_bytes else []
        lines += ["  free(arena);", "  return code;", "}"]
    calls = " | ".join(f"run_{u.spec.name}(in, out)" for u in units)
    lines.append(
        f'int main(void) {{ FILE *in = fopen("in.bin", "rb"), *out = fopen("out.bin", "wb"); int code = {calls};'
        "  fclose(in); fclose(out); return code ? 4 : 0; }"
    )
    return "\n".join(lines) + "\n"


def _prepare(spec: ProgramSpec) -> list[str]:
    """The statements that fill a program's prepared memory, none of which a run may find elsewhere."""
    size, field = f"{spec.name}_prepared_bytes(&args)", f"args.{spec.prepared_field}"
    return [
        f"  if ({spec.name}_run(&args, arena, team) != {spec.name.upper()}_NULL_ARGUMENT) return 6;",
        f"  {field} = aligned_alloc(64, ({size} + 63) / 64 * 64);",
        f"  code |= {spec.name}_init(&args, arena, team);",
        "  for (size_t i = 0; i < bytes; i++) ((char *)arena)[i] = 0x5a;",
    ]


def at_once(units: list[Unit]) -> str:
    """A main that runs each program in a thread of its own, all at the same time, with files of its own."""
    jobs = ", ".join(f'{{run_{u.spec.name}, "{u.spec.name}.in", "{u.spec.name}.out", 0}}' for u in units)
    return f"""
#include <pthread.h>
struct job {{ int (*run)(FILE *, FILE *); const char *in, *out; int code; }};
static void *work(void *context) {{
  struct job *job = context;
  FILE *in = fopen(job->in, "rb"), *out = fopen(job->out, "wb");
  job->code = job->run(in, out);
  fclose(in);
  fclose(out);
  return NULL;
}}
int main(void) {{
  static struct job jobs[] = {{{jobs}}};
  pthread_t threads[{len(units)}];
  int code = 0;
  for (int i = 0; i < {len(units)}; i++) if (pthread_create(&threads[i], NULL, work, &jobs[i])) return 5;
  for (int i = 0; i < {len(units)}; i++) pthread_join(threads[i], NULL), code |= jobs[i].code;
  return code ? 4 : 0;
}}
"""


def run_all(
    folder: Path,
    units: list[Unit],
    cc: str,
    flags: list[str],
    threads: int,
    together: bool = False,
    language: Sequence[str] = GNU,
    launcher: Sequence[str] = (),
) -> None:
    """Builds all units in a language and the driver, with a compiler's flags, runs it, by a launcher such as an emulator,
    and compares the results; `together` runs all programs at the same time."""
    for header in INCLUDE.glob("*.h"):
        shutil.copy(header, folder)
    for u in units:
        (folder / f"{u.spec.name}.c").write_text(u.spec.source)
        (folder / f"{u.spec.name}.h").write_text(u.spec.header)
    text = driver(units, threads)
    (folder / "driver.c").write_text(
        text[: text.index("int main(void)")] + at_once(units) if together else text
    )
    arrays = {
        u.spec.name: b"".join(
            np.ascontiguousarray(u.inputs[a.name]).tobytes() for a in u.spec.args if a.role != "output"
        )
        for u in units
    }
    (folder / "in.bin").write_bytes(b"".join(arrays.values()))
    for name, data in arrays.items():
        (folder / f"{name}.in").write_bytes(data)
    sources = ["driver.c", *(f"{u.spec.name}.c" for u in units)]
    team = ["-pthread", "-DIRK_TEAM_PTHREADS"] if threads > 1 else []
    objects: list[subprocess.Popen[str]] = []
    for source in sources:
        words = [cc, *(GNU if source == "driver.c" else language), *WARNINGS, *flags, *team, "-c", source]
        objects.append(subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True))
        if len(objects) % 2 == 0:
            objects[-2].wait()
    for job in objects:
        _, err = job.communicate()
        assert job.returncode == 0, err[:3000]
    link = [cc, *flags, *team, *(s.replace(".c", ".o") for s in sources), "-o", "all", "-lm"]
    subprocess.run(link, cwd=folder, check=True, capture_output=True, timeout=200)
    done = subprocess.run(
        [*launcher, folder / "all"], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[:4000]
    if together:
        data = b"".join((folder / f"{u.spec.name}.out").read_bytes() for u in units)
    else:
        data = (folder / "out.bin").read_bytes()
    at = 0
    for u in units:
        for want, slack in zip(u.expected, u.slack, strict=True):
            found = np.frombuffer(data, want.dtype, want.size, at).reshape(want.shape)
            at += want.nbytes
            compare(f"{u.spec.name} differs", u.func, found, want, 4 * slack)
    assert at == len(data)


def works(cc: str, flags: list[str], folder: Path, launcher: Sequence[str] = ()) -> bool:
    """Whether a compiler, its sanitizer's run time and the launcher are here."""
    if shutil.which(cc) is None or (launcher and shutil.which(launcher[0]) is None):
        return False
    (folder / "probe.c").write_text("int main(void) { return 0; }\n")
    built = subprocess.run(
        [cc, *flags, "probe.c", "-o", "probe"], cwd=folder, capture_output=True, check=False
    )
    return (
        built.returncode == 0
        and subprocess.run([*launcher, folder / "probe"], capture_output=True, check=False).returncode == 0
    )
