"""NumPy, into preallocated arrays wherever it has `out=`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tools.bench.candidate import Candidate
from tools.bench.data import Arrays, Data, aligned
from tools.bench.formulas import Formulas, numpy_erf
from tools.bench.rows import Row


def product(a: np.ndarray, b: np.ndarray) -> Callable[[np.ndarray], object]:
    return lambda out: np.matmul(a, b, out=out)


def perceptron(x: np.ndarray, **p: np.ndarray) -> Callable[[np.ndarray], object]:
    h, g = (aligned((len(x), p[b].size)) for b in ("b1", "b2"))

    def layer(x: np.ndarray, n: int, out: np.ndarray) -> None:
        np.matmul(x, p[f"w{n}"], out=out)
        np.add(out, p[f"b{n}"], out=out)

    def run(out: np.ndarray) -> None:
        layer(x, 1, h)
        np.maximum(h, 0, out=h)
        layer(h, 2, g)
        np.maximum(g, 0, out=g)
        layer(g, 3, out)

    return run


def softmax(x: np.ndarray) -> Callable[[np.ndarray], object]:
    def run(out: np.ndarray) -> None:
        np.subtract(x, x.max(-1, keepdims=True), out=out)
        np.exp(out, out=out)
        np.divide(out, out.sum(-1, keepdims=True), out=out)

    return run


def layernorm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> Callable[[np.ndarray], object]:
    square = np.empty_like(x)

    def run(out: np.ndarray) -> None:
        np.subtract(x, x.mean(-1, keepdims=True), out=out)
        np.multiply(out, out, out=square)
        out /= np.sqrt(square.mean(-1, keepdims=True) + np.float32(1e-5))
        out *= scale
        out += bias

    return run


def chain(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> Callable[[np.ndarray], object]:
    z, s = np.empty_like(x), np.empty_like(x)
    last = softmax(x)

    def run(out: np.ndarray) -> None:
        np.multiply(x, a, out=z)
        np.add(z, b, out=z)
        np.multiply(z, np.float32(0.5**0.5), out=s)
        erf(s, s)
        np.add(s, 1, out=s)
        np.multiply(z, s, out=z)
        np.negative(x, out=s)
        np.exp(s, out=s)
        np.add(s, 1, out=s)
        np.multiply(s, 2, out=s)
        np.divide(z, s, out=z)
        last(out)
        np.add(out, z, out=out)

    return run


def erf(x: np.ndarray, out: np.ndarray) -> None:
    try:
        from scipy.special import erf as ufunc
    except ImportError:
        out[...] = numpy_erf(x)
    else:
        ufunc(x, out=out)


FAMILIES: dict[str, Callable[..., Callable[[np.ndarray], object]]] = {
    "gemm": product,
    "weights": product,
    "bmm": product,
    "mlp": perceptron,
    "softmax": softmax,
    "layernorm": layernorm,
    "ew": chain,
}
ALLOCATING = ("encoder", "attention")


def prepare(row: Row, data: Data, threads: int) -> Candidate | None:
    if row.family in ALLOCATING:
        formula = Formulas().of(row)
        return Candidate(lambda: formula(**data.all), lambda: formula(**data.all), allocates=True)
    if row.family not in FAMILIES:
        return None
    run, out = FAMILIES[row.family](**data.all), aligned(_shape(row, data.all))

    def result() -> np.ndarray:
        run(out)
        return out

    return Candidate(lambda: run(out), result)


def _shape(row: Row, arrays: Arrays) -> tuple[int, ...]:
    if row.family == "mlp":
        return len(arrays["x"]), arrays["b3"].size
    if "x" in arrays:
        return arrays["x"].shape
    return (*arrays["a"].shape[:-1], arrays["b"].shape[-1])
