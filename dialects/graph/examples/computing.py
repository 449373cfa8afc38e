"""Examples of ops that combine elements: reductions, scans, contractions, windows, normalisations, linear algebra."""

from __future__ import annotations

from dialects.graph.examples.of import Example

MATRIX = "f32 [[1, 2, 3], [4, 5, 6]]"
FLAGS = "bool [[true, false], [true, true]]"
IMAGE = "f32[1,1,4,4] [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]"
ROWS = "f32 [[3, 1, 2], [2, 5, 4]]"

REDUCTIONS = {
    "reduce_sum": Example("sum(x, axis=1)", x=MATRIX),
    "reduce_mean": Example("mean(x, axis=0)", x=MATRIX),
    "reduce_max": Example("max(x, axis=1, keepdims=true)", x=MATRIX),
    "reduce_min": Example("min(x)", x=MATRIX),
    "reduce_prod": Example("prod(x, axis=[0, 1])", x=MATRIX),
    "reduce_any": Example("any(x, axis=0)", x=FLAGS),
    "reduce_all": Example("all(x, axis=0)", x=FLAGS),
    "reduce_var": Example("var(x, axis=1)", x=MATRIX),
    "reduce_std": Example("std(x, axis=1)", x=MATRIX),
    "reduce_logsumexp": Example("logsumexp(x, axis=1)", x=MATRIX),
    "reduce_l2": Example("l2(x, axis=1)", x=MATRIX),
    "argmax": Example("argmax(x)", x=ROWS),
    "argmin": Example("argmin(x, axis=0)", x=ROWS),
}

SCANS = {
    "cumsum": Example("cumsum(x)", x=MATRIX),
    "cumprod": Example("cumprod(x, axis=0)", x=MATRIX),
    "cummax": Example("cummax(x)", x=ROWS),
    "cummin": Example("cummin(x, reverse=true)", x=ROWS),
    "sort": Example("sort(x)", x=ROWS),
    "argsort": Example("argsort(x, descending=true)", x=ROWS),
    "top_k": Example("top_k(x, 2)", x=ROWS),
}

CONTRACTIONS = {
    "matmul": Example("a @ b", a=MATRIX, b="f32 [[1, 0], [0, 1], [2, 2]]"),
    "einsum": Example('einsum(a, b, spec="ij,ij->i")', a=MATRIX, b="f32 [[1, 0, 1], [2, 0, 2]]"),
    "rotary_embedding": Example(
        "rotary_embedding(x, cos, sin)",
        x="f32 [[1, 2, 3, 4]]",
        cos="f32 [[0, 1]]",
        sin="f32 [[1, 0]]",
    ),
    "attention": Example(
        "attention(q, k, v, causal=true)",
        q="f32 [[1, 0], [0, 2]]",
        k="f32 [[1, 0], [0, 1]]",
        v="f32 [[1, 2], [3, 4]]",
    ),
    "conv_transpose1d": Example(
        "conv_transpose1d(x, w, stride=2)", x="f32[1,1,3] [1, 2, 3]", w="f32[1,1,2] [10, 1]"
    ),
    "conv1d": Example("conv1d(x, w, padding=1)", x="f32[1,1,4] [1, 2, 3, 4]", w="f32[1,1,3] [1, 2, 1]"),
    "conv2d": Example("conv2d(x, w, stride=2)", x=IMAGE, w="f32[1,1,2,2] [[1, 1], [1, -1]]"),
    "conv3d": Example(
        "conv3d(x, w)", x="f32[1,1,2,2,2] [1, 2, 3, 4, 5, 6, 7, 8]", w="f32[1,1,1,2,2] [1, 1, 1, -1]"
    ),
    "conv_transpose2d": Example(
        "conv_transpose2d(x, w, stride=2)",
        x="f32[1,1,2,2] [[1, 2], [3, 4]]",
        w="f32[1,1,2,2] [[1, 1], [1, 10]]",
    ),
}

WINDOWS = {
    "max_pool2d": Example("max_pool2d(x, 2)", x=IMAGE),
    "avg_pool2d": Example("avg_pool2d(x, 2)", x=IMAGE),
    "global_avg_pool": Example("global_avg_pool(x)", x=IMAGE),
    "global_max_pool": Example("global_max_pool(x)", x=IMAGE),
    "adaptive_avg_pool2d": Example("adaptive_avg_pool2d(x, [2, 3])", x=IMAGE),
    "adaptive_max_pool2d": Example("adaptive_max_pool2d(x, [2, 3])", x=IMAGE),
}

CHANNELS = "f32[1,2,2] [[1, 5], [10, 30]]"

NORMALISATIONS = {
    "softmax": Example("softmax(x)", x="f32 [[0, 1, 2], [1, 1, 1]]"),
    "log_softmax": Example("log_softmax(x)", x="f32 [[0, 1, 2], [1, 1, 1]]"),
    "layer_norm": Example(
        "layer_norm(x, scale, bias)", x=MATRIX, scale="f32 [1, 2, 1]", bias="f32 [0, 1, 0]"
    ),
    "rms_norm": Example("rms_norm(x, scale)", x=MATRIX, scale="f32 [1, 2, 1]"),
    "batch_norm": Example(
        "batch_norm(x, scale, bias, mean, var)",
        x=CHANNELS,
        scale="f32 [1, 2]",
        bias="f32 [0, 1]",
        mean="f32 [3, 20]",
        var="f32 [4, 100]",
    ),
    "group_norm": Example(
        "group_norm(x, scale, bias, groups=2)", x=CHANNELS, scale="f32 [1, 2]", bias="f32 [0, 1]"
    ),
    "cross_entropy": Example(
        "cross_entropy(logits, labels)", logits="f32 [[2, 1, 0], [0, 1, 5]]", labels="i32 [0, 1]"
    ),
}

LINEAR = {
    "cholesky": Example("cholesky(x)", x="f32 [[4, 2], [2, 5]]"),
    "triangular_solve": Example("triangular_solve(a, b)", a="f32 [[2, 0], [1, 4]]", b="f32 [[2], [9]]"),
}

QUANTISED = {
    "quantize": Example("quantize(x, scale, zero)", x="f32 [-1, 0.25, 100]", scale="f32 0.5", zero="i8 3"),
    "reinterpret": Example("reinterpret(x, quant(i8, scale=0.5))", x="i8 [-1, 2, 127]"),
    "dequantize": Example("dequantize(x, scale, zero)", x="i8 [1, 3, 127]", scale="f32 0.5", zero="i8 3"),
}

COMPUTING = {
    **REDUCTIONS,
    **SCANS,
    **CONTRACTIONS,
    **WINDOWS,
    **NORMALISATIONS,
    **LINEAR,
    **QUANTISED,
}
