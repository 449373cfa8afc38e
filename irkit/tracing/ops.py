"""Every op of the language as a function of tensors: `irkit.ops.softmax(x, axis=-1)`.

The functions are made from the registry of ops when they are first asked for; so an op of a plugin is here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dialects import graph
from irkit.diagnostics import nearest
from irkit.lang.calls import FILLED, signature
from irkit.tracing.apply import call, public_names
from irkit.tracing.errors import TraceError, located, place
from irkit.tracing.operators import one
from irkit.tracing.sizes import dtype_of
from irkit.tracing.state import current
from irkit.tracing.tensor import Tensor


def function(name: str) -> Callable[..., Any]:
    """The function of an op. Raises AttributeError for a name that is none."""
    names = public_names()
    if name not in names:
        hint = nearest(name, [*names, *FILLED])
        raise AttributeError(f"irkit.ops has no '{name}'" + (f": {hint}" if hint else ""))

    def op(*args: Any, **given: Any) -> Any:
        return call(name, args, given)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"{signature(names[name])}\n\n{graph.OPS[names[name]].__doc__ or ''}"
    return op


def full(shape: Any, value: Any, dtype: object = "f32") -> Tensor:
    """A tensor of one number: `full([2, 3], 0.5, "f32")`."""
    trace = current("full")
    with located():
        number = trace.number(
            value, graph.dense(np.zeros((), bool), dtype_of(dtype)).get_element_type(), place()
        )
        sizes = [shape] if not isinstance(shape, list | tuple) else list(shape)
        return one("broadcast", Tensor(trace, number), shape=sizes)


def zeros(shape: Any, dtype: object = "f32") -> Tensor:
    """A tensor of zeros: `zeros([2, 3])`."""
    return full(shape, False if dtype_of(dtype) == "bool" else 0, dtype)


def ones(shape: Any, dtype: object = "f32") -> Tensor:
    """A tensor of ones: `ones([2, 3])`."""
    return full(shape, True if dtype_of(dtype) == "bool" else 1, dtype)


def constant(value: Any, dtype: object = None) -> Tensor:
    """An array, a list of numbers or a number as a tensor: `constant([1, 2], "f32")`."""
    trace = current("constant")
    if dtype is None and not isinstance(value, np.ndarray | np.generic):
        raise TraceError("numbers alone have no dtype", place(), hint='constant([1, 2], "f32")')
    from dialects.types import np_dtype

    array = np.asarray(value) if dtype is None else np.asarray(value, np_dtype(dtype_of(dtype)))
    return Tensor(trace, trace.value(array, None, place()))


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)
    return function(name)


def __dir__() -> list[str]:
    return sorted({*public_names(), *FILLED, "constant"})
