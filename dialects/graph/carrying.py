"""How ops carry quantised elements on: what every op is asked, and the table of those that answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute

from dialects.dims import Dim
from dialects.errors import Mismatch
from dialects.quant import QuantType
from dialects.types import AnyTensor, dtype_name, stored, type_text

if TYPE_CHECKING:
    from dialects.graph.base import Value

Array = np.ndarray


def check_fits(element: Attribute, dims: Sequence[Dim]) -> None:
    """Raises Mismatch where the scales of a quantised element type do not go with a tensor's dims."""
    fault = element.misfit(dims) if isinstance(element, QuantType) else None
    if fault is not None:
        raise Mismatch(fault.message, found=fault.found, expected=fault.expected)


def has_quantised(types: Sequence[AnyTensor]) -> bool:
    """Whether any of the types has quantised elements."""
    return any(isinstance(t.element_type, QuantType) for t in types)


def with_element(type_: AnyTensor, element: Attribute) -> AnyTensor:
    """The same tensor type of other elements."""
    return type_ if type_.element_type == element else TensorType(element, type_.get_shape(), type_.encoding)


@dataclass(frozen=True)
class QuantRule:
    """What an op does with quantised elements: it works on what is stored.

    `elements` gives the element type of each result from (operand types, parameters, result types on storage) and
    raises Mismatch. `run` is the reference where it is not that of the op on what is stored. `places` are the operands
    that are quantised, all where it is None; `compares` says that the op needs the order of what is stored, `expressed`
    that it works on the numbers that are expressed.
    """

    elements: Callable[[Sequence[AnyTensor], Mapping[str, Value], list[AnyTensor]], list[Attribute]]
    run: (
        Callable[
            [Sequence[AnyTensor], Sequence[Array], Mapping[str, Value], Sequence[AnyTensor]], list[Array]
        ]
        | None
    ) = None
    places: tuple[int, ...] | None = (0,)
    compares: bool = False
    expressed: bool = False

    def seen(self, element: Attribute) -> Attribute:
        """The element type that the op infers from in the place of a quantised one."""
        return element.expressed if self.expressed and isinstance(element, QuantType) else stored(element)

    def check(self, name: str, types: Sequence[AnyTensor]) -> None:
        """Raises Mismatch for operands of which others are quantised than the rule says."""
        for i, type_ in enumerate(types):
            element = type_.element_type
            is_wanted = self.places is None or i in self.places
            if isinstance(element, QuantType) != is_wanted:
                fault = "is not quantised and another is" if is_wanted else "is quantised"
                raise Mismatch(
                    f"operand {i} of {name} {fault}",
                    found=" and ".join(map(type_text, types)),
                    hint="dequantise with cast(x, f32), or quantise with cast(x, quant(...))",
                )
            if isinstance(element, QuantType) and self.compares and dtype_name(element.storage)[1:] == "4":
                raise Mismatch(
                    f"{name} has no form on elements stored in four bits",
                    found=type_text(type_),
                    hint=f"dequantise with cast(x, {dtype_name(element.expressed)})",
                )


QUANTISED: dict[str, QuantRule] = {}
"""What ops do with quantised elements, by short name; all others refuse them (dialects/graph/quantised.py fills it)."""
