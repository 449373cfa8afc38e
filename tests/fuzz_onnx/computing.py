"""Drawing ops that combine elements: reductions, products, convolutions, pooling, normalisations, recurrences."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz_onnx.drawing import OPEN, Drawing, RefusedError, Value, draws
from tests.fuzz_onnx.moving import least, open_axes

REDUCTIONS = (
    "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp"
)


@draws(6)
def reduction(d: Drawing) -> None:
    op = d.one(REDUCTIONS)
    x = d.pick("fffi" if op in ("ReduceSum", "ReduceMax", "ReduceMin") else "f", test=lambda v: v.rank > 0)
    axes = [k - d.one((0, x.rank)) for k in d.axes(x.rank)] if d.chance(0.85) else None
    keep = d.integer(0, 1)
    if op == "ReduceSum" or d.opset >= 18:
        d.add(op, [x, d.ints(axes) if axes else None], keepdims=keep)
    else:
        d.add(op, [x], keepdims=keep, **({"axes": axes} if axes else {}))


@draws(2)
def place_of_most(d: Drawing) -> None:
    x = d.pick("ffi", test=lambda v: v.rank > 0)
    d.add(
        d.one(("ArgMax", "ArgMin")),
        [x],
        axis=d.axis(x),
        keepdims=d.integer(0, 1),
        select_last_index=d.integer(0, 1),
    )


@draws(1.5)
def running(d: Drawing) -> None:
    x = d.pick("f", test=lambda v: v.rank > 0)
    d.add("CumSum", [x, d.keep(np.array(d.axis(x)))], exclusive=d.integer(0, 1), reverse=d.integer(0, 1))


@draws(1.5)
def greatest(d: Drawing) -> None:
    x = d.pick("ffi", test=lambda v: v.rank > 0)
    axis = d.axis(x)
    k = d.integer(1, least(d, x.shape[axis]))
    d.all("TopK", [x, d.ints([k])], 2, axis=axis, largest=d.integer(0, 1))


@draws(4)
def along(d: Drawing) -> None:
    x = d.pick("f", test=lambda v: v.rank > 0)
    op = d.one(("Softmax", "Softmax", "LogSoftmax", "Hardmax", "LpNormalization"))
    d.add(op, [x], axis=d.axis(x), **({"p": d.integer(1, 2)} if op == "LpNormalization" else {}))


# -- products ---------------------------------------------------------------------------------------------------------


@draws(5)
def matmul(d: Drawing) -> None:
    x = d.pick("f", test=lambda v: v.rank > 0 and v.shape[-1] != OPEN)
    size = x.shape[-1]
    batch = d.broadcast(x.shape[:-2]) if d.chance(0.4) else ()
    shape = (*batch, size, d.integer(1, 9)) if d.chance(0.9) else (size,)
    y = d.other(shape, x.array.dtype.name)
    d.add("MatMul", [x, y])


@draws(1)
def product_with_itself(d: Drawing) -> None:
    """Of a value and itself, as in attention: open dims meet."""
    x = d.pick("f", test=lambda v: v.rank >= 2)
    order = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    d.add("MatMul", [x, d.add("Transpose", [x], perm=order)])


@draws(3)
def gemm(d: Drawing) -> None:
    x = d.pick("f", rank=2)
    turned = d.integer(0, 1)
    rows, size = x.shape if not turned else x.shape[::-1]
    if d.dim and size == OPEN:
        raise RefusedError
    columns, other = d.integer(1, 8), d.integer(0, 1)
    y = d.other((columns, size) if other else (size, columns), x.array.dtype.name)
    c = d.other(d.broadcast((rows, columns)), x.array.dtype.name) if d.chance(0.7) else None
    d.add("Gemm", [x, y, c], transA=turned, transB=other, **d.one(({}, {"alpha": 0.5, "beta": 1.5})))


@draws(1.5)
def einsum(d: Drawing) -> None:
    text = d.one(
        (
            "ij,jk->ik",
            "bij,bkj->bik",
            "i,j->ij",
            "bij->bji",
            "ij->j",
            "bij,bij->b",
            "ii->i",
            "bhid,bhjd->bhij",
            "...ij,...jk->...ik",
        )
    )
    sizes = {c: d.integer(1, 6) for c in "bhijdk"}
    terms = text.split("->")[0].replace("...", "b").split(",")
    d.add("Einsum", [d.other([sizes[c] for c in term], "float32") for term in terms], equation=text)


@draws(0.7)
def integer_product(d: Drawing) -> None:
    m, k, n = d.integer(1, 6), d.integer(1, 8), d.integer(1, 6)
    x, y = d.other((m, k), d.one(("uint8", "int8")), None, 90), d.other((k, n), "uint8", None, 90)
    d.add("MatMulInteger", [x, y, d.keep(np.array(3, x.array.dtype)), d.keep(np.array(7, np.uint8))])


# -- windows ----------------------------------------------------------------------------------------------------------


def image(d: Drawing, low: int = 1) -> Value:
    """A value of one to three spatial dims with enough points."""
    rank = d.one((3, 4, 4, 4, 5))
    good = [
        v
        for v in d.pool
        if v.kind == "f" and v.array.dtype == np.float32 and v.rank == rank and min(v.shape[2:]) >= low
    ]
    if good and d.chance(0.7):
        return d.one(good)
    size = {3: 9, 4: 7 if not d.dim else 8, 5: 4}[rank]
    space = tuple(d.integer(max(low, 2), max(size, low)) for _ in range(rank - 2))
    return d.given(
        d.numbers(
            (
                d.one((1, 2, OPEN) if d.dim else (1, 2)),
                d.one((1, 2, 4, 6)),
                *(6 if n == OPEN else n for n in space),
            )
        )
    )


def windows(d: Drawing, x: Value, kernel: list[int], dilates: bool = True) -> dict[str, Any]:
    """Strides, dilations and padding that leave something."""
    rank = len(kernel)
    dilation = [d.one((1, 1, 2)) if dilates else 1 for _ in kernel]
    if any(n + 1 < dl * (k - 1) + 1 for n, k, dl in zip(x.shape[2:], kernel, dilation, strict=True)):
        dilation = [1] * rank
    found: dict[str, Any] = {"kernel_shape": kernel}
    if d.chance(0.6):
        found["strides"] = [d.integer(1, 3) for _ in kernel]
    if dilates and d.chance(0.7):
        found["dilations"] = dilation
    how = d.integer(0, 3)
    if how == 0:
        found["auto_pad"] = d.one(("SAME_UPPER", "SAME_LOWER", "VALID"))
        if found["auto_pad"] != "VALID":
            # ONNX Runtime refuses dilation here for Conv, and forgets it for pooling; steps over more than a window would
            # need less than no padding: ONNX Runtime refuses that, the evaluator of onnx cuts, we pad nothing.
            found.pop("dilations", None)
            if "strides" in found:
                found["strides"] = [min(s, k) for s, k in zip(found["strides"], kernel, strict=True)]
    elif how < 3:
        found["pads"] = [d.integer(0, (k - 1) // 2 + (k > 1 and d.chance(0.2))) for k in kernel * 2]
    return found


def kernel_of(d: Drawing, x: Value) -> list[int]:
    return [d.integer(1, min(3, least(d, n))) for n in x.shape[2:]]


@draws(5)
def convolution(d: Drawing) -> None:
    x = image(d)
    channels = x.shape[1]
    if d.dim and channels == OPEN:
        raise RefusedError
    groups = d.one([g for g in (1, 1, 2, channels) if channels % g == 0])
    out = groups * d.integer(1, 4)
    kernel = kernel_of(d, x)
    w = d.other((out, channels // groups, *kernel), "float32")
    b = d.other((out,), "float32") if d.chance(0.6) else None
    d.add("Conv", [x, w, b], group=groups, **windows(d, x, kernel))


@draws(1.5)
def transposed_convolution(d: Drawing) -> None:
    x = image(d)
    channels = x.shape[1]
    if d.dim and channels == OPEN:
        raise RefusedError
    groups = d.one([g for g in (1, 1, 2) if channels % g == 0])
    kernel = kernel_of(d, x)
    w = d.other((channels, d.integer(1, 3), *kernel), "float32")
    strides = [d.integer(1, 3) for _ in kernel]
    pads = {"pads": [d.integer(0, (k - 1) // 2) for k in kernel * 2]} if d.chance(0.5) else {}
    if d.chance(0.4):
        pads["output_padding"] = [d.integer(0, s - 1) for s in strides]
    d.add("ConvTranspose", [x, w], group=groups, strides=strides, **pads)


@draws(3)
def pooling(d: Drawing) -> None:
    x = image(d, 2)
    op = d.one(("MaxPool", "AveragePool", "LpPool") if d.opset >= 18 else ("MaxPool", "AveragePool"))
    kernel = kernel_of(d, x)
    own = windows(d, x, kernel, op == "MaxPool" or d.opset >= 19)
    if "auto_pad" not in own and d.chance(0.4) and (op != "LpPool"):
        own["ceil_mode"] = 1
    if op == "AveragePool" and d.chance(0.5):
        own["count_include_pad"] = 1
    d.add(op, [x], **own)


@draws(1)
def global_pooling(d: Drawing) -> None:
    d.add(d.one(("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool")), [image(d)])


@draws(2)
def resize(d: Drawing) -> None:
    x = image(d, 2)
    if x.rank != 4 or open_axes(d, x):
        raise RefusedError
    mode = d.one(("nearest", "linear", "cubic"))
    own: dict[str, Any] = {
        "mode": mode,
        "coordinate_transformation_mode": d.one(
            ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
        ),
    }
    if mode == "nearest":
        own["nearest_mode"] = d.one(("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"))
    other = own["coordinate_transformation_mode"]
    if other == "pytorch_half_pixel" and mode == "cubic":
        raise RefusedError  # ONNX Runtime forgets that one point alone is at 0
    if d.chance(0.5) and other != "align_corners":  # by which length ONNX and ONNX Runtime do not agree
        scales = d.keep(np.array([1, 1, d.one((2, 0.5, 1.5)), d.one((2, 1, 3))], np.float32))
        d.add("Resize", [x, None, scales], **own)
    else:
        d.add("Resize", [x, None, None, d.ints([*x.shape[:2], d.integer(1, 9), d.integer(1, 9)])], **own)


@draws(0.7)
def sampled(d: Drawing) -> None:
    x = d.other((2, 3, 5, 4), "float32")
    grid = d.other((2, 3, 3, 2), "float32", -1.2, 1.2)
    mode = d.one(("bilinear", "nearest") if d.opset < 20 else ("linear", "nearest"))
    d.add(
        "GridSample",
        [x, grid],
        mode=mode,
        padding_mode=d.one(("zeros", "border", "reflection")),
        align_corners=d.integer(0, 1),
    )


# -- normalisations ---------------------------------------------------------------------------------------------------


@draws(2.5)
def layer_norm(d: Drawing) -> None:
    x = d.pick("f", test=lambda v: v.rank > 0 and v.shape[-1] not in (1, OPEN))
    op = "RMSNormalization" if d.opset >= 23 and d.chance(0.5) else "LayerNormalization"
    scale = d.other((x.shape[-1],), x.array.dtype.name)
    bias = [d.other((x.shape[-1],), x.array.dtype.name)] if op[0] == "L" and d.chance(0.6) else []
    d.add(op, [x, scale, *bias], axis=-1)


@draws(2.5)
def channel_norm(d: Drawing) -> None:
    x = image(d, 2)
    c = x.shape[1]
    if d.dim and c == OPEN:
        raise RefusedError
    scale, bias = d.other((c,), "float32"), d.other((c,), "float32")
    op = d.one(("BatchNormalization", "BatchNormalization", "InstanceNormalization", "GroupNormalization"))
    if op == "BatchNormalization":
        d.add(op, [x, scale, bias, d.other((c,), "float32"), d.other((c,), "float32", 0.5, 2)])
    elif op == "InstanceNormalization":
        d.add(op, [x, scale, bias])
    else:
        d.add(op, [x, scale, bias], num_groups=d.one([g for g in (1, 2, c) if c % g == 0]))


@draws(1)
def other_norm(d: Drawing) -> None:
    x = image(d, 2)
    if x.rank != 4:
        raise RefusedError
    if d.chance(0.5):
        d.add("LRN", [x], size=3, alpha=0.1)
    else:
        d.add("MeanVarianceNormalization", [x])


# -- recurrences ------------------------------------------------------------------------------------------------------


@draws(1)
def recurrent(d: Drawing) -> None:
    op, gates = d.one((("RNN", 1), ("GRU", 3), ("LSTM", 4)))
    steps, batch, size, hidden = d.integer(1, 4), d.integer(1, 3), d.integer(1, 4), d.integer(1, 4)
    x = d.other((steps, batch, size), "float32")
    way = d.one(("forward", "reverse", "bidirectional"))
    n = 2 if way == "bidirectional" else 1
    shapes = ((n, gates * hidden, size), (n, gates * hidden, hidden), (n, 2 * gates * hidden))
    inputs = [d.keep(d.numbers(s)) for s in shapes[: d.integer(2, 3)]]
    own = {"linear_before_reset": d.integer(0, 1)} if op == "GRU" else {}
    d.all(op, [x, *inputs], 2, hidden_size=hidden, direction=way, **own)


@draws(0.7)
def attention(d: Drawing) -> None:
    if d.opset < 23:
        raise RefusedError
    heads, size = d.integer(1, 3), d.integer(1, 4)
    q, k, v = (d.other((2, heads, n, size), "float32") for n in (3, 5, 5))
    d.add("Attention", [q, k, v], is_causal=d.integer(0, 1))
