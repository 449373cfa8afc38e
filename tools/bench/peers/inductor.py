"""torch.compile with weights frozen into the code. Its calls allocate what they return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
import torch._dynamo
import torch._inductor.config as config

from tools.bench import training
from tools.bench.candidate import Candidate, kept_pages
from tools.bench.data import Data
from tools.bench.peers import modules, steps
from tools.bench.rows import Row

LARGE = ("ew", "softmax", "layernorm")
"""Families whose results are so large that it matters where their pages come from."""


def prepare(row: Row, data: Data, threads: int) -> Candidate | None:
    if training.is_step(row):
        return steps.prepare(row, data, threads, compiled=True)
    return _compiled(row, data, threads, torch.no_grad, allocates=True)


def prepare_keeping(row: Row, data: Data, threads: int) -> Candidate | None:
    """The same under a malloc that keeps freed pages, for rows with large results."""
    return _compiled(row, data, threads, _keeping, allocates=False) if row.family in LARGE else None


@contextmanager
def _keeping() -> Iterator[None]:
    with torch.no_grad(), kept_pages():
        yield


def _compiled(
    row: Row, data: Data, threads: int, turn: type[AbstractContextManager] | object, allocates: bool
) -> Candidate | None:
    torch.set_num_threads(threads)
    built = modules.build(row, data)
    if built is None:
        return None
    module, inputs = built
    config.freezing = True
    torch._dynamo.reset()
    compiled = torch.compile(module, dynamic=False)
    with torch.no_grad():
        compiled(*inputs)

    def result() -> np.ndarray:
        with torch.no_grad():
            return compiled(*inputs).numpy()

    return Candidate(lambda: compiled(*inputs), result, allocates, turn)  # pyright: ignore[reportArgumentType]
