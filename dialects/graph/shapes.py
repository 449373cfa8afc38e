"""Shape rules that several ops share; all work on dim expressions."""

from __future__ import annotations

from collections.abc import Sequence

from dialects.dims import ONE, Dim, dims_text
from dialects.graph.base import Mismatch, Value, Values
from dialects.types import AnyTensor, dims_of, type_text

Shape = tuple[Dim, ...]
Edge = tuple[int, int]
"""How much padding stands before and after a dim."""


def broadcast(shapes: Sequence[Shape], what: str = "operands") -> Shape:
    """NumPy's rule: aligned at the last dim, equal or one. Raises Mismatch with the shapes and the offending dim."""
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    rank = max(len(s) for s in shapes)
    out: list[Dim] = []
    for position in range(-rank, 0):
        sizes = [s[position] for s in shapes if len(s) >= -position]
        wide = [s for s in sizes if s != ONE]
        other = next((s for s in wide if s != wide[0]), None)
        if other is not None:
            raise Mismatch(
                f"shapes of {what} do not broadcast at dim {rank + position}: {wide[0]} against {other}",
                found=" and ".join(dims_text(s) for s in shapes),
                expected="sizes that are equal, or 1, counted from the last dim",
                hint="reshape or transpose one of them",
            )
        out.append(wide[0] if wide else ONE)
    return tuple(out)


def axis_of(axis: Value, rank: int, what: str) -> int:
    """A dim number counted from the front; raises Mismatch where there is none."""
    assert isinstance(axis, int)
    if not -rank <= axis < rank:
        expected = f"{-rank} to {rank - 1}" if rank else "a tensor that has dims"
        raise Mismatch(f"{what} has no dim {axis}", found=f"a tensor of rank {rank}", expected=expected)
    return axis % rank


def axes_of(axes: Value, rank: int, what: str) -> tuple[int, ...]:
    """Several dim numbers counted from the front, in order; all dims for None. Raises Mismatch."""
    if axes is None:
        return tuple(range(rank))
    assert isinstance(axes, tuple)
    found = sorted(axis_of(a, rank, what) for a in axes)  # pyright: ignore[reportArgumentType]
    if len(set(found)) != len(found):
        raise Mismatch(f"{what} names a dim twice", found=str(list(axes)))
    return tuple(found)


def window(size: Dim, kernel: int, stride: int, edge: Edge, dilation: int, x: AnyTensor) -> Dim:
    """The output size of a convolution or pooling along one dim, padded by `edge`; raises Mismatch where no window fits."""
    reach = dilation * (kernel - 1) + 1
    room = size + (sum(edge) - reach)
    if room.value is not None and room.value < 0:
        raise Mismatch(
            f"a window of {reach} does not fit into {size + sum(edge)}",
            found=type_text(x),
            expected="a larger tensor, or more padding",
        )
    return room // stride + 1


def complete_padding(
    values: dict[str, Value],
    what: str,
    sizes: Sequence[Dim],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> None:
    """Brings the parameter `padding` into one form: a number for each dim, or where those before and after differ two.

    "valid" is none. "same" gives as many windows as there are elements, over the stride, rounded up; of an odd number
    the greater part comes after (ONNX's SAME_UPPER). Raises Mismatch.
    """
    given, rank = values["padding"], len(kernel)
    if given == "valid":
        given = (0,)
    if given == "same":
        rows = zip(sizes, kernel, stride, dilation, strict=True)
        flat = [p for row in rows for p in _same_edge(*row, what)]
    else:
        assert isinstance(given, tuple)
        flat = [int(p) for p in given]  # pyright: ignore[reportArgumentType]
        if len(flat) not in (1, rank, 2 * rank) or min(flat) < 0:
            raise Mismatch(
                f"bad padding of {what}",
                found=str(flat),
                expected=f"one number, {rank}, or {2 * rank}: before and after each dim; none below 0"
                if rank > 1
                else "one number, or two: before and after; none below 0",
            )
    if len(flat) == 1:
        flat = flat * rank
    if len(flat) == 2 * rank and flat[::2] == flat[1::2]:
        flat = flat[::2]
    values["padding"] = tuple(flat)


def _same_edge(size: Dim, kernel: int, stride: int, dilation: int, what: str) -> Edge:
    reach = dilation * (kernel - 1) + 1
    if stride == 1:
        total = reach - 1
    elif size.value is None:
        raise Mismatch(
            f'padding "same" of {what} needs a known size where the stride is not 1',
            found=f"a dim of size {size}, stride {stride}",
            hint="give the numbers: padding=[1, 1]",
        )
    else:
        total = max(0, (-(-size.value // stride) - 1) * stride + reach - size.value)
    return total // 2, total - total // 2


def edges(values: Values, rank: int) -> list[Edge]:
    """The padding before and after each dim, from the completed parameter."""
    flat = ints(values, "padding")
    return [(p, p) for p in flat] if len(flat) == rank else list(zip(flat[::2], flat[1::2], strict=True))


def exact_quotient(total: Dim, part: Dim) -> Dim:
    """total / part where part is one term that divides every term of total; else the floor of it."""
    if len(part.terms) != 1 or part.value is not None:
        return total // part
    ((atoms, factor),) = part.terms
    out = Dim.of(0)
    for monomial, count in total.terms:
        rest = list(monomial)
        for atom in atoms:
            if atom not in rest:
                return total // part
            rest.remove(atom)
        if count % factor:
            return total // part
        out = out + Dim(((tuple(rest), count // factor),))
    return out


# -- reading parameters -----------------------------------------------------------------------------------------


def ints(values: Values, name: str) -> tuple[int, ...]:
    """A parameter that is a list of integers."""
    value = values[name]
    assert isinstance(value, tuple)
    return value  # pyright: ignore[reportReturnType]


def two(values: Values, name: str) -> tuple[int, int]:
    """A parameter that is two integers."""
    return pair(ints(values, name), name)


def pair(value: Sequence[int], what: str) -> tuple[int, int]:
    """Height and width from one integer or two."""
    if len(value) not in (1, 2):
        raise Mismatch(f"{what} takes one integer or two", found=str(list(value)))
    return value[0], value[-1]


def dims(values: Values, name: str) -> Shape:
    """A parameter that is a list of dims."""
    value = values[name]
    assert isinstance(value, tuple)
    return value  # pyright: ignore[reportReturnType]


def extent(values: Values, name: str) -> Dim:
    """A parameter that is an integer or a dim."""
    value = values[name]
    assert isinstance(value, int | Dim)
    return Dim.of(value)


def extents(values: Values, name: str) -> Shape:
    """A parameter that is a list of integers or dims."""
    value = values[name]
    assert isinstance(value, tuple)
    return tuple(map(Dim.of, value))


def complete_pair(values: dict[str, Value], name: str, what: str) -> Shape:
    """Brings a parameter that is one size or two, height and width, to two. Raises Mismatch."""
    given = extents(values, name)
    if len(given) not in (1, 2) or any((d.value or 1) < 1 for d in given):
        raise Mismatch(f"{name} of {what} is one number or two, no less than 1", found=dims_text(given))
    values[name] = tuple(d if d.value is None else d.value for d in (given[0], given[-1]))  # pyright: ignore
    return given[0], given[-1]


def integer(values: Values, name: str) -> int:
    """A parameter that is an integer."""
    value = values[name]
    assert isinstance(value, int)
    return value


def number(values: Values, name: str) -> float:
    """A parameter that is a number."""
    value = values[name]
    assert isinstance(value, int | float)
    return value


def static_shape(type_: AnyTensor) -> tuple[int, ...]:
    """The shape of a type whose dims all have values."""
    sizes = [d.value for d in dims_of(type_)]
    assert None not in sizes
    return tuple(sizes)  # pyright: ignore[reportReturnType]
