"""Examples of ops that work element by element: arithmetic, functions, activations, losses."""

from __future__ import annotations

from dialects.graph.examples.of import Example

SIGNS = "f32 [-2, -0.5, 0, 0.5, 2]"
POSITIVE = "f32 [0.5, 1, 2, 10]"
PARTS = {"re": "f32 [3, 0]", "im": "f32 [4, -1]"}
BITS = {"a": "i32 [12, 10, -1]", "b": "i32 [10, 3, 5]"}
TRUTH = {"a": "bool [true, true, false, false]", "b": "bool [true, false, true, false]"}
PAIR = {"a": "f32 [[1, 2], [3, 4]]", "b": "f32 [10, 20]"}
DIVIDED = {"a": "i32 [7, -7, 7, 7]", "b": "i32 [2, 2, -2, 0]"}
SCORES = {"prediction": "f32 [0.5, 2, -3]", "target": "f32 [0, 2, 1]"}
ODD = "f32 [1, inf, -inf, nan]"

ARITHMETIC = {
    "neg": Example("-x", x="f32 [1, -2, 0.5]"),
    "abs": Example("abs(x)", x=SIGNS),
    "add": Example("a + b", **PAIR),
    "sub": Example("a - b", **PAIR),
    "mul": Example("a * b", **PAIR),
    "div": Example("a / b", **DIVIDED),
    "mod": Example("a % b", **DIVIDED),
    "pow": Example("a ** b", a="f32 [2, 9, 10]", b="f32 [3, 0.5, -1]"),
    "min": Example("minimum(a, b)", a="f32 [1, 5, 3]", b="f32 [2, 4, 3]"),
    "max": Example("maximum(a, b)", a="f32 [1, 5, 3]", b="f32 [2, 4, 3]"),
    "clamp": Example("clamp(x, 0, 1)", x=SIGNS),
    "sign": Example("sign(x)", x=SIGNS),
    "square": Example("square(x)", x=SIGNS),
    "reciprocal": Example("reciprocal(x)", x=POSITIVE),
    "floor": Example("floor(x)", x="f32 [-1.5, -0.5, 0.5, 1.5]"),
    "ceil": Example("ceil(x)", x="f32 [-1.5, -1, 0.5, 1.5]"),
    "round": Example("round(x)", x="f32 [0.5, 1.5, 2.4, -1.6]"),
    "stop_gradient": Example("stop_gradient(x)", x=SIGNS),
    "cast": Example("cast(x, i8)", x="f32 [1.9, -1.9, 1000, nan]"),
}

FUNCTIONS = {
    "exp": Example("exp(x)", x="f32 [-1, 0, 1]"),
    "exp2": Example("exp2(x)", x="f32 [-1, 0, 0.5, 3]"),
    "expm1": Example("expm1(x)", x="f32 [-1, 0, 0.001, 1]"),
    "log": Example("log(x)", x="f32 [0, 1, 2, 10]"),
    "log2": Example("log2(x)", x="f32 [1, 2, 10]"),
    "log1p": Example("log1p(x)", x="f32 [-1, 0, 0.001, 1]"),
    "sqrt": Example("sqrt(x)", x="f32 [0, 2, 9]"),
    "rsqrt": Example("rsqrt(x)", x="f32 [0.25, 1, 2]"),
    "sin": Example("sin(x)", x="f32 [0, 0.5, 1]"),
    "cos": Example("cos(x)", x="f32 [0, 0.5, 1]"),
    "tan": Example("tan(x)", x="f32 [0, 0.5, 1]"),
    "atan": Example("atan(x)", x="f32 [-1, 0, 10]"),
    "atan2": Example("atan2(y, x)", y="f32 [1, 1, -1]", x="f32 [1, -1, 0]"),
    "tanh": Example("tanh(x)", x=SIGNS),
    "erf": Example("erf(x)", x=SIGNS),
}

ACTIVATIONS = {
    "sigmoid": Example("sigmoid(x)", x=SIGNS),
    "log_sigmoid": Example("log_sigmoid(x)", x=SIGNS),
    "relu": Example("relu(x)", x=SIGNS),
    "relu6": Example("relu6(x)", x="f32 [-1, 3, 7]"),
    "leaky_relu": Example("leaky_relu(x, alpha=0.1)", x=SIGNS),
    "elu": Example("elu(x)", x=SIGNS),
    "gelu": Example("gelu(x)", x=SIGNS),
    "silu": Example("silu(x)", x=SIGNS),
    "mish": Example("mish(x)", x=SIGNS),
    "softplus": Example("softplus(x)", x=SIGNS),
    "hardsigmoid": Example("hardsigmoid(x)", x="f32 [-4, -1, 0, 4]"),
    "hardswish": Example("hardswish(x)", x="f32 [-4, -1, 1, 4]"),
}

LOGIC = {
    "compare": Example("a <= b", a="f32 [1, 2, nan]", b="f32 [2, 2, 2]"),
    "where": Example("where(mask, a, b)", mask="bool [true, false]", a="f32 [1, 2]", b="f32 [10, 20]"),
    "is_nan": Example("is_nan(x)", x=ODD),
    "is_inf": Example("is_inf(x)", x=ODD),
    "is_finite": Example("is_finite(x)", x=ODD),
    "logical_not": Example("~x", x="bool [true, false]"),
    "logical_and": Example("a & b", **TRUTH),
    "logical_or": Example("a | b", **TRUTH),
    "logical_xor": Example("a ^ b", **TRUTH),
    "bitwise_not": Example("~x", x="i32 [0, 1, -1]"),
    "bitwise_and": Example("a & b", **BITS),
    "bitwise_or": Example("a | b", **BITS),
    "bitwise_xor": Example("a ^ b", **BITS),
    "shift_left": Example("a << b", a="i32 [1, 3, -1]", b="i32 [4, 1, 2]"),
    "shift_right": Example("a >> b", a="i32 [16, 7, -8]", b="i32 [4, 1, 1]"),
}

LOSSES = {
    "squared_error": Example("squared_error(prediction, target)", **SCORES),
    "absolute_error": Example("absolute_error(prediction, target)", **SCORES),
    "huber": Example("huber(prediction, target)", **SCORES),
    "binary_cross_entropy": Example(
        "binary_cross_entropy(logits, target)", logits="f32 [2, -1, 0]", target="f32 [1, 0, 0.5]"
    ),
    "kl_divergence": Example(
        "kl_divergence(log(prediction), target)", prediction="f32 [0.25, 0.75]", target="f32 [0.5, 0.5]"
    ),
}

COMPLEX = {
    "complex": Example("complex(re, im)", **PARTS),
    "real": Example("real(complex(re, im))", **PARTS),
    "imag": Example("imag(complex(re, im))", **PARTS),
    "conj": Example("conj(complex(re, im))", **PARTS),
    "magnitude": Example("magnitude(complex(re, im))", **PARTS),
}

POINTWISE = {**ARITHMETIC, **FUNCTIONS, **ACTIVATIONS, **LOGIC, **LOSSES, **COMPLEX}
