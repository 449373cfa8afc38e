"""How ops become ops on all parts: rules that shift parameters, align ranks, or merge the dim into another one.

A rule gives None where it does not cover which operands differ: then the formula of the op counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_letters

from xdsl.ir import Operation

from dialects.dims import ONE, ZERO, Dim
from dialects.graph.base import GraphOp, Value, make, short_name
from dialects.graph.elementwise import Elementwise
from dialects.graph.shapes import dims, extents, integer, ints
from dialects.graph.sketch import Sketch, Term
from dialects.types import dims_of
from lowering.graph.derivatives.rules import spread_to


@dataclass(frozen=True)
class Parts:
    """An op on parts: its operands x, and which of them differ; these have one more dim, the first, of this size."""

    op: Operation
    sketch: Sketch
    size: Dim
    x: Sequence[Term]
    differs: Sequence[bool]

    @property
    def values(self) -> Mapping[str, Value]:
        return self.op.values() if isinstance(self.op, GraphOp) else {}

    @property
    def only_first(self) -> bool:
        """Whether no operand but the first one differs."""
        return not any(self.differs[1:])

    def dims(self, number: int) -> tuple[Dim, ...]:
        """The dims of an operand of one part."""
        return dims_of(self.op.operands[number].type)  # pyright: ignore[reportArgumentType]

    def result_dims(self) -> tuple[Dim, ...]:
        """The dims of the first result of one part."""
        return dims_of(self.op.results[0].type)  # pyright: ignore[reportArgumentType]

    def whole(self, number: int) -> Term:
        """An operand for all parts, repeated where they share it."""
        x = self.x[number]
        return x if self.differs[number] else spread_to(x, (self.size, *x.dims))

    def ranked(self, number: int, rank: int) -> Term:
        """An operand of parts of at most a rank that broadcasts against others: dims of one behind the first."""
        x = self.x[number]
        if not self.differs[number] or len(x.dims) == rank + 1:
            return x
        return x.reshape([self.size, *[ONE] * (rank + 1 - len(x.dims)), *x.dims[1:]])

    def made(self, x: Sequence[Term], **changed: object) -> list[Term]:
        """The results of the same op on other operands, with some parameters changed."""
        op = make(short_name(self.op), [t.value for t in x], {**self.values, **changed}, self.sketch.loc)
        return [self.sketch.term(r) for r in self.sketch.add(op).results]


Rule = Callable[[Parts], "Sequence[Term] | None"]

BATCHED: dict[str, Rule] = {}
"""Rules by the short name of the op."""

ALIGNED = (Elementwise,)
"""Ops that broadcast their operands, if there are several."""


def batched(*names: str) -> Callable[[Rule], Rule]:
    """Enters a rule."""

    def enter(rule: Rule) -> Rule:
        BATCHED.update(dict.fromkeys(names, rule))
        return rule

    return enter


def reshaped(x: Term, sizes: Sequence[Dim]) -> Term:
    """x with other dims, where it has others."""
    return x if x.dims == tuple(sizes) else x.reshape(sizes)


def aligned(p: Parts) -> Sequence[Term]:
    """Elementwise ops: dims are counted from the last, so that the first has to stand before all others."""
    rank = len(p.result_dims())
    return p.made([p.ranked(i, rank) for i in range(len(p.x))])


Change = Callable[[Parts], Mapping[str, object]]


def _axis(p: Parts) -> Mapping[str, object]:
    return {"axis": integer(p.values, "axis") + 1}


def _axes(p: Parts) -> Mapping[str, object]:
    return {"axes": tuple(a + 1 for a in ints(p.values, "axes"))}


def _same(p: Parts) -> Mapping[str, object]:
    return {}


CHANGES: dict[str, Change] = {
    **dict.fromkeys(("argmax", "argmin", "softmax", "log_softmax", "cumsum", "cumprod", "cummax"), _axis),
    **dict.fromkeys(
        ("cummin", "argsort", "sort", "top_k", "roll", "concat", "split", "scatter_along"), _axis
    ),
    **dict.fromkeys([f"reduce_{k}" for k in ("sum", "mean", "max", "min", "prod", "any", "all")], _axes),
    **dict.fromkeys([f"reduce_{k}" for k in ("var", "std", "logsumexp", "l2")], _axes),
    "flip": _axes,
    "reshape": lambda p: {"shape": (p.size, *dims(p.values, "shape"))},
    "transpose": lambda p: {"perm": (0, *(a + 1 for a in ints(p.values, "perm")))},
    "slice": lambda p: {
        "starts": (ZERO, *dims(p.values, "starts")),
        "stops": (p.size, *dims(p.values, "stops")),
        "strides": (1, *ints(p.values, "strides")),
    },
    "pad": lambda p: {"pads": (0, 0, *extents(p.values, "pads"))},
    "tile": lambda p: {"repeats": (1, *extents(p.values, "repeats"))},
    # The last dims count, whatever stands before them.
    **dict.fromkeys(("tril", "triu", "one_hot", "cholesky", "triangular_solve", "cross_entropy"), _same),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _same),
}
"""Ops that work along dims: how their parameters change where all operands have one more dim, the first."""


@batched(*CHANGES)
def _changed(p: Parts) -> Sequence[Term]:
    return p.made([p.whole(i) for i in range(len(p.x))], **CHANGES[short_name(p.op)](p))


@batched("broadcast")
def _broadcast(p: Parts) -> Sequence[Term]:
    shape = dims(p.values, "shape")
    return p.made([p.ranked(0, len(shape))], shape=(p.size, *shape))


@batched("rms_norm")
def _rms_norm(p: Parts) -> Sequence[Term] | None:
    return p.made(p.x) if p.only_first else None


@batched("layer_norm")
def _layer_norm(p: Parts) -> Sequence[Term]:
    """Where scale or bias differ they come after a norm without them."""
    if p.only_first:
        return p.made(p.x)
    scale, bias = (p.sketch.number(n, p.x[0].type.element_type) for n in (1.0, 0.0))
    normed = p.made([p.x[0], *(spread_to(t, p.dims(1)) for t in (scale, bias))])[0]
    rank = len(p.dims(0))
    if not p.differs[0]:
        normed = reshaped(normed, [ONE, *normed.dims])
    return [normed * p.ranked(1, rank) + p.ranked(2, rank)]


MERGED = (
    *("conv1d", "conv3d", "conv_transpose1d", "conv_transpose2d", "batch_norm", "group_norm"),
    *("pixel_shuffle", "resize_nearest", "resize_bilinear", "global_avg_pool", "global_max_pool"),
    *("adaptive_avg_pool2d", "adaptive_max_pool2d"),
)
"""Ops whose first operand has a batch already."""


@batched(*MERGED)
def merged(p: Parts) -> Sequence[Term] | None:
    """Parts of the batch become one batch, where nothing else differs."""
    if not p.only_first:
        return None
    x = p.x[0]
    (y,) = p.made([x.reshape([p.size * x.dims[1], *x.dims[2:]]), *p.x[1:]])
    return [y.reshape([p.size, *p.result_dims()])]


@batched("einsum")
def _einsum(p: Parts) -> Sequence[Term] | None:
    """One more letter, where one is left."""
    inputs, _, output = str(p.values["spec"]).partition("->")
    free = [c for c in ascii_letters if c not in inputs]
    if not free:
        return None
    terms = [free[0] + t if d else t for t, d in zip(inputs.split(","), p.differs, strict=True)]
    return p.made(p.x, spec=f"{','.join(terms)}->{free[0]}{output}")


@batched("rotary_embedding")
def _rotary_embedding(p: Parts) -> Sequence[Term]:
    return p.made([p.whole(0), *(p.ranked(i, len(p.dims(0))) for i in (1, 2))])


@batched("attention")
def _attention(p: Parts) -> Sequence[Term]:
    heads = [p.whole(i) for i in range(3)]
    return p.made([*heads, *(p.ranked(i, len(p.dims(0))) for i in range(3, len(p.x)))])
