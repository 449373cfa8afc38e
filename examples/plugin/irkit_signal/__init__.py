"""Ops for signals: a plugin of irkit."""

from xdsl.ir import Dialect

from irkit import Plugin
from irkit_signal import kernels
from irkit_signal.ops import MedianOp, SoftclipOp
from irkit_signal.passes import SignalSimplify
from irkit_signal.rules import softclip

Signal = Dialect("signal", [SoftclipOp, MedianOp])

PLUGIN = Plugin(
    dialects=[Signal],
    rules={SoftclipOp: softclip},
    passes={SignalSimplify.name: SignalSimplify},
    after={"graph-simplify": SignalSimplify.name},
)

__all__ = ["PLUGIN", "Signal", "kernels"]
