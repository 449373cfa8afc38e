"""A compiled program as a Python callable on NumPy arrays."""

from __future__ import annotations

import ctypes
import os
import threading
import time
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.types import np_dtype
from irkit.diagnostics import nearest
from lowering.c.abi import ERRORS, ArgSpec, ProgramSpec
from lowering.c.names import c_field
from lowering.target import available_cores

if TYPE_CHECKING:
    from irkit.profiling import Profile

ALIGNMENT = 64
MAX_THREADS = 1024

ArrayLike: TypeAlias = "np.ndarray | np.generic | bool | int | float | complex"
Outputs: TypeAlias = "np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]"


class LayoutWarning(UserWarning):
    """An array had to be copied because of its layout in memory."""


@dataclass(frozen=True)
class Origin:
    """What a program was compiled from, as `irkit.compile` was told: the text with the name of its file, and options."""

    text: str
    name: str
    fn: str | None
    dims: Mapping[str, int]
    target: str
    cc: str | None
    tuned: bool = False
    fast_math: bool = False


class Program:
    """A compiled program, called with NumPy arrays by position or name.

    Inputs come by position in the order in which the function declares them, or by name; those with default data and
    parameters may be left out, and are replaced for one call when given by name. C-contiguous arrays are used in place;
    others are copied, with a LayoutWarning. `out` takes preallocated results: an array, several in order, or a mapping
    of names. Calls from several threads take turns.

    What depends on the parameters alone is prepared in the first call, and again after `set_params` and for calls that
    bring parameters of their own; `set_params` also tells of an array that was changed in place.

    A step of training updates parameters and state: a call changes the arrays that the program holds, which `params` gives,
    or those that the call was given by name.

        program = irkit.compile("mlp.tg")
        logits = program(x)
        program(x=x, w1=other, out=logits)
    """

    def __init__(
        self,
        spec: ProgramSpec,
        library: Path,
        values: Mapping[str, np.ndarray] | None = None,
        threads: int | None = None,
        origin: Origin | None = None,
    ):
        """Loads a library. `values` are arrays of parameters and default inputs; a program that is to be profiled
        needs its origin. Raises IrkitError, OSError."""
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise IrkitError(f"cannot run on {threads} threads", expected=f"1 to {MAX_THREADS}")
        self.spec = spec
        self.library = library
        self.origin = origin
        self.threads = threads or available_cores()
        self._values: dict[str, np.ndarray] = {}
        self._args = {a.name: Arg.of(a) for a in spec.args}
        self._inputs = [a for a in self._args.values() if a.spec.role == "input"]
        self._outputs = [a for a in self._args.values() if a.spec.role == "output"]
        self._lock = threading.Lock()
        self._prepared_for: object = None
        self._load()
        for name, value in (values or {}).items():
            self._values[name] = self._kept(self._arg(name), value)

    def _load(self) -> None:
        """Loads the library; memory follows when it is needed."""
        self._native = Native(self.spec, self.library)
        self._arena: np.ndarray | None = None
        self._arena_pointer: ctypes.c_void_p | None = None
        self._prepared = aligned(self.spec.prepared_bytes) if self.spec.prepared_bytes else None
        self._team = _Team(self._native, self.threads)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def values(self) -> dict[str, np.ndarray]:
        """The arrays of parameters, of state, and of inputs with default data, as they are now."""
        return self._values

    @property
    def name(self) -> str:
        """The prefix of the C names."""
        return self.spec.name

    @property
    def source(self) -> str:
        """The C text."""
        return self.spec.source

    @property
    def header(self) -> str:
        """The text of the C header."""
        return self.spec.header

    @property
    def kernels(self) -> tuple[str, ...]:
        """The names of the kernels."""
        return self.spec.kernels

    @property
    def peak_bytes(self) -> int:
        """The most bytes of intermediates that are live at once, as placed."""
        return self.spec.peak_bytes

    @property
    def lower_bound_bytes(self) -> int:
        """The least bytes of intermediates that any placement needs."""
        return self.spec.lower_bound_bytes

    @property
    def inputs(self) -> tuple[ArgSpec, ...]:
        """The inputs in the order of positions."""
        return tuple(a.spec for a in self._inputs)

    @property
    def outputs(self) -> tuple[ArgSpec, ...]:
        """The results in order."""
        return tuple(a.spec for a in self._outputs)

    @property
    def runs_on(self) -> str:
        """What runs it, for people."""
        return _plural("thread", range(self.threads), count=True)

    def __repr__(self) -> str:
        shown = ", ".join(f"{a.name}: {a.type_text}" for a in self.inputs)
        results = ", ".join(f"{a.name}: {a.type_text}" for a in self.outputs)
        return f"<irkit program {self.name}({shown}) -> ({results})>"

    def _repr_html_(self) -> str:
        """The graph and the memory plan, for a notebook; one that was loaded shows its interface alone."""
        from html import escape

        if self.origin is None:
            return f"<code>{escape(repr(self))}</code>"
        from irkit.api import graph_of
        from irkit.page.inline import program_html
        from irkit.runtime.compiler import find_compiler

        origin = self.origin
        module = graph_of(origin.text, origin.name, origin.fn, origin.dims)
        return program_html(module, repr(self), origin.target, find_compiler(origin.cc).name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the program with its parameters to one file, which `irkit.load` reads without a compiler, on machines
        with this processor's instruction sets. Raises IrkitError."""
        from irkit.runtime.artefact import save_program

        save_program(self, path)

    def params(self) -> dict[str, np.ndarray]:
        """Copies of the parameters, and of the state of a step of training, as they are now."""
        kinds = {name: arg.spec.role for name, arg in self._args.items()}
        return {n: v.copy() for n, v in self.values.items() if kinds[n] in ("param", "state")}

    def set_params(self, values: Mapping[str, ArrayLike]) -> None:
        """Replaces parameters, state, and inputs with default data, for the calls to come: all of them, or none where one
        does not fit. What runs update is copied. Raises IrkitError."""
        if not isinstance(values, Mapping):
            raise IrkitError(
                "set_params takes arrays by name", found=type(values).__name__, expected='{"w": array}'
            )
        ready: dict[str, np.ndarray] = {}
        for name, value in values.items():
            arg = self._arg(name)
            if arg.spec.role == "output" or (arg.spec.role == "input" and name not in self.values):
                raise IrkitError(f"'{name}' is no parameter of {self.name}", hint="inputs go to the call")
            ready[name] = self._kept(arg, value)
            arg.check_fixed(ready[name])
        for name, value in list(ready.items()):
            old = self.values.get(name)
            if self._args[name].spec.updated is not None and old is not None and old.shape == value.shape:
                old[...] = value  # calls that are prepared go on with it
                ready[name] = old
        self._values = {**self.values, **ready}  # another dict, which tells that parameters are others

    # -- calls --------------------------------------------------------------------------------------------------

    def __call__(
        self, *args: ArrayLike, out: Outputs | None = None, **named: ArrayLike
    ) -> np.ndarray | tuple[np.ndarray, ...]:
        """Runs the program; returns its result, or a tuple of several. Raises IrkitError."""
        results = self._prepare(args, out, named).run()
        return results[0] if len(results) == 1 else results

    def prepare(self, *args: ArrayLike, out: Outputs | None = None, **named: ArrayLike) -> Call:
        """Checks the arguments of a call and returns the call, which may be run many times."""
        return self._prepare(args, out, named)

    def _prepare(self, args: Sequence[ArrayLike], out: Outputs | None, named: dict[str, ArrayLike]) -> Call:
        if out is not None and "out" in self._args and self._args["out"].spec.role != "output":
            named["out"], out = out, None  # pyright: ignore[reportArgumentType]
        given = self._bind(args, named)
        values = self.values
        ready = dict(values)
        for name, value in given.items():
            ready[name] = self._checked(self._args[name], value)
        missing = [a.name for a in self.spec.args if a.role != "output" and a.name not in ready]
        if missing:
            raise IrkitError(
                f"missing {_plural('argument', missing)} of {self.name}",
                found=f"arrays for {', '.join(given) or 'nothing'}",
                expected=", ".join(f"{m}: {self._args[m].spec.type_text}" for m in missing),
            )
        symbols = self._symbols(ready)
        for name, value in ready.items():
            self._args[name].check_shape(value, symbols)
        for name in given:
            if self._args[name].spec.updated is not None:
                self._check_updated(name, given[name], ready)
        results = self._results(out, symbols, ready)
        own = any(self._args[name].spec.role == "param" for name in given)
        return self._calls(self, symbols, ready, results, object() if own else values)

    @property
    def _calls(self) -> type[Call]:
        return Call

    def time(
        self, *args: ArrayLike, repeats: int = 5, out: Outputs | None = None, **named: ArrayLike
    ) -> float:
        """The median seconds of a run, after one that warms up."""
        call = self._prepare(args, out, named)
        call.run()
        seconds: list[float] = []
        for _ in range(max(1, repeats)):
            start = time.perf_counter()
            call.run()
            seconds.append(time.perf_counter() - start)
        return sorted(seconds)[len(seconds) // 2]

    def profile(self, *args: ArrayLike, repeats: int = 20, **named: ArrayLike) -> Profile:
        """The time, FLOPs, bytes and source lines of each kernel call, over some runs of an instrumented build."""
        from irkit.profiling import profile

        return profile(self._prepare(args, None, named), repeats)

    # -- arguments ----------------------------------------------------------------------------------------------

    def _bind(self, args: Sequence[ArrayLike], named: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
        if len(args) > len(self._inputs):
            raise IrkitError(
                f"too many arguments for {self.name}",
                found=str(len(args)),
                expected=f"at most {len(self._inputs)}: {', '.join(a.spec.name for a in self._inputs) or 'none'}",
                hint="parameters are given by name",
            )
        given = {a.spec.name: value for a, value in zip(self._inputs, args, strict=False)}
        for name, value in named.items():
            if self._arg(name).spec.role == "output":
                raise IrkitError(
                    f"'{name}' is a result of {self.name}", hint="preallocated results go to `out`"
                )
            if name in given:
                raise IrkitError(
                    f"argument '{name}' of {self.name} is given twice", hint="by position and by name"
                )
            given[name] = value
        return given

    def _arg(self, name: str) -> Arg:
        if name not in self._args:
            known = [a.spec.name for a in self._args.values() if a.spec.role != "output"]
            raise IrkitError(
                f"{self.name} has no argument '{name}'",
                expected=f"one of {', '.join(known)}" if known else "no arguments",
                hint=nearest(name, known),
            )
        return self._args[name]

    def _checked(self, arg: Arg, value: ArrayLike) -> np.ndarray:
        """An array of the right dtype and rank in a layout that C reads."""
        array = arg.array(value)
        if array.flags.c_contiguous and array.flags.aligned:
            return array
        warnings.warn(
            f"argument '{arg.spec.name}' of {self.name} is copied: it is {_layout(array)}",
            LayoutWarning,
            stacklevel=4,
        )
        return np.array(array, order="C", copy=True)

    def _kept(self, arg: Arg, value: ArrayLike) -> np.ndarray:
        """An array to be kept; a copy of one that runs update."""
        if arg.spec.updated is not None:
            return np.array(arg.array(value), order="C", copy=True)
        return self._checked(arg, value)

    def _check_updated(self, name: str, value: ArrayLike, ready: Mapping[str, np.ndarray]) -> None:
        """Raises IrkitError for an array of a call that the run cannot update in place."""
        array = ready[name]
        if value is not array or not array.flags.writeable:
            raise IrkitError(
                f"argument '{name}' of {self.name} is updated, and cannot be written in place",
                found=_layout(value) if isinstance(value, np.ndarray) and value is not array else "read-only",
                expected="a C-contiguous array that can be written",
            )
        self._check_apart(name, ready)

    def _check_apart(self, name: str, ready: Mapping[str, np.ndarray]) -> None:
        """Raises IrkitError where an array that a run updates has memory in common with another one."""
        for other, held in ready.items():
            if other != name and self._overlap(ready[name], held):
                raise IrkitError(
                    f"argument '{name}' of {self.name} is updated, and overlaps '{other}' in memory",
                    hint="give each an array of its own",
                )

    def _symbols(self, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
        """The symbolic dims, from the shapes of arrays."""
        found: dict[str, tuple[int, str]] = {}
        for name, low, high in self.spec.symbols:
            for arg, array in ((self._args[a], v) for a, v in arrays.items()):
                if name in found:
                    break
                for dim, size in zip(arg.dims, array.shape, strict=True):
                    value = _solve(dim, name, size, low, high)
                    if value is not None:
                        found[name] = value, arg.spec.name
                        break
            if name not in found:
                raise IrkitError(
                    f"dim '{name}' cannot be told from the shapes of the arguments",
                    expected=f"{name} in {low}..{high}",
                    hint=f"fix it when compiling, with dims={{'{name}': {low}}}",
                )
            value, source = found[name]
            if not low <= value <= high:
                raise IrkitError(
                    f"dim '{name}' lies outside of its range",
                    found=f"{name} = {value}, from '{source}'",
                    expected=f"{name} in {low}..{high}",
                )
        return {name: value for name, (value, _) in found.items()}

    def _results(
        self, out: Outputs | None, symbols: Mapping[str, int], arrays: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        """The arrays for the results: those of `out`, checked, and new ones."""
        given: dict[str, np.ndarray] = {}
        names = [a.spec.name for a in self._outputs]
        if isinstance(out, Mapping):
            given = dict(out)
        elif isinstance(out, np.ndarray):
            given = {names[0]: out} if names else {}
        elif out is not None:
            given = dict(zip(names, out, strict=False))
        wanted = len(names) if isinstance(out, np.ndarray | Sequence) else len(given)
        count = 1 if isinstance(out, np.ndarray) else len(out) if out is not None else wanted
        if count != wanted or not given.keys() <= set(names):
            raise IrkitError(
                f"`out` does not fit the results of {self.name}",
                found=", ".join(given)
                if isinstance(out, Mapping)
                else _plural("array", range(count), count=True),
                expected=", ".join(f"{a.name}: {a.type_text}" for a in self.outputs),
            )
        results: list[np.ndarray] = []
        for arg in self._outputs:
            array = given.get(arg.spec.name)
            if array is None:
                results.append(self._new_result(arg, symbols, arrays))
                continue
            array = self._given_result(arg, array, symbols)
            for other, value in [*arrays.items(), *zip(names, results, strict=False)]:
                if self._overlap(array, value):
                    raise IrkitError(
                        f"the array for result '{arg.spec.name}' overlaps '{other}' in memory",
                        hint="results need memory of their own",
                    )
            results.append(array)
        return tuple(results)

    def _new_result(
        self, arg: Arg, symbols: Mapping[str, int], arrays: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """An array for a result for which none is given."""
        return np.empty(arg.shape(symbols), arg.dtype)

    def _given_result(self, arg: Arg, array: np.ndarray, symbols: Mapping[str, int]) -> np.ndarray:
        """An array of the caller's for a result, if it is one to write to."""
        arg.check_output(array, symbols)
        return array

    def _overlap(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether two arrays may have memory in common."""
        return np.may_share_memory(a, b)

    def _run(self, call: Call) -> None:
        with self._lock:
            if self._arena is None or self._arena.nbytes < call._arena_bytes:
                self._arena = aligned(call._arena_bytes)
                self._arena_pointer = ctypes.c_void_p(self._arena.ctypes.data)
            code, team = 0, self._team.get()
            if self._native.init is not None and self._prepared_for is not call._parameters:
                code = self._native.init(call._pointer, self._arena_pointer, team)
                self._prepared_for = None if code else call._parameters
            code = code or self._native.run(call._pointer, self._arena_pointer, team)
        if code:
            meanings = {number: text for number, text in ERRORS.values()}
            raise IrkitError(f"{self.name} stopped: {meanings.get(code, f'error {code}')}")


class Call:
    """A call with its arguments checked. It keeps the arrays, and every run writes the same results.

    Arrays of inputs may be changed between runs. What the program has prepared of the parameters stays as it is.
    """

    def __init__(
        self,
        program: Program,
        symbols: Mapping[str, int],
        arrays: Mapping[str, np.ndarray],
        results: tuple[np.ndarray, ...],
        parameters: object,
    ):
        """`parameters` is the same object for calls with the same parameters."""
        self.program = program
        self._parameters = parameters
        self.symbols = dict(symbols)
        self.arrays = dict(arrays)
        self.results = results
        self._struct = program._native.struct()
        self._pointer = ctypes.byref(self._struct)
        for name, value in symbols.items():
            setattr(self._struct, c_field(name), value)
        self._bind()

    def _bind(self) -> None:
        """Points the arguments at the arrays."""
        program = self.program
        outputs = dict(zip((a.name for a in program.outputs), self.results, strict=True))
        for name, array in {**self.arrays, **outputs}.items():
            setattr(self._struct, c_field(name), array.ctypes.data)
        if program._prepared is not None:
            setattr(self._struct, program.spec.prepared_field, program._prepared.ctypes.data)
        self._arena_bytes: int = program._native.arena_bytes(self._pointer, program.threads)

    def run(self) -> tuple[np.ndarray, ...]:
        """Runs the program and returns its results."""
        self.program._run(self)
        return self.results

    def all_results(self) -> list[np.ndarray]:
        """The results of the last run in the order of the function, with what arguments were updated to."""
        found = list(self.results)
        updated = [(a.updated, a.name) for a in self.program.spec.args if a.updated is not None]
        for number, name in sorted(updated):
            found.insert(number, self.arrays[name])
        return found


class Arg:
    """An argument with its dtype and dims read."""

    def __init__(self, spec: ArgSpec, dtype: np.dtype, dims: tuple[Dim, ...]):
        self.spec, self.dtype, self.dims = spec, dtype, dims

    @staticmethod
    def of(spec: ArgSpec) -> Arg:
        return Arg(spec, np_dtype(spec.dtype), tuple(Dim.parse(d) for d in spec.dims))

    def shape(self, symbols: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(d.evaluate(symbols) for d in self.dims)

    def array(self, value: ArrayLike) -> np.ndarray:
        """The value as an array of the right dtype and rank. Raises IrkitError."""
        spec = self.spec
        if (
            isinstance(value, bool | int | float | complex)
            and not isinstance(value, np.generic)
            and not self.dims
        ):
            value = self._number(value)
        if not isinstance(value, np.ndarray | np.generic):
            raise IrkitError(
                f"argument '{spec.name}' is no NumPy array",
                found=type(value).__name__,
                expected=spec.type_text,
                hint=f"pass numpy.asarray(value, '{self.dtype}')",
            )
        array = np.asarray(value)
        if array.dtype != self.dtype:
            raise IrkitError(
                f"argument '{spec.name}' has the wrong dtype",
                found=str(array.dtype)
                if array.dtype.isnative
                else f"{array.dtype.name} in foreign byte order",
                expected=f"{self.dtype}, for {spec.type_text}",
                hint=f"convert it: {spec.name}.astype('{self.dtype}')",
            )
        if array.ndim != len(self.dims):
            raise self._wrong_shape(array, f"{len(self.dims)} dims instead of {array.ndim}")
        return array

    def _number(self, value: complex) -> ArrayLike:
        """A Python number as a NumPy scalar, where the dtype holds numbers of its kind."""
        kind = self.dtype.kind
        fits = isinstance(value, bool) if kind == "b" else kind in "iu" and isinstance(value, int)
        if fits or kind not in "iub":
            try:
                return (
                    np.asarray(value).astype(self.dtype)
                    if kind not in "iu"
                    else np.asarray(value, self.dtype)
                )
            except (OverflowError, TypeError):
                pass
        return value

    def check_shape(self, array: np.ndarray, symbols: Mapping[str, int]) -> None:
        if array.shape != (shape := self.shape(symbols)):
            wrong = next(i for i, (a, b) in enumerate(zip(array.shape, shape, strict=True)) if a != b)
            raise self._wrong_shape(
                array, f"dim {wrong} differs: {array.shape[wrong]} instead of {shape[wrong]}", symbols
            )

    def check_fixed(self, array: np.ndarray) -> None:
        """Whether the dims that no symbol decides have their sizes."""
        for number, (dim, size) in enumerate(zip(self.dims, array.shape, strict=True)):
            if dim.value is not None and dim.value != size:
                raise self._wrong_shape(array, f"dim {number} differs: {size} instead of {dim.value}")

    def check_output(self, array: np.ndarray, symbols: Mapping[str, int]) -> None:
        """Whether a result can be written there."""
        if not isinstance(array, np.ndarray):
            raise IrkitError(f"`out` for '{self.spec.name}' is no NumPy array", found=type(array).__name__)
        self.array(array)
        self.check_shape(array, symbols)
        if not (array.flags.c_contiguous and array.flags.aligned and array.flags.writeable):
            raise IrkitError(
                f"the array for result '{self.spec.name}' cannot be written in place",
                found=_layout(array) if array.flags.writeable else "a read-only array",
                expected="a C-contiguous array that can be written",
            )

    def _wrong_shape(
        self, array: np.ndarray, hint: str, symbols: Mapping[str, int] | None = None
    ) -> IrkitError:
        where = ", ".join(f"{n} = {v}" for n, v in (symbols or {}).items())
        return IrkitError(
            f"argument '{self.spec.name}' has the wrong shape",
            found=f"{self.spec.dtype}{list(array.shape) if array.ndim else ''}",
            expected=self.spec.type_text + (f" with {where}" if where else ""),
            hint=hint,
        )


class Native:
    """The functions of a loaded library, and the struct that they take."""

    def __init__(self, spec: ProgramSpec, library: Path):
        fields: list[tuple[str, type]] = [(c_field(name), ctypes.c_int64) for name, _, _ in spec.symbols]
        fields += [(c_field(a.name), ctypes.c_void_p) for a in spec.args]
        if spec.prepared_field:
            fields.append((spec.prepared_field, ctypes.c_void_p))
        self.struct: type[ctypes.Structure] = type("Args", (ctypes.Structure,), {"_fields_": fields})
        self.library = ctypes.CDLL(os.fspath(library))
        self.run = self._function(f"{spec.name}_run", ctypes.c_int, *[ctypes.c_void_p] * 3)
        self.init = None
        if spec.prepared_bytes:
            self.init = self._function(f"{spec.name}_init", ctypes.c_int, *[ctypes.c_void_p] * 3)
        self._rest(spec.name)

    def _rest(self, name: str) -> None:
        """The functions that other machines have none or others of."""
        self.arena_bytes = self._function(
            f"{name}_arena_bytes", ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
        )
        self.team_create = self._function(f"{name}_team_create", ctypes.c_void_p, ctypes.c_int)
        self.team_destroy = self._function(f"{name}_team_destroy", None, ctypes.c_void_p)

    def _function(self, name: str, result: type | None, *args: type) -> ctypes._CFuncPtr:  # pyright: ignore
        try:
            function = getattr(self.library, name)
        except AttributeError:
            raise OSError(f"the library has no function '{name}'") from None
        function.restype, function.argtypes = result, list(args)
        return function


class _Team:
    """The threads of a program, started when first needed, and anew in a forked process."""

    def __init__(self, native: Native, threads: int):
        self.native, self.threads = native, threads
        self.handle: int | None = None
        self.pid = 0

    def get(self) -> int | None:
        """The team; None stands for the calling thread alone."""
        if self.threads == 1:
            return None
        if self.pid != os.getpid():
            self.pid = os.getpid()
            self.handle = self.native.team_create(self.threads)
            if not self.handle:
                raise IrkitError(f"cannot start {self.threads} threads", hint="use fewer threads")
            weakref.finalize(self, _destroy, self.native, self.handle, self.pid)
        return self.handle


def _destroy(native: Native, handle: int, pid: int) -> None:
    if pid == os.getpid():
        native.team_destroy(handle)


def aligned(size: int) -> np.ndarray:
    """Bytes that start at a multiple of 64."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


def _solve(dim: Dim, name: str, size: int, low: int, high: int) -> int | None:
    """The value of a symbol that gives a dim its size; a bare name takes any, to be checked against its range."""
    if dim == Dim.of(name):
        return size
    if dim.names() != {name}:
        return None
    fitting = [v for v in range(low, min(high, low + 100_000) + 1) if dim.evaluate({name: v}) == size]
    return fitting[0] if len(fitting) == 1 else None


def _layout(array: np.ndarray) -> str:
    if not array.flags.aligned:
        return "not aligned to its elements"
    return "in Fortran order" if array.flags.f_contiguous else "not contiguous"


def _plural(word: str, items: Sequence[object], count: bool = False) -> str:
    text = word if len(items) == 1 else f"{word}s"
    return f"{len(items)} {text}" if count else text
