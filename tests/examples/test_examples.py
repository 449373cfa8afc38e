"""Every example runs, and gives what a model written in NumPy gives, or what mathematics says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

import irkit
from irkit.lang import parse, to_graph
from irkit.params import materialise
from tests.examples import models

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Named = dict[str, np.ndarray]


def arguments(name: str, kind: str, fn: str | None = None, dims: dict[str, int] | None = None) -> Named:
    """The values of the parameters or of the default inputs of an example."""
    path = EXAMPLES / name
    module = to_graph(parse(path.read_text(encoding="utf-8"), str(path)), fn, dims)
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    return materialise(func, EXAMPLES, kind)


def assert_matches(got: np.ndarray, model: models.Model, inputs: Named, weights: Named) -> None:
    """Holds a result to the model in f64, within a few times the model's own error in f32."""
    assert got.dtype == np.float32
    single = model(inputs, weights)
    exact = model(*({k: v.astype(np.float64) for k, v in d.items()} for d in (inputs, weights)))
    assert got.shape == exact.shape
    own = np.abs(single - exact).max()
    scale = np.abs(exact).max()
    assert np.abs(got - exact).max() <= 8 * own + 4 * np.finfo(np.float32).eps * scale


def run(name: str, fn: str | None = None, dims: dict[str, int] | None = None, threads: int | None = None):
    """An example compiled; it gives a tuple of results."""
    program = irkit.compile(EXAMPLES / name, fn=fn, dims=dims, threads=threads)
    return lambda **inputs: program.prepare(**inputs).run()


CASES = [
    ("digits.tg", "logits", models.digits, {"B": 360}, (360, 64)),
    ("digits.tg", "logits", models.digits, {"B": 1}, (1, 64)),
    ("mlp.tg", None, models.mlp, {}, (32, 784)),
    ("mlp.tg", None, models.mlp, {"B": 1}, (1, 784)),
    ("mlp.tg", None, models.mlp, {"B": 7}, (7, 784)),
    ("cnn.tg", None, models.cnn, {}, (4, 1, 28, 28)),
    ("cnn.tg", None, models.cnn, {"B": 1}, (1, 1, 28, 28)),
    ("encoder.tg", None, models.encoder, {}, (2, 64, 128)),
    ("encoder.tg", None, models.encoder, {"B": 1, "S": 37}, (1, 37, 128)),
]


@pytest.mark.parametrize(
    ("name", "fn", "model", "dims", "shape"), CASES, ids=[f"{c[0]}-{c[3] or 'default'}" for c in CASES]
)
@pytest.mark.parametrize("threads", [1, 2])
def test_equals_numpy(
    name: str,
    fn: str | None,
    model: models.Model,
    dims: dict[str, int],
    shape: tuple[int, ...],
    threads: int,
):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (got,) = run(name, fn, dims, threads)(x=x)
    assert_matches(got, model, {"x": x}, arguments(name, "param", fn, dims))


# -- digits -----------------------------------------------------------------------------------------------------


def test_digits_are_recognised():
    accuracy = float(run("digits.tg")()[0])
    data, weights = arguments("digits.tg", "input"), arguments("digits.tg", "param")
    expected = (models.digits(data, weights).argmax(axis=1) == data["y"]).mean()
    assert accuracy == pytest.approx(expected, abs=1.5 / len(data["y"]))
    assert accuracy >= 0.96


def test_digits_take_other_inputs_than_the_default():
    data = arguments("digits.tg", "input")
    wrong = (data["y"] + 1).astype(np.int32) % 10
    assert float(run("digits.tg")(y=wrong)[0]) < 0.1


def test_test_split_is_what_scikit_learn_carries():
    """Each image of the test split is one of the digits of scikit-learn, with its label."""
    digits: Any = pytest.importorskip("sklearn.datasets").load_digits()
    known = {tuple(x): y for x, y in zip(digits.data, digits.target, strict=True)}
    data = arguments("digits.tg", "input")
    assert data["x"].min() == 0 and data["x"].max() == 1
    assert [known[tuple(x)] for x in data["x"] * 16] == data["y"].tolist()


def test_command_line_prints_accuracy_time_and_memory():
    code = "import sys; from irkit.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "run", str(EXAMPLES / "digits.tg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"accuracy 0\.9[6-9]", done.stdout), done.stdout
    assert re.search(r"time [\d.]+ (us|ms|s)\b", done.stdout)
    assert re.search(r"peak memory: .*B\b", done.stdout)


# -- heat -------------------------------------------------------------------------------------------------------


def mode(n: int, across: int, down: int) -> np.ndarray:
    """A standing wave on the inner points of the unit square: an eigenvector of the five-point difference."""
    s = np.arange(1, n + 1) * (np.pi / (n + 1))
    return np.sin(down * s)[:, None] * np.sin(across * s)


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 3), (5, 1)])
@pytest.mark.parametrize("n", [31, 64])
def test_heat_decays_each_wave_by_its_eigenvalue(n: int, across: int, down: int):
    steps = 200
    start = mode(n, across, down)
    rates = [2 - 2 * np.cos(k * np.pi / (n + 1)) for k in (across, down)]
    expected = (1 - 0.2 * sum(rates)) ** steps * start
    (got,) = run("heat.tg", "heat", {"N": n})(u=start.astype(np.float32), steps=np.int32(steps))
    assert np.abs(got - expected).max() < 5e-6


def test_heat_without_steps_is_the_start():
    u = np.random.default_rng(1).standard_normal((63, 63)).astype(np.float32)
    (got,) = run("heat.tg", "heat")(u=u, steps=np.int32(0))
    np.testing.assert_array_equal(got, u)


def test_heat_follows_the_analytic_solution():
    """The error against exp(-2 pi^2 t) is small, and falls with the square of the spacing."""
    u, error = run("heat.tg")()
    time = 1000 * 0.2 / 64**2
    analytic = np.exp(-2 * np.pi**2 * time) * mode(63, 1, 1)
    assert np.abs(u - analytic).max() == pytest.approx(float(error), abs=1e-6)
    assert float(error) < 2e-4
    _, coarse = run("heat.tg", dims={"N": 31})(steps=np.int32(250))
    assert 3 < float(coarse) / float(error) < 5


# -- names ------------------------------------------------------------------------------------------------------


def test_inputs_may_be_named_like_the_axes_of_kernels():
    """Loops are called a, b, i, j, k; so may arrays be."""
    program = irkit.compile(
        "fn main(a: f32[3, 4, 5], b: f32[3, 5, 6], i: f32[4, 6], j: f32[6]) -> (k: f32[3, 4, 6]) {\n"
        "  return a @ b + i + j\n"
        "}\n"
    )
    rng = np.random.default_rng(2)
    shapes = {"a": (3, 4, 5), "b": (3, 5, 6), "i": (4, 6), "j": (6,)}
    x = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    (k,) = program.prepare(**x).run()
    np.testing.assert_allclose(k, x["a"] @ x["b"] + x["i"] + x["j"], rtol=1e-5, atol=1e-5)
