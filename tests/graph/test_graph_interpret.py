"""run_graph: index notation against plain loops, counted loops, symbols, groups and launches, arrays that do not fit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import VerifyException

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.graph import Access, stays_inside
from irkit.pipeline import context
from lowering.graph.interpret import read, run_graph

CONTEXT = context()


def module_of(text: str) -> ModuleOp:
    module = Parser(CONTEXT, text).parse_module()
    module.verify()
    return module


def func_of(text: str) -> FuncOp:
    return next(op for op in module_of(text).ops if isinstance(op, FuncOp))


def index_func(axes: str, reads: str, types: str, result: str, body: str, args: str) -> FuncOp:
    """A function of one graph.index op over %a, %b, ..."""
    names = [f"%{c}" for c in "abcd"[: types.count("tensor")]]
    declared = ", ".join(f"{n}: {t}" for n, t in zip(names, types.split("; "), strict=True))
    return func_of(f"""
    func.func @f({declared}) -> {result} {{
      %y = graph.index {axes} reads ({reads}) : ({types.replace(";", ",")}) -> {result} {{
      ^bb0({args}):
        {body}
      }}
      func.return %y : {result}
    }}""")


# -- index notation -----------------------------------------------------------------------------------------------


def test_contraction():
    f = index_func(
        "axes [i: 3, f: 4] reduce sum [j: 5]", "%a[i, j], %b[j, f]", "tensor<3x5xf32>; tensor<5x4xf32>", "tensor<3x4xf32>",
        "%m = arith.mulf %p, %q : f32\n graph.yield %m : f32", "%p: f32, %q: f32, %i: i64, %f: i64, %j: i64",
    )  # fmt: skip
    a, b = (
        np.random.default_rng(0).random((3, 5), np.float32),
        np.random.default_rng(1).random((5, 4), np.float32),
    )
    np.testing.assert_allclose(run_graph(f, [a, b])[0], a @ b, rtol=1e-6)


@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", ["f32", "f16", "si8", "ui8"])
def test_combiners(kind: str, dtype: str):
    body = "i8" if dtype.endswith("i8") else dtype
    f = index_func(
        f"axes [] reduce {kind} [j: 5]", "%a[j]", f"tensor<5x{dtype}>", f"tensor<{dtype}>",
        f"graph.yield %p : {body}", f"%p: {body}, %j: i64",
    )  # fmt: skip
    x = np.array([3, 200, 2, 100, 1]).astype(
        {"si8": np.int8, "ui8": np.uint8, "f16": np.float16}.get(dtype, np.float32)
    )
    wide = x.astype(np.float32) if dtype == "f16" else x
    expected = getattr(np, kind)(wide, **({"dtype": wide.dtype} if kind in ("sum", "prod") else {}))
    with np.errstate(over="ignore"):
        assert run_graph(f, [x])[0] == np.asarray(expected).astype(x.dtype)


def test_the_index_of_an_axis_is_a_value():
    f = index_func(
        "axes [i: 3, j: 4]", "%a[]", "tensor<si64>", "tensor<3x4xsi64>",
        "%t = arith.muli %i, %p : i64\n %u = arith.addi %t, %j : i64\n graph.yield %u : i64", "%p: i64, %i: i64, %j: i64",
    )  # fmt: skip
    found = run_graph(f, [np.array(10, np.int64)])[0]
    assert found.tolist() == [[10 * i + j for j in range(4)] for i in range(3)]


def test_an_index_that_was_read_is_clamped():
    f = index_func(
        "axes [i: 4, j: 2]", "%a[i], %b[_0, j]", "tensor<4xsi32>; tensor<3x2xf32>", "tensor<4x2xf32>",
        "graph.yield %v : f32", "%k: i32, %v: f32, %i: i64, %j: i64",
    )  # fmt: skip
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = run_graph(f, [np.int32([2, 0, -4, 9]), table])[0]
    np.testing.assert_array_equal(found, table[[2, 0, 0, 2]])


BOUNDARIES = {
    "clamp": lambda i, n: min(max(i, 0), n - 1),
    "wrap": lambda i, n: i % n,
    "reflect": lambda i, n: -i if i < 0 else 2 * (n - 1) - i if i >= n else i,
}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*BOUNDARIES, "zero", "value"]), st.integers(2, 5), st.integers(1, 5), st.data())
def test_boundaries_are_what_they_say(boundary: str, n: int, m: int, data: st.DataObject):
    shifts = [data.draw(st.integers(1 - s, s - 1)) for s in (n, m)]
    x = np.arange(1, n * m + 1, dtype=np.float32).reshape(n, m)
    access = Access(
        0, (Dim.of("i") + shifts[0], Dim.of("j") + shifts[1]), boundary, 0.5 if boundary == "value" else 0.0
    )
    found = read(x, access, {"i": np.arange(n)[:, None], "j": np.arange(m)})
    for i, j in product(range(n), range(m)):
        place = (i + shifts[0], j + shifts[1])
        if boundary in BOUNDARIES:
            expected = x[tuple(BOUNDARIES[boundary](p, s) for p, s in zip(place, (n, m), strict=True))]
        else:
            inside = all(0 <= p < s for p, s in zip(place, (n, m), strict=True))
            expected = x[place] if inside else access.value
        assert found[i, j] == expected


dims = st.recursive(
    st.one_of(st.integers(-6, 6).map(Dim.of), st.sampled_from(["i", "j", "N"]).map(Dim.of)),
    lambda d: st.one_of(
        st.tuples(d, d).map(lambda p: p[0] + p[1]),
        st.tuples(st.integers(-3, 3), d).map(lambda p: p[0] * p[1]),
        st.tuples(d, st.integers(1, 4)).map(lambda p: p[0] // p[1]),
        st.tuples(d, st.integers(1, 4)).map(lambda p: p[0] % p[1]),
    ),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(dims, dims)
def test_what_is_said_to_stay_inside_does(index: Dim, size: Dim):
    axes = (("i", Dim.of("N")), ("j", Dim.of(3)))
    size = size.subst({"i": 2, "j": 1})
    if not stays_inside(index, size, axes, {"N": (2, 5)}):
        return
    for n in range(2, 6):
        for i, j in product(range(n), range(3)):
            assert 0 <= index.evaluate({"N": n, "i": i, "j": j}) < size.evaluate({"N": n})


@pytest.mark.parametrize(
    ("index", "extent", "size", "inside"),
    [
        ("i", "N", "N", True), ("i + 1", "N - 1", "N", True), ("N - 1 - i", "N", "N", True), ("2*i + 1", "N", "2*N", True),
        ("i floordiv 2", "8", "4", True), ("i floordiv N", "N", "1", False), ("min(i, 3)", "N", "4", True),
        ("i mod 4", "N", "4", True), ("i mod 4", "N", "3", False), ("i + 1", "N", "N", False), ("i", "N + 1", "N", False),
        ("i - 1", "N", "N", False),
    ],
)  # fmt: skip
def test_symbolic_ranges_are_proved(index: str, extent: str, size: str, inside: bool):
    axes = (("i", Dim.parse(extent)),)
    assert stays_inside(Dim.parse(index), Dim.parse(size), axes, {"N": (1, 64)}) == inside


FAULTS = [
    ("axes [i: 8]", "%a[i + 1]", "index i \\+ 1 may leave a dim of size 8"),
    ("axes [i: 8]", "%a[i - 20] reflect", "may be reflected twice"),
    ("axes [i: 8]", "%a[k]", "names k"),
    ("axes [i: 8]", "%a[i, i]", "has 2 indices"),
    ("axes [i: 8] reduce sum [i: 4]", "%a[i]", "not distinct"),
    ("axes [i: 8] reduce mean [j: 4]", "%a[i]", "combiner"),
    ("axes [i: 8]", "%a[i], %a[_3] clamp", "does not come before it"),
]


@pytest.mark.parametrize(("axes", "reads", "message"), FAULTS, ids=[f[2] for f in FAULTS])
def test_faults_of_index_notation(axes: str, reads: str, message: str):
    args = ", ".join(
        [*(f"%p{i}: f32" for i in range(reads.count("%"))), *(f"%i{i}: i64" for i in range(axes.count(":")))]
    )
    with pytest.raises((VerifyException, IrkitError), match=message):
        index_func(axes, reads, "tensor<8xf32>", "tensor<8xf32>", "graph.yield %p0 : f32", args)


def test_large_index_ops_run_in_chunks():
    f = index_func(
        "axes [i: 300] reduce sum [j: 200, k: 150]", "%a[i, j], %b[j, k]", "tensor<300x200xf32>; tensor<200x150xf32>",
        "tensor<300xf32>", "%m = arith.mulf %p, %q : f32\n graph.yield %m : f32",
        "%p: f32, %q: f32, %i: i64, %j: i64, %k: i64",
    )  # fmt: skip
    rng = np.random.default_rng(0)
    a, b = rng.random((300, 200), np.float32), rng.random((200, 150), np.float32)
    np.testing.assert_allclose(run_graph(f, [a, b])[0], (a @ b).sum(axis=1), rtol=1e-5)


# -- loops --------------------------------------------------------------------------------------------------------

HEAT = """
func.func @heat(%u: tensor<6x6xf32> {graph.name = "u"}, %n: tensor<si32> {graph.name = "steps"}) -> tensor<6x6xf32> {
  %r = graph.for 0 to %n : tensor<si32> (%u) : (tensor<6x6xf32>) {
  ^bb0(%t: tensor<si64>, %v: tensor<6x6xf32>):
    %l = graph.index axes [i: 6, j: 6] reads (%v[i - 1, j] clamp, %v[i + 1, j] clamp, %v[i, j]) : (tensor<6x6xf32>) -> tensor<6x6xf32> {
    ^bb0(%a: f32, %b: f32, %c: f32, %i: i64, %j: i64):
      %s = arith.addf %a, %b : f32
      %d = arith.subf %s, %c : f32
      %e = arith.subf %d, %c : f32
      graph.yield %e : f32
    }
    %k = graph.constant dense<0.1> : tensor<f32>
    %m = graph.mul %l, %k : (tensor<6x6xf32>, tensor<f32>) -> tensor<6x6xf32>
    %w = graph.add %v, %m : (tensor<6x6xf32>, tensor<6x6xf32>) -> tensor<6x6xf32>
    graph.yield %w : tensor<6x6xf32>
  }
  func.return %r : tensor<6x6xf32>
}
"""


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_a_loop_carries_its_values(steps: int):
    u = np.random.default_rng(0).random((6, 6), np.float32)
    (found,) = run_graph(func_of(HEAT), {"u": u, "steps": np.array(steps, np.int32)})
    for _ in range(steps):
        up, down = np.vstack([u[:1], u[:-1]]), np.vstack([u[1:], u[-1:]])
        u = u + np.float32(0.1) * (up + down - u - u)
    np.testing.assert_array_equal(found, u)


def test_bounds_may_be_dims_and_the_index_is_a_value():
    f = func_of("""
    func.func @f(%x: tensor<?xsi64, #graph.t<dims=[N]>>) -> tensor<si64> attributes {graph.symbols = #dim.symbols<[N: 1 to 9]>} {
      %z = graph.constant dense<0> : tensor<si64>
      %r = graph.for 1 to 2*N (%z) : (tensor<si64>) {
      ^bb0(%t: tensor<si64>, %s: tensor<si64>):
        %n = graph.add %s, %t : (tensor<si64>, tensor<si64>) -> tensor<si64>
        graph.yield %n : tensor<si64>
      }
      func.return %r : tensor<si64>
    }""")
    assert run_graph(f, [np.zeros(4, np.int64)])[0] == sum(range(1, 8))


# -- functions ----------------------------------------------------------------------------------------------------

SYMBOLIC = """
func.func @f(%x: tensor<?x?xf32, #graph.t<dims=[B, 2 * N]>>, %y: tensor<?xf32, #graph.t<dims=[N]>>)
    -> tensor<?xf32, #graph.t<dims=[B * N * 2]>> attributes {graph.symbols = #dim.symbols<[B: 1 to 8, N: 1 to 8]>} {
  %0 = graph.reshape %x {shape = #dim.list<[B * N * 2]>}
    : (tensor<?x?xf32, #graph.t<dims=[B, 2 * N]>>) -> tensor<?xf32, #graph.t<dims=[B * N * 2]>>
  func.return %0 : tensor<?xf32, #graph.t<dims=[B * N * 2]>>
}
"""


def test_symbols_take_their_values_from_the_shapes():
    x, y = np.ones((3, 8), np.float32), np.ones(4, np.float32)
    assert run_graph(func_of(SYMBOLIC), [x, y], {"N": 4})[0].shape == (24,)


def test_arrays_that_do_not_fit():
    f = func_of(SYMBOLIC)
    x, y = np.ones((3, 8), np.float32), np.ones(4, np.float32)
    for arrays, dims_, message in (
        ([x], {}, "wrong number of arrays"),
        ([x.astype(np.float64), y], {}, "the array for 'x' does not fit"),
        ([x, y[:, None]], {}, "the array for 'y' does not fit"),
        ([x, y], {"N": 3}, "the array for 'x' does not fit"),
        ({"x": x, "z": y}, {}, "no argument 'z'"),
        ({"x": x}, {"N": 4}, "no array for 'y'"),
    ):
        with pytest.raises(IrkitError, match=message):
            run_graph(f, arrays, dims_)


def test_groups_and_launches_run_too():
    module = module_of("""
    kernel.def @add (in %a: tensor<3xf32>, in %b: tensor<3xf32>) {
      %c = graph.add %a, %b : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      kernel.yield %c : tensor<3xf32>
    }
    func.func @f(%x: tensor<3xf32>) -> tensor<3xf32> {
      %0 = kernel.group "neg" -> tensor<3xf32> {
        %n = graph.neg %x : (tensor<3xf32>) -> tensor<3xf32>
        kernel.yield %n : tensor<3xf32>
      }
      %1 = kernel.launch @add(%0, %0) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      func.return %1 : tensor<3xf32>
    }""")
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    assert run_graph(func, [np.float32([1, 2, 3])])[0].tolist() == [-2, -4, -6]


def test_a_loop_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch):
    from irkit.lang import parse as parse_tg, to_graph
    from lowering.graph import interpret

    monkeypatch.setattr(interpret, "MAX_ROUNDS", 50)
    text = "fn f(x: f32) -> f32 {\n  while x == x with x {\n    x = x + 1\n  }\n  return x\n}\n"
    (func,) = to_graph(parse_tg(text, "t.tg")).ops
    with pytest.raises(IrkitError, match="goes on after 50 rounds"):
        interpret.run_graph(func, [np.float32(0)])  # pyright: ignore
