"""python -m tools.gpu.generate FOLDER: writes what a machine with nvcc needs to build, check and time the kernels.

A `.cu` file for each case of `tools.gpu.cases`, the headers, what compares them with others, and `check.sh`:

    python -m tools.gpu.generate out && bash out/check.sh out
"""

from __future__ import annotations

import argparse
import json
import sys
from fnmatch import fnmatch
from pathlib import Path

from dialects.errors import IrkitError
from irkit import pipeline
from irkit.files import write_atomically
from irkit.lang import parse, to_graph
from irkit.runtime.compiler import INCLUDE
from lowering.c.names import c_field
from lowering.cuda.emit import CUDA_INCLUDE, emit_cuda_program
from lowering.target import get_target
from tools.gpu.cases import CASES
from tools.gpu.kernels import Case

HERE = Path(__file__).resolve().parent
TYPES = {"f64": ("double", 64), "f32": ("float", 32), "f16": ("irk_f16", 16), "bf16": ("irk_bf16", 17)}
"""The C type, and what check.h calls it."""

OTHERS = ("check.sh", "blas.cu", "peers.py", "models.py")


def program(case: Case, target: str = "cuda") -> str:
    """A case with a main around it. Raises IrkitError where there is no such target."""
    target = ("cuda:sm_90" if case.suffix and target == "cuda" else target) + case.suffix
    machine = get_target(target)
    module = to_graph(parse(case.text, f"{case.name}.tg"))
    pipeline.run_passes(module, pipeline.passes_cuda("graph", target), pipeline.context())
    spec = emit_cuda_program(module, machine, "program")
    ctype, bits = TYPES[case.dtype]
    fields = [
        f"  args.{c_field(a.name)} = ({ctype} *)arrays[{number}];" for number, a in enumerate(spec.args)
    ]
    assert len(fields) == len(case.sizes) and not spec.prepared_bytes
    source = spec.source.replace('#include "program.h"', spec.header)
    lines = "\n".join(fields)
    return f"""{source}
#define CASE_NAME "{case.name}"
#define CASE_TYPE {ctype}
#define CASE_DTYPE {bits}
#define CASE_SIZES {", ".join(map(str, case.sizes))}
#define CASE_COLUMNS {case.columns}
#define CASE_BYTES {case.bytes}.0
#define CASE_FLOPS {case.flops}.0
#define CASE_SUMS {case.sums!r}
#define CASE_SAMPLES {case.samples}
#include "check.h"

static int launch(void **arrays) {{
  program_args args = {{}};
{lines}
  static void *arena = on_device(program_arena_bytes(&args));
  return program_run(&args, arena, 0);
}}

static double wanted(int64_t i, int64_t j, int64_t columns, double &scale) {{
  (void)i, (void)j, (void)columns;
  {case.wanted.strip()}
}}
"""


def write(folder: Path, target: str = "cuda", only: str = "*") -> list[Path]:
    """Writes all files, with the cases whose names match; gives the paths of these. A case whose target there is not yet
    stands in missing.txt, as a row of the table."""
    include = folder / "include"
    include.mkdir(parents=True, exist_ok=True)
    headers = [*INCLUDE.glob("*.h"), *CUDA_INCLUDE.glob("*.h"), HERE / "check.h"]
    for header in headers:
        write_atomically(str(include / header.name), header.read_text())
    for name in OTHERS:
        write_atomically(str(folder / name), (HERE / name).read_text())
    paths: list[Path] = []
    missing: list[str] = []
    cases = [case for case in CASES if fnmatch(case.name, only)]
    for number, case in enumerate(cases):
        kind = "small" if case.small else "large"
        path = folder / f"{number:02}_{kind}_{case.name}.cu"
        try:
            write_atomically(str(path), program(case, target))
            paths.append(path)
        except IrkitError as error:
            missing.append(f"| {case.name:<34} | irkit            | missing: {str(error).splitlines()[0]}\n")
    write_atomically(str(folder / "missing.txt"), "".join(missing))
    facts = [{"name": c.name, "kind": c.kind, "dims": c.dims, "dtype": c.dtype} for c in cases if not c.small]
    write_atomically(str(folder / "cases.json"), json.dumps(facts))
    return paths


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tools.gpu.generate", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", default="cuda")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="cases by name, such as 'gemm_f32_*'")
    args = parser.parse_args(argv)
    paths = write(args.folder, args.target, args.only)
    print(f"wrote {len(paths)} programs; run: bash {args.folder}/check.sh {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
