"""Reading: the tree that text gives, spans, errors and recovery, speed, and that no input makes it fail otherwise."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from dialects.dims import Dim
from dialects.errors import ErrorList
from irkit.lang import parse, to_graph, tree
from tests.growth import growth


def expression(text: str) -> tree.Expr:
    module = parse(f"fn f(x: f32) -> f32 {{ y = {text}\n return y }}")
    (fn,) = module.decls
    assert isinstance(fn, tree.FnDecl)
    (assign, _) = fn.body
    assert isinstance(assign, tree.Assign)
    return assign.value


def grouped(node: tree.Expr | tree.Range) -> str:
    """An expression with all its parentheses."""
    match node:
        case tree.Binary():
            return f"({grouped(node.left)} {node.op} {grouped(node.right)})"
        case tree.Unary():
            return f"({node.op}{grouped(node.operand)})"
        case tree.Call():
            words = [grouped(a) for a in node.args] + [f"{k.name}={grouped(k.value)}" for k in node.keywords]
            return f"{node.callee.id}({', '.join(words)})"
        case tree.Subscript():
            return f"{grouped(node.base)}[{', '.join(map(grouped, node.index))}]"
        case tree.Reduction():
            body = grouped(node.body)
            body = f"({body})" if body[0] in "-[" else body  # `sum(j) -x` is a difference
            return f"({node.kind}({', '.join(a.id for a in node.axes)}) {body})"
        case tree.Range():
            parts = ["" if p is None else grouped(p) for p in (node.start, node.stop, node.step)]
            return ":".join(parts if node.step is not None else parts[:2])
        case tree.Name():
            return node.id
        case tree.Number():
            return str(node.value).lower() if node.value >= 0 else f"({node.value})"
        case tree.Text():
            return f'"{node.value}"'
        case tree.ListOf():
            return f"[{', '.join(map(str, node.items))}]"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a * b @ c / d % e", "((((a * b) @ c) / d) % e)"),
        ("a ** b ** c", "(a ** (b ** c))"),
        ("-a ** b", "(-(a ** b))"),
        ("a ** -b * c", "((a ** (-b)) * c)"),
        ("-a * b", "((-a) * b)"),
        ("--a", "(-(-a))"),
        ("-2 ** 2", "(-(2 ** 2))"),
        ("a - -2", "(a - (-2))"),
        ("a + b < c * d", "((a + b) < (c * d))"),
        ("(a < b) == (c < d)", "((a < b) == (c < d))"),
        ("(a + b) * c", "((a + b) * c)"),
        ("sum(j) a[j] * b[j] + c", "((sum(j) (a[j] * b[j])) + c)"),
        ("c * sum(j, k) a[j] * b[k]", "(c * (sum(j, k) (a[j] * b[k])))"),
        ("-max(j) a[j]", "(-(max(j) a[j]))"),
        ("sum(j) max(k) a[j, k]", "(sum(j) (max(k) a[j, k]))"),
        ("sum(j) (a[j] - b)", "(sum(j) (a[j] - b))"),
        ("sum(x) - max(x, axis=1)", "(sum(x) - max(x, axis=1))"),
        ("x[1:, :-1, ::2, i, 2:3][0]", "x[1:, :(-1), ::2, i, 2:3][0]"),
        ("f(x, [1, 2*B], axis=-1, mode=\"a b\",)", 'f(x, [1, B * 2], axis=(-1), mode="a b")'),
        ("1e-3 + 2.5 + true", "((0.001 + 2.5) + true)"),
    ],
)  # fmt: skip
def test_precedence(text: str, want: str) -> None:
    assert grouped(expression(text)) == want


def test_reduction_ends_with_its_line() -> None:
    (fn,) = parse("fn f(x: f32) -> f32 {\n y = sum(x)\n z = max(x)\n return z }").decls
    assert isinstance(fn, tree.FnDecl)
    assert [type(s.value) for s in fn.body if isinstance(s, tree.Assign)] == [tree.Call, tree.Call]


def test_spans_give_lines_and_columns() -> None:
    text = "// first\ndim B = 2\nfn f(x: f32[B]) -> f32[B] {\n  y = x +\n      exp(x)\n  return y\n}\n"
    module = parse(text, "a.tg")
    _, fn = module.decls
    assert isinstance(fn, tree.FnDecl)
    assign = fn.body[0]
    assert isinstance(assign, tree.Assign) and isinstance(assign.value, tree.Binary)
    loc = module.loc(assign.value.right)
    assert (loc.file, loc.line, loc.col, loc.end_col) == ("a.tg", 5, 7, 13)
    assert module.loc(assign.value).end_col == 10, "a span over two lines ends with the first"
    assert text[slice(*assign.value.span)] == "x +\n      exp(x)"


def test_types_hold_dims() -> None:
    (param,) = parse("param w: f16[2*B, B / 2 + 1, 7 % B] = zeros()").decls
    assert isinstance(param, tree.ParamDecl)
    b = Dim.of("B")
    assert param.type.dims == (b * 2, b // 2 + 1, Dim.of(7) % b)


def errors(text: str) -> list[str]:
    with pytest.raises(ErrorList) as caught:
        parse(text, "t")
    return [f"{e.loc}: {e.message}" for e in caught.value.errors]


def test_one_error_for_each_broken_statement() -> None:
    text = """dim B == 3
param w: float32[3] = zeros()
fn f(x: f32[3]) -> f32[3] {
  h = relu(x,
  y = 3 +
  ok = conv2d(x, x,
    stride=2,
    padding=[1, 1])
  z = a < b < c
  for t in 0..x {
    q = 3 $ 4
  }
  return x
}
fn g(x: f32[3) -> f32[3] { return x }
fn good(x: f32[3]) -> f32[3] { return x }
fn last(x: f32[3]) -> f32[3] {
  return x"""
    assert errors(text) == [
        "t:1:7: unexpected '=='",
        "t:2:10: unknown dtype 'float32'",
        "t:4:13: this ends too early",
        "t:5:9: this ends too early",
        "t:9:13: comparisons do not chain",
        "t:10:3: this loop leaves nothing behind",
        "t:11:11: unexpected '$'",
        "t:15:12: unexpected '['",
        "t:18:10: this ends too early",
    ]


@pytest.mark.parametrize("opening", ["(", "[", "-", "f(", "x[", "sum(j) "])
def test_deep_nesting_is_an_error(opening: str) -> None:
    text = f"fn f(x: f32) -> f32 {{ return {opening * 20000}x }}"
    assert errors(text)


def test_long_chains_are_no_nesting() -> None:
    text = f"fn f(x: f32[2]) -> f32[2] {{ return {' + '.join(['x'] * 5000)} }}"
    module = parse(text)
    assert tree.dump(module).count("Binary") == 4999
    assert len(list(to_graph(module).walk())) > 5000


def test_parsing_is_linear() -> None:
    def work(count: int):
        lines = [f"  h{i + 1} = relu(h{i} @ w{i} + b{i}) * 0.5" for i in range(count)]
        text = "fn f(h0: f32[4]) -> f32[4] {\n" + "\n".join(lines) + f"\n  return h{count}\n}}\n"
        return lambda: parse(text)

    parse("")
    assert growth(work, 250, 1000) < 1.2


# -- any text ---------------------------------------------------------------------------------------------------

WORDS = re.findall(
    r"\S+",
    "fn dim param return for in with true sum max f g x y w B N i j k t relu softmax where cast zeros load glorot "
    'f32 f32[B] f32[4,B] i32 i32[N] = == + - * / % ** @ < ( ) [ ] { } , : -> .. [1,2] [] 1 0 2.5 1e3 "a" '
    "boundary zero value clamp axis //",
)
soup = st.lists(st.sampled_from([*WORDS, "\n"]), max_size=40).map(" ".join)
PROGRAM = """dim B = 3 in 1..4
param w: f32[4, B] = glorot(seed=1)
fn f(x: f32[B, 4], n: i32[B]) -> (f32[B, B], y: f32[B]) {
  h = relu(x @ w) * 2 - 1
  y[i] = sum(j) x[i, j] * w[j, n[i]] + h[i + 1, 0], boundary=zero
  for t in 0..3 with y { y = y + 1 }
  return where(h > 0, h, 0), y[0:B]
}
"""


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A good program with pieces cut out and put in."""
    text = PROGRAM
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(st.sampled_from(["", *WORDS])) + text[start + draw(st.integers(0, 6)) :]
    return text


def survives(text: str) -> None:
    try:
        module = parse(text, "t")
        tree.dump(module)
        to_graph(module).verify()
    except ErrorList as found:
        assert found.errors
        for error in found.errors:
            assert error.loc is not None and 1 <= error.loc.line <= text.count("\n") + 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.text(max_size=60), soup, damaged()))
@example("fn f(x: f32) -> f32 { return x } }")
@example("fn f(x: f32[0]) -> f32[0] { y[i] = x[i-1] return y }")
def test_any_text_gives_a_graph_or_errors(text: str) -> None:
    survives(text)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> str:
    if depth == 0:
        return draw(st.sampled_from(["x", "y", "2", "0.5", "x[0]", "[1, 2]"]))
    inner = expressions(depth=depth - 1)
    match draw(st.integers(0, 5)):
        case 0:
            return f"-{draw(inner)}"
        case 1:
            return f"f({draw(inner)}, axis={draw(inner)})"
        case 2:
            return f"({draw(inner)})"
        case 3:
            return f"(sum(j) {draw(inner)})"
        case _:
            op = draw(st.sampled_from(["+", "-", "*", "/", "%", "@", "**"]))
            return f"{draw(inner)} {op} {draw(inner)}"


@settings(max_examples=100, deadline=None)
@given(expressions())
def test_grouping_reads_back_as_itself(text: str) -> None:
    full = grouped(expression(text))
    assert grouped(expression(full)) == full
