"""graph-simplify, graph-cse and graph-dce keep every bit, are linear, and keep locations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import FusedLoc, ModuleOp, UnknownLoc
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ZERO, Dim
from dialects.errors import Loc, op_loc
from dialects.graph import ForOp, GraphOp, YieldOp, make
from dialects.types import tensor
from irkit.lang import parse, to_graph
from lowering.graph.cse import GraphCse
from lowering.graph.dce import GraphDce
from lowering.graph.fuse import GraphFuse
from lowering.graph.hoist import GraphHoist
from lowering.graph.interpret import run_graph
from lowering.graph.products.merge import GraphMergeProducts
from lowering.graph.prune import GraphPrune
from lowering.graph.simplify import GraphSimplify
from lowering.graph.sink import GraphSink
from lowering.verify import verify_module
from tests.growth import growth
from tools.bench.programs import chain

PASSES = (GraphSimplify, GraphCse, GraphDce)


class Maker:
    """Appends located ops to a function's block."""

    def __init__(self, *types: object):
        self.block = Block(arg_types=types)  # pyright: ignore
        self.line = 0

    def __call__(self, name: str, *operands: SSAValue, **values: object) -> SSAValue:
        self.line += 1
        op = make(name, list(operands), values, Loc("m.tg", self.line, 3))
        self.block.add_op(op)
        return op.results[0]

    def constant(self, value: object, dtype: str = "f32") -> SSAValue:
        return self("cast", self("constant", value=np.asarray(value)), dtype=dtype)

    def function(self, *results: SSAValue) -> FuncOp:
        last = ReturnOp(*results)
        self.block.add_op(last)
        func = FuncOp("f", ([a.type for a in self.block.args], [r.type for r in results]), Region(self.block))
        func.location = last.location = Loc("m.tg", 1, 1).attr()
        ModuleOp([func]).location = func.location
        return func


def apply(func: FuncOp, *passes: type[ModulePass]) -> list[GraphOp]:
    """The graph ops that are left."""
    module = func.parent_op()
    assert isinstance(module, ModuleOp)
    for step in passes:
        step().apply(Context(), module)
        verify_module(module)
        assert all(not isinstance(op.location, UnknownLoc) for op in module.walk())
    return [op for op in func.walk() if isinstance(op, GraphOp)]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal shapes, dtypes and bits, where all NaN are one."""
    if a.dtype.kind == "f":
        a, b = (np.where(np.isnan(x), x.dtype.type(np.nan), x) for x in (a, b))
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


FAST = """fn main(x: f32[9], y: f32[9], z: f32[9]) -> (f32[9], f32[9], f32[9], f32[9], f32[9], f32[9], f32[9]) {
  return ((2 - x) + 3) - y / 3, 5 - (x - 2) + (1 + (y - 4)), 2 * (x * 3) / 7, x * y - z * x, exp(x) / exp(y) * exp(z),
    x ** 2.0 + x ** 3.0 + x ** 0.5 + x ** (-0.5) + x ** (-1.0) + x ** 0.0, 1 / sqrt(y) + log(exp(z)) * sqrt(x * x) + (x - x)
}"""


def test_fast_math_gives_ordinary_numbers_but_for_rounding():
    func = next(iter(to_graph(parse(FAST, "m.tg"), None, {}).ops))
    assert isinstance(func, FuncOp)
    rng = np.random.default_rng(0)
    inputs = {n: rng.uniform(0.5, 2, 9).astype(np.float32) for n in "xyz"}
    before = run_graph(func, inputs, {})
    module = func.parent_op()
    assert isinstance(module, ModuleOp)
    step = GraphSimplify(fast_math=True)
    step.apply(Context(), module)
    verify_module(module)
    assert len(step.stats) >= 9
    for a, b in zip(before, run_graph(func, inputs, {}), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_division_by_powers_of_two_keeps_every_bit(dtype: str):
    """Also of the least numbers, and of those that fall below them."""
    tiny = np.finfo(dtype).tiny
    x = np.array([1 / 3, -0.0, np.inf, np.nan, 3 * tiny, tiny / 4, -7 * tiny / 8, np.finfo(dtype).max], dtype)
    for divisor in (4.0, -0.25, 2.0**10, 2.0**-10):
        m = Maker(tensor({"float16": "f16", "float32": "f32", "float64": "f64"}[dtype], [8]))
        name = dtype.replace("float", "f")
        func = m.function(m("div", m.block.args[0], m.constant(divisor, name)))
        before = run_graph(func, [x], {})
        assert [op.name for op in apply(func, GraphSimplify)] == ["graph.constant", "graph.mul"]
        assert same_bits(run_graph(func, [x], {})[0], before[0])


# -- random graphs ------------------------------------------------------------------------------------------------

X = np.array([[0.0, -0.0, np.nan], [np.inf, -1.5, 2.0]], np.float32)
N = np.array([[0, -1, 127], [-128, 5, 3]], np.int8)
UNARY = ["neg", "abs", "relu", "floor", "ceil"]
BINARY = ["add", "sub", "mul", "div", "min", "max", "pow"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_graphs_keep_every_bit(data: st.DataObject):
    dtype = data.draw(st.sampled_from(["f32", "i8"]))
    maker = Maker(tensor(dtype, (2, 3)), tensor("bool", (2, 3)))
    values = [maker.block.args[0]]
    for _ in range(data.draw(st.integers(1, 12))):
        values.append(draw_op(data, maker, values, dtype))
    func = maker.function(*data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=3)))
    arrays = [X if dtype == "f32" else N, np.array([[True, False, True], [False, True, False]])]
    before = run_graph(func, arrays)
    for step in PASSES:
        apply(func, step)
        after = run_graph(func, arrays)
        assert all(map(same_bits, before, after)), f"{step.name} changed the numbers"


def draw_op(data: st.DataObject, maker: Maker, values: list[SSAValue], dtype: str) -> SSAValue:
    """One more op on values of shape [2, 3], with many chances for rules to apply."""
    x, y = data.draw(st.sampled_from(values)), data.draw(st.sampled_from(values))
    kind = data.draw(st.integers(0, 9))
    unary = UNARY if dtype == "f32" else UNARY[:3]
    match kind:
        case 0 | 1:
            return maker(data.draw(st.sampled_from(unary)), x)
        case 2 | 3:
            return maker(data.draw(st.sampled_from(BINARY)), x, y)
        case 4 | 5:
            number = maker.constant(data.draw(st.sampled_from([0.0, -0.0, 1.0, 2.0])), dtype)
            pair = (x, number) if data.draw(st.booleans()) else (number, x)
            return maker(data.draw(st.sampled_from(BINARY)), *pair)
        case 6:
            return maker("transpose", maker("transpose", x, perm=[1, 0]), perm=[1, 0])
        case 7:
            return maker("reshape", maker("reshape", x, shape=[3, -1]), shape=[2, 3])
        case 8:
            wide = maker("cast", x, dtype=data.draw(st.sampled_from(["f64", "f32", "i16", "i8", "bool"])))
            return maker("cast", wide, dtype=dtype)
        case _:
            return maker("where", maker.block.args[1], x, maker("broadcast", y, shape=[2, 3]))


# -- single rules -------------------------------------------------------------------------------------------------


def left(build: object, *passes: type[ModulePass], dtype: str = "f32") -> list[str]:
    """The names of the ops that remain of `build(maker, x, y)`."""
    maker = Maker(tensor(dtype, (2, 3)), tensor(dtype, (2, 3)))
    func = maker.function(build(maker, *maker.block.args))  # pyright: ignore
    return [op.name.removeprefix("graph.") for op in apply(func, *passes)]


@pytest.mark.parametrize("dtype", ["f32", "i32"])
def test_neutral_elements(dtype: str):
    for name, number in (("add", -0.0), ("sub", 0), ("mul", 1), ("div", 1), ("pow", 1)):
        assert left(lambda m, x, y: m(name, x, m.constant(number, dtype)), GraphSimplify, dtype=dtype) == []  # noqa: B023


def test_adding_positive_zero_is_kept_for_floats():
    assert "add" in left(lambda m, x, y: m("add", x, m.constant(0.0)), GraphSimplify)
    assert left(lambda m, x, y: m("add", x, m.constant(0, "i32")), GraphSimplify, dtype="i32") == []


def test_a_neutral_element_that_broadcasts_leaves_a_broadcast():
    one = np.ones((4, 1, 1), np.float32)
    assert left(lambda m, x, y: m("mul", x, m("constant", value=one)), GraphSimplify) == ["broadcast"]


def test_pairs_go():
    assert left(lambda m, x, y: m("neg", m("neg", x)), GraphSimplify) == []
    assert left(lambda m, x, y: m("relu", m("relu", x)), GraphSimplify) == ["relu"]
    assert left(lambda m, x, y: m("floor", m("ceil", x)), GraphSimplify) == ["ceil"]
    assert left(lambda m, x, y: m("sub", x, m("neg", y)), GraphSimplify) == ["add"]
    assert left(lambda m, x, y: m("transpose", m("transpose", x)), GraphSimplify) == []
    assert left(lambda m, x, y: m("reshape", m("reshape", x, shape=[6]), shape=[3, 2]), GraphSimplify) == [
        "reshape"
    ]
    wide = [4, 2, 3]
    assert left(
        lambda m, x, y: m("add", m("broadcast", x, shape=wide), m("broadcast", y, shape=wide)), GraphSimplify
    )


def test_casts():
    def through(*dtypes: str):
        def build(m: Maker, x: SSAValue, y: SSAValue) -> SSAValue:
            for dtype in dtypes:
                x = m("cast", x, dtype=dtype)
            return x

        return left(build, GraphSimplify)

    assert through("f32") == []
    assert through("f64", "f32") == []
    assert through("f64", "i32") == ["cast"]
    assert through("f16", "f32") == ["cast", "cast"]
    assert through("i32", "f32") == ["cast", "cast"]


def test_constants_are_computed_up_to_a_size():
    small, large = np.ones((8, 8), np.float32), np.ones((64, 64), np.float32)
    assert left(lambda m, x, y: m("exp", m("constant", value=small)), GraphSimplify) == ["constant"]
    assert left(lambda m, x, y: m("exp", m("constant", value=large)), GraphSimplify) == ["constant", "exp"]


def test_reductions_over_ones_are_reshapes():
    def build(m: Maker, x: SSAValue, y: SSAValue) -> SSAValue:
        return m("reduce_mean", m("reshape", x, shape=[1, 6]), axes=[0])

    assert left(build, GraphSimplify) == ["reshape"]


def test_equal_ops_are_computed_once_with_both_locations():
    maker = Maker(tensor("f32", (2, 3)), tensor("f32", (2, 3)))
    x, y = maker.block.args
    func = maker.function(maker("mul", maker("add", x, y), maker("add", y, x)))
    first, _ = apply(func, GraphCse)
    assert isinstance(first.location, FusedLoc) and op_loc(first) == Loc("m.tg", 1, 3)


@pytest.mark.parametrize(
    "pair",
    [
        lambda m, x, y: (m("sub", x, y), m("sub", y, x)),
        lambda m, x, y: (m("softmax", x, axis=0), m("softmax", x, axis=1)),
        lambda m, x, y: (m("constant", value=np.float32(0.0)), m("constant", value=np.float32(-0.0))),
        lambda m, x, y: (m("constant", value=np.float32(1)), m("constant", value=np.float64(1))),
    ],
)
def test_ops_that_differ_stay(pair: object):
    maker = Maker(tensor("f32", (2, 3)), tensor("f32", (2, 3)))
    func = maker.function(*pair(maker, *maker.block.args))  # pyright: ignore
    assert len(apply(func, GraphCse)) == 2


# -- loops --------------------------------------------------------------------------------------------------------


def loop_function(build: object, count: int) -> FuncOp:
    """A function that carries its two arguments through a loop; `build(maker, a, b)` gives what is carried on."""
    maker = Maker(tensor("f32", (3,)), tensor("f32", (3,)))
    a, b = maker.block.args
    inner = Maker(tensor("i64", []), a.type, b.type)
    inner.block.add_op(YieldOp(build(inner, *inner.block.args[1:])))  # pyright: ignore
    loop = ForOp(ZERO, Dim.of(count), [a, b], Region(inner.block))
    maker.block.add_op(loop)
    func = maker.function(loop.results[0])
    for op in func.walk():
        if isinstance(op.location, UnknownLoc):
            op.location = func.location
    return func


def check_loop(build: object, count: int, passes: tuple[type[ModulePass], ...] = PASSES) -> ForOp | None:
    func = loop_function(build, count)
    arrays = [np.float32([1, 2, 3]), np.float32([0.5, 0.25, 2])]
    before = run_graph(func, arrays)
    apply(func, *passes)
    assert same_bits(before[0], run_graph(func, arrays)[0])
    return next((op for op in func.walk() if isinstance(op, ForOp)), None)


def test_a_value_that_only_carries_itself_is_dropped():
    loop = check_loop(lambda m, a, b: [m("add", a, a), m("mul", b, b)], 3)
    assert loop is not None and len(loop.results) == 1
    assert [op.name for op in loop.block.ops] == ["graph.add", "graph.yield"]


def test_a_value_that_another_one_needs_is_kept():
    loop = check_loop(lambda m, a, b: [m("add", a, b), m("mul", b, b)], 3)
    assert loop is not None and len(loop.results) == 2


def test_a_value_that_does_not_change_is_taken_from_outside():
    loop = check_loop(lambda m, a, b: [m("add", a, b), b], 3)
    assert loop is not None and len(loop.results) == 1 and len(loop.inits) == 1


def test_a_loop_that_never_runs_goes():
    assert check_loop(lambda m, a, b: [m("add", a, b), b], 0) is None


def test_equal_ops_in_a_loop_and_around_it():
    maker = Maker(tensor("f32", (3,)))
    (x,) = maker.block.args
    outside = maker("exp", x)
    inner = Maker(tensor("i64", []), x.type)
    inner.block.add_op(YieldOp(inner("add", inner.block.args[1], inner("exp", x))))
    loop = ForOp(ZERO, Dim.of(4), [outside], Region(inner.block))
    maker.block.add_op(loop)
    func = maker.function(loop.results[0])
    for op in func.walk():
        op.location = func.location
    assert [op.name for op in apply(func, GraphCse)] == ["graph.exp", "graph.add"]


# -- size ---------------------------------------------------------------------------------------------------------


def blocks(count: int) -> FuncOp:
    """Repeated blocks of 12 ops with something for each pass to do."""
    maker = Maker(tensor("f32", (8, 16)), tensor("f32", (16, 16)), tensor("f32", (16,)))
    x, w, b = maker.block.args
    for _ in range(count):
        h = maker("gelu", maker("add", maker("matmul", x, w), b))
        h = maker("mul", h, maker("constant", value=np.float32(1)))
        h = maker("add", h, maker("add", maker("matmul", x, w), b))
        h = maker("transpose", maker("transpose", h, perm=[1, 0]), perm=[1, 0])
        maker("exp", x)
        x = maker("softmax", h, axis=-1)
    return maker.function(x)


@pytest.mark.parametrize("step", (*PASSES, GraphPrune, GraphHoist, GraphSink, GraphMergeProducts))
def test_passes_are_linear(step: type[ModulePass]):
    def work(count: int):
        module = blocks(count).parent_op()
        assert isinstance(module, ModuleOp)
        for before in PASSES[: PASSES.index(step)] if step in PASSES else PASSES:
            before().apply(Context(), module)
        return lambda: step().apply(Context(), module)

    assert growth(work, 25, 100) < 1.2


def test_fusing_a_long_chain_is_linear():
    """All its ops share a constant, which stands for all their places in the source."""

    def work(count: int) -> Callable[[], object]:
        module = to_graph(parse(chain(count), "m.tg"), None, {})
        for step in (GraphSimplify, GraphCse, GraphDce):
            step().apply(Context(), module)
        return lambda: GraphFuse().apply(Context(), module)

    assert growth(work, 300, 1200) < 1.2


def test_passes_leave_what_is_needed_of_3000_ops():
    func = blocks(250)
    module = func.parent_op()
    assert isinstance(module, ModuleOp)
    for step in PASSES:
        step().apply(Context(), module)
    assert sum(isinstance(op, GraphOp) for op in func.walk()) == 250 * 5


def test_long_chains_meet_no_recursion_limit():
    maker = Maker(tensor("f32", (2,)))
    x = maker.block.args[0]
    for i in range(20_000):
        x = maker("neg" if i % 2 else "tanh", x)
    func = maker.function(x)
    assert len(apply(func, *PASSES)) == 20_000
    assert run_graph(func, [np.float32([0.5, -2])])[0].shape == (2,)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("(h + 1.5) * y * 2.5 - 0.5", lambda: GraphSimplify(fast_math=True)),
        ("h * x + h * y", lambda: GraphSimplify(fast_math=True)),
        ("exp(h) * exp(x)", lambda: GraphSimplify(fast_math=True)),
        ("tanh(transpose(h)) + h", GraphSink),
        ("reshape(tanh(reshape(h, [64])), [8, 8])", GraphSink),
        ("tanh(tanh(transpose(h @ y)))", GraphSink),
    ],
)
def test_work_on_long_chains_is_linear(line: str, step: Callable[[], ModulePass]):
    def work(count: int):
        lines = "".join(f"  h = {line}\n" for _ in range(count))
        text = f"fn f(h: f32[8, 8], x: f32[8, 8], y: f32[8, 8]) -> f32[8, 8] {{\n{lines}  return transpose(h)\n}}"
        module = to_graph(parse(text, "test.tg"))
        return lambda: step().apply(Context(), module)

    assert growth(work, 40, 160) < 1.2
