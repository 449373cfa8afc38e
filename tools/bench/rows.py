"""The races as data: each states its program, the sizes of its dims, and what it has to reach.

A family is a `.tg` file in tools/bench/tg, with the same thing in NumPy (`formulas`) and in each peer that has it
(`peers`). The file says what its inputs and parameters are filled with, so that `irkit run` runs it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench import models, programs

TG = Path(__file__).with_name("tg")
GPT = TG.parents[2] / "examples" / "training" / "gpt.tg"
GEOMEAN = 1.15
"""What the geometric mean of all ratios has to reach."""


@dataclass(frozen=True)
class Goal:
    """The least speed, in multiples of the fastest peer's; among all peers, those that allocate their result in each
    call, or those that do not; at every thread count, or at one."""

    ratio: float
    among: str = "all"
    threads: int | None = None


@dataclass(frozen=True)
class Row:
    """A race. A row with `bandwidth` also passes where it reaches that fraction of the bandwidth measured beside it."""

    name: str
    family: str
    dims: Mapping[str, int] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()
    bandwidth: float | None = None
    in_geomean: bool = True

    @property
    def file(self) -> str:
        return str(models.tg_file(self)) if models.is_model(self) else f"{self.name}.tg"

    def text(self) -> str:
        """The program."""
        if models.is_model(self):
            return models.tg_file(self).read_text(encoding="utf-8")
        file = GPT if self.family == "train_gpt" else TG / f"{self.family}.tg"
        text = file.read_text(encoding="utf-8")
        return text + programs.encoder_main(self.dims["L"]) if self.family == "encoder" else text

    def sizes(self) -> dict[str, int]:
        """The dims that the program declares."""
        if models.is_model(self):
            return {}  # they are written into it
        return {name: size for name, size in self.dims.items() if name != "L"}


def gemm(n: int, *goals: Goal, in_geomean: bool = True) -> Row:
    return Row(f"gemm{n}", "gemm", {"M": n, "K": n, "N": n}, goals, in_geomean=in_geomean)


def mlp(batch: int, *goals: Goal) -> Row:
    return Row(f"mlp{batch}", "mlp", {"B": batch}, goals)


def attention(length: int) -> Row:
    return Row(f"attention{length}", "attention", {"S": length}, in_geomean=False)


def encoder(name: str, layers: int, features: int, *goals: Goal, positions: int = 128) -> Row:
    return Row(name, "encoder", {"L": layers, "S": positions, "D": features, "H": 12}, goals)


def conv(name: str, **dims: int) -> Row:
    return Row(name, "conv", dims, in_geomean=False)


def step(model: str, dims: Mapping[str, int], *goals: Goal) -> Row:
    return Row(f"train_{model}", f"train_{model}", dims, goals, in_geomean=False)


def model(name: str, family: str = "light", **dims: int) -> Row:
    return Row(name, family, dims, in_geomean=False)


ODD = Goal(0.8 * 0.85)
"""For sizes that no tile divides."""

ROWS = [
    gemm(64, Goal(1.0)),
    gemm(128, Goal(1.0)),
    gemm(256, Goal(0.95)),
    gemm(512, Goal(0.95)),
    gemm(1024, Goal(0.95)),
    gemm(2048, Goal(0.95)),
    gemm(1021, ODD, in_geomean=False),
    gemm(1025, ODD, in_geomean=False),
    Row("gemm1024w", "weights", {"M": 1024, "K": 1024, "N": 1024}, (Goal(0.95),)),
    Row("gemv4096", "weights", {"M": 1, "K": 4096, "N": 4096}, (Goal(1.0),)),
    Row("bmm96", "bmm", {"B": 96, "M": 128, "K": 64, "N": 128}, (Goal(0.95),)),
    mlp(1, Goal(1.0)),
    mlp(32, Goal(1.0)),
    mlp(256, Goal(1.0)),
    Row("ew", "ew", {}, (Goal(3.0, "allocating", threads=1), Goal(1.7, "keeping"))),
    Row("softmax", "softmax", {}, (Goal(1.3),)),
    Row("layernorm", "layernorm", {}, (Goal(0.95),), bandwidth=0.9),
    encoder("bert12", 12, 768, Goal(1.0)),
    encoder("minilm6", 6, 384, Goal(1.0)),
    Row("jacobi2d", "jacobi2d", {}, (Goal(1.0),)),
    Row("heat3d", "heat3d", {}, (Goal(1.0),)),
    conv("conv3x3", C=64, O=64, S=56, K=3, P=1),
    conv("dw3x3", C=32, O=32, S=112, K=3, P=1, G=32),
    conv("conv1x1", C=64, O=256, S=56, K=1, P=0),
    step("mlp", {"B": 64}, Goal(1.15)),
    step("gpt", {"B": 8, "S": 128, "D": 256, "H": 8, "V": 512}, Goal(1.15)),
    step("cnn", {"B": 64}),
]

MODELS = [
    model("minilm", "minilm", batch=1, length=128),
    model("minilm-short", "minilm", batch=1, length=16),
    model("minilm-batch", "minilm", batch=16, length=32),
    model("squeezenet"),
    model("shufflenet"),
    model("inception_v1"),
    model("inception_v2"),
    model("resnet50"),
    model("densenet121"),
    model("bvlc_alexnet"),
    model("zfnet512"),
    model("vgg19"),
]
"""Whole models, which come as ONNX files."""

NOT_YET = {
    "train_resnet50": "whole convolutional networks have no row yet",
    "spmm": "the language has no sparse tensors",
    "gcn2": "the language has no sparse tensors",
}
"""Rows that are not ours yet, with the reason."""

SCALES = {
    "gemm": [gemm(n, in_geomean=False) for n in (64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)],
    "mlp": [mlp(batch) for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)],
    "attention": [attention(length) for length in (128, 256, 512, 1024, 2048, 4096)],
}
"""Races over one size, by the name of their plot."""

NAMES = [*(row.name for row in (*ROWS, *MODELS)), *NOT_YET]


def find(name: str) -> Row | None:
    """The race of a name, those of the plots included."""
    every = (*ROWS, *MODELS, *(row for rows in SCALES.values() for row in rows))
    return next((row for row in every if row.name == name), None)
