"""What keeps a model from being imported."""

from __future__ import annotations

import onnx

from dialects.errors import IrkitError
from irkit.tracing.errors import TraceError


class Unsupported(TraceError):
    """Something that a node asks for and irkit lacks, in a few words; the importer adds the node.

    It is a fault of tracing, so that loops and choices around the node let it pass as it is.
    """

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.node: str | None = None

    def told_of(self, node: str) -> Unsupported:
        """The fault as one of a node: of the innermost, where one stands in the definition of another."""
        if self.node is None:
            self.node = node
            self.message = self.sentence(node)
        return self

    def sentence(self, node: str) -> str:
        return f"{node}: irkit does not support {self.message}"


class NeedsValue(Unsupported):
    """A node whose result has a type that depends on the value of a graph input, which is not known while importing."""

    def __init__(self, message: str, source: str | None):
        hint = f"give it: --input {source}=VALUE, or known={{'{source}': array}}" if source else None
        super().__init__(message, hint)
        self.source = source
        """The input of the model, where it is one."""

    def sentence(self, node: str) -> str:
        return f"{node} needs to know {self.message}"


def told(fault: Exception, proto: onnx.NodeProto, where: str) -> IrkitError:
    """What Python or a library said of a node: mostly of one whose attributes or inputs are not what ONNX says."""
    text = str(fault).strip().splitlines()
    hint = "onnx.checker.check_model tells whether its model is valid; if so, this is a fault of irkit"
    return IrkitError(
        f"{where} cannot be imported",
        found=f"{type(fault).__name__}: {text[0][:200] if text else 'no message'}",
        hint=hint,
    )
