"""An example of every op: what the reference pages show, run and check.

An op brings its own as `EXAMPLE`; those of the built-in ops stand in the tables of this package:

    EXAMPLE: ClassVar = Example("median(x, width=3)", x="f32 [1, 5, 2, 8, 3]")
"""

from __future__ import annotations

from dialects.graph.base import GraphOp, short_name
from dialects.graph.examples.computing import COMPUTING
from dialects.graph.examples.moving import MOVING
from dialects.graph.examples.of import Example
from dialects.graph.examples.pointwise import POINTWISE

EXAMPLES: dict[str, Example] = {**POINTWISE, **COMPUTING, **MOVING}
"""The examples of the built-in ops, by name."""


def example_of(op: type[GraphOp]) -> Example | None:
    """The example that an op brings, or that stands in the tables; None where there is none."""
    own = getattr(op, "EXAMPLE", None)
    return own if isinstance(own, Example) else EXAMPLES.get(short_name(op))


__all__ = ["EXAMPLES", "Example", "example_of"]
