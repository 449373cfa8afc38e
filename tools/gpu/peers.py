"""python3 peers.py FOLDER [DEVICE]: PyTorch on the cases of FOLDER/cases.json: eager and compiled, which takes Triton. It needs
torch alone. Prints rows of the table that check.sh makes; a peer that is not here or fails is named in its row."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

RUNS = 20
FLUSH = 256 << 20
PEERS = {"torch eager": None, "torch.compile": "default", "torch overhead": "reduce-overhead"}
COLUMNS = "| {:<34} | {:<16} | {:<5} | {:>7} | {:>9} | {:>8} | {:>8} | {:>5} | {:>8} |"


def row(name: str, peer: str, said: str, error: str = "", ms: str = "", rate: str = "") -> None:
    print(COLUMNS.format(name, peer, said, error, ms, "", "", "", rate), flush=True)


def missing(name: str, peer: str, why: object) -> None:
    said = str(why).splitlines() or [repr(why)]
    print(f"| {name:<34} | {peer:<16} | missing: {said[0]}", flush=True)


def main(folder: Path, device: str) -> int:
    cases = json.loads((folder / "cases.json").read_text())
    try:
        import torch
    except ImportError as fault:
        for peer in PEERS:
            missing("all", peer, fault)
        return 0
    if device == "cuda" and not torch.cuda.is_available():
        missing("all", "torch", "it sees no GPU")
        return 0
    wrong = 0
    for case in cases:
        with torch.no_grad():
            wrong |= race(torch, case, device)
    return wrong


def race(torch, case, device: str) -> int:
    generator = torch.Generator(device).manual_seed(0)
    dtype = getattr(torch, {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[case["dtype"]])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = case["kind"] == "gemm_tf32"
    function, shapes, flops = task(torch, case["kind"], case["dims"])
    inputs = [
        torch.randn(s, generator=generator, device=device, dtype=torch.float32).to(dtype) for s in shapes
    ]
    wanted = part(case["kind"], function(*(part(case["kind"], x).double() for x in inputs)))
    if case["kind"] == "conv":
        inputs = [x.to(memory_format=torch.channels_last) for x in inputs]  # what cuDNN is fastest with
    wrong = 0
    for peer, mode in PEERS.items():
        try:
            torch._dynamo.reset()
            run = function if mode is None else torch.compile(function, mode=mode, dynamic=False)
            found = part(case["kind"], run(*inputs)).double()
            error = float(((found - wanted).abs() / (wanted.abs() + wanted.std())).max())
            bound = {"f32": 1e-4, "f16": 1e-2, "bf16": 6e-2}[case["dtype"]] * (
                30 if case["kind"] == "gemm_tf32" else 1
            )
            ms = median(torch, lambda run=run: run(*inputs), device)
        except Exception as fault:  # a peer's own fault is a row, not an end
            missing(case["name"], peer, fault)
            continue
        wrong |= error > bound
        row(
            case["name"],
            peer,
            "ok" if error <= bound else "WRONG",
            f"{error:.0e}",
            f"{ms:.3f}",
            f"{flops / ms * 1e-6:.0f}",
        )
    return wrong


def part(kind: str, x):
    """What is compared: one head of attention, as scores of all in double precision need too much memory."""
    return x[:1] if kind == "attention" else x


def task(torch, kind: str, dims):
    """(a function, shapes of its arguments, operations)."""
    f = torch.nn.functional
    if kind == "elementwise":
        return lambda x, y: torch.tanh(x) * y + x, [dims, dims], 0
    if kind == "softmax":
        return lambda x: torch.softmax(x, -1), [dims], 0
    if kind == "layer_norm":
        return lambda x, s, b: f.layer_norm(x, x.shape[-1:], s, b), [dims, dims[1:], dims[1:]], 0
    if kind == "row_sum":
        return lambda x: (x * x).sum(-1), [dims], 0
    if kind == "gelu":
        _, m, k, n = dims
        return lambda x, w, b: f.gelu(x @ w + b), [(m, k), (k, n), (n,)], 2 * m * k * n
    if kind == "attention":
        heads, length, width, causal = dims

        def attention(q, k, v):
            four = (x.unsqueeze(0) for x in (q, k, v))  # which the flash kernels ask for
            return f.scaled_dot_product_attention(*four, is_causal=bool(causal)).squeeze(0)

        return attention, [dims[:3]] * 3, 4 * heads * length * length * width // (1 + causal)
    if kind == "conv":
        n, c, o, wide, side = dims
        function = lambda x, w: f.conv2d(x, w, padding=side // 2)  # noqa: E731
        return function, [(n, c, wide, wide), (o, c, side, side)], 2 * n * o * wide * wide * c * side * side
    batch, m, k, n = dims
    lead = (batch,) if batch > 1 else ()
    return torch.matmul, [(*lead, m, k), (*lead, k, n)], 2 * batch * m * k * n


def median(torch, run, device: str) -> float:
    """Milliseconds, with nothing of the last run in a cache."""
    if device == "cpu":
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3
    flush, times = torch.empty(FLUSH, dtype=torch.uint8, device=device), []
    for number in range(-5, RUNS):
        flush.zero_()
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        run()
        events[1].record()
        events[1].synchronize()
        if number >= 0:
            times.append(events[0].elapsed_time(events[1]))
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "cuda"))
