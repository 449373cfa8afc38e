"""What a function computes, whatever the order and the sharing of its ops: two graphs are the same where this is."""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from lowering.graph.interpret import argument_names


class _Numbers:
    """Gives equal facts the same number."""

    def __init__(self) -> None:
        self.known: dict[object, int] = {}

    def __call__(self, facts: object) -> int:
        return self.known.setdefault(facts, len(self.known))


def signatures(*funcs: FuncOp) -> list[object]:
    """One value for each function; equal for functions that compute the same results by the same ops."""
    number = _Numbers()
    return [_signature(f, number) for f in funcs]


def _signature(func: FuncOp, number: _Numbers) -> object:
    values: dict[SSAValue, int] = {}
    for arg, name, attrs in zip(func.args, argument_names(func), func.arg_attrs.data, strict=True):  # pyright: ignore
        facts = tuple((k, str(v)) for k, v in sorted(attrs.data.items()) if k != "graph.loc")
        values[arg] = number(("arg", name, arg.type, facts))
    results = _block(func.body.block, values, number)
    names = [a.data["graph.name"] for a in func.res_attrs.data] if func.res_attrs else []
    symbols = func.attributes.get("graph.symbols")
    return results, tuple(n.data for n in names if isinstance(n, StringAttr)), symbols


def _block(block: Block, values: dict[SSAValue, int], number: _Numbers, depth: int = 0) -> tuple[int, ...]:
    for op in block.ops:
        operands = tuple(values[v] for v in op.operands)
        if op is block.last_op:
            return operands
        regions = []
        for region in op.regions:
            inner = dict(values)
            for n, arg in enumerate(region.block.args):
                inner[arg] = number(("body", depth, n, arg.type))
            regions.append(_block(region.block, inner, number, depth + 1))
        whole = number((op.name, operands, _facts(op), tuple(regions), tuple(r.type for r in op.results)))
        for n, result in enumerate(op.results):
            values[result] = number((whole, n))
    return ()


def _facts(op: Operation) -> tuple[tuple[str, object], ...]:
    found = {**op.properties, **op.attributes}
    return tuple(sorted(((k, str(v)) for k, v in found.items())))
