"""`irkit import`: an ONNX model as a `.tg` file that a person can read and change, its weights beside it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

import numpy as np

from dialects.errors import IrkitError
from irkit.commands.arguments import bytes_text, is_number
from irkit.files import check_writable


def execute(args: argparse.Namespace) -> None:
    """Writes NAME.tg and NAME.safetensors, or nothing. Raises IrkitError, or ErrorList with all that is not supported."""
    output = args.output or f"{args.file.removesuffix('.onnx')}.tg"
    check_writable(output, makes_folders=True)
    from irkit.onnx import from_onnx

    graph = from_onnx(args.file, read_ranges(args.dim), read_values(args.input))
    graph.save_tg(output)
    size = sum(a.nbytes for a in graph.arrays.values())
    ops = sum(1 for op in graph.module.walk() if op.name.startswith("graph."))
    print(f"wrote {output}: {ops} ops, {len(graph.arrays)} parameters, {bytes_text(size)}")


def read_ranges(items: Sequence[str]) -> dict[str, int | tuple[int, int]]:
    """Sizes and ranges of `--dim NAME=SIZE` and `--dim NAME=LEAST..GREATEST`. Raises IrkitError."""
    found: dict[str, int | tuple[int, int]] = {}
    for item in items:
        name, _, text = (part.strip() for part in item.partition("="))
        least, dots, greatest = text.partition("..")
        words = [least, greatest] if dots else [least]
        if not name or not all(map(is_number, words)):
            raise IrkitError(
                f"bad dim '{item}'", expected="NAME=SIZE or NAME=LEAST..GREATEST, as in --dim batch=1..64"
            )
        found[name] = (int(least), int(greatest)) if dots else int(least)
    return found


def read_values(items: Sequence[str]) -> Mapping[str, np.ndarray]:
    """The values of `--input NAME=VALUE`: a number, a list of numbers, or an .npy file. Raises IrkitError."""
    found: dict[str, np.ndarray] = {}
    for item in items:
        name, _, text = item.partition("=")
        expected = "NAME=VALUE, as in --input shape=[2,3] or --input shape=shape.npy"
        try:
            found[name] = (
                np.load(text, allow_pickle=False) if text.endswith(".npy") else _array(json.loads(text))
            )
        except OSError as fault:
            raise IrkitError(f"cannot read '{text}': {fault.strerror}") from None
        except ValueError:
            raise IrkitError(f"bad value '{item}'", expected=expected) from None
    return found


def _array(value: object) -> np.ndarray:
    """Integers are i64 and floats f32, as models have them."""
    array = np.array(value)
    if array.dtype.kind not in "ifb":
        raise ValueError("no numbers")
    return array.astype(np.float32) if array.dtype.kind == "f" else array
