"""The rules of ops, by family; importing the package registers them."""

from irkit.onnx.rules import (
    activations,  # noqa: F401
    casts,  # noqa: F401
    control,  # noqa: F401
    elementwise,  # noqa: F401
    from_data,  # noqa: F401
    indexing,  # noqa: F401
    movement,  # noqa: F401
    regions,  # noqa: F401
    resize,  # noqa: F401
    sampling,  # noqa: F401
    scattering,  # noqa: F401
    shapes,  # noqa: F401
    signal,  # noqa: F401
    trigonometry,  # noqa: F401
)
