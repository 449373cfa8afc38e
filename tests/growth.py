"""How work grows with the size of its input, counted in calls: a figure that no load on the machine changes."""

from __future__ import annotations

import sys
from collections.abc import Callable


def calls(work: Callable[[], object]) -> int:
    """The calls of Python functions and of built-in ones that some work makes."""
    count = 0

    def seen(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def growth(work: Callable[[int], Callable[[], object]], few: int, many: int) -> float:
    """How many times as many calls each item takes in `many` as in `few`: one where work is linear. `work` prepares."""
    return calls(work(many)) / many / (calls(work(few)) / few)
