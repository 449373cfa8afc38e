"""Tensors of a trace: what a traced function computes with in place of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from xdsl.ir import SSAValue

from dialects.types import dims_of, dtype_name, np_dtype, type_text
from irkit.lang.builder import type_of
from irkit.tracing.errors import TraceError, place
from irkit.tracing.methods import Methods
from irkit.tracing.operators import Operators
from irkit.tracing.sizes import Size, size

if TYPE_CHECKING:
    from irkit.tracing.indexing import At
    from irkit.tracing.state import Trace


class Tensor(Operators, Methods):
    """A value that is known when the program runs: it has a shape and a dtype, and no elements yet.

    It takes operators, slices, NumPy's functions as far as there is an op (`np.exp(x)`), and the methods of arrays that
    make a new one. What needs the elements while tracing (`if x > 0`, `float(x)`) is a TraceError.
    """

    __slots__ = ("trace", "value")
    __hash__ = object.__hash__

    def __init__(self, trace: Trace, value: SSAValue):
        self.trace = trace
        self.value = value

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[Size | int, ...]:
        return tuple(size(d, self.trace.ranges) for d in dims_of(self.value.type))

    @property
    def dtype(self) -> np.dtype:
        return np_dtype(type_of(self.value).element_type)

    @property
    def dtype_name(self) -> str:
        """The name of the dtype as the language has it: `f32`."""
        return dtype_name(type_of(self.value).element_type)

    @property
    def ndim(self) -> int:
        return len(dims_of(self.value.type))

    @property
    def size(self) -> Size | int:
        total: Size | int = 1
        for n in self.shape:
            total = n * total
        return total

    def __repr__(self) -> str:
        return f"Tensor({type_text(type_of(self.value))})"

    def __len__(self) -> int:
        if not self.ndim:
            raise TraceError("a tensor of rank 0 has no length", place())
        return self._known(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        return iter([self[i] for i in range(len(self))])

    def _known(self, n: Size | int) -> int:
        return n if isinstance(n, int) else n.__index__()

    # -- indices ------------------------------------------------------------------------------------------------

    def __getitem__(self, key: object) -> Tensor:
        from irkit.tracing.indexing import subscript

        return subscript(self, key)

    def __setitem__(self, key: object, value: object) -> NoReturn:
        hint = "x = x.at[i].set(v) gives a new one"
        raise TraceError("a tensor cannot be changed in place", place(), hint=hint)

    @property
    def at(self) -> At:
        """`x.at[i].set(v)`: x with elements replaced; also add, mul, max and min."""
        from irkit.tracing.indexing import At

        return At(self)

    # -- what needs elements ------------------------------------------------------------------------------------

    def __bool__(self) -> NoReturn:
        self._refuse(
            "the truth of a tensor", "irkit.cond(p, f, g) chooses; np.where(p, a, b) for each element"
        )

    def __float__(self) -> NoReturn:
        self._refuse("the number in a tensor", "leave it a tensor; x.astype(...) converts")

    __int__ = __complex__ = __float__

    def __index__(self) -> NoReturn:
        self._refuse(
            "an index from a tensor",
            "x[i] takes a tensor; irkit.fori counts up to one, range(n) needs a number",
        )

    def __array__(self, *_: object, **__: object) -> NoReturn:
        self._refuse("an element of a tensor", "use np functions that have an op, or irkit.ops")

    def item(self, *_: object) -> NoReturn:
        self._refuse("the number in a tensor", "leave it a tensor of rank 0")

    tolist = item

    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise TraceError(
            f"{what} is not known while tracing", place(), found=type_text(type_of(self.value)), hint=hint
        )

    # -- NumPy's protocols --------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **given: object) -> object:
        from irkit.tracing.ufuncs import call_ufunc

        return call_ufunc(ufunc, method, inputs, given)

    def __array_function__(
        self, function: Callable[..., object], _: object, args: tuple, given: dict[str, object]
    ) -> object:
        from irkit.tracing.numpy_functions import call_function

        return call_function(function, args, given)
