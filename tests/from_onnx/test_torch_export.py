"""What torch.onnx.export writes becomes programs that give torch's numbers (with torch and onnxscript: the extra test-torch)."""

from __future__ import annotations

import io
import warnings
from collections import Counter

import numpy as np
import onnx
import pytest

import irkit

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
nn = torch.nn
F = torch.nn.functional


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 4))

    def forward(self, x):
        return F.softmax(self.net(x), -1)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        )

    def forward(self, x):
        return self.net(x)


class Decoder(nn.Module):
    """One step of a decoder with a cache of keys and values."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x, keys, values):
        q, k, v = (t.reshape(1, 1, 4, 8).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        y = F.scaled_dot_product_attention(q, keys, values)
        return self.out(y.transpose(1, 2).reshape(1, 1, 32)), keys, values


class Block(nn.Module):
    """A decoder as people write one: what it does is written out, and exporters leave it so."""

    def __init__(self):
        super().__init__()
        self.scale, self.qkv = nn.Parameter(torch.rand(32)), nn.Linear(32, 64)
        self.gate, self.up, self.down = nn.Linear(32, 48), nn.Linear(32, 48), nn.Linear(48, 32)
        self.register_buffer("seen", torch.tril(torch.ones(10, 10)).view(1, 1, 10, 10))

    def norm(self, x):
        return self.scale * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))

    def forward(self, x, cos, sin):
        def turned(t):
            low, high = t[..., :4], t[..., 4:]
            return t * cos + torch.cat([-high, low], -1) * sin

        q, k, v = (
            t.unflatten(2, (-1, 8)).transpose(1, 2) for t in self.qkv(self.norm(x)).split([32, 16, 16], 2)
        )
        q, k = turned(q), turned(k)
        k, v = (t[:, :, None].expand(2, 2, 2, 10, 8).reshape(2, 4, 10, 8) for t in (k, v))
        scores = (q @ k.transpose(-2, -1)) * 8**-0.5
        weights = F.softmax(scores.masked_fill(self.seen == 0, float("-inf")), -1)
        x = x + (weights @ v).transpose(1, 2).reshape(2, 10, 32)
        h = self.norm(x)
        gate = self.gate(h)
        return x + self.down(0.5 * gate * (1 + torch.erf(gate / 2**0.5)) * self.up(h))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = (
            nn.LSTM(6, 8, num_layers=2, batch_first=True, bidirectional=True),
            nn.Linear(16, 2),
        )

    def forward(self, x):
        return self.out(self.lstm(x)[0])


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up, self.c = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x):
        a = F.relu(self.a(x))
        b = F.relu(self.b(F.max_pool2d(a, 2)))
        wide = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)[:, :4]
        return torch.sigmoid(self.c(torch.cat([a, self.up(b) + wide], 1)))


def encoder():
    layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


MODELS = {
    "mlp": (Mlp, [(3, 16)]),
    "cnn": (Cnn, [(2, 3, 16, 16)]),
    "encoder": (encoder, [(2, 10, 32)]),
    "decoder": (Decoder, [(1, 1, 32), (1, 4, 7, 8), (1, 4, 7, 8)]),
    "block": (Block, [(2, 10, 32), (10, 8), (10, 8)]),
    "lstm": (Lstm, [(2, 5, 6)]),
    "unet": (UNet, [(1, 1, 16, 16)]),
}


RECOGNISED = {
    "decoder": {"attention": 1},
    "encoder": {"attention": 2},
    "block": {"rms_norm": 2, "rotary_embedding": 2, "attention": 1, "gelu": 1},
}
"""What ops that are written out in the exports become."""


def exported(model, inputs, dynamo: bool) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            return torch.onnx.export(model, inputs, dynamo=True, verbose=False).model_proto
        file = io.BytesIO()
        torch.onnx.export(model, inputs, file, dynamo=False)
        return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize("dynamo", [True, False], ids=["export", "torchscript"])
@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, dynamo: bool):
    torch.manual_seed(0)
    make, shapes = MODELS[name]
    model = make().eval()
    inputs = tuple(torch.randn(*s) for s in shapes)
    with torch.no_grad():
        expected = model(*inputs)
    graph = irkit.from_onnx(exported(model, inputs, dynamo))
    found = graph.compile(threads=1)(*(x.numpy() for x in inputs))
    pairs = zip(
        found if isinstance(found, tuple) else (found,),
        expected if isinstance(expected, tuple) else (expected,),
        strict=True,
    )
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)
    assert irkit.parse(graph.tg())
    optimised = irkit.lower(graph.module, to="graph")
    names = Counter(op.name.removeprefix("graph.") for op in optimised.walk())
    assert {n: names[n] for n in RECOGNISED.get(name, {})} == RECOGNISED.get(name, {})
    assert names["softmax"] == (name == "mlp")
