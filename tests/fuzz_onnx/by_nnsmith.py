"""Models by NNSmith (PyPI): this file makes them where NNSmith is installed, and `stored` reads them anywhere.

pip install nnsmith torch onnx
python tests/fuzz_onnx.by_nnsmith.py 2000 DIR      # DIR/SEED.onnx with its inputs beside it, SEED.npz
python -m tests.fuzz_onnx --models DIR
"""

from __future__ import annotations

import functools
import itertools
import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ELEMENTS = 4096
"""Of a tensor, at most."""


def stored(folder: Path) -> Iterator[Any]:
    """The samples in a folder, in the order of their names."""
    import numpy as np
    import onnx

    from tests.fuzz_onnx.check import Sample

    for path in sorted(folder.glob("*.onnx"), key=lambda p: (len(p.stem), p.stem)):
        with np.load(path.with_suffix(".npz")) as data:
            yield Sample(path.stem, onnx.load(path), dict(data))


def make(count: int, folder: Path, first: int = 0) -> None:
    """Writes that many models of 5 to 20 nodes, by seeds from the first on."""
    import numpy as np
    import onnx
    import torch
    from nnsmith.abstract.extension import activate_ext
    from nnsmith.graph_gen import model_gen
    from nnsmith.materialize import Model
    from nnsmith.narrow_spec import auto_opset

    warnings.simplefilter("ignore")
    # NNSmith is of a time in which this was what torch did by itself.
    torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)
    kind = Model.init("onnx", backend_target="cpu")
    kind.add_seed_setter()
    ops = auto_opset(kind, None, vulops=True)
    activate_ext(opset=ops, factory=None)
    folder.mkdir(exist_ok=True)
    made = 0
    for seed in itertools.count(first):
        if made == count:
            return
        random.seed(seed)
        try:
            drawn = model_gen(
                opset=ops,
                method="symbolic-cinit",
                seed=seed,
                max_elem_per_tensor=ELEMENTS,
                max_nodes=5 + seed % 16,
                timeout_ms=10000,
            )
            model = kind.from_gir(drawn.make_concrete())
            model.refine_weights()
            inputs = model.make_oracle().input
            onnx.save(model.native_model, folder / f"{seed}.onnx")
            np.savez(folder / f"{seed}.npz", **inputs)
            made += 1
        except Exception as fault:  # of NNSmith, or of torch where it cannot export what was drawn
            print(f"seed {seed}: {type(fault).__name__}: {fault}"[:200], flush=True)


if __name__ == "__main__":
    make(int(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
