"""The column of torch in the table of dtypes: the ops that NumPy does not have, compiled to C, against torch.

What torch computes in f64 is what is right; the C result may be away from it by some units of the dtype, or by some
times what torch itself is away in the dtype.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Any

import ml_dtypes
import numpy as np

from dialects.errors import IrkitError
from dialects.types import DTYPES, AnyTensor, np_dtype, tensor
from irkit.runtime.module import Program
from tests.graph.samples import op_of
from tests.ops.harness import Call, built, is_float, module_of
from tests.ops.torch_calls import FUNCTIONS, TorchCall, torch_calls

ULPS = 4

Note = Callable[[str], None]


VERSION = "2.13"
"""The version of torch that the table is measured with: others take a dtype more or less."""


def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def is_measured_with() -> bool:
    """Whether the torch that is installed is the one that the table is measured with."""
    return has_torch() and metadata.version("torch").startswith(f"{VERSION}.")


def column(note: Note, dtypes: Sequence[str] = tuple(DTYPES)) -> dict[str, str]:
    """For each op the function of torch, and the dtypes in which the two agree: `F.elu`: `f64` `f32`."""
    agrees: dict[str, list[str]] = {name: [] for name in FUNCTIONS}
    for dtype in dtypes:
        calls = [(call, both) for call in torch_calls() if (both := expected(call, dtype)) is not None]
        wrong = {call.name for call, _ in _differing(calls, dtype, note)}
        for name in dict.fromkeys(call.name for call, _ in calls if call.name not in wrong):
            agrees[name].append(dtype)
    return {name: text(name, found) for name, found in agrees.items()}


def text(name: str, dtypes: Sequence[str]) -> str:
    return f"`{FUNCTIONS[name]}`: {' '.join(dtypes)}"


def _differing(
    calls: Sequence[tuple[TorchCall, tuple[np.ndarray, np.ndarray]]], dtype: str, note: Note
) -> Iterator[tuple[TorchCall, str]]:
    """The calls whose results differ, and how."""
    if not calls:
        return
    ours = [Call(c.name, c.in_dtype(dtype), dict(c.values), result=c.result) for c, _ in calls]
    results = Program(*built(module_of(ours)), None, 1)(*[a for call in ours for a in call.arrays])
    listed = list(results) if isinstance(results, tuple) else [results]
    for (call, expected), found in zip(calls, listed, strict=True):
        if fault := compared(found, *expected):
            note(f"{call} in {dtype} is not torch's: {fault}")
            yield call, fault


def compared(found: np.ndarray, own: np.ndarray, wide: np.ndarray) -> str:
    """Why a result is not that of torch, which is `own` in the dtype and `wide` in f64; nothing where it is."""
    if found.shape != own.shape or found.dtype != own.dtype:
        return f"{found.dtype}{list(found.shape)} against {own.dtype}{list(own.shape)}"
    try:
        if not is_float(own.dtype):
            np.testing.assert_array_equal(found, own)
            return ""
        eps = float(ml_dtypes.finfo(own.dtype).eps)
        with np.errstate(all="ignore"):
            exact, rounded = wide.astype(np.float64), own.astype(np.float64)
            finite = np.isfinite(rounded) & np.isfinite(exact)
            error = np.max(np.abs(rounded - exact)[finite], initial=0.0)
            scale = np.max(np.abs(exact[finite]), initial=0.0)
            np.testing.assert_allclose(
                found.astype(np.float64),
                np.where(finite, exact, rounded),
                rtol=ULPS * eps,
                atol=max(4 * error, ULPS * eps * scale if eps < 1e-15 else eps * scale),
            )
    except AssertionError as fault:
        return " ".join(str(fault).split())[:400]
    return ""


# -- torch ----------------------------------------------------------------------------------------------------------


def expected(call: TorchCall, dtype: str) -> tuple[np.ndarray, np.ndarray] | None:
    """What torch gives in a dtype, and what in f64; None for a dtype that one of the two does not take."""
    arrays = call.in_dtype(dtype)
    if all(a.dtype != np_dtype(DTYPES[dtype]) for a in arrays):
        return None
    try:
        op_of(call.name, operand_types(arrays), **call.values)
    except IrkitError:
        return None
    try:
        own = _run(call, arrays)
    except (RuntimeError, TypeError, ValueError):  # "not implemented for 'Half'" comes as each of them
        return None
    if not is_float(own.dtype):
        return own, own
    return own, _run(call, [a.astype(np.float64) if is_float(a.dtype) else a for a in arrays])


def operand_types(arrays: Sequence[np.ndarray]) -> list[AnyTensor]:
    elements = {np_dtype(element): element for element in DTYPES.values()}
    return [tensor(elements[a.dtype], a.shape) for a in arrays]


_BITS = {
    "bfloat16": ("bfloat16", "int16"),
    "float8_e4m3fn": ("float8_e4m3fn", "int8"),
    "float8_e5m2": ("float8_e5m2", "int8"),
}
"""Floats that torch and NumPy exchange as integers."""


def _run(call: TorchCall, arrays: Sequence[np.ndarray]) -> np.ndarray:
    import torch

    def tensor_of(array: np.ndarray) -> Any:
        array = np.ascontiguousarray(array)
        if (bits := _BITS.get(array.dtype.name)) is None:
            return torch.from_numpy(array)
        return torch.from_numpy(array.view(bits[1])).view(getattr(torch, bits[0]))

    found = call.function(*map(tensor_of, arrays)).contiguous()
    for name, bits in _BITS.items():
        if found.dtype is getattr(torch, bits[0]):
            return found.view(getattr(torch, bits[1])).numpy().view(getattr(ml_dtypes, name))
    return found.numpy()
