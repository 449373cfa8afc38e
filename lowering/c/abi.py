"""The interface of a compiled program: what its arguments are, and the C header that says so.

The run time and the standalone pair of files use the same interface. This module needs neither xDSL nor NumPy, so that
a cached program loads quickly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

from lowering.c.names import c_field

ABI_VERSION = 1

ROLES = ("input", "param", "state", "output")

ERRORS: dict[str, tuple[int, str]] = {
    "OK": (0, "no error"),
    "NULL_ARGUMENT": (-1, "the arguments or an array that is not empty are NULL"),
    "DIM_OUT_OF_RANGE": (-2, "a dim lies outside of its declared range"),
    "BAD_ARENA": (-3, "the arena is NULL or not aligned to 64 bytes"),
    "BAD_PREPARED": (-4, "the prepared memory is not aligned to 64 bytes"),
}
"""What a program returns: name, code, meaning; the last where it has prepared memory."""

C_TYPES: dict[str, str] = {
    "f64": "double",
    "f32": "float",
    "f16": "uint16_t",
    "bf16": "uint16_t",
    **dict.fromkeys(("f8e4m3", "f8e5m2", "f8e4m3fnuz", "f8e5m2fnuz", "f8e8m0", "f4e2m1"), "uint8_t"),
    **{f"i{w}": f"int{max(8, w)}_t" for w in (2, 4, 8, 16, 32, 64)},
    **{f"u{w}": f"uint{max(8, w)}_t" for w in (2, 4, 8, 16, 32, 64)},
    "bool": "uint8_t",
    "c64": "float",
    "c128": "double",
}
"""The C type of an element in the interface. Complex numbers are pairs: real part, imaginary part."""


@dataclass(frozen=True)
class ArgSpec:
    """An argument: name and dtype in the language, dims as texts of dim expressions, where its data comes from.

    `quantised` is the quantised type of which the dtype is the storage; `updated`, for an argument that runs update, the
    number of the function's result that it holds after a run.
    """

    name: str
    role: str
    dtype: str
    dims: tuple[str, ...]
    source: str = ""
    quantised: str = ""
    updated: int | None = None

    @property
    def is_written(self) -> bool:
        """Whether a run writes to the array."""
        return self.role == "output" or self.updated is not None

    @property
    def type_text(self) -> str:
        """The type as the language writes it: `f32[B, 64]`, `quant(i8, scale=0.1)[B, 64]`."""
        return (self.quantised or self.dtype) + (f"[{', '.join(self.dims)}]" if self.dims else "")


@dataclass(frozen=True)
class ProgramSpec:
    """A compiled program: its interface, its memory in bytes, and its C text.

    `name` is the prefix of all its C names. `symbols` are the dims given at run time, each with its least and greatest
    value. `arena_bytes` holds all but the scratch memory, of which each thread needs `scratch_bytes`; `peak_bytes` and
    `lower_bound_bytes` are the live bytes of intermediates, as placed and the least possible. A program with
    `prepared_bytes` has an entry `NAME_init`, which fills so many with what depends on the parameters alone. `cuts` are the
    places in `source` at which its kernels begin, in their order, and the end of the last.
    """

    name: str
    args: tuple[ArgSpec, ...]
    symbols: tuple[tuple[str, int, int], ...]
    arena_bytes: int
    scratch_bytes: int
    peak_bytes: int
    lower_bound_bytes: int
    kernels: tuple[str, ...]
    source: str
    header: str
    prepared_bytes: int = 0
    cuts: tuple[int, ...] = ()

    @property
    def prepared_field(self) -> str:
        """The field of the argument struct that points to the prepared memory; empty where there is none."""
        taken = {c_field(n) for n in (*(a.name for a in self.args), *(s[0] for s in self.symbols))}
        name = "prepared"
        while name in taken:
            name += "_"
        return name if self.prepared_bytes else ""

    def with_role(self, role: str) -> list[ArgSpec]:
        """The arguments of one role, in order."""
        return [a for a in self.args if a.role == role]

    def to_json(self) -> str:
        """All of it as JSON text."""
        return json.dumps(asdict(self))

    def with_header(self, header: str) -> ProgramSpec:
        """The same program with another header."""
        return replace(self, header=header)

    @staticmethod
    def from_json(text: str) -> ProgramSpec:
        """The inverse of `to_json`; raises ValueError, KeyError or TypeError for other text."""
        data = json.loads(text)
        args = tuple(ArgSpec(**{**a, "dims": tuple(a["dims"])}) for a in data.pop("args"))
        symbols = tuple((str(n), int(low), int(high)) for n, low, high in data.pop("symbols"))
        kernels, cuts = (tuple(data.pop(what)) for what in ("kernels", "cuts"))
        return ProgramSpec(args=args, symbols=symbols, kernels=kernels, cuts=cuts, **data)


CProgram: TypeAlias = ProgramSpec
"""What the C emitter returns."""


def c_prefix(text: str) -> str:
    """A text, such as the stem of a file name, as the prefix of C names."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII) or "program"
    return f"m_{name}" if name[0].isdigit() or name.startswith(("irk", "_")) else name


def struct_lines(spec: ProgramSpec) -> list[str]:
    """The argument struct of a program: symbols, arrays, prepared memory."""
    prefix = spec.name
    fields = [f"  int64_t {c_field(n)};  // {low} to {high}" for n, low, high in spec.symbols]
    for arg in spec.args:
        const = "" if arg.is_written else "const "
        note = "" if arg.updated is None else ", updated by each run"
        fields.append(
            f"  {const}{C_TYPES[arg.dtype]} *{c_field(arg.name)};  // {arg.role}, {arg.type_text}{note}"
        )
    if spec.prepared_bytes:
        fields.append(f"  void *{spec.prepared_field};  // prepared memory, aligned to 64 bytes")
    return [f"typedef struct {prefix}_args {{", *(fields or ["  char unused;"]), f"}} {prefix}_args;"]


def _code_lines(spec: ProgramSpec) -> list[str]:
    """The codes that a program returns."""
    return [
        f"#define {spec.name.upper()}_{n} ({code})  // {meaning}"
        for n, (code, meaning) in ERRORS.items()
        if n != "BAD_PREPARED" or spec.prepared_bytes
    ]


def interface_text(spec: ProgramSpec, lines: Sequence[str]) -> str:
    """A header for C and C++: the codes and sizes of a program, lines that declare its struct and entries, its table."""
    upper = spec.name.upper()
    guard = f"{upper}_H"
    return "\n".join(
        [
            f"// The interface of {spec.name}, written by irkit. Arrays are contiguous, the last dim fastest.",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <stddef.h>",
            "#include <stdint.h>",
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            _SHARED,
            f"#define {upper}_ABI_VERSION {ABI_VERSION}",
            *_code_lines(spec),
            f"#define {upper}_ARENA_ALIGNMENT 64",
            f"#define {upper}_PEAK_BYTES {spec.peak_bytes}  // intermediates, as placed",
            f"#define {upper}_LOWER_BOUND_BYTES {spec.lower_bound_bytes}  // intermediates, the least possible",
            "",
            *lines,
            "",
            f"extern const irk_info {spec.name}_info;",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            f"#endif  // {guard}",
            "",
        ]
    )


def header_text(spec: ProgramSpec) -> str:
    """The C header of a program; uses all of a spec but `source` and `header`."""
    prefix, upper = spec.name, spec.name.upper()
    lines = [
        *struct_lines(spec),
        "",
        "// The bytes of working memory that a run needs with so many threads.",
        f"size_t {prefix}_arena_bytes(const {prefix}_args *args, int nthreads);",
        "",
        *(_init_text(spec) if spec.prepared_bytes else []),
        "// Runs the program; the arena is aligned to 64 bytes, a NULL team is the calling thread alone.",
        f"// Returns {upper}_OK or one of the codes above.",
        f"int {prefix}_run(const {prefix}_args *args, void *arena, irk_team *team);",
        "",
        "// Teams of threads, for a caller that loads this program as a shared library.",
        f"irk_team *{prefix}_team_create(int nthreads);",
        f"void {prefix}_team_destroy(irk_team *team);",
    ]
    return interface_text(spec, lines)


def _init_text(spec: ProgramSpec) -> list[str]:
    """The declarations of the entries of a program that prepares what depends on its parameters alone."""
    prefix, upper, field = spec.name, spec.name.upper(), spec.prepared_field
    return [
        f"// The bytes of prepared memory, to which `{field}` points; runs read it, so that several at once may share it.",
        f"size_t {prefix}_prepared_bytes(const {prefix}_args *args);",
        "",
        "// Fills the prepared memory from the parameters: to be called before the first run, and again whenever what a",
        f"// parameter holds changes. Inputs and outputs may be NULL. Returns {upper}_OK or one of the codes above.",
        f"int {prefix}_init(const {prefix}_args *args, void *arena, irk_team *team);",
        "",
    ]


def info_text(spec: ProgramSpec) -> str:
    """The C definition of the table that a header declares as `NAME_info`."""
    prefix = spec.name
    lines: list[str] = []
    rows: list[str] = []
    for i, arg in enumerate(spec.args):
        dims = "NULL"
        if arg.dims:
            dims = f"{prefix}_dims_{i}"
            texts = ", ".join(_quoted(d) for d in arg.dims)
            lines.append(f"static const char *const {dims}[] = {{{texts}}};")
        role, dtype = _quoted(arg.role), _quoted(arg.dtype)
        rows.append(f"  {{{_quoted(arg.name)}, {role}, {dtype}, {len(arg.dims)}, {dims}}},")
    args = symbols = "NULL"
    if rows:
        args = f"{prefix}_arg_info"
        lines += [f"static const irk_arg_info {args}[] = {{", *rows, "};"]
    if spec.symbols:
        symbols = f"{prefix}_symbol_info"
        lines += [f"static const irk_symbol_info {symbols}[] = {{"]
        lines += [f"  {{{_quoted(n)}, {low}, {high}}}," for n, low, high in spec.symbols] + ["};"]
    sizes = (
        spec.arena_bytes,
        spec.scratch_bytes,
        spec.peak_bytes,
        spec.lower_bound_bytes,
        spec.prepared_bytes,
    )
    return "\n".join(
        [
            *lines,
            f"const irk_info {prefix}_info = {{",
            f"  {ABI_VERSION}, {_quoted(prefix)}, {len(rows)}, {args}, {len(spec.symbols)}, {symbols},",
            f"  {', '.join(map(str, sizes))},",
            "};",
            "",
        ]
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_SHARED = f"""#ifndef IRK_ABI
#define IRK_ABI {ABI_VERSION}
#ifndef IRK_TEAM_DECLARED
#define IRK_TEAM_DECLARED
typedef struct irk_team irk_team;
#endif

typedef struct irk_arg_info {{
  const char *name;
  const char *role;  // input, param, state or output
  const char *dtype;
  int rank;
  const char *const *dims;  // expressions over the symbols
}} irk_arg_info;

typedef struct irk_symbol_info {{
  const char *name;
  int64_t low;
  int64_t high;
}} irk_symbol_info;

typedef struct irk_info {{
  int abi_version;
  const char *name;
  int arg_count;
  const irk_arg_info *args;
  int symbol_count;
  const irk_symbol_info *symbols;
  size_t arena_bytes;    // without scratch memory
  size_t scratch_bytes;  // of each thread
  size_t peak_bytes;
  size_t lower_bound_bytes;
  size_t prepared_bytes;
}} irk_info;
#endif  // IRK_ABI
"""
