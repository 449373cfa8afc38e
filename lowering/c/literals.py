"""Array elements as C constants, exact to the bit, and comments."""

from __future__ import annotations

import numpy as np

from dialects.types import SMALL_FLOATS


def c_words(value: np.ndarray, dtype: str, portable: bool = False) -> list[str]:
    """The elements of an array as C constants; an empty array, which C has not, gets one zero.

    `portable` constants are C99; others may be builtins of GNU C, which keep the sign of NaN.
    """
    if value.dtype.kind == "c":
        flat = np.ascontiguousarray(value).reshape(-1)
        value = flat.view(np.float32 if flat.itemsize == 8 else np.float64)
    if not value.size:
        return ["0"]
    if dtype in SMALL_FLOATS:
        flat = np.ascontiguousarray(value).reshape(-1)
        return [hex(int(x)) for x in flat.view(f"u{flat.itemsize}")]
    if value.dtype.kind == "f":
        suffix = "f" if value.dtype.itemsize == 4 else ""
        return [_c_float(float(x), suffix, portable) for x in value.reshape(-1)]
    return [_c_integer(int(x), dtype) for x in value.reshape(-1)]


def _c_float(x: float, suffix: str, portable: bool) -> str:
    if portable and not np.isfinite(x):
        return f"{'-' if x < 0 else ''}{int(x == x)}.0{suffix} / 0.0{suffix}"
    if x != x:
        return f'__builtin_nan{suffix}("")'
    if x in (float("inf"), float("-inf")):
        return f"{'-' if x < 0 else ''}__builtin_inf{suffix}()"
    # Decimal digits where they are exact and short, else hexadecimal digits, which always are.
    return f"{x:.1f}{suffix}" if x == int(x) and abs(x) < 1e6 else x.hex() + suffix


def _c_integer(x: int, dtype: str) -> str:
    if dtype == "i64":
        return f"INT64_C({x})" if x > -(2**63) else "INT64_MIN"
    if dtype == "i32" and x == -(2**31):
        return "INT32_MIN"
    return f"UINT64_C({x})" if dtype == "u64" else f"{x}u" if dtype == "u32" else str(x)


def c_comment(text: str) -> str:
    """A text as a comment to the end of the line: a backslash at its end, also as a trigraph, would take the next line."""
    line = " ".join(text.split("\n"))
    return f"// {line} ." if line.rstrip().endswith(("\\", "??/")) else f"// {line}"
