"""What a model uses and irkit lacks, all of it at once, before anything is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import onnx

from dialects.errors import ErrorList, IrkitError
from irkit.onnx.data import bodies
from irkit.onnx.functions import is_defined
from irkit.onnx.node import RULES, domain_of

if TYPE_CHECKING:
    from irkit.onnx.importer import Importer

SHOWN = 20
"""Nodes named in an error of one op."""


def check_support(importer: Importer) -> None:
    """Raises ErrorList with one error for each op that has neither a rule nor a definition, which names its nodes."""
    missing: dict[tuple[str, str], list[str]] = {}
    waiting, seen = list(_nodes(importer.model.graph.node, "")), set()
    for domain, op, name in waiting:
        short = domain_of(domain)
        if function := importer.functions.get((domain, op)):
            if (domain, op) not in seen:
                seen.add((domain, op))
                waiting += _nodes(function.node, f"{name}/")
            continue
        if (short, op) in RULES:
            continue
        if not is_defined(op, domain, importer.versions.get(short, 1)):
            missing.setdefault((short, op), []).append(name)
    if missing:
        raise ErrorList([_error(*key, names, importer) for key, names in missing.items()])


def _error(domain: str, op: str, names: Sequence[str], importer: Importer) -> IrkitError:
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    what = f"{domain}.{op}" if domain else op
    version = importer.versions.get(domain)
    opset = f" of opset {version}" if version else ", whose domain the model does not import"
    return IrkitError(f"irkit has no rule for the op {what}{opset}", found=f"{importer.file}: {shown}")


def _nodes(nodes: Sequence[onnx.NodeProto], within: str) -> Iterator[tuple[str, str, str]]:
    """The domain, the op and the name of every node, of bodies too."""
    for number, node in enumerate(nodes, 1):
        name = f"{within}{node.name or f'node {number}'}"
        yield node.domain, node.op_type, name
        for attribute in node.attribute:
            for inner in bodies(attribute):
                yield from _nodes(inner.node, f"{name}/")
