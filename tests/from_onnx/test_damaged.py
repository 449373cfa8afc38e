"""Files that are damaged, or made to do harm: always an error that tells what is wrong, never anything else."""

from __future__ import annotations

import contextlib
import os
import random
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dialects.errors import ErrorList, IrkitError
from irkit.onnx import from_onnx
from tests.from_onnx.models import info, model, node_model

rng = np.random.default_rng(5)


def numbers(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def network() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="/conv/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "zeros"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["r", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "m"], ["y"]),
        helper.make_node("Softmax", ["y"], ["p"], axis=-1),
    ]
    data = {
        "w": numbers(2, 1, 3, 3),
        "b": numbers(2),
        "zero": np.array(0, np.int64),
        "zeros": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
        "m": numbers(32, 3),
    }
    return model(nodes, [info("x", ["batch", 1, 4, 4])], ["p"], data)


def loops() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("Add", ["a", "x"], ["a2"]),
            helper.make_node("Identity", ["go"], ["go2"]),
            helper.make_node("Mul", ["a2", "two"], ["y"]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("a", [3])],
        [info("go2", [], TensorProto.BOOL), info("a2", [3]), info("y", [3])],
    )
    ways = [
        helper.make_graph([helper.make_node(op, ["last"], ["z"])], op, [], [info("z", [3])])
        for op in ("Neg", "Abs")
    ]
    nodes = [
        helper.make_node("Loop", ["rounds", "", "x"], ["last", "all"], body=body),
        helper.make_node("If", ["p"], ["out"], then_branch=ways[0], else_branch=ways[1]),
    ]
    data = {"rounds": np.array(4, np.int64), "two": np.array(2, np.float32)}
    return model(nodes, [info("x", [3]), info("p", [], TensorProto.BOOL)], ["out", "all"], data)


def layers() -> onnx.ModelProto:
    function = helper.make_function(
        "own",
        "Twice",
        ["v"],
        ["w"],
        [helper.make_node("Add", ["v", "v"], ["w"])],
        [helper.make_opsetid("", 22)],
    )
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b"], ["y", "h"], hidden_size=3, activations=["Sigmoid", "Tanh", "Tanh"]),
        helper.make_node("LayerNormalization", ["h", "s"], ["n"], axis=-1),
        helper.make_node("Twice", ["n"], ["t"], domain="own"),
    ]  # fmt: skip
    data = {"w": numbers(1, 12, 2), "r": numbers(1, 12, 3), "b": numbers(1, 24), "s": numbers(3)}
    return model(nodes, [info("x", [4, 1, 2])], ["t", "y"], data, domains={"own": 1}, functions=[function])


MODELS = {"network": network, "loops": loops, "layers": layers}


@pytest.mark.parametrize("name", MODELS)
def test_whole(name: str):
    assert "fn main" in from_onnx(MODELS[name]()).tg()


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A bit turned, bytes replaced, removed, doubled, or the end cut off."""
    found = bytearray(content)
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        at = dice.randrange(len(found))
        kind = dice.randrange(6)
        if kind <= 1:
            found[at] ^= 1 << dice.randrange(8)
        elif kind == 2:
            found[at] = dice.choice([0, 1, 2, 127, 128, 255])
        elif kind == 3:
            del found[at : at + dice.choice([1, 2, 8])]
        elif kind == 4:
            found[at:at] = found[at : at + dice.choice([1, 4, 16])]
        elif len(found) > 32:
            del found[max(32, at) :]
    return bytes(found)


def check_mutations(name: str, seeds: range, path: Path) -> None:
    content = MODELS[name]().SerializeToString()
    for seed in seeds:
        path.write_bytes(mutated(content, random.Random(seed)))
        try:
            from_onnx(path).tg()
        except (IrkitError, ErrorList) as fault:
            str(fault)
        except BaseException as fault:
            raise AssertionError(f"seed {seed} of {name}: {type(fault).__name__}: {fault}") from fault


@pytest.mark.parametrize("name", MODELS)
def test_mutations(name: str, tmp_path: Path):
    check_mutations(name, range(100), tmp_path / "m.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("start", range(1000, 6000, 1000))
def test_more_mutations(name: str, start: int, tmp_path: Path):
    check_mutations(name, range(start, start + 1000), tmp_path / "m.onnx")


def test_cut_off(tmp_path: Path):
    content = network().SerializeToString()
    path = tmp_path / "m.onnx"
    for size in range(0, len(content) - 1, 7):
        path.write_bytes(content[:size])
        with pytest.raises((IrkitError, ErrorList)):
            from_onnx(path)


def message(proto: onnx.ModelProto | str | Path, **given) -> str:
    with pytest.raises((IrkitError, ErrorList)) as caught:
        from_onnx(proto, **given)
    return str(caught.value)


# -- tensors ----------------------------------------------------------------------------------------------------------


def with_external(folder: Path, location: str, **facts: object) -> Path:
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], [info("x", [20])], ["y"], {"w": numbers(20)})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **facts}.items():
        tensor.external_data.add(key=key, value=str(value))
    folder.mkdir(exist_ok=True)
    (folder / "w.bin").write_bytes(bytes(200))
    onnx.save(proto, folder / "m.onnx")
    return folder / "m.onnx"


def test_external_data(tmp_path: Path):
    folder = tmp_path / "model"
    (tmp_path / "secret").write_bytes(bytes(80))
    for facts in ({"length": 80}, {"offset": 100, "length": 80}, {"offset": 120}):
        assert "load(" in from_onnx(with_external(folder, "w.bin", **facts)).tg()
    outside = "lies outside of the model's folder"
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    for where in ("../secret", str(tmp_path / "secret"), "link", "up/secret", "a/../../secret", ""):
        assert outside in message(with_external(folder, where, length=80)), where
    (folder / "round").symlink_to("round")
    for where in ("round", "none.bin", ".", "a\0b", "x" * 5000):
        text = message(with_external(folder, where, length=80))
        assert "is missing" in text or "has no place" in text or outside in text, where


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"length": 40}, "has other data"),
        ({"length": 8000}, "has other data"),
        ({"offset": 150, "length": 80}, "ends before it should"),
        ({"offset": -8, "length": 80}, "has other data"),
        ({"offset": 10**30, "length": 80}, "ends before it should"),
        ({"offset": "x", "length": 80}, "has no place"),
        ({}, "has other data"),
    ],
)
def test_external_data_of_another_size(facts: dict, text: str, tmp_path: Path):
    assert text in message(with_external(tmp_path / "m", "w.bin", **facts))


def test_external_data_in_attributes(tmp_path: Path):
    """Of nodes and of functions, which may not read elsewhere either."""
    value = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    value.external_data.add(key="location", value="/etc/hostname")
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.append(helper.make_attribute("value", value))
    add = helper.make_node("Add", ["x", "c"], ["y"])
    plain = model([node, add], [info("x", [1])], ["y"])
    function = helper.make_function("own", "F", ["x"], ["y"], [node, add], [helper.make_opsetid("", 22)])
    call = helper.make_node("F", ["x"], ["y"], domain="own")
    inside = model([call], [info("x", [1])], ["y"], domains={"own": 1}, functions=[function])
    for proto in (plain, inside):
        assert "lies outside of the model's folder" in message(proto)


@pytest.mark.parametrize("dims", [[1 << 40], [1 << 31, 1 << 31, 1 << 31], [-1], [3]])
def test_shapes_without_their_data(dims: list[int]):
    proto = model([helper.make_node("Neg", ["w"], ["y"])], [], ["y"], {"w": numbers(2)})
    proto.graph.initializer[0].dims[:] = dims
    text = message(proto)
    assert "has other data" in text or "negative size" in text
    proto.graph.initializer[0].ClearField("raw_data")
    message(proto)


def test_little_that_means_much():
    """Small files whose values would be large are no reason to compute them while importing."""
    million = np.array([1 << 20, 1 << 20], np.int64)
    cases = [
        model([helper.make_node("ConstantOfShape", ["s"], ["y"])], [], ["y"], {"s": million}),
        model([helper.make_node("Expand", ["v", "s"], ["y"])], [], ["y"], {"s": million, "v": numbers(1)}),
        model([helper.make_node("MatMul", ["a", "b"], ["y"])], [], ["y"], {"a": numbers(60000, 1), "b": numbers(1, 60000)}),
        model([helper.make_node("Add", ["a", "b"], ["y"])], [], ["y"], {"a": numbers(60000, 1), "b": numbers(1, 60000)}),
        model([helper.make_node("Range", ["a", "b", "c"], ["y"])], [], ["y"], {k: np.array(v, np.int64) for k, v in (("a", 0), ("b", 1 << 40), ("c", 1))}),
        model([helper.make_node("Tile", ["v", "s"], ["y"])], [], ["y"], {"s": million, "v": numbers(1, 1)}),
        model([helper.make_node("Pad", ["v", "s"], ["y"])], [], ["y"], {"s": million, "v": numbers(1)}),
    ]  # fmt: skip
    tracemalloc.start()
    try:
        for proto in cases:
            with contextlib.suppress(IrkitError, ErrorList):
                from_onnx(proto)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_sparse():
    proto = model([helper.make_node("Neg", ["w"], ["y"])], [], ["y"])
    elements = onnx.numpy_helper.from_array(numbers(2), "w")
    places = onnx.numpy_helper.from_array(np.array([0, 5], np.int64), "places")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(elements, places, [2, 3]))
    found = from_onnx(proto).interpret()[0]
    assert np.count_nonzero(found) == 2 and found[0, 0] and found[1, 2]
    for dims, text in (([2, 2], "no such places"), ([1 << 20, 1 << 20], "too large"), ([-6], "too large")):
        proto.graph.sparse_initializer[0].dims[:] = dims
        assert text in message(proto)


# -- graphs -----------------------------------------------------------------------------------------------------------


def test_order_and_names():
    one, two = (
        helper.make_node("Neg", ["a"], ["b"], name="one"),
        helper.make_node("Abs", ["b"], ["a"], name="two"),
    )
    text = message(model([one, two], [info("x", [3])], ["a"]))  # a cycle
    assert "node 'one' (Neg) reads 'a', which nothing before it computes" in text
    assert "node 'two' (Abs) computes it" in text
    three = helper.make_node("Exp", ["x"], ["b"], name="three")
    assert "computes it" in message(model([two, three], [info("x", [3])], ["a"]))
    again = helper.make_node("Neg", ["x"], ["b"], name="again")
    assert "two nodes compute 'b'" in message(model([three, again], [info("x", [3])], ["b"]))
    x = info("x", [3])
    assert "two inputs of the model have the name 'x'" in message(model([three], [x, x], ["b"]))
    assert "gives 'z', which nothing computes" in message(model([three], [x], ["z"]))
    assert "reads 'q', which nothing before it computes" in message(
        model([helper.make_node("Neg", ["q"], ["b"])], [x], ["b"])
    )


def test_functions_without_end():
    def call(name: str, x: str, y: str) -> onnx.NodeProto:
        return helper.make_node(name, [x], [y], domain="own")

    def function(name: str, nodes: list[onnx.NodeProto]) -> onnx.FunctionProto:
        return helper.make_function("own", name, ["x"], ["y"], nodes, [helper.make_opsetid("own", 1)])

    def importing(functions: list[onnx.FunctionProto]) -> str:
        return message(
            model([call("F0", "x", "y")], [info("x", [3])], ["y"], domains={"own": 1}, functions=functions)
        )

    assert "nested too deeply" in importing([function("F0", [call("F0", "x", "y")])])


def test_functions_that_multiply(monkeypatch: pytest.MonkeyPatch):
    """Each calls the one before it eight times."""
    monkeypatch.setattr("irkit.onnx.importer.MAX_NODES", 300)

    def function(level: int) -> onnx.FunctionProto:
        op, domain = (f"F{level - 1}", "own") if level else ("Neg", "")
        steps = [helper.make_node(op, [f"v{k}"], [f"v{k + 1}"], domain=domain) for k in range(8)]
        opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 22)]
        return helper.make_function("own", f"F{level}", ["v0"], ["v8"], steps, opsets)

    call = helper.make_node("F3", ["x"], ["y"], domain="own")
    functions = [function(k) for k in range(4)]
    proto = model([call], [info("x", [3])], ["y"], domains={"own": 1}, functions=functions)
    assert "more than 300 nodes" in message(proto)


def test_other_faults(tmp_path: Path):
    proto = network()
    proto.opset_import[0].version = 1 << 40
    assert "an opset that is not known here" in message(proto)
    del proto.opset_import[:]
    assert "does not say which opset" in message(proto)
    assert "found: a folder" in message(tmp_path)
    assert "there is no file" in message(tmp_path / "none.onnx")
    assert "bad name of a file" in message("a\0b.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    assert "is no ONNX model" in message(tmp_path / "text.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "no regular file" in message(tmp_path / "pipe.onnx")
    assert "dims that large" in message(
        model([helper.make_node("Neg", ["x"], ["y"])], [info("x", [1 << 62])], ["y"])
    )
    strings = model(
        [helper.make_node("Neg", ["x"], ["y"])], [info("x", [3])], ["y"], {"s": np.array(["a"], object)}
    )
    assert "initialiser 's' cannot be imported: tensors of STRING" in message(strings)
    for given in (-2, (3, 2), (-1, 4), (1, 1 << 60), 1 << 60, "4", (1, 2, 3), 2.5):
        assert "bad size of dim 'batch'" in message(network(), dims={"batch": given})
    wrong = node_model("Softmax", {"x": numbers(3)}, ["y"], axis="last")
    assert "node 1 (Softmax) cannot be imported" in message(wrong)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [3])), "it is a sequence"),
        (helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [3])), "it is an optional"),
        (helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, [3])), "it is a map"),
        (helper.make_sparse_tensor_type_proto(1, [3]), "it is a sparse tensor"),
        (helper.make_tensor_type_proto(TensorProto.STRING, [3]), "tensors of STRING"),
        (helper.make_tensor_type_proto(1, None), "it has no rank"),
        (onnx.TypeProto(), "it has no type"),
    ],
)  # fmt: skip
def test_inputs_of_other_types(kind: onnx.TypeProto, text: str):
    proto = model([helper.make_node("Identity", ["x"], ["y"])], [helper.make_value_info("x", kind)], ["y"])
    assert f"input 'x' cannot be imported: {text}" in message(proto)


@pytest.mark.parametrize("op", ["StringConcat", "StringSplit", "StringNormalizer"])
def test_ops_of_other_types(op: str):
    text = message(model([helper.make_node(op, ["x"], ["y"], name="n")], [info("x", [3])], ["y"]))
    assert f"irkit has no rule for the op {op} of opset 22" in text
    assert text.count("error:") == 1
