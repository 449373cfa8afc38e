"""irkit fmt: one layout, the same program, comments and numbers kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from irkit.lang import parse
from irkit.lang.format import format_text
from irkit.lang.tree import dump
from tests.runtime.test_cli import irkit_cli

ROOT = Path(__file__).resolve().parents[2]
DOC = re.findall(r"```tg\n(.*?)```", (ROOT / "docs" / "language.md").read_text(), re.S)
TEXTS = [*(p.read_text() for p in sorted((ROOT / "examples").glob("*.tg"))), *DOC]


def tree_of(text: str) -> str:
    """The syntax tree without its places."""
    return re.sub(r" @\d+:\d+$", "", dump(parse(text)), flags=re.MULTILINE)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_examples_and_documents_are_laid_out(text: str):
    assert format_text(text) == text


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("fn f(x:f32[2])->f32[2]{return x+1}", "fn f(x: f32[2]) -> f32[2] { return x + 1 }"),
        ("  y=softmax( x ,axis = - 1 )", "y = softmax(x, axis=-1)"),
        ("v[i]=u[i - 1]-2*u[2*i+1] , boundary = value( -1 )", "v[i] = u[i-1] - 2 * u[2*i + 1], boundary=value(-1)"),
        ("y = -x**2 - -x", "y = -x ** 2 - -x"),
        ("p[i]=exp(y[i,0])/(sum( f )exp(y[i,f]))", "p[i] = exp(y[i, 0]) / (sum(f) exp(y[i, f]))"),
        ("t = sum(j)(a[j])", "t = sum(j) (a[j])"),
        ("y = grad( f,wrt = [ x ] ) ( x )", "y = grad(f, wrt=[x])(x)"),
        ("fn g=vmap(grad(f), size = B,axes=[ 0,none ])", "fn g = vmap(grad(f), size=B, axes=[0, none])"),
        ("op f(x) {return x}backward (y,dy) { return dy }", "op f(x) { return x } backward(y, dy) { return dy }"),
        ("dim S=128 in 1 .. 2*512", "dim S = 128 in 1..2 * 512"),
        ("z = x[1 : 3,:, : : 2 , -1]", "z = x[1:3, :, ::2, -1]"),
        ("z = transpose(x) [0]", "z = transpose(x)[0]"),
        ("fn f(eps:f32=1e-5,)->f32{", "fn f(eps: f32 = 1e-5,) -> f32 {"),
        ("op f( x,beta = 1.0,k=[1,-2] ){", "op f(x, beta=1.0, k=[1, -2]) {"),
        ("op f(x:T[ ...,2 * N+1] , s:T)->T[...]{", "op f(x: T[..., 2*N + 1], s: T) -> T[...] {"),
        ("y=reshape(x,[ ... ,N / 2,2])+op[0]", "y = reshape(x, [..., N/2, 2]) + op[0]"),
        ("return a,-b, [1, -2]", "return a, -b, [1, -2]"),
    ],
)  # fmt: skip
def test_spaces(given_: str, expected: str):
    assert format_text(given_) == expected + "\n"


def test_indentation_empty_lines_and_columns():
    messy = """

dim B = 2 // batch
dim Long = 3 // more


param w:f32[B]=zeros()
param bias:f32[B,Long] = normal(seed=1,
   std=0.5)
fn f(
x: f32[B],     // in
  y: f32[B]
) -> f32[B] {

for t in 0..3 with x {
      // a step
   x = relu(add(x,
y))

}

return x
}

"""
    assert (
        format_text(messy)
        == """dim B    = 2  // batch
dim Long = 3  // more

param w: f32[B]          = zeros()
param bias: f32[B, Long] = normal(seed=1,
  std=0.5)
fn f(
  x: f32[B],  // in
  y: f32[B]
) -> f32[B] {
  for t in 0..3 with x {
    // a step
    x = relu(add(x,
      y))
  }

  return x
}
"""
    )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TEXTS), st.randoms(use_true_random=False))
def test_any_layout_of_a_program_becomes_the_same(text: str, rng):
    """Spaces inside lines, indentation and empty lines do not matter, except inside strings, comments and types."""

    def loosened(line: str) -> str:
        code, slash, comment = line.partition("//")
        pieces = re.split(r'("[^"]*"|[ ])', code.strip())
        code = "".join(" " * rng.choice((1, 1, 3)) if p == " " else p for p in pieces)
        return " " * rng.randrange(9) + code + " " * rng.randrange(3) + slash + comment

    messy = "".join(
        "\n" * rng.randrange(3) + loosened(line) + "\n" for line in text.splitlines() if line.strip()
    )
    tidy = format_text(messy)
    assert format_text(tidy) == tidy
    assert re.sub(r"\s+", " ", tidy) == re.sub(r"\s+", " ", format_text(text))
    if "relo" not in text:
        assert tree_of(tidy) == tree_of(text)


# -- the command ----------------------------------------------------------------------------------------------------


def test_files_are_rewritten_and_checked(tmp_path: Path):
    good, bad, messy = tmp_path / "good.tg", tmp_path / "bad.tg", tmp_path / "messy.tg"
    good.write_text("dim B = 2\n")
    messy.write_text("dim   B=2\n")
    bad.write_text("dim B = \n")
    code, _, err = irkit_cli("fmt", "--check", good, messy)
    assert code == 1 and "messy.tg is not laid out as irkit fmt does it" in err and "good.tg" not in err
    assert messy.read_text() == "dim   B=2\n"
    code, out, err = irkit_cli("fmt", good, messy, bad)
    assert code == 1 and out == f"formatted {messy}\n" and "bad.tg:1:7: error" in err
    assert messy.read_text() == "dim B = 2\n" and bad.read_text() == "dim B = \n"
    assert irkit_cli("fmt", "--check", good, messy) == (0, "", "")


def test_standard_input_goes_to_standard_output():
    assert irkit_cli("fmt", "-", stdin="dim   B=2") == (0, "dim B = 2\n", "")
    code, out, err = irkit_cli("fmt", "nosuch.tg")
    assert (code, out) == (1, "") and "there is no file 'nosuch.tg'" in err


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_comment_ends_where_its_line_does(separator: str):
    text = f"fn f(x: f32[2]) -> f32[2] {{\n  return x  // one{separator}y = 2 * x\n}}\n"
    assert format_text(text) == text
    assert tree_of(text)


def test_control_flow_and_settings():
    messy = """import   "lib/a.tg"
fn main(x:f32[4],n:i32)->(f32[4],f32[3,4]){
y=x
while any(y>1) max 10 with y{
y=y/2
}
if n>0 with y{
y= -y
}else if ~(n==0)&true with y {
y=y|y
} else{
y=y<<1
}
for t in 0..3 with y collect z{
z=y
}
w[i]=sum(j) x[i]*x[j],boundary=zero,schedule="tile i 8"
return y,z
}
"""
    wanted = """import "lib/a.tg"
fn main(x: f32[4], n: i32) -> (f32[4], f32[3, 4]) {
  y = x
  while any(y > 1) max 10 with y {
    y = y / 2
  }
  if n > 0 with y {
    y = -y
  } else if ~(n == 0) & true with y {
    y = y | y
  } else {
    y = y << 1
  }
  for t in 0..3 with y collect z {
    z = y
  }
  w[i] = sum(j) x[i] * x[j], boundary=zero, schedule="tile i 8"
  return y, z
}
"""
    assert format_text(messy) == wanted
    assert format_text(wanted) == wanted
