"""A step of training as a program: what it updates, what it keeps, and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import irkit
import irkit.cli
from dialects.errors import ErrorList, IrkitError

TEXT = """dim B = 4

param w: f32[3, 2] = glorot(seed=1)
param scale: f32[3] = ones()

fn loss(x: f32[B, 3], y: f32[B, 2]) -> (loss: f32, error: f32[B, 2]) {
  e = (x * scale) @ w - y
  return mean(e * e), e
}

fn step = minimize(loss, wrt=[w], optimizer=adam(lr=5e-2))
"""


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"x": rng.standard_normal((4, 3)).astype(np.float32), "y": np.ones((4, 2), np.float32)}


def losses(step: irkit.Program, data: dict[str, np.ndarray], count: int) -> list[float]:
    return [float(step(**data)[0]) for _ in range(count)]


def test_a_call_updates_what_the_program_holds(data: dict[str, np.ndarray]):
    step = irkit.compile(TEXT, fn="step")
    before = step.params()
    assert [a.name for a in step.inputs] == ["x", "y"] and [a.name for a in step.outputs] == ["loss", "error"]
    found = losses(step, data, 30)
    assert found[-1] < found[0] / 2
    after = step.params()
    assert after["step"] == 30 and not np.array_equal(before["w"], after["w"])
    np.testing.assert_array_equal(before["scale"], after["scale"])
    assert before["w_m"].any() == False and after["w_m"].any()  # noqa: E712
    step.set_params(before)
    assert losses(step, data, 30) == found


def test_a_prepared_call_goes_on_with_what_set_params_gives(data: dict[str, np.ndarray]):
    step = irkit.compile(TEXT, fn="step")
    before = step.params()
    call = step.prepare(**data)
    first = [float(call.run()[0]) for _ in range(3)]
    step.set_params(before)
    assert [float(call.run()[0]) for _ in range(3)] == first


def test_arrays_of_a_call_are_updated_themselves(data: dict[str, np.ndarray]):
    step = irkit.compile(TEXT, fn="step")
    before = step.params()
    own = before["w"].copy()
    step(**data, w=own)
    assert not np.array_equal(own, before["w"])
    np.testing.assert_array_equal(step.params()["w"], before["w"])


def test_a_frozen_parameter_may_change_between_steps(data: dict[str, np.ndarray]):
    """What is prepared of parameters that no run updates follows them, and nothing is prepared of the others."""
    step, again = irkit.compile(TEXT, fn="step"), irkit.compile(TEXT, fn="step")
    losses(step, data, 3)
    again.set_params({"scale": np.full(3, 2, np.float32)})
    again.set_params({"scale": np.ones(3, np.float32)})
    losses(again, data, 3)
    np.testing.assert_array_equal(step.params()["w"], again.params()["w"])


def test_a_saved_step_goes_on(data: dict[str, np.ndarray], tmp_path: Path):
    step = irkit.compile(TEXT, fn="step")
    losses(step, data, 5)
    step.save(tmp_path / "step.irk")
    loaded = irkit.load(tmp_path / "step.irk")
    assert loaded.params()["step"] == 5
    assert losses(loaded, data, 5) == losses(step, data, 5)


def test_the_arrays_of_a_user_are_copied(data: dict[str, np.ndarray]):
    step = irkit.compile(TEXT, fn="step")
    own = np.zeros((3, 2), np.float32)
    step.set_params({"w": own})
    step(**data)
    assert not own.any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"w": np.zeros((3, 4), np.float32)[:, ::2]}, "cannot be written in place"),
        ({"w": np.broadcast_to(np.float32(0), (3, 2))}, "cannot be written in place"),
        ({"w": np.zeros((3, 2))}, "has the wrong dtype"),
    ],
)
@pytest.mark.filterwarnings("ignore::irkit.LayoutWarning")
def test_arrays_that_cannot_be_updated(
    given: dict[str, np.ndarray], message: str, data: dict[str, np.ndarray]
):
    with pytest.raises(IrkitError, match=message):
        irkit.compile(TEXT, fn="step")(**data, **given)


def test_arrays_that_overlap(data: dict[str, np.ndarray]):
    both = np.zeros((4, 3), np.float32)
    with pytest.raises(IrkitError, match="overlaps 'x' in memory"):
        irkit.compile(TEXT, fn="step")(x=both, y=data["y"], w=both.reshape(-1)[:6].reshape(3, 2))


def test_a_step_that_a_function_calls_changes_nothing(data: dict[str, np.ndarray]):
    """In a function, a step gives new values: two of them, one after the other, need no more than its results."""
    text = TEXT + (
        "\nfn twice(x: f32[B, 3], y: f32[B, 2]) -> f32[3, 2] {\n"
        "  l, e, v, m, s, n = step(x, y, w_m=zeros([3, 2], f32), w_v=zeros([3, 2], f32), step=cast(0, i64))\n"
        "  return v\n}\n"
    )
    new = irkit.compile(text, fn="twice")(**data)
    step = irkit.compile(TEXT, fn="step")
    step(**data)
    np.testing.assert_allclose(new, step.params()["w"], rtol=1e-6)


def test_an_optimiser_and_a_schedule_of_the_file(data: dict[str, np.ndarray]):
    text = TEXT.replace("adam(lr=5e-2)", "signs(lr=0.5), schedule=halves()") + (
        "\nop signs(grad, param, scale, count: T[...], lr=1.0) {\n"
        "  return param - lr * scale * sign(grad), count + 1\n}\n"
        "\nop halves(done) {\n  return pow(0.5, done)\n}\n"
    )
    step = irkit.compile(text, fn="step")
    before = step.params()["w"]
    losses(step, data, 1)
    np.testing.assert_allclose(np.abs(step.params()["w"] - before), 0.5, rtol=1e-6)
    middle = step.params()["w"]
    losses(step, data, 1)
    np.testing.assert_allclose(np.abs(step.params()["w"] - middle), 0.25, rtol=1e-5)
    assert (step.params()["w_count"] == 2).all()


def test_a_name_of_the_library_is_free_for_others():
    text = TEXT.replace("fn loss", "fn rmsprop(x: f32[2]) -> f32[2] {\n  return x\n}\n\nfn loss")
    assert irkit.compile(text, fn="step").params()["step"] == 0


@pytest.mark.parametrize("word", ["run", "show", "bisect"])
def test_tools_take_a_step(word: str, tmp_path: Path):
    (tmp_path / "m.tg").write_text(TEXT)
    argv = [word, str(tmp_path / "m.tg")]
    argv += ["--dump-intermediates", str(tmp_path / "d")] if word == "run" else []
    err = io.StringIO()
    assert irkit.cli.main(argv, io.StringIO(), io.StringIO(), err) == 0, err.getvalue()


def test_no_error_is_a_traceback():
    with pytest.raises((IrkitError, ErrorList)):
        irkit.compile(TEXT.replace("adam(lr=5e-2)", "adam(lr=x)"), fn="step")
