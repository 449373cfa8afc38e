"""A program written by hand against the interface, so that the run time is tested without the compiler."""

from dataclasses import replace
from pathlib import Path

from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Program
from lowering.c.abi import ArgSpec, ProgramSpec, header_text, info_text

TEAM = """
struct irk_team { int n; };
irk_team *scale_team_create(int n) { irk_team *t = malloc(sizeof *t); t->n = n; return t; }
void scale_team_destroy(irk_team *t) { free(t); }
"""

SOURCE = """
#include <stdlib.h>
#include "scale.h"
%s
size_t scale_arena_bytes(const scale_args *a, int nthreads) { return (size_t)a->B * 64 + 64 * (size_t)nthreads; }
int scale_run(const scale_args *a, void *arena, irk_team *team) {
  (void)team;
  if ((uintptr_t)arena %% 64) return SCALE_BAD_ARENA;
  float *h = arena;
  for (int64_t i = 0; i < a->B; i++) {
    a->total[i] = 0;
    for (int64_t j = 0; j < 3; j++) {
      h[j] = a->x[i * 3 + j] * a->w[j] + (float)a->float_[0];
      a->y[i * 3 + j] = h[j];
      a->total[i] += h[j];
    }
  }
  return SCALE_OK;
}
"""


def scale_spec() -> ProgramSpec:
    """y = x * w + float, total = sum of the rows of y; the last input is named after a C keyword."""
    spec = ProgramSpec(
        name="scale",
        args=(
            ArgSpec("x", "input", "f32", ("B", "3")),
            ArgSpec("float", "input", "i32", ()),
            ArgSpec("w", "param", "f32", ("3",), "ones"),
            ArgSpec("y", "output", "f32", ("B", "3")),
            ArgSpec("total", "output", "f32", ("B",)),
        ),
        symbols=(("B", 1, 8),),
        arena_bytes=512,
        scratch_bytes=64,
        peak_bytes=12,
        lower_bound_bytes=12,
        kernels=("scale",),
        source="",
        header="",
    )
    return replace(spec, source=SOURCE % TEAM + info_text(spec), header=header_text(spec))


def build(spec: ProgramSpec) -> Path:
    """The library of a spec, through the cache."""
    return cache.library(spec, find_compiler(), ("-Wall", "-Wextra", "-Werror"))


def load(threads: int | None = 1, **values) -> Program:
    """The program of `scale_spec`."""
    spec = scale_spec()
    return Program(spec, build(spec), values, threads)
