"""The graph level: what is computed.

Pure ops on tensors inside `func.func`. Composite ops that people name (conv2d, softmax, layer_norm, attention) stay
whole, so that later passes can see them. Elementwise ops broadcast by NumPy's rules and need one dtype.

    func.func @f(%x: tensor<32x64xf32>, %w: tensor<64x128xf32>) -> tensor<32x128xf32> {
      %0 = graph.matmul %x, %w : (tensor<32x64xf32>, tensor<64x128xf32>) -> tensor<32x128xf32>
      %1 = graph.relu %0 : (tensor<32x128xf32>) -> tensor<32x128xf32>
      func.return %1 : tensor<32x128xf32>
    }

Each op states its parameters, its inference of shape and dtype, and a NumPy reference that judges every back end.
`register_op` makes an op known everywhere; built-in ops use it too. `make` builds any of them from Python values.

Integers carry their sign (`si32`, `ui8`), bool is `i1`. A symbolic dim stands in the type's encoding,
`tensor<?x64xf32, #graph.t<dims=[B, 64]>>`, and is declared with its range on the function:
`attributes {graph.symbols = #dim.symbols<[B: 1 to 64]>}`.
"""

from xdsl.ir import Dialect

from dialects.dims import DimAttr, DimsAttr
from dialects.graph import (
    complexes,
    contraction,
    creation,
    elementwise,
    movement,
    quantised,
    reduction,
    sort_cuda,
)
from dialects.graph.base import (
    OPS,
    GraphOp,
    Mismatch,
    Param,
    array_of,
    dense,
    make,
    operation_name,
    register_op,
)
from dialects.graph.creation import ConstantOp
from dialects.graph.custom import CustomOp, outside_customs, setting_attr
from dialects.graph.derivatives import JvpOp, VjpOp, VmapOp
from dialects.graph.derived import Derived
from dialects.graph.kernels import register_kernel
from dialects.graph.scan import Scan
from dialects.graph.scatter import Scatter
from dialects.graph.sort import ArgsortOp
from dialects.graph.structure import (
    Access,
    AccessAttr,
    ForOp,
    IfOp,
    IndexOp,
    YieldOp,
    dim_names,
    stays_inside,
    symbol_ranges,
)
from dialects.quant import QuantType, ScalesAttr, ZeroPointsAttr, quant
from dialects.syntax import SymbolsAttr
from dialects.types import EncodingAttr

Graph = Dialect(
    "graph",
    [*OPS.values(), CustomOp, IndexOp, ForOp, IfOp, VjpOp, JvpOp, VmapOp, YieldOp],
    [EncodingAttr, AccessAttr, QuantType, ScalesAttr, ZeroPointsAttr, DimAttr, DimsAttr, SymbolsAttr],
)

__all__ = [
    "OPS",
    "Access",
    "AccessAttr",
    "ArgsortOp",
    "ConstantOp",
    "CustomOp",
    "Derived",
    "DimAttr",
    "DimsAttr",
    "ForOp",
    "Graph",
    "GraphOp",
    "IfOp",
    "IndexOp",
    "JvpOp",
    "Mismatch",
    "Param",
    "QuantType",
    "Scan",
    "Scatter",
    "VjpOp",
    "VmapOp",
    "YieldOp",
    "array_of",
    "complexes",
    "contraction",
    "creation",
    "dense",
    "dim_names",
    "elementwise",
    "make",
    "movement",
    "operation_name",
    "outside_customs",
    "quant",
    "quantised",
    "reduction",
    "register_kernel",
    "register_op",
    "setting_attr",
    "sort_cuda",
    "stays_inside",
    "symbol_ranges",
]
