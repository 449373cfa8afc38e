"""Plugins, each in a process of its own: the example package, and files that cannot be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "examples" / "plugin" / "irkit_signal"
MODEL = ROOT / "examples" / "plugin" / "smooth.tg"


def python(*words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env, check=False)


def opt(*words: object) -> subprocess.CompletedProcess[str]:
    return python("-m", "irkit.opt", *map(str, words))


def test_the_example_plugin_runs_and_is_right():
    script = f"""
import numpy as np
import irkit
irkit.load_plugin({str(PLUGIN)!r})
irkit.load_plugin({str(PLUGIN)!r})
x = np.random.default_rng(0).standard_normal((4, 1000)).astype(np.float32)

def median(x, width):
    ends = np.pad(x, [(0, 0), (width // 2, width // 2)], "edge")
    return np.sort(np.lib.stride_tricks.sliding_window_view(ends, width, -1), -1)[..., width // 2]

y = 2 * median(median(x, 3), 9)
for threads in (1, 3):
    np.testing.assert_allclose(irkit.compile({str(MODEL)!r}, threads=threads)(x), y / (1 + abs(y)) + 1, rtol=1e-6)
print("equal")
"""
    done = python("-c", script)
    assert (done.stdout, done.stderr) == ("equal\n", "")


def test_its_predicates_pick_the_kernels_and_its_rule_is_fused():
    done = opt(MODEL, "--load-plugin", PLUGIN, "--emit=c", "--check")
    assert done.returncode == 0, done.stderr
    assert "k_mul_softclip_add" in done.stdout
    assert "float window[9]" in done.stdout and "window[3]" not in done.stdout, (
        "width 3 has a kernel of its own"
    )
    assert done.stdout.count("static void k_median") == 2, "a median of width 1 is taken out"


def test_every_level_of_it_prints_and_is_read_again(tmp_path: Path):
    for level in ("graph", "kernel", "loop", "buffer"):
        text = opt(MODEL, "--load-plugin", PLUGIN, f"--emit={level}").stdout
        path = tmp_path / f"{level}.mlir"
        path.write_text(text)
        again = opt(path, "--load-plugin", PLUGIN)
        assert again.stdout == text, again.stderr
    assert "signal-simplify" in opt("--list-passes", "--load-plugin", PLUGIN).stdout
    assert 'kernel.extern "median"' in (tmp_path / "loop.mlir").read_text()
    missing = opt(tmp_path / "loop.mlir", "--emit=c")
    assert missing.returncode == 1 and "unknown op 'median'" in missing.stderr


def test_wrong_parameters_are_told_at_their_place(tmp_path: Path):
    model = tmp_path / "m.tg"
    model.write_text("fn main(x: f32[8]) -> f32[8] {\n  return median(x, width=4)\n}\n")
    done = opt(model, "--load-plugin", PLUGIN)
    assert done.returncode == 1
    assert "m.tg:2:10: error: bad width of median" in done.stderr and "an odd number" in done.stderr
    model.write_text("fn main(x: f16[8]) -> f16[8] {\n  return median(x)\n}\n")
    done = opt(model, "--load-plugin", PLUGIN, "--emit=kernel")
    assert done.returncode == 1
    assert (
        "m.tg:2:10: error: signal.median has no kernel form" in done.stderr and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:", "cannot be imported"),
        ("raise ValueError('no luck')", "ValueError: no luck (bad.py:1)"),
        ("PLUGIN = 3", "is no irkit.Plugin"),
        (
            "from irkit import Plugin\nPLUGIN = Plugin(after={'nothing': 'x'})",
            "after a pass that does not exist",
        ),
        ("from irkit import Plugin\nPLUGIN = Plugin(after={'graph-cse': 'x'})", "has no pass 'x'"),
        (
            "from dialects.graph.base import GraphOp, register_op\n@register_op\nclass A(GraphOp):\n  name = 'my.add'",
            "there is an op 'add' already",
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_told(tmp_path: Path, text: str, message: str):
    path = tmp_path / "bad.py"
    path.write_text(text)
    for done in (
        opt(MODEL, "--load-plugin", path),
        python("-m", "irkit.cli", "run", str(MODEL), "--load-plugin", str(path)),
    ):
        assert done.returncode == 1
        assert message in done.stderr and "Traceback" not in done.stderr


def test_a_plugin_that_is_not_there():
    done = opt(MODEL, "--load-plugin", "nowhere.py")
    assert done.returncode == 1 and "there is no plugin nowhere.py" in done.stderr
    done = opt(MODEL, "--load-plugin", "no_such_module")
    assert done.returncode == 1 and "the plugin no_such_module cannot be imported" in done.stderr
