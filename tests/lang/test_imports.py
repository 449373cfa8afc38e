"""Imports of other files: names, places of errors, weights beside them, cached programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import irkit
from dialects.errors import ErrorList
from irkit.lang import parse, to_graph

LAYERS = """import "sizes.tg"
param w: f32[4, N] = load("weights.safetensors", "w")

fn dense(x: f32[B, 4]) -> f32[B, N] {
  return relu(x @ w)
}
"""
MAIN = """import "lib/layers.tg"
import "lib/sizes.tg"

dim B = 2

fn main(x: f32[B, 4]) -> f32[B, N] {
  return dense(x) + 1
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "main.tg").write_text(MAIN)
    (tmp_path / "lib" / "layers.tg").write_text(LAYERS)
    (tmp_path / "lib" / "sizes.tg").write_text('import "layers.tg"\ndim N = 3\n')  # in a circle
    save_file({"w": np.arange(12, dtype=np.float32).reshape(4, 3)}, tmp_path / "lib" / "weights.safetensors")
    return tmp_path


def errors(path: Path) -> list[str]:
    with pytest.raises(ErrorList) as caught:
        to_graph(parse(path.read_text(), str(path)))
    return [
        f"{Path(e.loc.file).name}:{e.loc.line}:{e.loc.col}: {e.message}" for e in caught.value.errors if e.loc
    ]


def test_names_and_weights_of_imported_files(folder: Path):
    x = np.ones((2, 4), np.float32)
    w = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_allclose(irkit.compile(folder / "main.tg")(x), x @ w + 1)


def test_an_imported_op_takes_what_the_file_gives_it(folder: Path):
    """Its own names are its own: the importing file has a dim, a parameter and a size of the same names."""
    (folder / "ops.tg").write_text(
        "op scaled(x: T[..., N], by=2) -> T[..., N] {\n  w = x * by\n  return w + N\n}\n"
    )
    path = folder / "main.tg"
    path.write_text(
        'import "ops.tg"\nimport "lib/layers.tg"\n'
        + MAIN.split("\n\n", 1)[1].replace("+ 1", "+ scaled(x[:, 1:])")
    )
    x = np.ones((2, 4), np.float32)
    w = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_allclose(irkit.compile(path)(x), x @ w + 2 * x[:, 1:] + 3)
    (folder / "ops.tg").write_text("op scaled(x) {\n  return w + relo(x)\n}\n")
    with pytest.raises(ErrorList) as caught:
        to_graph(parse(path.read_text(), str(path)))
    (error,) = caught.value.errors
    assert error.loc is not None and (Path(error.loc.file).name, error.loc.line) == ("ops.tg", 2)
    assert error.inside is not None and error.inside.endswith("main.tg:6:21")


def test_a_change_of_an_imported_file_is_seen(folder: Path):
    x = np.ones((2, 4), np.float32)
    before = irkit.compile(folder / "main.tg")(x)
    (folder / "lib" / "layers.tg").write_text(LAYERS.replace("relu(x @ w)", "2 * relu(x @ w)"))
    np.testing.assert_allclose(irkit.compile(folder / "main.tg")(x), 2 * (before - 1) + 1)  # pyright: ignore


def test_errors_name_the_file_where_they_are(folder: Path):
    (folder / "lib" / "layers.tg").write_text(LAYERS.replace("x @ w", "x @ x"))
    assert errors(folder / "main.tg") == ["layers.tg:5:15: inner dims of matmul differ: 4 against 2"]
    (folder / "lib" / "layers.tg").write_text(LAYERS.replace("x @ w", "x @ ) w"))
    (folder / "lib" / "sizes.tg").write_text("dim N =\n")
    assert errors(folder / "main.tg") == [
        "layers.tg:5:19: unexpected ')'",
        "sizes.tg:1:7: this ends too early",
    ]


def test_what_cannot_be_imported(folder: Path):
    path = folder / "main.tg"
    path.write_text('import "lib/layer.tg"\nimport lib\n')
    assert errors(path) == ["main.tg:2:8: unexpected 'lib'"]
    path.write_text('import "lib/layer.tg"\nfn main(x: f32) -> f32 { return x }\n')
    assert errors(path) == [f"main.tg:1:8: there is no file '{folder}/lib/layer.tg'"]
    path.write_text('import "lib/layers.tg"\ndim B = 1\nfn dense(x: f32) -> f32 { return x }\n')
    assert errors(path) == ["main.tg:3:4: 'dense' is declared twice"]


def test_locations_of_ops_name_the_imported_file(folder: Path):
    path = folder / "main.tg"
    module = to_graph(parse(path.read_text(), str(path)))
    places = {Path(str(op.location).split('"')[1]).name for op in module.walk() if op.name == "graph.matmul"}
    assert places == {"layers.tg"}


def test_a_text_imports_from_here(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    program = irkit.compile(
        'import "lib/layers.tg"\ndim B = 1\nfn main(x: f32[1, 4]) -> f32[1, N] { return dense(x) }\n'
    )
    x = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(program(x), x @ np.arange(12, dtype=np.float32).reshape(4, 3))
