"""`irkit import`: the files that it writes, and what it says where it cannot."""

from __future__ import annotations

import builtins
import io
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from irkit.cli import main
from tests.from_onnx.models import info, model

rng = np.random.default_rng(11)


def irkit(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return main([*map(str, words)], stdout=out, stderr=err), out.getvalue(), err.getvalue()


@pytest.fixture
def mlp(tmp_path: Path) -> Path:
    """Two layers, with a batch of any size."""
    data = {
        "layer1.weight": rng.standard_normal((6, 8)).astype(np.float32),
        "layer1.bias": rng.standard_normal(8).astype(np.float32),
        "layer2.weight": rng.standard_normal((8, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "layer1.weight"], ["/layer1/MatMul_output_0"]),
        helper.make_node("Add", ["layer1.bias", "/layer1/MatMul_output_0"], ["/layer1/Add_output_0"]),
        helper.make_node("Relu", ["/layer1/Add_output_0"], ["/Relu_output_0"]),
        helper.make_node("MatMul", ["/Relu_output_0", "layer2.weight"], ["scores"]),
    ]
    proto = model(nodes, [info("x", ["batch", 6])], [info("scores", ["batch", 3])], data)
    onnx.save(proto, tmp_path / "mlp.onnx")
    return tmp_path / "mlp.onnx"


def test_runs_as_the_model_does(mlp: Path, tmp_path: Path):
    """The files that are written give what the model gives, at other sizes too."""
    target = tmp_path / "new" / "mlp.tg"
    code, out, err = irkit("import", mlp, "-o", target, "--dim", "batch=1..64")
    assert (code, err) == (0, "")
    assert out == f"wrote {target}: 4 ops, 3 parameters, 320 B\n"
    assert sorted(p.name for p in target.parent.iterdir()) == ["mlp.safetensors", "mlp.tg"]
    assert "dim batch = 1 in 1..64" in target.read_text()
    x = rng.standard_normal((5, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    words = ("--dim", "batch=5", "--input", f"x={tmp_path / 'x.npy'}", "--output", tmp_path / "y.npz")
    code, _, err = irkit("run", target, *words)
    assert (code, err) == (0, "")
    wanted = ReferenceEvaluator(str(mlp)).run(None, {"x": x})[0]
    np.testing.assert_allclose(np.load(tmp_path / "y.npz")["scores"], wanted, rtol=1e-5, atol=1e-6)


def test_beside_the_model(mlp: Path):
    assert irkit("import", mlp, "--dim", "batch=4")[0] == 0
    text = mlp.with_suffix(".tg").read_text()
    assert "x: f32[4, 6]" in text
    assert mlp.with_suffix(".safetensors").exists()


def test_dims(mlp: Path):
    for word, text in (
        ("bath=3", "help: did you mean 'batch'?"),
        ("batch=x", "expected: NAME=SIZE or NAME=LEAST..GREATEST"),
        ("batch=8..1", "bad size of dim 'batch'"),
        ("batch=1..", "expected: NAME=SIZE or NAME=LEAST..GREATEST"),
    ):
        code, _, err = irkit("import", mlp, "--dim", word)
        assert code == 1 and text in err, err
    assert not mlp.with_suffix(".tg").exists()


@pytest.fixture
def reshaping(tmp_path: Path) -> Path:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"], name="/Reshape")
    inputs = [info("x", [6]), info("shape", [2], onnx.TensorProto.INT64)]
    onnx.save(model([node], inputs, ["y"]), tmp_path / "reshape.onnx")
    return tmp_path / "reshape.onnx"


def test_values_of_inputs(reshaping: Path, tmp_path: Path):
    code, _, err = irkit("import", reshaping)
    assert code == 1
    assert "node '/Reshape' (Reshape) needs to know the shape while importing" in err
    assert "help: give it: --input shape=VALUE" in err
    np.save(tmp_path / "shape.npy", np.array([3, 2]))
    for value, wanted in (("[2,3]", "f32[2, 3]"), (tmp_path / "shape.npy", "f32[3, 2]")):
        assert irkit("import", reshaping, "--input", f"shape={value}")[0] == 0
        assert wanted in reshaping.with_suffix(".tg").read_text()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("shape=[2", "bad value 'shape=[2'"),
        ('shape={"a": 1}', "bad value"),
        ("shape=none.npy", "cannot read 'none.npy'"),
        ("shap=[2,3]", "help: did you mean 'shape'?"),
        ("shape=[2,3,1]", "input 'shape' cannot have this value"),
        ("shape=[2.5,3]", "input 'shape' cannot have this value"),
    ],
)
def test_bad_values(reshaping: Path, word: str, text: str):
    code, _, err = irkit("import", reshaping, "--input", word)
    assert code == 1 and text in err, err
    assert not reshaping.with_suffix(".tg").exists()


def test_all_that_is_not_supported(tmp_path: Path):
    """Ops without a rule are told before anything else, each once with the names of its nodes."""
    nodes = [
        helper.make_node("StringConcat", ["x", "x"], ["a"], name="first"),
        helper.make_node("StringConcat", ["a", "x"], ["b"], name="second"),
        helper.make_node("Fancy", ["b"], ["c"], name="third", domain="com.example"),
        helper.make_node("Elu", ["c"], ["y"]),
    ]
    onnx.save(model(nodes, [info("x", [3])], ["y"]), tmp_path / "m.onnx")
    code, out, err = irkit("import", tmp_path / "m.onnx")
    assert (code, out) == (1, "")
    assert err.count("error:") == 2
    assert "irkit has no rule for the op StringConcat of opset 22" in err
    assert "m.onnx: first, second" in err
    assert "the op com.example.Fancy, whose domain the model does not import" in err
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_all_settings_that_are_not_supported(tmp_path: Path):
    """So are the settings that rules refuse, and not what follows from a node that could not be imported."""

    def way(op: str) -> onnx.GraphProto:
        return helper.make_graph([helper.make_node(op, ["b0"], ["z"])], op, [], [info("z", [3])])

    nodes = [
        helper.make_node("BitShift", ["x", "x"], ["a"], name="first", direction="UP"),
        helper.make_node("Neg", ["a"], ["b0"], name="follows"),
        helper.make_node(
            "If", ["p"], ["b"], then_branch=way("Abs"), else_branch=way("Neg"), name="follows too"
        ),
        helper.make_node("Gelu", ["x"], ["c"], name="second", approximate="fast"),
    ]
    inputs = [info("x", [3]), info("p", [], onnx.TensorProto.BOOL)]
    onnx.save(model(nodes, inputs, ["b", "c"]), tmp_path / "m.onnx")
    code, _, err = irkit("import", tmp_path / "m.onnx")
    assert code == 1
    assert err.count("error:") == 2
    assert "node 'first' (BitShift): irkit does not support direction='UP'" in err
    assert "node 'second' (Gelu): irkit does not support approximate='fast'" in err


def test_without_the_package(mlp: Path, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def missing(name: str, *rest):
        if name == "irkit.onnx.importer":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "irkit.onnx", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    code, _, err = irkit("import", mlp)
    assert code == 1
    assert "reading ONNX needs the package 'onnx'" in err
    assert "help: pip install 'irkit[onnx]'" in err


def test_bad_files(mlp: Path, tmp_path: Path):
    (tmp_path / "bad.onnx").write_bytes(mlp.read_bytes()[:-40])
    for file, text in (
        (tmp_path / "bad.onnx", "bad.onnx"),
        (tmp_path / "no.onnx", "there is no file"),
        (tmp_path, "a folder"),
    ):
        code, out, err = irkit("import", file, "-o", tmp_path / "out.tg")
        assert (code, out) == (1, "")
        assert text in err and "Traceback" not in err and "fault of irkit" not in err
    assert not (tmp_path / "out.tg").exists()


def test_output_that_cannot_be_written(mlp: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.tg").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for target, text in (
        (tmp_path / "file" / "m.tg", "is a file"),
        (tmp_path / "folder.tg", "found: a folder"),
        (tmp_path / "m.txt", "is no .tg file"),
    ):
        code, _, err = irkit("import", mlp, "-o", target)
        assert code == 1 and text in err, err
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_half_written(mlp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A disk that is full after the weights leaves the files of before."""
    target = tmp_path / "mlp.tg"
    assert irkit("import", mlp)[0] == 0
    before = {p: p.read_bytes() for p in (target, target.with_suffix(".safetensors"))}
    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if self.suffix == ".tg":
            raise OSError(28, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, err = irkit("import", mlp, "--dim", "batch=2")
    assert code == 1
    assert "No space left on device" in err
    assert {p: p.read_bytes() for p in before} == before
    assert not list(tmp_path.glob(".new-*"))
