"""The C pair of a step of training: its example trains with no library, and gives the losses that Python gives."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import irkit
from irkit.cli import main

TEXT = """dim B = 16

param w1: f32[8, 24] = he(seed=1)
param b1: f32[24] = zeros()
param w2: f32[24, 4] = glorot(seed=2)
param scale: f32[8] = ones()

fn loss(x: f32[B, 8], y: i32[B]) -> (loss: f32) {
  h = relu((x * scale) @ w1 + b1)
  return mean(cross_entropy(h @ w2, y))
}

fn step = minimize(loss, wrt=[w1, b1, w2], optimizer=adamw(lr=1e-2), clip=1.0)
"""
STRICT = ["-Wall", "-Wextra", "-Werror", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> subprocess.CompletedProcess[str]:
    """What the example prints, built as strictly as can be."""
    model, folder = tmp_path / "m.tg", tmp_path / "out"
    model.write_text(TEXT)
    assert main(["compile", str(model), "--fn", "step", "-o", str(folder), *words]) == 0
    capsys.readouterr()
    sources = [p.name for p in sorted(folder.glob("*.c"))]
    standard = ["-std=c99"] if "c99" in words else ["-march=native"]
    command = ["gcc", *standard, "-O0", *STRICT, *sources, "-o", "m", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return subprocess.run(["./m"], cwd=folder, capture_output=True, text=True, check=False)


def inputs() -> tuple[np.ndarray, np.ndarray]:
    """What the example fills the inputs with."""
    state, values = 1, []
    for _ in range(16 * 8):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 8) / 8388608 - 1)
    return np.array(values, np.float32).reshape(16, 8), (np.arange(16) % 2).astype(np.int32)


@pytest.mark.parametrize(
    "words", [("--weights", "const"), ("--weights", "bin"), ("--target", "c99")], ids=" ".join
)
def test_the_example_trains(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    done = built(tmp_path, capsys, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {int(s): float(v) for s, v in re.findall(r"step (\d+): loss (\S+)", done.stdout)}
    step = irkit.compile(TEXT, fn="step", threads=1)
    losses = [float(step(*inputs())) for _ in range(50)]  # pyright: ignore
    assert list(found) == [1, 10, 20, 30, 40, 50]
    np.testing.assert_allclose(list(found.values()), [losses[n - 1] for n in found], rtol=2e-3)
    assert found[50] < found[1] / 4


def test_the_first_step_is_that_of_the_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    done = built(tmp_path, capsys, "--golden")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loss: largest difference" in done.stdout


def test_what_is_const_and_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    built(tmp_path, capsys)
    header, weights = (tmp_path / "out" / "m.h").read_text(), (tmp_path / "out" / "m_weights.c").read_text()
    assert "  float *w1;  // param, f32[8, 24], updated by each run" in header
    assert "  const float *scale;  // param, f32[8]\n" in header
    assert "  int64_t *step;  // state, i64, updated by each run" in header
    assert re.search(r"^const float m_scale\[8\]", weights, re.MULTILINE)
    assert re.search(r"^float m_w1_m\[192\][^=]*;$", weights, re.MULTILINE), "zeros take no room"
