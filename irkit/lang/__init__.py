"""The language: `.tg` text to a syntax tree, and the tree to graph ops.

module = to_graph(parse(text, "digits.tg"), dims={"B": 1})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from irkit.lang.parser import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xdsl.dialects.builtin import ModuleOp

    from irkit.lang.tree import Module

__all__ = ["parse", "to_graph"]


def to_graph(module: Module, fn: str | None = None, dims: Mapping[str, int] | None = None) -> ModuleOp:
    """The graph of one function of a file; see `irkit.lang.emit.to_graph`."""
    from irkit.lang import emit

    return emit.to_graph(module, fn, dims)
