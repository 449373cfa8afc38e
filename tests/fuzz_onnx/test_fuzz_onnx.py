"""Random ONNX models through the importer, the passes and compiled C: a few that stay, others with every change."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import helper

from irkit.onnx.rules import elementwise
from tests.from_onnx.models import info, model
from tests.fuzz_onnx.check import Sample, check, checker
from tests.fuzz_onnx.expected import difference, expect, reference
from tests.fuzz_onnx.generate import generate
from tests.fuzz_onnx.minimise import minimised
from tests.rotating import change

COUNT = 12
ROTATING = 1_000_000 + 1000 * change()


@pytest.mark.parametrize("first", [0, ROTATING])
def test_some_models(first: int):
    samples = [generate(seed) for seed in range(first, first + COUNT)]
    outcomes = check(samples, reference)
    wrong = [f"{s.name}: {o.reason}" for s, o in zip(samples, outcomes, strict=True) if o.kind == "wrong"]
    assert not wrong, "\n".join(wrong)
    assert sum(o.kind == "passed" for o in outcomes) > COUNT / 2
