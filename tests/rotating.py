"""A number that is another one for every state of the tree, and the same wherever that state is tested.

Tests of which a part runs with each change choose the part by it.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path


@cache
def change() -> int:
    words = ["git", "-C", str(Path(__file__).parent), "write-tree"]
    try:
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout[:7], 16)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return 0
