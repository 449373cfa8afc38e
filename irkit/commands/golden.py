"""Golden vectors: what the reference gives for the inputs of the example, so that the built program checks itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from dialects.dims import Dim
from dialects.types import np_dtype
from irkit.checking import ULPS, slacks
from lowering.c.abi import C_TYPES, ProgramSpec
from lowering.graph.interpret import run_graph

MOST = 4096
"""Elements of a result that are compared, from its first on."""


def example_input(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """What `main.c` fills an input with: 0, 1/8, 2/8, ... and over again; of other dtypes 0 to 7, as C stores them."""
    whole = np_dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64)) * (2 if dtype.startswith("c") else 1)
    steps = np.arange(count) % (2 if dtype == "bool" else 8)
    if dtype in ("f32", "f64"):
        return (steps / 8).astype(whole).reshape(shape)
    stored = {"float": np.float32, "double": np.float64}.get(C_TYPES[dtype]) or np.dtype(f"u{whole.itemsize}")
    return steps.astype(stored).view(whole).reshape(shape)


def golden_header(spec: ProgramSpec, module: ModuleOp, values: Mapping[str, np.ndarray]) -> str:
    """The text of `golden.h`: the start of each result, and how far a program may lie from it."""
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    most = {name: high for name, _, high in spec.symbols}
    arrays = dict(values)
    for arg in spec.args:
        if arg.role != "output" and arg.name not in arrays:
            shape = tuple(Dim.parse(d).evaluate(most) for d in arg.dims)
            arrays[arg.name] = example_input(arg.dtype, shape)
    everything = run_graph(func, arrays, most)
    updated = {a.updated for a in spec.args}
    told = [n for n in range(len(everything)) if n not in updated]
    allow = slacks(func, arrays, most, everything)
    lines = [
        f"// What {spec.name} gives for the inputs of main.c, by irkit's reference. Written by irkit.",
        "",
    ]
    for arg, number in zip(spec.with_role("output"), told, strict=True):
        result, slack = everything[number], allow[number]
        if not result.size:
            continue
        kind = C_TYPES[arg.dtype]
        if kind in ("float", "double"):
            flat = (
                np.ascontiguousarray(result).view(np.float32 if kind == "float" else np.float64).reshape(-1)
            )
            finite = np.abs(flat[np.isfinite(flat)]).max(initial=0.0)
            allowed = 4 * slack + ULPS * float(np.finfo(flat.dtype).eps) * float(finite)
            texts = [_number(v) for v in flat[:MOST].tolist()]
        else:
            flat = np.ascontiguousarray(result).view(np.dtype(f"u{np_dtype(arg.dtype).itemsize}")).reshape(-1)
            allowed = 2.0 if arg.dtype[0] in "fb" and arg.dtype != "bool" else 0.0  # units in the last place
            kind = f"uint{8 * flat.dtype.itemsize}_t"
            texts = [hex(v) for v in flat[:MOST].tolist()]
        lines += [
            f"static const {kind} golden_{arg.name}[{len(texts)}] = {{{', '.join(texts)}}};",
            f"static const double allowed_{arg.name} = {allowed:.9g};",
        ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if value != value:
        return "NAN"
    return f"{value!r}" if abs(value) != float("inf") else "INFINITY" if value > 0 else "-INFINITY"


def compared(spec: ProgramSpec, counts: Mapping[str, int]) -> list[str]:
    """The statements of `main.c` that compare each result, and set `code` where one lies too far."""
    lines = ["  double worst;"] if any(counts[a.name] for a in spec.with_role("output")) else []
    for arg in spec.with_role("output"):
        if not (count := min(counts[arg.name], MOST)):
            lines.append(f'  printf("{arg.name}: largest difference 0, allowed 0\\n");')
            continue
        lines += [
            "  worst = 0;",
            f"  for (size_t i = 0; i < {count}; i++) {{",
            f"    const double a = (double)golden_{arg.name}[i], b = (double){_stored(arg.dtype, arg.name)};",
            "    const double apart = a == b || (a != a && b != b) ? 0 : a > b ? a - b : b > a ? b - a : INFINITY;",
            "    if (apart > worst) worst = apart;",
            "  }",
            f'  printf("{arg.name}: largest difference %g, allowed %g\\n", worst, allowed_{arg.name});',
            f"  if (worst > allowed_{arg.name}) code = 2;",
        ]
    return lines


def _stored(dtype: str, name: str) -> str:
    if C_TYPES[dtype] in ("float", "double"):
        return f"{name}_data[i]"
    return f"(uint{8 * np_dtype(dtype).itemsize}_t){name}_data[i]"
