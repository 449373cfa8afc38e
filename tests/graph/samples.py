"""One or more calls of every graph op, by operand types and parameters; a test holds the table to be complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.ir import Block

from dialects.dims import Dim
from dialects.graph import GraphOp, make, quant
from dialects.types import DTYPES, STORAGE, AnyTensor, dims_of, dtype_name, np_dtype, tensor

FLOATS = ("f64", "f32", "f16", "bf16", "f8e4m3", "f8e5m2")
INTEGERS = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
NUMBERS = (*FLOATS, *INTEGERS)
MOVED = (*NUMBERS, *STORAGE, "bool", "c64", "c128")
"""Every dtype."""


@dataclass(frozen=True)
class Sample:
    """A call: operand types as (dtype, dims), parameters."""

    name: str
    operands: tuple[tuple[str, tuple[int | str, ...]], ...]
    values: Mapping[str, object] = field(default_factory=dict)

    def types(self) -> list[AnyTensor]:
        return [tensor(dtype, [Dim.parse(str(d)) for d in dims]) for dtype, dims in self.operands]

    def __str__(self) -> str:
        return f"{self.name}-{'-'.join(d + 'x'.join(map(str, s)) for d, s in self.operands)}"


def op_of(name: str, types: Sequence[AnyTensor], **values: object) -> GraphOp:
    """An op on the arguments of a block that holds it."""
    block = Block(arg_types=types)
    op = make(name, list(block.args), values)
    block.add_op(op)
    return op


def run(name: str, *arrays: np.ndarray, **values: object) -> np.ndarray:
    """The reference of an op on arrays, with its types inferred and verified."""
    from dialects.graph.base import _ELEMENTS

    op = op_of(name, [tensor(_ELEMENTS[a.dtype], a.shape) for a in arrays], **values)
    op.verify()
    (result,) = op.run(arrays)
    (type_,) = [r.type for r in op.results]
    assert tuple(d.value for d in dims_of(type_)) == result.shape
    assert result.dtype == np_dtype(type_.element_type)  # pyright: ignore
    return result


def random_array(type_: AnyTensor, seed: int = 0) -> np.ndarray:
    """Numbers of either sign, of moderate size, for any dtype."""
    rng = np.random.default_rng(seed)
    shape = [d.value for d in dims_of(type_)]
    dtype, name = np_dtype(type_.element_type), dtype_name(type_.element_type)
    if name == "bool":
        return rng.random(shape) < 0.5  # pyright: ignore
    if name[0] in "iu":
        low, high = (-2, 2) if name == "i2" else (0 if name[0] == "u" else -7, 4 if name == "u2" else 8)
        return rng.integers(low, high, shape).astype(dtype)
    if name[0] == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)  # pyright: ignore
    return rng.standard_normal(shape).astype(np.float32).astype(dtype)  # pyright: ignore


X = ("f32", (3, 5))
UNARY = [
    "neg",
    "abs",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "tanh",
    "sigmoid",
    "erf",
    "sin",
    "cos",
    "floor",
    "ceil",
    "relu",
    "gelu",
    "silu",
]
BINARY = ["add", "sub", "mul", "div", "mod", "pow", "min", "max"]
LOGICAL = ["logical_and", "logical_or", "logical_xor"]
BITWISE = ["bitwise_and", "bitwise_or", "bitwise_xor", "shift_left", "shift_right"]

IMAGE = ("f32", (2, 4, 3, 5))
CHANNELS = ("f32", (4,))

DERIVED = (
    *(
        Sample(name, (X,))
        for name in (
            *("is_nan", "is_inf", "is_finite"),
            *(
                "log1p",
                "expm1",
                "tan",
                "atan",
                "round",
                "sign",
                "stop_gradient",
                "square",
                "reciprocal",
                "exp2",
                "log2",
            ),
            *("softplus", "leaky_relu", "elu", "relu6", "hardsigmoid", "hardswish", "log_sigmoid", "mish"),
        )
    ),
    Sample("atan2", (X, ("f32", (5,)))),
    Sample("clamp", (X,), {"low": -0.5, "high": 1}),
    Sample("clamp", (("i32", (4,)),), {"low": -2, "high": 3}),
    *(
        Sample(f"reduce_{kind}", ((dtype, (3, 4, 5)),), values)
        for kind, dtype in (
            *(("any", "bool"), ("all", "bool")),
            *((k, "f32") for k in ("var", "std", "logsumexp", "l2")),
        )
        for values in ({}, {"axes": [1]}, {"axes": [0, 2], "keepdims": True})
    ),
    Sample("argmin", (X,), {"axis": 0}),
    Sample("argmin", (("u8", (3, 4)),), {"keepdims": True}),
    *(
        Sample("pad", (X,), {"pads": [1, 0, 2, 1], "mode": mode})
        for mode in ("constant", "edge", "reflect", "wrap")
    ),
    Sample("tile", (X,), {"repeats": [2, 3]}),
    Sample("flip", (X,)),
    Sample("flip", (("bool", (3, 5)),), {"axes": [-1]}),
    Sample("roll", (X,), {"shift": -2, "axis": 1}),
    Sample("split", (("f32", (3, 6)),), {"parts": 3, "axis": 1}),
    Sample("iota", (), {"shape": [3, 4], "axis": 0, "dtype": "f32"}),
    Sample("iota", (), {"shape": ["B"]}),
    Sample("one_hot", (("i32", (2, 3)),), {"classes": 4}),
    Sample("tril", (X,), {"k": 1}),
    Sample("triu", (("i16", (2, 4, 4)),)),
    Sample("take_along", (X, ("i64", (3, 2)))),
    Sample("gather_nd", (X, ("i64", (4, 2)))),
    Sample("gather_nd", (("f32", (3, 4, 5)), ("i32", (2, 2, 1)))),
    Sample("pixel_shuffle", (IMAGE,), {"factor": 2}),
    Sample("resize_nearest", (IMAGE,), {"size": [7, 2]}),
    Sample("resize_bilinear", (IMAGE,), {"size": [2, 9]}),
    Sample("log_softmax", (X,), {"axis": 0}),
    Sample("rms_norm", (X, ("f32", (5,)))),
    Sample("rotary_embedding", (("f32", (2, 3, 6)), ("f32", (3, 3)), ("f32", (1, 6)))),
    Sample("batch_norm", (IMAGE, *[CHANNELS] * 4)),
    Sample("group_norm", (IMAGE, CHANNELS, CHANNELS), {"groups": 2}),
    *(Sample(name, (X, X)) for name in ("squared_error", "absolute_error", "huber")),
    *(Sample(name, (X, X)) for name in ("binary_cross_entropy", "kl_divergence")),
    Sample("cross_entropy", (("f32", (2, 3, 5)), ("i32", (2, 3)))),
    Sample("conv1d", (("f32", (2, 4, 11)), ("f32", (6, 2, 3))), {"stride": 2, "padding": 1, "groups": 2}),
    Sample("conv1d", (("f32", (2, 4, 11)), ("f32", (6, 4, 3)), ("f32", (6,))), {"padding": [2, 0]}),
    Sample(
        "conv_transpose1d",
        (("f32", (2, 4, 5)), ("f32", (4, 3, 3)), ("f32", (6,))),
        {"stride": 3, "padding": [0, 1], "output_padding": 1, "dilation": 2, "groups": 2},
    ),
    Sample(
        "conv_transpose2d",
        (IMAGE, ("f32", (4, 2, 3, 2)), ("f32", (4,))),
        {
            "stride": [2, 1],
            "padding": [1, 0, 3, 1],
            "output_padding": [1, 0],
            "dilation": [2, 1],
            "groups": 2,
        },
    ),
    Sample(
        "conv_transpose2d", (IMAGE, ("f32", (4, 2, 3, 3)), ("f32", (2,))), {"stride": [2, 1], "padding": 1}
    ),
    Sample(
        "conv3d",
        (("f32", (2, 2, 5, 3, 5)), ("f32", (4, 1, 3, 2, 3)), ("f32", (4,))),
        {"stride": [2, 1, 2], "padding": [1, 0, 2], "dilation": [1, 2, 1], "groups": 2},
    ),
    Sample("conv3d", (("f32", ("B", 2, 4, 4, "N")), ("f32", (3, 2, 2, 2, 2)))),
    *(Sample(f"adaptive_{kind}_pool2d", (IMAGE,), {"size": [2, 4]}) for kind in ("avg", "max")),
    Sample("global_avg_pool", (IMAGE,)),
    Sample("global_max_pool", (IMAGE,)),
    Sample("einsum", (("f32", (2, 3, 4)), ("f32", (2, 4, 5))), {"spec": "bij,bjk->bik"}),
    Sample("einsum", (("i32", (3, 3)),), {"spec": "ii"}),
    Sample("log_softmax", (("f32", ("B", 4)),)),
    Sample("pad", (("f32", ("B", 4)),), {"pads": [1, 2, 0, 0]}),
    Sample("cross_entropy", (("f32", ("B", "N")), ("i64", ("B",)))),
)
"""Ops that are stated by others."""

SAMPLES: tuple[Sample, ...] = (
    *(Sample(name, (("f32", shape),)) for name in UNARY for shape in ((), (0, 4), (3, 5))),
    *(
        Sample(name, (X, ("f32", shape)))
        for name in BINARY
        for shape in ((3, 5), (5,), (), (3, 1), (2, 1, 1))
    ),
    *(Sample(name, (("bool", (3, 5)), ("bool", (5,)))) for name in LOGICAL),
    *(Sample(name, (("i32", (3, 5)), ("i32", (5,)))) for name in BITWISE),
    Sample("shift_right", (("u8", (3, 5)), ("u8", (5,)))),
    Sample("bitwise_not", (("u16", (7,)),)),
    Sample("logical_not", (("bool", (3,)),)),
    Sample("gelu", (X,), {"approximate": "tanh"}),
    *(Sample("compare", (X, X), {"pred": p}) for p in ("eq", "ne", "lt", "le", "gt", "ge")),
    Sample("where", (("bool", (3, 1)), X, X)),
    Sample("cast", (X,), {"dtype": "i32"}),
    Sample("cast", (X,), {"dtype": quant(DTYPES["u8"], DTYPES["f32"], [0.02, 0.05, 1.5], [128, 0, 7], 0)}),
    Sample("reinterpret", (("i8", (3, 5)),), {"dtype": quant(DTYPES["i8"], DTYPES["f32"], [0.5])}),
    Sample("matmul", (X, ("f32", (5, 2)))),
    Sample("matmul", (("f32", (4, 1, 3, 5)), ("f32", (2, 5, 6)))),
    Sample("matmul", (X, ("f32", (5,)))),
    Sample("matmul", (("f32", (3,)), X)),
    Sample("matmul", (("f32", (5,)), ("f32", (5,)))),
    Sample("matmul", (("f32", (3, 0)), ("f32", (0, 2)))),
    Sample("conv2d", (("f32", (2, 3, 8, 7)), ("f32", (4, 3, 3, 2))), {"stride": [2, 1], "padding": 1}),
    Sample(
        "conv2d", (("f32", (1, 4, 5, 5)), ("f32", (4, 1, 3, 3)), ("f32", (4,))), {"groups": 4, "dilation": 2}
    ),
    Sample("max_pool2d", (("f32", (2, 3, 7, 8)),), {"kernel": 2}),
    Sample("avg_pool2d", (("f32", (2, 3, 7, 8)),), {"kernel": [3, 2], "stride": 1, "padding": [1, 0]}),
    Sample(
        "avg_pool2d", (("f32", (2, 3, 7, 8)),), {"kernel": 3, "padding": [1, 0, 0, 1], "count_padding": False}
    ),
    Sample("max_pool2d", (("f32", (2, 3, 7, 8)),), {"kernel": 3, "stride": 2, "padding": "same"}),
    Sample("max_pool2d", (("i8", (2, 3, 7, 8)),), {"kernel": 3, "padding": 1}),
    Sample("conv2d", (("f32", (2, 3, 8, 7)), ("f32", (4, 3, 3, 2))), {"padding": [0, 2, 1, 0], "stride": 2}),
    Sample("conv2d", (("f32", (2, 3, 8, 7)), ("f32", (4, 3, 3, 2))), {"padding": "same", "dilation": 2}),
    *(
        Sample(f"reduce_{kind}", (("f32", (3, 4, 5)),), values)
        for kind in ("sum", "mean", "max", "min", "prod")
        for values in ({}, {"axes": [-1]}, {"axes": [0, 2], "keepdims": True})
    ),
    Sample("reduce_sum", (("i32", (0, 3)),), {"axes": 0}),
    Sample("argmax", (X,), {"axis": 0}),
    Sample("argmax", (X,), {"keepdims": True}),
    Sample("softmax", (X,), {"axis": 0}),
    Sample("layer_norm", (("f32", (2, 3, 5)), ("f32", (5,)), ("f32", (5,)))),
    Sample("attention", (("f32", (2, 3, 4)), ("f32", (2, 6, 4)), ("f32", (2, 6, 5))), {"causal": True}),
    Sample("attention", (X, ("f32", (4, 5)), ("f32", (4, 2)), ("f32", (1, 4))), {"scale": 0.5}),
    Sample("attention", (X, ("f32", (4, 5)), ("f32", (4, 2)), ("bool", (3, 4)))),
    Sample("reshape", (X,), {"shape": [5, -1]}),
    Sample("reshape", (X,), {"shape": [15]}),
    Sample("transpose", (("f32", (2, 3, 4)),), {"perm": [1, 2, 0]}),
    Sample("transpose", (X,)),
    Sample("broadcast", (("f32", (3, 1)),), {"shape": [2, 3, 4]}),
    Sample("concat", (X, ("f32", (3, 0)), ("f32", (3, 2))), {"axis": 1}),
    Sample("slice", (X,), {"starts": [0, -4], "stops": [2, 5], "strides": [1, 2]}),
    Sample("slice", (X,), {"starts": [1], "stops": [1]}),
    Sample("gather", (X, ("i32", (2, 2))), {"axis": 1}),
    *(
        Sample("scatter", (X, ("i32", (4,)), ("f32", (4, 5))), {"mode": m})
        for m in ("set", "add", "mul", "max", "min")
    ),
    *(Sample(name, (X,), {"axis": 0}) for name in ("cumsum", "cumprod", "cummax", "cummin")),
    Sample("cumsum", (("i8", (2, 3, 4)),), {"axis": 1, "reverse": True, "exclusive": True}),
    Sample("cumsum", (("f32", ("B", "N")),)),
    *(Sample(name, (("c64", (3, 5)),)) for name in ("real", "imag", "conj", "magnitude")),
    Sample("complex", (X, ("f32", (5,)))),
    *(Sample(name, (("c64", (3, 5)), ("c64", (5,)))) for name in ("add", "mul", "div")),
    Sample("matmul", (("c128", (3, 5)), ("c128", (5, 2)))),
    Sample("quantize", (X, ("f32", ()), ("i8", ()))),
    Sample("quantize", (X, ("f32", (5,)), ("u8", (5,))), {"axis": 1}),
    Sample("dequantize", (("i8", (3, 5)), ("f32", (3,)), ("i8", (3,)))),
    Sample("cholesky", (("f32", (2, 4, 4)),)),
    Sample("triangular_solve", (("f32", (4, 4)), ("f32", (4, 3)))),
    Sample("triangular_solve", (("f64", (2, "N", "N")), ("f64", (2, "N", 1))), {"lower": False}),
    Sample("argsort", (X,), {"axis": 0}),
    Sample("argsort", (("bf16", ("B", "N")),), {"descending": True}),
    Sample("sort", (X,)),
    Sample("top_k", (X,), {"k": 2, "axis": 0}),
    Sample("scatter", (("u8", (2, 6)), ("i64", (2, 2)), ("u8", (2, 2, 2))), {"axis": 1, "mode": "max"}),
    Sample("scatter", (("bf16", ("B", 4)), ("i32", ("N",)), ("bf16", ("N", 4))), {"mode": "add"}),
    Sample("scatter_nd", (X, ("i32", (4, 2)), ("f32", (4,))), {"mode": "add"}),
    Sample("scatter_along", (X, ("i32", (3, 2)), ("f32", (3, 2)))),
    Sample("random", (("u32", (2,)),), {"shape": [3, 5]}),
    Sample("random", (("u32", (2,)),), {"shape": [7], "dist": "normal"}),
    Sample("random", (("u32", (2,)),), {"shape": [2], "dist": "bits"}),
    Sample("constant", (), {"value": np.arange(6, dtype=np.float32).reshape(2, 3)}),
    Sample("add", (("f32", ("B", 4)), ("f32", ("B", 1)))),
    Sample("matmul", (("f32", ("B", "2*N + 1")), ("f32", ("2*N + 1", 8)))),
    Sample("concat", (("f32", ("B", 4)), ("f32", ("2*B", 4)))),
    Sample("reshape", (("f32", ("B", 4)),), {"shape": ["2*B", -1]}),
    Sample("broadcast", (("f32", (1, 4)),), {"shape": ["B", 4]}),
    Sample("slice", (("f32", ("B", 4)),), {"starts": [1], "stops": ["B"], "strides": [2]}),
    Sample("max_pool2d", (("f32", ("B", 3, "N", 8)),), {"kernel": 2}),
    Sample("random", (("u32", (2,)),), {"shape": ["B", 5]}),
    *DERIVED,
)
