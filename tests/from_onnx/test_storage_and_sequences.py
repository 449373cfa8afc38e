"""Types for storage, sequences, n-grams and dropout: what the suites of the `onnx` package do not have."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import irkit
from dialects.errors import ErrorList, IrkitError
from irkit.onnx.backend import IrkitBackend
from tests.from_onnx import batches
from tests.from_onnx.written import case, floats, model

POWERS = np.float32([1, 1.2, 1.5, 1.9, 3, 6, 0.75, 2.0**127, 1e38, 250, np.nan])
TINY = np.float32([1, 1.2, 1.9, 2]) * np.float32(2.0**-127)
GRAMS = "max_gram_length=2, min_gram_length=1, ngram_counts=[0, 2], pool_int64s=[3, 4, 3, 4, 4, 4]"


def powers(mode: str, saturate: int) -> batches.Case:
    """A cast to f8e8m0 that rounds so, and what it gives as multiples of 2^-126."""
    x = np.concatenate([POWERS, TINY, np.float32([0, 1e-45, 3.4e38, np.inf] if saturate else [])])
    expected = onnx.numpy_helper.to_float8e8m0(x, bool(saturate), mode).astype(np.float32)
    expected[11:15] = {"up": [0.5, 1, 1, 1], "down": [0.5, 0.5, 0.5, 1], "nearest": [0.5, 1, 1, 1]}[mode]
    expected[11:15] *= 2.0**-126
    expected[18:] = 2.0**127  # where the reference has NaN for what is infinite
    nodes = [f'p = Cast<to={TensorProto.FLOAT8E8M0}, saturate={saturate}, round_mode="{mode}">(x)']
    nodes += [f"q = Cast<to={TensorProto.FLOAT}>(p)", "y = Mul(q, c)"]
    scale = np.float32(2.0**126)
    with np.errstate(over="ignore"):
        return case(nodes, {"x": x, "c": scale}, expected * scale, version=24)


def test_rules():
    x, tokens = floats(6, 4), np.array([[3, 4, 4, 4, 1], [4, 3, 9, 4, 4]], np.int64)
    counts = [[1, 3, 1, 2], [1, 3, 0, 1]]
    weighted = np.float32(counts) * np.float32([1, 2, 0.5, 3])
    cases = [powers(mode, saturate) for mode in ("up", "down", "nearest") for saturate in (0, 1)]
    cases += [
        case(
            ["s = SplitToSequence<axis=1>(x, n)", "t = SequenceAt(s, m)", "u = SequenceErase(s)",
             "y = ConcatFromSequence<axis=-1, new_axis=1>(u)", "z = SequenceLength(u)"],
            {"x": x, "n": np.array(1), "m": np.array(-2)},
            [x[:, 2:3], np.stack([x[:, i : i + 1] for i in range(3)], axis=-1), np.array(3)],
            outputs=("t", "y", "z"),
        ),
        case("y = ReverseSequence<batch_axis=0, time_axis=1>(x, n)", {"x": x, "n": np.full(6, 2)}),
        case(f'y = TfIdfVectorizer<mode="TF", max_skip_count=0, ngram_indexes=[0, 1, 2, 3], {GRAMS}>(x)',
             {"x": tokens}, np.float32(counts)),
        case(f'y = TfIdfVectorizer<mode="TF", max_skip_count=0, ngram_indexes=[3, 0, 1, 5], {GRAMS}>(x)',
             {"x": tokens[0]}, np.float32([3, 1, 0, 1, 0, 2])),
        case(f'y = TfIdfVectorizer<mode="TFIDF", max_skip_count=0, ngram_indexes=[0, 1, 2, 3], '
             f"weights=[1.0, 2.0, 0.5, 3.0], {GRAMS}>(x)", {"x": tokens}, weighted),
        case("y = BitCast<to=12>(x)", {"x": x}, x.view(np.uint32), version=26),
    ]  # fmt: skip
    faults = [o for o in batches.run(cases) if o.kind != "passed"]
    assert not faults, faults


def test_a_backend_takes_and_gives_sequences():
    """As lists; each length has a program of its own."""
    info = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("SequenceInsert", ["s", "x"], ["y"]),
        helper.make_node("SequenceLength", ["s"], ["n"]),
    ]
    wanted = [helper.make_empty_tensor_value_info(name) for name in ("y", "n")]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    made = helper.make_model(helper.make_graph(nodes, "main", [info, x], wanted), ir_version=10)
    prepared = IrkitBackend.prepare(made)
    for length in (2, 0, 1):
        given = [floats(3, seed=i) for i in range(length)]
        found, count = prepared.run([given, np.ones(2, np.float32)])
        assert [a.tolist() for a in found] == [*(a.tolist() for a in given), [1, 1]] and count == length
    with pytest.raises((IrkitError, ErrorList), match="it is a sequence, and no tensor"):
        irkit.from_onnx(made)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (["s = SequenceConstruct(x)", "y = Relu(s)"], "irkit does not support a sequence as input 0"),
        (["s = SequenceConstruct(x)", "i = Constant<value_int=1>()", "y = SequenceAt(s, i)"], "place 1 of a sequence of 1"),
        (["y = SequenceLength(x)"], "input 0 that is no sequence"),
        (["s = Optional()", "y = OptionalGetElement(s)"], "the element of an empty optional"),
        (["s = SequenceEmpty()", "y = ConcatFromSequence<axis=0>(s)"], "an empty sequence"),
        (["y = BitCast<to=5>(x)"], "the bits of f32 as i16"),
    ],
)  # fmt: skip
def test_what_is_refused(nodes: list[str], message: str):
    with pytest.raises(IrkitError, match=message):
        irkit.from_onnx(model(nodes, {"x": floats(3)}, version=26))


def test_a_dropout_that_trains_drops_the_part_that_it_says():
    given = {"x": np.ones(4000, np.float32), "r": np.float32(0.25), "t": np.array(True)}
    made = model(["y, m = Dropout<seed=3>(x, r, t)"], given, ("y", "m"))
    y, kept = IrkitBackend.prepare(made).run(list(given.values()))
    np.testing.assert_allclose(y, kept / np.float32(0.75), rtol=1e-6)
    assert 0.7 < kept.mean() < 0.8
