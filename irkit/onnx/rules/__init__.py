"""The rules of ops, by family; importing the package registers them."""

from irkit.onnx.rules import (
    control,  # noqa: F401
    elementwise,  # noqa: F401
    indexing,  # noqa: F401
    shapes,  # noqa: F401
)
