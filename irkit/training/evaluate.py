"""What functions of a file give for all examples of a set: the loss and other means over them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dialects.errors import IrkitError
from irkit.runtime.module import Program
from irkit.training.data import Data, Feeder
from irkit.training.job import Job

MOST = 1024
"""Examples in one call, unless batches are larger."""


class Evaluation:
    """Means of a function over a set of examples, in calls of as many as fit and one of the rest."""

    def __init__(self, job: Job, fn: str, data: Data, given: frozenset[str]):
        """Compiles the function. Raises IrkitError where it takes other inputs than the data has, or gives no number."""
        self.name = fn
        size = job.batch if job.dim is None else min(data.count, max(MOST, job.batch))
        sizes = {size: data.count // size, data.count % size: 1}
        if job.dim is None:
            sizes = {size: data.count // size}
        self.count = sum(s * n for s, n in sizes.items())
        self.parts: list[tuple[Program, Feeder, int, int]] = []
        start = 0
        for size, times in sizes.items():
            if not size or not times:
                continue
            program = job.source.compiled(fn, job.batch_dims(size), given)
            self._check(program, data)
            feeder = Feeder(program, data, size)
            self.parts.append((program, feeder, start, times))
            start += size * times
        if not self.parts:
            raise IrkitError(
                "there are not enough examples for validation",
                found=str(data.count),
                expected=f"at least a batch of {job.batch}",
            )

    def _check(self, program: Program, data: Data) -> None:
        missing = [a.name for a in program.inputs if a.name not in (*data.rows, *data.whole, *program.values)]
        missing = [n for n in missing if n not in Feeder(program, data, 1).inputs]
        if missing:
            raise IrkitError(
                f"'{self.name}' takes '{missing[0]}', which is no input of the step of training",
                expected=f"inputs among {', '.join((*data.rows, *data.whole))}",
            )
        first = program.outputs[0]
        if first.dims or first.dtype[0] not in "fb":
            raise IrkitError(
                f"'{self.name}' gives no number to show",
                found=first.type_text,
                expected="f32: a mean over the batch",
            )

    def run(self, params: Mapping[str, np.ndarray], seed: int) -> float:
        """The mean over all examples, with these parameters."""
        total = 0.0
        for program, feeder, start, times in self.parts:
            names = {a.name for a in program.spec.args if a.role in ("param", "state")}
            program.set_params({n: v for n, v in params.items() if n in names})
            size = len(next(iter(feeder.arrays.values())))
            call = program.prepare(**feeder.inputs)
            for number in range(times):
                feeder.fill(np.arange(start + number * size, start + (number + 1) * size), seed)
                total += float(call.run()[0]) * size
        return total / self.count
