"""The loop of training: epochs of shuffled batches, validation after each, checkpoints, and a stop where a loss is no number.

The order of examples follows from the seed and the number of the epoch alone, so that a run that goes on from a checkpoint
does what it would have done: parameters are the same to the last bit, on as many threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dialects.errors import IrkitError
from irkit.runtime.module import Program
from irkit.training import checkpoint
from irkit.training.checkpoint import Place
from irkit.training.data import Data, Feeder, batches
from irkit.training.evaluate import Evaluation


@dataclass(frozen=True)
class Row:
    """What is told after an epoch: its mean loss, what validation gives, and how fast it was."""

    epoch: int
    steps: int
    loss: float
    values: tuple[tuple[str, float], ...]
    seconds: float
    examples: int


@dataclass(frozen=True)
class Plan:
    """How long to train, and where checkpoints go: every so many steps, and after each epoch."""

    epochs: int
    folder: Path | None = None
    every: int = 0
    keep: int = 3


@dataclass(frozen=True)
class Observers:
    """Who is told of each step (where it is, its loss) and of each epoch."""

    step: Callable[[Place, float], None] = lambda place, loss: None
    epoch: Callable[[Row], None] = lambda row: None


def train(
    program: Program,
    data: Data,
    evaluations: Sequence[tuple[str, Evaluation]],
    plan: Plan,
    place: Place,
    observers: Observers,
) -> Place:
    """Trains from a place on to the end of the plan; the program holds the parameters. Raises IrkitError where a loss is NaN
    or infinite."""
    feeder = Feeder(program, data, place.batch)
    call = program.prepare(**feeder.inputs)
    while place.epoch < plan.epochs:
        begin, done = time.perf_counter(), place.batches
        for number, rows in enumerate(batches(data, place.batch, place.seed, place.epoch)):
            if number < place.batches:
                continue  # done before the checkpoint
            feeder.fill(rows, place.seed, place.steps)
            loss = float(call.run()[0])
            _check(loss, place)
            place = replace(place, batches=number + 1, steps=place.steps + 1, total=place.total + loss)
            observers.step(place, loss)
            if plan.folder is not None and plan.every and place.steps % plan.every == 0:
                checkpoint.save(plan.folder, program, place, plan.keep)
        seconds, count = time.perf_counter() - begin, place.batches
        mean = place.total / max(1, count)
        place = replace(place, epoch=place.epoch + 1, batches=0, total=0.0)
        params = program.values
        values = tuple((name, e.run(params, place.seed)) for name, e in evaluations)
        observers.epoch(Row(place.epoch, place.steps, mean, values, seconds, (count - done) * place.batch))
        if plan.folder is not None:
            checkpoint.save(plan.folder, program, place, plan.keep)
    return place


def _check(loss: float, place: Place) -> None:
    if not math.isfinite(loss):
        raise IrkitError(
            f"the loss is {loss} in step {place.steps + 1}",
            found=f"epoch {place.epoch + 1}, batch {place.batches + 1}",
            expected="a finite number",
            hint="a smaller lr, clip=1.0 in minimize, or a warm-up may help; the last checkpoint is from before",
        )
