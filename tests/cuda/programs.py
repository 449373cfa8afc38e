"""Programs of each way in which nests are mapped: (text, dims of the arrays are in the text)."""

from __future__ import annotations


def elementwise(m: int, n: int, dtype: str = "f32") -> str:
    return f"fn main(x: {dtype}[{m}, {n}], y: {dtype}[{n}]) -> {dtype}[{m}, {n}] {{ return tanh(x) * y + x }}"


def softmax(m: int, n: int, dtype: str = "f32") -> str:
    return f"fn main(x: {dtype}[{m}, {n}]) -> {dtype}[{m}, {n}] {{ return softmax(x) }}"


def total(m: int, n: int, dtype: str = "f32") -> str:
    return f"fn main(x: {dtype}[{m}, {n}]) -> {dtype}[{m}] {{ return sum(x * x, axis=1) }}"


def layer_norm(m: int, n: int, dtype: str = "f32") -> str:
    d = f"{dtype}[{n}]"
    return (
        f"fn main(x: {dtype}[{m}, {n}], s: {d}, b: {d}) -> {dtype}[{m}, {n}] {{ return layer_norm(x, s, b) }}"
    )


def gemm(m: int, k: int, n: int, dtype: str = "f32") -> str:
    return (
        f"fn main(x: {dtype}[{m}, {k}], w: {dtype}[{k}, {n}], b: {dtype}[{n}]) -> {dtype}[{m}, {n}] "
        "{ return relu(x @ w + b) }"
    )


SHAPES: dict[str, str] = {
    "points": elementwise(31, 64),
    "points-odd": elementwise(7, 37),
    "points-one": elementwise(1, 1),
    "points-none": elementwise(0, 5),
    "points-f64": elementwise(5, 130, "f64"),
    "points-f16": elementwise(9, 72, "f16"),
    "points-bf16": elementwise(9, 72, "bf16"),
    "rows": softmax(5, 1024),
    "rows-odd": softmax(3, 1021),
    "rows-warp": softmax(4, 100),
    "rows-short": softmax(300, 5),
    "rows-many": softmax(1059, 41),
    "rows-long": softmax(140, 5000),
    "rows-over": softmax(1, 33000),
    "rows-one": softmax(1, 1),
    "row": "fn main(x: f32[2500]) -> f32[2500] { return softmax(x) }",
    "rows-none": softmax(0, 64),
    "rows-f64": softmax(2, 514, "f64"),
    "rows-f16": softmax(3, 776, "f16"),
    "sum": total(3, 2000),
    "sum-f16": total(3, 2000, "f16"),
    "sum-of-none": total(4, 0),
    "layer-norm": layer_norm(3, 768),
    "layer-norm-odd": layer_norm(2, 301),
    "rounds": "fn main(x: f32[3, 4, 5, 28]) -> (f32[4], f32[4]) { return var(x, axis=[0, 2, 3]), max(x, axis=[0, 2, 3]) }",
    "rows-plain": "fn main(x: f32[2, 6, 5, 7], g: f32[6]) -> f32[2, 6, 5, 7] { return group_norm(x, g, g, groups=2) }",
    "whole": "fn main(x: f32[301, 402]) -> f32 { return sqrt(mean(x * x)) }",
    "whole-odd": "fn main(x: f16[301, 411]) -> f16 { return max(x) }",
    "whole-integers": "fn main(x: i32[50000]) -> i32 { return sum(x) }",
    "columns-long": "fn main(x: f32[9001, 8]) -> f32[8] { return exp(mean(x, axis=0)) }",
    "columns-longer": "fn main(x: f64[40000, 3]) -> f64[3] { return min(x, axis=0) }",
    "tiles-long": gemm(5, 4096, 9),
    "scan": "fn main(x: f32[3000]) -> f32[3000] { return cumsum(x, axis=0) }",
    "scan-rows": "fn main(x: f16[3, 701]) -> f16[3, 701] { return cumsum(x, axis=1) }",
    "scan-columns": "fn main(x: i32[333, 5]) -> i32[333, 5] { return cumsum(x, axis=0) }",
    "scan-most": "fn main(x: f32[2, 130]) -> f32[2, 130] { return cummax(x, axis=1) }",
    "updates": 'fn main(x: f32[70], i: i64[900], u: f32[900]) -> f32[70] { return scatter(x, i, u, axis=0, mode="add") }',
    "columns": "fn main(x: f16[300, 64]) -> f16[64] { return sum(x, axis=0) }",
    "columns-odd": "fn main(x: f32[100, 21]) -> f32[21] { return exp(mean(x * x, axis=0)) }",
    "columns-two": "fn main(x: f32[33, 70], y: f32[40]) -> (f32[70], f32[40]) { return max(x, axis=0), y + 1 }",
    "tiles": gemm(128, 32, 64),
    "tiles-odd": gemm(67, 45, 83),
    "tiles-row": gemm(1, 70, 90),
    "tiles-column": gemm(70, 90, 1),
    "tiles-shallow": gemm(33, 1, 20),
    "tiles-of-none": gemm(20, 0, 12),
    "tiles-no-rows": gemm(0, 8, 12),
    "tiles-f64": gemm(40, 50, 66, "f64"),
    "tiles-f16": gemm(40, 48, 72, "f16"),
    "tiles-large": gemm(257, 24, 130),
    "transposed": "fn main(x: f32[40, 70], w: f32[90, 70]) -> f32[40, 90] { return x @ transpose(w) }",
    "prologue": "fn main(x: f32[20, 21], w: f32[21, 30]) -> f32[20, 30] { return (1 / (x * x + 1)) @ (w + 1) }",
    "batch": "fn main(x: f32[3, 20, 17], w: f32[3, 17, 70]) -> f32[3, 20, 70] { return x @ w }",
    "stencil": "fn main(u: f32[40, 50]) -> f32[40, 50] { v[i, j] = u[i-1, j] + u[i, j+1], boundary=zero return v }",
    "integers": "fn main(x: i32[9, 100], y: i8[100]) -> (i32[9], i8[100]) { return max(x, axis=1), y * y }",
    "bools": "fn main(x: f32[5, 300]) -> (bool[5], f32[5, 300]) { return any(x > 2, axis=1), where(x > 0, x, 0) }",
}
"""By what they are mapped to and what is odd about their sizes; none is what a tile divides, but those named so."""

SYMBOLIC: dict[str, str] = {
    "points": "dim N = 4 in 0..500\nfn main(x: f32[N, 12]) -> f32[N, 12] { return exp(x) }",
    "rows": "dim N = 4 in 1..500\nfn main(x: f32[3, N]) -> f32[3, N] { return softmax(x) }",
    "tiles": "dim N = 4 in 1..500\nfn main(x: f32[N, N + 1], w: f32[N + 1, 24]) -> f32[N, 24] { return x @ w }",
}
