"""The graph and the host program as drawings: boxes, and the values that go between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from dialects.graph import ConstantOp, CustomOp, ForOp
from dialects.kernel import LaunchOp
from dialects.types import dims_of, type_text
from irkit.page.facts import Drawing, Edge, Mark, Node
from irkit.page.marks import argument_places
from lowering.buffer.storage import argument_facts, result_facts

MarkOf = Callable[[Operation], Mark]


def drawing(module: ModuleOp, mark_of: MarkOf) -> Drawing:
    """The first function of a module at graph level, or its host program at kernel level."""
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    return _Builder(func, mark_of).build()


@dataclass
class _Builder:
    func: FuncOp
    mark_of: MarkOf
    nodes: list[Node] = field(default_factory=list)
    edges: dict[Edge, None] = field(default_factory=dict)
    sources: dict[SSAValue, int] = field(default_factory=dict)

    def build(self) -> Drawing:
        for number, value in enumerate(self.func.body.block.args):
            facts = argument_facts(self.func, number)
            kind = "param" if _text(facts.get("graph.kind")) == "param" else "input"
            name = _text(facts.get("graph.name")) or value.name_hint or f"arg{number}"
            self.sources[value] = self._add(kind, name, Mark(lines=argument_places(self.func, number)))
        self._block(self.func.body.block)
        return Drawing(tuple(self.nodes), tuple(self.edges))

    def _add(self, kind: str, title: str, mark: Mark) -> int:
        self.nodes.append(Node(kind, title, mark))
        return len(self.nodes) - 1

    def _connect(self, value: SSAValue, target: int, back: bool = False) -> None:
        source = self.sources.get(value)
        if source is not None:
            self.edges[Edge(source, target, value_text(value), back)] = None

    def _block(self, block: Block) -> None:
        for op in block.ops:
            if isinstance(op, ForOp):
                self._loop(op)
            elif isinstance(op, ReturnOp):
                self._results(op)
            elif op.name != "graph.yield" and not _is_number(op):
                self._op(op)

    def _op(self, op: Operation) -> None:
        kind, title = "op", op.name.partition(".")[2]
        if isinstance(op, LaunchOp):
            kind, title = "kernel", op.callee.root_reference.data
        elif isinstance(op, CustomOp):
            title = op.title.data
        node = self._add(kind, title, self.mark_of(op))
        for operand in op.operands:
            self._connect(operand, node)
        for result in op.results:
            self.sources[result] = node

    def _loop(self, op: ForOp) -> None:
        """A loop is two boxes with its body between them."""
        mark = self.mark_of(op)
        begin = self._add("loop", "for", mark)
        for operand in op.operands:
            self._connect(operand, begin)
        for value in op.block.args:
            self.sources[value] = begin
        self._block(op.block)
        end = self._add("loop", "end of for", mark)
        last = op.block.last_op
        assert last is not None
        for value in last.operands:
            self._connect(value, end)
        self.edges[Edge(end, begin, "next iteration", True)] = None
        for result in op.results:
            self.sources[result] = end

    def _results(self, op: ReturnOp) -> None:
        for number, value in enumerate(op.operands):
            name = _text(result_facts(self.func, number).get("graph.name")) or f"out{number}"
            source = self.sources.get(value)
            mark = self.nodes[source].mark if source is not None else self.mark_of(op)
            self._connect(value, self._add("output", name, mark))


def value_text(value: SSAValue) -> str:
    """A value as the language writes it: `h: f32[B, 64]`."""
    return f"{value.name_hint}: {type_text(value.type)}" if value.name_hint else type_text(value.type)


def _is_number(op: Operation) -> bool:
    """Whether an op is a constant of rank 0, which a drawing leaves out."""
    return isinstance(op, ConstantOp) and not dims_of(op.results[0].type)


def _text(attr: object) -> str | None:
    return attr.data if isinstance(attr, StringAttr) else None
