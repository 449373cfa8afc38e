"""Names that nothing else has."""

from __future__ import annotations


def unique(wanted: str, taken: set[str], first: int = 1, between: str = "_") -> str:
    """A name that is not taken, and then is: the one that is wanted, or with a number behind it, from `first` on."""
    name, number = wanted, first
    while name in taken:
        name = f"{wanted}{between}{number}"
        number += 1
    taken.add(name)
    return name
