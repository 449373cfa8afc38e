"""The arithmetic that references share: what graph dtypes mean in NumPy.

f16, bf16 and f8 are stored in their format and computed in f32. Integers wrap; division rounds towards minus infinity,
and division by zero gives zero. Float to integer truncates and saturates, NaN to zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike
from xdsl.dialects.builtin import i1
from xdsl.ir import Attribute

from dialects import types
from dialects.quant import QuantType, stored_range
from dialects.types import is_float, is_integer, np_dtype

Array = np.ndarray

SMALL_FLOATS = tuple(np_dtype(name) for name in types.SMALL_FLOATS)
SMALL_INTEGERS = tuple(np_dtype(name) for name in types.STORAGE if name[0] in "iu")


def widened(arrays: Sequence[Array]) -> list[Array]:
    """Small floats as f32: they are stored in their format and computed in f32."""
    return [a.astype(np.float32) if a.dtype in SMALL_FLOATS else a for a in arrays]


def cast_array(x: Array, element: Attribute) -> Array:
    """An array in another dtype by the graph's rules."""
    target = np_dtype(element)
    if x.dtype == target:
        return x
    is_real = x.dtype in SMALL_FLOATS or x.dtype.kind == "f"
    if element == i1:
        return x.astype(np.float32) != 0 if x.dtype in SMALL_FLOATS + SMALL_INTEGERS else x != 0
    if is_integer(element) and is_real:
        return float_to_integer(x, target)
    if x.dtype in SMALL_FLOATS:
        x = x.astype(np.float32)
    elif x.dtype in SMALL_INTEGERS:
        x = x.astype(np.int8)
    if target in SMALL_INTEGERS:
        return wrapped_to_few_bits(x, target)
    if is_float(element) and target.itemsize == 1:
        x = x.astype(np.float32)
    if element == types.DTYPES["f4e2m1"]:  # which has no NaN
        x = np.where(np.isnan(x), np.float32(0), x)
    return x.astype(target)


def float_to_integer(x: Array, target: np.dtype) -> Array:
    """Truncated towards zero, saturated; NaN becomes zero."""
    info = ml_dtypes.iinfo(target)
    low, high = int(info.min), int(info.max)
    whole = np.trunc(x.astype(np.float64))
    inside = (whole > low) & (whole < float(high))
    wide = np.dtype(np.uint64 if low == 0 else np.int64)
    out = np.where(inside, whole, 0.0).astype(wide)
    out = np.where(whole >= float(high), wide.type(high), out)
    return np.where(whole <= low, wide.type(low), out).astype(target)


def quantised_array(x: Array, element: QuantType) -> Array:
    """The stored numbers of floats: x / scale rounded to even, plus the zero point, saturated; NaN as zero.

    The quotient is that of f32, or of f64 where that is expressed. f8 is stored as it rounds, and keeps NaN.
    """
    wide = np.float64 if np_dtype(element.expressed) == np.float64 else np.float32
    low, high = stored_range(element.storage)
    quotient = cast_array(x, element.expressed).astype(wide) / along_dim(
        element.scales, element, x.ndim, wide
    )
    if is_float(element.storage):
        return cast_array(np.clip(quotient, low, high), element.storage)
    steps = np.nan_to_num(np.clip(np.rint(quotient), -(2.0**40), 2.0**40), nan=0).astype(np.int64)
    moved = steps + along_dim(element.zeros, element, x.ndim, np.int64)
    return np.clip(moved, low, high).astype(np_dtype(element.storage))


def dequantised_array(x: Array, element: QuantType) -> Array:
    """(stored - zero point) * scale in the type that is expressed; small floats are computed in f32."""
    wide = np.float64 if np_dtype(element.expressed) == np.float64 else np.float32
    steps = x.astype(np.float32)
    if not is_float(element.storage):
        steps = x.astype(np.int64) - along_dim(element.zeros, element, x.ndim, np.int64)
    scaled = steps.astype(wide) * along_dim(element.scales, element, x.ndim, wide)
    return cast_array(scaled, element.expressed)


def along_dim(numbers: Sequence[float], element: QuantType, rank: int, dtype: DTypeLike) -> Array:
    """Scales or zero points of a quantised type, shaped to broadcast against a tensor of a rank."""
    if element.along is None:
        return np.asarray(numbers[0], dtype)
    row = np.repeat(np.asarray(numbers, dtype), element.each)
    return row.reshape([-1 if i == element.along else 1 for i in range(rank)])


def wrapped_to_few_bits(x: Array, target: np.dtype) -> Array:
    """The lowest bits of integers, as i4, u4, i2 or u2."""
    info = ml_dtypes.iinfo(target)
    span = int(info.max) - int(info.min) + 1
    low = (x.astype(np.int64) & (span - 1)).astype(np.int8)
    return np.where(low > int(info.max), low - span, low).astype(target)


def divide(a: Array, b: Array) -> Array:
    """a / b; of integers the floor, and zero where b is zero."""
    if a.dtype.kind not in "iu":
        return a / b
    safe = np.where(b == 0, b.dtype.type(1), b)
    return np.where(b == 0, a.dtype.type(0), np.floor_divide(a, safe))


def modulo(a: Array, b: Array) -> Array:
    """The remainder with the sign of b; of integers zero where b is zero."""
    if a.dtype.kind not in "iu":
        return np.mod(a, b)
    safe = np.where(b == 0, b.dtype.type(1), b)
    return np.where(b == 0, a.dtype.type(0), np.mod(a, safe))


def power(a: Array, b: Array) -> Array:
    """a to the power b. Of integers it wraps, and a negative power is the true quotient truncated: 0 unless |a| = 1."""
    if a.dtype.kind not in "iu":
        return np.power(a, b)
    a, b = np.broadcast_arrays(a, b)
    out, base, rest = np.ones_like(a), a.copy(), np.where(b > 0, b, b.dtype.type(0))
    while np.any(rest):
        out = np.where(rest & 1, out * base, out)
        base, rest = base * base, rest >> 1
    if a.dtype.kind == "u":
        return out
    unit = np.where(b & 1, a, a * a)  # what a power of 1 or -1 is
    return np.where(b < 0, np.where(np.abs(a) == 1, unit, a.dtype.type(0)), out)


def shift_left(a: Array, b: Array) -> Array:
    """a moved up by b bits; 0 where b, read without sign, is no less than the width."""
    count = b.view(f"u{b.itemsize}")
    bits = 8 * a.itemsize
    moved = np.left_shift(a, np.minimum(count, bits - 1).astype(a.dtype))
    return np.where(count >= bits, a.dtype.type(0), moved)


def shift_right(a: Array, b: Array) -> Array:
    """a moved down by b bits; by the width or more (b read without sign) only the sign is left."""
    count = np.minimum(b.view(f"u{b.itemsize}"), 8 * a.itemsize - 1).astype(a.dtype)
    moved = np.right_shift(a, count)
    if a.dtype.kind == "i":
        return moved
    return np.where(b.view(f"u{b.itemsize}") >= 8 * a.itemsize, a.dtype.type(0), moved)


_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Array:
    """The error function, computed in f64."""
    return np.asarray(_erf(x.astype(np.float64)), np.float64).astype(x.dtype)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), computed in f64."""
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(x.dtype)


def silu(x: Array) -> Array:
    """x * sigmoid(x), computed in f64."""
    wide = x.astype(np.float64)
    return (wide / (1 + np.exp(-wide))).astype(x.dtype)


def gelu(x: Array) -> Array:
    """x times the distribution function of the standard normal distribution, computed in f64."""
    wide = x.astype(np.float64)
    return (0.5 * wide * (1 + erf(wide / math.sqrt(2)))).astype(x.dtype)


def gelu_tanh(x: Array) -> Array:
    """The approximation of gelu by tanh, computed in f64."""
    wide = x.astype(np.float64)
    return (0.5 * wide * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))).astype(x.dtype)


def least(dtype: np.dtype) -> float | int:
    """What a maximum of nothing is."""
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def greatest(dtype: np.dtype) -> float | int:
    """What a minimum of nothing is."""
    return np.inf if dtype.kind == "f" else int(np.iinfo(dtype).max)


def softmax(x: Array, axis: int) -> Array:
    """exp(x - max) over its sum along one dim; a slice that is -inf throughout gives NaN."""
    if not x.size:
        return x
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


# -- random numbers ---------------------------------------------------------------------------------------------

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(key: tuple[int, int], counters: Array) -> Array:
    """Philox-4x32-10: for each counter of four 32-bit words (uint64 [n, 4]) four random words, as uint32 [n, 4].

    J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
    """
    c = [counters[:, i] for i in range(4)]
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c[0] * _M0, c[2] * _M1
        c = [
            (p1 >> _HALF) ^ c[1] ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _HALF) ^ c[3] ^ np.uint64(k1),
            p0 & _LOW,
        ]
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack(c, axis=-1).astype(np.uint32)


def random_numbers(dist: str, key: Array, counters: Array) -> Array:
    """bits (u32), uniform or normal (f32) numbers for counters (u64 [n]); `graph.random` says how they are made."""
    zeros = np.zeros_like(counters)
    words = philox(
        (int(key[0]), int(key[1])), np.stack([counters & _LOW, counters >> _HALF, zeros, zeros], axis=-1)
    )
    if dist == "bits":
        return words[:, 0]
    high = words[:, :2] >> np.uint32(8)
    if dist == "uniform":
        return high[:, 0].astype(np.float32) * np.float32(2.0**-24)
    u, v = (high[:, 0] + 1.0) * 2.0**-24, high[:, 1] * 2.0**-24
    return (np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)).astype(np.float32)
