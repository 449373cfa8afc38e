"""The roofs of this machine: what a compiler's code reaches in arithmetic, and in reading memory.

No target declares them, so that a small C program measures them once for each compiler, target and number of threads,
and the cache keeps the result.
"""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from dialects.errors import IrkitError
from irkit.files import write_atomically
from irkit.runtime import cache
from irkit.runtime.compiler import Compiler
from lowering.target import Target

SIZES = (16 << 20, 256 << 20)
"""Bytes of the arrays that bandwidth is measured on, besides one that the second-level caches hold."""


@dataclass(frozen=True)
class Machine:
    """Peaks of a number of threads: FLOP/s in f32 and f64, and bytes per second by size of the array that is read."""

    flops32: float
    flops64: float
    bandwidths: tuple[tuple[int, float], ...]

    def bandwidth(self, size: int) -> float:
        """Bytes per second for a working set: that of the smallest array measured which holds it."""
        for limit, found in self.bandwidths:
            if size <= limit:
                return found
        return self.bandwidths[-1][1]

    def seconds(self, flops: int, size: int, is_double: bool = False) -> float:
        """The least time for so many FLOPs and bytes: that of the roof which is lower at their ratio."""
        return max(flops / (self.flops64 if is_double else self.flops32), size / self.bandwidth(size))


def machine(compiler: Compiler, target: Target, threads: int) -> Machine:
    """The roofs, from the cache or measured now. Raises IrkitError where the compiler fails."""
    source = _SOURCE.replace("VECTOR", str(max(8, target.vector_bytes)))
    sizes = (max(1 << 16, target.l2 // 2 * threads), *SIZES)
    key = cache.program_key([source, repr(sizes), *target.cflags, str(threads)], compiler)
    path = cache.cache_dir() / f"machine-{key}.json"
    found = _load(path)
    if found is None:
        found = _measure(source, compiler, target, threads, tuple(sorted(sizes)))
        write_atomically(str(path), json.dumps(asdict(found)))
    return found


def _load(path: Path) -> Machine | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple((int(size), float(value)) for size, value in data["bandwidths"])
        found = Machine(float(data["flops32"]), float(data["flops64"]), rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if rows and min(found.flops32, found.flops64, *(v for _, v in rows)) > 0 else None


def _measure(
    source: str, compiler: Compiler, target: Target, threads: int, sizes: tuple[int, ...]
) -> Machine:
    with tempfile.TemporaryDirectory(dir=cache.cache_dir(), prefix="build-") as folder:
        text, built = Path(folder) / "probe.c", Path(folder) / "probe.so"
        text.write_text(source, encoding="utf-8")
        compiler.shared_library(text, built, target.cflags)
        probe = ctypes.CDLL(os.fspath(built)).irk_probe
    probe.restype, probe.argtypes = ctypes.c_double, [ctypes.c_int, ctypes.c_int64, ctypes.c_int]
    flops32, flops64 = probe(0, 0, threads), probe(1, 0, threads)
    found = [(size, probe(2, size, threads)) for size in sizes]
    rows = tuple((size, value) for size, value in found if value > 0)
    if min(flops32, flops64) <= 0 or not rows:
        raise IrkitError(
            f"cannot measure this machine with {threads} threads",
            hint="use fewer threads, or free some memory",
        )
    return Machine(flops32, flops64, rows)


_SOURCE = """#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, CHAINS = 12, STEPS = 200000 };
typedef float vf __attribute__((vector_size(VECTOR), may_alias));
typedef double vd __attribute__((vector_size(VECTOR), may_alias));

typedef struct {
  int kind, tid, threads;
  int64_t bytes;
  pthread_barrier_t *barrier;
  pthread_mutex_t *gate;
  const int *stop;
  int64_t begin[ROUNDS], end[ROUNDS];
  double work;
} job;

static volatile float seed = 0.5f;
static volatile double sink;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#define CHAINS_OF(TYPE, NAME)                                                \\
  static double NAME(void) {                                                 \\
    TYPE a[CHAINS], x = (TYPE){0} + seed, y = (TYPE){0} + seed;              \\
    for (int i = 0; i < CHAINS; i++) a[i] = x;                               \\
    for (int64_t n = 0; n < STEPS; n++) {                                    \\
      _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y; \\
    }                                                                        \\
    for (int i = 1; i < CHAINS; i++) a[0] += a[i];                           \\
    sink = (double)a[0][0];                                                  \\
    return 2.0 * CHAINS * STEPS * (double)(sizeof(TYPE) / sizeof a[0][0]);   \\
  }
CHAINS_OF(vf, multiply_add_32)
CHAINS_OF(vd, multiply_add_64)

static double read_all(const char *data, int64_t bytes) {
  enum { SUMS = 8 };
  const int64_t block = SUMS * (int64_t)sizeof(vf), passes = bytes < (8 << 20) ? (16 << 20) / bytes + 1 : 1;
  vf sums[SUMS];
  memset(sums, 0, sizeof sums);
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int64_t at = 0; at + block <= bytes; at += block) {
      _Pragma("GCC unroll 8") for (int i = 0; i < SUMS; i++) sums[i] += ((const vf *)(const void *)(data + at))[i];
    }
    __asm__ volatile("" : : "r"(data) : "memory");
  }
  for (int i = 1; i < SUMS; i++) sums[0] += sums[i];
  sink = (double)sums[0][0];
  return (double)passes * (double)(bytes / block * block);
}

static void *work(void *argument) {
  job *j = (job *)argument;
  pthread_mutex_lock(j->gate);  // until all threads are there
  const int stop = *j->stop;
  pthread_mutex_unlock(j->gate);
  if (stop) return NULL;
  const int64_t bytes = j->bytes / j->threads / 4096 * 4096;
  char *data = j->kind == 2 ? aligned_alloc(4096, (size_t)bytes) : NULL;
  if (data) memset(data, 0, (size_t)bytes);
  for (int round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(j->barrier);
    j->begin[round] = now();
    if (j->kind != 2) j->work = j->kind ? multiply_add_64() : multiply_add_32();
    else j->work = data ? read_all(data, bytes) : 0;
    j->end[round] = now();
  }
  free(data);
  return NULL;
}

// The most per second in some rounds: FLOPs in f32 (kind 0) or f64 (1), or bytes read from an array (2); 0 on failure.
double irk_probe(int kind, int64_t bytes, int threads) {
  job *jobs = calloc((size_t)threads, sizeof *jobs);
  pthread_t *ids = calloc((size_t)threads, sizeof *ids);
  pthread_barrier_t barrier;
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  if (!jobs || !ids || pthread_barrier_init(&barrier, NULL, (unsigned)threads)) {
    free(jobs);
    free(ids);
    return 0;
  }
  int stop = 0, started = 1;
  pthread_mutex_lock(&gate);
  for (int t = 0; t < threads; t++) {
    jobs[t] = (job){.kind = kind, .tid = t, .threads = threads, .bytes = bytes};
    jobs[t].barrier = &barrier, jobs[t].gate = &gate, jobs[t].stop = &stop;
    if (t && !stop) pthread_create(&ids[t], NULL, work, &jobs[t]) ? (stop = 1) : started++;
  }
  pthread_mutex_unlock(&gate);
  work(&jobs[0]);
  for (int t = 1; t < started; t++) pthread_join(ids[t], NULL);
  double best = 0, total = 0;
  for (int t = 0; t < threads; t++) total += jobs[t].work;
  for (int round = 0; round < ROUNDS; round++) {
    int64_t begin = jobs[0].begin[round], end = jobs[0].end[round];
    for (int t = 1; t < threads; t++) {
      if (jobs[t].begin[round] < begin) begin = jobs[t].begin[round];
      if (jobs[t].end[round] > end) end = jobs[t].end[round];
    }
    if (end > begin && total / (double)(end - begin) * 1e9 > best) best = total / (double)(end - begin) * 1e9;
  }
  pthread_barrier_destroy(&barrier);
  free(jobs);
  free(ids);
  return best;
}
"""
