"""What a model should give, by ONNX Runtime or by ONNX's own reference, and how exactly.

Rounding differs from one implementation to the next, and some ops blow it up or decide by it. So a model also runs with a
little noise: behind each op that rounds, and before each that sums. How far that moves an element of a result, or whether
it changes an integer, tells how near compiled code has to come. What ONNX leaves open, such as a NaN cast to an integer,
is known by looking at every value on the way; nothing that depends on it is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.fuzz_onnx.ops import ERRS, EXACT, F32, NARROW, SMOOTH, SUMS, UNDEFINED_FOR_NAN
from tests.fuzz_onnx.runners import Arrays, Runner, reference

ROUNDINGS = 4
"""How large noise is, in roundings of the dtype."""
SHAKES = 1
MARGIN = 16
"""How many times as far as noise moves an element it may lie."""


@dataclass(frozen=True)
class Expected:
    """Results by name, as they are and with noise; what is not compared, and the op that leaves it open."""

    plain: Arrays
    shaken: Sequence[Arrays]
    open: Mapping[str, str]
    values: Arrays
    """Every value of the graph."""


def expect(
    model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], run: Runner, shakes: int = SHAKES
) -> Expected:
    """What a model should give. Raises what `run` raises where it cannot run the model."""
    wanted = [o.name for o in model.graph.output]
    values = run(_with_all_values(model), inputs) | dict(inputs)
    rng = np.random.default_rng(len(values))
    noisy = [_shaken(model, values, rng) for _ in range(shakes)]
    left = _left_open(model, values, run is reference)
    return Expected({n: values[n] for n in wanted}, [run(m, inputs) for m in noisy], left, values)


def _with_all_values(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, with every value a result."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    have = {o.name for o in model.graph.output}
    names = [n for node in model.graph.node for n in node.output if n and n not in have]
    made.graph.output.extend(helper.make_value_info(n, onnx.TypeProto()) for n in names)
    return made


def _shaken(model: onnx.ModelProto, values: Arrays, rng: np.random.Generator) -> onnx.ModelProto:
    """The model with noise behind ops that round and before those that sum."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    data = made.graph.initializer
    held = {t.name: t for t in model.graph.initializer}

    def value(name: str) -> np.ndarray | None:
        found = values.get(name)
        return numpy_helper.to_array(held[name]) if found is None and name in held else found

    def noise(source: str, target: str, op: str, least: float = 0.0) -> None:
        array = value(source if source in values or source in held else target)
        assert array is not None
        eps = max(float(ml_dtypes.finfo(array.dtype).eps), least)
        size = ROUNDINGS * eps * rng.uniform(-1, 1, array.shape)
        if op == "Add":
            finite = np.abs(array[np.isfinite(array)].astype(float))
            size = size * max(1.0, finite.max(initial=0.0)) / 2
        data.append(
            numpy_helper.from_array(
                np.asarray(1 + size if op == "Mul" else size).astype(array.dtype), f"{target}/noise"
            )
        )
        nodes.append(helper.make_node(op, [source, f"{target}/noise"], [target]))

    for number, node in enumerate(model.graph.node):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if node.op_type in SUMS:
            for place, name in enumerate(node.input[:3] if node.op_type != "Resize" else node.input[:1]):
                array = value(name) if name else None
                if array is not None and array.dtype.kind == "f":
                    copy.input[place] = f"{name}/{number}.{place}"
                    noise(name, copy.input[place], "Mul")
        nodes.append(copy)
        for place, name in enumerate(node.output):
            if name and node.op_type not in EXACT and values[name].dtype.kind == "f" and values[name].size:
                copy.output[place] = f"{name}/plain"
                least = F32 if _has_floats(node) or node.op_type in NARROW else 0.0
                if node.op_type in ("Resize", "GridSample"):  # places are rounded, as far as an image is long
                    least = F32 * max(values.get(node.input[0], values[name]).shape)
                noise(copy.output[place], name, "Add" if node.op_type in SMOOTH else "Mul", least)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _has_floats(node: onnx.NodeProto) -> bool:
    """Whether a node has attributes of f32, which have defaults where it does not give them."""
    schema = onnx.defs.get_schema(node.op_type)
    return any(a.type == onnx.defs.OpSchema.AttrType.FLOAT for a in schema.attributes.values())


def _left_open(model: onnx.ModelProto, values: Arrays, by_evaluator: bool) -> dict[str, str]:
    """The values that depend on what ONNX does not say, each with the op that does not; and on what the evaluator errs in."""
    known = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer} | values
    found: dict[str, str] = {}
    for node in model.graph.node:
        why = next((found[n] for n in node.input if n in found), None)
        why = why or _why_open(node, [known.get(n) for n in node.input])
        if by_evaluator and node.op_type in ERRS:
            why = f"{node.op_type}, in which the evaluator errs"
        if why:
            found |= dict.fromkeys(node.output, why)
    return found


def _why_open(node: onnx.NodeProto, inputs: Sequence[np.ndarray | None]) -> str | None:
    op, arrays = node.op_type, [a for a in inputs if a is not None]
    floats = [a for a in arrays if a.dtype.kind == "f"]
    if op in UNDEFINED_FOR_NAN and any(np.isnan(a).any() for a in floats):
        return f"{op} of NaN"
    if op == "Cast" and floats:
        wanted = helper.tensor_dtype_to_np_dtype(next(a.i for a in node.attribute if a.name == "to"))
        if wanted.kind in "iu":
            limits, x = np.iinfo(wanted), np.trunc(floats[0].astype(float))
            if not np.all((x >= limits.min) & (x < float(limits.max) + 1)):
                return "Cast of what does not fit"
    if op in ("Div", "Reciprocal") and floats and _underflows(floats[-1]):
        return f"{op} by less than the least normal number, which may be zero elsewhere"
    if op == "DynamicQuantizeLinear" and not np.any(floats[0]):
        return "DynamicQuantizeLinear of zeros"
    if not floats and op in ("Div", "Mod") and not np.all(arrays[1]):
        return f"{op} by zero"
    if not floats and op == "Pow":
        return "Pow of integers that does not fit" if np.any(arrays[1] < 0) or _overflows(arrays) else None
    return None


def _underflows(array: np.ndarray) -> bool:
    return bool(np.any(np.abs(array) < ml_dtypes.finfo(array.dtype).tiny))


def _overflows(arrays: Sequence[np.ndarray]) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.any(np.abs(np.power(arrays[0].astype(float), arrays[1].astype(float))) >= 2.0**24))


# -- comparing --------------------------------------------------------------------------------------------------------


def difference(found: np.ndarray, name: str, expected: Expected) -> str | None:
    """What is wrong with a result, or None."""
    plain = expected.plain[name]
    if found.shape != plain.shape or found.dtype != plain.dtype:
        return f"{found.dtype}{list(found.shape)} for {plain.dtype}{list(plain.shape)}"
    shaken = [s[name] for s in expected.shaken]
    if plain.dtype.kind != "f":
        steady = np.all([s == plain for s in shaken], axis=0) if shaken else True
        wrong, bound = (found != plain) & steady, np.zeros(plain.shape)
    else:
        a, b, others = found.astype(float), plain.astype(float), [s.astype(float) for s in shaken]
        info = ml_dtypes.finfo(plain.dtype)
        with np.errstate(all="ignore"):
            moved = np.max([np.abs(s - b) for s in others], axis=0) if others else np.zeros(b.shape)
            bound = MARGIN * moved + MARGIN * float(info.eps) * np.abs(b) + 4 * float(info.tiny)
            # What noise makes infinite, or NaN, is not compared.
            steady = np.all([np.isfinite(s) == np.isfinite(b) for s in others], axis=0) if others else True
            same = np.where(np.isfinite(b), np.abs(a - b) <= bound, (a == b) | (np.isnan(a) & np.isnan(b)))
        wrong = ~same & steady
    if not np.any(wrong):
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    count = f"{int(np.sum(wrong))} of {plain.size} wrong"
    return f"{found[at]} for {plain[at]} (give or take {bound[at]:.2g}) at {list(at)}, {count}"
