"""Define by run: a Python function on NumPy-like tensors, run once to give the same graph as the language does.

@irkit.trace
def f(x, w):
    return np.tanh(x @ w)

f(x, w)                                    # traces, compiles, runs
print(f.graph(irkit.spec([B, 64]), w))     # the function in the language
"""

from irkit.tracing import nn, ops
from irkit.tracing.choice import cond
from irkit.tracing.control import fori, scan, while_loop
from irkit.tracing.derivatives import grad, jvp, stop_gradient, value_and_grad, vjp
from irkit.tracing.errors import TraceError
from irkit.tracing.graph import Graph
from irkit.tracing.mapping import vmap
from irkit.tracing.params import init, param
from irkit.tracing.rules import custom_vjp
from irkit.tracing.sizes import dim, spec
from irkit.tracing.tensor import Tensor
from irkit.tracing.traced import Traced, trace

__all__ = [
    "Graph",
    "Tensor",
    "TraceError",
    "Traced",
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
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
