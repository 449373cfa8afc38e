"""What is the same in every run: parameters that no run writes, constants, and what is computed from these alone.

`kernel-prepack` runs such ops once, when the parameters are set. So a rewrite may move arithmetic onto a parameter for free.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from dialects.dims import product
from dialects.graph import ConstantOp, GraphOp, IndexOp
from dialects.types import dims_of, element_bytes

MOST = 1 << 60


def is_parameter(value: SSAValue, func: FuncOp) -> bool:
    """Whether a value is a parameter of a function that no run writes."""
    if not isinstance(value, BlockArgument) or value.owner is not func.body.block:
        return False
    attrs: ArrayAttr[DictionaryAttr] | None = func.arg_attrs
    facts: dict[str, Attribute] = {} if attrs is None else dict(attrs.data[value.index].data)
    return facts.get("graph.kind") == StringAttr("param") and "graph.donated" not in facts


def tensor_bytes(value: SSAValue) -> int | None:
    """What the elements of a tensor take; None where that depends on the sizes of a run, or it is no tensor."""
    if not isinstance(value.type, TensorType):
        return None
    count = product(dims_of(value.type)).value
    return None if count is None else count * element_bytes(value.type.element_type)


class Fixed:
    """The values of one function that are the same in every run; each is looked at once."""

    def __init__(self, func: FuncOp):
        self.func = func
        self._sources: dict[SSAValue, int | None] = {}

    def __contains__(self, value: SSAValue) -> bool:
        return self.bytes_of_sources(value) is not None

    def is_compact(self, value: SSAValue) -> bool:
        """Whether a value is fixed and takes no more bytes than what it is made of: then it is best computed once. A weight
        that is stored in few bits is best widened where it is read."""
        sources, own = self.bytes_of_sources(value), tensor_bytes(value)
        return sources is not None and own is not None and own <= sources

    def bytes_of_sources(self, value: SSAValue) -> int | None:
        """The bytes of the parameters and constants that a value is made of; None where it is not fixed."""
        work = [value]
        while work:
            top = work[-1]
            if top in self._sources:
                work.pop()
                continue
            op = top.owner
            if not isinstance(op, GraphOp | IndexOp) or isinstance(op, ConstantOp):
                is_source = isinstance(op, ConstantOp) or is_parameter(top, self.func)
                self._sources[top] = tensor_bytes(top) if is_source else None
            elif missing := [v for v in op.operands if v not in self._sources]:
                work += missing
                continue
            else:
                self._sources[top] = self._of_op(op, top)
            work.pop()
        return self._sources[value]

    def _of_op(self, op: Operation, result: SSAValue) -> int | None:
        found = [self._sources[v] for v in dict.fromkeys(op.operands)]
        if not found or None in found or tensor_bytes(result) is None:
            return None
        return min(MOST, sum(b for b in found if b is not None))
