"""examples/training/gpt.tg: its loss falls, and it falls as torch's does from the same parameters."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest

import irkit
import irkit.cli
from tools.text_data import text, windows

GPT = Path(__file__).resolve().parents[2] / "examples" / "training" / "gpt.tg"
DIMS = {"B": 4, "S": 32, "D": 32, "H": 2}
STEPS = 6


def shallow(layers: int) -> str:
    """The model with so many of its four layers."""
    return re.sub(rf"  h = block\(h, g1_[{layers}-3].*\n", "", GPT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def step() -> irkit.Program:
    return irkit.compile(shallow(1), fn="step", dims=DIMS, threads=1)


def batches(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    x, y = windows(text(), DIMS["S"])
    order = np.random.default_rng(1).permutation(len(x))[: count * DIMS["B"]].reshape(count, -1)
    return [(x[i], y[i]) for i in order]


def test_loss_falls(step: irkit.Program):
    before = step.params()
    found = [float(step(x, y)) for x, y in batches(150)]  # pyright: ignore
    step.set_params(before)
    assert abs(found[0] - np.log(128)) < 0.1  # nothing is known at first
    assert np.mean(found[-10:]) < 3.4


@pytest.mark.slow
def test_train_all_layers(tmp_path: Path):
    x, y = windows(text(), DIMS["S"])
    np.savez(tmp_path / "gpt.npz", x=x[:2000], y=y[:2000])
    out = io.StringIO()
    words = ["train", str(GPT), "--data", str(tmp_path / "gpt.npz"), "--epochs", "1", "--threads", "1"]
    words += [w for name, size in DIMS.items() for w in ("--dim", f"{name}={size}")]
    assert irkit.cli.main([*words, "--quiet"], io.StringIO(), out, out) == 0
    told = re.search(r"500 steps in .*: loss (\S+) to (\S+)", out.getvalue())
    assert told is not None, out.getvalue()
    assert float(told[2]) < 3.0 < 4.8 < float(told[1])


def test_windows_are_shifted_by_one():
    x, y = windows("abcdefgh", 4)
    assert [bytes(row.tolist()).decode() for row in x] == ["abcd", "cdef"]
    assert [bytes(row.tolist()).decode() for row in y] == ["bcde", "defg"]


def test_loss_curve_equals_torch(step: irkit.Program):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    F = torch.nn.functional
    before = step.params()
    p = {
        a.name: torch.tensor(before[a.name], requires_grad=True) for a in step.spec.args if a.role == "param"
    }

    def norm(x, scale, shift):
        return F.layer_norm(x, scale.shape, scale, shift)

    def heads(x):
        return x.unflatten(-1, (DIMS["H"], -1)).transpose(1, 2)

    def loss(x, y):
        h = p["tokens"][x] + p["places"]
        a = norm(h, p["g1_0"], p["c1_0"]) @ p["wa_0"] + p["ba_0"]
        a = F.scaled_dot_product_attention(*map(heads, a.split(DIMS["D"], -1)), is_causal=True)
        h = h + a.transpose(1, 2).flatten(2) @ p["wo_0"] + p["bo_0"]
        f = F.gelu(norm(h, p["g2_0"], p["c2_0"]) @ p["w1_0"] + p["b1_0"])
        h = h + f @ p["w2_0"] + p["b2_0"]
        return F.cross_entropy((norm(h, p["scale"], p["shift"]) @ p["head"]).flatten(0, 1), y.flatten())

    optimiser = torch.optim.AdamW(list(p.values()), lr=1e-3)
    for x, y in batches(STEPS):
        optimiser.zero_grad()
        wanted = loss(*(torch.from_numpy(a.astype(np.int64)) for a in (x, y)))
        wanted.backward()
        optimiser.step()
        np.testing.assert_allclose(float(step(x, y)), wanted.item(), rtol=2e-6)  # pyright: ignore
    after = step.params()
    step.set_params(before)
    for name, value in p.items():
        np.testing.assert_allclose(after[name], value.detach().numpy(), atol=2e-4, err_msg=name)
