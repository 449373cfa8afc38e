"""Reverse mode of products, convolutions, pools and linear algebra."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE, Dim, product
from dialects.graph.base import Values
from dialects.graph.shapes import Edge, edges, integer, two
from dialects.graph.sketch import Term, axis
from dialects.graph.structure import Access
from lowering.graph.attention import swapped
from lowering.graph.derivatives.access import adjoint
from lowering.graph.derivatives.rules import Step, reverse, spread_to, summed_to


@reverse("matmul")
def _matmul(step: Step) -> Sequence[Term | None]:
    a, b = step.x
    g = step.cotangent
    left = a.reshape([ONE, *a.dims]) if len(a.dims) == 1 else a
    right = b.reshape([*b.dims, ONE]) if len(b.dims) == 1 else b
    lead = step.y[0].dims[: max(len(left.dims), len(right.dims)) - 2]
    seed = g.reshape([*lead, left.dims[-2], right.dims[-1]])
    out: list[Term | None] = [None, None]
    if step.wanted[0]:
        out[0] = summed_to(seed.of("matmul", swapped(right)), left.dims).reshape(a.dims)
    if step.wanted[1] and len(right.dims) == 2 and len(left.dims) > 2:
        # One product over all batches, and no sum of products.
        rows, flat = (t.reshape([product(t.dims[:-1]), t.dims[-1]]) for t in (left, seed))
        out[1] = swapped(rows).of("matmul", flat).reshape(b.dims)
    elif step.wanted[1]:
        out[1] = summed_to(swapped(left).of("matmul", seed), right.dims).reshape(b.dims)
    return out


# -- windows ------------------------------------------------------------------------------------------------------


@reverse("conv2d")
def _conv2d(step: Step) -> Sequence[Term | None]:
    out: list[Term | None] = [None] * len(step.x)
    if step.wanted[0]:
        out[0] = _conv_input(step)
    if step.wanted[1]:
        out[1] = _conv_filters(step)
    if len(step.x) == 3 and step.wanted[2]:
        out[2] = step.cotangent.of("reduce_sum", axes=(0, 2, 3))
    return out


def _geometry(values: Values) -> tuple[tuple[int, int], tuple[int, int], list[Edge], int]:
    """Stride, dilation, padding and groups of a convolution."""
    return two(values, "stride"), two(values, "dilation"), edges(values, 2), integer(values, "groups")


def _conv_input(step: Step) -> Term:
    """Where the stride is one a convolution with the filters turned round, else a transposed one."""
    (x, w, *_), g = step.x, step.cotangent
    stride, dilation, padding, groups = _geometry(step.values)
    kernel = [d.value or 1 for d in w.dims[2:]]
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    if all(s == 1 for s in stride) and all(p <= r for e, r in zip(padding, reach, strict=True) for p in e):
        parts = w.reshape([groups, w.dims[0] // groups, *w.dims[1:]])
        turned = parts.of("transpose", perm=(0, 2, 1, 3, 4)).of("flip", axes=(3, 4))
        filters = turned.reshape([x.dims[1], w.dims[0] // groups, *w.dims[2:]])
        pads = tuple(p for (low, high), r in zip(padding, reach, strict=True) for p in (r - low, r - high))
        return g.of("conv2d", filters, padding=pads, dilation=tuple(dilation), groups=groups)
    # What each product adds, summed over the filters, then sent back to the places that it was read from.
    n, _, h, v = g.dims
    taps = product(w.dims[1:])
    rows = swapped(w.reshape([groups, w.dims[0] // groups, taps]))
    parts = rows.of("matmul", g.reshape([n, groups, w.dims[0] // groups, h * v]))
    wide = parts.reshape([n, x.dims[1], *w.dims[2:], h, v])
    axes = [(str(axis(i)), d) for i, d in enumerate(wide.dims)]
    index = [axis(0), axis(1)] + [
        axis(4 + i) * stride[i] + axis(2 + i) * dilation[i] - padding[i][0] for i in range(2)
    ]
    return adjoint(wide, axes, index, "zero", x.dims)


def _conv_filters(step: Step) -> Term:
    """A product of matrices over all images and places: filters by what they saw."""
    (x, w, *_), g = step.x, step.cotangent
    stride, dilation, padding, groups = _geometry(step.values)
    n, o, h, v = g.dims
    each, (c, r, s) = o // groups, w.dims[1:]
    axes = [("g_", Dim.of(groups)), ("c_", c), ("r_", r), ("s_", s), ("n_", n), ("h_", h), ("v_", v)]
    rows = Dim.of("h_") * stride[0] + Dim.of("r_") * dilation[0] - padding[0][0]
    columns = Dim.of("v_") * stride[1] + Dim.of("s_") * dilation[1] - padding[1][0]
    read = Access(0, (Dim.of("n_"), Dim.of("g_") * c + Dim.of("c_"), rows, columns), "zero")
    seen = x.sketch.points([x], axes, [read], x.type.element_type, lambda block: block.args[0])
    seen = seen.reshape([groups, c * r * s, n * h * v])
    seeds = (
        g.reshape([n, groups, each, h * v])
        .of("transpose", perm=(1, 2, 0, 3))
        .reshape([groups, each, n * h * v])
    )
    return seeds.of("matmul", swapped(seen)).reshape(w.dims)


def _window_axes(step: Step) -> tuple[list[tuple[str, Dim]], list[Dim]]:
    """The axes of all windows of a pool, and where they lie in what it pools."""
    kernel, stride, padding = two(step.values, "kernel"), two(step.values, "stride"), edges(step.values, 2)
    sizes, lead = [*step.y[0].dims, *map(Dim.of, kernel)], len(step.y[0].dims) - 2
    axes = [(str(axis(i)), d) for i, d in enumerate(sizes)]
    index = [axis(i) for i in range(lead)] + [
        axis(lead + i) * stride[i] + axis(lead + 2 + i) - padding[i][0] for i in range(2)
    ]
    return axes, index


def windows(step: Step, x: Term, outside: float) -> Term:
    """The elements of all windows of a pool, along one more dim."""
    axes, index = _window_axes(step)
    read = Access(0, tuple(index), "value", outside)
    seen = x.sketch.points([x], axes, [read], x.type.element_type, lambda block: block.args[0])
    return seen.reshape([*step.y[0].dims, product(two(step.values, "kernel"))])


@reverse("max_pool2d")
def _max_pool(step: Step) -> Sequence[Term | None]:
    """The first of the greatest of a window takes it all, as in torch."""
    x, y, g = step.x[0], step.y[0], step.cotangent
    kernel = two(step.values, "kernel")
    first = windows(step, x, float("-inf")).of("argmax", axis=-1, keepdims=True)
    places = step.sketch.make("iota", shape=(product(kernel),), axis=0, dtype="i64")
    wide = first.equals(places).where(g.reshape([*y.dims, ONE]), 0.0).reshape([*y.dims, *kernel])
    return [adjoint(wide, *_window_axes(step), "zero", x.dims)]


@reverse("avg_pool2d")
def _avg_pool(step: Step) -> Sequence[Term | None]:
    x, y, g = step.x[0], step.y[0], step.cotangent
    kernel = two(step.values, "kernel")
    if step.values["count_padding"]:
        share = g / float(kernel[0] * kernel[1])
    else:
        settings = {k: step.values[k] for k in ("kernel", "stride", "padding")}
        ones = spread_to(step.sketch.number(1.0, x.type.element_type), x.dims)
        filled = ones.of("avg_pool2d", count_padding=True, **settings) * float(kernel[0] * kernel[1])
        share = g / filled
    wide = spread_to(share.reshape([*y.dims, ONE, ONE]), [*y.dims, *map(Dim.of, kernel)])
    return [adjoint(wide, *_window_axes(step), "zero", x.dims)]


# -- linear algebra -----------------------------------------------------------------------------------------------


@reverse("triangular_solve")
def _triangular_solve(step: Step) -> Sequence[Term | None]:
    """b receives the solution of a^T u = g, and the triangle of a minus u y^T."""
    a, lower = step.x[0], bool(step.values["lower"])
    u = swapped(a).of("triangular_solve", step.cotangent, lower=not lower)
    grown = -u.of("matmul", swapped(step.y[0]))
    return [grown.of("tril" if lower else "triu"), u]


@reverse("cholesky")
def _cholesky(step: Step) -> Sequence[Term | None]:
    """L^-T P(L^T g) L^-1, P taking the lower triangle and half the diagonal: of the triangle that the op reads.

    I. Murray, "Differentiation of the Cholesky decomposition", 2016, equation 10.
    """
    y, g = step.y[0], step.cotangent
    inner = swapped(y).of("matmul", g.of("tril"))
    phi = (inner.of("tril") + inner.of("tril", k=-1)) * 0.5
    left = swapped(y).of("triangular_solve", phi, lower=False)  # L^-T phi
    both = swapped(swapped(y).of("triangular_solve", swapped(left), lower=False))  # ... L^-1
    return [both.of("tril") + swapped(both).of("tril", k=-1)]
