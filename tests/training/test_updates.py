"""Arguments that a run updates: a reader of the old value never sees the new one, and no copy is made where none is needed."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from dialects.buffer import CopyOp
from dialects.errors import IrkitError
from irkit import pipeline
from irkit.mlir_parser import parse_mlir
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Program
from lowering.buffer.interpret import run_program
from lowering.c.emit import emit_program
from lowering.graph.interpret import run_graph
from lowering.target import get_target

HEAD = """
func.func @f(%w: tensor<6x6xf32> {graph.name = "w", graph.donated}, %u: tensor<6x6xf32> {graph.name = "u", graph.donated}) -> (RESULTS) {
BODY
}
"""
T = "tensor<6x6xf32>"
PLAIN, W, U = T, f'{T} {{graph.updates = "w"}}', f'{T} {{graph.updates = "u"}}'


def module(results: list[str], body: str) -> ModuleOp:
    text = HEAD.replace("RESULTS", ", ".join(results)).replace("BODY", body)
    return parse_mlir(pipeline.context(), text, "updates.mlir", True)


def op(name: str, *operands: str) -> str:
    return f"graph.{name} {', '.join(operands)} : ({', '.join([T] * len(operands))}) -> {T}"


def end(*values: str) -> str:
    return f"func.return {', '.join(values)} : {', '.join([T] * len(values))}"


LOOP = f"""
%r = graph.for 0 to TRIPS (%w) : ({T}) {{
^bb0(%t: tensor<si64>, %c: {T}):
  %n = {op("matmul", "%c", "%u")}
  graph.yield %n : {T}
}}"""

CASES: dict[str, tuple[list[str], list[str], int]] = {
    "in place": ([W], [f"%a = {op('add', '%w', '%u')}", end("%a")], 0),
    "a product reads all of the old value": ([W], [f"%a = {op('matmul', '%w', '%w')}", end("%a")], 1),
    "made where the old value is dead": (
        [W],
        [f"%a = {op('matmul', '%w', '%u')}", f"%b = {op('matmul', '%u', '%a')}", end("%b")],
        0,
    ),
    "the old value is a result too": ([PLAIN, W], [f"%a = {op('exp', '%w')}", end("%w", "%a")], 2),
    "the new value is a result too": ([PLAIN, W], [f"%a = {op('exp', '%w')}", end("%a", "%a")], 1),
    "the old value is read after the new one is made": (
        [W, PLAIN],
        [
            f"%a = {op('matmul', '%w', '%u')}",
            f"%b = {op('matmul', '%a', '%a')}",
            f"%c = {op('matmul', '%b', '%w')}",
            end("%a", "%c"),
        ],
        1,
    ),
    "two change places": ([W, U], [end("%u", "%w")], 4),
    "one goes on, the other follows": ([W, U], [f"%a = {op('exp', '%w')}", end("%a", "%w")], 3),
    "nothing changes": ([W], [end("%w")], 0),
    "both hold the same": ([W, U], [f"%a = {op('add', '%w', '%u')}", end("%a", "%a")], 1),
    "another value may not take the memory": (
        [W, PLAIN],
        [
            f"%a = {op('exp', '%w')}",
            f"%b = {op('matmul', '%u', '%u')}",
            f"%c = {op('matmul', '%b', '%a')}",
            f"%d = {op('matmul', '%c', '%a')}",
            end("%b", "%d"),
        ],
        0,
    ),
}


def lowered(source: ModuleOp) -> ModuleOp:
    pipeline.run_passes(source, pipeline.passes_to("graph", "buffer"), pipeline.context())
    return source


@pytest.mark.parametrize("case", CASES)
def test_a_step_sees_old_values_until_it_ends(case: str):
    results, body, copies = CASES[case]
    source = module(results, "\n".join(body))
    check(source)
    assert len([o for o in source.walk() if isinstance(o, CopyOp)]) == copies


@pytest.mark.parametrize("trips", [0, 1, 2, 3])
def test_loops_that_carry_what_is_updated(trips: int):
    for results, ends in (([W], ["%r"]), ([PLAIN, W], ["%w", "%r"]), ([W, U], ["%u", "%r"])):
        check(module(results, LOOP.replace("TRIPS", str(trips)) + "\n" + end(*ends)))


def check(source: ModuleOp) -> None:
    """The numbers of the graph, of the program in NumPy, and of C on one and three threads."""
    rng = np.random.default_rng(5)
    arrays = {n: rng.standard_normal((6, 6)).astype(np.float32) for n in "wu"}
    (func,) = source.ops
    expected = run_graph(func, arrays)  # pyright: ignore[reportArgumentType]
    found = [run_program(lowered(source), arrays, {})]
    compiler, target = find_compiler(None), get_target("native", find_compiler(None).name)
    spec = emit_program(source, target, "updates")
    library = cache.library(spec, compiler, target.cflags)
    for threads in (1, 3):
        call = Program(spec, library, None, threads).prepare(**{n: a.copy() for n, a in arrays.items()})
        call.run()
        found.append(call.all_results())
    for results in found:
        for one, other in zip(results, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("results", "found"),
    [
        ([f'{T} {{graph.updates = "v"}}'], "no argument is named"),
        ([W, W], "another result updates it"),
        ([f'{T} {{graph.updates = "x"}}'], "the argument is not graph.donated"),
    ],
)
def test_what_cannot_be_updated(results: list[str], found: str):
    text = HEAD.replace("RESULTS", ", ".join(results)).replace("BODY", end(*["%w"] * len(results)))
    text = text.replace(
        '%u: tensor<6x6xf32> {graph.name = "u", graph.donated}', '%x: tensor<6x6xf32> {graph.name = "x"}'
    )
    source = parse_mlir(pipeline.context(), text, "updates.mlir", True)
    with pytest.raises(IrkitError, match="cannot update") as error:
        lowered(source)
    assert found in str(error.value.found)
