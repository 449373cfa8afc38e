"""numba, for the stencils."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from tools.bench.candidate import Candidate
from tools.bench.data import Data, aligned
from tools.bench.rows import Row

QUARTER, TENTH, SIX = np.float32(0.25), np.float32(0.1), np.float32(6)


def jacobi2d(u: np.ndarray, v: np.ndarray) -> None:
    n, m = u.shape
    for i in numba.prange(1, n - 1):
        for j in range(1, m - 1):
            v[i, j] = QUARTER * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])


def heat3d(u: np.ndarray, v: np.ndarray) -> None:
    n, m, p = u.shape
    for i in numba.prange(1, n - 1):
        for j in range(1, m - 1):
            for k in range(1, p - 1):
                around = u[i - 1, j, k] + u[i + 1, j, k] + u[i, j - 1, k] + u[i, j + 1, k]
                around += u[i, j, k - 1] + u[i, j, k + 1]
                v[i, j, k] = u[i, j, k] + TENTH * (around - SIX * u[i, j, k])


FAMILIES: dict[str, tuple[Callable[..., None], int]] = {"jacobi2d": (jacobi2d, 100), "heat3d": (heat3d, 10)}


def prepare(row: Row, data: Data, threads: int) -> Candidate | None:
    if row.family not in FAMILIES:
        return None
    function, steps = FAMILIES[row.family]
    steps = row.dims.get("T", steps)
    step = numba.njit(parallel=threads > 1, fastmath=True)(function)
    start = data.inputs["u"]
    arrays = [aligned(start.shape) for _ in range(2)]

    def call() -> np.ndarray:
        """Goes on from where the last call ended."""
        u, v = arrays
        for _ in range(steps):
            step(u, v)
            u, v = v, u
        return u

    def result() -> np.ndarray:
        for array in arrays:
            array[...] = start
        return call().copy()

    result()
    return Candidate(call, result)
