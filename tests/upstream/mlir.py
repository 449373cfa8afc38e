"""MLIR's own tools, where they are installed: does `mlir-opt` take a module, and what does it compute."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from dialects.buffer import ProgramOp
from dialects.types import RefType, element_bytes, np_dtype
from irkit import pipeline
from irkit.pipeline import context, make_pass, run_passes
from lowering.c.emit import facts
from lowering.upstream.types import memory_element, memref_type
from lowering.verify import verify_module

Array = np.ndarray
VERSIONS = ("-19", "-20", "")

LOWERING = (
    "--convert-vector-to-scf",
    "--convert-scf-to-cf",
    "--expand-strided-metadata",
    "--memref-expand",
    "--lower-affine",
    "--arith-expand=include-bf16=true",
    "--convert-math-to-libm",
    "--convert-vector-to-llvm",
    "--finalize-memref-to-llvm",
    "--convert-math-to-llvm",
    "--convert-arith-to-llvm",
    "--convert-func-to-llvm",
    "--convert-cf-to-llvm",
    "--reconcile-unrealized-casts",
)
"""From what irkit exports to the LLVM dialect, in the order of the command line."""


def find_tool(*names: str) -> str | None:
    """The first of MLIR's tools by these names that is here; version 19 where there are several."""
    found = (shutil.which(name + version) for name in names for version in VERSIONS)
    return next((path for path in found if path is not None), None)


def tool(*names: str) -> str:
    """A tool that is here."""
    path = find_tool(*names)
    assert path is not None, names
    return path


def run_tool(program: str, *arguments: str, text: str) -> bytes:
    """What a tool prints for a text; the test fails with what it says."""
    done = subprocess.run(
        [program, *arguments], input=text.encode(), capture_output=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr.decode()[:4000]
    return done.stdout


def accept(texts: Sequence[str]) -> None:
    """All modules, read and verified by one mlir-opt; what it does not take fails the test."""
    run_tool(tool("mlir-opt"), "--split-input-file", "-o", os.devnull, text="// -----\n".join(texts))


@dataclass(frozen=True)
class Exported:
    """A program in upstream dialects, with what `run` needs to know of its arguments."""

    text: str
    name: str
    symbols: tuple[str, ...]
    arguments: tuple[tuple[str, str, RefType], ...]
    """Of each: input, param or output; dtype; type at the buffer level."""


def export(module: ModuleOp, target: str = "avx2") -> Exported:
    """Brings a module of the graph level to upstream dialects. The module is consumed."""
    run_passes(module, pipeline.passes_to("graph", "buffer", target), context())
    (program,) = [op for op in module.ops if isinstance(op, ProgramOp)]
    arguments = tuple(
        (entry["kind"], entry["dtype"], arg.type)
        for entry, arg in zip(facts(program), program.block.args, strict=True)
    )
    name, symbols = program.sym_name.data, tuple(n for n, _, _ in program.symbols.data)
    run_passes(module, [make_pass("buffer-to-upstream")], context())
    verify_module(module)
    return Exported(str(module), name, symbols, arguments)  # pyright: ignore[reportArgumentType]


def run(program: Exported, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None) -> list[Array]:
    """Lowers a program to LLVM by mlir-opt, runs it by MLIR's JIT, and gives its results."""
    lower, runner = tool("mlir-opt"), tool("mlir-runner", "mlir-cpu-runner")
    lowered = run_tool(lower, *LOWERING, text=_with_entry(program, arrays, sizes or {})).decode()
    out = run_tool(runner, "-e", "entry", "-entry-point-result=void", text=lowered)
    results: list[Array] = []
    for kind, dtype, type_ in program.arguments:
        if kind == "output":
            shape = _shape(type_, sizes or {})
            size = prod(shape) * element_bytes(type_.element_type)
            result = np.frombuffer(out[:size], np_dtype(dtype))
            results.append(result.reshape(shape[:-1] if dtype in ("c64", "c128") else shape))
            out = out[size:]
    assert not out
    return results


def _shape(type_: RefType, sizes: Mapping[str, int]) -> list[int]:
    return [d.evaluate(sizes) for d in type_.shape.data]


def _with_entry(program: Exported, arrays: Sequence[Array], sizes: Mapping[str, int]) -> str:
    """The module with a function that calls the program on data of its own, and writes the results to stdout."""
    given = iter(arrays)
    held: list[str] = []
    lines = [f"%{name} = arith.constant {sizes[name]} : index" for name in program.symbols]
    lines.append("%stdout = arith.constant 1 : i32")
    ends: list[str] = []
    types = ["index"] * len(program.symbols)
    for number, (kind, _, type_) in enumerate(program.arguments):
        shape, element = _shape(type_, sizes), memory_element(type_.element_type)
        tensor = "x".join([*map(str, shape), str(element)])
        if kind == "output":
            lines.append(f"%held{number} = memref.alloc() : memref<{tensor}>")
            ends += [
                f"%index{number} = memref.extract_aligned_pointer_as_index %held{number} : memref<{tensor}> -> index",
                f"%word{number} = arith.index_cast %index{number} : index to i64",
                f"%pointer{number} = llvm.inttoptr %word{number} : i64 to !llvm.ptr",
                f"%size{number} = arith.constant {prod(shape) * element_bytes(type_.element_type)} : i64",
                f"func.call @write(%stdout, %pointer{number}, %size{number}) : (i32, !llvm.ptr, i64) -> i64",
            ]
        else:
            data = np.ascontiguousarray(next(given)).tobytes().hex()
            literal = f'dense<"0x{data}">' if data else "dense<>"
            held.append(f'memref.global "private" @data{number} : memref<{tensor}> = {literal}')
            lines.append(f"%held{number} = memref.get_global @data{number} : memref<{tensor}>")
        types.append(str(memref_type(type_)))
        lines.append(f"%arg{number} = memref.cast %held{number} : memref<{tensor}> to {types[-1]}")
    names = ", ".join(
        [*(f"%{s}" for s in program.symbols), *(f"%arg{i}" for i in range(len(program.arguments)))]
    )
    call = f"func.call @{program.name}({names}) : ({', '.join(types)}) -> ()"
    body = "\n  ".join([*lines, call, *ends, "return"])
    entry = "\n".join(
        [
            "func.func private @write(i32, !llvm.ptr, i64) -> i64",
            *held,
            f"func.func @entry() {{\n  {body}\n}}",
        ]
    )
    end = program.text.rindex("}")
    return f"{program.text[:end]}\n{entry}\n}}\n"
