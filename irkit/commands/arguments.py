"""What the commands share: reading `--dim`."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.errors import IrkitError

MAX_DIGITS = 30
"""Of a number in the command line; no size has more."""


def read_dims(items: Sequence[str]) -> dict[str, int]:
    """The sizes of `--dim NAME=SIZE`, which may be repeated or hold several with commas between. Raises IrkitError."""
    dims: dict[str, int] = {}
    for item in filter(None, ",".join(items).split(",")):
        name, _, value = (part.strip() for part in item.partition("="))
        if not name.isidentifier() or not is_number(value):
            raise IrkitError(f"bad dim '{item}'", expected="NAME=SIZE, as in --dim B=1")
        dims[name] = int(value)
    return dims


def is_number(text: str) -> bool:
    """Whether a text is a number of so few digits that Python reads it."""
    return text.isdecimal() and len(text) <= MAX_DIGITS


def read_bytes(text: str) -> int:
    """A number of bytes, as `65536`, `64k` or `2M`. Raises IrkitError."""
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    factors = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    if not is_number(number) or unit not in factors:
        raise IrkitError(f"bad number of bytes '{text}'", expected="a number, as 65536, 64k or 2M")
    return int(number) * factors[unit]


def bytes_text(size: float) -> str:
    """A number of bytes for people: `92.2 kB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.4g} {unit}"
        size /= 1000
    return f"{size:.4g} GB"


def seconds_text(seconds: float) -> str:
    """A time for people: `1.23 ms`."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def count_text(count: float) -> str:
    """A number for people: `1.23 M`."""
    for unit in ("", " k", " M", " G"):
        if count < 1000:
            return f"{count:.4g}{unit}"
        count /= 1000
    return f"{count:.4g} T"
