"""Guesses at what a misspelt name was meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """`did you mean 'relu'?`, or None where nothing is close."""
    if aliases and word in aliases:
        return f"did you mean '{aliases[word]}'?"
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    if not close:  # case is the commonest slip that difflib rates low
        close = [k for k in known if k.lower() == word.lower()]
    return f"did you mean '{close[0]}'?" if close else None
