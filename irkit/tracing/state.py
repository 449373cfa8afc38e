"""A trace: the block that ops are appended to, the parameters met so far, the dims with a range."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
from xdsl.ir import Attribute, Block, SSAValue

from dialects.dims import Dim
from dialects.errors import Loc
from dialects.types import DTYPES, dtype_name, is_complex, tensor, type_text
from irkit.lang.builder import Builder, type_of
from irkit.lang.unparse.text import is_name
from irkit.tracing.errors import TraceError, place, user_frame
from irkit.tracing.sizes import Range, Size, dtype_of

if TYPE_CHECKING:
    from irkit.tracing.tensor import Tensor

CONSTANT_ELEMENTS = 16
"""An array of up to so many elements stands in the IR; a larger one is a parameter, whose data is kept apart."""

_current: ContextVar[tuple[Trace, ...]] = ContextVar("irkit_traces", default=())


class Parameter:
    """A parameter of the function: its argument, where it is told, and its array or the text of its source."""

    def __init__(self, value: SSAValue, loc: Loc, array: np.ndarray | None, source: str | None):
        self.value = value
        self.loc = loc
        self.array = array
        self.source = source


class Trace:
    """What is known while a function is traced."""

    def __init__(self) -> None:
        self.entry = Block()
        self.builder = Builder(self.entry)
        self.blocks = [self.entry]
        self.ranges: dict[str, Range] = {}
        self.inputs: dict[str, SSAValue] = {}
        self.params: dict[str, Parameter] = {}
        self.captured: dict[int, tuple[object, SSAValue]] = {}

    @contextmanager
    def active(self) -> Iterator[None]:
        """Makes this the trace that ops are added to."""
        token = _current.set((*_current.get(), self))
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def inside(self, block: Block) -> Iterator[None]:
        """Appends to the body of a loop or a choice."""
        outside, self.builder.block = self.builder.block, block
        self.blocks.append(block)
        try:
            yield
        finally:
            self.blocks.pop()
            self.builder.block = outside

    # -- arguments ----------------------------------------------------------------------------------------------

    def input(self, name: str, dtype: str, dims: tuple[Dim, ...]) -> SSAValue:
        value = self.entry.insert_arg(tensor(dtype, dims), len(self.entry.args))
        value.name_hint = name
        self.inputs[name] = value
        return value

    def param(
        self, name: str, dtype: str, shape: tuple[int, ...], array: np.ndarray | None, source: str | None
    ) -> SSAValue:
        value = self.entry.insert_arg(tensor(dtype, shape), len(self.entry.args))
        value.name_hint = name
        self.params[name] = Parameter(value, place(), array, source)
        return value

    def free_name(self, wanted: str) -> str:
        """The name, or one like it that no argument has."""
        taken, name, count = self.inputs.keys() | self.params.keys() | self.ranges.keys(), wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        return name

    # -- values -------------------------------------------------------------------------------------------------

    def value(self, x: object, element: Attribute | None, loc: Loc) -> SSAValue:
        """An operand as a value: a tensor of this trace, an array, or a number in the dtype of what it meets."""
        from irkit.tracing.tensor import Tensor

        if isinstance(x, Tensor):
            return self.own(x)
        if is_number(x):
            if element is None:
                hint = "give one a dtype: np.float32(2)"
                raise TraceError("numbers alone have no dtype", loc, found=str(x), hint=hint)
            return self.number(x, element, loc)
        if isinstance(x, np.ndarray | np.generic) or hasattr(x, "__array__"):
            return self.array(x, loc)
        raise TraceError(
            f"{_described(x)} is no tensor",
            loc,
            expected="a tensor, a NumPy array or a number",
            hint="np.array(...) makes one of a list" if isinstance(x, list | tuple) else None,
        )

    def own(self, x: Tensor) -> SSAValue:
        """The value of a tensor that may be used here. Raises TraceError for one of another trace or of a body that ended."""
        home = x.value.owner if isinstance(x.value.owner, Block) else x.value.owner.parent
        if x.trace is not self:
            raise TraceError(
                "a tensor of another trace",
                place(),
                found=type_text(type_of(x.value)),
                hint="return it from the function that made it; do not keep it in a variable outside",
            )
        if home not in self.blocks:
            raise TraceError(
                "a tensor of the body of a loop or a choice that has ended",
                place(),
                found=type_text(type_of(x.value)),
                hint="carry it, or return it from the body",
            )
        return x.value

    def number(self, x: object, element: Attribute, loc: Loc) -> SSAValue:
        """A number in a dtype; raises IrkitError where it does not fit."""
        if isinstance(x, complex) and is_complex(element):
            return self.builder.dense(np.asarray(x), element, loc)
        if isinstance(x, complex):
            raise TraceError(
                f"{x} is no {dtype_name(element)}", loc, hint='x.astype("c64") converts the tensor'
            )
        plain = x.dim if isinstance(x, Size) else x.item() if isinstance(x, np.generic) else x
        return self.builder.number(plain, element, loc)  # pyright: ignore[reportArgumentType]

    def array(self, x: object, loc: Loc) -> SSAValue:
        """A NumPy array: a constant, or a parameter, whose data is copied now."""
        if (known := self.captured.get(id(x))) is not None and known[0] is x:
            return known[1]
        array = np.asarray(x)
        dtype = dtype_of(array.dtype.newbyteorder("="))
        if array.size <= CONSTANT_ELEMENTS:
            return self.builder.dense(array, DTYPES[dtype], loc)
        name = self.free_name(_name_of(x) or "array")
        value = self.param(name, dtype, array.shape, np.array(array, order="C", copy=True), None)
        self.captured[id(x)] = x, value
        return value


def current(what: str = "this") -> Trace:
    """The trace that is under way. Raises TraceError where there is none."""
    traces = _current.get()
    if not traces:
        raise TraceError(
            f"{what} is for traced functions", place(), hint="call it inside a function under @irkit.trace"
        )
    return traces[-1]


def is_tracing() -> bool:
    """Whether a function is being traced."""
    return bool(_current.get())


def is_number(x: object) -> bool:
    """Whether x takes the dtype of what it meets: a number of Python, or one as NumPy gives it unasked."""
    if isinstance(x, np.integer):
        return x.dtype == np.int64
    return isinstance(x, bool | int | float | complex | Size | np.bool_)


def _described(x: object) -> str:
    return "None" if x is None else f"an object of type '{type(x).__name__}'"


def _name_of(x: object) -> str | None:
    """The name of a variable of the user's code that holds an object."""
    frame = user_frame()
    while frame is not None:
        for scope in (frame.f_locals, frame.f_globals):
            for name, value in list(scope.items()):
                if value is x and not name.startswith("_") and is_name(name):
                    return name
        frame = frame.f_back
    return None
