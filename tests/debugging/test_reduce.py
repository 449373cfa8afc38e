"""`irkit reduce`: planted faults in random graphs of 60 ops are shrunk to what shows them."""

from __future__ import annotations

import io
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

import irkit
from dialects.types import tensor
from irkit import reducer as engine
from irkit.cli import main
from irkit.delta import minimal, shortest_prefix
from irkit.mlir_parser import parse_mlir
from irkit.pipeline import context
from irkit.reducer import Reducer
from irkit.reductions import count_ops, sweep
from irkit.sizes import resized, smaller_sizes
from lowering.kernel.simplify import KernelSimplify
from lowering.verify import verify_module
from tests.debugging.test_bisect import swapped_operands
from tests.random_graphs.generate import Batch, Graph

Patch = pytest.MonkeyPatch


def reduce(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["reduce", *map(str, words)], None, out, err)
    return code, out.getvalue(), err.getvalue()


def read(path: Path) -> ModuleOp:
    module = parse_mlir(context(), path.read_text(), str(path))
    verify_module(module)
    return module


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random graph of more than 60 ops, all of them used, with a tanh and a sub amid them."""
    batch = Batch(14)
    graph = Graph(batch, batch.block)
    with np.errstate(all="ignore"):
        graph.grow(20)
    (value,) = graph.add("tanh", [graph.input(tensor("f32", [3, 5]))], {})
    graph.add("sub", [value, graph.input(tensor("f32", [5]))], {})
    with np.errstate(all="ignore"):
        graph.grow(25)
    batch.results = [v for v in graph.values if isinstance(v.ssa.owner, Operation)]
    module = batch.module()
    sweep(module)
    assert 60 <= count_ops(module) < 200
    path = tmp_path_factory.mktemp("batch") / "batch.mlir"
    path.write_text(engine.module_text(module))
    return path


def test_a_crash_on_one_op_is_reduced_to_that_op(batch: Path, tmp_path: Path, monkeypatch: Patch):
    def apply(self: KernelSimplify, ctx, op) -> None:
        if any(o.name == "math.tanh" for o in op.walk()):
            raise KeyError("lost")

    monkeypatch.setattr(KernelSimplify, "apply", apply)
    out = tmp_path / "small.mlir"
    code, _, err = reduce(batch, "--emit", "kernel", "-o", out)
    assert code == 0, err
    assert "looking for: pass 'kernel-simplify' failed: KeyError: 'lost'" in err and f"wrote {out}" in err
    module = read(out)
    assert count_ops(module) <= 2 and "graph." in out.read_text() and 'loc("random.tg":' in out.read_text()


def test_wrong_numbers_are_reduced_to_the_op_that_is_wrong(batch: Path, tmp_path: Path, monkeypatch: Patch):
    swapped_operands(monkeypatch)
    out = tmp_path / "small.mlir"
    code, _, err = reduce(batch, "--check", "-o", out)
    assert code == 0, err
    assert "looking for: pass 'graph-simplify'" in err
    assert count_ops(read(out)) <= 3 and "graph.sub" in out.read_text()


PROGRAM = """dim N = 48
fn main(x: f32[N, 20], y: f32[20], c: bool) -> (f32[N, 20], f32[N]) {
  a = exp(x) - y
  b = sum(a * a, axis=1)
  for t in 0..9 with a { a = tanh(a + y) }
  if c with b { b = log(b) }
  return a, b
}
"""


def contains(*words: str) -> str:
    """A command that finds all words in a file interesting."""
    return shlex.join(["sh", "-c", " && ".join(f"grep -q '{word}' \"$1\"" for word in words), "sh"])


def test_a_command_decides(tmp_path: Path):
    model = tmp_path / "model.tg"
    model.write_text(PROGRAM)
    code, out, err = reduce(model, "--test", contains("graph.tanh"))
    assert code == 0 and "graph.tanh" in out, err
    assert "-> 1 op and 1 argument" in err
    assert "graph.for" not in out and "graph.if" not in out and "tensor<1x1xf32>" in out


def test_the_same_twice(tmp_path: Path):
    model = tmp_path / "model.tg"
    model.write_text(PROGRAM)
    test = contains("graph.log", "graph.if")
    first = reduce(model, "--test", test)[1]
    assert first == reduce(model, "--test", test)[1] and "graph.if" in first


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("kernel", ("math.tanh",)),
        ("kernel", ("kernel.reduce",)),
        ("loop", ("loop.store",)),
        ("buffer", ("buffer.for",)),
    ],
)
def test_every_level_shrinks(level: str, words: tuple[str, ...], tmp_path: Path):
    path, out = tmp_path / "low.mlir", tmp_path / "small.mlir"
    path.write_text(str(irkit.lower(PROGRAM, level)))
    whole = read(path)
    code, _, err = reduce(path, "--test", contains(*words), "-o", out)
    assert code == 0, err
    assert all(w in out.read_text() for w in words)
    assert count_ops(read(out)) * 3 < count_ops(whole)


def test_what_there_is_stays_when_it_is_interrupted(tmp_path: Path, monkeypatch: Patch):
    model, out = tmp_path / "model.tg", tmp_path / "small.mlir"
    model.write_text(PROGRAM)
    right = engine.Reducer._accept

    def accept(self: Reducer, candidate: ModuleOp | None) -> bool:
        if self.tried > 3:
            raise KeyboardInterrupt
        return right(self, candidate)

    monkeypatch.setattr(Reducer, "_accept", accept)
    code, _, err = reduce(model, "--test", contains("graph.exp"), "-o", out)
    assert code == 130 and f"interrupted: {out} holds" in err
    assert "graph.exp" in out.read_text() and count_ops(read(out)) < 12
    assert not [name for name in os.listdir(tmp_path) if name.startswith("small.mlir.")]


def test_a_time_limit(tmp_path: Path):
    model = tmp_path / "model.tg"
    model.write_text(PROGRAM)
    code, out, err = reduce(model, "--test", contains("graph.exp"), "--time-limit", 0)
    assert code == 0 and "when the time was up" in err and "graph.tanh" in out


def test_candidates_that_do_not_verify_are_never_tested():
    from irkit.lang import parse, to_graph

    def interesting(module: ModuleOp) -> bool:
        verify_module(module)
        return "graph.tanh" in str(module)

    reducer = Reducer(to_graph(parse(PROGRAM, "model.tg")), interesting)
    reducer.run()
    assert count_ops(reducer.module) == 1 and reducer.tried > 5


def test_what_nobody_uses_can_be_what_is_interesting(tmp_path: Path):
    path = tmp_path / "dead.mlir"
    path.write_text(DEAD)
    code, out, err = reduce(path, "--test", contains("graph.exp"))
    assert code == 0 and "-> 1 op and 1 argument" in err and "graph.exp" in out, err


DEAD = """func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  %z = graph.tanh %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %z : tensor<4xf32>
}
"""


def test_errors(tmp_path: Path):
    model = tmp_path / "model.tg"
    model.write_text("fn main(x: f32[4]) -> f32[4] { return exp(x) }\n")
    cases = {
        ("--test", "false"): "the module is not interesting as it is\n  found: exit code 1",
        (
            "--test",
            "no-such-command -x",
        ): "cannot run the test 'no-such-command -x': No such file or directory",
        ("--test", "'open"): "bad --test",
        ("--emit", "kernel"): "the module is not interesting as it is\n  found: they do not",
        ("-p", "graph-cze"): "unknown pass 'graph-cze'",
        ("--check",): "found: they agree with the reference at every step",
        (): "irkit reduce needs to know what is interesting",
        ("--check", "--emit", "c"): "found: several tests",
        ("--test", "true", "-o", str(tmp_path / "no" / "out.mlir")): "cannot write",
    }
    for words, message in cases.items():
        code, out, err = reduce(model, *words)
        assert (code, out) == (1, "") and message in err, err
    model.write_text("fn main(")
    assert "model.tg:1" in reduce(model, "--test", "true")[2]
    assert "there is no file" in reduce(tmp_path / "none.mlir", "--test", "true")[2]


def test_delta_debugging():
    wanted = {3, 4, 17}
    assert minimal(range(20), lambda some: wanted <= set(some)) == [3, 4, 17]
    assert minimal(range(5), lambda some: True) == []
    assert shortest_prefix(range(20), lambda some: 13 in some) == list(range(14))


def test_sizes_change_everywhere_at_once():
    text = (
        'graph.slice %x {s = array<i64: 0, 24>} : (tensor<48x24xf32>) axes [i: 48] loc("a.tg":48:24) @f48 %48'
    )
    halved = (
        'graph.slice %x {s = array<i64: 0, 12>} : (tensor<24x12xf32>) axes [i: 24] loc("a.tg":48:24) @f48 %48'
    )
    assert next(smaller_sizes(text)) == halved
    assert resized(text, {24: 1, 48: 2}) == halved.replace("24x12", "2x1").replace("i: 24", "i: 2").replace(
        "0, 12", "0, 1"
    )
