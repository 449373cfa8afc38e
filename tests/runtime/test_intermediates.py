"""What kernels leave, dumped and held to the reference: planted faults are named where they first show."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_cli import irkit_cli
from xdsl.dialects import math

import irkit
from irkit.intermediates import intermediates
from lowering.c import scalars

LAYERS = """fn main(x: f32[8, 32], w: f32[32, 32]) -> (y: f32[8, 32], total: f32[32]) {
  h = relu(x @ w)
  y = tanh(h @ w)
  for t in 0..3 with y { y = y @ w }
  return y, sum(y, axis=0)
}
"""


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    path = tmp_path / "layers.tg"
    path.write_text(LAYERS)
    return path


def test_every_output_of_a_kernel_is_kept_and_agrees(layers: Path, tmp_path: Path):
    folder = tmp_path / "dump"
    code, out, err = irkit_cli("run", layers, "--dump-intermediates", folder, "--threads", 2)
    assert code == 0, err
    assert "the loop at" in out and "agree with the reference" in out
    index = json.loads((folder / "index.json").read_text())
    assert {p.name for p in folder.iterdir()} == {"index.json", *(row["file"] for row in index)}
    first = next(row for row in index if row["name"] == "h")
    assert first["shape"] == [8, 32] and first["dtype"] == "f32" and first["agrees"]
    assert first["source"] == [f"{layers}:2"]
    assert (np.load(folder / "h.npy") >= 0).all()


def test_the_first_divergence_is_named(layers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(scalars.FUNCTIONS, math.TanhOp, "exp")
    call = irkit.compile(layers).prepare(*random_arrays())
    report = intermediates(call)
    wrong = report.first_difference
    assert wrong is not None and "tanh" in wrong.kernel
    assert [(Path(s.file).name, s.line) for s in wrong.sources] == [("layers.tg", 3)]
    assert "first divergence: 'y" in report.lines()[-1]
    assert "layers.tg:3" in report.lines()[-1]


def random_arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(np.float32) for s in ((8, 32), (32, 32))]


def test_a_program_below_the_graph_level_has_none(tmp_path: Path):
    path = tmp_path / "low.mlir"
    path.write_text(str(irkit.lower("fn main(x: f32[4]) -> f32[4] { return x + 1 }", "kernel")))
    with pytest.raises(irkit.IrkitError, match="intermediates need a program at the graph level"):
        intermediates(irkit.compile(path).prepare(np.ones(4, np.float32)))
