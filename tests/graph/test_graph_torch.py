"""References against torch, for ops that NumPy does not have. Skipped where torch is not installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dialects.graph.base import _ELEMENTS
from dialects.types import tensor
from tests.graph.samples import op_of

torch = pytest.importorskip("torch")
F = torch.nn.functional

RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


X1, X2, X3 = normal(2, 4, 11), normal(2, 4, 7, 9), normal(2, 4, 5, 6, 7)
W1, W2, W3 = normal(6, 2, 3), normal(6, 2, 3, 2), normal(6, 2, 2, 3, 2)
T1, T2 = normal(4, 3, 3), normal(4, 3, 3, 2)
BIAS = normal(6)
C = normal(4)
LABELS = np.array([1, 0, 3, 2, 4], np.int64)
LOGITS = normal(5, 6)
UNIT = RNG.random((5, 6)).astype(np.float32)

Row = tuple[str, list[np.ndarray], dict[str, Any], Callable[..., Any]]

ROWS: list[Row] = [
    *(
        ("conv1d", [X1, W1, BIAS], {"groups": 2, **v}, lambda x, w, b, v=v: F.conv1d(x, w, b, groups=2, **v))
        for v in ({}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": "same"}, {"padding": "valid"})
    ),
    *(
        ("conv2d", [X2, W2, BIAS], {"groups": 2, **v}, lambda x, w, b, v=v: F.conv2d(x, w, b, groups=2, **v))
        for v in ({"padding": "same"}, {"dilation": (2, 1), "padding": (2, 0)}, {"stride": (2, 3)})
    ),
    (
        "conv2d",
        [X2, W2],
        {"groups": 2, "padding": [1, 0, 2, 3], "stride": 2},
        lambda x, w: F.conv2d(F.pad(x, (2, 3, 1, 0)), w, groups=2, stride=2),
    ),
    *(
        ("conv3d", [X3, W3, BIAS], {"groups": 2, **v}, lambda x, w, b, v=v: F.conv3d(x, w, b, groups=2, **v))
        for v in ({"padding": "same"}, {"stride": (2, 1, 2), "padding": (1, 0, 1), "dilation": (1, 2, 1)})
    ),
    *(
        (
            "conv_transpose1d",
            [X1, T1, BIAS],
            {"groups": 2, **v},
            lambda x, w, b, v=v: F.conv_transpose1d(x, w, b, groups=2, **v),
        )
        for v in ({}, {"stride": 3, "padding": 1, "output_padding": 2}, {"dilation": 2, "padding": 5})
    ),
    *(
        (
            "conv_transpose2d",
            [X2, T2, BIAS],
            {"groups": 2, **v},
            lambda x, w, b, v=v: F.conv_transpose2d(x, w, b, groups=2, **v),
        )
        for v in (
            {},
            {"stride": 2, "padding": (1, 0), "output_padding": (1, 0)},
            {"stride": (1, 3), "dilation": (2, 1), "padding": 2},
        )
    ),
    *(
        (
            f"{kind}_pool2d",
            [X2],
            v,
            lambda x, v=v, kind=kind: getattr(F, f"{kind}_pool2d")(x, v["kernel"], **_rest(v)),
        )
        for kind in ("max", "avg")
        for v in ({"kernel": 2}, {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 0)})
    ),
    (
        "avg_pool2d",
        [X2],
        {"kernel": 3, "stride": 2, "padding": 1, "count_padding": False},
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    ("adaptive_avg_pool2d", [X2], {"size": (3, 4)}, lambda x: F.adaptive_avg_pool2d(x, (3, 4))),
    ("adaptive_max_pool2d", [X2], {"size": (5, 2)}, lambda x: F.adaptive_max_pool2d(x, (5, 2))),
    ("pixel_shuffle", [X2], {"factor": 2}, lambda x: F.pixel_shuffle(x, 2)),
    (
        "resize_bilinear",
        [X2],
        {"size": (5, 20)},
        lambda x: F.interpolate(x, (5, 20), mode="bilinear", align_corners=False),
    ),
    ("resize_nearest", [X2], {"size": (5, 20)}, lambda x: F.interpolate(x, (5, 20), mode="nearest")),
    (
        "batch_norm",
        [X2, C, normal(4), normal(4), np.abs(normal(4))],
        {},
        lambda x, s, b, m, v: F.batch_norm(x, m, v, s, b),
    ),
    ("group_norm", [X2, C, normal(4)], {"groups": 2}, lambda x, s, b: F.group_norm(x, 2, s, b)),
    ("layer_norm", [LOGITS, normal(6), normal(6)], {}, lambda x, s, b: F.layer_norm(x, (6,), s, b)),
    ("rms_norm", [LOGITS, normal(6)], {"eps": 1e-5}, lambda x, s: F.rms_norm(x, (6,), s, 1e-5)),
    ("log_softmax", [LOGITS], {}, lambda x: F.log_softmax(x, -1)),
    ("cross_entropy", [LOGITS, LABELS], {}, lambda x, y: F.cross_entropy(x, y, reduction="none")),
    (
        "binary_cross_entropy",
        [LOGITS, UNIT],
        {},
        lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none"),
    ),
    ("huber", [LOGITS, UNIT], {"delta": 0.5}, lambda x, y: F.huber_loss(x, y, reduction="none", delta=0.5)),
    ("kl_divergence", [LOGITS, UNIT], {}, lambda x, y: F.kl_div(x, y, reduction="none")),
    ("leaky_relu", [LOGITS], {"alpha": 0.1}, lambda x: F.leaky_relu(x, 0.1)),
    ("elu", [LOGITS], {"alpha": 1.5}, lambda x: F.elu(x, 1.5)),
    *(
        (name, [LOGITS * 4], {}, lambda x, name=name: getattr(F, name)(x))
        for name in ("softplus", "hardswish", "hardsigmoid", "mish", "silu", "relu6", "gelu")
    ),
    ("gelu", [LOGITS], {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh")),
    ("log_sigmoid", [LOGITS * 4], {}, lambda x: F.logsigmoid(x)),
    ("one_hot", [LABELS], {"classes": 6}, lambda y: F.one_hot(y, 6).to(torch.float32)),
    (
        "scatter_along",
        [LOGITS, np.array([[0, 0, 1]] * 5), UNIT[:, :3]],
        {"axis": 1, "mode": "add"},
        lambda x, i, u: x.scatter_add(1, i, u),
    ),
    (
        "scatter_along",
        [LOGITS, np.array([[0, 0, 1]] * 5), UNIT[:, :3]],
        {"axis": 1, "mode": "max"},
        lambda x, i, u: x.scatter_reduce(1, i, u, "amax"),
    ),
    ("cummax", [LOGITS], {"axis": 1}, lambda x: x.cummax(1).values),
    ("top_k", [LOGITS], {"k": 3}, lambda x: x.topk(3).values),
    (
        "triangular_solve",
        [np.tril(normal(4, 4)) + 4 * np.eye(4, dtype=np.float32), normal(4, 2)],
        {},
        lambda a, b: torch.linalg.solve_triangular(a, b, upper=False),
    ),
]


def _rest(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k != "kernel"}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[2]}")
def test_references_are_torchs(row: Row):
    name, arrays, values, function = row
    types = [tensor(_ELEMENTS[a.dtype], a.shape) for a in arrays]
    found = op_of(name, types, **values).run(arrays)[0]
    expected = function(*map(torch.from_numpy, arrays)).numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
