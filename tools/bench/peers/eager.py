"""torch as it is: in inference mode, into a preallocated tensor where the last call takes one."""

from __future__ import annotations

import numpy as np
import torch

from tools.bench import training
from tools.bench.candidate import Candidate
from tools.bench.data import Data
from tools.bench.peers import modules, steps
from tools.bench.rows import Row


def prepare(row: Row, data: Data, threads: int) -> Candidate | None:
    if training.is_step(row):
        return steps.prepare(row, data, threads)
    torch.set_num_threads(threads)
    built = modules.build(row, data)
    if built is None:
        return None
    module, inputs = built
    into = getattr(module, "into", None)
    if into is None:

        def fresh() -> np.ndarray:
            with torch.inference_mode():
                return module(*inputs).numpy()

        return Candidate(lambda: module(*inputs), fresh, allocates=True, turn=torch.inference_mode)
    with torch.inference_mode():
        out = torch.empty_like(module(*inputs))

    def written() -> np.ndarray:
        with torch.inference_mode():
            into(out, *inputs)
        return out.numpy()

    return Candidate(lambda: into(out, *inputs), written, turn=torch.inference_mode)
