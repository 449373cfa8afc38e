"""Every command of docs/debugging.md, run in order in one folder, prints what stands below it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "debugging.md"
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NAMES = """
irkit() { "$IRKIT_PYTHON" -m irkit.cli "$@"; }
irkit-opt() { "$IRKIT_PYTHON" -m irkit.opt "$@"; }
"""


def test_the_page_tells_what_happens(tmp_path: Path):
    env = os.environ | {"PYTHONPATH": str(ROOT), "IRKIT_PYTHON": sys.executable}
    commands = 0
    for kind, name, content in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if name:
            (tmp_path / name).write_text(content)
            continue
        assert kind == "console"
        for block in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
            command, _, expected = block.partition("\n")
            done = subprocess.run(
                ["bash", "-c", f"{NAMES}exec 2>&1\n{command}"],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert matches(done.stdout, expected), f"$ {command}\n{done.stdout}\nis not\n{expected}"
            commands += 1
    assert commands >= 8


def matches(found: str, expected: str) -> bool:
    """Whether a text is as expected, where `...` stands for the rest of a line, and on a line of its own for any lines."""
    lines = [
        r"(?:[^\n]*\n)*" if line == "..." else r"[^\n]*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in expected.splitlines()
    ]
    return re.fullmatch("".join(lines), found) is not None


def test_what_matches():
    assert matches("a\nb 1 c\nd\ne\n", "a\nb ...c\n...\n") and matches("a\n", "...\na\n")
    assert not matches("a\nb\n", "a\n") and not matches("a b\n", "a c...\n") and not matches("", "a\n")
