"""The methods of arrays that tensors have too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from irkit.tracing.errors import TraceError, place
from irkit.tracing.operators import one

if TYPE_CHECKING:
    from irkit.tracing.tensor import Tensor

Axes = int | Sequence[int] | None


class Methods:
    """Methods that give a new tensor; axes and dims as in NumPy."""

    __slots__ = ()

    shape: Any
    ndim: Any
    size: Any
    dtype: Any

    # -- shape and dtype ----------------------------------------------------------------------------------------

    def astype(self, dtype: object) -> Tensor:
        """The elements in another dtype: `x.astype("f16")`, `x.astype(np.int32)`."""
        return one("cast", self, dtype=dtype)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements with other dims; one may be -1."""
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        return one("reshape", self, shape=list(sizes))

    def ravel(self) -> Tensor:
        """All elements along one dim."""
        return self.reshape(self.size)

    flatten = ravel

    def transpose(self, *axes: Any) -> Tensor:
        """The dims in another order, reversed by default."""
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes
        return one("transpose", self, perm=list(order) if order else None)

    @property
    def T(self) -> Tensor:
        """The dims in reverse order."""
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        """The last two dims exchanged."""
        return self.swapaxes(-1, -2)

    def swapaxes(self, a: int, b: int) -> Tensor:
        order = list(range(self.ndim))
        order[a], order[b] = order[b], order[a]
        return self.transpose(order)

    def squeeze(self, axis: Axes = None) -> Tensor:
        """Without dims of size 1: all of them, or those given."""
        given = (axis,) if isinstance(axis, int) else axis
        gone = {a % self.ndim for a in given} if given is not None else set()
        if wrong := [i for i in sorted(gone) if self.shape[i] != 1]:
            raise TraceError(f"dim {wrong[0]} has size {self.shape[wrong[0]]} and not 1", place())
        drop = (
            gone
            if given is not None
            else {i for i, n in enumerate(self.shape) if isinstance(n, int) and n == 1}
        )
        return self.reshape([n for i, n in enumerate(self.shape) if i not in drop])

    @property
    def real(self) -> Tensor:
        return one("real", self) if self.dtype.kind == "c" else self  # pyright: ignore[reportReturnType]

    @property
    def imag(self) -> Tensor:
        return one("imag", self)

    def conj(self) -> Tensor:
        return one("conj", self) if self.dtype.kind == "c" else self  # pyright: ignore[reportReturnType]

    # -- reductions ---------------------------------------------------------------------------------------------

    def sum(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_sum", self, axes=axis, keepdims=keepdims)

    def mean(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_mean", self, axes=axis, keepdims=keepdims)

    def prod(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_prod", self, axes=axis, keepdims=keepdims)

    def max(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_max", self, axes=axis, keepdims=keepdims)

    def min(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_min", self, axes=axis, keepdims=keepdims)

    def any(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_any", self, axes=axis, keepdims=keepdims)

    def all(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_all", self, axes=axis, keepdims=keepdims)

    def var(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_var", self, axes=axis, keepdims=keepdims)

    def std(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return one("reduce_std", self, axes=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return self._along("argmax", axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return self._along("argmin", axis, keepdims=keepdims)

    def cumsum(self, axis: int | None = None) -> Tensor:
        return self._along("cumsum", axis)

    def cumprod(self, axis: int | None = None) -> Tensor:
        return self._along("cumprod", axis)

    def _along(self, op: str, axis: int | None, **values: object) -> Tensor:
        """An op along one dim, or along all elements where none is given, as in NumPy."""
        return one(op, self.ravel(), axis=0, **values) if axis is None else one(op, self, axis=axis, **values)

    # -- others -------------------------------------------------------------------------------------------------

    def dot(self, other: Any) -> Tensor:
        return one("matmul", self, other)

    def clip(self, low: Any = None, high: Any = None) -> Tensor:
        """The elements between two bounds, numbers or tensors; None is no bound."""
        found = self if low is None else one("max", self, low)
        return found if high is None else one("min", found, high)  # pyright: ignore[reportReturnType]

    def round(self) -> Tensor:
        return one("round", self)

    def copy(self) -> Tensor:
        """The tensor itself: it cannot be changed."""
        return self  # pyright: ignore[reportReturnType]
