"""Loops in C as one writes them, with OpenMP, for the stencils."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tools.bench.candidate import Candidate
from tools.bench.data import Data, aligned
from tools.bench.rows import Row

FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fopenmp", "-fPIC")
LINK = ("-fopenmp", "-shared")
"""Without -ffast-math, which would link code that takes small numbers for zero in the whole process."""

SOURCE = """\
#include <stddef.h>

static void swap(float **u, float **v) {
  float *w = *u;
  *u = *v;
  *v = w;
}

void jacobi2d(float *u, float *v, ptrdiff_t n, int steps) {
  for (int t = 0; t < steps; t++, swap(&u, &v)) {
    const float *restrict from = u;
    float *restrict to = v;
#pragma omp parallel for
    for (ptrdiff_t i = 1; i < n - 1; i++)
      for (ptrdiff_t j = 1; j < n - 1; j++) {
        const float *p = from + i * n + j;
        to[i * n + j] = 0.25f * (p[-n] + p[n] + p[-1] + p[1]);
      }
  }
}

void heat3d(float *u, float *v, ptrdiff_t n, int steps) {
  for (int t = 0; t < steps; t++, swap(&u, &v)) {
    const float *restrict from = u;
    float *restrict to = v;
#pragma omp parallel for
    for (ptrdiff_t i = 1; i < n - 1; i++)
      for (ptrdiff_t j = 1; j < n - 1; j++)
        for (ptrdiff_t k = 1; k < n - 1; k++) {
          const float *p = from + (i * n + j) * n + k;
          to[(i * n + j) * n + k] =
              p[0] + 0.1f * (p[-n * n] + p[n * n] + p[-n] + p[n] + p[-1] + p[1] - 6 * p[0]);
        }
  }
}
"""

STEPS = {"jacobi2d": 100, "heat3d": 10}


def prepare(row: Row, data: Data, threads: int) -> Candidate | None:
    if row.family not in STEPS:
        return None
    steps = row.dims.get("T", STEPS[row.family])
    with tempfile.TemporaryDirectory() as folder:
        source, compiled, library = (Path(folder) / f"stencil.{end}" for end in ("c", "o", "so"))
        source.write_text(SOURCE, encoding="utf-8")
        for command in (
            ["gcc", *FLAGS, "-c", source, "-o", compiled],
            ["gcc", *LINK, compiled, "-o", library],
        ):
            subprocess.run(command, check=True, capture_output=True)
        function = getattr(ctypes.CDLL(str(library)), row.family)
    function.restype = None
    start = data.inputs["u"]
    u, v = (aligned(start.shape) for _ in range(2))
    pointers = (ctypes.c_void_p(u.ctypes.data), ctypes.c_void_p(v.ctypes.data))

    def call() -> None:
        """Goes on from where the last call ended, where the number of steps is even."""
        function(*pointers, ctypes.c_ssize_t(start.shape[0]), steps)

    def result() -> np.ndarray:
        u[...] = v[...] = start
        call()
        return (v if steps % 2 else u).copy()

    return Candidate(call, result)
