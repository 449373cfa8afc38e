"""The peers: each a file with a function `prepare(row, data, threads)`, which gives a candidate, or None for a row that
it does not have. A peer whose package is missing is left out with a word.

modules     the families as torch modules: the source of four peers
onnx_file   a module as a file, for those that read ONNX
eager, inductor, ort, ov, xla, arrays, jit, plain_c     the peers
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from tools.bench.candidate import Candidate
from tools.bench.data import Data
from tools.bench.rows import Row

Prepare = Callable[[Row, Data, int], "Candidate | None"]


@dataclass(frozen=True)
class Peer:
    """Where a peer is: its file here, the packages that it imports (the first is it), the programs that it starts."""

    file: str
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    function: str = "prepare"

    def missing(self) -> list[str]:
        gone = [p for p in self.packages if importlib.util.find_spec(p) is None]
        return gone + [p for p in self.programs if shutil.which(p) is None]

    def load(self) -> Prepare:
        """The function, imported now. Raises ImportError."""
        return getattr(importlib.import_module(f"tools.bench.peers.{self.file}"), self.function)

    def version(self) -> str:
        try:
            return version(self.packages[0]) if self.packages else ""
        except PackageNotFoundError:
            return ""


EXPORT = ("torch", "onnxscript")

PEERS = {
    "ort": Peer("ort", ("onnxruntime", *EXPORT)),
    "openvino": Peer("ov", ("openvino", *EXPORT)),
    "torch": Peer("eager", ("torch",)),
    "inductor": Peer("inductor", ("torch",), ("g++",)),
    "inductor-keep": Peer("inductor", ("torch",), ("g++",), "prepare_keeping"),
    "jax": Peer("xla", ("jax",)),
    "numpy": Peer("arrays", ("numpy",)),
    "numba": Peer("jit", ("numba",)),
    "c": Peer("plain_c", (), ("gcc",)),
}
"""Every peer by its name on the command line. `inductor-keep` is `inductor` under a malloc that gives no page back."""


def absent(names: Iterable[str]) -> dict[str, str]:
    """The peers that cannot run here, with the word to say."""
    words: dict[str, str] = {}
    for name in names:
        if gone := PEERS[name].missing():
            words[name] = f"{', '.join(gone)} missing; pip install -e '.[bench]' brings all peers"
    return words
