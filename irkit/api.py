"""Compiling and lowering from Python."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dialects.errors import IrkitError, Loc
from irkit.collector import paused
from irkit.files import read_text
from irkit.imports import imported_texts
from irkit.plugins import fingerprints
from irkit.runtime import cache
from irkit.runtime.compiler import Compiler, find_compiler
from lowering.c.abi import ProgramSpec, c_prefix
from lowering.target import get_target, is_cuda

if TYPE_CHECKING:
    import numpy as np
    from xdsl.dialects.builtin import ModuleOp

    from irkit.lang.tree import Module
    from irkit.runtime.module import Origin, Program

TEXT_NAME = "<text>"


def compile(
    path_or_text: str | os.PathLike[str],
    fn: str | None = None,
    dims: Mapping[str, int] | None = None,
    target: str = "native",
    threads: int | None = None,
    cc: str | None = None,
    tuned: bool = False,
    fast_math: bool = False,
) -> Program:
    """Compiles a `.tg` or `.mlir` file, or `.tg` text, to a callable.

    fn names the function: by default `main`, or else the last of the file. dims gives dims their sizes. target is
    `native` or a declared machine; `cuda` is the GPU of this one, which needs nvcc and PyCUDA, `cuda:cpu` runs what is made
    for a GPU on the CPU; threads the number of threads of each call, by default one for each core; cc the C
    compiler; with tuned, kernels that `irkit tune` has tuned on this machine run by what it found; with fast_math, the
    algebra of real numbers holds, so that results differ by rounding, and are anything where numbers are NaN, infinite or
    overflow. Parameters are read from their files. Raises IrkitError, or ErrorList for several errors.
    """
    text, name = read_source(path_or_text)
    return compile_text(text, name, fn, dims, target, threads, cc, tuned=tuned, fast_math=fast_math)


def parse(path_or_text: str | os.PathLike[str]) -> Module:
    """The syntax tree of a `.tg` file or text. Raises ErrorList."""
    from irkit.lang import parse as parse_tg

    return parse_tg(*read_source(path_or_text))


def lower(
    source: str | os.PathLike[str] | ModuleOp,
    to: str = "buffer",
    fn: str | None = None,
    dims: Mapping[str, int] | None = None,
    target: str = "native",
    cc: str = "gcc",
    tuned: bool = False,
    fast_math: bool = False,
) -> ModuleOp:
    """The IR of a file, a text or a module at a level: graph, kernel, loop or buffer.

    With tuned, schedules are those that `irkit tune` found; with fast_math, rounding may change. A module is changed in
    place. Raises IrkitError, or ErrorList for several errors.
    """
    from xdsl.dialects.builtin import ModuleOp

    from irkit import pipeline

    if to not in pipeline.LEVELS[:-1]:
        raise IrkitError(f"unknown level '{to}'", expected=f"one of {', '.join(pipeline.LEVELS[:-1])}")
    module = source if isinstance(source, ModuleOp) else graph_of(*read_source(source), fn, dims)
    level = pipeline.level_of(module)
    if pipeline.LEVELS.index(to) < pipeline.LEVELS.index(level):
        raise IrkitError(f"the module is at the {level} level already, which is below the {to} level")
    folder = tuned_folder(target, cc) if tuned else ""
    passes = pipeline.passes_to(level, to, target, cc, folder, fast_math)
    pipeline.run_passes(module, passes, pipeline.context())
    return module


def load(path: str | os.PathLike[str], threads: int | None = None) -> Program:
    """A program that `Program.save` wrote, without a compiler. Raises IrkitError for a file that is damaged, of another
    version, or for another machine."""
    from irkit.runtime.artefact import load_program

    return load_program(path, threads)


def compile_text(
    text: str,
    name: str,
    fn: str | None = None,
    dims: Mapping[str, int] | None = None,
    target: str = "native",
    threads: int | None = None,
    cc: str | None = None,
    given: frozenset[str] = frozenset(),
    tuned: bool = False,
    fast_math: bool = False,
) -> Program:
    """Compiles a text that stands in the file of a name; parameters and inputs in `given` are not read from files."""
    from irkit.runtime.module import Origin, Program

    origin = Origin(text, name, fn, dict(dims or {}), target, cc, tuned, fast_math)
    if is_cuda(target):
        return _compile_cuda(origin, threads, given)
    compiler = find_compiler(cc)

    def cflags() -> tuple[str, ...]:
        return tuple(get_target(target, compiler.name).cflags)

    def load(spec: ProgramSpec, library: Path, values: dict[str, np.ndarray]) -> Program:
        return Program(spec, library, values, threads, origin)

    return _loaded(load, origin, target, compiler, cflags, given)


def _compile_cuda(origin: Origin, threads: int | None, given: frozenset[str]) -> Program:
    """The same for a target with blocks and threads."""
    from irkit.runtime.cuda.program import CudaProgram
    from irkit.runtime.cuda.setup import set_up

    if threads is not None:
        raise IrkitError(
            "a program for a GPU takes no number of threads",
            found=f"threads = {threads}",
            hint="leave the number of threads out",
        )
    setup = set_up(origin.target, origin.cc)

    def load(spec: ProgramSpec, library: Path, values: dict[str, np.ndarray]) -> Program:
        return CudaProgram(spec, library, setup.machine, values, origin)

    return _loaded(load, origin, setup.target, setup.compiler, lambda: setup.cflags, given)


def _loaded(
    load: Callable[[ProgramSpec, Path, dict[str, np.ndarray]], Program],
    origin: Origin,
    target: str,
    compiler: Compiler,
    cflags: Callable[[], tuple[str, ...]],
    given: frozenset[str],
) -> Program:
    """A program from the cache, or compiled and put there, as `load` has it."""
    entry = _entry(origin, target, compiler, cflags)
    values = read_defaults(entry.spec, entry.places, origin.name, given)
    try:
        return load(entry.spec, entry.library, values)
    except OSError:  # the library in the cache is damaged
        return load(entry.spec, cache.library(entry.spec, compiler, entry.cflags, again=True), values)


def _entry(
    origin: Origin, target: str, compiler: Compiler, cflags: Callable[[], tuple[str, ...]]
) -> cache.Entry:
    """What the cache has of a program; compiled and put there if that is nothing."""
    text, name, fn, dims = origin.text, origin.name, origin.fn, origin.dims
    what = [text, name, fn or "", repr(sorted(dims.items())), target, *fingerprints()]
    what += imported_texts(text, name)
    if origin.tuned:
        what += ["tuned", *cache.tuned_texts(cache.tuned_dir(target, compiler))]
    if origin.fast_math:
        what.append("fast math")
    key = cache.program_key(what, compiler)
    entry = cache.load_program(key)
    if entry is None:
        spec, places = emit(text, name, fn, dims, target, compiler.name, origin.tuned, origin.fast_math)
        flags = cflags()
        entry = cache.Entry(spec, cache.library(spec, compiler, flags), places, flags)
        cache.store_program(key, entry)
    return entry


def emit(
    text: str,
    name: str,
    fn: str | None = None,
    dims: Mapping[str, int] | None = None,
    target: str = "native",
    cc: str = "gcc",
    tuned: bool = False,
    fast_math: bool = False,
) -> tuple[ProgramSpec, dict[str, cache.Place]]:
    """The C program of a text, in CUDA C++ for a target with blocks and threads, and where its arguments stand in the text."""
    from irkit import pipeline

    machine = get_target(target, cc)
    if machine.gpu is None:
        from lowering.c.emit import emit_program as emitter
    else:
        from lowering.cuda.emit import emit_cuda_program as emitter
    if machine.gpu is not None and tuned:
        raise IrkitError("there are no tuned schedules for a GPU", hint="leave --tuned out")
    with paused():
        module = graph_of(text, name, fn, dims)
        places = _places(module)
        folder = tuned_folder(target, cc) if tuned else ""
        passes = pipeline.passes_to(pipeline.level_of(module), "buffer", target, cc, folder, fast_math)
        pipeline.run_passes(module, passes, pipeline.context())
        return emitter(module, machine, program_prefix(name)), places


def tuned_folder(target: str, cc: str) -> str:
    """The folder of tuned schedules, as `kernel-schedule` takes it. Raises IrkitError where there is no such compiler."""
    return os.fspath(cache.tuned_dir(target, find_compiler(cc)))


def program_prefix(name: str) -> str:
    """What the C names of the program of a file begin with."""
    return c_prefix("program" if name.startswith("<") else Path(name).stem)


def read_module(
    source: str | os.PathLike[str], fn: str | None = None, dims: Mapping[str, int] | None = None
) -> tuple[ModuleOp, str, str]:
    """The IR of a file or text before any pass, its text, and the name of its file. Raises IrkitError or ErrorList."""
    text, name = read_source(source)
    return graph_of(text, name, fn, dims), text, name


def read_defaults(
    spec: ProgramSpec, places: Mapping[str, cache.Place], name: str, given: frozenset[str] = frozenset()
) -> dict[str, np.ndarray]:
    """The arrays of the parameters, and of the inputs with data, that are not given; file names start at the folder
    of the file called name. Raises IrkitError, or ErrorList for several errors."""
    from dialects.dims import Dim
    from irkit.params import Wanted, fill_all

    wants: list[Wanted] = []
    for arg in spec.args:
        if not arg.source or arg.name in given:
            continue
        shape = [Dim.parse(d).value for d in arg.dims]
        loc = Loc(*places[arg.name]) if arg.name in places else None
        sizes = tuple(s for s in shape if s is not None)
        if len(sizes) == len(shape):
            wants.append(Wanted(arg.name, arg.dtype, sizes, arg.source, loc))
        elif arg.role == "param":
            raise IrkitError(
                f"'{arg.name}' needs dims of known size to be filled",
                loc,
                found=arg.type_text,
                hint="give the dim a value (--dim), or leave its range out",
            )
    return fill_all(wants, _folder(name))


def graph_of(text: str, name: str, fn: str | None, dims: Mapping[str, int] | None) -> ModuleOp:
    """The IR of a text: `.mlir` at its level, anything else through the front end."""
    if name.endswith(".mlir"):
        from irkit import pipeline
        from irkit.mlir_parser import parse_mlir
        from lowering.verify import verify_module

        module = parse_mlir(pipeline.context(), text, name, True)
        verify_module(module)
        return module
    from irkit.lang import parse as parse_tg, to_graph

    return to_graph(parse_tg(text, name), fn, dims)


def _places(module: ModuleOp) -> dict[str, cache.Place]:
    """Where the arguments of the function stand in the source."""
    from xdsl.dialects.builtin import LocationAttr, StringAttr
    from xdsl.dialects.func import FuncOp

    from dialects.errors import loc_of_attr

    places: dict[str, cache.Place] = {}
    for func in module.ops:
        if not isinstance(func, FuncOp) or func.arg_attrs is None:
            continue
        for attrs in func.arg_attrs.data:
            name, place = attrs.data.get("graph.name"), attrs.data.get("graph.loc")
            loc = loc_of_attr(place) if isinstance(place, LocationAttr) else None
            if isinstance(name, StringAttr) and loc is not None:
                places[name.data] = loc.file, loc.line, loc.col
    return places


def read_source(path_or_text: str | os.PathLike[str]) -> tuple[str, str]:
    """(text, name of its file). A string with a line break or a brace is text, any other the name of a file."""
    if isinstance(path_or_text, str) and re.search(r"[\n{]", path_or_text):
        return path_or_text, TEXT_NAME
    path = os.fspath(path_or_text)
    return read_text(path), "<stdin>" if path == "-" else path


def _folder(name: str) -> Path:
    """The folder that file names in a text are relative to."""
    return Path() if name.startswith("<") else Path(name).parent
