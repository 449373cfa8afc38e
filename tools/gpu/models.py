"""python3 models.py [DEVICE]: whole models in irkit and in PyTorch, with the same random weights, as rows of the table that
check.sh makes. It needs irkit with PyCUDA, torch and onnxscript; BERT and GPT need transformers, ResNet torchvision. What is
not here is named in a row."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from peers import PEERS, median, missing, row

TYPES = {"f32": 1e-3, "bf16": 6e-2}
"""What results may differ by from double precision, of their spread."""


def resnet(torch, batch: int):
    from torchvision.models import resnet50

    return resnet50(weights=None), torch.randn(batch, 3, 224, 224)


def bert(torch, batch: int):
    from transformers import BertConfig, BertModel

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = BertModel(BertConfig(attn_implementation="eager"))

        def forward(self, x):
            return self.body(inputs_embeds=x).last_hidden_state

    return Hidden(), torch.randn(batch, 128, 768)


def gpt(torch, batch: int):
    """The layers of GPT-2 on a whole context, which is what a step of prefill does."""
    from transformers import GPT2Config, GPT2Model

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = GPT2Model(GPT2Config(attn_implementation="eager", use_cache=False))

        def forward(self, x):
            return self.body(inputs_embeds=x).last_hidden_state

    return Hidden(), torch.randn(batch, 512, 768)


MODELS = (
    ("resnet50", resnet, 1, "f32"),
    ("resnet50", resnet, 32, "f32"),
    ("bert_base", bert, 1, "f32"),
    ("bert_base", bert, 16, "bf16"),
    ("gpt2", gpt, 1, "bf16"),
)


def main(device: str) -> int:
    try:
        import torch
    except ImportError as fault:
        missing("all models", "torch and irkit", fault)
        return 0
    if device == "cuda" and not torch.cuda.is_available():
        missing("all models", "torch and irkit", "torch sees no GPU")
        return 0
    wrong = 0
    for name, make, batch, dtype in MODELS:
        name = f"{name}_{dtype}_batch_{batch}"
        torch.manual_seed(0)
        try:
            module, x = make(torch, batch)
        except Exception as fault:
            missing(name, "all", fault)
            continue
        with torch.no_grad():
            wrong |= race(torch, name, module.eval(), x, dtype, device)
    return wrong


def race(torch, name: str, module, x, dtype: str, device: str) -> int:
    typed = getattr(torch, {"f32": "float32", "bf16": "bfloat16"}[dtype])
    module, x = module.to(device, typed), x.to(device, typed)  # what both sides are given
    wanted = module.double()(x.double())
    module.to(typed)
    wrong = 0

    def tell(peer: str, make) -> None:
        nonlocal wrong
        try:
            run = make()
            found = run()
            error = float((found.double() - wanted).abs().max() / wanted.std())
            ms = median(torch, run, device)
        except Exception as fault:  # a peer's own fault is a row, not an end
            return missing(name, peer, fault)
        wrong |= error > TYPES[dtype]
        row(name, peer, "ok" if error <= TYPES[dtype] else "WRONG", f"{error:.0e}", f"{ms:.3f}")

    tell("irkit", lambda: ours(torch, module, x, device))
    if x.ndim == 4:
        module, x = (v.to(memory_format=torch.channels_last) for v in (module, x))
    for peer, mode in PEERS.items():
        tell(peer, lambda mode=mode: theirs(torch, module, x, mode))
    return wrong


def theirs(torch, module, x, mode: str | None):
    torch._dynamo.reset()
    run = module if mode is None else torch.compile(module, mode=mode, dynamic=False)
    return lambda: run(x)


def ours(torch, module, x, device: str):
    """The exported model, on arrays where they lie; a CUDA graph from the third run on."""
    import irkit

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(module, (x,), str(path), dynamo=True, external_data=False)
        program = irkit.from_onnx(str(path)).compile(target="cuda" if device == "cuda" else "cuda:cpu")
    call = program.prepare(x)

    def run():
        call.run()
        return torch.from_dlpack(call.results[0])

    return run


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "cuda"))
