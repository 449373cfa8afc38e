"""graph-fold-scale and its siblings: they fire where they should, and results stay the same but for rounding."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FusedLoc, ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from dialects.errors import MOST_PLACES
from dialects.graph import GraphOp
from dialects.graph.contraction import MatmulOp
from irkit import pipeline
from irkit.checking import compare, default_sizes, random_inputs, slacks
from irkit.lang import parse, to_graph
from lowering.graph.dce import GraphDce
from lowering.graph.fixed import Fixed
from lowering.graph.fold_pads import GraphFoldPads
from lowering.graph.fold_scale import GraphFoldScale
from lowering.graph.interpret import run_graph
from lowering.graph.order_products import GraphOrderProducts
from lowering.graph.recognise import GraphRecognise
from lowering.graph.simplify import GraphSimplify
from lowering.graph.simplify_reductions import GraphSimplifyReductions
from lowering.remarks import Remarks, listening
from lowering.verify import verify_module


def function_of(text: str) -> tuple[ModuleOp, FuncOp]:
    module = to_graph(parse(text + "\n", "test.tg"), None, {})
    return module, next(op for op in module.ops if isinstance(op, FuncOp))


def changed(text: str, *steps: ModulePass) -> tuple[FuncOp, dict[str, int]]:
    """A function after passes, of which no result has changed but by rounding; how often each rule of the last applied."""
    module, func = function_of(text)
    sizes = default_sizes(func)
    inputs = {
        name: np.abs(a) + 0.5 if name.startswith("v") else a for name, a in random_inputs(func, sizes).items()
    }
    before = run_graph(func, inputs, sizes)
    slack = slacks(func, inputs, sizes, before)
    for step in steps:
        step.apply(Context(), module)
    verify_module(module)
    GraphDce().apply(Context(), module)
    for found, expected, room in zip(run_graph(func, inputs, sizes), before, slack, strict=True):
        compare(text, func, found, expected, 4 * room)
    return func, steps[-1].stats  # pyright: ignore[reportAttributeAccessIssue]


def in_each_run(func: FuncOp) -> list[str]:
    """The names of the ops that depend on more than parameters."""
    fixed = Fixed(func)
    found = [op for op in func.walk() if isinstance(op, GraphOp) and not all(r in fixed for r in op.results)]
    return [op.name.removeprefix("graph.") for op in found]


VECTORS = "\n".join(f"param {n}: f32[4] = zeros()" for n in ("s", "b", "m", "v")) + "\n"

FOLDED: dict[str, tuple[str, list[str]]] = {
    "batch norm": (
        """param w: f32[4, 3, 2, 2] = he(seed=1)
fn main(x: f32[2, 3, 5, 6]) -> f32[2, 4, 6, 7] { return relu(batch_norm(conv2d(x, w, s, padding=1), s, b, m, v)) }""",
        ["conv2d", "relu"],
    ),
    "groups": (
        """param w: f32[4, 2, 3] = he(seed=1)
fn main(x: f32[2, 4, 9]) -> f32[2, 4, 7] { return batch_norm(conv1d(x, w, groups=2), s, b, m, v) * 2 }""",
        ["conv1d"],
    ),
    "three dims": (
        """param w: f32[4, 2, 1, 2, 2] = he(seed=1)
fn main(x: f32[1, 4, 2, 4, 4]) -> f32[1, 4, 2, 2, 2] {
  return conv3d(x, w, b, stride=[1, 2, 2], groups=2) / reshape(v, [4, 1, 1, 1]) + 0.5
}""",
        ["conv3d"],
    ),
    "transposed": (
        """param w: f32[6, 2, 3, 3] = he(seed=1)
fn main(x: f32[2, 6, 3, 4]) -> f32[2, 4, 7, 9] { return batch_norm(conv_transpose2d(x, w, stride=2, groups=2), s, b, m, v) }""",
        ["conv_transpose2d"],
    ),
    "ahead of a transposed one": (
        """param w: f32[4, 3, 3] = he(seed=1)
fn main(x: f32[2, 4, 5]) -> f32[2, 3, 11] { return conv_transpose1d(x * reshape(s, [1, 4, 1]), w, stride=2) }""",
        ["conv_transpose1d"],
    ),
    "ahead": (
        """param w: f32[6, 2, 2, 2] = he(seed=1)
fn main(x: f32[2, 4, 5, 6]) -> f32[2, 6, 4, 5] { return conv2d(batch_norm(x, s, b, m, v), w, groups=2) }""",
        ["conv2d"],
    ),
    "factor ahead with padding": (
        """param w: f32[6, 4, 3, 3] = he(seed=1)
fn main(x: f32[2, 4, 5, 6]) -> f32[2, 6, 5, 6] { return conv2d(x * reshape(s, [4, 1, 1]), w, padding=1) }""",
        ["conv2d"],
    ),
    "matmul": (
        """dim B = 3 in 1..9
param w: f32[5, 4] = he(seed=1)
fn main(x: f32[B, 5]) -> f32[B, 4] { return batch_norm((x @ w + b) * s, s, b, m, v) - 1 }""",
        ["matmul", "add"],
    ),
    "three products of one row": (
        """param p: f32[4, 5] = he(seed=1)
param q: f32[4, 5] = he(seed=2)
fn main(x: f32[2, 3, 4], r: f32[2, 3, 1]) -> (f32[2, 3, 5], f32[2, 3, 5], f32[2, 3, 5]) {
  h = (x * r - m) * s + b
  return h @ p, h @ q + 1, h @ p * 2
}""",
        ["mul", *["matmul", "add"] * 3],
    ),
    "channels last, between transposes": (
        """param w: f32[4, 3, 2, 2] = he(seed=1)
param u: f32[3, 4, 1, 1] = he(seed=2)
fn main(x: f32[2, 3, 5, 6]) -> f32[2, 3, 4, 5] {
  y = tanh(transpose(conv2d(x, w, s), [0, 2, 3, 1]) * s + b)
  z = (transpose(y, [0, 3, 1, 2]) - 2) * reshape(m, [4, 1, 1])
  return conv2d(z, u)
}""",
        ["conv2d", "transpose", "tanh", "transpose", "conv2d"],
    ),
    "channels last, ahead": (
        """param w: f32[6, 2, 2, 2] = he(seed=1)
fn main(x: f32[2, 5, 6, 4]) -> f32[2, 6, 4, 5] { return conv2d(transpose(x * s / v - b, [0, 3, 1, 2]), w, groups=2) }""",
        ["transpose", "conv2d"],
    ),
    "heads": (
        """dim B = 2 in 1..3
param w: f32[3, 8] = he(seed=1)
param c: f32[8] = he(seed=2)
param d: f32[2, 1] = he(seed=2)
fn main(x: f32[B, 5, 3]) -> f32[B, 2, 5, 4] {
  h = reshape(x @ w + c, [B, 5, 2, 4]) * s * d
  return transpose(h, [0, 2, 1, 3]) * reshape(m, [1, 4]) * 0.5
}""",
        ["matmul", "add", "reshape", "transpose"],
    ),
    "heads in another order": (
        """param w: f32[3, 8] = he(seed=1)
param e: f32[4, 1, 2] = he(seed=3)
fn main(x: f32[5, 3]) -> f32[4, 5, 2] { return transpose(reshape(x @ w, [5, 2, 4]), [2, 0, 1]) * e }""",
        ["matmul", "reshape", "transpose"],
    ),
    "one factor of all that is joined": (
        """param w: f32[4, 3, 2, 2] = he(seed=1)
fn main(x: f32[2, 3, 5, 6]) -> f32[2, 80] { return reshape(conv2d(x, w), [2, 80]) * -0.3 }""",
        ["conv2d", "reshape"],
    ),
    "in a loop": (
        """param w: f32[4, 4] = he(seed=1)
fn main(x: f32[3, 4]) -> f32[3, 4] {
  for t in 0..3 with x { x = tanh(x @ w * s) }
  return x
}""",
        ["matmul", "tanh"],
    ),
}


@pytest.mark.parametrize("name", FOLDED)
def test_factors_become_part_of_weights(name: str):
    text, left = FOLDED[name]
    func, _ = changed(VECTORS + text, GraphFoldScale())
    assert sorted(in_each_run(func)) == sorted(left)


def test_what_is_fixed_is_computed_ahead_of_loops():
    func, _ = changed(VECTORS + FOLDED["in a loop"][0], GraphFoldScale())
    (loop,) = [op for op in func.body.block.ops if op.name == "graph.for"]
    assert [op.name for op in loop.regions[0].block.ops] == ["graph.matmul", "graph.tanh", "graph.yield"]


KEPT: dict[str, str] = {
    "padding beside a summand": "fn main(x: f32[2, 3, 5, 6]) -> f32[2, 4, 5, 6] { return conv2d(x * 2 + 1, w, padding=1) }",
    "a sum that is read twice": """fn main(x: f32[2, 3, 5, 6]) -> (f32[2, 4, 3, 4], f32[2, 4, 3, 4]) {
  y = conv2d(x, w)
  return y * 2, tanh(y)
}""",
    "factors that are data": """fn main(x: f32[2, 3, 5, 6], a: f32[4, 1, 1], c: f32) -> f32[2, 4, 3, 4] {
  return conv2d(x, w) * a * c
}""",
    "weights that are data": """fn main(x: f32[2, 3, 5, 6], u: f32[4, 3, 3, 3]) -> f32[2, 4, 3, 4] {
  return batch_norm(conv2d(x, u), s, b, m, v)
}""",
    "factors for each column": """param c: f32[4] = zeros()
fn main(x: f32[2, 3, 5, 6]) -> f32[2, 4, 3, 4] { return conv2d(x, w) * c }""",
    "few bits": """param h: f16[4, 3, 3, 3] = he(seed=1)
param u: f16[4] = zeros()
fn main(x: f16[2, 3, 5, 6]) -> f16[2, 4, 3, 4] { return conv2d(x, h) * reshape(u, [4, 1, 1]) }""",
    "integers": """param i: i32[3, 4] = zeros()
fn main(x: i32[2, 3]) -> i32[2, 4] { return x @ i * 2 }""",
    "weights stored in few bits": """param i: i8[3, 4] = zeros()
fn main(x: f32[2, 3]) -> f32[2, 4] { return x @ cast(i, f32) * s }""",
    "factors for each row of channels last": """param c: f32[3, 1, 1] = zeros()
fn main(x: f32[2, 3, 5, 6]) -> f32[2, 3, 4, 4] { return transpose(conv2d(x, w), [0, 2, 3, 1]) * c }""",
    "channels that are joined with rows": """param c: f32[12] = zeros()
fn main(x: f32[2, 3, 5, 6]) -> f32[2, 12, 4] { return reshape(conv2d(x, w), [2, 12, 4]) * reshape(c, [12, 1]) }""",
    "a view that is read twice": """fn main(x: f32[2, 3, 5, 6]) -> (f32[2, 3, 4, 4], f32[2, 3, 4, 4]) {
  y = transpose(conv2d(x, w), [0, 2, 3, 1])
  return y * s, tanh(y)
}""",
    "a summand seen beside padding": """fn main(x: f32[2, 5, 6, 3]) -> f32[2, 4, 5, 6] {
  return conv2d(transpose(x * 2 + 1, [0, 3, 1, 2]), w, padding=1)
}""",
    "a product before a loop": """fn main(x: f32[2, 3, 5, 6]) -> f32[2, 4, 3, 4] {
  y = conv2d(x, w)
  z = y * 0
  for t in 0..3 with z { z = tanh(z) + y * 2 }
  return z
}""",
}


@pytest.mark.parametrize("name", KEPT)
def test_factors_stay(name: str):
    _, stats = changed(VECTORS + "param w: f32[4, 3, 3, 3] = he(seed=1)\n" + KEPT[name], GraphFoldScale())
    assert not stats


def test_what_a_run_writes_is_not_folded():
    module, func = function_of(VECTORS + FOLDED["batch norm"][0])
    assert func.arg_attrs is not None
    donated = [DictionaryAttr({**facts.data, "graph.donated": UnitAttr()}) for facts in func.arg_attrs]
    func.arg_attrs = ArrayAttr(donated)
    before = str(module)
    GraphFoldScale().apply(Context(), module)
    assert str(module) == before


def test_only_what_fits_is_folded_and_nothing_where_nothing_runs_once():
    text = VECTORS + FOLDED["batch norm"][0]
    assert not changed(text, GraphFoldScale(target="c99"))[1]
    assert not changed(text, GraphFoldScale(limit=100))[1]
    assert changed(text, GraphFoldScale(limit=192))[1] == {"scale_behind_product": 1}


@pytest.mark.parametrize(
    "text",
    ["f32[4] { return mean((x @ w) * 0.5, axis=0) }", "f32[4, 3] { return tanh(transpose(x @ w) * 0.5) }"],
)
def test_factors_that_other_passes_bring_next_to_products_are_folded(text: str):
    module, func = function_of("param w: f32[4, 4] = he(seed=1)\nfn main(x: f32[3, 4]) -> " + text)
    pipeline.run_passes(module, pipeline.passes_to("graph", "graph"), pipeline.context())
    left = in_each_run(func)
    assert "matmul" in left and "mul" not in left


def test_long_chains_hand_on_few_places():
    rest = "  h = h * 2.0 + 1.0\n" * 40
    text = f"param w: f32[4, 4] = he(seed=1)\nfn main(x: f32[3, 4]) -> f32[3, 4] {{\n  h = x @ w\n{rest}  return h\n}}"
    module, func = function_of(text)
    (matmul,) = (op for op in func.walk() if isinstance(op, MatmulOp))
    first = matmul.location
    GraphFoldScale().apply(Context(), module)
    (matmul,) = (op for op in func.walk() if isinstance(op, MatmulOp))
    assert isinstance(matmul.location, FusedLoc)
    places = matmul.location.locations.data  # pyright: ignore[reportAttributeAccessIssue]
    assert len(places) == MOST_PLACES and places[-1] == first


# -- pads -----------------------------------------------------------------------------------------------------------

IMAGE = "param w: f32[4, 3, 3, 3] = he(seed=1)\nfn main(x: f32[2, 3, 5, 6], i: i8[3, 5, 6]) -> "

PADS: dict[str, tuple[str, list[str]]] = {
    "conv": (
        "f32[2, 4, 6, 5] { return conv2d(pad(x, [0, 0, 0, 0, 1, 1, 0, 1]), w, padding=[1, 0, 0, 0]) }",
        ["conv2d"],
    ),
    "mean": (
        "f32[2, 3, 2, 3] { return avg_pool2d(pad(x, [0, 0, 0, 0, 1, 0, 0, 1]), 3, stride=2, padding=[0, 0, 1, 0]) }",
        ["avg_pool2d"],
    ),
    "greatest": (
        "f32[2, 3, 3, 4] { return max_pool2d(pad(x, [0, 0, 0, 0, 1, 1, 1, 0], value=-inf), 2, padding=[0, 0, 0, 1]) }",
        ["max_pool2d"],
    ),
    "greatest of no less than zero": (
        "f32[2, 3, 3, 3] { return max_pool2d(transpose(pad(relu(x[:, :, :, :]), [0, 0, 0, 0, 1, 1, 1, 1]), [0, 1, 2, 3]), 3, stride=2) }",
        ["relu", "max_pool2d"],
    ),
    "greatest integer": (
        "i8[3, 6, 7] { return max_pool2d(pad(i, [0, 0, 1, 1, 1, 1], value=-128), 2, stride=1) }",
        ["max_pool2d"],
    ),
    "pads": (
        "f32[3, 5, 8, 10] { return pad(pad(x, [1, 0, 0, 1, 1, 1, 2, 0], value=7), [0, 0, 0, 1, 0, 1, 1, 1], value=7) }",
        ["pad"],
    ),
    "nothing": ('f32[2, 3, 5, 6] { return pad(x, [0, 0, 0, 0, 0, 0, 0, 0], mode="wrap") }', []),
    "taken back": (
        'f32[2, 3, 2, 6] { return pad(x, [0, 0, 0, 0, 1, 1, 2, 2], mode="reflect")[:, :, 1:5:2, 2:8] }',
        ["slice"],
    ),
    "slices": ("f32[2, 1, 1, 3] { return x[:, 1:, 1:5:2, ::2][:, 1:, 1:, :] }", ["slice"]),
    "empty slices": ("f32[2, 3, 0, 2] { return x[:, :, ::2, ::2][:, :, 2:2, 1:] }", ["slice"]),
}


@pytest.mark.parametrize("name", PADS)
def test_pads_are_folded(name: str):
    text, left = PADS[name]
    func, _ = changed(IMAGE + text, GraphSimplify(), GraphFoldPads())
    assert in_each_run(func) == left


PADS_KEPT = {
    "other values": "f32[2, 4, 5, 6] { return conv2d(pad(x, [0, 0, 0, 0, 1, 1, 1, 1], value=1), w) }",
    "other modes": 'f32[2, 4, 5, 6] { return conv2d(pad(x, [0, 0, 0, 0, 1, 1, 1, 1], mode="edge"), w) }',
    "channels": "f32[2, 4, 3, 4] { return conv2d(pad(x[:, :1], [0, 0, 1, 1, 0, 0, 0, 0]), w) }",
    "padding that does not count": "f32[2, 3, 6, 7] { return avg_pool2d(pad(x, [0, 0, 0, 0, 1, 1, 1, 1]), 2, stride=1, count_padding=false) }",
    "more than half a window": "f32[2, 3, 8, 6] { return avg_pool2d(pad(x, [0, 0, 0, 0, 2, 2, 0, 1]), 2, stride=1) }",
    "zeros that may be greatest": "f32[2, 3, 6, 7] { return max_pool2d(pad(x, [0, 0, 0, 0, 1, 1, 1, 1]), 2, stride=1) }",
    "pads of two values": "f32[4, 3, 5, 6] { return pad(pad(x, [1, 0, 0, 0, 0, 0, 0, 0]), [0, 1, 0, 0, 0, 0, 0, 0], value=2) }",
    "a slice with something of the pad": "f32[2, 3, 5, 6] { return pad(x, [0, 0, 0, 0, 1, 1, 0, 0])[:, :, :5] }",
}


@pytest.mark.parametrize("name", PADS_KEPT)
def test_pads_stay(name: str):
    assert not any(changed(IMAGE + PADS_KEPT[name], GraphFoldPads())[1].values())


def test_slices_of_dims_are_joined_where_they_are_seen_to_fit():
    text = """dim B = 4 in 2..9
fn main(x: f32[2 * B, 3]) -> (f32[B - 1, 3], f32[B / 2, 3]) { return x[B:2 * B][1:], x[1:B][0:B / 2] }"""
    func, stats = changed(text, GraphFoldPads())
    assert stats == {"slice_of_slice": 2} and in_each_run(func) == ["slice", "slice"]


# -- reductions -----------------------------------------------------------------------------------------------------

INPUTS = (
    "fn main(x: f32[2, 3, 4, 6], i: i8[4, 5], a: f32[5, 7], b: f32[7, 4], c: f64[3, 5, 7], r: f32[1, 4]) -> "
)

REDUCED: dict[str, tuple[str, list[str]]] = {
    "sums": (
        "f32[3] { return sum(sum(x, axis=[1, 3]), axis=0)[0:3:1] + sum(sum(x, axis=2), axis=[0, 2]) }",
        [],
    ),
    "sum of a sum": ("f32[4] { return sum(sum(x, axis=[1, 3]), axis=0) }", ["reduce_sum"]),
    "mean of a mean": (
        "f32[1, 1, 4, 1] { return mean(mean(x, axis=1, keepdims=true), axis=[0, 3], keepdims=true) }",
        ["reduce_mean"],
    ),
    "greatest integer": ("i8 { return max(max(i, axis=0)) }", ["reduce_max"]),
    "transposed": ("f32[2, 6] { return max(transpose(x, [0, 2, 3, 1]), axis=[1, 3]) }", ["reduce_max"]),
    "split": ("f32[2, 3] { return sum(reshape(x, [2, 3, 2, 2, 3, 2]), axis=[2, 3, 4, 5]) }", ["reduce_sum"]),
    "joined": ("f32[4, 6] { return sum(reshape(x, [6, 4, 6]), axis=0) }", ["reduce_sum"]),
    "broadcast sums": ("f32[4] { return sum(broadcast(r, [3, 5, 4]), axis=[0, 1]) }", ["mul", "reshape"]),
    "broadcast means": (
        "f32[3, 5] { return mean(broadcast(r, [3, 5, 4]), axis=2) }",
        ["reduce_mean", "broadcast"],
    ),
    "broadcast maxima": ("f32 { return max(broadcast(r, [3, 5, 4])) }", ["reduce_max", "reshape"]),
    "scaled": ("f32[2, 3, 4] { return sum(x * 0.5, axis=3) }", ["reduce_sum", "mul"]),
    "divided and negated": ("f32 { return mean(-(x / 3)) }", ["reduce_mean", "div", "neg"]),
    "scaled integers": ("i8[4] { return sum(i * 7, axis=1) }", ["reduce_sum", "mul"]),
    "rows of a product": ("f32[4] { return sum(a @ b, axis=0) }", ["reduce_sum", "matmul", "reshape"]),
    "all of a product": (
        "f64[3] { return mean(c @ transpose(c, [0, 2, 1]), axis=[1, 2]) }",
        ["transpose", "reduce_mean", "reduce_mean", "matmul", "reshape"],
    ),
    "the whole image": ("f32[2, 3] { return reshape(global_avg_pool(x), [2, 3]) }", ["reduce_mean"]),
    "one pixel": ("f32[2, 3, 1, 1] { return adaptive_max_pool2d(x, 1) }", ["reduce_max"]),
    "equal windows": ("f32[2, 3, 2, 3] { return adaptive_avg_pool2d(x, [2, 3]) }", ["avg_pool2d"]),
    "every pixel": ("f32[2, 3, 4, 6] { return adaptive_avg_pool2d(x, [4, 6]) }", []),
    "a window of all": (
        "f32[2, 3, 1, 1] { return avg_pool2d(x, [4, 6]) + max_pool2d(x, [4, 6], stride=1) }",
        ["reduce_mean", "reduce_max", "add"],
    ),
    "maxima of maxima": (
        "f32[2, 3, 1, 2] { return max_pool2d(max_pool2d(x, [3, 2], stride=1, padding=1), 2, stride=3) }",
        ["max_pool2d"],
    ),
}


@pytest.mark.parametrize("name", REDUCED)
def test_reductions_get_simpler(name: str):
    text, left = REDUCED[name]
    func, stats = changed(INPUTS + text, GraphSimplifyReductions())
    assert stats
    if left:
        assert in_each_run(func) == left


REDUCTIONS_KEPT = {
    "kinds": "f32[4] { return sum(max(x, axis=[1, 3]), axis=0) }",
    "what others read": "(f32[2, 3, 4], f32[2, 3]) {\n  s = sum(x, axis=3)\n  return s, sum(s, axis=2)\n}",
    "another order": "f32[6, 2] { return sum(transpose(x, [3, 0, 1, 2]), axis=[2, 3]) }",
    "joined dims that are left": "f32[24] { return sum(reshape(x, [6, 24]), axis=0) }",
    "half a dim": "f32[2, 3, 4, 2] { return sum(reshape(x, [2, 3, 4, 2, 3]), axis=4) }",
    "infinite factors": "f32[2, 3, 4] { return sum(x * inf, axis=3) }",
    "divided integers": "i8[4] { return sum(i / 2, axis=1) }",
    "sums of small floats": "f16 { return sum(cast(x, f16) * 0.001) }",
    "unequal windows": "f32[2, 3, 3, 3] { return adaptive_avg_pool2d(x, 3) }",
    "padded maxima": "f32[2, 3, 4, 6] { return max_pool2d(max_pool2d(x, 2, stride=1), 2, stride=1, padding=1) }",
    "large windows": "f32[2, 1, 14, 14] { return max_pool2d(max_pool2d(pad(x[:, :1], [0, 0, 0, 0, 9, 9, 8, 8]), 5, stride=1), 5, stride=1) }",
    "padded windows": "f32[2, 3, 1, 2] { return avg_pool2d(x[:, :, :3], [3, 6], padding=[1, 1], stride=[9, 1])[:, :, :, 0:2] }",
}


@pytest.mark.parametrize("name", REDUCTIONS_KEPT)
def test_reductions_stay(name: str):
    assert not changed(INPUTS + REDUCTIONS_KEPT[name], GraphSimplifyReductions())[1]


SUMMARIES = """param w: f32[4, 4] = normal(seed=1)
fn main(x: f32[3, 4]) -> (f32[1, 3], f32[1, 1], f32[4]) {
  a = reshape(mean((x @ w) / 0.25, axis=1), [1, 3])
  return a, max(reshape(x, [2, 6]), axis=[0, 1], keepdims=true), sum(x[0] * ones([1, 1], f32), axis=0)
}"""
SCORES = "fn main(q: f32[2, 4, 8], k: f32[8, 4], v: f32[4, 8]) -> f32[2, 4, 8] { return softmax(q @ k) @ v }"


@pytest.mark.parametrize("text", [SUMMARIES, SCORES])
def test_what_rules_try_and_drop_is_no_user(text: str):
    func, _ = changed(text, GraphRecognise(), GraphSimplifyReductions())
    inside = set(func.walk())
    values = [*func.body.block.args, *(r for op in inside for r in op.results)]
    assert all(use.operation in inside for v in values for use in v.uses)


def test_reductions_of_dims_with_ranges():
    text = """dim B = 4 in 2..9
fn main(x: f32[B, 6, B]) -> (f32[B], f32[B, 6], f32[B * 6]) {
  return sum(reshape(x, [B, 6 * B]), axis=1), sum(sum(reshape(x, [B, 6, B, 1]), axis=3), axis=2), sum(reshape(x, [6 * B, B]), axis=1)
}"""
    func, _ = changed(text, GraphSimplifyReductions())
    assert in_each_run(func) == ["reduce_sum", "reduce_sum", "reshape", "reduce_sum"]


# -- orders ---------------------------------------------------------------------------------------------------------

FACTORS = """param p: f32[8, 2] = he(seed=1)
param q: f32[2, 9] = he(seed=2)
param t: f32[9, 3] = he(seed=3)
fn main(x: f32[4, 6, 8], y: f32[6, 8], u: f32[8, 30], v: f32[8], i: i8[6, 8]) -> """

ORDERS: dict[str, tuple[str, list[str], int]] = {
    "narrow last": (
        "f32[6] { return y @ u @ transpose(u) @ v }",
        ["transpose", "matmul", "matmul", "matmul"],
        6 * 8 * 30 * 2 + 6 * 8 - (2 * 8 * 30 + 6 * 8),
    ),
    "integers": ("i8[6, 8] { return i @ (transpose(i) @ i) @ transpose(i) @ i }", [], 0),
    "parameters": (
        "f32[4, 6, 3] { return x @ p @ q @ t }",
        ["matmul", "matmul"],
        24 * (16 + 18 + 27) - 24 * (16 + 6),
    ),
    "batches": (
        "f32[4, 6, 2] { return (x @ transpose(x, [0, 2, 1])) @ (x @ p) }",
        ["transpose", "matmul", "matmul", "matmul"],
        0,
    ),
    "sums": (
        'f32[6] { return einsum(y, u, u, spec="ij,jk,ab->i") }',
        ["einsum"] * 4,
        6 * 8 * 8 * 30 * 30 * 2 - 6 * 8 - 6,
    ),
    "letters of parameters": (
        'f32[6, 3] { return einsum(y, p, q, t, spec="ij,jk,kl,lm->im") }',
        ["einsum", "einsum"],
        6 * 8 * 2 * 9 * 3 * 3 - 6 * 8 * 2 - 6 * 2 * 3,
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_products_take_the_cheapest_order(name: str):
    text, left, saved = ORDERS[name]
    func, stats = changed(FACTORS + text, GraphOrderProducts())
    if left:
        assert in_each_run(func) == left
    if saved:
        assert stats["multiply-adds saved"] == saved


ORDERS_KEPT = {
    "the best": "f32[6] { return y @ (u @ (transpose(u) @ v)) }",
    "what others read": "(f32[6, 30], f32[6, 8]) {\n  h = y @ u\n  return h, h @ transpose(u)\n}",
    "small gains": "f32[6, 7] { return y @ (u[:, :8] @ u[:, 8:15]) }",
    "pairs": 'f32[6, 30] { return einsum(y, u, spec="ij,jk->ik") }',
    "elementwise": 'f32[8] { return einsum(v, v, v, spec="i,i,i->i") }',
    "small floats": "f16[6] { return (cast(y, f16) @ cast(u, f16)) @ transpose(cast(u, f16)) @ cast(v, f16) }",
    "a scheduled product": 'f32[6, 8] {\n  h = y @ u, schedule="vector j 8"\n  return h @ transpose(u)\n}',
}


@pytest.mark.parametrize("name", ORDERS_KEPT)
def test_orders_stay(name: str):
    assert not changed(FACTORS + ORDERS_KEPT[name], GraphOrderProducts())[1]


def test_sizes_of_a_run_are_compared_for_all_of_them():
    text = "dim B = 4 in 1..{}\nfn main(x: f32[B, 64], y: f32[64, B]) -> f32[B, 64] {{ return {} }}"
    saved = changed(text.format(50, "x @ (y @ x)"), GraphOrderProducts())[1]["multiply-adds saved"]
    assert saved == 2 * 50 * 64 * (64 - 50)
    for kept in (text.format(99, "x @ (y @ x)"), text.format(99, "x @ y @ x")):
        with listening(remarks := Remarks()):
            assert not changed(kept, GraphOrderProducts())[1]
    (remark,) = remarks.found
    assert remark.kind == "missed" and "[B, 64] @ ([64, B] @ [B, 64])" in remark.message


def test_a_new_order_is_told():
    with listening(remarks := Remarks()):
        changed("fn main(x: f32[9, 2], y: f32[2, 9]) -> f32[9, 2] { return x @ y @ x }", GraphOrderProducts())
    (remark,) = remarks.found
    assert remark.message == "3 factors in the order [9, 2] @ ([2, 9] @ [9, 2])"
    assert remark.reason == "72 multiply-adds in each run instead of 324"
    assert remark.loc is not None and remark.loc.line == 1


def test_nothing_is_free_where_nothing_runs_once():
    text = "param p: f32[64, 64] = he(seed=1)\nfn main(x: f32[4, 64]) -> f32[4, 64] { return x @ p @ p }"
    assert changed(text, GraphOrderProducts())[1]["multiply-adds saved"] == 4 * 64 * 64
    assert not changed(text, GraphOrderProducts(target="c99"))[1]


def test_long_rows_are_left_alone():
    text = "fn main(x: f32[2, 2]) -> f32[2, 2] {{ return {} @ x[:, :1] @ x[:1] }}"
    assert changed(text.format(" @ ".join("x" * 8)), GraphOrderProducts())[1]
    assert not changed(text.format(" @ ".join("x" * 80)), GraphOrderProducts())[1]


# -- schedules ------------------------------------------------------------------------------------------------------

WRITTEN: dict[str, tuple[str, str, str, ModulePass]] = {
    "of a broadcast": ("f32[3]", "sum(broadcast(g, [3, 8]), axis=1)", "y", GraphSimplifyReductions()),
    "of scaled ones": ("f32[3]", "sum(x * 2.0, axis=1)", "y", GraphSimplifyReductions()),
    "of a product": ("f32[4]", "sum(x @ w, axis=0)", "y", GraphSimplifyReductions()),
    "reshaped": ("f32[3, 1]", "sum(x, axis=1)", "reshape(y, [3, 1])", GraphSimplifyReductions()),
    "a reshape": ("f32[3]", "reshape(sum(x, axis=1, keepdims=true), [3])", "y", GraphSimplifyReductions()),
    "inner pooling": (
        "f32[1, 1, 1, 1]",
        "max_pool2d(reshape(x, [1, 1, 3, 4]), 2, stride=1)",
        "max_pool2d(y, 2, stride=2)",
        GraphSimplifyReductions(),
    ),
    "behind factors": ("f32[3, 4]", "(x * s + b) @ w", "y", GraphFoldScale()),
    "before factors": ("f32[3, 4]", "x @ w", "y * s + b", GraphFoldScale()),
    "a factor": ("f32[3, 4]", "x * s", "y @ w", GraphFoldScale()),
    "a summand": ("f32[3, 4]", "x @ w + b", "y * s", GraphFoldScale()),
    "an inner slice": ("f32[1, 4]", "x[1:]", "y[1:]", GraphFoldPads()),
    "a pad": ("f32[5, 4]", "pad(pad(x, [1, 0, 0, 0]), [1, 0, 0, 0])", "y", GraphFoldPads()),
    "an inner product": ("f32[3]", "x @ w", "y @ s", GraphOrderProducts()),
}
"""A result type, what is scheduled, what is made of it, and the pass that would like to change it."""


@pytest.mark.parametrize("name", WRITTEN)
def test_what_the_program_schedules_stays(name: str):
    result, scheduled, last, step = WRITTEN[name]
    head = (
        f"{VECTORS}param w: f32[4, 4] = normal(seed=1)\nfn main(x: f32[3, 4], g: f32[3, 1]) -> {result} {{\n"
    )
    free = f"{head}  y = {scheduled}\n  return {last}\n}}"
    fresh = type(step)()  # stats are of one pass
    assert changed(free, fresh)[1]
    assert not changed(free.replace(scheduled, scheduled + ', schedule="tile i 2"'), step)[1]
