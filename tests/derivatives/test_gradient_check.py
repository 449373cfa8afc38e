"""The check of derivatives: right ones pass, a wrong rule is found and named, corners are told from faults."""

from __future__ import annotations

import numpy as np
import pytest

import irkit
from lowering.graph.derivatives.rules import PARTIALS
from tests.derivatives.cases import CASES

MLP = """
fn loss(x: f32[5, 4], y: i32[5], w: f32[4, 3], b: f32[3]) -> f32 {
  h = gelu(x @ w + b)
  return mean(cross_entropy(h, y))
}
"""


@pytest.mark.parametrize("name", list(CASES)[::9])
def test_right_derivatives_pass(name: str):
    report = irkit.check_grad(CASES[name])
    assert report.passes, [(r.what, r.modes, r.differences, r.place) for r in report.rows if not r.passes]


def test_rows_are_ops_and_arguments():
    report = irkit.check_grad(MLP)
    assert [r.what for r in report.rows] == [
        "add",
        "cross_entropy",
        "gelu",
        "matmul",
        "reduce_mean",
        "argument x",
        "argument w",
        "argument b",
    ]
    assert report.passes and all(r.count == 3 for r in report.rows)
    assert any("3:" in r.place for r in report.rows if r.what == "gelu")


def test_a_wrong_rule_is_found_and_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PARTIALS, "tanh", (lambda t, y, x: t * (1.0 - y),))
    report = irkit.check_grad("fn f(x: f32[4]) -> f32[4] { return exp(tanh(x)) }")
    wrong = {r.what for r in report.rows if not r.passes}
    assert wrong == {"tanh", "argument x"}
    (row,) = (r for r in report.rows if r.what == "tanh")
    assert row.verdict == "wrong" and row.differences > 1e-2 and row.modes < 1e-8


def test_a_corner_is_no_fault():
    report = irkit.check_grad("fn f(x: f32[3]) -> f32[3] { return relu(x) }", arrays={"x": np.zeros(3)})
    assert report.passes and {r.verdict for r in report.rows} == {"ok, at a corner"}


def test_floats_of_sixteen_bits_are_checked_in_doubles():
    report = irkit.check_grad("fn f(x: f16[6], w: bf16[6]) -> f16[6] { return x * cast(tanh(w), f16) }")
    assert report.passes


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("fn f(x: i32[3]) -> i32[3] { return x }", "no argument of floats"),
        ("fn f(x: f32[3]) -> i64 { return argmax(x) }", "no result of floats"),
    ],
)
def test_nothing_to_check(text: str, what: str):
    with pytest.raises(irkit.IrkitError, match=what):
        irkit.check_grad(text)
