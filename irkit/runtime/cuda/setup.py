"""What a CUDA target runs on: its machine, its compiler, and the instruction set that suits both."""

from __future__ import annotations

from dataclasses import dataclass

from dialects.errors import IrkitError
from irkit.runtime.compiler import Compiler, find_compiler
from irkit.runtime.cuda.compiler import CpuCompiler, find_nvcc
from irkit.runtime.cuda.machine import CpuMachine, Machine
from lowering.target import DEVICES, TF32, get_target, runs_on_cpu

ANY = "cuda"
"""The target that takes what the GPU at hand has."""

CPU = CpuMachine()
"""One for all programs, so that what one makes another may take."""


@dataclass(frozen=True)
class Setup:
    """A target by the name that says most of it, with what compiles for it and runs it."""

    target: str
    compiler: Compiler
    machine: Machine

    @property
    def cflags(self) -> tuple[str, ...]:
        """What its compiler is told of it."""
        gpu = get_target(self.target).gpu
        return () if runs_on_cpu(self.target) or gpu is None else (gpu.flag,)


def set_up(target: str, cc: str | None) -> Setup:
    """What runs a CUDA target here. Raises IrkitError where the GPU, its driver, PyCUDA or the compiler is missing."""
    if runs_on_cpu(target):
        found = find_compiler(cc)
        return Setup(target, CpuCompiler(found.command, found.path), CPU)
    from irkit.runtime.cuda.device import open_device

    machine = open_device()
    return Setup(_for_device(target, machine.name, machine.capability), find_nvcc(), machine)


def _for_device(target: str, name: str, capability: tuple[int, int]) -> str:
    """A target that a GPU runs: the one asked for, or the best of those declared. Raises IrkitError."""
    wanted, suffix = target.removesuffix(TF32), TF32 if target.endswith(TF32) else ""
    able = {known for known, gpu in DEVICES.items() if _version(gpu.arch) <= capability}
    if wanted == ANY and able:
        return max(able, key=lambda known: _version(DEVICES[known].arch)) + suffix
    if wanted not in able:
        raise IrkitError(
            f"the target {target} does not run on this GPU",
            found=f"{name}, of compute capability {'.'.join(map(str, capability))}",
            expected=f"one of {', '.join(sorted(able))}" if able else "compute capability 8.0 or greater",
        )
    return target


def _version(arch: str) -> tuple[int, int]:
    """The compute capability of an instruction set: (9, 0) for sm_90."""
    digits = arch.removeprefix("sm_")
    return int(digits[:-1]), int(digits[-1])
