"""`irkit run`: compiles a program, runs it on given, default or random data, and prints the results."""

from __future__ import annotations

import argparse
import io
import re
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dialects.errors import IrkitError
from dialects.types import integer_range, np_dtype
from irkit.api import compile_text
from irkit.commands import reports
from irkit.commands.arguments import bytes_text, read_dims, seconds_text
from irkit.diagnostics import nearest
from irkit.files import check_writable, read_text, write_bytes_atomically
from irkit.runtime.artefact import SUFFIX, load_program
from irkit.runtime.module import Program
from lowering.c.abi import ArgSpec

RUNS = 5
TIMED_RUNS = 30
MAX_SECONDS = 2.0
SEED = 0


def execute(args: argparse.Namespace) -> None:
    """Runs the command; raises IrkitError."""
    reports.check(args)
    if args.output:
        check_writable(args.output)
    name = "<stdin>" if args.file == "-" else args.file
    sources = dict(split_input(item) for item in args.input)
    if name.endswith(SUFFIX):
        _check_compiled(args)
        program = load_program(name, args.threads)
    else:
        dims = read_dims(args.dim)
        given = frozenset(sources)
        program = compile_text(
            read_text(args.file),
            name,
            args.fn,
            dims,
            args.target,
            args.threads,
            args.cc,
            given,
            args.tuned,
            args.fast_math,
        )
    if args.params:
        program.set_params(_parameters(args.params, program))
    values = {name: load_input(_argument(program, name), source) for name, source in sources.items()}
    for name, array in random_inputs(program, values).items():
        values[name] = array
        _note(f"'{name}' has no data and gets random numbers")
    call = program.prepare(**values)
    seconds = _timed(call.run, TIMED_RUNS if args.time else RUNS)
    results = {a.name: r for a, r in zip(program.outputs, call.results, strict=True)}
    for name, array in results.items():
        print(_summary(name, array, program))
    spread = (
        f", {seconds_text(seconds[0])} to {seconds_text(seconds[-1])} in {len(seconds)} runs"
        if args.time
        else ""
    )
    print(f"time {seconds_text(seconds[len(seconds) // 2])} ({program.runs_on}{spread})")
    memory = f"intermediates {bytes_text(program.peak_bytes)} (lower bound {bytes_text(program.lower_bound_bytes)})"
    if program.spec.prepared_bytes:
        memory += f", prepared {bytes_text(program.spec.prepared_bytes)}"
    print(f"peak memory: {memory}, process {bytes_text(_resident_peak())}")
    reports.write(args, call)
    if args.output:
        _write(args.output, results)


def _check_compiled(args: argparse.Namespace) -> None:
    """Raises IrkitError for options of the compiler beside a program that is compiled."""
    given = {"--fn": args.fn, "--dim": args.dim, "--cc": args.cc, "--target": args.target != "native"}
    given |= {
        "--profile": args.profile,
        "--tuned": args.tuned,
        "--fast-math": args.fast_math,
        "--trace-file": args.trace_file,
        "--dump-intermediates": args.dump_intermediates,
    }
    if option := next((name for name, value in given.items() if value), None):
        raise IrkitError(
            f"{option} has no effect on a program that is compiled",
            found=args.file,
            hint="give the .tg or .mlir file instead",
        )


def _parameters(path: str, program: Program) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors or .npz file that are parameters of the program. Raises IrkitError."""
    wanted = [a for a in program.spec.args if a.role == "param"]
    found = {a.name: load_input(a, f"{path}:{a.name}") for a in wanted}
    if not found:
        raise IrkitError("the program has no parameters", found=f"--params {path}")
    return found


def split_input(item: str) -> tuple[str, str]:
    name, equals, source = item.partition("=")
    if not equals or not name or not source:
        raise IrkitError(f"bad input '{item}'", expected="NAME=FILE:KEY, as in --input x=images.npz:x")
    return name, source


def _argument(program: Program, name: str) -> ArgSpec:
    known = {a.name: a for a in program.spec.args if a.role != "output"}
    if name not in known:
        raise IrkitError(
            f"the program has no input '{name}'",
            expected=f"one of {', '.join(known)}" if known else "no inputs",
            hint=nearest(name, known),
        )
    return known[name]


def load_input(arg: ArgSpec, source: str) -> np.ndarray:
    """The array that `FILE:KEY`, `FILE` or a number stands for. Raises IrkitError."""
    file, colon, key = source.rpartition(":")
    if not colon or Path(source).is_file():
        file, key = source, arg.name
    path = Path(file)
    if not path.is_file() and not arg.dims and (number := _number(arg, source)) is not None:
        return number
    if path.is_dir():
        raise IrkitError(f"'{file}' is a folder", expected="an .npz, .npy or .safetensors file")
    if not path.is_file():
        near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise IrkitError(f"there is no file '{file}'", hint=nearest(path.name, near))
    try:
        return _from_file(arg, path, key)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as fault:
        pickled = "allow_pickle" in str(fault)  # what NumPy takes any file for that it does not know
        reason = "it is no such file, or one of Python objects" if pickled else str(fault)
        raise IrkitError(
            f"cannot read '{path}': {reason}", expected="an .npz, .npy or .safetensors file of numbers"
        ) from None


def _number(arg: ArgSpec, text: str) -> np.ndarray | None:
    """A number in the dtype of an argument; None for a text that is none. Raises IrkitError where the dtype lacks it."""
    try:
        number = int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    except ValueError:
        return None
    if arg.dtype == "bool" or arg.dtype[0] in "iu":
        low, high = (0, 1) if arg.dtype == "bool" else integer_range(arg.dtype)
        if not low <= number <= high or number != int(number):
            raise IrkitError(
                f"{text} is no {arg.dtype}",
                found=f"--input {arg.name}={text}",
                expected=f"an integer from {low} to {high}",
            )
        number = int(number)
    with np.errstate(over="ignore"):
        return np.asarray(number).astype(np_dtype(arg.dtype))


def _from_file(arg: ArgSpec, path: Path, key: str) -> np.ndarray:
    if path.suffix == ".safetensors":
        from irkit.params import Wanted, fill_all

        # The file says what shape and dtype it has; the program compares them with its own.
        shape = _safetensors_shape(path, key)
        return fill_all([Wanted(key, arg.dtype, shape, _source(path.name, key))], path.parent)[key]
    loaded = np.load(path, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        return _in_dtype(loaded, arg)
    if key not in loaded.files:
        raise IrkitError(
            f"there is no array '{key}' in '{path}'",
            found=", ".join(loaded.files) or "no arrays",
            hint=nearest(key, loaded.files)
            or f"name one: --input {arg.name}={path}:{(loaded.files or ['KEY'])[0]}",
        )
    return _in_dtype(loaded[key], arg)


def _in_dtype(array: np.ndarray, arg: ArgSpec) -> np.ndarray:
    """The array; one that NumPy stored as raw bytes, for want of the dtype, gets its dtype back."""
    want = np_dtype(arg.dtype)
    if array.dtype.kind == "V" and array.dtype.itemsize == want.itemsize:
        return array.view(want)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _safetensors_shape(path: Path, key: str) -> tuple[int, ...]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return tuple(file.get_slice(key).get_shape()) if key in file.keys() else ()  # noqa: SIM118
    except SafetensorError as fault:
        raise IrkitError(f"cannot read '{path}': {fault}", hint="write or download the file again") from None


def _source(file: str, key: str) -> str:
    import shlex

    return f"load {shlex.quote(file)} {shlex.quote(key)}"


def random_inputs(program: Program, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Random data for the inputs of a program that have none."""
    symbols: dict[str, int] = {}
    missing = [a for a in program.inputs if a.name not in values and a.name not in program.values]
    return {arg.name: _random(arg, program, symbols) for arg in missing}


def _random(arg: ArgSpec, program: Program, symbols: dict[str, int]) -> np.ndarray:
    """Random data for an input: normal numbers, small integers, coin flips. A symbolic dim takes its greatest size."""
    import zlib

    from dialects.dims import Dim

    for name, _, high in program.spec.symbols:
        symbols.setdefault(name, high)
    shape = [Dim.parse(d).evaluate(symbols) for d in arg.dims]
    rng = np.random.Generator(np.random.Philox(key=[SEED, zlib.crc32(arg.name.encode())]))
    if arg.dtype == "bool":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if arg.dtype[0] in "iu":
        return np.asarray(rng.integers(0, 8, shape)).astype(np_dtype(arg.dtype))
    return np.asarray(rng.standard_normal(shape)).astype(np_dtype(arg.dtype))


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _timed(run: object, count: int) -> list[float]:
    """Seconds of some runs after a first one, sorted; fewer when they are long."""
    assert callable(run)
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    seconds: list[float] = []
    for _ in range(max(1, min(count, int(MAX_SECONDS / max(first, 1e-9))))):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)


def _summary(name: str, array: np.ndarray, program: Program) -> str:
    """A result in one line: a scalar by value, an array by dtype, shape and statistics."""
    dtype = next(a.dtype for a in program.outputs if a.name == name)
    if array.ndim == 0:
        value = array[()]
        number = (
            value.item()
            if array.dtype.kind in "iub"
            else complex(value)
            if array.dtype.kind == "c"
            else float(value)
        )
        return f"{name} {number:.4g}" if isinstance(number, float | complex) else f"{name} {number}"
    text = f"{name} {dtype}{list(array.shape)}"
    if not array.size or array.dtype.kind == "c":
        return text
    if array.dtype.kind == "b":
        return f"{text} true {np.count_nonzero(array)} of {array.size}"
    wide = array.astype(np.float64)
    bad = array.size - np.count_nonzero(np.isfinite(wide))
    warning = f" not finite {bad}" if bad else ""
    with np.errstate(all="ignore"):
        return f"{text} min {wide.min():.4g} mean {wide.mean():.4g} max {wide.max():.4g}{warning}"


def _resident_peak() -> int:
    """The most memory that this process held, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _write(path: str, results: dict[str, np.ndarray]) -> None:
    """Writes the results to an .npz file, whole or not at all. dtypes that NumPy lacks are stored as raw bytes."""
    archive = io.BytesIO()
    np.savez(archive, **results)  # pyright: ignore[reportArgumentType]
    write_bytes_atomically(path, archive.getvalue())
