"""Random ONNX models over a hundred ops, some with a dim left open, in one of several opsets."""

from __future__ import annotations

import numpy as np

from tests.fuzz_onnx import computing, control, elementwise, moving  # noqa: F401, what may be drawn
from tests.fuzz_onnx.check import Sample
from tests.fuzz_onnx.drawing import DRAWS, RANGE, Drawing, RefusedError

OPSETS = (13, 17, 18, 20, 21, 22, 22, 23)


def generate(seed: int) -> Sample:
    """The model of a seed, with inputs: 5 to 30 nodes."""
    rng = np.random.default_rng(seed)
    dim = f"n{seed}" if seed % 4 == 3 else None
    drawing = Drawing(rng, OPSETS[int(rng.integers(len(OPSETS)))], dim)
    weights = np.array([weight for weight, _ in DRAWS])
    wanted = int(rng.integers(5, 31))
    for _ in range(2):
        drawing.given(drawing.numbers(drawing.shape(int(rng.integers(1, 5)))))
    for _ in range(20 * wanted):
        if len(drawing.nodes) >= wanted:
            break
        try:
            DRAWS[int(rng.choice(len(DRAWS), p=weights / weights.sum()))][1](drawing)
        except RefusedError:
            continue
    model = drawing.model()
    used = {i.name for i in model.graph.input}
    inputs = {n: a for n, a in drawing.inputs.items() if n in used}
    return Sample(f"seed{seed}", model, inputs, {dim: RANGE} if dim else {})
