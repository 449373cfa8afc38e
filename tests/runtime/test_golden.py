"""`irkit compile --golden`: the built example compares itself with the reference, and says so where it differs."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from irkit.cli import main

TEXT = """dim B = 3 in 1..4
param w: f32[6, 5] = glorot(seed=1)
fn main(x: f32[B, 6], k: i32[4], h: f16[5], m: bool[7], z: c64[3]) -> (
  y: f32[B, 5], i32[4], f16[5], bool[7], c64[3], i64[B], f64[0]
) {
  y = softmax(x @ w)
  return y, k * 3 - 1, h + h, ~m, z * z, argmax(y), zeros([0], f64)
}
"""


def built(folder: Path, printed: str) -> subprocess.CompletedProcess[str]:
    """Runs the command that `irkit compile` printed."""
    command = printed.splitlines()[-1].removeprefix("build: ")
    assert str(folder) in command
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("weights", ["const", "bin"])
def test_the_example_checks_itself(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model, folder = tmp_path / "m.tg", tmp_path / "out"
    model.write_text(TEXT)
    assert main(["compile", str(model), "-o", str(folder), "--golden", "--weights", weights]) == 0
    printed = capsys.readouterr().out
    assert "golden.h" in printed
    done = built(folder, printed)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r"(\w+): largest difference (\S+), allowed (\S+)", done.stdout)
    assert [name for name, _, _ in lines] == ["y", "out1", "out2", "out3", "out4", "out5", "out6"]
    assert all(float(apart) <= float(allowed) for _, apart, allowed in lines)
    header = folder / "golden.h"
    for name in ("y", "out1", "out3"):
        text = header.read_text()
        changed = re.sub(rf"(golden_{name}\[\d+\] = {{)[^,]+", r"\g<1>7", text)
        assert changed != text
        header.write_text(changed)
        done = built(folder, printed)
        assert done.returncode == 1 and re.search(rf"{name}: largest difference [1-9]", done.stdout), (
            shlex.quote(name)
        )
        header.write_text(text)


def test_parameters_called_like_parts_of_the_interface(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = ["run", "args", "info", "arena_bytes", "bind_weights", "run_", "m_constant_0"]
    model, folder = tmp_path / "m.tg", tmp_path / "out"
    params = "\n".join(f"param {n}: f32[3] = {i}" for i, n in enumerate(names))
    model.write_text(f"{params}\nfn f(x: f32[3]) -> f32[3] {{\n  return x + {' + '.join(names)}\n}}\n")
    assert main(["compile", str(model), "-o", str(folder), "--golden", "--target", "c99"]) == 0
    done = built(folder, capsys.readouterr().out)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_arrays_without_elements_give_no_warning(cc: str, tmp_path: Path):
    model = tmp_path / "m.tg"
    model.write_text("fn f(x: f32[0, 4]) -> (f32[0, 4], f32[4]) {\n  return exp(x), sum(x, axis=0)\n}\n")
    assert main(["compile", str(model), "-o", str(tmp_path), "--golden", "--target", "c99"]) == 0
    words = [
        cc,
        "-std=c99",
        "-pedantic-errors",
        "-Wall",
        "-Wextra",
        "-Werror",
        "m.c",
        "main.c",
        "-o",
        "m",
        "-lm",
    ]
    subprocess.run(words, cwd=tmp_path, check=True)
    subprocess.run(["./m"], cwd=tmp_path, check=True)
