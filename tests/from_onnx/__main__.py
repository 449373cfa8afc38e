"""The whole of a suite: `python -m tests.from_onnx node [PATTERN]` tells what is refused or wrong."""

from __future__ import annotations

import sys
from collections import Counter
from fnmatch import fnmatch

from tests.from_onnx import batches

suite, pattern = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "*")
names = [t.name for t in batches.tests(suite) if fnmatch(t.name, f"test_{pattern}")]
SIZE = 24
counts: Counter[str] = Counter()
for start in range(0, len(names), SIZE):
    for outcome in batches.run(list(batches.cases(suite, names[start : start + SIZE]))):
        counts[outcome.kind] += 1
        if outcome.kind != "passed":
            print(f"{outcome.kind} {outcome.name}: {outcome.reason}", flush=True)
print(dict(counts))
