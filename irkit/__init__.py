"""irkit compiles tensor graphs, written as text, to C.

    program = irkit.compile("mlp.tg")
    logits = program(x)

`compile` gives a callable, `parse` the syntax tree, `lower` the IR at a level; `trace` makes a graph of a Python
function. Errors are IrkitError, or ErrorList for several at once; LayoutWarning says that an argument had to be copied.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dialects.errors import ErrorList, IrkitError
    from irkit.api import compile, load, lower, parse
    from irkit.gradient_check import check_grad
    from irkit.onnx import from_onnx
    from irkit.plugins import Plugin, load_plugin
    from irkit.runtime.module import LayoutWarning, Program
    from irkit.tracing import (
        Graph,
        Tensor,
        TraceError,
        cond,
        custom_vjp,
        dim,
        fori,
        grad,
        init,
        jvp,
        nn,
        ops,
        param,
        scan,
        spec,
        stop_gradient,
        trace,
        value_and_grad,
        vjp,
        vmap,
        while_loop,
    )

__all__ = [
    "ErrorList",
    "Graph",
    "IrkitError",
    "LayoutWarning",
    "Plugin",
    "Program",
    "Tensor",
    "TraceError",
    "check_grad",
    "compile",
    "cond",
    "custom_vjp",
    "dim",
    "fori",
    "from_onnx",
    "grad",
    "init",
    "jvp",
    "load",
    "load_plugin",
    "lower",
    "nn",
    "ops",
    "param",
    "parse",
    "scan",
    "spec",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]

_HOMES = {
    "check_grad": "irkit.gradient_check",
    "compile": "irkit.api",
    "from_onnx": "irkit.onnx",
    "lower": "irkit.api",
    "parse": "irkit.api",
    "ErrorList": "dialects.errors",
    "IrkitError": "dialects.errors",
    "LayoutWarning": "irkit.runtime.module",
    "Plugin": "irkit.plugins",
    "Program": "irkit.runtime.module",
    "load": "irkit.api",
    "load_plugin": "irkit.plugins",
    **dict.fromkeys(
        (
            "Graph",
            "Tensor",
            "TraceError",
            "cond",
            "custom_vjp",
            "dim",
            "fori",
            "grad",
            "init",
            "jvp",
            "nn",
            "ops",
            "param",
            "scan",
            "spec",
            "stop_gradient",
            "value_and_grad",
            "vjp",
            "vmap",
        ),
        "irkit.tracing",
    ),
    "trace": "irkit.tracing",
    "while_loop": "irkit.tracing",
}


def __getattr__(name: str) -> object:
    """Imports a name when it is first used, so that `import irkit` is quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'irkit' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
