"""Functions that are made of others, `fn g = grad(loss, wrt=[w])`: their heads, their numbers, and rules of ops."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from xdsl.dialects.func import FuncOp

import irkit
from dialects import graph
from dialects.errors import ErrorList
from irkit.lang import parse, to_graph
from irkit.lang.made import results_of
from irkit.lang.transforms import TRANSFORMS, Made, Site, transform
from irkit.lang.unparse import unparse
from lowering.graph.interpret import argument_names, run_graph

LOSS = """
param w: f64[3, 2] = glorot(seed=1)
param b: f64[2] = ones()
param count: i32 = 2

fn scores(x: f64[N, 3]) -> f64[N, 2] { return tanh(x @ w + b) }
fn loss(x: f64[4, 3], y: f64[4, 2]) -> f64 { return mean(squared_error(scores(x), y)) * cast(count, f64) }
"""
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2))
W, BIAS, COUNT = RNG.standard_normal((3, 2)), RNG.standard_normal(2), np.int32(2)


def func_of(text: str, fn: str | None = None, **dims: int) -> FuncOp:
    module = to_graph(parse(text, "t.tg"), fn, dims)
    module.verify()
    (func,) = (op for op in module.ops if isinstance(op, FuncOp))
    return func


def run(text: str, *arrays: object, fn: str | None = None, **dims: int) -> list[np.ndarray]:
    return run_graph(func_of(text, fn, **dims), list(map(np.asarray, arrays)))


def names(func: FuncOp) -> tuple[list[str], list[str]]:
    """The names of arguments and results."""
    assert func.res_attrs is not None
    results = [a.data["graph.name"].data for a in func.res_attrs.data]  # pyright: ignore
    return argument_names(func), results


def by_hand() -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """The loss, and its gradients with respect to x, w and b."""
    h = np.tanh(X @ W + BIAS)
    d = (h - Y) * 2 / h.size * 2 * (1 - h**2)
    return 2 * float(((h - Y) ** 2).mean()), d @ W.T, X.T @ d, d.sum(0)


@pytest.mark.parametrize(
    ("made", "results"),
    [
        ("grad(loss, wrt=params)", ["d_w", "d_b"]),
        ("grad(loss, wrt=[w, x])", ["d_w", "d_x"]),
        ("grad(loss, w)", ["d_w"]),
        ("grad(loss)", ["d_x", "d_y"]),
        ("value_and_grad(loss, wrt=[params, x])", ["out0", "d_w", "d_b", "d_x"]),
    ],
)
def test_gradients_by_inputs_and_parameters(made: str, results: list[str]):
    func = func_of(f"{LOSS}fn main = {made}")
    arguments, found = names(func)
    assert arguments[:2] == ["x", "y"] and set(arguments[2:]) == {"w", "b", "count"}
    assert found == results
    value, dx, dw, db = by_hand()
    given = {"x": X, "y": Y, "w": W, "b": BIAS, "count": COUNT}
    expected = {"out0": value, "d_x": dx, "d_w": dw, "d_b": db}
    for name, array in zip(found, run_graph(func, [given[a] for a in arguments]), strict=True):
        if name != "d_y":
            assert_allclose(array, expected[name])


def test_vjp_takes_a_seed_for_each_float_result():
    text = """fn f(x: f64[3], n: i32) -> (f64[3], i32, total: f64) { y = x * x
      return y, n, sum(y) }
    fn main = vjp(f)"""
    func = func_of(text)
    assert names(func) == (["x", "n", "seed_y", "seed_total"], ["y", "out1", "total", "d_x"])
    x, seed = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, -1.0])
    y, n, total, dx = run(text, x, np.int32(5), seed, 10.0)
    assert_allclose(y, x * x)
    assert n == 5 and total == 14
    assert_allclose(dx, 2 * x * (seed + 10))


def test_made_functions_are_called_and_made_of_each_other():
    text = """fn f(x: f64) -> f64 { return x ** 4 }
    fn d = grad(f)
    fn dd = grad(d, wrt=[x])
    fn main(x: f64) -> (f64, f64, f64) {
      v, g = value_and_grad(f)(x=x)
      for i in 0..2 with g { g = g + d(x) }
      return g, dd(x) + grad(grad(dd))(x), v
    }"""
    g, second, v = run(text, 3.0)
    assert (g, second, v) == (3 * 4 * 27.0, 12 * 9.0 + 24, 81.0)


def test_dims_are_bound_at_the_call():
    text = """fn f(x: f64[N], y: f64[N]) -> f64 { return sum(x * x * y) }
    fn d = grad(f, wrt=[x])
    fn main(a: f64[2], b: f64[3]) -> (f64[2], f64[3]) { return d(a, a), d(b, 2 * b) }"""
    a, b = run(text, [1.0, 2.0], [1.0, 2.0, 3.0])
    assert_allclose(a, [2.0, 8.0])
    assert_allclose(b, [4.0, 16.0, 36.0])
    with pytest.raises(ErrorList, match="'y' of 'd' has another type"):
        func_of(text.replace("d(a, a)", "d(a, b)"))


def test_a_dim_with_a_range():
    text = """dim N = 8 in 1..64
    fn f(x: f64[N]) -> f64 { return mean(x * x) }
    fn main = grad(f)"""
    assert_allclose(run(text, [1.0, 2.0, 3.0, 4.0])[0], [0.5, 1.0, 1.5, 2.0])


def test_stop_gradient_and_other_results_of_a_loss():
    text = """fn f(x: f64) -> (f64, f64) { return x * stop_gradient(x), x ** 3 }
    fn main = value_and_grad(f)"""
    assert [float(v) for v in run(text, 3.0)] == [9.0, 27.0, 3.0]


def test_names_of_inputs_stay_distinct():
    text = """fn f(x: f64, t_x: f64) -> f64 { return x * t_x }
    fn main = jvp(f, wrt=[x])"""
    func = func_of(text)
    assert names(func)[0] == ["x", "t_x", "t_x_2"]
    (op,) = (o for o in func.walk() if isinstance(o, graph.JvpOp))
    assert list(op.operands) == [func.args[0], func.args[2]]


def test_vmap_leaves_an_input_whole_and_reads_parameters():
    text = """param w: f64[2] = ones()
    fn f(x: f64[2], s: f64) -> f64 { return sum(x * w) * s }
    fn main = vmap(grad(f, wrt=[w]), size=4, axes=[-1, none])"""
    (op,) = (o for o in func_of(text).walk() if isinstance(o, graph.VmapOp))
    assert op.dims_apart() == (1,)
    assert [str(v.type) for v in op.inputs] == ["tensor<2x4xf64>"]
    assert [str(r.type) for r in op.results] == ["tensor<4x2xf64>"]


def test_a_quantised_input_cannot_be_taken_apart():
    text = """fn f(x: quant(i8, scale=0.5)[3]) -> f32 { return sum(cast(x, f32)) }
    fn main = vmap(f, size=4)"""
    with pytest.raises(ErrorList, match="cannot take the quantised 'x' apart"):
        func_of(text)


def test_compiled(tmp_path):
    file = tmp_path / "model.tg"
    file.write_text(f"{LOSS}fn main = value_and_grad(loss, wrt=[x])\nfn step = grad(loss, wrt=params)")
    program = irkit.compile(file)
    program.set_params({"w": W, "b": BIAS})
    value, dx = program(X, Y)
    expected = by_hand()
    assert_allclose(value, expected[0])
    assert_allclose(dx, expected[1])
    step = irkit.compile(file, fn="step")
    step.set_params({"w": W, "b": BIAS})
    for found, wanted in zip(step(X, Y), expected[2:], strict=True):
        assert_allclose(found, wanted)


def test_a_transformation_of_another_module(monkeypatch):
    monkeypatch.setattr("irkit.lang.transforms.TRANSFORMS", dict(TRANSFORMS))

    @transform("twice(f, times=2)", "times")
    def twice(site: Site) -> Made:
        count = int(site.program.number(site.settings["times"]))  # pyright: ignore

        def emit(emitter, args):
            for _ in range(count):
                args = emitter.apply(site.base, args, site.node)
            return args

        return site.made(site.base.inputs, results_of(site.base), emit)

    text = """fn f(x: f64) -> f64 { return 2 * x }
    fn main = twice(f, times=3)"""
    assert run(text, 1.0) == [8.0]


def test_running_a_derivative_leaves_the_graph_as_it_was():
    func = func_of("fn f(x: f64, y: f64) -> f64 { return x * y }\nfn main = grad(f, wrt=[x])")
    before = [len(list(a.uses)) for a in func.args]
    run_graph(func, [np.array(2.0), np.array(3.0)])
    assert [len(list(a.uses)) for a in func.args] == before


def test_too_many_transformations_inside_each_other():
    nested = "f"
    for _ in range(40):
        nested = f"grad({nested})"
    with pytest.raises(ErrorList, match="too deeply"):
        func_of(f"fn f(x: f64) -> f64 {{ return x }}\nfn main = {nested}")


# -- rules of ops -------------------------------------------------------------------------------------------------

RULES = """op scaled(x, by: T[], factor=1.0) {
  return factor * x * by
} backward(y, dy) {
  return factor * dy * 10, 0
}
op parted(x, n) {
  return x * 2, n
} backward(a, m, da) {
  return da * cast(m, f64)
}
"""


def test_a_rule_takes_the_place_of_the_derivative():
    text = f"""{RULES}fn f(x: f64[3], s: f64) -> f64 {{ return sum(scaled(x, s, factor=0.5)) }}
    fn main = grad(f)"""
    dx, ds = run(text, [1.0, 2.0, 3.0], 4.0)
    assert_allclose(dx, [5.0, 5.0, 5.0])
    assert ds == 0


def test_a_rule_leaves_integers_out_and_is_differentiated_in_turn():
    text = f"""{RULES}fn f(x: f64, n: i32) -> f64 {{
      a, m = parted(x, n)
      return a * x
    }}
    fn main(x: f64, n: i32) -> (f64, f64) {{ return grad(f)(x, n), grad(grad(f))(x, n) }}"""
    first, second = run(text, 5.0, np.int32(3))
    assert first == 3 * 5 + 10  # da = x, times m; and a = 2 x
    assert second == 3 + 3  # d(m x)/dx by the formula of x, and the rule of a once more


def test_a_rule_may_give_one_for_each_operand():
    text = """op f(x, n) { return x * cast(n, f64) } backward(y, dy) { return 3 * dy, 7 * dy }
    fn whole(x: f64, n: i32) -> f64 { return f(x, n) }
    fn parts(x: f64, n: f64) -> f64 { return f(x, n) }
    fn main(x: f64, n: i32) -> (f64, f64, f64) {
      a, b = grad(parts)(x, x)
      return grad(whole)(x, n), a, b
    }"""
    assert run(text, 5.0, np.int32(2)) == [3, 3, 7]


def test_rules_survive_the_way_to_text_and_back():
    text = f"""{RULES}fn main(x: f64[3], s: f64) -> (f64[3], f64[3]) {{
      return scaled(x, s, factor=0.5), scaled(2 * x, s)
    }}"""
    printed = unparse(to_graph(parse(text, "t.tg")))
    assert printed.count("backward(y, dy)") == 1 and "return factor * dy * 10, cast(0, f64)" in printed
    again = func_of(
        printed + "\nfn f(x: f64[3], s: f64) -> f64 { a, b = main(x, s)\nreturn sum(a + b) }\nfn g = grad(f)",
        "g",
    )
    assert_allclose(run_graph(again, [np.ones(3), np.array(2.0)])[0], [25.0] * 3)


def test_rules_with_syntax_errors_are_told_one_by_one():
    text = """op f(x) {
  return x +
} backward(y, dy) {
  a = = y
  return dy )
}
fn g(x: f32) -> f32 { return x }
"""
    with pytest.raises(ErrorList) as caught:
        parse(text, "t.tg")
    assert [e.loc.line for e in caught.value.errors if e.loc] == [2, 4, 5]
    with pytest.raises(ErrorList, match="unexpected"):
        parse("op f(x) { return x } backward(y dy) { return dy }", "t.tg")
    with pytest.raises(ErrorList):
        parse("op f(x) { return x } backward", "t.tg")
    with pytest.raises(ErrorList, match="'y' is declared twice"):
        func_of("op f(x) { return x } backward(y, y) { return y }\nfn g(x: f32) -> f32 { return f(x) }")
