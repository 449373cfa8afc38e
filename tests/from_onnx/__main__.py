"""The whole of a suite: `python -m tests.from_onnx node [PATTERN]` tells what is refused or wrong."""

from __future__ import annotations

import sys
from collections import Counter
from fnmatch import fnmatch

from tests.from_onnx import batches

suite, pattern = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "*")
names = [t.name for t in batches.tests(suite) if fnmatch(t.name, f"test_{pattern}")]
counts: Counter[str] = Counter()
for group in batches.groups(names):
    for outcome in batches.run(list(batches.cases(suite, group))):
        counts[outcome.kind] += 1
        if outcome.kind != "passed":
            print(f"{outcome.kind} {outcome.name}: {outcome.reason}", flush=True)
print(dict(counts))
