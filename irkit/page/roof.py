"""The roof of a machine: given, or estimated from what its target declares."""

from __future__ import annotations

from pathlib import Path

from dialects.errors import IrkitError
from irkit.page.facts import Roof
from lowering.target import Target

CLOCK = 3e9
"""Cycles per second where the machine does not say."""

FMA_PER_CYCLE = 2
"""Vector multiply-adds that a core starts in a cycle: two on the x86 and Arm cores of the last ten years."""

BYTES_PER_SECOND = 10e9
"""What one core draws from memory; four cores and more share what four can draw."""


def find_roof(target: Target, given: str | None) -> Roof:
    """The roof given as `GFLOPS,GB` (per second), else an estimate in f32. Raises IrkitError."""
    if given is not None:
        return read_roof(given)
    clock = _clock() if target.name == "native" else CLOCK
    flops = target.cores * clock * FMA_PER_CYCLE * 2 * max(1, target.vector_bytes // 4)
    size = min(target.cores, 4) * BYTES_PER_SECOND
    basis = (
        f"an estimate in f32: {target.cores} core{'s' if target.cores > 1 else ''} at {clock / 1e9:.3g} GHz, "
        f"{FMA_PER_CYCLE} multiply-adds of {target.vector_bytes} bytes in a cycle, "
        f"{size / 1e9:.3g} GB/s from memory; --roof gives measured figures"
    )
    return Roof(flops, size, basis)


def read_roof(text: str) -> Roof:
    """`GFLOPS,GB`, both per second. Raises IrkitError."""
    try:
        flops, size = (float(part) * 1e9 for part in text.split(","))
    except ValueError:
        flops = size = 0.0
    if not (0 < flops < float("inf") and 0 < size < float("inf")):
        raise IrkitError(
            f"bad roof '{text}'", expected="GFLOP/s and GB/s with a comma between, as in --roof 150,12"
        )
    return Roof(flops, size, "as given by --roof")


def _clock() -> float:
    """The greatest clock of the first core in Hz, as sysfs tells."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").read_text()
        return float(text) * 1e3
    except (OSError, ValueError):
        return CLOCK
