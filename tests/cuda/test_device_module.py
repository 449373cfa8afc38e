"""The callable for a device: what is copied when, arrays of others in place, errors; PyCUDA's body over a stand-in for it."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import irkit
from dialects.types import np_dtype
from irkit.cli import main
from irkit.runtime.cuda import compiler, device, dlpack, setup
from irkit.runtime.cuda.arrays import DeviceArray, as_device_array as from_dlpack
from irkit.runtime.cuda.device import PyCudaMachine
from irkit.runtime.cuda.machine import CpuMachine
from irkit.runtime.cuda.program import CudaProgram
from tests.cuda.machine import aligned, has_nvcc

SCORES = """
param w: f32[8, 4] = glorot(seed=1)
fn main(x: f32[6, 8]) -> f32[6, 4] { return x @ softmax(w) }
"""
STEP = """
param w: f32[8, 3] = ones()
fn loss(x: f32[6, 8], y: f32[6, 3]) -> f32 { return mean((x @ w - y) ** 2) }
fn step = minimize(loss, wrt=params, optimizer=sgd(lr=0.1))
"""
X = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)


class Machine(CpuMachine):
    """The CPU, with its copies counted."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.fetched: list[int] = []

    def upload(self, address: int, array: np.ndarray) -> None:
        self.sent.append(array.nbytes)
        super().upload(address, array)

    def download(self, array: np.ndarray, address: int) -> None:
        self.fetched.append(array.nbytes)
        super().download(array, address)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(setup, "CPU", found)
    return found


def cuda(text: str, **options: Any) -> CudaProgram:
    program = irkit.compile(text, target="cuda:cpu", **options)
    assert isinstance(program, CudaProgram)
    return program


def wanted(text: str = SCORES, **named: np.ndarray) -> np.ndarray:
    result = irkit.compile(text, target="sse2")(X, **named)
    assert isinstance(result, np.ndarray)
    return result


class Lent:
    """An array as another library has it: with DLPack, or with CUDA's interface (of which a CPU's address is no matter)."""

    def __init__(self, array: np.ndarray, strides: tuple[int, ...] | None = None, stream: int | None = None):
        self.array = array
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, not array.flags.writeable),
            "strides": strides,
            "stream": stream,
        }


class Packed:
    def __init__(self, array: np.ndarray, kind: int = 1):
        self.array, self.kind = array, kind

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, 0

    def __dlpack__(self, stream: int | None = None) -> object:
        return self.array.__dlpack__()


# -- copies -------------------------------------------------------------------------------------------------------


def test_parameters_are_sent_once(machine: Machine):
    program = cuda(SCORES)
    np.testing.assert_allclose(program(X), wanted(), rtol=1e-5)
    program(X)
    assert sorted(machine.sent) == [8 * 4 * 4, X.nbytes, X.nbytes]
    assert machine.fetched == [96, 96]


def test_parameters_are_sent_again_when_they_change(machine: Machine):
    program = cuda(SCORES)
    call, w = program.prepare(X), np.full((8, 4), 0.5, np.float32)
    call.run()
    program.set_params({"w": w})
    np.testing.assert_allclose(program(X), wanted(w=w), rtol=1e-5)
    np.testing.assert_allclose(
        program(X, w=w * 0 + np.arange(4, dtype=np.float32)),
        wanted(w=w * 0 + np.arange(4, dtype=np.float32)),
        rtol=1e-5,
    )
    w[:, 1] = 2  # in place, and told
    program.set_params({"w": w})
    np.testing.assert_allclose(program(X), wanted(w=w), rtol=1e-5)
    np.testing.assert_allclose(call.run()[0], wanted(), rtol=1e-5)  # it keeps the arrays that it had


def test_what_steps_update_stays_on_the_device(machine: Machine):
    y = X[:, :3].copy()
    program, other = (irkit.compile(STEP, fn="step", target=t) for t in ("cuda:cpu", "sse2"))
    calls = [p.prepare(X, y) for p in (program, other)]
    for _ in range(4):
        losses = [float(call.run()[0]) for call in calls]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert machine.fetched == [4] * 4
    np.testing.assert_allclose(program.params()["w"], other.params()["w"], rtol=1e-4)
    assert machine.fetched[:4] == [4] * 4 and sorted(machine.fetched[4:]) == [8, 96]  # the state, and w
    held = program.params()["w"]
    program.set_params({"w": np.zeros((8, 3), np.float32)})
    assert float(calls[0].run()[0]) == pytest.approx(float(np.mean(y**2)), rel=1e-4)
    mine = held.copy()
    program(X, y, w=mine)
    assert not np.array_equal(mine, held)


# -- arrays of the device -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lend", [Lent, Packed])
def test_arrays_of_the_device_are_used_in_place(machine: Machine, lend: Any):
    program, x = cuda(SCORES), aligned(X)
    program(X)
    machine.sent.clear()
    machine.fetched.clear()
    result: Any = program(lend(x))
    assert (
        isinstance(result, DeviceArray) and result.shape == (6, 4) and machine.sent == machine.fetched == []
    )
    np.testing.assert_allclose(result.numpy(), wanted(), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(result), wanted(), rtol=1e-5)
    out = aligned(np.zeros((6, 4), np.float32))
    program(result_of(program, x), out=lend(out))
    np.testing.assert_allclose(out, wanted(), rtol=1e-5)
    into: Any = np.zeros((6, 4), np.float32)
    assert program(lend(x), out=into) is into
    np.testing.assert_allclose(into, wanted(), rtol=1e-5)


def result_of(program: CudaProgram, x: np.ndarray) -> Any:
    """An array that programs give each other."""
    return DeviceArray(program.machine, x.ctypes.data, x.shape, x.dtype, x)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Lent(aligned(X)[:, :7]), "wrong shape"),
        (Lent(aligned(X.astype(np.float64))), "does not fit"),
        (Lent(aligned(X), strides=(4, 24)), "is not contiguous"),
        (Packed(aligned(X.T.copy()).T), "is not contiguous"),
        (Packed(aligned(X), kind=2), "lies on another device"),
        (Packed(aligned(np.zeros((7, 8), np.float32)).reshape(-1)[1:49].reshape(6, 8)), "is not aligned"),
        (DeviceArray(CpuMachine(), 64, (6, 8), np.dtype(np.float32), None), "lies on another device"),
    ],
)
def test_arrays_of_the_device_that_do_not_fit(machine: Machine, value: Any, said: str):
    with pytest.raises(irkit.IrkitError, match=said):
        cuda(SCORES)(value)


@pytest.mark.parametrize("dtype", ["f32", "f64", "f16", "bf16", "i8", "u16", "i64", "bool", "c64"])
def test_other_libraries_see_results_in_place(machine: Machine, dtype: str):
    held = np.arange(12).astype(np_dtype(dtype)).reshape(3, 4)
    room = aligned(held)
    array = DeviceArray(machine, room.ctypes.data, (3, 4), room.dtype, room)
    assert array.__dlpack_device__() == (1, 0)
    taken: Any = from_dlpack("x", Packed(array), machine)  # pyright: ignore
    assert (taken.address, taken.shape, taken.dtype) == (array.address, (3, 4), room.dtype)
    if dtype != "bf16":  # which NumPy has not
        seen = np.from_dlpack(array)
        assert seen.ctypes.data == array.address and np.array_equal(seen, held) and seen.dtype == held.dtype


def lent() -> int:
    """How many arrays others hold, without those that tests before this one left behind."""
    gc.collect()
    dlpack._drop_unused()
    return len(dlpack._lent)


@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (1, 3)])
def test_memory_lives_as_long_as_who_sees_it(machine: Machine, version: tuple[int, int] | None):
    memory = machine.allocate(96)
    array = DeviceArray(machine, memory.address, (6, 4), np.dtype(np.float32), memory)
    alive, count = weakref.ref(memory), lent()
    capsules = [array.__dlpack__(max_version=version)]
    assert ("versioned" in repr(capsules[0])) == (version is not None and version[0] == 1)
    lender = SimpleNamespace(__dlpack__=lambda **_: capsules.pop(), __dlpack_device__=lambda: (1, 0))
    seen: Any = np.from_dlpack(lender)
    unused: Any = array.__dlpack__(max_version=version)
    del memory, array
    gc.collect()
    dlpack._drop_unused()
    assert alive() is not None and len(dlpack._lent) == count + 2
    del unused  # a capsule that nobody took
    dlpack._drop_unused()
    assert len(dlpack._lent) == count + 1
    del seen
    gc.collect()
    assert alive() is None and len(dlpack._lent) == count


def test_a_library_that_refuses_an_array_says_why(machine: Machine):
    """NumPy has no bf16 of its own. What it refused is given back when the next array is lent."""
    count = lent()
    for _ in range(3):
        memory = machine.allocate(16)
        array = DeviceArray(machine, memory.address, (8,), np_dtype("bf16"), memory)
        with pytest.raises((RuntimeError, BufferError), match="dtype"):
            np.from_dlpack(array)
    assert len(dlpack._lent) == count + 1
    for name in ("f8e4m3", "i4"):
        with pytest.raises(BufferError, match="DLPack has no type for"):
            np.from_dlpack(DeviceArray(machine, memory.address, (8,), np_dtype(name), memory))
    assert len(dlpack._lent) == count


def test_what_dlpack_cannot_give_is_refused(machine: Machine):
    room = aligned(X)
    array = DeviceArray(machine, room.ctypes.data, X.shape, room.dtype, room, writable=False)
    for act in (
        lambda: array.__dlpack__(copy=True),
        lambda: array.__dlpack__(dl_device=(2, 0)),
        lambda: array.__dlpack__(max_version=(0, 8)),  # which cannot say that it is read-only
    ):
        with pytest.raises(BufferError):
            act()
    assert not np.from_dlpack(array).flags.writeable


def test_torch_sees_results_in_place(machine: Machine):
    torch = pytest.importorskip("torch")
    result: Any = cuda(SCORES)(Lent(aligned(X)))
    seen = torch.from_dlpack(result)
    address = result.address
    del result
    assert seen.data_ptr() == address
    np.testing.assert_allclose(seen.numpy(), wanted(), rtol=1e-5)


def test_an_array_that_overlaps_a_result(machine: Machine):
    x: Any = Lent(aligned(X))
    with pytest.raises(irkit.IrkitError, match="overlaps 'x' in memory"):
        cuda("fn main(x: f32[6, 8]) -> f32[6, 8] { return x + 1 }")(x, out=x)


# -- what a program for a GPU is not ------------------------------------------------------------------------------


def test_what_has_no_meaning_is_refused(machine: Machine, tmp_path: Path):
    program = cuda(SCORES)
    for act, said in (
        (lambda: program.save(tmp_path / "p.irk"), "not saved in one file"),
        (lambda: program.profile(X), "not profiled"),
        (lambda: cuda(SCORES, threads=2), "takes no number of threads"),
        (lambda: cuda(SCORES, tuned=True), "no tuned schedules"),
        (lambda: program.set_params({"w": Lent(aligned(X))}), "lies on a device"),  # pyright: ignore
    ):
        with pytest.raises(irkit.IrkitError, match=said):
            act()


def test_errors_of_launches_are_told(machine: Machine):
    program, room = (
        cuda("fn main(x: f32[6, 8]) -> f32[6, 8] { return x + 1 }"),
        aligned(np.zeros(80, np.float32)),
    )
    x = DeviceArray(machine, room.ctypes.data + 4, (6, 8), room.dtype, room)
    with pytest.raises(irkit.IrkitError, match="stopped on emulated on this CPU") as told:
        program(x)  # pyright: ignore
    assert told.value.found == "error 716: misaligned address"


# -- PyCUDA -------------------------------------------------------------------------------------------------------


class Cuda:
    """What device.py asks of PyCUDA, over memory of the CPU."""

    class Error(Exception):
        pass

    class MemoryError(Error):
        pass

    def __init__(self, capability: tuple[int, int] = (9, 0), devices: int = 1):
        self.depth, self.capability, self.devices, self.room = 0, capability, devices, 1 << 20
        self.Context = SimpleNamespace(pop=self.pop, synchronize=self.synchronize)
        self.streams: list[Stream] = []

    def init(self) -> None:
        if not self.devices:
            raise self.Error("cuInit failed: no CUDA-capable device is detected")

    def Device(self, number: int) -> Any:
        return SimpleNamespace(
            name=lambda: "Test GPU",
            compute_capability=lambda: self.capability,
            retain_primary_context=lambda: SimpleNamespace(push=self.push, detach=self.detach),
        )

    def push(self) -> None:
        self.depth += 1

    def pop(self) -> None:
        self.depth -= 1

    def detach(self) -> None:
        self.devices = 0

    def need_context(self) -> None:
        assert self.depth > 0, "no context is current"

    def memcpy_htod(self, address: int, array: np.ndarray) -> None:
        self.need_context()
        assert array.dtype == np.uint8
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def memcpy_dtoh(self, array: np.ndarray, address: int) -> None:
        self.need_context()
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def Stream(self, flags: int) -> Stream:
        self.need_context()
        self.streams.append(Stream(self, flags))
        return self.streams[-1]

    def Event(self, flags: int) -> Event:
        self.need_context()
        return Event()

    def synchronize(self) -> None:
        self.need_context()
        for stream in self.streams:
            stream.finish()

    def pagelocked_empty(self, size: int, dtype: Any) -> np.ndarray:
        self.need_context()
        return np.full(size, 0x5A, dtype)

    def memcpy_htod_async(self, address: int, array: np.ndarray, stream: Stream) -> None:
        stream.add(lambda: self.memcpy_htod(address, array))

    def memcpy_dtoh_async(self, array: np.ndarray, address: int, stream: Stream) -> None:
        stream.add(lambda: self.memcpy_dtoh(array, address))

    def mem_get_info(self) -> tuple[int, int]:
        self.need_context()
        return self.room, 1 << 20

    def DeviceMemoryPool(self) -> Any:
        self.need_context()
        return SimpleNamespace(allocate=self.allocate, free_held=self.need_context)

    def allocate(self, size: int) -> Any:
        self.need_context()
        if size > self.room:
            raise self.MemoryError("out of memory")
        self.room -= size
        return Piece(self, CpuMachine().allocate(size))


class Stream:
    """What is put on a stream that does not block is done as late as can be: when something waits for it. Kernels are not
    put on one: the stream that blocks does all at once."""

    handle = 0

    def __init__(self, cuda: Cuda, flags: int):
        self.cuda, self.eager, self.tasks, self.done = cuda, flags == 0, list[Any](), 0

    def add(self, task: Any) -> None:
        self.cuda.need_context()
        self.tasks.append(task)
        if self.eager:
            self.finish()

    def finish(self, until: int | None = None) -> None:
        for at in range(self.done, len(self.tasks) if until is None else until):
            task, self.tasks[at], self.done = self.tasks[at], None, at + 1
            task()

    def wait_for_event(self, event: Event) -> None:
        self.add(event.synchronize)


class Event:
    def record(self, stream: Stream) -> None:
        self.stream, self.place = stream, len(stream.tasks)

    def synchronize(self) -> None:
        self.stream.finish(self.place)


class Piece:
    """Memory of a pool, which has to be given back in a context."""

    def __init__(self, cuda: Cuda, memory: Any):
        self.cuda, self.memory = cuda, memory

    def __int__(self) -> int:
        return self.memory.address

    def free(self) -> None:
        self.cuda.need_context()
        self.cuda.room += max(self.memory.size, 64)
        self.memory = None

    def __del__(self) -> None:
        assert self.memory is None, "PyCUDA ends the process here"


class InPlaceOfNvcc(compiler.CpuCompiler):
    def flags(self, cflags: Any = ()) -> tuple[str, ...]:
        assert cflags and cflags[0].startswith("-arch=sm_")
        return super().flags()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """A GPU that PyCUDA finds, and an nvcc."""
    from irkit.runtime.compiler import find_compiler

    found, cc = Cuda(), find_compiler()
    opened = PyCudaMachine(found, found)
    monkeypatch.setattr(device, "open_device", lambda: opened)
    monkeypatch.setattr(setup, "find_nvcc", lambda: InPlaceOfNvcc(cc.command, cc.path))
    return found


def test_pycuda_runs_a_program(gpu: Cuda):
    program = irkit.compile(SCORES, target="cuda")
    np.testing.assert_allclose(program(X), wanted(), rtol=1e-5)
    lent: Any = Lent(aligned(X), stream=7)
    result: Any = program(lent)
    assert result.__cuda_array_interface__["shape"] == (6, 4)
    np.testing.assert_allclose(result.numpy(), wanted(), rtol=1e-5)
    assert gpu.depth == 0
    before = gpu.room
    del result
    assert gpu.room == before + 96


TWO = "fn main(x: f32[6, 8], y: f32[6, 8]) -> (f32[6, 8], f32[6, 8]) { return x + y, x * y }"


def test_copies_run_beside_launches(gpu: Cuda):
    """A call's inputs are free once it is begun; its results come with the wait, whatever others do meanwhile."""
    program = irkit.compile(TWO, target="cuda")
    inputs = [(X.copy(), np.full_like(X, n)) for n in range(2)]
    calls: list[Any] = [program.prepare(*pair) for pair in inputs]
    rounds: list[tuple[np.ndarray, float]] = []
    for turn in range(6):
        call, (x, y) = calls[turn % 2], inputs[turn % 2]
        if turn >= 2:
            total, product = call.wait()
            before, factor = rounds[turn - 2]
            np.testing.assert_array_equal(total, before + np.float32(factor))
            np.testing.assert_array_equal(product, before * np.float32(factor))
        x[...], y[...] = X + turn, turn / 2
        rounds.append((x.copy(), turn / 2))
        kept = call.results[0].copy()
        call.start()
        x.fill(np.nan)
        y.fill(np.nan)
        np.testing.assert_array_equal(call.results[0], kept)  # the copies back wait for someone to ask
    assert gpu.streams[2].done < len(gpu.streams[2].tasks)
    for number, call in enumerate(calls):
        np.testing.assert_array_equal(call.wait()[0], np.add(*rounds[4 + number], dtype=np.float32))
    assert not program._started and gpu.depth == 0  # pyright: ignore


def test_a_call_that_is_begun_keeps_its_memory(gpu: Cuda):
    program = irkit.compile(TWO, target="cuda")
    call: Any = program.prepare(X, X)
    call.start()
    alive = weakref.ref(call)
    del call
    gc.collect()
    held = alive()
    assert held is not None
    np.testing.assert_array_equal(held.wait()[0], X + X)
    del held
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("lost", ["launches wait for copies", "copies wait for launches"])
def test_a_missing_event_shows(gpu: Cuda, monkeypatch: pytest.MonkeyPatch, lost: str):
    """Copies that are left out of what waits for what."""
    program = irkit.compile(TWO, target="cuda")
    monkeypatch.setattr(
        Stream if lost == "launches wait for copies" else Event,
        "wait_for_event" if lost == "launches wait for copies" else "synchronize",
        lambda *_: None,
    )
    assert not np.array_equal(program(X, X)[0], X + X)


def test_pinned_memory_is_used_again(gpu: Cuda, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    right = gpu.pagelocked_empty
    monkeypatch.setattr(gpu, "pagelocked_empty", lambda n, t: asked.append(n) or right(n, t), raising=False)
    program = irkit.compile(TWO, target="cuda")
    for _ in range(3):
        program(X, X)
    assert asked == [4096] * 4
    monkeypatch.setattr(device, "PIECE", 50)  # bytes at a time
    np.testing.assert_array_equal(program(X, X)[0], X + X)


def test_without_pinned_memory_copies_go_on(gpu: Cuda, monkeypatch: pytest.MonkeyPatch):
    def none(size: int, dtype: Any) -> np.ndarray:
        raise gpu.MemoryError("out of memory")

    monkeypatch.setattr(gpu, "pagelocked_empty", none)
    np.testing.assert_array_equal(irkit.compile(TWO, target="cuda")(X, X)[0], X + X)


def test_pycuda_has_no_room(gpu: Cuda):
    text = "fn main(x: f32[1024, 1024]) -> f32[1024, 1024] { return x + 1 }"
    with pytest.raises(irkit.IrkitError, match="Test GPU has no room for 4194304 bytes") as told:
        irkit.compile(text, target="cuda")(np.zeros((1024, 1024), np.float32))
    assert told.value.found == f"{gpu.room} bytes free of 1048576"
    assert gpu.depth == 0


@pytest.mark.parametrize(
    ("target", "capability", "chosen"),
    [
        ("cuda", (8, 6), "cuda:sm_80"),
        ("cuda", (10, 0), "cuda:sm_90"),
        ("cuda:sm_80", (9, 0), "cuda:sm_80"),
        ("cuda:sm_90", (8, 0), None),
        ("cuda", (7, 5), None),
    ],
)
def test_the_target_suits_the_gpu(
    gpu: Cuda, monkeypatch: pytest.MonkeyPatch, target: str, capability: tuple[int, int], chosen: str | None
):
    monkeypatch.setattr(device, "open_device", lambda: PyCudaMachine(cuda, cuda))
    cuda = Cuda(capability)
    if chosen is not None:
        assert setup.set_up(target, None).target == chosen
        return
    with pytest.raises(irkit.IrkitError, match="does not run on this GPU"):
        setup.set_up(target, None)


# -- what is missing ----------------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine with a driver, and nothing else for a GPU."""
    monkeypatch.setattr(device, "DRIVER", None)  # this process
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    device.open_device.cache_clear()
    yield monkeypatch  # pyright: ignore
    device.open_device.cache_clear()


def said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> str:
    path = tmp_path / "m.tg"
    path.write_text(SCORES)
    assert main(["run", str(path), "--target=cuda"]) == 1
    return capsys.readouterr().err


def test_no_driver(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    bare.setattr(device, "DRIVER", "libthereisnone.so.1")
    text = said(capsys, tmp_path)
    assert "there is no driver for NVIDIA GPUs" in text and "--target=cuda:cpu" in text


def test_no_pycuda(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    text = said(capsys, tmp_path)
    assert "programs on a GPU need PyCUDA" in text and "pip install 'irkit[cuda]'" in text


def pretend(patch: pytest.MonkeyPatch, driver: Cuda | None) -> None:
    """A module pycuda, with a driver or without."""
    patch.setattr(device, "find_spec", lambda name: object())
    for name in ("pycuda", "pycuda.driver", "pycuda.tools"):
        patch.setitem(sys.modules, name, driver if driver is None or "." in name else ModuleType(name))  # pyright: ignore


def test_pycuda_that_does_not_load(
    bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    pretend(bare, None)
    assert "PyCUDA cannot be imported" in said(capsys, tmp_path)


def test_no_gpu(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    pretend(bare, Cuda(devices=0))
    text = said(capsys, tmp_path)
    assert "there is no GPU to run on" in text and "no CUDA-capable device" in text


def test_no_nvcc(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    pretend(bare, Cuda())
    bare.setenv("PATH", "")
    bare.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    bare.setattr(compiler, "STANDARD", tmp_path)
    text = said(capsys, tmp_path)
    assert "there is no nvcc, CUDA's compiler" in text and str(tmp_path / "cuda" / "bin") in text


def test_nvcc_of_cuda_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    tool = tmp_path / "bin" / "nvcc"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert compiler.find_nvcc().path == tool


# -- nvcc ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not has_nvcc(), reason="there is no nvcc")
def test_nvcc_builds_what_is_written(tmp_path: Path):
    """The pair alone, and the example, with all warnings as errors."""
    path = Path(__file__).resolve().parents[2] / "examples" / "digits.tg"
    assert main(["compile", str(path), "--target=cuda:sm_80", "-o", str(tmp_path)]) == 0
    words = ["nvcc", "-arch=sm_80", "-std=c++17", "-Werror", "all-warnings", "-Xcompiler", "-Wall,-Wextra"]
    subprocess.run([*words, "-c", "digits.cu"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([*words, "-c", "main.cu"], cwd=tmp_path, check=True, capture_output=True)


def test_the_example_checks_itself(tmp_path: Path):
    """Built for a CPU, with weights and golden numbers."""
    path = Path(__file__).resolve().parents[2] / "examples" / "digits.tg"
    assert main(["compile", str(path), "--target=cuda:cpu", "--golden", "-o", str(tmp_path)]) == 0
    build = (
        "gcc -O1 -std=c++17 -fno-threadsafe-statics -x c++ digits.cu main.cu digits_weights.c -o digits -lm"
    )
    subprocess.run(build.split(), cwd=tmp_path, check=True)
    done = subprocess.run(["./digits"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "largest difference 0, allowed" in done.stdout
