"""Twenty steps of every optimiser, schedule and way of clipping in f64, against NumPy and, where it is there, torch.optim."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import irkit

STEPS = 20
RATE = 0.05

OPTIMISERS: dict[str, tuple[str, dict[str, object]]] = {
    "sgd": ("SGD", {}),
    "sgd momentum": ("SGD", {"momentum": 0.9}),
    "sgd dampening": ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    "sgd nesterov": ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "adam": ("Adam", {}),
    "adam decay": ("Adam", {"weight_decay": 0.1, "beta1": 0.8, "beta2": 0.99, "eps": 1e-6}),
    "adam without averages": ("Adam", {"beta1": 0.0}),
    "adamw": ("AdamW", {}),
    "adamw decay": ("AdamW", {"weight_decay": 0.3, "beta1": 0.85}),
    "adagrad": ("Adagrad", {}),
    "adagrad settings": ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop centered": ("RMSprop", {"centered": True, "alpha": 0.9}),
    "rmsprop momentum": ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
}

SCHEDULES: dict[str, Callable[[int], float]] = {
    "constant_rate(warmup=5)": lambda t: min(1, (t + 1) / 5),
    "cosine_decay(steps=12)": lambda t: 0.5 * (1 + math.cos(math.pi * min(1, t / 12))),
    "cosine_decay(steps=18, warmup=4, final=0.1)": lambda t: (
        min(1, (t + 1) / 4) * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1, max(0, (t - 4) / 14)))))
    ),
    "linear_decay(steps=15, final=0.2)": lambda t: 1 - 0.8 * min(1, t / 15),
    "step_decay(every=6, gamma=0.5)": lambda t: 0.5 ** (t // 6),
    "exponential_decay(gamma=0.9, warmup=3)": lambda t: min(1, (t + 1) / 3) * 0.9 ** max(0, t - 3),
}

TEXT = """
param w: f64[5, 3] = normal(seed=1)
param b: f64[3] = normal(seed=2)

fn loss(x: f64[8, 5], y: f64[8, 3]) -> f64 {
  return mean((x @ w + b - y) ** 2)
}

fn step = minimize(loss, wrt=params, optimizer=OPTIMISER REST)
"""

Values = dict[str, np.ndarray]


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.standard_normal((8, 5)), 3 * rng.standard_normal((8, 3))


def written(word: str, settings: dict[str, object]) -> str:
    given = {"lr": RATE, **settings}
    shown = (f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in given.items())
    return f"{word}({', '.join(shown)})"


def trained(optimiser: str, rest: str = "") -> tuple[Values, Values, list[float]]:
    """The parameters before and after the steps, and the losses."""
    step = irkit.compile(TEXT.replace("OPTIMISER", optimiser).replace("REST", rest), fn="step", threads=1)
    before = {n: step.values[n].copy() for n in "wb"}
    x, y = data()
    losses = [float(step(x, y)) for _ in range(STEPS)]  # pyright: ignore
    after = step.params()
    assert after["step"] == STEPS
    return before, after, losses


def gradients(values: Values) -> Values:
    x, y = data()
    error = 2 * (x @ values["w"] + values["b"] - y) / y.size
    return {"w": x.T @ error, "b": error.sum(axis=0)}


def by_numpy(
    word: str, settings: dict, before: Values, factor: Callable[[int], float], change=lambda g: g
) -> Values:
    values = {n: v.copy() for n, v in before.items()}
    states: dict[str, list[np.ndarray]] = {n: [np.zeros_like(v) for _ in range(3)] for n, v in values.items()}
    for t in range(1, STEPS + 1):
        grads = change(gradients(values))
        for n in values:
            values[n], states[n] = RULES[word](
                values[n], grads[n], states[n], t, RATE * factor(t - 1), **settings
            )
    return values


def _sgd(p, g, s, t, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    g = g + weight_decay * p
    b = g if t == 1 else momentum * s[0] + (1 - dampening) * g
    g = g + momentum * b if nesterov else b if momentum else g
    return p - lr * g, [b]


def _adam(p, g, s, t, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    m, v = beta1 * s[0] + (1 - beta1) * g, beta2 * s[1] + (1 - beta2) * g * g
    return p - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), [m, v]


def _adamw(p, g, s, t, lr, weight_decay=1e-2, **settings):
    return _adam(p * (1 - lr * weight_decay), g, s, t, lr, **settings)


def _adagrad(p, g, s, t, lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    g = g + weight_decay * p
    total = s[0] + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(total + initial_accumulator_value) + eps), [total]


def _rmsprop(p, g, s, t, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    g = g + weight_decay * p
    v, a = alpha * s[0] + (1 - alpha) * g * g, alpha * s[2] + (1 - alpha) * g
    b = momentum * s[1] + g / (np.sqrt(v - a * a if centered else v) + eps)
    return p - lr * b, [v, b, a]


RULES = {"SGD": _sgd, "Adam": _adam, "AdamW": _adamw, "Adagrad": _adagrad, "RMSprop": _rmsprop}


def close(found: Values, expected: Values) -> None:
    for name in ("w", "b"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", OPTIMISERS)
def test_optimisers(case: str):
    word, settings = OPTIMISERS[case]
    before, after, losses = trained(written(word.lower(), settings))
    close(after, by_numpy(word, settings, before, lambda t: 1.0))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(schedule: str):
    before, after, _ = trained(written("adamw", {}), f", schedule={schedule}")
    close(after, by_numpy("AdamW", {}, before, SCHEDULES[schedule]))


def test_clipping_by_norm():
    before, after, _ = trained(written("sgd", {}), ", clip=0.5")

    def clipped(grads: Values) -> Values:
        norm = math.sqrt(sum(float((g * g).sum()) for g in grads.values()))
        return {n: g * min(1, 0.5 / (norm + 1e-6)) for n, g in grads.items()}

    close(after, by_numpy("SGD", {}, before, lambda t: 1.0, clipped))


def test_clipping_by_value():
    before, after, _ = trained(written("sgd", {}), ", clip_value=0.1")
    close(
        after,
        by_numpy(
            "SGD", {}, before, lambda t: 1.0, lambda g: {n: np.clip(v, -0.1, 0.1) for n, v in g.items()}
        ),
    )


@pytest.mark.parametrize("case", OPTIMISERS)
def test_optimisers_against_torch(case: str):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    word, settings = OPTIMISERS[case]
    before, after, losses = trained(
        written(word.lower(), settings), ", clip=2.0, schedule=cosine_decay(steps=30)"
    )
    values = {n: torch.tensor(v, requires_grad=True) for n, v in before.items()}
    given = dict(settings)
    if word.startswith("Adam"):
        given["betas"] = (given.pop("beta1", 0.9), given.pop("beta2", 0.999))
    optimiser = getattr(torch.optim, word)(list(values.values()), lr=RATE, **given)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=30)
    x, y = map(torch.tensor, data())
    for wanted in losses:
        optimiser.zero_grad()
        loss = ((x @ values["w"] + values["b"] - y) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(values.values()), 2.0)
        optimiser.step()
        schedule.step()
        np.testing.assert_allclose(wanted, loss.item(), rtol=1e-9)
    close(after, {n: v.detach().numpy() for n, v in values.items()})


def test_states_that_an_optimiser_leaves_alone_are_none():
    step = irkit.compile(TEXT.replace("OPTIMISER", "sgd(lr=0.1)").replace("REST", ""), fn="step")
    assert [a.name for a in step.spec.args if a.role == "state"] == ["step"]
