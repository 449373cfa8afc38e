"""The rules of ops, by family; importing the package registers them."""

from irkit.onnx.rules import (
    control,  # noqa: F401
    elementwise,  # noqa: F401
    indexing,  # noqa: F401
    losses,  # noqa: F401
    ml,  # noqa: F401
    randoms,  # noqa: F401
    recurrent,  # noqa: F401
    shapes,  # noqa: F401
    training,  # noqa: F401
    trees,  # noqa: F401
)
