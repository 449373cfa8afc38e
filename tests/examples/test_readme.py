"""The commands and the Python of README.md, as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

import irkit
from irkit.cli import main as irkit_main
from irkit.opt import main as opt_main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAINS: dict[str, Callable[[list[str]], int | None]] = {"irkit": irkit_main, "irkit-opt": opt_main}
LINES = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.split(" ", 1)[0] in MAINS]
LONG = ("--size", "--dump-intermediates", "--golden", "--check", "irkit tune")
"""These compile much, run in NumPy, or take the time that they are given."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", path / "examples")
    (path / "model.mlir").write_text(str(irkit.lower(path / "examples" / "mlp.tg", "graph")))
    irkit.compile(path / "examples" / "mlp.tg").save(path / "mlp.irk")
    text = '<ir_version: 8, opset_import: ["" : 17]> model (float[B, 4] x) => (float[B, 4] y) { y = Relu(x) }'
    onnx.save(onnx.parser.parse_model(text), path / "model.onnx")
    return path


@pytest.mark.parametrize(
    "line", [pytest.param(c, marks=[pytest.mark.slow] * any(w in c for w in LONG)) for c in COMMANDS]
)
def test_commands(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    program, *words = shlex.split(re.split(r" +[#|]", line)[0])
    try:
        code = MAINS[program](words)
    except SystemExit as end:
        code = end.code
    assert not code


def test_python(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "irkit.compile" in b]
    exec(block, {})
