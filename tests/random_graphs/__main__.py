"""Checks the random graphs of a range of seeds, twenty to a seed, and prints what they used and what went wrong.

python -m tests.random_graphs 1000 1010
"""

from __future__ import annotations

import sys
from collections import Counter

from tests.random_graphs.check import GRAPHS, coverage, run


def main(first: int, stop: int) -> int:
    used: Counter[str] = Counter()
    wrong: list[int] = []
    for seed in range(first, stop):
        try:
            used += run(seed)
        except AssertionError as fault:
            wrong.append(seed)
            print(f"seed {seed}: {fault}\n", flush=True)
    print(coverage(used))
    print(f"{GRAPHS * (stop - first)} graphs, {len(wrong)} batches with a mismatch {wrong or ''}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
