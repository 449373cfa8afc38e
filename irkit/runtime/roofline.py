"""The roofs of this machine: what a compiler's code reaches in arithmetic, in exp, and in reading memory.

No target declares them, so that a small C program measures them once for each compiler, target and number of threads,
and the cache keeps the result.
"""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
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
    """Peaks of a number of threads: FLOP/s in f32 and f64, bytes per second by size of the array that is read, and
    calls of exp in f32 per second, on arrays that the first-level cache holds."""

    flops32: float
    flops64: float
    bandwidths: tuple[tuple[int, float], ...]
    exps32: float

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
    source = _source(target)
    sizes = (max(1 << 16, target.l2 // 2 * threads), *SIZES)
    key = cache.program_key([source, repr(sizes), *target.cflags, str(threads)], compiler)
    path = cache.cache_dir() / f"machine-{key}.json"
    found = _load(path)
    if found is None:
        found = _measure(source, compiler, target, threads, tuple(sorted(sizes)))
        write_atomically(str(path), json.dumps(asdict(found)))
    return found


def stream_rate(compiler: Compiler, target: Target, threads: int, read: int, written: int) -> float:
    """Bytes per second of threads that read so many bytes of one array and write so many of another, measured now.

    What is both read and written is copied by the C library. Raises IrkitError.
    """
    rate = _probe(_source(target), compiler, target)(_STREAM, read, written, threads)
    if rate <= 0:
        raise IrkitError(f"cannot measure a copy of {read} bytes with {threads} threads")
    return rate


def _source(target: Target) -> str:
    size = max(8, target.vector_bytes)
    return _SOURCE.replace("VECTOR", str(size)).replace("LANES", str(size // 4))


def _load(path: Path) -> Machine | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple((int(size), float(value)) for size, value in data["bandwidths"])
        found = Machine(float(data["flops32"]), float(data["flops64"]), rows, float(data["exps32"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    peaks = (found.flops32, found.flops64, found.exps32, *(v for _, v in rows))
    return found if rows and min(peaks) > 0 else None


def _measure(
    source: str, compiler: Compiler, target: Target, threads: int, sizes: tuple[int, ...]
) -> Machine:
    probe = _probe(source, compiler, target)
    flops32, flops64, exps32 = (probe(kind, 0, 0, threads) for kind in (_FLOPS32, _FLOPS64, _EXPS32))
    found = [(size, probe(_READ, size, 0, threads)) for size in sizes]
    rows = tuple((size, value) for size, value in found if value > 0)
    if min(flops32, flops64, exps32) <= 0 or not rows:
        raise IrkitError(
            f"cannot measure this machine with {threads} threads",
            hint="use fewer threads, or free some memory",
        )
    return Machine(flops32, flops64, rows, exps32)


@lru_cache(maxsize=8)
def _probe(source: str, compiler: Compiler, target: Target) -> Callable[[int, int, int, int], float]:
    """`irk_probe` of the C program: (kind, bytes read, bytes written, threads) to the most per second."""
    with tempfile.TemporaryDirectory(dir=cache.cache_dir(), prefix="build-") as folder:
        text, built = Path(folder) / "probe.c", Path(folder) / "probe.so"
        text.write_text(source, encoding="utf-8")
        compiler.shared_library(text, built, target.cflags)
        probe = ctypes.CDLL(os.fspath(built)).irk_probe
    probe.restype = ctypes.c_double
    probe.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
    return probe


_FLOPS32, _FLOPS64, _READ, _EXPS32, _STREAM = range(5)
"""What `irk_probe` measures."""

_SOURCE = """#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define IRK_ONLY_XLANES
#include "irk_math.h"

enum { ROUNDS = 7, CHAINS = 12, STEPS = 200000, FLOPS32 = 0, FLOPS64, READ, EXPS32, STREAM };
typedef float vf __attribute__((vector_size(VECTOR), may_alias));
typedef double vd __attribute__((vector_size(VECTOR), may_alias));

typedef struct {
  int kind, tid, threads;
  int64_t bytes, written;
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

static double exps(void) {
  enum { COUNT = 128, PASSES = 2000 };
  static _Thread_local irk_f32xLANES x[COUNT], y[COUNT];
  for (int i = 0; i < COUNT; i++) x[i] = (irk_f32xLANES){0} - seed * (float)i / COUNT;
  for (int pass = 0; pass < PASSES; pass++) {
    for (int i = 0; i < COUNT; i++) irk_exp_f32xLANES(&y[i], &x[i]);
    __asm__ volatile("" : : "r"(x), "r"(y) : "memory");
  }
  return (double)LANES * COUNT * PASSES;
}

static int64_t passes_over(int64_t bytes) { return bytes < (8 << 20) ? (16 << 20) / bytes + 1 : 1; }

static double read_all(const char *data, int64_t bytes, int64_t passes) {
  enum { SUMS = 8 };
  const int64_t block = SUMS * (int64_t)sizeof(vf);
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

// Copies what is both read and written, then reads or writes the rest.
static double stream(const char *from, char *to, int64_t read, int64_t written) {
  const int64_t both = read < written ? read : written, passes = passes_over(read + written + 1);
  for (int64_t pass = 0; pass < passes; pass++) {
    memcpy(to, from, (size_t)both);
    if (read > both) read_all(from + both, read - both, 1);
    if (written > both) memset(to + both, (int)pass, (size_t)(written - both));
    __asm__ volatile("" : : "r"(from), "r"(to) : "memory");
  }
  return (double)passes * (double)(read + written);
}

static char *pages(int64_t bytes) {
  char *data = aligned_alloc(4096, (size_t)(bytes / 4096 + 1) * 4096);
  if (data) memset(data, 0, (size_t)bytes);
  return data;
}

static double once(const job *j, char *from, char *to, int64_t read, int64_t written) {
  switch (j->kind) {
    case FLOPS32: return multiply_add_32();
    case FLOPS64: return multiply_add_64();
    case EXPS32: return exps();
    case READ: return read && from ? read_all(from, read, passes_over(read)) : 0;
    default: return from && to ? stream(from, to, read, written) : 0;
  }
}

static void *work(void *argument) {
  job *j = (job *)argument;
  pthread_mutex_lock(j->gate);  // until all threads are there
  const int stop = *j->stop;
  pthread_mutex_unlock(j->gate);
  if (stop) return NULL;
  const int64_t read = j->bytes / j->threads / 64 * 64, written = j->written / j->threads / 64 * 64;
  char *from = pages(read), *to = pages(written);
  for (int round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(j->barrier);
    j->begin[round] = now();
    j->work = once(j, from, to, read, written);
    j->end[round] = now();
  }
  free(from);
  free(to);
  return NULL;
}

// The most per second in some rounds: FLOPs in f32 or f64, calls of exp, bytes read, or bytes read and written; 0 on
// failure.
double irk_probe(int kind, int64_t bytes, int64_t written, int threads) {
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
    jobs[t] = (job){.kind = kind, .tid = t, .threads = threads, .bytes = bytes, .written = written};
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
