"""Steps of training as rows: what is compared before they are timed, and our side.

The result of a step is its loss, then how far it moved one parameter, in units of the rate of learning. It is compared with
the step's own graph, run op by op in NumPy; that its derivatives are right, the peers tell, which have their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from xdsl.dialects.func import FuncOp

from dialects.types import dims_of
from tools.bench.candidate import Candidate
from tools.bench.rows import Row

if TYPE_CHECKING:
    from irkit.runtime.module import Program

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Watched:
    """The parameter that is compared, the rate, and where the classes of the labels are counted."""

    param: str
    rate: float
    adamw: bool = False


WATCHED = {
    "train_mlp": Watched("w3", 1e-2),
    "train_cnn": Watched("k2", 1e-2),
    "train_gpt": Watched("head", 1e-3, adamw=True),
}


def is_step(row: Row) -> bool:
    """Whether a row is a step of training."""
    return row.family in WATCHED


def result(row: Row, loss: float, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What is compared."""
    moved = (after.astype(np.float64) - before) / WATCHED[row.family].rate
    return np.concatenate([[float(loss)], moved.ravel()])


def with_classes(row: Row, main: FuncOp, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs of a step in order: integers, which have no initialiser, are random classes."""
    if not is_step(row):
        return inputs
    from lowering.graph.interpret import argument_names

    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for name, arg in zip(argument_names(main), main.body.block.args, strict=True):
        if name in inputs:
            found[name] = inputs[name]
        elif name in ("x", "y"):
            shape = [d.value or 0 for d in dims_of(arg.type)]
            found[name] = rng.integers(row.dims.get("V", 10), size=shape).astype(np.int32)
    return found


def reference(row: Row) -> Callable[..., np.ndarray]:
    """The step in NumPy, on its arrays by name."""
    from irkit import pipeline
    from irkit.api import graph_of
    from lowering.graph.interpret import argument_names, run_graph

    module = graph_of(row.text(), row.file, None, row.sizes())
    pipeline.run_passes(module, pipeline.passes_to("graph", "graph"), pipeline.context())
    main = next(op for op in module.ops if isinstance(op, FuncOp))
    watched = WATCHED[row.family].param

    def run(**arrays: np.ndarray) -> np.ndarray:
        given = dict(arrays)
        for name, arg in zip(argument_names(main), main.body.block.args, strict=True):
            if name not in given:  # the state, which begins with zeros
                like = np.int64 if name == "step" else arrays[watched].dtype
                given[name] = np.zeros([d.value or 0 for d in dims_of(arg.type)], like)
        values = run_graph(main, given, checked=False)
        return result(row, values[0].item(), arrays[watched], values[updated[watched]])

    updated = _updates(main)
    return run


def _updates(main: FuncOp) -> dict[str, int]:
    """Which result is the new value of each argument."""
    assert main.res_attrs is not None
    found: dict[str, int] = {}
    for number, facts in enumerate(main.res_attrs.data):
        name = facts.data.get("graph.updates")
        if name is not None:
            found[name.data] = number  # pyright: ignore[reportAttributeAccessIssue]
    return found


def ours(row: Row, program: Program, inputs: Arrays) -> Candidate:
    """Our step: it updates the arrays that the program holds."""
    call = program.prepare(**inputs)
    watched = WATCHED[row.family].param

    def first() -> np.ndarray:
        before = program.params()[watched]
        loss = call.run()[0]
        return result(row, loss.item(), before, program.params()[watched])

    return Candidate(call.run, first)
