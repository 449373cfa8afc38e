"""`python -m tools.ops_docs.derivatives`: writes the table of derivatives, docs/derivatives.md, and measures its errors anew."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dialects.graph import OPS, Derived
from irkit.files import write_atomically
from irkit.gradient_check import check_grad
from lowering.graph.derivatives import forward, reverse  # noqa: F401  (they fill the tables)
from lowering.graph.derivatives.batch_rules import ALIGNED, BATCHED
from lowering.graph.derivatives.batching import TABLES  # noqa: F401
from lowering.graph.derivatives.formulas import has_formula
from lowering.graph.derivatives.rules import CONSTANT, FORWARD, PARTIALS, REVERSE
from tools.ops_docs.__main__ import DOCS, documented

PATH = DOCS / "derivatives.md"

HEAD = """<!-- Written by `python -m tools.ops_docs.derivatives` from the ops themselves. -->

# Derivatives of ops

How each op is differentiated ([language](language.md#derivatives)): `rule` is by one of its own, `formula` by other ops that
compute the same, `zero` as a constant, and `none` ends with an error that names the op. Over parts (`vmap`), an op without a
rule or a formula runs part after part, `loop`.

The last column is how far reverse mode is away from central differences in f64, in parts of the sum of the terms' sizes, to
a power of ten; `irkit.check_grad` over the programs of the tests measures it. Differences themselves are about as far away.

| op | reverse | forward | vmap | error |
|---|---|---|---|---|
"""


def derivative(name: str, own: Mapping[str, object]) -> str:
    """How a mode with these rules of its own differentiates an op."""
    if name in CONSTANT:
        return "zero"
    if name in own or name in PARTIALS:
        return "rule"
    return "formula" if has_formula(OPS[name]) else "none"


def over_parts(name: str) -> str:
    """How vmap maps an op."""
    if name in BATCHED or issubclass(OPS[name], ALIGNED):
        return "rule"
    return "formula" if issubclass(OPS[name], Derived) else "loop"


def table(errors: Mapping[str, str]) -> str:
    """The page, with these errors by op."""
    rows = [
        f"| [{n}](ops/{n}.md) | {derivative(n, REVERSE)} | {derivative(n, FORWARD)} | {over_parts(n)} | {errors.get(n, '')} |"
        for n in documented()
    ]
    return HEAD + "\n".join(rows) + "\n"


def known_errors(text: str) -> dict[str, str]:
    """The errors that a page tells."""
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| [")]
    return {cells[1].split("]")[0].strip(" ["): cells[-2].strip() for cells in rows}


def measured(cases: Mapping[str, str]) -> dict[str, str]:
    """The worst error of each op over some programs, to a power of ten."""
    worst: dict[str, float] = {}
    for text in cases.values():
        for row in check_grad(text).rows:
            if row.smooth and not row.what.startswith("argument "):
                worst[row.what] = max(worst.get(row.what, 0.0), row.differences)
    return {n: f"1e{math.ceil(math.log10(e))}" if e else "0" for n, e in worst.items()}


if __name__ == "__main__":
    from tests.derivatives.cases import CASES

    write_atomically(str(PATH), table(measured(CASES)))
