"""Random ONNX models through the importer, the passes and compiled C: some that stay, others with every change."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from irkit.onnx.node import RULES, Node
from irkit.onnx.values import Value
from tests.from_onnx.models import info, model
from tests.fuzz_onnx.check import Sample, check, checker
from tests.fuzz_onnx.expected import difference, expect
from tests.fuzz_onnx.generate import generate
from tests.fuzz_onnx.minimise import minimised
from tests.fuzz_onnx.runners import reference
from tests.rotating import change

ROTATING = 1_000_000 + 1000 * change()


@pytest.mark.parametrize(
    ("first", "count", "level"),
    [
        (0, 12, None),
        (0, 4, "-O0"),
        pytest.param(ROTATING, 12, None, marks=pytest.mark.slow),
        pytest.param(ROTATING + 500, 4, "-O0", marks=pytest.mark.slow),
    ],
)
def test_some_models(first: int, count: int, level: str | None):
    """Compared with ONNX's evaluator; ONNX Runtime, which knows more, is asked by `python -m tests.fuzz_onnx`."""
    samples = [generate(seed) for seed in range(first, first + count)]
    outcomes = check(samples, reference, level)
    wrong = [f"{s.name}: {o.reason}" for s, o in zip(samples, outcomes, strict=True) if o.kind == "wrong"]
    assert not wrong, "\n".join(wrong)
    assert sum(o.kind == "passed" for o in outcomes) > len(samples) / 2


@pytest.mark.slow
def test_many_models():
    used: Counter[str] = Counter()
    for first in range(100, 340, 24):
        samples = [generate(seed) for seed in range(first, first + 24)]
        outcomes = check(samples, reference)
        assert not [o for o in outcomes if o.kind == "wrong"], outcomes
        for sample in samples:
            used.update(sample.ops())
    assert len(used) > 125, sorted(used)


# -- the tool itself --------------------------------------------------------------------------------------------------

X = np.arange(-6, 6, dtype=np.float32).reshape(3, 4) / 3


def written(text: str, **arrays: np.ndarray) -> Sample:
    nodes = [onnx.parser.parse_node(line) for line in text.split(";")]
    used = {n for node in nodes for n in node.input}
    ends = [n for node in nodes for n in node.output if n not in used]
    return Sample("written", model(nodes, [info(n, a) for n, a in arrays.items()], ends), arrays)


def minus_is_plus(n: Node) -> Value:
    return n[0] + n[1]


def test_a_planted_bug_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch):
    sample = written(
        "a = Tanh(x); b = Mul(a, x); c = Sub(b, a); d = Relu(c); e = Concat<axis=1>(d, a); f = Exp(a)", x=X
    )
    one = checker(reference, None)
    assert one(sample).kind == "passed"
    monkeypatch.setitem(RULES, ("", "Sub"), minus_is_plus)
    outcome = one(sample)
    assert outcome.kind == "wrong" and outcome.output == "e" and "the reference gives" in outcome.reason
    small = minimised(sample, outcome.output, one, reference)
    assert [node.op_type for node in small.model.graph.node] == ["Sub"]


def test_what_is_decided_by_a_rounding_is_not_compared():
    """0.1 * 30 may be just below 3 or 3; 0.1 * 35 is far from any integer."""
    sample = written(
        "y = Mul(x, w); z = Floor(y)", x=np.array([30, 35], np.float32), w=np.array([0.1, 0.1], np.float32)
    )
    expected = expect(sample.model, sample.inputs, reference, shakes=20)
    plain = expected.plain["z"]
    assert difference(plain - np.array([1, 0], np.float32), "z", expected) is None
    assert "for 3.0" in (difference(plain - np.array([0, 1], np.float32), "z", expected) or "")


def test_differences_are_told():
    expected = expect((s := written("y = Exp(x)", x=X)).model, s.inputs, reference)
    plain = expected.plain["y"]
    assert difference(plain * np.float32(1 + 1e-6), "y", expected) is None
    assert "12 of 12 wrong" in (difference(plain * np.float32(1.001), "y", expected) or "")
    assert "float64[3, 4] for float32[3, 4]" in (difference(plain.astype(float), "y", expected) or "")
    assert "float32[4, 3]" in (difference(plain.T, "y", expected) or "")
    nan = np.where(np.arange(12).reshape(3, 4) == 5, np.float32(np.nan), plain)
    assert "at [1, 1], 1 of 12" in (difference(nan, "y", expected) or "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("y = Log(x); z = Cast<to=7>(y); e = Add(z, z)", "Cast of what does not fit"),
        ("y = Log(x); e = Max(y, x)", "Max of NaN"),
        ("y = Cast<to=7>(x); e = Div(y, y)", "Div by zero"),
    ],
)
def test_what_onnx_leaves_open_is_told(text: str, why: str):
    outcome = checker(reference, None)(written(text, x=X))
    assert outcome.kind == "passed" and list(outcome.open) == [why]


def test_crashes_are_wrong_and_refusals_are_not(monkeypatch: pytest.MonkeyPatch):
    one = checker(reference, None)
    assert one(written("y = Cast<to=8>(x)", x=X)).kind == "refused"

    def broken(n: Node) -> Value:
        raise KeyError("planted")

    monkeypatch.setitem(RULES, ("", "Tanh"), broken)
    assert "KeyError" in one(written("y = Tanh(x)", x=X)).reason
    assert one(written("y = Tanh(x)", x=X)).kind == "wrong"
