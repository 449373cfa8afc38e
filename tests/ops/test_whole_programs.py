"""Whole programs: names, symbolic dims in one artefact, and random graphs through C against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

import irkit
from dialects.errors import IrkitError, Loc
from dialects.graph import make
from dialects.types import dims_of, dtype_name, tensor
from irkit.checking import compare, random_inputs, slacks
from irkit.runtime.module import Program
from lowering.graph.interpret import run_graph
from tests.lang.numpy_graph import run
from tests.ops.harness import built, named
from tests.ops.test_contractions import normal

AWKWARD = (
    "first",
    "last",
    "swap",
    "args",
    "c",
    "context",
    "memcpy",
    "lanes",
    "v1",
    "acc",
    "linux",
    "tid",
    "y0",
    "index",
)


def test_any_name_may_be_used():
    inputs = ", ".join(f"{name}: f32[3, 4]" for name in AWKWARD)
    results = ", ".join(f"r_{name}: f32[3, 4]" for name in AWKWARD)
    text = f"fn main({inputs}) -> ({results}, first_1: f32[3, 4]) {{\n  s = first @ transpose(last) @ swap\n"
    text += f"  return {', '.join(AWKWARD)}, s\n}}\n"
    arrays = {name: normal(3, 4) for name in AWKWARD}
    *copies, s = irkit.compile(text).prepare(**arrays).run()
    for name, copy in zip(AWKWARD, copies, strict=True):
        np.testing.assert_array_equal(copy, arrays[name])
    np.testing.assert_allclose(s, arrays["first"] @ arrays["last"].T @ arrays["swap"], rtol=1e-4, atol=1e-5)


SYMBOLIC = """
dim B = 4 in 1..64
dim S = 5 in 2..40
param w: f32[6, 7] = glorot(seed=1)
param k: f32[3, 2, 3, 3] = he(seed=2)

fn main(x: f32[B, 6], y: f32[B, S], image: f32[B, 2, S + 1, 8]) -> (
  f32[B, 7], f32[B, S], f32[S], f32[2 * B, 6], f32[B * 6], f32[B, S - 1], f32[B, 3, S - 1, 6], f32[B, B], f32[B, 2, S + 1, 8], f32
) {
  h = relu(x @ w)
  return h, softmax(y), sum(y, axis=0), concat(x, x * 2), reshape(x, [-1]), y[:, 1:], conv2d(image, k), x @ transpose(x), transpose(reshape(transpose(image), [8, S + 1, 2, B])), mean(y)
}
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_one_artefact_for_every_size(threads: int):
    program = irkit.compile(SYMBOLIC, threads=threads)
    values = {name: program.values[name] for name in ("w", "k")}
    for b, s in ((1, 2), (3, 5), (4, 17), (17, 33), (64, 40)):
        x, y, image = normal(b, 6), normal(b, s), normal(b, 2, s + 1, 8)
        found = program(x, y, image)
        expected = run(SYMBOLIC, x, y, image, values["w"], values["k"])
        for a, wide in zip(found, expected, strict=True):
            assert a.shape == wide.shape
            np.testing.assert_allclose(a, wide, rtol=1e-4, atol=1e-5)


def test_sizes_that_do_not_fit():
    program = irkit.compile(SYMBOLIC)
    for b, s, other, message in ((65, 5, 65, "64"), (3, 41, 3, "40"), (3, 1, 3, "2"), (3, 5, 4, "B")):
        with pytest.raises(IrkitError) as caught:
            program(normal(b, 6), normal(other, s), normal(b, 2, s + 1, 8))
        assert message in str(caught.value)


# -- random graphs ------------------------------------------------------------------------------------------------

SHAPES = [(3, 4), (4, 4), (1, 4), (3, 1), (4,), (), (2, 3, 4), (17, 4), (4, 33)]
UNARY = ["neg", "abs", "tanh", "sigmoid", "relu", "sqrt", "floor", "softplus", "square", "exp2"]
BINARY = ["add", "sub", "mul", "min", "max"]


def _axis(draw, shape: list[int]) -> int:
    return draw(st.integers(0, max(0, len(shape) - 1)))


def _reduce(draw, shape: list[int]) -> tuple[str, dict[str, object]]:
    axes = draw(st.sets(st.integers(0, len(shape) - 1))) if shape else set()
    name = draw(st.sampled_from(["reduce_sum", "reduce_max", "reduce_mean"]))
    return name, {"axes": sorted(axes), "keepdims": draw(st.booleans())}


def _slice(draw, shape: list[int]) -> tuple[str, dict[str, object]]:
    starts = [draw(st.integers(0, max(0, n - 1))) for n in shape]
    return "slice", {"starts": starts, "stops": shape, "strides": [draw(st.integers(1, 3)) for _ in shape]}


def _pad(draw, shape: list[int]) -> tuple[str, dict[str, object]]:
    pads = [draw(st.integers(0, 2)) if max(shape) < 60 else 0 for _ in range(2 * len(shape))]
    return "pad", {"pads": pads, "mode": draw(st.sampled_from(["constant", "edge", "wrap"]))}


def _reshape(draw, shape: list[int]) -> tuple[str, dict[str, object]]:
    return "reshape", {"shape": draw(st.sampled_from([[-1], [1, *shape], [*shape, 1], shape[::-1]]))}


KINDS = (
    lambda draw, shape: (draw(st.sampled_from(UNARY)), {}),
    lambda draw, shape: (draw(st.sampled_from(BINARY)), {}),
    lambda draw, shape: (draw(st.sampled_from(BINARY)), {}),
    lambda draw, shape: ("matmul", {}),
    lambda draw, shape: ("transpose", {"perm": draw(st.permutations(range(len(shape))))}),
    lambda draw, shape: ("concat", {"axis": _axis(draw, shape)}),
    lambda draw, shape: ("softmax", {"axis": _axis(draw, shape)}),
    lambda draw, shape: ("log_softmax", {"axis": -1}),
    _reduce,
    _slice,
    _pad,
    _reshape,
)
"""Ways to draw an op and its parameters for an operand of a shape."""


class Graph:
    """A function under construction; every op is drawn so that it fits what is there."""

    def __init__(self, draw):
        self.draw = draw
        self.shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=2, max_size=4))
        self.block = Block(arg_types=[tensor("f32", s) for s in self.shapes])
        self.values: list[SSAValue] = list(self.block.args)
        self.line = 0

    def add(self, name: str, *operands: SSAValue, **values: object) -> None:
        self.line += 1
        op = make(name, list(operands), values, Loc("random.tg", self.line, 1))
        self.block.add_op(op)
        self.values += [r for r in op.results if dtype_name(r.type.element_type) == "f32"]  # pyright: ignore

    def pick(self) -> SSAValue:
        return self.draw(st.sampled_from(self.values))

    def grow(self) -> None:
        """Adds one op, or none where what was drawn does not fit."""
        x = self.pick()
        name, values = self.draw(st.sampled_from(KINDS))(self.draw, [d.value or 0 for d in dims_of(x.type)])
        operands = [x, self.pick()] if name in (*BINARY, "matmul") else [x, x] if name == "concat" else [x]
        try:
            self.add(name, *operands, **values)
        except IrkitError:
            self.line -= 1

    def module(self) -> ModuleOp:
        results = self.draw(st.lists(st.sampled_from(self.values), min_size=1, max_size=4))
        self.block.add_op(ReturnOp(*results))
        func = FuncOp("main", (list(self.block.arg_types), [r.type for r in results]), Region(self.block))
        func.arg_attrs, func.res_attrs = named("x", len(self.block.args)), named("y", len(results))
        func.location = Loc("random.tg", 1, 1).attr()
        module = ModuleOp([func])
        module.location = func.location
        return module


@st.composite
def modules(draw) -> ModuleOp:
    graph = Graph(draw)
    for _ in range(draw(st.integers(4, 24))):
        graph.grow()
    return graph.module()


def check_random(module: ModuleOp, cc: str) -> None:
    (func,) = [op for op in module.ops if isinstance(op, FuncOp)]
    inputs = random_inputs(func, {}, seed=3)
    with np.errstate(all="ignore"):
        expected = run_graph(func, inputs)
        slack = slacks(func, inputs, {}, expected)
    text = str(module)
    spec, library = built(module, cc)
    one, three = (Program(spec, library, None, n).prepare(**inputs).run() for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b, s in zip(one, expected, slack, strict=True):
        try:
            compare("numbers differ", func, a, b, 4 * s)
        except IrkitError as fault:
            raise AssertionError(f"{fault.found}, expected {fault.expected} in\n{text}") from None


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(modules())
def test_random_graphs(module: ModuleOp):
    check_random(module, "gcc")


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(modules(), st.sampled_from(["gcc", "clang"]))
def test_more_random_graphs(module: ModuleOp, cc: str):
    check_random(module, cc)
