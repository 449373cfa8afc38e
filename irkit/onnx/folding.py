"""Nodes all of whose inputs are known: computed now, by ONNX's own reference, or by rules for sizes that are expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from irkit.onnx import values
from irkit.onnx.node import Node, domain_of
from irkit.onnx.values import Held

LIMIT = 1 << 16
"""Elements of a result of what is computed now; larger ones stay in the graph, which computes them once, in `init`."""

SHAPE = 64
"""Elements of an input that may tell the shape of a result."""
BOUNDED = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})
"""Ops whose results have shapes that elements tell, none of them much larger than the input."""

RANDOM = frozenset(
    {
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "RandomUniformLike",
        "Multinomial",
        "Bernoulli",
        "Dropout",
    }
)
KEPT = frozenset(
    {
        *(
            "AveragePool",
            "MaxPool",
            "LpPool",
            "GlobalAveragePool",
            "GlobalLpPool",
            "GlobalMaxPool",
            "MaxUnpool",
        ),
        *("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LRN"),
        *("LpNormalization", "MeanVarianceNormalization", "RMSNormalization", "Conv", "ConvTranspose"),
        *("DeformConv", "Col2Im", "Resize", "Upsample", "GridSample", "AffineGrid", "RoiAlign"),
        *("RNN", "GRU", "LSTM", "Attention", "Erf"),
    }
)
"""Ops of floats, which tell no shapes: the program computes them, as what ONNX says and not as the reference, which has some
otherwise (`BatchNormalization` of opset 9, `LpNormalization` of order 1, `LRN`, `AveragePool`)."""
ALWAYS = frozenset({"Constant", "NonMaxSuppression", "Shape", "Size", "Unique"})
"""What has rules of its own that know more."""


def fold(node: Node) -> list[Held] | None:
    """The outputs of a node that can be computed now, or None."""
    if node.op in RANDOM | KEPT | ALWAYS or domain_of(node.proto.domain) != "" or not node.inputs:
        return None
    if not all(v is None or isinstance(v, np.ndarray) for v in node.inputs):
        return None
    if any(isinstance(v, np.ndarray) and values.is_sizes(v) for v in node.inputs):
        rule = _SIZES.get(node.op)
        try:
            return None if rule is None else [values.tightened(np.asarray(rule(node), object))]
        except (TypeError, ValueError):  # of an expression whose value decides: it stays in the graph
            return None
    if any(a.type in (a.GRAPH, a.GRAPHS) or _is_elsewhere(a) for a in node.proto.attribute):
        return None
    if max((v.size for v in node.inputs if isinstance(v, np.ndarray)), default=0) > LIMIT:
        return None
    return evaluated(node)


def _is_elsewhere(attribute: onnx.AttributeProto) -> bool:
    """Whether the reference would look for data in a file."""
    return any(t.data_location == t.EXTERNAL for t in (attribute.t, *attribute.tensors))


def _is_small(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> bool:
    """Whether the outputs are no larger than what is computed now, by ONNX's own rules for shapes."""
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    for info in typed.graph.input:
        array = inputs[info.name]
        code = values.CODES[values.element(array)]
        info.type.CopyFrom(onnx.helper.make_tensor_type_proto(code, array.shape))
        if array.size <= SHAPE and array.dtype.kind in "iufb":
            typed.graph.initializer.append(onnx.numpy_helper.from_array(array, info.name))
    try:
        shapes = onnx.shape_inference.infer_shapes(typed, data_prop=True).graph.output
    except Exception:  # the library's own, for what no valid model says
        return False
    if typed.graph.node[0].op_type in BOUNDED:
        return True
    dims = [info.type.tensor_type.shape.dim for info in shapes if info.type.tensor_type.HasField("shape")]
    known = all(d.HasField("dim_value") for shape in dims for d in shape)
    return (
        known and len(dims) == len(shapes) and all(math.prod(d.dim_value for d in s) <= LIMIT for s in dims)
    )


def evaluated(node: Node) -> list[Held] | None:
    """The outputs by ONNX's reference; None where it has no such op, and where they are large."""
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    names = [f"i{n}" if v is not None else "" for n, v in enumerate(node.inputs)]
    del proto.input[:]
    proto.input.extend(names)
    outs = [f"o{n}" if name else "" for n, name in enumerate(node.proto.output)]
    del proto.output[:]
    proto.output.extend(outs)
    wanted = [o for o in outs if o]
    empty = onnx.TypeProto()
    graph = onnx.helper.make_graph(
        [proto],
        "fold",
        [onnx.helper.make_value_info(n, empty) for n in names if n],
        [onnx.helper.make_value_info(o, empty) for o in wanted],
    )
    opsets = [onnx.helper.make_opsetid("", node.version)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    given: dict[str, Any] = {n: v for n, v in zip(names, node.inputs, strict=True) if n}
    if not _is_small(model, given):
        return None
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, given)
    except Exception:  # whatever it lacks, the graph may have
        return None
    made = dict(zip(wanted, found, strict=True))
    if not all(
        isinstance(v, np.ndarray | np.generic) and np.asarray(v).dtype != object for v in made.values()
    ):
        return None
    return [np.asarray(made[o]) if o else None for o in outs]


# -- sizes that are expressions ---------------------------------------------------------------------------------------


def _slice(n: Node) -> Any:
    x = n.known(0)
    if n.version < 10:
        starts, ends, axes = n.needs("starts"), n.needs("ends"), n.attr("axes")
        steps = None
    else:
        starts, ends = n.ints(1), n.ints(2)
        axes = n.ints(3) if n.has(3) else None
        steps = n.ints(4) if n.has(4) else None
    key = [slice(None)] * x.ndim
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        key[axes[k] if axes else k] = slice(start, end, steps[k] if steps else 1)
    return x[tuple(key)]


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Node], Any]:
    def run(n: Node) -> Any:
        return function(n.known(0).astype(object), n.known(1).astype(object))

    return run


def _gather(n: Node) -> Any:
    return np.take(n.known(0), n.known(1).astype(np.int64), axis=n.axis(0))


def _unsqueeze(n: Node) -> Any:
    axes = n.ints(1) if n.has(1) else n.needs("axes")
    return np.expand_dims(n.known(0), tuple(axes))


def _squeeze(n: Node) -> Any:
    axes = n.ints(1) if n.has(1) else n.attr("axes")
    return np.squeeze(n.known(0), None if axes is None else tuple(axes))


def _concat(n: Node) -> Any:
    return np.concatenate([n.known(i) for i in range(len(n))], axis=n.axis(0))


def _cast(n: Node) -> Any:
    if values.dtype_name(n.needs("to")) not in ("i64", "i32"):
        raise TypeError("a size is an integer")
    return n.known(0)


def _where(n: Node) -> Any:
    return np.where(n.known(0).astype(bool), n.known(1).astype(object), n.known(2).astype(object))


_SIZES: dict[str, Callable[[Node], Any]] = {
    "Add": _binary(lambda a, b: a + b),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _binary(lambda a, b: a // b),
    "Equal": _binary(lambda a, b: a == b),
    "Gather": _gather,
    "Identity": lambda n: n.known(0),
    "Mod": _binary(lambda a, b: a % b),
    "Mul": _binary(lambda a, b: a * b),
    "ReduceProd": lambda n: np.prod(n.known(0), keepdims=bool(n.attr("keepdims", 1))),
    "Reshape": lambda n: n.known(0).reshape(n.ints(1)),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _binary(lambda a, b: a - b),
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
"""What models compute from shapes."""
