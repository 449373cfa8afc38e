"""What a machine has: vector registers, caches, cores; and the compiler flags that go with it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from xdsl.ir import Attribute

from dialects.errors import IrkitError
from dialects.types import element_bytes


@dataclass(frozen=True)
class Gpu:
    """What a CUDA device has: threads and shared memory (bytes) of a block, and of a multiprocessor, registers of a thread,
    multiprocessors; the bytes that a thread reads at once; whether factors of f32 products may be rounded to 19 bits (tf32),
    for tensor cores; and the name that nvcc has for its instruction set."""

    arch: str
    processors: int
    threads: int = 256
    most_threads: int = 1024
    warp: int = 32
    shared: int = 48 << 10
    shared_of_processor: int = 164 << 10
    registers: int = 255
    access: int = 16
    tf32: bool = False

    @property
    def flag(self) -> str:
        """What nvcc is told of it."""
        return f"-arch={self.arch}"


@dataclass(frozen=True)
class Target:
    """A declared machine. Sizes in bytes; `tile` is the register tile (rows, registers of columns).

    A contraction that walks blocks of rows takes `kc` points of the reduced axis at once, and `mc` rows. One that walks
    panels of columns takes `long_kc` points of all rows, as long as these need no more than `resident` bytes.
    `portable` asks for C99 and nothing else: one number at a time, no extension, no library. `packs` allows copies of
    operands in panels; `streams` says that stores can bypass the caches;
    `whole` is the longest axis that a kernel keeps in registers or on its stack. `gpu` is set where loops are mapped to blocks
    and threads; `tile` is then what one thread holds of a result.
    """

    name: str
    vector_bytes: int
    registers: int
    l1: int = 32 << 10
    l2: int = 1 << 20
    l3: int = 8 << 20
    cores: int = 1
    features: frozenset[str] = frozenset()
    cflags: tuple[str, ...] = ()
    tile: tuple[int, int] = (4, 2)
    kc: int = 256
    mc: int = 168
    long_kc: int = 512
    resident: int = 512 << 10
    portable: bool = False
    packs: bool = True
    whole: int = 256
    streams: bool = False
    gpu: Gpu | None = None

    def lanes(self, element: Attribute) -> int:
        """Elements in a vector register, at least one; small types get as many as 32-bit ones."""
        return max(1, self.vector_bytes // max(4, element_bytes(element)))

    def register_tile(self, element: Attribute) -> tuple[int, int]:
        """Rows and columns of the accumulator of a contraction."""
        rows, parts = self.tile
        return rows, parts * self.lanes(element)


AVX512 = Target(
    "avx512",
    64,
    32,
    l1=48 << 10,
    l2=2 << 20,
    features=frozenset({"avx512f"}),
    cflags=("-march=x86-64-v4", "-mprefer-vector-width=512"),
    tile=(14, 2),
    resident=1 << 20,
    streams=True,
)
AVX2 = Target(
    "avx2",
    32,
    16,
    features=frozenset({"avx2", "fma"}),
    cflags=("-march=x86-64-v3",),
    tile=(6, 2),
    mc=144,
    long_kc=1024,
    resident=8 << 20,
    streams=True,
)
NEON = Target("neon", 16, 32, features=frozenset({"neon"}), tile=(8, 2), mc=128)
SSE2 = Target("sse2", 16, 16, tile=(4, 2), mc=128, streams=True)
SCALAR = Target("scalar", 4, 16, tile=(4, 4), mc=64)
C99 = Target(
    "c99",
    4,
    16,
    l1=16 << 10,
    l2=64 << 10,
    l3=0,
    tile=(4, 4),
    kc=64,
    mc=32,
    portable=True,
    packs=False,
    whole=64,
)

DECLARED = {t.name: t for t in (AVX512, AVX2, NEON, SSE2, SCALAR, C99)}

DEVICES = {"cuda:sm_80": Gpu("sm_80", 108), "cuda:sm_90": Gpu("sm_90", 132, shared_of_processor=228 << 10)}
"""The figures of an A100 and an H100."""

TF32 = "+tf32"
"""What is added to the name of a CUDA target that rounds factors of f32 products to tf32."""

CUDA = {
    name: Target(name, 16, gpu.registers, tile=(8, 2), packs=False, whole=64, gpu=gpu)
    for name, gpu in DEVICES.items()
}
ON_CPU = "cuda:cpu"
"""What is compiled for a GPU, compiled for this CPU: every block and thread in turns."""

CUDA_TARGETS = CUDA | {"cuda": CUDA["cuda:sm_90"], ON_CPU: replace(CUDA["cuda:sm_90"], name=ON_CPU)}
CUDA_TARGETS |= {
    name + TF32: replace(target, name=target.name + TF32, gpu=replace(target.gpu, tf32=True))
    for name, target in CUDA_TARGETS.items()
    if target.gpu is not None
}
DECLARED |= CUDA_TARGETS

CLANG_TILES = {"avx512": (12, 2), "avx2": (6, 2)}
"""The tiles that clang keeps in registers."""


def runs_on_cpu(name: str) -> bool:
    """Whether a CUDA target is this CPU."""
    return name.removesuffix(TF32) == ON_CPU


def is_cuda(name: str) -> bool:
    """Whether a target has blocks and threads."""
    return name in CUDA_TARGETS


def get_target(name: str = "native", cc: str = "gcc") -> Target:
    """A target by name, with the register tile for a compiler; raises IrkitError for an unknown name."""
    if name != "native" and name not in DECLARED:
        raise IrkitError(
            f"unknown target '{name}'",
            expected="one of native, " + ", ".join(DECLARED),
            hint="native reads this machine",
        )
    target = native() if name == "native" else DECLARED[name]
    if "clang" in os.path.basename(cc) or "zig" in cc:
        base = "avx512" if target.vector_bytes == 64 else "avx2" if target.vector_bytes == 32 else ""
        target = replace(target, tile=CLANG_TILES.get(base, target.tile))
    return target


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def native() -> Target:
    """This machine, as Linux describes it; the plain target of its family where it says nothing."""
    flags = _cpu_flags()
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        base = AVX512
    elif {"avx2", "fma"} <= flags:
        base = AVX2
    elif os.uname().machine in ("aarch64", "arm64"):
        base = NEON
    else:
        base = SSE2
    march = (
        () if base is NEON else ("-march=native", *(("-mprefer-vector-width=512",) if base is AVX512 else ()))
    )
    sizes = {level: _cache_size(level) for level in (1, 2, 3)}
    return replace(
        base,
        name="native",
        l1=sizes[1] or base.l1,
        l2=sizes[2] or base.l2,
        l3=sizes[3] or base.l3,
        cores=available_cores(),
        features=frozenset(
            flags
            & {"avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8"}
        ),
        cflags=march,
    )


def runs_here(target: Target) -> bool:
    """Whether this machine runs what is compiled for a target."""
    if target.name in ("native", SCALAR.name, C99.name):
        return True
    machine = os.uname().machine
    if target.name == NEON.name:
        return machine in ("aarch64", "arm64")
    return machine == "x86_64" and target.features <= _cpu_flags()


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.M)
    return frozenset(found[1].split()) if found else frozenset()


def _cache_size(level: int) -> int | None:
    """Bytes of the data cache of a level, as sysfs tells."""
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            kind = (index / "type").read_text().strip()
            if int((index / "level").read_text()) == level and kind in ("Data", "Unified"):
                return int((index / "size").read_text().strip().rstrip("K")) << 10
        except (OSError, ValueError):
            continue
    return None
