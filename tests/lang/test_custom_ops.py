"""Ops that a file declares: what they take, what they mean, how they look in the graph, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy_graph import run
from xdsl.dialects.func import FuncOp

from dialects import graph
from dialects.errors import ErrorList, IrkitError
from irkit import pipeline
from irkit.commands.show import graph_ops
from irkit.lang import parse, to_graph
from irkit.page.drawing import drawing
from irkit.page.facts import Mark
from irkit.page.marks import parts
from lowering.graph.interpret import run_graph

SWISH = "op swish(x, beta=1.0) { return x * sigmoid(beta * x) }\n"
ROTATE = """op rotate(x: T[..., N], angle: T) -> T[..., N] {
  pairs = reshape(x, [..., N/2, 2])
  turned = cos(angle) * pairs + sin(angle) * flip(pairs, [-1]) * constant([-1, 1], T)
  return reshape(turned, [..., N])
}
"""
X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def swish(x: np.ndarray, beta: float = 1.0) -> np.ndarray:
    return x / (1 + np.exp(-beta * x))


def customs(text: str) -> list[graph.CustomOp]:
    return [op for op in to_graph(parse(text, "t")).walk() if isinstance(op, graph.CustomOp)]


def test_operands_and_settings_come_by_place_or_by_name() -> None:
    text = f"""{SWISH}fn f(x: f32[3, 4]) -> (f32[3, 4], f32[3, 4], f32[3, 4], f32[3, 4]) {{
      return swish(x), swish(x, 1.5), swish(x, beta=1.5), swish(beta=1.5, x=x)
    }}"""
    first, *rest = run(text, X)
    assert_allclose(first, swish(X), rtol=1e-5)
    for found in rest:
        assert_allclose(found, swish(X, 1.5), rtol=1e-5)


def test_one_op_takes_every_dtype_and_rank() -> None:
    text = f"""{SWISH}op twice(x) {{ return x + x }}
    fn f(x: f32[3, 4], h: f64[2], n: i8[2, 1, 2], s: f32) -> (f32[3, 4], f64[2], i8[2, 1, 2], f32) {{
      return swish(x), swish(h), twice(n), twice(s)
    }}"""
    h, n = np.array([1.0, -2.0]), np.arange(4, dtype=np.int8).reshape(2, 1, 2)
    a, b, c, d = run(text, X, h, n, np.float32(3))
    assert_allclose(a, swish(X), rtol=1e-5)
    assert_allclose(b, swish(h))
    assert_array_equal(c, n + n)
    assert d == 6


def test_a_head_binds_dtypes_leading_dims_and_dims() -> None:
    text = f"""dim N = 99 // an op's dims are its own
    {ROTATE}fn f(x: f32[3, 4], y: f64[2, 1, 2], a: f32) -> (f32[3, 4], f64[2, 1, 2]) {{
      return rotate(x, a), rotate(y, 0.5)
    }}"""
    y = np.arange(4.0).reshape(2, 1, 2)

    def turned(x: np.ndarray, angle: float) -> np.ndarray:
        a, b = x[..., ::2], x[..., 1::2]
        c, s = np.cos(angle), np.sin(angle)
        return np.stack([c * a - s * b, c * b + s * a], -1).reshape(x.shape)

    first, second = run(text, X, y, np.float32(0.3))
    assert_allclose(first, turned(X, np.float32(0.3)), rtol=1e-5)
    assert_allclose(second, turned(y, 0.5))


def test_settings_of_every_kind() -> None:
    text = """op f(x, scale=2, flip_it=false, mode="plain", axes=[0], to=f32, half=3 / 2) {
      y = x * scale + half
      if (mode == "sum") & (to != f16) with y { y = y - sum(y, axis=axes, keepdims=true) }
      if flip_it with y { y = -y }
      return cast(y, to)
    }
    fn main(x: f32[3, 4]) -> (f32[3, 4], f64[3, 4], f32[3, 4]) {
      return f(x), f(x, 3, mode="sum", to=f64, axes=[0, 1]), f(x, flip_it=true)
    }"""
    first, second, third = run(text, X)
    assert_allclose(first, 2 * X + 1.5, rtol=1e-6)
    assert_allclose(second, 3 * X + 1.5 - np.sum(3 * X + 1.5), rtol=1e-5)
    assert_allclose(third, -first)
    _, op, _ = customs(text)
    shown = [str(op.settings.data[k]) for k in ("scale", "flip_it", "mode", "axes", "to")]
    assert shown == ["3 : i64", "false", '"sum"', "#dim.list<[0, 1]>", '"f64"']


def test_several_results_loops_choices_and_ops_inside_ops() -> None:
    text = f"""{SWISH}op steps(x, limit: T, rounds=3) -> (last: f32[3, 4], T[rounds]) {{
      k = x
      for t in 0..rounds with k collect total {{
        k = swish(k)
        total = sum(k)
      }}
      if limit > 0 with k {{ k = minimum(k, limit) }}
      return k, total
    }}
    fn f(x: f32[3, 4], l: f32) -> (f32[3, 4], f32[3]) {{
      k, totals = steps(x, l)
      return k, totals
    }}"""
    k, totals = X, []
    for _ in range(3):
        k = swish(k)
        totals.append(k.sum())
    found, sums = run(text, X, np.float32(0.1))
    assert_allclose(found, np.minimum(k, 0.1), rtol=1e-5)
    assert_allclose(sums, totals, rtol=1e-4)


def test_an_op_in_index_notation_is_its_formula() -> None:
    text = f"""{SWISH}op scaled(x: T[...], by: T, mode="up") -> T[...] {{
      k = cast(2, T)
      if mode == "down" with k {{ k = 1 / k }}
      return swish(x) * by * k
    }}
    fn f(x: f32[3, 4], s: f32[4]) -> (f32[3], f32[3, 4]) {{
      r[i] = sum(j) scaled(x[i, j], s[j], mode="down")
      q[i, j] = 2 * scaled(by=3, x=x[i, j])
      return r, q
    }}"""
    s = np.arange(4, dtype=np.float32)
    r, q = run(text, X, s)
    assert_allclose(r, np.sum(swish(X) * s / 2, axis=1), rtol=1e-5)
    assert_allclose(q, swish(X) * 12, rtol=1e-5)
    assert not customs(text)


def test_symbolic_dims_go_through() -> None:
    text = f"dim B = 3 in 1..9\n{ROTATE}fn f(x: f32[B, 4]) -> f32[B, 4] {{ return rotate(x, 0.5) }}"
    module = to_graph(parse(text, "t"))
    module.verify()
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    (found,) = run_graph(func, [X])
    (fixed,) = run(text, X, B=3)
    assert_array_equal(found, fixed)


def test_the_op_is_whole_until_it_is_decomposed() -> None:
    text = f"""{SWISH}fn f(x: f32[3, 4]) -> f32[3, 4] {{
      y = swish(x, beta=2)
      z = swish(y, beta=3), schedule="vector j 4"
      return z + swish(x, beta=2)
    }}"""
    module = to_graph(parse(text, "t.tg"))
    assert graph_ops(module) == {"swish": 3, "add": 1}
    pipeline.run_passes(module, pipeline.passes_to("graph", "graph"))
    assert graph_ops(module) == {"swish": 2, "add": 1}, "equal calls are one"
    first, second = (op for op in module.walk() if isinstance(op, graph.CustomOp))
    assert first.results[0].name_hint == "y" and "graph.schedule" in second.attributes
    titles = [node.title for node in drawing(module, lambda _: Mark()).nodes]
    assert titles == ["x", "swish", "swish", "add", "out"]
    pipeline.run_passes(module, [pipeline.make_pass("graph-decompose")])
    assert "swish" not in graph_ops(module)
    places = [
        [(p.line.data, p.column.data) for p in parts(op.location)]
        for op in module.walk()
        if op.name == "graph.sigmoid"
    ]
    assert places == [[(3, 11), (5, 18), (1, 36)], [(4, 11), (1, 36)]], "of the calls, then of the formula"
    assert next(op for op in module.walk() if "graph.schedule" in op.attributes).name == "graph.mul"


def test_the_names_of_a_file_are_unknown_to_its_ops() -> None:
    """An imported op works whatever the importing file declares."""
    text = """dim n = 2
    param y: f32[4] = ones()
    op mean_of(x: f32[n, m]) {
      y = sum(x)
      for i in 0..n with y { y = y / n }
      z[y] = x[0, y]
      return y, z
    }
    fn f(x: f32[3, 4]) -> (f32, f32[4]) { return mean_of(x * y) }"""
    total, row = run(text, X, np.ones(4, np.float32))
    assert_allclose(total, X.sum() / 27, rtol=1e-5)
    assert_array_equal(row, X[0])


# -- errors -------------------------------------------------------------------------------------------------------


def errors(text: str) -> list[IrkitError]:
    with pytest.raises(ErrorList) as caught:
        to_graph(parse(text, "t"))
    return caught.value.errors


HEADS = [
    ("op relu(x) { return x }", "'relu' has a meaning already"),
    ("op sum(x) { return x }", "'sum' has a meaning already"),
    ("dim q = 2\nop q(x) { return x }", "'q' is declared twice"),
    ("fn q(x: f32) -> f32 { return x }\nop q(x) { return x }", "'q' is declared twice"),
    ("op q(x, x=1) { return x }", "'x' is declared twice"),
    ("op q(pi) { return pi }", "'pi' is a number"),
    ("op q(k=1, x) { return x }", "operands stand before settings"),
    ("op q(x: T = 1) { return x }", "an operand has no default, and a setting no type"),
    ("op q(x: T[N, ...]) { return x }", "'...' stands for leading dims"),
    ("op q(x: F32[4]) { return x }", "unknown dtype 'F32'"),
    ("fn q(x: T[4]) -> T[4] { return x }", "unknown dtype 'T'"),
    ("fn q(x: f32[..., 4]) -> f32 { return sum(x) }", "'...' outside of an op"),
    ("param q: T[4] = ones()", "unknown dtype 'T'"),
]


@pytest.mark.parametrize(("text", "message"), HEADS, ids=[h[0] for h in HEADS])
def test_heads_that_are_refused(text: str, message: str) -> None:
    (error,) = errors(text + "\nfn main(x: f32[2]) -> f32[2] { return x }")
    assert error.message == message and error.loc is not None


OPS = """op f(x, k=1, mode="a", d=f32) { return x * k }
op pair(a: T[..., N], b: T[..., N]) -> T[..., N] { return a + b }
op floats(x) { return exp(x) }
"""
CALLS = [
    # call, message, part of what stands below
    ("f()", "'f' needs 'x'", 'f(x, k=1, mode="a", d=f32)'),
    ("f(x, 1, \"a\", f32, 2)", "too many arguments for 'f'", "5 arguments"),
    ("f(x, kk=2)", "'f' has no argument 'kk'", "did you mean 'k'?"),
    ("f(x, x=x)", "'x' is given twice", "f(x"),
    ("f(x, k=s)", "this must be known while compiling", "'k' is a setting"),
    ("f(x, k=true)", "bad setting 'k' of 'f'", "a number"),
    ("f(x, mode=3)", "bad setting 'mode' of 'f'", "a word"),
    ("f(x, d=\"g\")", "bad setting 'd' of 'f'", "a dtype"),
    ("f(2)", "numbers alone have no dtype", "cast(2, f32)"),
    ("pair(x, n)", "'b' of 'pair' has another dtype", "f32, the T of 'a'"),
    ("pair(x, s)", "'b' of 'pair' has another rank", "T[..., N]"),
    ("pair(x, x[0])", "'b' of 'pair' has another type", "f32[3, 4], declared as T[..., N]"),
    ("pair(x, x[:, 1:])", "'b' of 'pair' has another type", "f32[3, 3]"),
    ("ff(x)", "unknown function 'ff'", "did you mean 'f'?"),
    ("f + 1", "unknown name 'f'", "f(...)"),
    ("reshape(x, [..., 2])", "'...' stands for no dims here", "op f(x: T[..., N])"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message", "detail"), CALLS, ids=[c[0] for c in CALLS])
def test_calls_that_are_refused(call: str, message: str, detail: str) -> None:
    (error,) = errors(
        f"{OPS}fn g(x: f32[3, 4], n: i32[3, 4], s: f32) -> f32 {{\n  y = {call}\n  return s\n}}"
    )
    assert message == error.message and error.loc is not None and error.loc.line == 5 and error.inside is None
    assert detail in "\n".join(text for _, text in error.details())


BODIES = [
    # head and body, call, message, column of the fault in line 2
    ("op g(x) {", "return exp(x)", "g(n)", "exp has no i32 form", 8),
    ("op g(x) {", "return x * w", "g(x)", "an op cannot read the parameter 'w'", 12),
    ("op g(x) {", "return f(x)", "g(x)", "an op cannot read the parameter 'w'", 0),
    ("op g(x) {", "return g(x)", "g(x)", "'g' calls itself", 8),
    ("op g(x: T[N]) -> T[N] {", "return sum(x)", "g(x[0])", "'g' returns another type than it declares", 8),
    ("op g(x) -> T {", "return sum(x)", "g(x)", "the dtype 'T' is not known", 0),
    ("op g() {", "return 1", "g()", "numbers alone have no dtype", 8),
    ("op g(x) {", "y = x", "g(x)", "'g' does not return", 0),
    ('op g(x, mode="a") {', "return x * mode", "g(x)", "'mode' is no tensor", 12),
    ("op g(x) {", "return x[i]", "g(x)", "unknown name 'i'", 10),
]


@pytest.mark.parametrize(("start", "body", "call", "message", "column"), BODIES, ids=[b[1] for b in BODIES])
def test_faults_of_a_formula_name_the_call(
    start: str, body: str, call: str, message: str, column: int
) -> None:
    text = f"""{start}
{body}
}}
param w: f32[4] = ones()
fn f(x: f32[3, 4]) -> f32[3, 4] {{ return x * w }}
fn main(x: f32[3, 4], n: i32[3]) -> f32[3, 4] {{
  y = {call}
  return x
}}"""
    (error,) = errors(text)
    assert message in error.message and error.loc is not None
    assert error.inside is not None and error.inside.startswith("g(") and "called at t:7:7" in error.inside
    if column:
        assert (error.loc.line, error.loc.col) == (2, column)


def test_a_fault_names_every_call_around_it_and_is_told_once() -> None:
    text = """op inner(x) { return exp(x) }
op outer(x) { return inner(x) + 1 }
fn main(n: i32[3]) -> i32[3] {
  a = outer(n)
  b = outer(n) + a
  return n
}"""
    (error,) = errors(text)
    assert error.inside == "inner(i32[3]), called at t:2:22\nouter(i32[3]), called at t:4:7"


ELEMENTS = [
    ("pair(x[i, 0], x[i, 1])", "'pair' does not work on elements", "in a line before"),
    ("rows(x[i, 0])", "this does not work on elements", "rows(f32), called at t:8:10"),
    ("two(x[i, 0])", "'two' does not give one value", ""),
    ("soft(x[i, 0])", "'softmax' does not work on elements", "soft(f32)"),
    ("floats(n[i, 0])", "exp has no i32 form in index notation", "floats(i32)"),
]


@pytest.mark.parametrize(("call", "message", "detail"), ELEMENTS, ids=[e[0] for e in ELEMENTS])
def test_calls_on_elements_that_are_refused(call: str, message: str, detail: str) -> None:
    more = "op rows(x) { return x[0] }\nop two(x) { return x, x }\nop soft(x) { return softmax(x) }\n"
    (error,) = errors(
        f"{OPS}{more}fn g(x: f32[3, 4], n: i32[3, 4]) -> f32 {{\n  y[i] = {call} return x[0, 0] }}"
    )
    assert message == error.message
    assert detail in "\n".join(text for _, text in error.details())


def test_ops_inside_ops_have_a_limit() -> None:
    chain = "".join(f"op o{i}(x) {{ return o{i - 1}(x) }}\n" for i in range(1, 40))
    (error,) = errors(f"op o0(x) {{ return x }}\n{chain}fn f(x: f32) -> f32 {{ return o39(x) }}")
    assert error.message == "ops call each other too deeply"


def test_syntax_errors_are_told_one_for_each_declaration() -> None:
    text = "op f(x y) { return x }\nop g(x) {\n  y = 3 +\n  z = ) x\n  return x\n}\nfn h(x: f32) -> f32 { return x $ 2 }"
    assert [(e.loc.line, e.loc.col) for e in errors(text) if e.loc] == [(1, 8), (3, 9), (4, 7), (7, 32)]
