"""Ops that a file declares, printed from the formulas that the graph holds, and read again."""

from __future__ import annotations

import pytest
from numpy.testing import assert_array_equal

from dialects import graph
from dialects.errors import IrkitError
from irkit import pipeline
from irkit.lang import parse, to_graph
from irkit.lang.unparse import unparse
from irkit.mlir_parser import parse_mlir
from lowering.graph.interpret import run_graph
from tests.lang.graph_signature import signatures
from tests.lang.test_unparse import SIZES, again, arrays_of, assert_same_numbers, function, with_passes

SWISH = "op swish(x, beta=1.0) { return x * sigmoid(beta * x) }\n"
ROTATE = """op rotate(x: T[..., N], angle: T) -> T[..., N] {
  pairs = reshape(x, [..., N/2, 2])
  turned = cos(angle) * pairs + sin(angle) * flip(pairs, [-1]) * constant([-1, 1], T)
  return reshape(turned, [..., N])
}
"""


def declared(text: str) -> list[str]:
    return [line.removesuffix(" {") for line in text.splitlines() if line.startswith("op ")]


EQUAL = {
    # what is printed in the place of declarations; the graph that is read is the same
    "given and defaulted, two dtypes": (
        f"""{SWISH}fn f(x: f32[3, 4], h: f16[4]) -> (f32[3, 4], f16[4], f32[3, 4]) {{
          return swish(x), swish(h, beta=2), swish(x, 1.5)
        }}""",
        ["op swish(x, beta=1.0)"],
    ),
    "a number that differs is the setting": (
        f"{SWISH}fn f(x: f32[3], h: f16[3]) -> (f32[3], f16[3]) {{ return swish(x, beta=1.5), swish(h, beta=-0.5) }}",
        ["op swish(x, beta=1.5)"],
    ),
    "several results, loops, choices, ops inside ops": (
        f"""{SWISH}op steps(x, limit: T, rounds=3) -> (last: T[3, 4], T[rounds]) {{
          k = x
          for t in 0..rounds with k collect total {{
            k = swish(k)
            total = sum(k)
          }}
          if limit > 0 with k {{ k = minimum(k, limit) }}
          return k, total
        }}
        fn f(x: f32[3, 4], l: f32) -> (f32[3, 4], f32[3], f32[3, 4]) {{
          k, totals = steps(swish(x, 0.5), l)
          return k, totals, swish(k)
        }}""",
        ["op swish(x, beta=0.5)", "op steps(x, limit, rounds=3)"],
    ),
    "a setting of an op inside": (
        f"""{SWISH}op both(x, by=2.5, beta=1.0) {{ return swish(x, beta=by) * leaky_relu(x, alpha=by) }}
        fn f(x: f32[3], y: f32[4]) -> (f32[3], f32[4]) {{ return both(x), both(y, by=3.5) }}""",
        ["op swish(x, beta=2.5)", "op both(x, by=2.5, beta=1.0)"],
    ),
    "a dtype of the head": (
        f"""{ROTATE}fn f(x: f32[2, 4], h: f16[2, 4], s: f16) -> (f32[2, 4], f16[2, 4]) {{
          return rotate(x, 0.5), rotate(h, s)
        }}""",
        ["op rotate(x: T[...], angle)"],
    ),
    "settings of every kind": (
        """op g(x, scale=2, neg=-2.0, flag=false, mode="plain", axes=[0], to=f32, half=1e30, b=inf) {
          y = x * scale + half
          if (mode == "sum") & (to != f16) with y { y = y - sum(y, axis=axes, keepdims=true) * neg }
          if flag with y { y = -y }
          return cast(y, to)
        }
        fn main(x: f32[3, 4]) -> (f32[3, 4], f64[3, 4], f32[3, 4]) {
          return g(x), g(x, 3, mode="sum", to=f64, axes=[0, 1], b=-inf), g(x, flag=true)
        }""",
        [
            'op g(x, scale=2, neg=-2.0, flag=false, mode="plain", axes=[0], to=f32, half=1e+30, b=inf)',
            'op g_2(x, scale=3, neg=-2.0, flag=false, mode="sum", axes=[0, 1], to=f64, half=1e+30, b=-inf)',
            'op g_3(x, scale=2, neg=-2.0, flag=true, mode="plain", axes=[0], to=f32, half=1e+30, b=inf)',
        ],
    ),
    "index notation": (
        """op spread(x, k=2.0) {
          y[i] = sum(j) x[i, j] * k + 3
          return y
        }
        fn f(x: f32[3, 4], h: f64[3, 4]) -> (f32[3], f64[3]) { return spread(x, k=1.5), spread(h, k=4.5) }""",
        ["op spread(x, k=1.5)"],
    ),
    "dims with a range, and a name that is declared": (
        """dim B = 3 in 1..9
        op rows(x, n=2) { y = reshape(x, [n, -1]) return reshape(y, [-1, 4]) }
        fn f(x: f32[2*B, 4], rows: f32[6, 4]) -> (f32[2*B, 4], f32[6, 4]) {
          return rows(x), rows(rows)
        }""",
        ["op rows(x, n=2)", "op rows_2(x, n=2)"],
    ),
    "a call with a schedule, one with numbers": (
        """op add3(x, y, z) { return x + y + z }
        fn f(x: f32[3], n: i32[3]) -> (f32[3], i32[3]) {
          y = add3(2, x, 0.5), schedule="vector i 2"
          return y, add3(1, 2, n)
        }""",
        ["op add3(x, y, z)"],
    ),
    "no operand, and what is passed on": (
        """op five(n=5) { return full([n], 2, f32), cast(n, i64) }
        op same(x) { return x, x }
        fn f(x: f32[5]) -> (f32[5], i64, f32[5], f32[5]) { a, b = five() return a, b, same(x) }""",
        ["op five(n=5)", "op same(x)"],
    ),
}  # fmt: skip


def titles_as_first(module: object) -> None:
    """Undoes what makes a further declaration of one op another op: the number after its name."""
    for op in module.walk():  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(op, graph.CustomOp) and op.title.data[-2:-1] == "_":
            op.properties["title"] = type(op.title)(op.title.data[:-2])


@pytest.mark.parametrize("name", EQUAL)
def test_what_is_read_is_the_same_graph(name: str) -> None:
    text, heads = EQUAL[name]
    module = to_graph(parse(text, "t.tg"))
    printed = unparse(module)
    assert declared(printed) == heads
    read = again(module)
    assert unparse(read) == printed
    titles_as_first(read)
    a, b = signatures(function(module), function(read))
    assert a == b


@pytest.mark.parametrize("name", EQUAL)
def test_by_way_of_ir_text_and_passes(name: str) -> None:
    module = to_graph(parse(EQUAL[name][0], "t.tg"))
    from_ir = parse_mlir(pipeline.context(), str(module), "t.mlir", True)
    assert unparse(from_ir) == unparse(module)
    assert_same_numbers(function(module), function(again(module)))
    changed = with_passes(module.clone(), "graph-simplify", "graph-cse", "graph-dce")
    assert_same_numbers(function(module), function(again(changed)))


def test_formulas_of_other_shapes_are_declared_by_themselves() -> None:
    text = f"""{ROTATE}fn f(x: f32[3, 4], y: f64[2, 1, 2]) -> (f32[3, 4], f64[2, 1, 2]) {{
      return rotate(x, 0.25), rotate(y, 0.5)
    }}"""
    module = to_graph(parse(text, "t.tg"))
    assert declared(unparse(module)) == ["op rotate(x, angle)", "op rotate_2(x, angle)"]
    assert_same_numbers(function(module), function(again(module)))


def test_names_that_hide_nothing() -> None:
    """Names of the formula stay clear of dims and settings, names of the file of what is declared."""
    text = """func.func @swish(%swish: tensor<f32> {"graph.name" = "swish", "graph.kind" = "param", "graph.source" = "full value=2"}, %x: tensor<?xf32, #graph.t<dims=[N]>> {"graph.name" = "x", "graph.kind" = "input"}) -> tensor<?xf32, #graph.t<dims=[N]>> attributes {"graph.symbols" = #dim.symbols<[N: 1 to 8]>} {
      %y = graph.custom swish(%x) {beta = 2.5 : f64} : (tensor<?xf32, #graph.t<dims=[N]>>) -> tensor<?xf32, #graph.t<dims=[N]>> {
      ^bb0(%N: tensor<?xf32, #graph.t<dims=[N]>>):
        %beta = graph.exp %N : (tensor<?xf32, #graph.t<dims=[N]>>) -> tensor<?xf32, #graph.t<dims=[N]>>
        %c = graph.constant dense<2.5> : tensor<f32>
        %f32 = graph.mul %beta, %c : (tensor<?xf32, #graph.t<dims=[N]>>, tensor<f32>) -> tensor<?xf32, #graph.t<dims=[N]>>
        graph.yield %f32 : tensor<?xf32, #graph.t<dims=[N]>>
      }
      %z = graph.add %y, %swish : (tensor<?xf32, #graph.t<dims=[N]>>, tensor<f32>) -> tensor<?xf32, #graph.t<dims=[N]>>
      func.return %z : tensor<?xf32, #graph.t<dims=[N]>>
    }"""
    module = parse_mlir(pipeline.context(), text, "t.mlir", True)
    printed = unparse(module)
    assert "op swish_2(N_2, beta=2.5) {\n  beta_2 = exp(N_2)\n  f32_ = beta_2 * beta" in printed
    assert "param swish: f32 = 2" in printed
    (wanted,) = run_graph(function(module), arrays_of(function(module)), SIZES)
    (found,) = run_graph(function(again(module)), arrays_of(function(module)), SIZES)
    assert_array_equal(found, wanted)


FAULTS = [
    ('k = "a\\"b"', "the language has no such setting"),
    ('k = ["a"]', "the language has no such setting"),
    ("k = f32", "the language has no such setting"),
    ('"a b" = 1', "'a b' cannot be the name of a setting"),
    ('"return" = 1', "'return' cannot be the name of a setting"),
]


@pytest.mark.parametrize(("settings", "message"), FAULTS, ids=[f[0] for f in FAULTS])
def test_settings_that_no_call_has(settings: str, message: str) -> None:
    text = f"""func.func @f(%x: tensor<3xf32>) -> tensor<3xf32> {{
      %y = graph.custom g(%x) {{{settings}}} : (tensor<3xf32>) -> tensor<3xf32> {{
      ^bb0(%a: tensor<3xf32>):
        graph.yield %a : tensor<3xf32>
      }}
      func.return %y : tensor<3xf32>
    }}"""
    with pytest.raises(IrkitError) as caught:
        unparse(parse_mlir(pipeline.context(), text, "t.mlir", True))
    assert caught.value.message == message and caught.value.loc is not None


def test_a_setting_and_a_dim_of_one_name() -> None:
    text = """dim B = 3 in 1..9
    op both(x: T[A, 2], B=2) { return reshape(x, [2*A]) * B }
    fn f(x: f32[B, 2]) -> f32[2*B] { return both(x) }"""
    with pytest.raises(IrkitError, match="'B' is a setting of 'both' and a dim of its formula"):
        unparse(to_graph(parse(text, "t.tg")))
