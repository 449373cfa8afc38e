"""Runs a module before and after every pass on random inputs, and names the first pass that changed the numbers.

Graph, kernel and loop level run in NumPy (`lowering.graph.interpret`), the buffer level as C, and where that errs in
NumPy too (`lowering.buffer.interpret`), which tells a wrong place from wrong C text. The judge is the module as it came
in. What a result may differ by follows from the judge's own rounding: four times the error that its f32 (or smaller)
arithmetic makes against the same ops in f64, and at least some units in the last place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp

from dialects.errors import IrkitError
from dialects.syntax import SymbolsAttr
from dialects.types import dims_of, dtype_name, np_dtype, stored, type_text
from lowering.graph.interpret import argument_names, run_graph

if TYPE_CHECKING:
    from irkit.runtime.module import Program

Arrays = dict[str, np.ndarray]

SIZE = 3
"""What a symbolic dim is set to, where its range allows it."""

ULPS = 16

RUN_SECONDS = 60.0
"""What a run of a compiled program may take, which takes milliseconds."""

SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0)
SPARSITY = 32
"""Sums swallow what is special, so most elements are not."""


@dataclass
class Judge:
    """The results of one function of the module as it came in, and how far others may be from them."""

    inputs: Arrays
    sizes: dict[str, int]
    names: list[str]
    expected: list[np.ndarray]
    slack: list[float]
    blame: FuncOp = field(repr=False)


@dataclass(frozen=True)
class Difference:
    """A result that is not what the judge says: its place among the results of its function."""

    number: int
    error: IrkitError


class Checker:
    """Compares a module with what it computed before the first pass."""

    def __init__(
        self,
        seed: int = 0,
        cc: str | None = None,
        target: str = "native",
        cflags: Sequence[str] = (),
        special: bool = False,
    ):
        self.seed = seed
        self.special = special
        self.cc = cc
        self.target = target
        self.cflags = tuple(cflags)
        self.judges: dict[str, Judge] = {}

    def start(
        self, module: ModuleOp, inputs: Arrays | None = None, sizes: Mapping[str, int] | None = None
    ) -> None:
        """Runs every function of the module, on random inputs where none are given. Raises IrkitError where the module
        holds no function that runs in NumPy."""
        funcs = [op for op in module.ops if isinstance(op, FuncOp) and not op.is_declaration]
        if not funcs:
            raise IrkitError(
                "--check finds no function to run",
                module,
                expected="a func.func at the graph, kernel or loop level",
                hint="start from an earlier level",
            )
        self.judges = {func.sym_name.data: self._judge(func, inputs, sizes) for func in funcs}

    def after(self, module: ModuleOp, name: str) -> None:
        """Runs every function again. Raises IrkitError that names the pass if a result changed."""
        compiled = any(op.name == "buffer.program" for op in module.ops)
        wrong = self.differences(module, f"pass '{name}'", compiled)
        if wrong and compiled and not self.differences(module, name):
            wrong = self.differences(module, f"the C text, and not pass '{name}',", compiled)
        if wrong:
            raise wrong[0].error

    def differences(
        self, module: ModuleOp, culprit: str, compiled: bool = False, threads: int | None = None
    ) -> list[Difference]:
        """The results that differ from the judge's, with errors that name a culprit; programs run as C or in NumPy."""
        wrong: list[Difference] = []
        for op in module.ops:
            symbol = op.properties.get("sym_name")
            judge = self.judges.get(symbol.data) if isinstance(symbol, StringAttr) else None
            if judge is None:
                continue
            if isinstance(op, FuncOp):
                if not all(isinstance(arg.type, TensorType) for arg in op.body.block.args):
                    continue  # exported to upstream dialects, which nothing here runs
                taken = argument_names(op)  # graph-prune may have dropped some
                inputs = {name: array for name, array in judge.inputs.items() if name in taken}
                found = run_graph(op, inputs, judge.sizes)
            elif op.name != "buffer.program":
                continue
            elif compiled:
                found = self._run_c(module, judge, threads)
            else:
                from lowering.buffer.interpret import run_program

                found = run_program(module, judge.inputs, judge.sizes)
            for number, name in enumerate(judge.names):
                try:
                    what = f"{culprit} changed the numbers of '{name}'"
                    compare(what, judge.blame, found[number], judge.expected[number], judge.slack[number])
                except IrkitError as error:
                    wrong.append(Difference(number, error))
        return wrong

    def _judge(self, func: FuncOp, given: Arrays | None, given_sizes: Mapping[str, int] | None) -> Judge:
        sizes = default_sizes(func) | dict(given_sizes or {})
        inputs = random_inputs(func, sizes, self.seed, self.special) if given is None else given
        expected = run_graph(func, inputs, sizes)
        return Judge(
            inputs, sizes, _result_names(func), expected, slacks(func, inputs, sizes, expected), func
        )

    def _run_c(self, module: ModuleOp, judge: Judge, threads: int | None = None) -> list[np.ndarray]:
        from irkit.isolation import Died, isolated

        if threads is None:  # before barriers are placed the program is for one
            threads = 2 if any(op.name == "buffer.barrier" for op in module.walk()) else 1
        load = self._compiled(module, threads)

        def results() -> list[np.ndarray]:
            call = load().prepare(**judge.inputs)
            call.run()
            return call.all_results()

        try:
            return isolated(results, RUN_SECONDS)
        except Died as end:
            raise IrkitError(
                "the compiled program does not end well",
                judge.blame,
                found=end.reason,
                expected="results",
                hint="irkit bisect names the op",
            ) from None

    def _compiled(self, module: ModuleOp, threads: int) -> Callable[[], Program]:
        """What loads the program of a module; on the emulated GPU where kernels are mapped to blocks and threads."""
        from dialects.loop import FuncOp as LoopFunc
        from irkit.runtime import cache
        from irkit.runtime.compiler import find_compiler
        from irkit.runtime.module import Program
        from lowering.c.emit import emit_program
        from lowering.loop.map_gpu import is_mapped
        from lowering.target import ON_CPU, get_target

        if any(is_mapped(op) for op in module.ops if isinstance(op, LoopFunc)):
            from irkit.runtime.cuda.program import CudaProgram
            from irkit.runtime.cuda.setup import set_up
            from lowering.cuda.emit import emit_cuda_program

            setup = set_up(ON_CPU, self.cc)
            spec = emit_cuda_program(module, get_target(ON_CPU), "checked")
            library = cache.library(spec, setup.compiler, self.cflags)
            return lambda: CudaProgram(spec, library, setup.machine)
        compiler = find_compiler(self.cc)
        machine = get_target(self.target, compiler.name)
        spec = emit_program(module, machine, "checked")
        library = cache.library(spec, compiler, (*machine.cflags, *self.cflags))
        return lambda: Program(spec, library, None, threads)


def default_sizes(func: FuncOp) -> dict[str, int]:
    """A small size for each symbolic dim of a function."""
    attr = func.attributes.get("graph.symbols")
    ranges = attr.data if isinstance(attr, SymbolsAttr) else ()
    return {name: min(max(SIZE, low), high) for name, low, high in ranges}


def random_inputs(func: FuncOp, sizes: Mapping[str, int], seed: int = 0, special: bool = False) -> Arrays:
    """An array for each argument: floats normal, integers small and of either sign, bools even. With `special` some floats
    are NaN, infinite or a zero."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    for arg, name in zip(func.body.block.args, argument_names(func), strict=True):
        type_ = arg.type
        assert isinstance(type_, TensorType)
        arrays[name] = random_array(type_, rng, sizes)
        if special and _is_float(arrays[name].dtype):
            make_special(arrays[name], rng)
    return arrays


def make_special(array: np.ndarray, rng: np.random.Generator) -> None:
    """Makes one element in SPARSITY, and at least one, what arithmetic treats in a way of its own."""
    if array.size:
        places = rng.integers(0, array.size, max(1, array.size // SPARSITY))
        values = rng.choice(SPECIAL, len(places))
        array.reshape(-1)[places] = values.astype(array.dtype)


def random_array(
    type_: TensorType, rng: np.random.Generator, sizes: Mapping[str, int] | None = None
) -> np.ndarray:
    """Numbers of moderate size, of either sign where the dtype has one. Symbolic dims take their size from `sizes`."""
    missing = sorted({n for d in dims_of(type_) for n in d.names()} - set(sizes or {}))
    if missing:
        raise IrkitError(f"the size of '{missing[0]}' is not known", found=type_text(type_))
    shape = [d.evaluate(sizes or {}) for d in dims_of(type_)]
    name, dtype = dtype_name(stored(type_.element_type)), np_dtype(type_.element_type)
    if name == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if name[0] in "iu":
        return np.asarray(rng.integers(0 if name[0] == "u" else -7, 8, shape)).astype(dtype)
    values = rng.standard_normal(shape)
    if name[0] == "c":
        return np.asarray(values + 1j * rng.standard_normal(shape)).astype(dtype)
    return np.asarray(values).astype(np.float32).astype(dtype)


def slacks(
    func: FuncOp, inputs: Arrays, sizes: Mapping[str, int], expected: Sequence[np.ndarray]
) -> list[float]:
    """For each result: four times its largest rounding error, as the same ops in f64 show it."""
    wide = {n: _widened(a) for n, a in inputs.items()}
    try:
        with np.errstate(all="ignore"):
            better = run_graph(func, wide, sizes, checked=False)
    except (IrkitError, ValueError, TypeError, AssertionError):
        return [0.0] * len(expected)
    return [4 * _distance(a, b) for a, b in zip(expected, better, strict=True)]


def _widened(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "c":
        return array.astype(np.complex128)
    return array.astype(np.float64) if _is_float(array.dtype) else array


def _parts(array: np.ndarray) -> np.ndarray:
    """Complex numbers as pairs of real ones, along a last dim of their own."""
    if array.dtype.kind != "c":
        return array
    return np.stack([np.real(array), np.imag(array)], axis=-1)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    a, b = _parts(a), _parts(b)
    if not _is_float(a.dtype):
        return 0.0
    x, y = a.astype(np.float64), b.astype(np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    return float(np.max(np.abs(x[both] - y[both]), initial=0.0))


def _is_float(dtype: np.dtype) -> bool:
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float"))


def compare(what: str, func: FuncOp, found: np.ndarray, expected: np.ndarray, slack: float) -> None:
    """Raises IrkitError where two arrays differ by more than the slack and some units in the last place."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise IrkitError(
            what,
            func,
            found=f"{found.dtype}{list(found.shape)}",
            expected=f"{expected.dtype}{list(expected.shape)}",
        )
    if expected.dtype.kind != "c" and not _is_float(expected.dtype):
        wrong = found != expected
        bound = 0.0
    else:
        a, b = _parts(found).astype(np.float64), _parts(expected).astype(np.float64)
        finite = np.isfinite(b)
        eps = float(ml_dtypes.finfo(_parts(expected).dtype).eps)
        bound = slack + ULPS * eps * float(np.max(np.abs(b[finite]), initial=0.0))
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= bound
        wrong = ~np.where(finite, near, (a == b) | (np.isnan(a) & np.isnan(b)))
        if expected.dtype.kind == "c":
            wrong = np.any(wrong, axis=-1)
    if np.any(wrong):
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise IrkitError(
            what,
            func,
            found=f"{found[place]} at {list(place)}, and {int(np.sum(wrong))} of {wrong.size} elements wrong",
            expected=f"{expected[place]}" + (f", give or take {bound:.2g}" if bound else ""),
            hint="run with --print-ir-after-change to see what the pass did",
        )


def _result_names(func: FuncOp) -> list[str]:
    attrs = func.res_attrs.data if func.res_attrs is not None else ()
    names: list[str] = []
    for i in range(len(func.function_type.outputs)):
        name = attrs[i].data.get("graph.name") if attrs else None
        names.append(name.data if isinstance(name, StringAttr) else f"result {i}")
    return names
