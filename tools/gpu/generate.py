"""python -m tools.gpu.generate FOLDER: writes what a machine with nvcc needs to build, check and time the kernels.

A `.cu` file for each case of `tools.gpu.cases`, the headers, and `check.sh`, which needs nothing else:

    python -m tools.gpu.generate out && bash tools/gpu/check.sh out
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from irkit import pipeline
from irkit.files import write_atomically
from irkit.lang import parse, to_graph
from irkit.runtime.compiler import INCLUDE
from lowering.cuda.emit import CUDA_INCLUDE, emit_cuda
from lowering.target import get_target
from tools.gpu.cases import CASES, Case

HERE = Path(__file__).resolve().parent
TYPES = {"f64": ("double", 64), "f32": ("float", 32), "f16": ("irk_f16", 16)}


def program(case: Case, target: str = "cuda") -> str:
    """The kernel of a case with a main around it."""
    module = to_graph(parse(case.text, f"{case.name}.tg"))
    pipeline.run_passes(module, pipeline.passes_to("graph", "loop", target), pipeline.context())
    emitted = emit_cuda(module, get_target(target))
    (launch,) = emitted.launches
    ctype, bits = TYPES[case.dtype]
    arrays = ", ".join(f"({ctype} *)arrays[{n}]" for n in range(len(case.sizes)))
    return f"""{emitted.source}
#define CASE_NAME "{case.name}"
#define CASE_TYPE {ctype}
#define CASE_DTYPE {bits}
#define CASE_SIZES {", ".join(map(str, case.sizes))}
#define CASE_COLUMNS {case.columns}
#define CASE_BYTES {case.bytes}.0
#define CASE_FLOPS {case.flops}.0
#include "check.h"

static int launch(void **arrays) {{ return {launch.kernel}_launch({arrays}, 0); }}

static double wanted(int64_t i, int64_t j, int64_t columns, double &scale) {{
  (void)i, (void)j, (void)columns;
  {case.wanted.strip()}
}}
"""


def write(folder: Path, target: str = "cuda") -> list[Path]:
    """Writes all files; gives the paths of the cases."""
    include = folder / "include"
    include.mkdir(parents=True, exist_ok=True)
    headers = [*INCLUDE.glob("*.h"), *CUDA_INCLUDE.glob("*.h"), HERE / "check.h"]
    for header in headers:
        write_atomically(str(include / header.name), header.read_text())
    write_atomically(str(folder / "check.sh"), (HERE / "check.sh").read_text())
    paths: list[Path] = []
    for number, case in enumerate(CASES):
        kind = "small" if case.small else "large"
        path = folder / f"{number:02}_{kind}_{case.name}.cu"
        write_atomically(str(path), program(case, target))
        paths.append(path)
    return paths


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tools.gpu.generate", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", default="cuda")
    args = parser.parse_args(argv)
    paths = write(args.folder, args.target)
    print(f"wrote {len(paths)} programs; run: bash {args.folder}/check.sh {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
