"""Names that a reader likes for what a model calls `/encoder/layer.0/attention/self/query/MatMul_output_0`."""

from __future__ import annotations

import re

import onnx

from irkit.lang.unparse.text import MEANINGS, identifier

LONGEST = 100
"""Characters of a name."""


def parameter_name(name: str, default: str, user: onnx.NodeProto | None = None) -> str:
    """The name of an input, a result or a parameter: the model's, as far as the language allows.

    An exporter's number for a weight, `onnx::MatMul_123`, says less than the path of the node that takes it.
    """
    if user is not None and re.fullmatch(r"(onnx::\w+?_?)?\d+", name):
        path = [p for p in user.name.split("/")[:-1] if p]
        name = "/".join([*path, default] if path else [f"{user.op_type.lower()}_{default}"])
    own = identifier(re.sub(r"_output_\d+$", "", name).replace("::", "_"))
    own = re.sub(r"_{2,}", "_", own).strip("_")[:LONGEST] or default
    own = f"{default}{own}" if own[0].isdigit() else own
    return f"{own}_" if own in MEANINGS else own


def value_name(name: str, node: onnx.NodeProto) -> str:
    """The name of what a node computes: the last part of the model's name that is not just the op and a number."""
    stem = re.sub(r"(_output)?_\d+$", "", name.removeprefix("onnx::"))
    parts = [p for p in re.split(r"[/:;]+", stem) if p and not p.isdigit()]
    while len(parts) > 1 and re.fullmatch(rf"{re.escape(node.op_type)}(_\d+)?", parts[-1], re.IGNORECASE):
        parts.pop()
    own = identifier(re.sub(r"\W+", "_", parts[-1] if parts else "")).strip("_").lower()[:LONGEST]
    return own if own and own[0].isalpha() else node.op_type.lower()
