"""The arrays of a row: what its program says that its inputs and parameters are filled with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.dialects.func import FuncOp

from dialects.types import dims_of, np_dtype
from irkit.api import graph_of
from irkit.params import materialise
from lowering.graph.interpret import argument_names
from tools.bench import models, training
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
    folder = Path(row.file).parent
    inputs, params = (materialise(main, folder, kind) for kind in ("input", "param"))
    if models.is_model(row):
        inputs = models.inputs(row, _shapes(main))
    return Data(_placed(training.with_classes(row, main, inputs)), _placed(params))


def _shapes(main: FuncOp) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of each input of a function, by name."""
    assert main.arg_attrs is not None
    kinds = [attrs.data.get("graph.kind") for attrs in main.arg_attrs.data]
    return {
        name: (tuple(d.value or 0 for d in dims_of(arg.type)), np_dtype(arg.type.element_type))
        for name, arg, kind in zip(argument_names(main), main.args, kinds, strict=True)
        if isinstance(arg.type, TensorType) and kind != StringAttr("param")
    }


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
