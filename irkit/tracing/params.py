"""Parameters of traced functions: `irkit.param("w", array)`, `irkit.param("w", irkit.init.glorot([64, 10], seed=1))`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from irkit.diagnostics import nearest
from irkit.lang.unparse.text import is_name
from irkit.params import INITIALISERS
from irkit.tracing.errors import TraceError, place
from irkit.tracing.sizes import dtype_of
from irkit.tracing.state import current
from irkit.tracing.tensor import Tensor


@dataclass(frozen=True)
class Initial:
    """What fills a parameter that has no data yet: its shape, its dtype, and the text of its `graph.source`."""

    shape: tuple[int, ...]
    dtype: str
    source: str


class Initialisers:
    """The initialisers of the language, each a function of a shape, a dtype and its own settings."""

    def __getattr__(self, name: str) -> Callable[..., Initial]:
        if name not in INITIALISERS:
            known = ", ".join(INITIALISERS)
            raise AttributeError(f"there is no initialiser '{name}': expected one of {known}")

        def make(shape: Sequence[int] | int = (), dtype: object = "f32", **settings: float) -> Initial:
            allowed = INITIALISERS[name].settings
            for key in settings:
                if key not in allowed:
                    hint = nearest(key, allowed)
                    raise TraceError(
                        f"{name} has no setting '{key}'",
                        place(),
                        expected=f"one of {', '.join(allowed)}" if allowed else "none",
                        hint=hint,
                    )
            if missing := [k for k, v in allowed.items() if v is None and k not in settings]:
                raise TraceError(f"{name} needs '{missing[0]}'", place())
            sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
            text = " ".join([name, *(f"{k}={v}" for k, v in settings.items())])
            return Initial(sizes, dtype_of(dtype), text)

        return make

    def __dir__(self) -> list[str]:
        return sorted(INITIALISERS)


init = Initialisers()


def param(name: str, value: np.ndarray | Initial) -> Tensor:
    """A parameter of the function that is traced, by name: the same tensor each time. Raises TraceError.

    The data of an array is copied when the function is traced; `Program.set_params` gives it other data.
    """
    trace = current("irkit.param")
    if not is_name(name):
        raise TraceError(
            f"'{name}' cannot be the name of a parameter",
            place(),
            expected="ASCII letters, digits and underscores, as in w1; no word of the language",
        )
    if isinstance(value, Initial):
        array, source, shape, dtype = None, value.source, value.shape, value.dtype
    elif isinstance(value, np.ndarray | np.generic):
        found = np.asarray(value)
        array, source = np.array(found, order="C", copy=True), None
        shape, dtype = found.shape, dtype_of(found.dtype.newbyteorder("="))
    else:
        raise TraceError(
            f"'{name}' is filled by an array or an initialiser",
            place(),
            found=f"an object of type '{type(value).__name__}'",
            hint=f'irkit.param("{name}", irkit.init.zeros([10]))',
        )
    known = trace.params.get(name)
    if known is not None:
        same = source == known.source and (array is None or _equal(array, known.array))
        if not same or known.array is None != array is None:
            raise TraceError(
                f"parameter '{name}' is filled twice", place(), hint="give each a name of its own"
            )
        return Tensor(trace, known.value)
    if name in trace.inputs or name in trace.ranges:
        what = "an input" if name in trace.inputs else "a dim"
        raise TraceError(f"'{name}' is {what}", place(), hint="choose another name")
    return Tensor(trace, trace.param(name, dtype, shape, array, source))


def _equal(a: np.ndarray, b: np.ndarray | None) -> bool:
    return b is not None and a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
