"""Writes text as examples for examples/training/gpt.tg: `python -m tools.text_data FILE.npz [LENGTH]`.

The text is this repository's documentation, in ASCII. x holds windows of LENGTH (128) bytes, each beginning half a window
after the one before, and y the byte that follows each; both are i32.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

DOCS = Path(__file__).resolve().parent.parent / "docs"


def text() -> str:
    """The documents in the order of their names; what ASCII lacks is left out."""
    documents = (path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md")))
    return "\n".join(documents).encode("ascii", "ignore").decode("ascii")


def windows(text: str, length: int) -> tuple[np.ndarray, np.ndarray]:
    """What stands at each place of each window, and what follows it."""
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int32)
    starts = np.arange(0, len(codes) - length, max(1, length // 2))[:, None]
    places = starts + np.arange(length)
    return codes[places], codes[places + 1]


def main(path: Path, length: int = 128) -> None:
    """Writes the file."""
    x, y = windows(text(), length)
    np.savez_compressed(path, x=x, y=y)
    print(f"{path}: {len(x)} windows of {length} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
