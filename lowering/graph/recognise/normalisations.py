"""Layer, root-mean-square and group norm: first what they compute, with a scale of ones, then the scale and bias behind it."""

from __future__ import annotations

from dialects.dims import ONE, ZERO, Dim, product
from dialects.graph.derived.base import SMALL
from dialects.graph.shapes import Shape
from dialects.graph.sketch import Term
from lowering.graph.recognise.forms import NUMBER, Form, either
from lowering.graph.recognise.rules import recognised
from lowering.graph.simplify.values import produced_by
from lowering.rewriting import Pattern

Axes = tuple[int, ...]


# -- forms --------------------------------------------------------------------------------------------------------


def _mean(x: Form, axes: Form) -> Form:
    return x.of("reduce_mean", axes=axes, keepdims=True)


def _layer_root(x: Form, axes: Form, eps: Form) -> Form:
    """1 / sqrt(var(x) + eps)"""
    centred = x - _mean(x, axes)
    var = either(_mean(centred * centred, axes), x.of("reduce_var", axes=axes, keepdims=True))
    return (var + eps).of("rsqrt")


def _rms_root(x: Form, axes: Form, eps: Form) -> Form:
    """1 / sqrt(mean(x * x) + eps)"""
    return (_mean(x * x, axes) + eps).of("rsqrt")


def _shifted(x: Form, g: Form, b: Form, axes: Form, eps: Form) -> Form:
    """x * r * g + (b - mean(x) * r * g), as TensorFlow has it"""
    factor = (_layer_root(x, axes, eps) * g).whole()
    return x * factor + (b - _mean(x, axes) * factor)


def _behind(norm: Form, shape: Form) -> Form:
    """A norm, or its rows in the shape that they were in."""
    return either(norm, norm.of("reshape", shape=shape))


# -- what they are ------------------------------------------------------------------------------------------------


def _source(x: Term) -> Term:
    """What a value is before it is reshaped."""
    reshape = produced_by(x.value, "reshape")
    return x if reshape is None else x.sketch.term(reshape.operands[0])


def _in_shape(x: Term, shape: Shape) -> Term:
    known = next((t for t in (x, _source(x)) if t.dims == shape), None)
    return _source(x).reshape(shape) if known is None else known


def _all(x: Term, number: float, size: Dim) -> Term:
    """A vector of one number."""
    return x.like(number).of("broadcast", shape=(size,))


def _normed(name: str, x: Term, axes: Axes, eps: float) -> Term | None:
    """A norm over the last dims, with a scale of ones."""
    first = len(x.dims) - len(axes)
    if axes != tuple(range(first, len(x.dims))) or not axes or (name == "rms_norm" and eps < 0):
        return None
    size = product(x.dims[first:])
    rows = x if len(axes) == 1 else _source(x).reshape([*x.dims[:first], size])
    vectors = [_all(x, n, size) for n in ((1.0, 0.0) if name == "layer_norm" else (1.0,))]
    return _in_shape(rows.of(name, *vectors, eps=eps), x.dims)


def _affine(x: Term, axes: Axes, eps: float, g: Term, b: Term | None = None) -> Term | None:
    normed = _normed("layer_norm", x, axes, eps)
    scaled = None if normed is None else normed * g
    return scaled + b if scaled is not None and b is not None else scaled


def _vector(v: Term, shape: Shape, size: Dim) -> Term | None:
    """What multiplies or shifts the last dims, of `size` elements together, of a tensor of a shape, as a vector."""
    own = v.dims
    while own and own[0] == ONE:
        own = own[1:]
    fits = own == shape[len(shape) - len(own) :] and product(own) == size
    return _in_shape(v, (size,)) if fits else None


def _rows_scaled(name: str, x: Term, g: Term, eps: float, shape: Shape | None = None) -> Term | None:
    """norm(x, 1, 0) * g"""
    vector = _vector(g, shape or x.dims, x.dims[-1])
    if vector is None:
        return None
    bias = [_all(x, 0.0, x.dims[-1])] if name == "layer_norm" else []
    return _in_shape(x.of(name, vector, *bias, eps=eps), shape or x.dims)


def _rows_shifted(x: Term, g: Term, b: Term, eps: float, shape: Shape | None = None) -> Term | None:
    """norm(x, g, 0) + b"""
    vector = _vector(b, shape or x.dims, x.dims[-1])
    return None if vector is None else _in_shape(x.of("layer_norm", g, vector, eps=eps), shape or x.dims)


def _channels(v: Term, shape: Shape) -> Term | None:
    """What multiplies or shifts the channels of a tensor of a shape, as a vector."""
    wide = (*[ONE] * (len(shape) - len(v.dims)), *v.dims)
    (channels,) = shape[1:2] or (ZERO,)
    return _in_shape(v, (channels,)) if wide == (ONE, channels, *[ONE] * (len(shape) - 2)) else None


def _groups_scaled(x: Term, g: Term, eps: float, shape: Shape, groups: int | None = None) -> Term | None:
    """The norm of rows that are all there is of a group of channels, in the shape of before, times g."""
    source = _source(x)
    if (
        source.dims != shape
        or len(shape) < 2
        or x.dims[0] != shape[0]
        or (groups is None and len(x.dims) != 3)
    ):
        return None
    rows, channels, scale = x.dims[1].value, shape[1].value, _channels(g, shape)
    if scale is None or not rows or not channels or channels % rows or groups not in (None, rows):
        return None
    return source.of("group_norm", scale, _all(x, 0.0, shape[1]), groups=rows, eps=eps)


def _groups_shifted(x: Term, g: Term, b: Term, groups: int, eps: float) -> Term | None:
    bias = _channels(b, x.dims)
    return None if bias is None else x.of("group_norm", g, bias, groups=groups, eps=eps)


def _narrow(name: str, x: Term, eps: float, dtype: str) -> Term | None:
    """Small floats are computed with in f32 anyhow, and rounded once."""
    if x.dtype != dtype or dtype not in SMALL:
        return None
    return _normed(name, x, (len(x.dims) - 1,), eps)


def _of_wide(name: str, *vectors: float) -> Pattern:
    """The norm of small floats by way of f32"""
    return recognised(
        f"narrow_{name}",
        lambda x, eps=NUMBER, dtype=NUMBER: (
            x.of("cast", dtype="f32").of(name, *vectors, eps=eps).of("cast", dtype=dtype)
        ),
        lambda x, eps, dtype: _narrow(name, x, eps, dtype),
    )


RULES: tuple[Pattern, ...] = (
    recognised(
        "layer_norm",
        lambda x, eps=NUMBER, axes=NUMBER: (x - _mean(x, axes)) * _layer_root(x, axes, eps),
        lambda x, axes, eps: _normed("layer_norm", x, axes, eps),
    ),
    recognised(
        "layer_norm_scaled",
        lambda x, g, eps=NUMBER, axes=NUMBER: g * (x - _mean(x, axes)) * _layer_root(x, axes, eps),
        _affine,
    ),
    recognised(
        "layer_norm_shifted",
        lambda x, g, b, eps=NUMBER, axes=NUMBER: _shifted(x, g, b, axes, eps),
        _affine,
    ),
    recognised(
        "rms_norm",
        lambda x, eps=NUMBER, axes=NUMBER: x * _rms_root(x, axes, eps),
        lambda x, axes, eps: _normed("rms_norm", x, axes, eps),
    ),
    recognised(
        "rms_norm_scaled",
        lambda x, g, eps=NUMBER, axes=NUMBER: g * x * _rms_root(x, axes, eps),
        lambda x, g, axes, eps: None if (normed := _normed("rms_norm", x, axes, eps)) is None else normed * g,
    ),
    recognised(
        "scale_of_layer_norm",
        lambda x, g, eps=NUMBER, shape=NUMBER: _behind(x.of("layer_norm", 1.0, 0.0, eps=eps), shape) * g,
        lambda x, g, eps, shape=None: _rows_scaled("layer_norm", x, g, eps, shape),
    ),
    recognised(
        "bias_of_layer_norm",
        lambda x, g, b, eps=NUMBER, shape=NUMBER: _behind(x.of("layer_norm", g, 0.0, eps=eps), shape) + b,
        _rows_shifted,
    ),
    recognised(
        "scale_of_rms_norm",
        lambda x, g, eps=NUMBER, shape=NUMBER: _behind(x.of("rms_norm", 1.0, eps=eps), shape) * g,
        lambda x, g, eps, shape=None: _rows_scaled("rms_norm", x, g, eps, shape),
    ),
    recognised(
        "group_norm",
        lambda x, g, eps=NUMBER, shape=NUMBER, groups=NUMBER: (
            either(
                x.of("layer_norm", 1.0, 0.0, eps=eps), x.of("group_norm", 1.0, 0.0, groups=groups, eps=eps)
            ).of("reshape", shape=shape)
            * g
        ),
        _groups_scaled,
    ),
    recognised(
        "bias_of_group_norm",
        lambda x, g, b, eps=NUMBER, groups=NUMBER: x.of("group_norm", g, 0.0, groups=groups, eps=eps) + b,
        _groups_shifted,
    ),
    _of_wide("layer_norm", 1.0, 0.0),
    _of_wide("rms_norm", 1.0),
)
