"""What an example is: a call in the language, and the constants that it is about."""

from __future__ import annotations

from collections.abc import Sequence


class Example:
    """An expression and its inputs: `Example("gather(x, rows)", x="f32 [[1, 2], [3, 4]]", rows="i32 [1, 0]")`.

    An input is a dtype and its elements; dims after the dtype, without spaces, are what these are reshaped to. Inputs that
    may differ in dtype should do so here: those of one dtype are tried in every dtype, to find out what the op takes.
    """

    def __init__(self, call: str, **inputs: str):
        self.call = call
        self.inputs = inputs

    def statements(self) -> list[str]:
        """The lines of a function's body."""
        lines = []
        for name, text in self.inputs.items():
            type_, _, elements = text.partition(" ")
            dtype, _, dims = type_.rstrip("]").partition("[")
            value = f"constant({elements}, {dtype})"
            lines.append(
                f"{name} = " + (f"reshape({value}, [{', '.join(dims.split(','))}])" if dims else value)
            )
        return [*lines, f"return {self.call}"]

    def text(self, results: Sequence[str], function: str = "main") -> str:
        """A whole function, given the types of what it returns."""
        types = results[0] if len(results) == 1 else f"({', '.join(results)})"
        body = "".join(f"  {line}\n" for line in self.statements())
        return f"fn {function}() -> {types} {{\n{body}}}\n"
