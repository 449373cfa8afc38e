"""Random ONNX models through irkit, held to ONNX Runtime.

python -m tests.fuzz_onnx 2000 --seed 7               # models of our own generator
python -m tests.fuzz_onnx --models DIR                # models in files: those of NNSmith (tests/fuzz_onnx.by_nnsmith.py)
python -m tests.fuzz_onnx 100 --by reference          # held to the evaluator of the onnx package instead
python -m tests.fuzz_onnx 100 --level none            # irkit's reference alone, which takes a quarter of the time

Each model runs in irkit's reference and in compiled C, 24 of them in one file. What is wrong is written to OUT as a smaller
model that is wrong too, with its inputs, and printed. Exit code 1 where anything is.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import onnx

from tests.from_onnx.batches import SIZE
from tests.fuzz_onnx.by_nnsmith import stored
from tests.fuzz_onnx.check import Outcome, Sample, check, checker
from tests.fuzz_onnx.generate import generate
from tests.fuzz_onnx.minimise import minimised
from tests.fuzz_onnx.runners import RUNNERS, Runner


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", default=2000, help="how many models")
    parser.add_argument("--seed", type=int, default=0, help="of the first model; the next has the next seed")
    parser.add_argument("--models", type=Path, help="a folder of models instead")
    parser.add_argument("--by", choices=RUNNERS, default="either", help="what tells the results")
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz-out"), help="where models that are wrong are written"
    )
    parser.add_argument("--level", choices=(*"0123", "none"), default="1", help="of the C compiler, or no C")
    given = parser.parse_args()
    run, level = RUNNERS[given.by], None if given.level == "none" else f"-O{given.level}"
    seeds = range(given.seed, given.seed + given.count)
    samples: Iterator[Sample] = (
        islice(stored(given.models), given.seed, given.seed + given.count)
        if given.models
        else (generate(s) for s in seeds)
    )
    kinds: Counter[str] = Counter()
    ops: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    while group := list(islice(samples, SIZE)):
        for sample, outcome in zip(group, check(group, run, level), strict=True):
            kinds[outcome.kind] += 1
            ops.update(sample.ops() if outcome.kind == "passed" else ())
            reasons.update(
                [f"{outcome.kind}: {outcome.reason}"] if outcome.kind in ("refused", "unknown") else []
            )
            reasons.update(f"not compared: {why}" for why in outcome.open)
            if outcome.kind == "wrong":
                tell(sample, outcome, given.out, run, level)
        print(dict(kinds), file=sys.stderr, flush=True)
    print("\n".join(f"{n:6} {reason}" for reason, n in reasons.most_common()))
    print(f"{len(ops)} ops in models that passed: {' '.join(f'{o}:{n}' for o, n in sorted(ops.items()))}")
    print(f"{sum(kinds.values())} models: {dict(kinds)}")
    return 1 if kinds["wrong"] else 0


def tell(sample: Sample, outcome: Outcome, folder: Path, run: Runner, level: str | None) -> None:
    """Writes and prints the smallest part of a sample that is wrong."""
    print(f"\nwrong {sample.name}: {outcome.reason}")
    one = checker(run, level)
    small = minimised(sample, outcome.output, one, run)
    folder.mkdir(exist_ok=True)
    onnx.save(small.model, folder / f"{sample.name}.onnx")
    np.savez(folder / f"{sample.name}.npz", **small.inputs)  # pyright: ignore[reportArgumentType]
    print(f"  {len(small.model.graph.node)} nodes in {folder / sample.name}.onnx: {one(small).reason}")
    print(onnx.printer.to_text(small.model.graph)[:4000], flush=True)


if __name__ == "__main__":
    sys.exit(main())
