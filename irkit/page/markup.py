"""Pieces of HTML and SVG that all parts of a page share. Whatever comes from the model goes through `text`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape

from irkit.page.facts import Mark

MarkId = Callable[[Mark], int]
"""The number of a mark in the page's table; things with the same mark share it."""

CHAR = 7.0
"""The width of a character of the drawings' font."""


_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def text(content: str) -> str:
    """Text as HTML; control characters and lone surrogates, which HTML has no form for, become U+FFFD."""
    shown = _UNPRINTABLE.sub("\ufffd", content)
    return escape(shown, quote=True)


def hue(kernels: Sequence[str], order: Mapping[str, int]) -> str:
    """The style that gives what belongs to a kernel its colour; the golden angle keeps neighbours apart."""
    if not kernels or kernels[0] not in order:
        return ""
    return f' style="--hue:{order[kernels[0]] * 137 % 360}"'


def button(kind: str, mark: Mark, label: str, mark_id: MarkId, style: str, inside: str) -> str:
    """A thing in a drawing that can be chosen, by mouse or keyboard."""
    return (
        f'<g class="item {kind}" data-g="{mark_id(mark)}" role="button" aria-label="{text(label)}"{style}>'
        f"<title>{text(label)}</title>{inside}</g>"
    )
