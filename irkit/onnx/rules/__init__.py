"""The rules of ops, by family; importing the package registers them."""

from irkit.onnx.rules import (
    attention,  # noqa: F401
    contraction,  # noqa: F401
    control,  # noqa: F401
    convolution,  # noqa: F401
    deformation,  # noqa: F401
    elementwise,  # noqa: F401
    indexing,  # noqa: F401
    normalisation,  # noqa: F401
    pooling,  # noqa: F401
    quantised,  # noqa: F401
    reduction,  # noqa: F401
    shapes,  # noqa: F401
)
