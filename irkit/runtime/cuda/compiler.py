"""What compiles CUDA text to a shared library: nvcc, or a C compiler's C++ for this CPU."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dialects.errors import IrkitError
from irkit.runtime.compiler import INCLUDE, Compiler, users_flags
from lowering.cuda.emit import CUDA_INCLUDE, HOST_FLAGS, NVCC_FLAGS

HOMES = ("CUDA_HOME", "CUDA_PATH")
STANDARD = Path("/usr/local/cuda")


class CudaCompiler(Compiler):
    """What the text asks of both."""

    SUFFIX: ClassVar[str] = ".cu"
    FOLDERS: ClassVar[tuple[Path, ...]] = (INCLUDE, CUDA_INCLUDE)


@dataclass(frozen=True)
class CpuCompiler(CudaCompiler):
    """A C compiler, asked for C++ without its library."""

    KIND: ClassVar[str] = "C++ compiler"

    def flags(self, cflags: Sequence[str] = ()) -> tuple[str, ...]:
        return ("-fPIC", *HOST_FLAGS, *cflags, *users_flags())


@dataclass(frozen=True)
class Nvcc(CudaCompiler):
    """CUDA's compiler; `cflags` of a target name its instruction set."""

    KIND: ClassVar[str] = "CUDA compiler"

    def flags(self, cflags: Sequence[str] = ()) -> tuple[str, ...]:
        return (*NVCC_FLAGS, "-Xcompiler", "-fPIC", *cflags)


def find_nvcc() -> Nvcc:
    """nvcc on the PATH, or of the toolkit that CUDA_HOME names, or where it is installed. Raises IrkitError."""
    homes = [Path(os.environ[name]) for name in HOMES if os.environ.get(name)]
    places = [shutil.which("nvcc"), *(shutil.which("nvcc", path=home / "bin") for home in (*homes, STANDARD))]
    found = next((place for place in places if place), None)
    if found is None:
        raise IrkitError(
            "there is no nvcc, CUDA's compiler",
            found=f"none on the PATH, nor in {', '.join(str(h / 'bin') for h in (*homes, STANDARD))}",
            expected="the CUDA toolkit",
            hint="put its bin folder on the PATH or set CUDA_HOME; --target=cuda:cpu does without",
        )
    return Nvcc((found,), Path(found))
