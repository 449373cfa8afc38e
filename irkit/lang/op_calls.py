"""Calls of ops of a file, or of irkit's own for training, on values: what `minimize` is put together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xdsl.ir import Attribute, SSAValue

from dialects.errors import IrkitError
from dialects.types import DTYPES, tensor, type_text
from irkit.lang import tree
from irkit.lang.builder import type_of
from irkit.lang.custom import emit_custom
from irkit.lang.transforms import Site

if TYPE_CHECKING:
    from irkit.lang.emit import Emitter


class Calls:
    """Calls of ops of the library on values."""

    def __init__(self, emitter: Emitter, site: Site):
        self.emitter, self.site = emitter, site
        self.counts: dict[tuple[SSAValue, Attribute], SSAValue] = {}
        self.factors: dict[Attribute, SSAValue] = {}

    def op(
        self,
        decl: tree.OpDecl,
        operands: Mapping[str, SSAValue | float],
        settings: Sequence[tree.Keyword] = (),
    ) -> list[SSAValue]:
        """The results of an op of the file; operands go by names that no text can have."""
        from irkit.lang.emit import Frame

        span = self.site.node.span
        frame = Frame(dict(self.site.program.dims))
        words: list[tree.Keyword] = []
        for name, value in operands.items():
            node: tree.Expr = tree.Name(f"${name}", span)
            if isinstance(value, SSAValue):
                frame.names[f"${name}"] = value
            else:
                node = tree.Number(value, span)
            words.append(tree.Keyword(name, node, span))
        call = tree.Call(tree.Name(decl.name.id, span), (), (*words, *settings), span)
        return [v for v in emit_custom(self.emitter, decl, call, frame) if isinstance(v, SSAValue)]

    def named(self, name: str, operands: Sequence[SSAValue], **settings: float) -> SSAValue:
        decl = self.site.program.ops[name]
        span = self.site.node.span
        words = [tree.Keyword(n, tree.Number(v, span), span) for n, v in settings.items()]
        return self.op(decl, dict(zip((o.name.id for o in decl.operands), operands, strict=True)), words)[0]

    def counted(self, step: SSAValue, element: Attribute) -> SSAValue:
        """A number of steps in a dtype of floats."""
        key = step, element
        if key not in self.counts:
            self.counts[key] = self.cast(step, element)
        return self.counts[key]

    def factor(
        self, schedule: tuple[tree.OpDecl, Sequence[tree.Keyword]], done: SSAValue, element: Attribute
    ) -> SSAValue:
        """What a schedule gives, in a dtype; it counts in f32 at least. Raises IrkitError where it gives no number."""
        if element not in self.factors:
            decl, settings = schedule
            wide = element if element in (DTYPES["f32"], DTYPES["f64"]) else DTYPES["f32"]
            results = self.op(decl, {decl.operands[0].name.id: self.counted(done, wide)}, settings)
            if len(results) != 1 or results[0].type != tensor(wide, ()):
                raise IrkitError(
                    f"'{decl.name.id}' is no schedule",
                    self.emitter.loc(self.site.settings["schedule"]),
                    found=", ".join(type_text(type_of(v)) for v in results),
                    expected="one number, a factor",
                )
            self.factors[element] = self.cast(results[0], element)
        return self.factors[element]

    def clipped(self, grads: Sequence[SSAValue], limits: Mapping[str, float]) -> list[SSAValue]:
        """Gradients after the clipping that is asked for: each by value, then all by their norm."""
        found = list(grads)
        if "clip_value" in limits:
            found = [self.named("clipped_to_value", [g], limit=limits["clip_value"]) for g in found]
        if "clip" not in limits:
            return found
        builder, loc = self.emitter.builder, self.emitter.loc(self.site.node)
        widest = max((type_of(g).element_type for g in found), key=lambda e: e.bitwidth)  # pyright: ignore
        total: SSAValue | None = None
        for grad in found:
            squares = self.cast(self.named("sum_of_squares", [grad]), widest)
            total = squares if total is None else builder.one("add", [total, squares], loc)
        assert total is not None
        factor = self.named("norm_factor", [total], limit=limits["clip"])
        return [self.named("clipped_to_norm", [g, self.cast(factor, type_of(g).element_type)]) for g in found]

    def cast(self, value: SSAValue, element: Attribute) -> SSAValue:
        if type_of(value).element_type == element:
            return value
        name = next(n for n, e in DTYPES.items() if e == element)
        return self.emitter.builder.one("cast", [value], self.emitter.loc(self.site.node), dtype=name)
