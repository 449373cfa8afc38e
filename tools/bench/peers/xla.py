"""jax.jit on the CPU, with weights as arguments: XLA takes long to compile large constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tools.bench import models, training
from tools.bench.candidate import Candidate
from tools.bench.data import Data
from tools.bench.formulas import Formulas
from tools.bench.peers import steps_jax
from tools.bench.rows import Row


class Traced(Formulas):
    """The formulas that jax says in other words."""

    def __init__(self) -> None:
        super().__init__(jnp, jax.scipy.special.erf)

    def conv(self, dims: Mapping, x: Any, w: Any, b: Any) -> Any:
        """Channels last, as XLA likes them: x is [N, H, W, C] and w [h, w, C, O]."""
        pad = (dims["P"], dims["P"])
        layout = ("NHWC", "HWIO", "NHWC")
        groups = dims.get("G", 1)
        y = lax.conv_general_dilated(
            x, w, (1, 1), (pad, pad), dimension_numbers=layout, feature_group_count=groups
        )
        return y + b

    def steps(self, count: int, u: Any, inner: Callable[[Any], Any]) -> Any:
        where = (slice(1, -1),) * u.ndim
        return lax.fori_loop(0, count, lambda _, u: u.at[where].set(inner(u)), u)


def prepare(row: Row, data: Data, threads: int) -> Candidate | None:
    if training.is_step(row):
        return steps_jax.prepare(row, data)
    if models.is_model(row):
        return None
    arrays = {name: jnp.asarray(_laid_out(row, name, a)) for name, a in data.all.items()}
    formula = Traced().of(row)
    compiled = jax.jit(lambda arrays: formula(**arrays)).lower(arrays).compile()

    def result() -> np.ndarray:
        y = np.asarray(compiled(arrays))
        return y.transpose(0, 3, 1, 2) if row.family == "conv" else y

    return Candidate(lambda: compiled(arrays).block_until_ready(), result, allocates=True)


def _laid_out(row: Row, name: str, array: np.ndarray) -> np.ndarray:
    orders = {"x": (0, 2, 3, 1), "w": (2, 3, 1, 0)}
    return array.transpose(orders[name]) if row.family == "conv" and name in orders else array
