"""The arrays of a row: what its program says that its inputs and parameters are filled with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.func import FuncOp

from irkit.api import graph_of
from irkit.params import materialise
from tools.bench import training
from tools.bench.rows import Row

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Data:
    """Arrays by name, in the order in which the program declares them; parameters are constants to every candidate."""

    inputs: Arrays
    params: Arrays

    @property
    def all(self) -> Arrays:
        return self.inputs | self.params

    def wide(self) -> Data:
        """The same with floats in f64."""
        return Data(*({n: _widened(a) for n, a in x.items()} for x in (self.inputs, self.params)))


def data_of(row: Row) -> Data:
    """Makes the arrays of a row."""
    module = graph_of(row.text(), row.file, None, row.sizes())
    main = next(op for op in module.ops if isinstance(op, FuncOp))
    inputs, params = (materialise(main, kind=kind) for kind in ("input", "param"))
    return Data(_placed(training.with_classes(row, main, inputs)), _placed(params))


def aligned(shape: Sequence[int], like: np.dtype | type = np.float32) -> np.ndarray:
    """An array that starts on a cache line, as every candidate likes it."""
    dtype = np.dtype(like)
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _placed(arrays: Arrays) -> Arrays:
    placed: Arrays = {}
    for name in list(arrays):
        array = arrays.pop(name)
        placed[name] = aligned(array.shape, array.dtype)
        placed[name][...] = array
    return placed
