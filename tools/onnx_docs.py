"""Writes what docs/onnx.md says of the test cases of the `onnx` package: how many pass, and which are refused, and why.

python -m tools.onnx_docs          # some minutes: all of them are compiled and run
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from irkit.files import write_atomically

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "onnx.md"
MARK = "<!-- the rest is written by python -m tools.onnx_docs -->\n"


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from tests.from_onnx import batches

    lines = ["| suite | cases | pass | are refused | are wrong |", "|---|---|---|---|---|"]
    refused: list[tuple[str, str]] = []
    wrong: list[str] = []
    for suite in batches.SUITES:
        names = [t.name for t in batches.tests(suite)]
        counts: Counter[str] = Counter()
        for group in batches.groups(names):
            for outcome in batches.run(list(batches.cases(suite, group))):
                counts[outcome.kind] += 1
                if outcome.kind == "refused":
                    refused.append((outcome.name, _cell(outcome.reason)))
                elif outcome.kind == "wrong":
                    wrong.append(f"{outcome.name}: {outcome.reason}")
            print(f"{suite}: {sum(counts.values())} of {len(names)}, {dict(counts)}", flush=True)
        lines.append(
            f"| {suite} | {sum(counts.values())} | {counts['passed']} | {counts['refused']} | {counts['wrong']} |"
        )
    lines += ["", "## What is refused", "", "| case | reason |", "|---|---|"]
    lines += [f"| `{name}` | {reason} |" for name, reason in refused]
    head = DOCS.read_text(encoding="utf-8").partition(MARK)[0]
    write_atomically(str(DOCS), head + MARK + "\n" + "\n".join(lines) + "\n")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def _cell(reason: str) -> str:
    """A reason without the name of the node, on one line of a table."""
    text = re.sub(r"^node \S+ \(\w+\)( of node [^:]*)?: (irkit does not support )?", "", reason)
    return re.sub(r"\s+", " ", text).replace("|", "\\|")[:160]


if __name__ == "__main__":
    sys.exit(main())
