"""`irkit bisect`: which step of the compiler makes a program wrong, and on which op."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.dialects.func import FuncOp

from dialects.errors import ErrorList, IrkitError
from dialects.types import dims_of, dtype_name
from irkit import pipeline
from irkit.api import read_module
from irkit.bisection import bisect
from irkit.checking import default_sizes, random_inputs
from irkit.commands.arguments import read_dims
from irkit.commands.run import load_input, split_input
from irkit.diagnostics import nearest
from irkit.faults import AFTER_PASSES, Setup, steps_of
from irkit.files import check_writable, write_atomically
from irkit.params import materialise
from irkit.reducer import module_text
from irkit.runtime.compiler import find_compiler
from lowering.buffer.storage import argument_facts
from lowering.c.abi import ArgSpec
from lowering.graph.interpret import argument_names


def execute(args: argparse.Namespace) -> None:
    """Runs the command; raises IrkitError, also for the fault that it finds."""
    if args.output:
        check_writable(args.output)
    module, _, name = read_module(Path(args.file), args.fn, read_dims(args.dim))
    funcs = [op for op in module.ops if isinstance(op, FuncOp) and not op.is_declaration]
    if len(funcs) != 1:
        raise IrkitError(
            "irkit bisect needs one function that the reference runs",
            module,
            found=f"{len(funcs)} functions, at the {pipeline.level_of(module)} level",
            expected="a func.func at the graph, kernel or loop level",
            hint="start from an earlier level",
        )
    inputs, sizes = _inputs(funcs[0], name, dict(map(split_input, args.input)), args.seed)
    cc = find_compiler(args.cc).name
    setup = Setup(args.target, cc, args.seed, inputs=inputs, sizes=sizes)
    culprit = bisect(module, setup, lambda step: print(f"ok  {step}"), lambda text: print(f"... {text}"))
    if culprit is None:
        count = len(steps_of(module, setup))
        print(
            f"{count} passes, {', '.join(AFTER_PASSES[:-1])} and {AFTER_PASSES[-1]} agree with the reference"
        )
        return
    print(f"{culprit.tries} parts of the program tried")
    if args.output:
        write_atomically(args.output, module_text(culprit.part.module))
        print(f"wrote {args.output}")
    raise culprit.error


def _inputs(
    func: FuncOp, file: str, given: Mapping[str, str], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """An array for each argument: the one given, or its default data, or random numbers; and the symbolic dims."""
    names = argument_names(func)
    if unknown := sorted(given.keys() - set(names)):
        raise IrkitError(
            f"the program has no input '{unknown[0]}'",
            expected=f"one of {', '.join(names)}" if names else "no inputs",
            hint=nearest(unknown[0], names),
        )
    loaded: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    for number, (arg, name) in enumerate(zip(func.body.block.args, names, strict=True)):
        assert isinstance(arg.type, TensorType)
        if name in given:
            dims, dtype = tuple(map(str, dims_of(arg.type))), argument_facts(func, number).get("graph.dtype")
            kind = dtype.data if isinstance(dtype, StringAttr) else dtype_name(arg.type.element_type)
            array = loaded[name] = load_input(ArgSpec(name, "input", kind, dims), given[name])
            sizes.update((d, n) for d, n in zip(dims, array.shape, strict=False) if d.isidentifier())
    sizes = {**default_sizes(func), **sizes}
    arrays = random_inputs(func, sizes, seed)
    folder = Path() if file.startswith("<") else Path(file).parent
    arrays.update(materialise(func, folder, "param", sizes))
    with suppress(
        IrkitError, ErrorList
    ):  # default data of other sizes is no fault: numbers are as good at random
        arrays.update(materialise(func, folder, "input", sizes))
    return {name: {**arrays, **loaded}[name] for name in names}, sizes
