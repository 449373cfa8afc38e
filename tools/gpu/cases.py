"""The programs that `check.sh` runs: small ones, and ones larger than the L2 of a GPU or timed with what it held flushed."""

from __future__ import annotations

from tools.gpu.kernels import (
    Case,
    attention,
    conv,
    elementwise,
    gelu,
    gemm,
    layer_norm,
    row_sum,
    small,
    softmax,
    tf32,
)

SQUARES = (1024, 2048, 4096, 8192)
ROWS = ((16384, 4096), (8192, 8192), (4096, 16384))

SMALL = (
    elementwise(37, 101),
    softmax(5, 1001),
    layer_norm(3, 768),
    row_sum(9, 1000, "f16"),
    gemm(67, 45, 83),
    gemm(40, 50, 66, "f64"),
    gemm(19, 33, 21, "bf16", batch=3),
    gelu(35, 40, 27, "f16"),
    attention(3, 37, 16, causal=True),
    conv(2, 5, 7, 9, 3),
    conv(2, 16, 24, 9, 3, "bf16"),
    tf32(gemm(37, 40, 45)),
)
"""Of odd sizes: those are for memcheck and racecheck too."""

CASES: tuple[Case, ...] = (
    *map(small, SMALL),
    elementwise(8192, 8192),
    *(softmax(m, n) for m, n in ROWS),
    *(layer_norm(m, n) for m, n in ROWS),
    *(row_sum(m, n, dtype) for dtype in ("f32", "f16") for m, n in ROWS),
    gemm(4095, 1023, 2049),
    *(gemm(512, 512, 512, dtype, batch=64) for dtype in ("f32", "bf16")),
    *(gemm(m, 4096, 4096, "bf16") for m in (1, 16, 128)),
    *(gemm(n, n, n, dtype) for dtype in ("f32", "f16", "bf16") for n in SQUARES),
    *(tf32(gemm(n, n, n)) for n in SQUARES),
    gelu(4096, 4096, 4096, "bf16"),
    *(
        attention(32 if length < 16384 else 8, length, width, causal)
        for width in (64, 128)
        for length in (1024, 4096, 16384)
        for causal in (False, True)
    ),
    *(conv(32, c, c, wide, side, "bf16") for c, wide in ((64, 56), (256, 14)) for side in (1, 3)),
)
