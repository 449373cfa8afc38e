"""The examples of docs/tracing.md run, one after the other, and print what stands below them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tracing.md"
FENCE = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples(tmp_path, monkeypatch, capsys):
    text = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    count = 0
    for block in FENCE.finditer(text):
        if block[1] == "python":
            lines = "\n" * text.count("\n", 0, block.start(2))
            exec(compile(lines + block[2], str(PAGE), "exec"), scope)
            count += 1
        else:
            assert capsys.readouterr().out.strip() == block[2].strip()
    assert count == 8
