"""What a comparison has to know of ONNX's ops: which round, which sum, what ONNX leaves open, and where others err."""

from __future__ import annotations


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


ERRS = frozenset({"AveragePool", "BatchNormalization", "Loop", "LpNormalization", "LRN"})
"""Ops of which the evaluator of onnx 1.23 has some otherwise than ONNX says: it leaves out what a ceiling adds, trains in opset 9,
does not stack the rows of a loop, takes no absolute values for order 1, and normalises as many channels as there are images."""
ERRS_IN_HALVES = frozenset({"Sin", "Cos"})
"""Ops that ONNX Runtime 1.32 has wrong for arrays of large numbers of f16."""
NARROW = frozenset({"Erf"})
"""Ops that the evaluator computes in f32, whatever their type."""
F32 = 2.0**-23
"""The rounding of attributes: 0.1 is read as 0.1 here, in f64 too, and as the nearest number of f32 elsewhere."""

EXACT = names(
    "Abs And ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Clip Compress Concat Constant "
    "ConstantOfShape DepthToSpace Equal Expand EyeLike Flatten Floor Gather GatherElements GatherND GlobalMaxPool Greater "
    "GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Max MaxPool Min Neg Not OneHot Or Pad ReduceMax ReduceMin Relu "
    "Reshape ReverseSequence Round ScatterElements ScatterND Shape Sign Slice SpaceToDepth Split Squeeze Tile TopK "
    "Transpose Trilu Unsqueeze Where Xor NonZero Range Size Unique"
)
"""Ops that round nothing."""

SUMS = names(
    "AveragePool BatchNormalization Conv ConvTranspose CumSum Einsum Gemm GlobalAveragePool GlobalLpPool "
    "GroupNormalization InstanceNormalization LayerNormalization LogSoftmax LpNormalization LpPool MatMul "
    "MeanVarianceNormalization ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMean ReduceSum ReduceSumSquare "
    "RMSNormalization Softmax LRN Mean Sum GRU LSTM RNN GridSample Resize Col2Im AffineGrid Det If Loop Scan"
)
"""Ops in which terms larger than the result may meet: noise goes before them too."""

SMOOTH = names(
    "Acos Acosh Asin Asinh Atan Atanh Celu Cos Cosh Elu Erf Exp Gelu HardSwish LogSoftmax Mish Selu Sigmoid Sin Sinh Softplus "
    "Softsign Swish Tan Tanh If Loop Scan RNN GRU LSTM Resize"
)
"""Functions that implementations approximate to a share of one, and not of a small result."""

UNDEFINED_FOR_NAN = names(
    "ArgMax ArgMin Clip Max MaxPool Min ReduceMax ReduceMin GlobalMaxPool Relu Sign TopK LeakyRelu PRelu Elu Selu Celu "
    "HardSigmoid HardSwish ThresholdedRelu Shrink Unique Round Mod"
)
"""Ops for which ONNX does not say what they do with NaN."""
