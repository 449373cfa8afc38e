"""What is run on a GPU: a program of one kernel, what each element of its result is in double precision, what it costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One program. `wanted` is C++ for the element [i, j] of the result and sets `scale`, the size of the numbers that were
    summed to it; `sizes` are elements of each input and of the output; `bytes` and `flops` are of one run."""

    name: str
    text: str
    wanted: str
    sizes: tuple[int, ...]
    columns: int
    bytes: int
    flops: int
    dtype: str = "f32"
    small: bool = False
    """Whether a CPU runs it in a moment."""


ELEMENTWISE = (
    "scale = 2; return tanh(in(0, i * columns + j)) * in(1, i * columns + j) + in(0, i * columns + j);"
)

SOFTMAX = """
  double most = -1e300, sum = 0;
  for (int64_t k = 0; k < columns; k++) most = fmax(most, in(0, i * columns + k));
  for (int64_t k = 0; k < columns; k++) sum += exp(in(0, i * columns + k) - most);
  return scale = exp(in(0, i * columns + j) - most) / sum;"""

LAYER_NORM = """
  double mean = 0, square = 0;
  for (int64_t k = 0; k < columns; k++) mean += in(0, i * columns + k) / columns;
  for (int64_t k = 0; k < columns; k++) square += pow(in(0, i * columns + k) - mean, 2) / columns;
  scale = 8;
  return (in(0, i * columns + j) - mean) / sqrt(square + 1e-5) * in(1, j) + in(2, j);"""

ROW_SUM = """
  double sum = 0;
  for (int64_t k = 0; k < DEPTH; k++) sum += pow(in(0, j * DEPTH + k), 2);
  return scale = sum;"""

GEMM = """
  double sum = 0;
  for (int64_t k = 0; k < DEPTH; k++) {
    const double p = in(0, i * DEPTH + k) * in(1, k * columns + j);
    sum += p;
    scale += fabs(p);
  }
  return sum;"""

WIDTH = {"f64": 8, "f32": 4, "f16": 2}


def elementwise(m: int, n: int, small: bool = False) -> Case:
    text = f"fn main(x: f32[{m}, {n}], y: f32[{m}, {n}]) -> f32[{m}, {n}] {{ return tanh(x) * y + x }}"
    return Case(f"elementwise_{m}x{n}", text, ELEMENTWISE, (m * n,) * 3, n, 12 * m * n, 0, small=small)


def softmax(m: int, n: int, small: bool = False) -> Case:
    text = f"fn main(x: f32[{m}, {n}]) -> f32[{m}, {n}] {{ return softmax(x) }}"
    return Case(f"softmax_{m}x{n}", text, SOFTMAX, (m * n,) * 2, n, 8 * m * n, 0, small=small)


def layer_norm(m: int, n: int, small: bool = False) -> Case:
    text = f"fn main(x: f32[{m}, {n}], s: f32[{n}], b: f32[{n}]) -> f32[{m}, {n}] {{ return layer_norm(x, s, b) }}"
    return Case(f"layer_norm_{m}x{n}", text, LAYER_NORM, (m * n, n, n, m * n), n, 8 * m * n, 0, small=small)


def row_sum(m: int, n: int, dtype: str, small: bool = False) -> Case:
    text = f"fn main(x: {dtype}[{m}, {n}]) -> {dtype}[{m}] {{ return sum(x * x, axis=1) }}"
    wanted = ROW_SUM.replace("DEPTH", str(n))
    return Case(
        f"row_sum_{dtype}_{m}x{n}", text, wanted, (m * n, m), m, WIDTH[dtype] * m * n, 0, dtype, small=small
    )


def gemm(m: int, k: int, n: int, dtype: str = "f32", small: bool = False) -> Case:
    text = f"fn main(x: {dtype}[{m}, {k}], w: {dtype}[{k}, {n}]) -> {dtype}[{m}, {n}] {{ return x @ w }}"
    width = WIDTH[dtype]
    moved = width * (m * k + k * n + m * n)
    wanted = GEMM.replace("DEPTH", str(k))
    name = f"gemm_{dtype}_{m}x{k}x{n}"
    return Case(name, text, wanted, (m * k, k * n, m * n), n, moved, 2 * m * k * n, dtype, small=small)


CASES = (
    elementwise(37, 101, small=True),
    softmax(5, 1001, small=True),
    layer_norm(3, 768, small=True),
    row_sum(9, 1000, "f16", small=True),
    gemm(67, 45, 83, small=True),
    gemm(40, 50, 66, "f64", small=True),
    elementwise(8192, 8192),
    softmax(8192, 4096),
    softmax(4096, 16384),
    layer_norm(16384, 4096),
    row_sum(16384, 8192, "f32"),
    row_sum(16384, 8192, "f16"),
    gemm(1024, 1024, 1024),
    gemm(4096, 4096, 4096),
    gemm(4095, 1023, 2049),
    gemm(4096, 4096, 4096, "f16"),
)
"""Small ones with odd sizes first: those are for memcheck and racecheck too."""
