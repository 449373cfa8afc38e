"""No rewrite takes up an op of which the program says how it is to run: that would be lost without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from dialects.graph import ConstantOp, GraphOp
from irkit import pipeline
from irkit.lang import parse, to_graph
from irkit.mlir_parser import parse_mlir
from lowering.graph.recognise import GraphRecognise
from lowering.graph.simplify import GraphSimplify
from lowering.graph.sink import GraphSink
from lowering.rewriting import SCHEDULE

LIT = Path(__file__).parents[2] / "lit_tests" / "graph"
CASES: dict[str, Callable[[], ModulePass]] = {
    "graph-simplify.mlir": lambda: GraphSimplify(fast_math=True),
    "graph-simplify-fast.tg": lambda: GraphSimplify(fast_math=True),
    "graph-sink.tg": GraphSink,
    "graph-recognise.tg": GraphRecognise,
    "graph-recognise-attention.tg": GraphRecognise,
    "graph-recognise-fast.tg": lambda: GraphRecognise(fast_math=True),
}


def functions(name: str) -> list[FuncOp]:
    text = (LIT / name).read_text(encoding="utf-8")
    if name.endswith(".tg"):
        modules = [to_graph(parse(part, name)) for part in text.split("// -----")]
    else:
        modules = [parse_mlir(pipeline.context(), text, name, True)]
    return [op for module in modules for op in module.ops if isinstance(op, FuncOp)]


def in_use(func: FuncOp) -> set[Operation]:
    """The ops that results depend on."""
    found: set[Operation] = set()
    work: list[Operation] = [op for op in func.walk() if isinstance(op, ReturnOp)]
    while work:
        op = work.pop()
        if op not in found:
            found.add(op)
            owners = [v.owner for inner in op.walk() for v in inner.operands]
            work += [owner for owner in owners if isinstance(owner, Operation)]
    return found


@pytest.mark.parametrize("name", CASES)
def test_what_is_scheduled_stays_the_op_that_it_is(name: str):
    for func in functions(name):
        ops, used = list(func.walk()), in_use(func)
        for number, op in enumerate(ops):
            if op not in used or not isinstance(op, GraphOp) or isinstance(op, ConstantOp):
                continue
            copy = func.clone()
            list(copy.walk())[number].attributes[SCHEDULE] = StringAttr("how it runs")
            module = ModuleOp([copy])
            CASES[name]().apply(Context(), module)
            left = [o.name for o in module.walk() if SCHEDULE in o.attributes]
            assert left == [op.name], f"{func.sym_name.data}: {op}"
