"""The graph level: what is computed.

Pure ops on tensors inside `func.func`. Composite ops that people name (conv2d, softmax, layer_norm, attention) stay
whole, so that later passes can see them. Elementwise ops broadcast by NumPy's rules and need one dtype.

    func.func @f(%x: tensor<32x64xf32>, %w: tensor<64x128xf32>) -> tensor<32x128xf32> {
      %0 = graph.matmul %x, %w : (tensor<32x64xf32>, tensor<64x128xf32>) -> tensor<32x128xf32>
      %1 = graph.relu %0 : (tensor<32x128xf32>) -> tensor<32x128xf32>
      func.return %1 : tensor<32x128xf32>
    }

Each op states its parameters, its inference of shape and dtype, and a NumPy reference that judges every back end.
`register_op` makes an op known everywhere; built-in ops use it too.
"""

from xdsl.ir import Dialect

from dialects.dims import DimAttr, DimsAttr
from dialects.graph import contraction, creation, elementwise, movement, reduction
from dialects.graph.base import OPS, GraphOp, Mismatch, Param, make, operation_name, register_op
from dialects.graph.creation import ConstantOp
from dialects.graph.structure import Access, AccessAttr, ForOp, IndexOp, YieldOp
from dialects.syntax import SymbolsAttr
from dialects.types import EncodingAttr

Graph = Dialect("graph", [*OPS.values(), IndexOp, ForOp, YieldOp], [EncodingAttr, AccessAttr, DimAttr, DimsAttr, SymbolsAttr])

__all__ = [
    "OPS",
    "Access",
    "AccessAttr",
    "ConstantOp",
    "DimAttr",
    "DimsAttr",
    "ForOp",
    "Graph",
    "GraphOp",
    "IndexOp",
    "Mismatch",
    "Param",
    "YieldOp",
    "contraction",
    "creation",
    "elementwise",
    "make",
    "movement",
    "operation_name",
    "reduction",
    "register_op",
]
