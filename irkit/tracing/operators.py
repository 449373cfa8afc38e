"""The operators of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialects.types import is_complex, is_integer, type_text
from irkit.lang.builder import type_of
from irkit.lang.operators import infix, prefix
from irkit.tracing.errors import TraceError, place

if TYPE_CHECKING:
    from irkit.tracing.tensor import Tensor


def one(op: str, *operands: object, **values: object) -> Tensor:
    """The one result of an op by its own name."""
    from irkit.tracing.apply import one as emit_one  # which needs tensors

    return emit_one(op, *operands, **values)


def binary(sign: str, a: Any, b: Any) -> Tensor:
    """`a sign b`, one of them a tensor. Raises TraceError."""
    firm = a if isinstance(a, Operators) else b
    type_ = type_of(firm.value)
    if sign == "/" and is_integer(type_.element_type):
        raise TraceError(
            "/ of integers gives floats in NumPy, and integers in the language",
            place(),
            found=type_text(type_),
            hint='a // b, or a.astype("f32") / b',
        )
    if sign == "//":
        found = one("div", a, b)
        return found if is_integer(type_.element_type) else one("floor", found)
    return one(infix(sign, type_.element_type), a, b)


class Operators:
    """Operators as in NumPy; numbers take the dtype of the tensor, and nothing else converts."""

    __slots__ = ()
    __hash__ = object.__hash__

    value: Any

    def __neg__(self) -> Tensor:
        return one("neg", self)

    def __pos__(self) -> Tensor:
        return self  # pyright: ignore[reportReturnType]

    def __invert__(self) -> Tensor:
        return one(prefix("~", type_of(self.value).element_type), self)

    def __abs__(self) -> Tensor:
        return one("magnitude" if is_complex(type_of(self.value).element_type) else "abs", self)

    def __add__(self, other: Any) -> Tensor:
        return binary("+", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return binary("+", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return binary("-", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return binary("-", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return binary("*", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return binary("*", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return binary("/", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return binary("/", other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return binary("//", self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return binary("//", other, self)

    def __mod__(self, other: Any) -> Tensor:
        return binary("%", self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return binary("%", other, self)

    def __pow__(self, other: Any) -> Tensor:
        return binary("**", self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return binary("**", other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return binary("@", self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return binary("@", other, self)

    def __and__(self, other: Any) -> Tensor:
        return binary("&", self, other)

    def __rand__(self, other: Any) -> Tensor:
        return binary("&", other, self)

    def __or__(self, other: Any) -> Tensor:
        return binary("|", self, other)

    def __ror__(self, other: Any) -> Tensor:
        return binary("|", other, self)

    def __xor__(self, other: Any) -> Tensor:
        return binary("^", self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return binary("^", other, self)

    def __lshift__(self, other: Any) -> Tensor:
        return binary("<<", self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return binary("<<", other, self)

    def __rshift__(self, other: Any) -> Tensor:
        return binary(">>", self, other)

    def __rrshift__(self, other: Any) -> Tensor:
        return binary(">>", other, self)

    def __eq__(self, other: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return one("compare", self, other, pred="eq")

    def __ne__(self, other: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return one("compare", self, other, pred="ne")

    def __lt__(self, other: Any) -> Tensor:
        return one("compare", self, other, pred="lt")

    def __le__(self, other: Any) -> Tensor:
        return one("compare", self, other, pred="le")

    def __gt__(self, other: Any) -> Tensor:
        return one("compare", self, other, pred="gt")

    def __ge__(self, other: Any) -> Tensor:
        return one("compare", self, other, pred="ge")
