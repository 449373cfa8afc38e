"""`irkit compile`: writes a program as a pair of C or CUDA files that stand alone, with weights and an example `main.c`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.types import SMALL_FLOATS
from irkit.api import compile_text, emit, graph_of, read_defaults
from irkit.commands.arguments import read_bytes, read_dims
from irkit.commands.golden import compared, golden_header
from irkit.files import check_writable, read_text, write_atomically, write_files
from irkit.footprint import build_flags, footprint
from irkit.runtime.artefact import SUFFIX
from irkit.runtime.compiler import INCLUDE, find_compiler
from lowering.c.abi import C_TYPES, ArgSpec, ProgramSpec
from lowering.c.literals import c_words
from lowering.c.names import c_field
from lowering.remarks import Remarks, listening
from lowering.target import get_target, is_cuda, runs_on_cpu

ALIGNMENT = 64
PER_LINE = 12
STEPS = 50
"""Of training, in the example."""

_UNIFORM = (
    "// Numbers from -1 to 1 that look random, the same in every run.",
    "static double uniform(void) {",
    "  static uint32_t state = 1;",
    "  state = state * 1664525u + 1013904223u;",
    "  return (double)(state >> 8) / 8388608.0 - 1.0;",
    "}",
    "",
)
_INTERFACE = ("args", "run", "info", "arena_bytes", "team_create", "team_destroy", "bind_weights")


def execute(args: argparse.Namespace) -> None:
    """Writes the files and prints the command that builds them; raises IrkitError."""
    if args.size_file:
        check_writable(args.size_file)
    name = "<stdin>" if args.file == "-" else args.file
    cuda = is_cuda(args.target)
    if cuda:
        from irkit.commands import compile_cuda

        compile_cuda.check(args)
    compiler = None if cuda and not runs_on_cpu(args.target) else find_compiler(args.cc)
    cc = compiler.name if compiler is not None else "nvcc"
    text, dims = read_text(args.file), read_dims(args.dim)
    remarks = Remarks(frozenset({"prune"}))
    with listening(remarks):
        spec, places = emit(text, name, args.fn, dims, args.target, cc, args.tuned, args.fast_math)
    for remark in remarks.in_order():
        if ("kind", "parameter") in remark.args:
            print(f"warning: {remark.message} ({remark.reason})", file=sys.stderr)
    if args.arena_limit:
        check_arena(spec, read_bytes(args.arena_limit))
    if args.output.endswith(SUFFIX):
        program = compile_text(
            text, name, args.fn, dims, args.target, cc=args.cc, tuned=args.tuned, fast_math=args.fast_math
        )
        program.save(args.output)
        print(f"wrote {args.output}")
        return
    values = read_defaults(spec, places, name)
    target = get_target(args.target, cc)
    files = program_files(spec, values, args.weights, args.golden, target.portable, cuda)
    if args.golden:
        files["golden.h"] = golden_header(spec, graph_of(text, name, args.fn, dims), values).encode()
    folder = Path(args.output)
    write_files(folder, files)
    sources = " ".join(n for n in files if n.endswith(".c"))
    print(f"wrote {', '.join(files)}")
    if compiler is None or cuda:
        command = compile_cuda.build_command(args.target, cc, spec.name, sources)
        print(f"build: cd {folder} && {command} && ./{spec.name}")
        return
    flags = build_flags(target, compiler)
    print(f"build: cd {folder} && {cc} {' '.join(flags)} {sources} -o {spec.name} -lm && ./{spec.name}")
    if args.size or args.size_file:
        const = sum(values[a.name].nbytes for a in spec.args if a.name in values and not a.is_written)
        found = footprint(spec, files, const, compiler, flags)
        if args.size:
            from irkit.commands.size import print_footprint

            print_footprint(found)
        if args.size_file:
            write_atomically(args.size_file, found.json())


def check_arena(spec: ProgramSpec, limit: int) -> None:
    """Raises IrkitError for a program that needs a larger arena, on one thread."""
    needed = spec.arena_bytes + spec.scratch_bytes
    if needed > limit:
        raise IrkitError(
            f"'{spec.name}' needs an arena of {needed} bytes",
            found=f"intermediates {spec.peak_bytes}, which no order of calls brings below {spec.lower_bound_bytes}, "
            f"and {spec.scratch_bytes} of scratch for each thread",
            expected=f"at most {limit}, as --arena-limit says",
            hint="give dims smaller sizes (--dim), or smaller ranges; irkit show lists the kernels with their bytes",
        )


def program_files(
    spec: ProgramSpec,
    values: Mapping[str, np.ndarray],
    weights: str,
    golden: bool = False,
    portable: bool = False,
    cuda: bool = False,
) -> dict[str, bytes]:
    """The content of each file: the C pair, what it includes, the data, the example; `portable` data is C99, with `cuda`
    the pair and the example are CUDA C++."""
    name, main, steps = spec.name, "main.c", HostSteps
    if cuda:
        from irkit.commands.compile_cuda import DeviceSteps, source_files

        files, main, steps = source_files(spec), "main.cu", DeviceSteps
    else:
        files = {f"{name}.c": spec.source.encode(), f"{name}.h": spec.header.encode()}
        spare = "irk_vectors.h" if portable else "irk_c99.h"
        for path in sorted(p for p in INCLUDE.glob("*.h") if p.name != spare):
            files[path.name] = path.read_bytes()
    args = [a for a in spec.args if a.name in values]
    if args and weights == "const":
        files[f"{name}_weights.c"] = const_source(spec, args, values, portable).encode()
        files[f"{name}_weights.h"] = const_header(spec, args, values, portable).encode()
    elif args:
        data, offsets = packed(args, values)
        files[f"{name}_weights.bin"] = data
        files[f"{name}_weights.h"] = bin_header(spec, args, offsets, len(data)).encode()
    files[main] = example(spec, [a.name for a in args], weights, golden, steps).encode()
    return files


# -- weights as const data ------------------------------------------------------------------------------------


def const_source(
    spec: ProgramSpec, args: Sequence[ArgSpec], values: Mapping[str, np.ndarray], portable: bool = False
) -> str:
    """Arrays as C initialisers, exact to the bit."""
    lines = [f"// The data of {spec.name}, written by irkit.", f'#include "{spec.name}_weights.h"', ""]
    for arg in args:
        if arg.is_written and not values[arg.name].any():  # takes no room in the file
            lines += [f"{_declared(spec, arg, values[arg.name], portable)};", ""]
            continue
        words = c_words(values[arg.name], arg.dtype, portable)
        lines.append(f"{_const(arg)}{_declared(spec, arg, values[arg.name], portable)} = {{")
        lines += ["  " + ", ".join(words[i : i + PER_LINE]) + "," for i in range(0, len(words), PER_LINE)]
        lines += ["};", ""]
    return "\n".join(lines)


def const_header(
    spec: ProgramSpec, args: Sequence[ArgSpec], values: Mapping[str, np.ndarray], portable: bool = False
) -> str:
    """The declarations of the data, and a function that points a program's arguments at it."""
    name = spec.name
    return "\n".join(
        [
            *_guard(spec),
            *(f"extern {_const(a)}{_declared(spec, a, values[a.name], portable)};" for a in args),
            "",
            "// Points the arguments at the data.",
            f"static inline void {name}_bind_weights({name}_args *args) {{",
            *(f"  args->{c_field(a.name)} = {array_name(spec, a)};" for a in args),
            "}",
            "",
            "#endif",
            "",
        ]
    )


def _guard(spec: ProgramSpec) -> list[str]:
    guard = f"{spec.name.upper()}_WEIGHTS_H"
    head = f"// The data of {spec.name}, written by irkit: parameters, and inputs that come with data."
    return [head, f"#ifndef {guard}", f"#define {guard}", "", f'#include "{spec.name}.h"', ""]


def _const(arg: ArgSpec) -> str:
    """What a run only reads is const."""
    return "" if arg.is_written else "const "


def _declared(spec: ProgramSpec, arg: ArgSpec, value: np.ndarray, portable: bool) -> str:
    count = max(1, value.size * (2 if value.dtype.kind == "c" else 1))
    aligned = "" if portable else f" __attribute__((aligned({ALIGNMENT})))"
    return f"{C_TYPES[arg.dtype]} {array_name(spec, arg)}[{count}]{aligned}"


def array_name(spec: ProgramSpec, arg: ArgSpec) -> str:
    """The C name of the data of an argument: the interface has others that begin like it, as `mlp_run`."""
    taken = arg.name.rstrip("_") in _INTERFACE
    return f"{spec.name}_{arg.name}{'_' if taken else ''}"


# -- weights in a file ----------------------------------------------------------------------------------------


def packed(args: Sequence[ArgSpec], values: Mapping[str, np.ndarray]) -> tuple[bytes, list[int]]:
    """The bytes of all arrays, each at a multiple of 64, and where each starts."""
    data, offsets = bytearray(), list[int]()
    for arg in args:
        data += bytes(-len(data) % ALIGNMENT)
        offsets.append(len(data))
        data += np.ascontiguousarray(values[arg.name]).tobytes()
    data += bytes(-len(data) % ALIGNMENT)
    return bytes(data), offsets


def bin_header(spec: ProgramSpec, args: Sequence[ArgSpec], offsets: Sequence[int], size: int) -> str:
    """A function that points a program's arguments into the content of the file."""
    name = spec.name
    whole = "" if any(a.is_written for a in args) else "const "
    bind = [
        f"  args->{c_field(a.name)} = ({_const(a)}{C_TYPES[a.dtype]} *)({whole}void *)(bytes + {o});"
        for a, o in zip(args, offsets, strict=True)
    ]
    return "\n".join(
        [
            *_guard(spec),
            f'#define {name.upper()}_WEIGHTS_FILE "{name}_weights.bin"',
            f"#define {name.upper()}_WEIGHTS_BYTES {size}",
            "",
            "// Points the arguments into the content of the file, which starts at a multiple of 64.",
            f"static inline void {name}_bind_weights({name}_args *args, {whole}void *content) {{",
            f"  {whole}char *bytes = ({whole}char *)content;",
            *bind,
            "}",
            "",
            "#endif",
            "",
        ]
    )


# -- the example ----------------------------------------------------------------------------------------------


class HostSteps:
    """The statements of the example that depend on where arrays lie: here in the memory that it fills itself."""

    includes: Sequence[str] = ()
    helpers: Sequence[str] = ()

    def __init__(self, spec: ProgramSpec, most: Mapping[str, int]):
        self.spec, self.most = spec, most

    def begin(self) -> list[str]:
        """Once the arguments are set: the arena, and what is prepared."""
        name, field = self.spec.name, self.spec.prepared_field
        lines = [f"  void *arena = memory({name}_arena_bytes(&args, 1));"]
        if field:
            lines += [
                f"  args.{field} = memory({name}_prepared_bytes(&args));",
                f"  if ({name}_init(&args, arena, NULL) != {name.upper()}_OK) return 1;",
            ]
        return lines

    def run(self) -> list[str]:
        """Sets `code`, and ends where the program fails."""
        name = self.spec.name
        return [
            f"  code = {name}_run(&args, arena, NULL);",
            f"  if (code != {name.upper()}_OK) {{",
            f'    fprintf(stderr, "{name} failed with code %d\\n", code);',
            "    return 1;",
            "  }",
        ]

    def end(self) -> list[str]:
        field = self.spec.prepared_field
        return [*([f"  release(args.{field});"] if field else []), "  release(arena);"]


def example(
    spec: ProgramSpec,
    bound: Sequence[str],
    weights: str,
    golden: bool = False,
    steps_of: type[HostSteps] = HostSteps,
) -> str:
    """A `main.c` that fills the inputs, runs the program once, and prints the start of each result; with `golden` it
    compares the results with those in golden.h, and ends with 1 where they lie too far apart."""
    name, upper = spec.name, spec.name.upper()
    trains = any(a.updated is not None for a in spec.args) and not golden
    most = {n: high for n, _, high in spec.symbols}
    steps = steps_of(spec, most)
    body = [f"  args.{c_field(n)} = {high};" for n, _, high in spec.symbols]
    if bound and weights == "const":
        body.append(f"  {name}_bind_weights(&args);")
    elif bound:
        body += [
            f"  void *content = memory({upper}_WEIGHTS_BYTES);",
            f'  FILE *file = fopen({upper}_WEIGHTS_FILE, "rb");',
            f"  if (!file || fread(content, 1, {upper}_WEIGHTS_BYTES, file) != {upper}_WEIGHTS_BYTES) {{",
            f'    fprintf(stderr, "cannot read %s\\n", {upper}_WEIGHTS_FILE);',
            "    return 1;",
            "  }",
            "  fclose(file);",
            f"  {name}_bind_weights(&args, content);",
        ]
    release = ["  release(content);"] if bound and weights == "bin" else []
    shown: list[str] = []
    counts: dict[str, int] = {}
    for arg in spec.args:
        if arg.name in bound:
            continue
        count = elements(arg, most)
        kind, field = C_TYPES[arg.dtype], c_field(arg.name)
        body.append(f"  {kind} *{arg.name}_data = ({kind} *)memory({count} * sizeof({kind}));")
        if arg.role != "output":
            value = "i % 2" if arg.dtype == "bool" else f"({kind})(i % 8)"
            if arg.dtype in ("f64", "f32"):
                value = f"({kind})(i % 8) / 8" if not trains else f"({kind})uniform()"
            elif trains and arg.dtype[0] in "iu":
                value = f"({kind})(i % 2)"  # a label that is less than any number of classes
            if count:
                body.append(f"  for (size_t i = 0; i < {count}; i++) {arg.name}_data[i] = {value};")
        else:
            cast, conversion = _printed(arg.dtype)
            shown.append(f'  printf("{arg.name}");')
            if count:
                shown.append(
                    f"  for (size_t i = 0; i < {min(count, 8)}; i++) "
                    f'printf(" {conversion}", ({cast}){arg.name}_data[i]);'
                )
            shown.append(f'  printf("{" ..." if count > 8 else ""}\\n");')
        body.append(f"  args.{field} = {arg.name}_data;")
        counts[arg.name] = count
        release.append(f"  release({arg.name}_data);")
    return "\n".join(
        [
            (
                f"// An example: {STEPS} steps of training on one batch, which print the loss. Written by irkit."
                if trains
                else f"// An example: runs {name} once and prints the start of each result. Written by irkit."
            ),
            *(["#include <math.h>"] if golden else []),
            "#include <stdio.h>",
            "#include <stdlib.h>",
            "#include <string.h>",
            "",
            *steps.includes,
            f'#include "{name}.h"',
            *(['#include "golden.h"'] if golden else []),
            *([f'#include "{name}_weights.h"'] if bound else []),
            "",
            "// Zeros at a multiple of 64; what malloc gave stands before them.",
            "static void *memory(size_t bytes) {",
            "  char *whole = (char *)malloc(bytes + 64 + sizeof(void *)), *p;",
            "  if (!whole) exit(1);",
            "  p = whole + sizeof(void *);",
            "  p += 63 - ((uintptr_t)p + 63) % 64;",
            "  memcpy(p - sizeof(void *), &whole, sizeof whole);",
            "  return memset(p, 0, bytes);",
            "}",
            "",
            "static void release(void *p) {",
            "  char *whole;",
            "  memcpy(&whole, (char *)p - sizeof(void *), sizeof whole);",
            "  free(whole);",
            "}",
            "",
            *steps.helpers,
            *(_UNIFORM if any("uniform()" in line for line in body) else []),
            "int main(void) {",
            f"  {name}_args args;",
            "  memset(&args, 0, sizeof args);",
            *body,
            *steps.begin(),
            "  int code = 0;",
            *(_training(steps, shown) if trains else [*steps.run(), *shown]),
            *(compared(spec, counts) if golden else []),
            *release,
            *steps.end(),
            "  return code ? 1 : 0;" if golden else "  return 0;",
            "}",
            "",
        ]
    )


def _training(steps: HostSteps, shown: Sequence[str]) -> list[str]:
    """The statements that take some steps of training and print the results of every tenth."""
    return [
        f"  for (int step = 1; step <= {STEPS}; step++) {{",
        *(f"  {line}" for line in steps.run()),
        "    if (step != 1 && step % 10) continue;",
        '    printf("step %d: ", step);',
        *(f"  {line}" for line in shown),
        "  }",
    ]


def elements(arg: ArgSpec, most: Mapping[str, int]) -> int:
    count = 2 if arg.dtype.startswith("c") else 1
    for dim in arg.dims:
        count *= Dim.parse(dim).evaluate(most)
    return count


def _printed(dtype: str) -> tuple[str, str]:
    """The type and the conversion that printf shows an element with; small floats are shown as bits."""
    if dtype in ("f64", "f32", "c64", "c128"):
        return "double", "%g"
    if dtype in SMALL_FLOATS:
        return "unsigned", "0x%x"
    return ("unsigned long long", "%llu") if dtype.startswith("u") else ("long long", "%lld")
