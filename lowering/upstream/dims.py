"""Dim expressions as arithmetic on index values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import i1
from xdsl.ir import SSAValue

from dialects.dims import Dim, Monomial, Opaque
from lowering.upstream.build import Build

Names = Mapping[str, SSAValue]


def index_of(build: Build, expr: Dim, operands: Sequence[SSAValue] = ()) -> SSAValue:
    """An expression over the names in scope as an index; `_0`, `_1`, ... are the operands.

    What is known in this block or around it is not computed again.
    """
    if (value := expr.value) is not None:
        return build.index(value)
    if any(name.startswith("_") for name in expr.names()):
        given = {f"_{i}": v for i, v in enumerate(operands)}
        return _sum(build, expr, {**build.names, **given})
    return build.once(expr, lambda: _sum(build, expr, build.names))


def all_positive(build: Build, conditions: Sequence[Dim]) -> SSAValue:
    """Whether every expression is at least zero."""
    out: SSAValue | None = None
    for condition in conditions:
        test = build.add(arith.CmpiOp(index_of(build, condition), build.index(0), "sge"))
        out = test if out is None else build.add(arith.AndIOp(out, test))
    return build.number(1, i1) if out is None else out


def _sum(build: Build, expr: Dim, names: Names) -> SSAValue:
    """The terms that are added, then those that are taken away."""
    total: SSAValue | None = None
    for monomial, factor in sorted(expr.terms, key=lambda term: term[1] < 0):
        size = factor if total is None else abs(factor)
        value = _product(build, size, monomial, names)
        if total is None:
            total = value
        else:
            total = build.add((arith.SubiOp if factor < 0 else arith.AddiOp)(total, value))
    assert total is not None
    return total


def _product(build: Build, factor: int, monomial: Monomial, names: Names) -> SSAValue:
    def make() -> SSAValue:
        value = build.index(factor) if factor != 1 or not monomial else None
        for atom in monomial:
            part = names[atom] if isinstance(atom, str) else _opaque(build, atom, names)
            value = part if value is None else build.add(arith.MuliOp(value, part))
        assert value is not None
        return value

    return build.once((factor, monomial), make) if names is build.names else make()


def _opaque(build: Build, atom: Opaque, names: Names) -> SSAValue:
    parts = [
        index_of(build, a) if names is build.names or a.value is not None else _sum(build, a, names)
        for a in atom.args
    ]
    if atom.kind in ("min", "max"):
        out = parts[0]
        for part in parts[1:]:
            out = build.add((arith.MinSIOp if atom.kind == "min" else arith.MaxSIOp)(out, part))
        return out
    a, b = parts
    if atom.kind == "xor":
        return build.add(arith.XOrIOp(a, b))
    if atom.args[0].bounds(build.ranges)[0] >= 0 and atom.args[1].bounds(build.ranges)[0] > 0:
        return build.add((arith.DivUIOp if atom.kind == "floordiv" else arith.RemUIOp)(a, b))
    quotient = build.add(arith.FloorDivSIOp(a, b))
    if atom.kind == "floordiv":
        return quotient
    return build.add(arith.SubiOp(a, build.add(arith.MuliOp(quotient, b))))
