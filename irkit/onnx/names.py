"""Names that a reader likes for what a model calls `/encoder/layer.0/attention/self/query/MatMul_output_0`."""

from __future__ import annotations

import re

import onnx

from irkit.lang.unparse.text import MEANINGS, identifier


def parameter_name(name: str, default: str) -> str:
    """The name of an input, a result or a parameter: the model's, as far as the language allows."""
    own = identifier(name.replace("::", "_").strip("/"))
    own = re.sub(r"_{2,}", "_", own).strip("_") or default
    own = own if own[0].isalpha() else f"{default}{own}" if own[0].isdigit() else own
    return f"{own}_" if own in MEANINGS else own


def value_name(name: str, node: onnx.NodeProto) -> str:
    """The name of what a node computes: the last part of the model's name that is not just the op and a number."""
    stem = re.sub(r"(_output)?_\d+$", "", name)
    parts = [p for p in re.split(r"[/:]+", stem) if p]
    while len(parts) > 1 and re.fullmatch(rf"{re.escape(node.op_type)}(_\d+)?", parts[-1], re.IGNORECASE):
        parts.pop()
    own = identifier(re.sub(r"\W+", "_", parts[-1] if parts else "")).strip("_").lower()
    return own if own and own[0].isalpha() else node.op_type.lower()
