"""A program on a device as a Python callable, on arrays of NumPy or of the device."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dialects.errors import IrkitError
from irkit.runtime.cuda.arrays import DeviceArray, as_device_array, is_device_array
from irkit.runtime.cuda.machine import Copy, Machine, Memory
from irkit.runtime.cuda.native import CudaNative, Graph
from irkit.runtime.module import Arg, ArrayLike, Call, Origin, Outputs, Program
from lowering.c.abi import ERRORS, ProgramSpec
from lowering.c.names import c_field

if TYPE_CHECKING:
    from irkit.profiling import Profile


class CudaProgram(Program):
    """A compiled program whose arrays lie on a device.

    It is called as any program. Arrays of NumPy are copied to the device and results back; parameters are copied when they
    are first used, and again after `set_params`. Arrays that lie on the device (of torch, CuPy and others, by DLPack or
    `__cuda_array_interface__`) are used where they lie, as arguments and as `out`; results are then arrays of the device,
    too: as soon as one input is, and `out` is not given.

        program = irkit.compile("mlp.tg", target="cuda")
        logits = program(x)                           # NumPy in, NumPy out
        logits = torch.as_tensor(program(x_on_gpu))   # nothing leaves the device
    """

    def __init__(
        self,
        spec: ProgramSpec,
        library: Path,
        machine: Machine,
        values: Mapping[str, np.ndarray] | None = None,
        origin: Origin | None = None,
    ):
        """Loads a library for a machine. `values` are arrays of parameters and default inputs. Raises IrkitError, OSError."""
        self.machine = machine
        self._held: dict[str, tuple[np.ndarray, Memory]] = {}
        self._stale: set[str] = set()
        self._started: set[CudaCall] = set()  # which keeps their memory
        super().__init__(spec, library, values, 1, origin)

    def _load(self) -> None:
        self._native = self.native = CudaNative(self.spec, self.library)
        self._memory: Memory | None = None
        self._kept_once: Memory | None = None
        self._lock = self.machine.lock

    @property
    def values(self) -> dict[str, np.ndarray]:
        """The arrays of parameters, of state, and of inputs with default data: what runs have updated is copied from the
        device."""
        with self._lock:
            for name in sorted(self._stale):
                array, memory = self._held[name]
                self.machine.download(array, memory.address)
            self._stale.clear()
        return self._values

    @property
    def runs_on(self) -> str:
        return self.machine.name

    def set_params(self, values: Mapping[str, ArrayLike]) -> None:
        super().set_params(values)
        with self._lock:
            for name in values:
                self._held.pop(name, None)
                self._stale.discard(name)

    def save(self, path: str | os.PathLike[str]) -> None:
        raise IrkitError(
            "a program for a GPU is not saved in one file",
            hint="irkit compile --target=cuda writes its text, which nvcc builds",
        )

    def profile(self, *args: ArrayLike, repeats: int = 20, **named: ArrayLike) -> Profile:
        raise IrkitError(
            "a program for a GPU is not profiled", expected="a program for a CPU", hint="leave target out"
        )

    # -- arguments ----------------------------------------------------------------------------------------------

    def _checked(self, arg: Arg, value: ArrayLike) -> np.ndarray:
        if not is_device_array(value):
            return super()._checked(arg, value)
        return cast(np.ndarray, self._seen(arg, value))

    def _seen(self, arg: Arg, value: object) -> DeviceArray:
        """An array of the device, of the right dtype and rank."""
        array = as_device_array(arg.spec.name, value, self.machine)
        if array.dtype != arg.dtype or array.ndim != len(arg.dims):
            raise IrkitError(
                f"argument '{arg.spec.name}' does not fit",
                found=f"{array.dtype}{list(array.shape)} of a device",
                expected=arg.spec.type_text,
            )
        return array

    def _kept(self, arg: Arg, value: ArrayLike) -> np.ndarray:
        if is_device_array(value):
            raise IrkitError(
                f"'{arg.spec.name}' lies on a device",
                expected="an array of NumPy, of which the program makes a copy on the device",
                hint=f"or give it to the call: program(..., {arg.spec.name}=array)",
            )
        return super()._kept(arg, value)

    def _check_updated(self, name: str, value: ArrayLike, ready: Mapping[str, np.ndarray]) -> None:
        array = ready[name]
        if not isinstance(array, DeviceArray):
            return super()._check_updated(name, value, ready)
        if not array.writable:
            raise IrkitError(f"argument '{name}' of {self.name} is updated, and is read-only")
        self._check_apart(name, ready)

    def _results(
        self, out: Outputs | None, symbols: Mapping[str, int], arrays: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        single = out is not None and not isinstance(out, np.ndarray | Sequence | Mapping)
        return super()._results([cast(np.ndarray, out)] if single else out, symbols, arrays)

    def _new_result(
        self, arg: Arg, symbols: Mapping[str, int], arrays: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        if not any(isinstance(a, DeviceArray) for a in arrays.values()):
            return super()._new_result(arg, symbols, arrays)
        shape = arg.shape(symbols)
        memory = self.machine.allocate(int(np.prod(shape, dtype=np.int64)) * arg.dtype.itemsize)
        return cast(np.ndarray, DeviceArray(self.machine, memory.address, shape, arg.dtype, memory))

    def _given_result(self, arg: Arg, array: Any, symbols: Mapping[str, int]) -> np.ndarray:
        if not is_device_array(array):
            return super()._given_result(arg, array, symbols)
        seen = self._seen(arg, array)
        arg.check_shape(cast(np.ndarray, seen), symbols)
        if not seen.writable:
            raise IrkitError(f"the array for result '{arg.spec.name}' is read-only")
        return cast(np.ndarray, seen)

    def _overlap(self, a: Any, b: Any) -> bool:
        devices = isinstance(a, DeviceArray), isinstance(b, DeviceArray)
        if not any(devices):
            return super()._overlap(a, b)
        return all(devices) and a.address < b.address + b.nbytes and b.address < a.address + a.nbytes

    # -- runs ---------------------------------------------------------------------------------------------------

    @property
    def _calls(self) -> type[Call]:
        return CudaCall

    def place(self, name: str, array: np.ndarray) -> Memory | None:
        """Where an array of the program's own lies on the device, copied there unless it is; None for one of a call."""
        if self._values.get(name) is not array:
            return None
        held = self._held.get(name)
        if held is None or held[0] is not array:
            memory = self.machine.allocate(array.nbytes)
            self.machine.upload(memory.address, array)
            held = self._held[name] = array, memory
        return held[1]

    def _run(self, call: Call) -> None:
        assert isinstance(call, CudaCall)
        call.start()
        call.wait()

    def _start(self, call: CudaCall) -> None:
        """Launches a call and begins its copies."""
        machine, native = self.machine, self.native
        with self._lock:
            if self._memory is None or self._memory.size < call.arena_bytes:
                if self._started:
                    machine.synchronise()  # calls that are under way use the arena
                self._memory = machine.allocate(call.arena_bytes)
            if self._kept_once is None and self.spec.prepared_bytes:
                self._kept_once = machine.allocate(self.spec.prepared_bytes)
            self._started.add(call)
            call.send(self._kept_once)
            code = 0
            with machine.current():
                if native.init is not None and self._prepared_for is not call._parameters:
                    code = native.init(call._pointer, self._memory.address, machine.stream)
                    self._prepared_for = None if code else call._parameters
                code = code or call.launch(self._memory.address)
            if code:
                raise self._stopped(code)
            self._stale |= call.fetch()

    def _stopped(self, code: int) -> IrkitError:
        meanings = {number: text for number, text in ERRORS.values()}
        if code in meanings:
            return IrkitError(f"{self.name} stopped: {meanings[code]}")
        said = self.native.error(code).decode(errors="replace")
        return IrkitError(f"{self.name} stopped on {self.machine.name}", found=f"error {code}: {said}")


class CudaCall(Call):
    """A call whose arrays of NumPy have a place on the device each. Inputs are copied there before each run, results back
    after it.

    A run may be begun and waited for later. While one call computes, copies of others go on beside it:

        calls = [program.prepare(batch) for batch in two_batches]
        for number, call in enumerate(calls * many):
            call.wait()  # what it began last time; nothing the first time
            ...          # its results may be used, and its inputs filled
            call.start()
    """

    program: CudaProgram

    def _bind(self) -> None:
        machine, args = self.program.machine, self.program.spec.args
        self._written = {a.name for a in args if a.is_written}
        self._all: dict[str, Any] = {
            **self.arrays,
            **dict(zip((a.name for a in self.program.outputs), self.results, strict=True)),
        }
        self._own: dict[str, Memory] = {}
        self._staged: dict[str, np.ndarray] = {}
        self._fresh = True
        self._wait: Callable[[], None] | None = None
        self._launched: tuple[int, bytes] | None = None
        self._graph: Graph | None = None
        for name, array in self._all.items():
            if isinstance(array, DeviceArray):
                setattr(self._struct, c_field(name), array.address)
            elif self.program.place(name, array) is None:
                self._own[name] = machine.allocate(array.nbytes)
        self.arena_bytes: int = self.program._native.arena_bytes(self._pointer)

    def start(self) -> None:
        """Begins a run. Inputs are taken as they are now, and may be changed at once; results hold what they did until
        `wait`. A run that was begun before is waited for. Raises IrkitError."""
        self.wait()
        program = self.program
        program._start(self)

    def wait(self) -> tuple[np.ndarray, ...]:
        """Waits for the run that was begun last, if any, and returns the results. Raises IrkitError."""
        waiting, self._wait = self._wait, None
        try:
            if waiting is not None:
                waiting()
        finally:
            self.program._started.discard(self)
        return self.results

    def launch(self, arena: int) -> int:
        """Launches a run: the first by itself, later ones as a graph, where the program has one and CUDA takes it down.
        Returns the code."""
        native, stream = self.program.native, self.program.machine.stream
        places = arena, bytes(self._struct)
        if self._graph is None or self._graph.places != places:
            again, self._launched = self._launched == places, places
            self._graph = native.graph(self._pointer, arena, places) if again else None
        if self._graph is not None:
            return native.replay(self._graph.handle, stream)
        return native.run(self._pointer, arena, stream)

    def send(self, prepared: Memory | None) -> None:
        """Begins to bring to the device what a run reads, and tells it where all is."""
        copies: list[Copy] = []
        for name, array in self._all.items():
            if isinstance(array, DeviceArray):
                continue
            memory = self.program.place(name, array) or self._memory_of(name, array)
            if name in self._own and name in self.arrays:
                copies.append(self._copy(name, array))
            setattr(self._struct, c_field(name), memory.address)
        self.program.machine.send(copies, self._fresh)
        self._fresh = False
        if prepared is not None:
            setattr(self._struct, self.program.spec.prepared_field, prepared.address)

    def _memory_of(self, name: str, array: np.ndarray) -> Memory:
        """A place of its own, for an array that the program no longer holds too."""
        if name not in self._own:
            self._own[name] = self.program.machine.allocate(array.nbytes)
            self._fresh = True
        return self._own[name]

    def _copy(self, name: str, array: np.ndarray) -> Copy:
        if name not in self._staged:
            self._staged[name] = self.program.machine.stage(array.nbytes)
        return Copy(array, self._own[name].address, self._staged[name])

    def fetch(self) -> set[str]:
        """Begins to bring back what a run writes to arrays of the call; the names of those of the program that it updates."""
        held: set[str] = set()
        copies: list[Copy] = []
        for name in self._written:
            array = self._all[name]
            if isinstance(array, DeviceArray):
                continue
            if name in self._own:
                copies.append(self._copy(name, array))
            else:
                held.add(name)
        if copies or self._staged:  # what a copy reads stays until it is over
            self._wait = self.program.machine.fetch(copies)
        return held
