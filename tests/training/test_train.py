"""`irkit train`: runs that repeat themselves to the last bit, a real kill, and what goes wrong in kind."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import irkit.cli
from irkit.training import checkpoint
from irkit.training.checkpoint import Place
from irkit.training.log import Log

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXT = """dim B = 8

param w1: f32[6, 16] = glorot(seed=1)
param b1: f32[16] = zeros()
param w2: f32[16, 3] = glorot(seed=2)

fn logits(x: f32[B, 6]) -> f32[B, 3] {
  return relu(x @ w1 + b1) @ w2
}

fn loss(x: f32[B, 6], y: i32[B]) -> (loss: f32) {
  return mean(cross_entropy(logits(x), y))
}

fn accuracy(x: f32[B, 6], y: i32[B]) -> f32 {
  return mean(cast(argmax(logits(x)) == cast(y, i64), f32))
}

fn step = minimize(loss, wrt=params, optimizer=adamw(lr=1e-2), clip=1.0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((100, 6)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=(x[:, :3].argmax(axis=1)).astype(np.int32))
    (tmp_path / "m.tg").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: object) -> tuple[int, str, str]:
    """The exit code, the output and the messages of `irkit train m.tg --data d.npz`."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["train", "m.tg", "--data", "d.npz", *map(str, words)]
    argv += [] if "--threads" in argv else ["--threads", "1"]
    code = irkit.cli.main(argv, io.StringIO(), out, err)
    assert "fault of irkit" not in err.getvalue(), err.getvalue()
    return code, out.getvalue(), err.getvalue()


def trained(*words: object) -> dict[str, np.ndarray]:
    code, _, err = run(*words, "--save", "w.safetensors")
    assert code == 0, err
    return load_file("w.safetensors")


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(a[n].tobytes() == b[n].tobytes() for n in a)


def test_what_is_told_and_written(folder: Path):
    words = ["--epochs", 12, "--val", 0.2, "--metric", "accuracy", "--log", "l.csv", "--plot", "l.svg"]
    code, out, err = run(*words, "--save", "w.safetensors")
    assert code == 0, err
    lines = out.splitlines()
    assert re.fullmatch(
        r"epoch 12/12  step 120  loss \S+  val_loss \S+  accuracy 0\.\d+  .* examples/s", lines[11]
    )
    first, last = map(float, re.search(r"loss (\S+) to ([\d.]+)", lines[12]).groups())  # pyright: ignore
    assert last < first / 2
    head, *rows = csv.reader(Path("l.csv").read_text().splitlines())
    assert head == ["step", "epoch", "loss", "val_loss", "accuracy"]
    assert len(rows) == 132 and [r[0] for r in rows[:11]] == [*map(str, range(1, 11)), "10"]
    assert float(rows[-1][4]) > 0.8
    assert Path("l.svg").read_text().count("<polyline") == 3
    assert {n: v.shape for n, v in load_file("w.safetensors").items()} == {
        "w1": (6, 16),
        "b1": (16,),
        "w2": (16, 3),
    }


def test_the_validation_is_that_of_numpy(folder: Path):
    code, out, err = run(
        "--epochs", 1, "--val", "d.npz", "--metric", "accuracy", "--batch", 7, "--save", "w.safetensors"
    )
    assert code == 0, err
    w, data = load_file("w.safetensors"), np.load("d.npz")
    scores = np.maximum(data["x"] @ w["w1"] + w["b1"], 0) @ w["w2"]
    accuracy = (scores.argmax(axis=1) == data["y"]).mean()
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss = -logs[np.arange(100), data["y"]].mean()
    found = re.search(r"val_loss (\S+), accuracy (\S+)", out)
    assert found is not None
    assert float(found[1]) == pytest.approx(loss, abs=1e-4) and float(found[2]) == pytest.approx(
        accuracy, abs=1e-4
    )


def test_runs_repeat_themselves(folder: Path):
    one = trained("--epochs", 3)
    assert same(one, trained("--epochs", 3))
    assert same(one, trained("--epochs", 3, "--threads", 2))
    assert not same(one, trained("--epochs", 3, "--seed", 1))


def test_a_run_that_is_killed_goes_on_as_if_nothing_had_been(folder: Path):
    whole = trained("--epochs", 2000, "--log", "whole.csv")
    words = [sys.executable, "-m", "irkit.cli", "train", "m.tg", "--data", "d.npz", "--epochs", "2000"]
    words += ["--threads", "1", "--checkpoint", "c", "--every", "7", "--log", "l.csv", "--resume", "--quiet"]
    root = Path(irkit.cli.__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    kills = 0
    while kills < 2:
        process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
        before = newest()
        limit = time.monotonic() + 60
        while newest() < before + 40 and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
        kills += 1
    at = newest()
    assert 0 < at < 24000
    code, out, err = run(
        "--epochs", 2000, "--checkpoint", "c", "--resume", "--log", "l.csv", "--save", "w.safetensors"
    )
    assert code == 0 and "goes on from c/step-" in out, err
    assert same(whole, load_file("w.safetensors"))
    assert Path("l.csv").read_text() == Path("whole.csv").read_text()
    assert len(list(Path("c").iterdir())) == 3
    code, out, _ = run("--epochs", 2000, "--checkpoint", "c", "--resume")
    assert code == 0 and "nothing is left to do" in out


def test_a_log_tells_each_epoch_once(tmp_path: Path):
    """A run that was killed between what it told of an epoch and the checkpoint after it tells that again."""
    path = tmp_path / "l.csv"
    told = [
        "step,epoch,loss,val_loss",
        "1,1,0.5,",
        "2,1,0.4,",
        "2,1,,0.6",
        "3,2,0.3,",
        "4,2,0.2,",
        "4,2,,0.5",
    ]
    path.write_text("\r\n".join([*told, "5,3,0.1,", ""]))
    Log(str(path), ["val_loss"], Place(0, 8, 16, epoch=1, batches=2, steps=4)).close()
    assert path.read_text().split() == told[:-1]


def newest() -> int:
    names = [p.name for p in Path("c").iterdir()] if Path("c").is_dir() else []
    return max((int(m[1]) for n in names if (m := re.fullmatch(r"step-(\d+)\.safetensors", n))), default=0)


def test_weights_to_begin_with(folder: Path):
    first = trained("--epochs", 1)
    Path("w.safetensors").rename("first.safetensors")
    code, out, _ = run("--epochs", 1, "--init", "first.safetensors")
    assert code == 0
    again = re.search(r"loss (\S+) to", out)
    assert again is not None and first and float(again[1]) < 1.0


BAD: dict[str, tuple[list[object], str]] = {
    "no data": (["--data", "e.npz"], "there is no file 'e.npz'"),
    "data that is text": (["--data", "m.tg"], "cannot read 'm.tg'"),
    "no such function": (["--fn", "stop"], "'stop' is no step of training"),
    "a function that is no step": (["--fn", "loss"], "'loss' is no step of training"),
    "no such metric": (["--val", "0.5", "--metric", "acuracy"], "there is no function 'acuracy'"),
    "a metric of many numbers": (["--val", "0.5", "--metric", "logits"], "'logits' gives no number to show"),
    "a metric without data": (["--metric", "accuracy"], "--metric is measured on examples for validation"),
    "a batch of all": (["--batch", "101"], "there are fewer examples than a batch takes"),
    "no epochs": (["--epochs", "0"], "--epochs 0 makes no sense"),
    "nothing for validation": (["--val", "0.001"], "--val 0.001 leaves nothing"),
    "all for validation": (["--val", "1"], "--val 1.0 leaves nothing"),
    "resume from nowhere": (["--resume"], "--resume goes on from a checkpoint"),
    "no folder": (["--save", "no/w.safetensors"], "cannot write 'no/w.safetensors'"),
    "a folder that is a file": (["--checkpoint", "m.tg"], "cannot write to 'm.tg'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_words(case: str, folder: Path):
    words, message = BAD[case]
    code, _, err = run(*words)
    assert code == 1 and message in err, err


ARRAYS = {"x": np.zeros((40, 6), np.float32), "y": np.zeros(40, np.int32)}
BAD_DATA: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "a name": ({"X": ARRAYS["x"], "y": ARRAYS["y"]}, "has no array for the input 'x'"),
    "a shape": ({**ARRAYS, "x": np.zeros((40, 5), np.float32)}, "'x' in 'd.npz' has another shape"),
    "a rank": ({**ARRAYS, "y": np.zeros((40, 1), np.int32)}, "'y' in 'd.npz' has another shape"),
    "a dtype": ({**ARRAYS, "x": np.zeros((40, 6))}, "x.astype('float32')"),
    "a count": ({**ARRAYS, "y": np.zeros(39, np.int32)}, "different numbers of examples"),
    "nan": ({**ARRAYS, "x": np.full((40, 6), np.nan, np.float32)}, "240 elements that are NaN or infinite"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(case: str, folder: Path):
    arrays, message = BAD_DATA[case]
    np.savez("d.npz", **arrays)  # pyright: ignore[reportArgumentType]
    code, _, err = run()
    assert code == 1 and message in err, err


def test_a_key_for_random_numbers(folder: Path):
    """An input u32[2] that the data lacks gets the seed and the step, so that a run repeats itself, and steps differ."""
    text = TEXT.replace("fn loss(x", "fn loss(key: u32[2], x").replace(
        "logits(x), y))\n}\n\nfn accuracy",
        "logits(x * cast(random(key, [B, 6]) > 0.2, f32)), y))\n}\n\nfn accuracy",
    )
    Path("m.tg").write_text(text)
    one = trained("--epochs", 2)
    assert same(one, trained("--epochs", 2))
    assert not same(one, trained("--epochs", 2, "--seed", 3))
    Path("m.tg").write_text(text.replace("random(key", "random(key * 0"))
    assert not same(one, trained("--epochs", 2))


def test_arrays_that_go_to_every_step_whole(folder: Path):
    Path("m.tg").write_text(
        TEXT.replace("fn loss(x", "fn loss(size: f32[6], x")
        .replace("logits(x), y))\n}\n\nfn acc", "logits(x * size), y))\n}\n\nfn acc")
        .replace("fn loss(size: f32[6], x: f32[B, 6]", "fn loss(x: f32[B, 6], size: f32[6]")
    )
    code, _, err = run()
    assert code == 1 and "has no array for the input 'size'" in err
    data = dict(np.load("d.npz"))
    np.savez("d.npz", size=np.ones(6, np.float32), **data)
    assert run("--epochs", 1)[0] == 0


def test_a_loss_that_is_no_number(folder: Path):
    Path("m.tg").write_text(TEXT.replace("adamw(lr=1e-2), clip=1.0", "sgd(lr=1e30)"))
    code, _, err = run("--checkpoint", "c", "--every", 1)
    assert code == 1 and re.search(r"the loss is (nan|inf) in step \d+", err) and "smaller lr" in err
    kept = [load_file(p) for p in Path("c").iterdir()]
    assert kept, "what was before is kept"


def test_a_file_without_a_step(folder: Path):
    Path("m.tg").write_text(TEXT[: TEXT.index("fn step")])
    code, _, err = run()
    assert code == 1 and "'m.tg' has no step of training" in err and "minimize(loss" in err


def test_checkpoints_of_others(folder: Path):
    assert run("--epochs", 1, "--checkpoint", "c")[0] == 0
    assert "'c' holds checkpoints of another run" in run("--checkpoint", "c")[2]
    assert "is of another run: its seed differs" in run("--checkpoint", "c", "--resume", "--seed", 4)[2]
    (path,) = Path("c").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert "cannot " in (err := run("--checkpoint", "c", "--resume")[2]) and "step-" in err


def test_two_runs_in_one_folder(folder: Path):
    with checkpoint.held(Path("c")):
        code, _, err = run("--epochs", 1, "--checkpoint", "c", "--resume")
        assert code == 1 and "another run writes its checkpoints to 'c'" in err
    assert run("--epochs", 1, "--checkpoint", "c")[0] == 0


@pytest.mark.parametrize(
    ("name", "test", "metric", "epochs", "least"),
    [
        ("digits_mlp", "../digits_test", "accuracy", 5, 0.95),
        ("digits_cnn", "../digits_test", "accuracy", 1, 0.90),
        ("iris", "iris_test", "accuracy", 20, 0.93),
        ("diabetes", "diabetes_test", "explained", 20, 0.4),
    ],
)
def test_examples_learn(name: str, test: str, metric: str, epochs: int, least: float, tmp_path: Path):
    assert example(name, test, metric, epochs, 0) >= least


def example(name: str, test: str, metric: str, epochs: int, seed: int) -> float:
    """The last value of the metric after training an example."""
    here, out, err = EXAMPLES / "training", io.StringIO(), io.StringIO()
    data = re.sub("_.*", "", name)
    argv = ["train", here / f"{name}.tg", "--data", here / f"{data}_train.npz", "--val", here / f"{test}.npz"]
    argv += ["--metric", metric, "--epochs", epochs, "--threads", 1, "--seed", seed, "--quiet"]
    assert irkit.cli.main([*map(str, argv)], io.StringIO(), out, err) == 0, err.getvalue()
    found = re.search(rf"{metric} (\S+)", out.getvalue())
    assert found is not None
    return float(found[1])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "epochs", "least"), [("digits_mlp", 60, 0.97), ("digits_cnn", 20, 0.983)])
def test_digits_over_five_seeds(name: str, epochs: int, least: float):
    found = [example(name, "../digits_test", "accuracy", epochs, seed) for seed in range(1, 6)]
    assert np.mean(found) >= least, found
