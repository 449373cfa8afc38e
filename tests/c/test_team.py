"""The team of threads itself: where its threads sit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from irkit.runtime.compiler import INCLUDE

CROWDED = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#define IRK_TEAM_PTHREADS
#include "irk_team.h"

typedef struct { int meet, core, seen[2], cores_after; } state;

static void confine(int core) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  sched_setaffinity(0, sizeof one, &one);
}

static void work(void *context, int tid, int nthreads) {
  state *s = (state *)context;
  cpu_set_t all;
  (void)nthreads;
  s->seen[tid] = sched_getcpu();
  if (tid == 1) {
    sched_getaffinity(0, sizeof all, &all);
    s->cores_after = CPU_COUNT(&all);
    if (s->meet) { /* goes to the core of thread 0, and may leave it again */
      confine(s->core);
      sched_setaffinity(0, sizeof all, &all);
    }
  }
}

int main(void) {
  irk_team *team = irk_team_create(2);
  state s = {1, sched_getcpu(), {0, 0}, 0};
  int round, together = 0;
  confine(s.core);
  for (round = 0; round < 50; round++) {
    irk_team_run(team, work, &s);
    together += round > 0 && s.seen[0] == s.seen[1];
  }
  irk_team_destroy(team);
  printf("%d %d\n", together, s.cores_after);
  return 0;
}
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has one seat")
def test_threads_that_share_a_core_spread(tmp_path: Path):
    (tmp_path / "crowded.c").write_text(CROWDED)
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{INCLUDE}"]
    subprocess.run(["gcc", *flags, "crowded.c", "-o", "crowded"], cwd=tmp_path, check=True)
    found = subprocess.run([tmp_path / "crowded"], capture_output=True, text=True, check=True)
    together, cores = map(int, found.stdout.split())
    assert together <= 10  # of 50: the system may move one again; without a spread all are
    assert cores == len(os.sched_getaffinity(0))
