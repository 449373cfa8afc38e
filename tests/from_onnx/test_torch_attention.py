"""Attention and rotary embedding as people write them in torch, and as its exporters write them, are one op, with torch's numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import irkit

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
F = torch.nn.functional

from tests.from_onnx.test_torch_export import exported  # noqa: E402  (which skips without torch too)

LEAST = torch.finfo(torch.float32).min


def _scores(q, k):
    return q @ k.transpose(-1, -2) / 8**0.5


def _every_two(x):
    return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)


def _repeated(x, n: int):
    return x[:, :, None].expand(2, x.shape[1], n, *x.shape[2:]).reshape(2, -1, *x.shape[2:])


FORMS = {
    "safe": lambda q, k, v, seen: F.scaled_dot_product_attention(q, k, v, attn_mask=seen),
    "fill": lambda q, k, v, seen: F.softmax(_scores(q, k).masked_fill(~seen, -1e9), -1) @ v,
    "least": lambda q, k, v, seen: F.softmax(_scores(q, k) + torch.where(seen, 0.0, LEAST), -1) @ v,
    "causal": lambda q, k, v, _: (
        F.softmax(torch.where(torch.tril(torch.ones(10, 10, dtype=torch.bool)), _scores(q, k), LEAST), -1) @ v
    ),
    "heads": lambda q, k, v, seen: torch.exp(
        F.softmax(_scores(q, _repeated(k[:, :2], 2)).masked_fill(~seen, LEAST), -1) @ _repeated(v[:, :2], 2)
    ),
    "one_head": lambda q, k, v, _: F.softmax(_scores(q, k[:, :1]), -1) @ v[:, :1],
}
"""Attention of q, k and v of 4 heads, and a mask of bools of which row 0 of the first image hides all keys."""

UNSEEN = {"safe": "safe"}
HIDDEN = {"fill": "-1000000000.0", "causal": "-3.4028235e+38", "heads": "-3.4028235e+38"}


def exports(forms, quick):
    """Each form by both exporters; by the new one, which takes seconds, a few."""
    return [
        pytest.param(
            name,
            dynamo,
            id=f"{name}-{'export' if dynamo else 'torchscript'}",
            marks=[pytest.mark.slow] * (dynamo and name not in quick),
        )
        for name in forms
        for dynamo in (False, True)
    ]


def run(function, *inputs, dynamo: bool):
    """The optimised program, torch's numbers and ours."""
    model = torch.nn.Module()
    model.forward = lambda *x: function(*x)
    graph = irkit.from_onnx(exported(model.eval(), inputs, dynamo))
    with torch.no_grad():
        expected = function(*inputs).numpy()
    found = graph.compile(threads=1)(*(x.numpy() for x in inputs))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    return irkit.lower(graph.module, to="graph")


@pytest.mark.parametrize(("name", "dynamo"), exports(FORMS, ("safe", "heads")))
def test_attention(name: str, dynamo: bool):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 4, 10, 8) for _ in range(3))
    seen = torch.rand(2, 1, 10, 10) > 0.3
    if not (
        dynamo and name == "safe"
    ):  # that export hides keys by a finite number, and torch by an infinite one
        seen[0, 0, 0] = False
    function = FORMS[name]
    takes_mask = name not in ("causal", "one_head")
    inputs = (q, k, v, seen) if takes_mask else (q, k, v)
    optimised = run(function if takes_mask else lambda *x: function(*x, None), *inputs, dynamo=dynamo)
    (op,) = (o for o in optimised.walk() if o.name == "graph.attention")
    assert not any(o.name in ("graph.softmax", "graph.broadcast") for o in optimised.walk())
    assert op.values()["unseen"] == UNSEEN.get(name, "nan")
    assert str(op.values()["hidden"]) == HIDDEN.get(name, "None")
    assert len(op.results[0].type.get_shape()) == (5 if name == "heads" else 4)


ROTARY = {
    "every_two": (lambda x, c, s: x * c + _every_two(x) * s, 8),
    "stacked": (
        lambda x, c, s: torch.stack(
            (x[..., ::2] * c - x[..., 1::2] * s, x[..., ::2] * s + x[..., 1::2] * c), -1
        ).flatten(-2),
        4,
    ),
    "negated": (
        lambda x, c, s: torch.cat((x[..., :4] * c + (-x[..., 4:]) * s, x[..., 4:] * c + x[..., :4] * s), -1),
        4,
    ),
    "twice": (
        lambda x, c, s: (
            x * torch.cat((c, c), -1) + torch.cat((-x[..., 4:], x[..., :4]), -1) * torch.cat((s, s), -1)
        ),
        4,
    ),
}


@pytest.mark.parametrize(("name", "dynamo"), exports(ROTARY, ("every_two",)))
def test_rotary(name: str, dynamo: bool):
    torch.manual_seed(0)
    function, features = ROTARY[name]
    optimised = run(
        function,
        torch.randn(2, 4, 10, 8),
        torch.randn(10, features),
        torch.randn(10, features),
        dynamo=dynamo,
    )
    names = Counter(o.name for o in optimised.walk() if o.name.startswith("graph."))
    assert names == {"graph.rotary_embedding": 1}
