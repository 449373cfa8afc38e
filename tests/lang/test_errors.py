"""Faults that the parser cannot see: message, column, hint; several per run, each told once; how they are shown."""

from __future__ import annotations

import pytest

from dialects.errors import ErrorList, IrkitError, Loc
from irkit.diagnostics import render, render_one
from irkit.lang import parse, to_graph


def errors(text: str, **options: object) -> list[IrkitError]:
    with pytest.raises(ErrorList) as caught:
        to_graph(parse(text, "t"), **options)  # pyright: ignore[reportArgumentType]
    return caught.value.errors


BODY = """dim B = 4
param w: f32[8, 4] = zeros()
fn helper(a: f32[B, M], b: f32[M] = 1) -> f32[M] {{ return sum(a, axis=0) + b }}
fn f(x: f32[B, 8], n: i32[B], s: f32) -> f32[B, 8] {{
{}
return x
}}"""

CASES = [
    # statement, message, part of the hint (or of what was found and expected)
    ("y = relo(x)", "unknown function 'relo'", "did you mean 'relu'?"),
    ("y = xx + 1", "unknown name 'xx'", "did you mean 'x'?"),
    ("y = relu + 1", "unknown name 'relu'", "relu(...)"),
    ("y = x @ x", "inner dims of matmul differ", "[4, 8] @ [4, 8]"),
    ("y = x + w", "do not broadcast", "[4, 8] and [8, 4]"),
    ("y = x + n", "operands of one dtype", "cast(x, f32)"),
    ("y = n + 0.5", "0.5 is no i32", "cast(x, f32)"),
    ("y = cast(n, i8) + 300", "300 does not fit into i8", "-128 to 127"),
    ("y = x * true", "true is no f32", "cast(x, f32)"),
    ("y = softmax(x, axs=1)", "softmax has no argument 'axs'", "did you mean 'axis'?"),
    ("y = softmax(x, axis=2)", "softmax has no dim 2", "-2 to 1"),
    ("y = softmax(x, axis=s)", "this must be known while compiling", "f32"),
    ("y = softmax(x, axis=0.5)", "bad argument", "an integer"),
    ("y = softmax(x, 1, 2)", "too many arguments for softmax", "softmax(x, axis=-1)"),
    ("y = softmax()", "wrong arguments for softmax", "softmax(x, axis=-1)"),
    ("y = sum(x, dim=1)", "sum has no argument 'dim'", "did you mean 'axis'?"),
    ("y = max_pool2d(x)", "max_pool2d needs 'kernel'", "kernel"),
    ("y = gelu(x, approximate=\"tahn\")", "bad argument", "did you mean 'tanh'?"),
    ("y = reshape(x, [B, 9])", "cannot reshape", "32 elements"),
    ("y = 1 @ x", "@ multiplies tensors", "use *"),
    ("y = where(x, x, x)", "condition", "compare"),
    ("y = zeros([2])", "wrong arguments for zeros", "zeros([2, 3], f32)"),
    ("y = constant([[1, 2], [3]], f32)", "rows of different lengths", "lists of one length"),
    ("y = \"text\"", "a string is no tensor", ""),
    ("y = 1 / 0", "1 / 0 has no value", ""),
    ("y = x[0, 0, 0]", "too many indices", "at most 2"),
    ("y = x[9]", "leaves dim 0", ""),
    ("y = x[::0]", "positive integer", ""),
    ("y = x[s]", "an index is an integer", "cast"),
    ("while true with x { x = x + 1 }", "the condition of a loop is known", "that the loop changes"),
    ("while x > 0 with x { x = x - 1 }", "a condition is a bool of rank 0", "any(x)"),
    ("while s with s { s = s - 1 }", "a condition is a bool of rank 0", "compare it"),
    ("while s > 0 max s with s { s = s - 1 }", "bad bound of a loop", "an integer"),
    ("if 3 with x { x = x + 1 }", "a condition is a bool of rank 0", "the number 3"),
    ("if s > 0 with x { x = x[0] } else { x = x }", "'x' changes its type in the choice", "rank"),
    ("if s > 0 with x { x = x } else { n = n }", "'n' belongs to what is around", "carry it"),
    ("if s > 0 with x, x { x = x }", "'x' is named twice", "once"),
    ("for t in 0..n[0] collect y { y = t }", "how often this loop runs must be known", "dims"),
    ("for t in 0..3 collect t { y = t }", "'t' is named twice", "once"),
    ("for t in 0..3 collect y { z = t }", "unknown name 'y'", ""),
    ("y = helper()", "'helper' needs 'a'", "helper(a: f32[B, M]"),
    ("y = helper(x, x, x)", "too many arguments for 'helper'", "helper(a"),
    ("y = helper(x, c=x)", "'helper' has no input 'c'", "helper(a"),
    ("y = helper(w, s)", "'a' of 'helper' has another type", "dim 0 is 8 and not 4"),
    ("y = helper(n, s)", "'a' of 'helper' has another rank", "f32[B, M]"),
    ("y = helper(cast(x, f16), s)", "'a' of 'helper' has another type", "dtype"),
    ("a, b = relu(x)", "the number of names and of values differ", "2 for a, b"),
    ("w = x", "'w' is a parameter", "another name"),
    ("B = x", "'B' is a dim", "another name"),
    ("return x, x", "wrong number of results", "1: f32[B, 8]"),
    ("return x @ w", "returns another type than it declares", "dim 1 is 4 and not 8"),
    ("return n", "returns another type than it declares", "dtypes differ"),
    ("return x x = x", "this is never reached", "return ends the function"),
    ("y[i] = zz[i]", "unknown name 'zz'", ""),
    # index notation
    ("y[i] = x[i]", "wrong number of indices", "2"),
    ("y[i] = s + 1", "the range of 'i' is not known", "x[i]"),
    ("y[i, i] = x[i, i]", "'i' is an axis already", ""),
    ("y[i] = sum(i) x[i, 0]", "'i' is an axis already", ""),
    ("y[i] = x[i, 9]", "x[i, 9] may be out of range", "0 to 7"),
    ("y[i, j] = x[i, j] + w[i, j]", "is not clear", "one range"),
    ("y[i] = x[i-4, 0] + x[i+4, 0]", "'i' has no values", "boundary"),
    ("y[i] = x[i, 0], boundary=clmp", "unknown boundary 'clmp'", "did you mean 'clamp'?"),
    ("y[i] = x[i-1, 0], boundary=value(s)", "value takes one number", "value(0.5)"),
    ("y[i] = x[i-9, 0], boundary=reflect", "may be out of range", "reflect mirrors once"),
    ("y[i] = x[i, s]", "an index is an integer", "cast"),
    ("y[i] = x[i, 0] * i", "an index is an integer", "cast(i, f32)"),
    ("y[i] = x[i, 0] + n[i]", "two dtypes meet", "cast(x, f32)"),
    ("y[i] = x[i, 0] + w", "'w' has no indices here", "w[i, j]"),
    ("y[i] = softmax(x[i, 0])", "'softmax' does not work on elements", ""),
    ("y[i] = exp(n[i])", "exp has no i32 form", "cast(x, f32)"),
    ("y[i] = x[i, 0] @ x[i, 1]", "@ multiplies tensors", "sum(k)"),
    ("y[i] = x[i / 0, 0]", "divided by a positive number", ""),
    ("y[i] = n[i] + x[i * i, 0]", "may be out of range", ""),
    ("y[i] = 2", "the range of 'i' is not known", ""),
    # loops
    ("for t in 0..3 with q { q = x }", "unknown name 'q'", ""),
    ("for t in 0..s with x { x = x }", "bad bound of a loop", "f32"),
    ("for t in 0..3 with x { x = x @ w }", "'x' changes its type in the loop", "dim 1 is 4 and not 8"),
    ("y = x for t in 0..3 with x { y = x }", "'y' belongs to what is around", "with y"),
    ("k = 0 for t in 0..3 with k { k = k }", "a number without a dtype cannot be carried", "cast(0, f32)"),
    ("for t in 0..3 with x { return x }", "return inside a loop", "carry"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "message", "detail"), CASES, ids=[c[0] for c in CASES])
def test_message(statement: str, message: str, detail: str) -> None:
    text = BODY.format(statement)
    (error,) = errors(text.replace("\nreturn x\n}", "}") if statement.startswith("return") else text)
    assert message in error.message
    assert detail in "\n".join(filter(None, (error.hint, error.found, error.expected)))
    assert error.loc is not None and error.loc.line == 5 and error.loc.end_col > error.loc.col


DECLARATIONS = [
    ("dim A = 2\ndim A = 3", "'A' is declared twice", ""),
    ("dim A = 1.5", "this is no size", "an integer"),
    ("dim A = 2 - 3", "'-1' is no size", "0 to "),
    ("dim A = 9 in 1..8", "the default of dim 'A' is outside of its range", "1 to 8"),
    ("dim A = 2 in 8..1", "bad range of dim 'A'", "1..64"),
    ("dim A = Q + 1", "unknown dim 'Q'", ""),
    ("fn relu(x: f32) -> f32 { return x }", "'relu' has a meaning already", ""),
    ("param p: f32[Q] = zeros()", "unknown dim 'Q'", "dim Q = 32"),
    ("param p: f32[2] = glorrot(seed=1)", "unknown initialiser 'glorrot'", "did you mean 'glorot'?"),
    ("param p: f32[2] = glorot(sed=1)", "'sed' is no setting", "did you mean 'seed'?"),
    ('param p: f32[2] = load("a.npz")', "load takes a file and the name of a tensor", "load("),
    ("param p: f32[2] = x", "this cannot fill a parameter", "load"),
    ("fn g(x: f32) -> f32 { y = x }", "'g' does not return", "return f32"),
    ("fn g(x: f32, x: f32) -> f32 { return x }", "'x' is declared twice", ""),
    ("dim Q = 2\nfn g(Q: f32) -> f32 { return Q }", "'Q' is a dim", "another name"),
    ("fn g(x: f32) -> (x: f32) { return x }", "'x' is declared twice", ""),
    ("fn g(x: f32[2 - 3]) -> f32 { return sum(x) }", "a dim may be negative here", ""),
]


@pytest.mark.parametrize(("text", "message", "detail"), DECLARATIONS, ids=[c[0] for c in DECLARATIONS])
def test_declarations(text: str, message: str, detail: str) -> None:
    found = errors(text + "\nfn main(x: f32[2]) -> f32[2] { return x }")
    assert message in found[0].message
    assert detail in "\n".join(filter(None, (found[0].hint, found[0].found, found[0].expected)))
    assert len(found) == 1


def test_recursion_is_refused() -> None:
    text = "fn a(x: f32) -> f32 { return b(x) }\nfn b(x: f32) -> f32 { return a(x) }"
    (error, *_) = errors(text)
    assert "calls itself" in error.message and error.found in ("a -> b -> a", "b -> a -> b")


def test_overrides() -> None:
    text = "dim Batch = 4 in 1..8\nfn f(x: f32[Batch]) -> f32[Batch] { return x }"
    (wrong,) = errors(text, dims={"Bach": 1})
    assert "no dim 'Bach'" in wrong.message and wrong.hint == "did you mean 'Batch'?"
    (outside,) = errors(text, dims={"Batch": 9})
    assert "outside of the range" in outside.message and outside.expected == "1 to 8"
    (missing,) = errors(text, fn="g")
    assert "no function 'g'" in missing.message


def test_entry_rule() -> None:
    def name(text: str, fn: str | None = None) -> str:
        (func,) = to_graph(parse(text), fn=fn).ops
        return func.properties["sym_name"].data  # pyright: ignore

    a, b, m = (f"fn {n}(x: f32) -> f32 {{ return x }}\n" for n in ("a", "b", "main"))
    assert [name(a + b), name(m + b), name(a + b, "a")] == ["b", "main", "a"]
    (error,) = errors("dim B = 3")
    assert error.message == "the file has no function"


def test_several_errors_in_order_and_each_once() -> None:
    text = """fn g(x: f32[N]) -> f32[N] {
  return relo(x)
}
fn f(x: f32[4]) -> f32[4] {
  a = g(x)
  b = g(x) + a
  c = x @ 3
  d = c + b + a
  return dd
}
fn unused(x: f32[4]) -> f32[5] {
  return x
}"""
    found = errors(text, fn="f")
    assert [(e.loc.line, e.message) for e in found if e.loc] == [
        (2, "unknown function 'relo'"),
        (7, "@ multiplies tensors"),
        (9, "unknown name 'dd'"),
        (12, "'unused' returns another type than it declares"),
    ]


def test_rendering() -> None:
    error = IrkitError("bad thing", Loc("a.tg", 2, 3, 6), found="x", expected="y", hint="one\ntwo")
    assert render([error], {"a.tg": "first\n\t abc def\n"}) == (
        "a.tg:2:3: error: bad thing\n         abc def\n         ^~~\n"
        "  found: x\n  expected: y\n  help: one\n        two"
    )
    assert render_one(IrkitError("no place")) == "error: no place"
    assert render([error, error], {"a.tg": ""}).endswith("2 errors")
    long = "x" * 500
    shown = render([IrkitError("far", Loc("b.tg", 1, 400, 405))], {"b.tg": long}).splitlines()
    assert len(shown[1]) < 200 and shown[2].strip() == "^~~~~"
