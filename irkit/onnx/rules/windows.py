"""Windows that move along dims, as convolutions and pools of ONNX describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node
from irkit.tracing import ops
from irkit.tracing.sizes import Size
from irkit.tracing.tensor import Tensor


@dataclass(frozen=True)
class Window:
    """A window that moves along one dim, `count` places in all."""

    size: Size | int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    count: Size | int
    beyond: int = 0
    """Elements that the last place reaches beyond the padding, with ceil_mode."""

    @property
    def reach(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    def taps(self, x: Tensor, axis: int, fill: float | None) -> list[Tensor]:
        """What each element of the window sees, place by place; fill lies outside."""
        edge = (self.before, self.after + self.beyond)
        if any(edge):
            pads = [0] * (2 * x.ndim)
            pads[2 * axis : 2 * axis + 2] = edge
            x = ops.pad(x, pads, value=fill)
        length = (self.count - 1) * self.stride + 1
        key = [slice(None)] * axis
        return [
            x[(*key, slice(start, start + length, self.stride))]
            for start in range(0, self.reach, self.dilation)
        ]


def windows(n: Node, dims: Sequence[Size | int], kernel: Sequence[Size | int]) -> list[Window]:
    """The windows of a node along the dims after batch and channels. Raises Unsupported."""
    rank = len(dims)
    own = [k for k in kernel if isinstance(k, int)]
    if len(own) != rank:
        raise Unsupported(f"a window of {list(kernel)} along {rank} dims")
    strides, dilations = (n.attr(k) or [1] * rank for k in ("strides", "dilations"))
    pads = n.attr("pads") or [0] * (2 * rank)
    auto = n.only("auto_pad", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    if auto == "VALID":
        pads = [0] * (2 * rank)
    if min(pads, default=0) < 0:
        raise Unsupported(f"pads={pads}")
    rows = zip(dims, own, strides, dilations, pads[:rank], pads[rank:], strict=True)
    if auto.startswith("SAME"):
        return [_same(d, k, s, t, auto) for d, k, s, t, _, _ in rows]
    up = bool(n.attr("ceil_mode", 0))
    return [_padded(d, k, s, t, before, after, up) for d, k, s, t, before, after in rows]


def _padded(
    size: Size | int, kernel: int, stride: int, dilation: int, before: int, after: int, up: bool
) -> Window:
    reach = dilation * (kernel - 1) + 1
    room = size + (before + after - reach)
    if isinstance(room, int) and room < 0:
        raise Unsupported(f"a window of {reach} along {size} elements")
    if not up or stride == 1:
        return Window(size, kernel, stride, dilation, before, after, room // stride + 1)
    if isinstance(room, Size) or isinstance(size, Size):
        raise Unsupported(f"ceil_mode along the dim {size}")
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + before:  # the last place starts within the padding at the end
        count -= 1
    beyond = max(0, (count - 1) * stride - room)
    return Window(size, kernel, stride, dilation, before, after, count, beyond)


def _same(size: Size | int, kernel: int, stride: int, dilation: int, auto: str) -> Window:
    """As many places as there are elements, over the stride."""
    count = (size + (stride - 1)) // stride
    total = (count - 1) * stride + (dilation * (kernel - 1) + 1) - size
    if isinstance(total, Size):
        raise Unsupported(f"auto_pad={auto} with stride {stride} along the dim {size}")
    less, more = max(0, total) // 2, -(-max(0, total) // 2)
    before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
    return Window(size, kernel, stride, dilation, before, after, count)
