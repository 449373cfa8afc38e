"""What graph-fuse says of its decisions; a refusal is decided there and put into words here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from xdsl.dialects import func
from xdsl.ir import Operation

from dialects.dims import dims_text
from dialects.graph import ForOp, operation_name
from dialects.graph.elementwise import Elementwise
from dialects.graph.kernels import runs_by_hand
from dialects.graph.movement import ConcatOp
from dialects.graph.reduction import ArgmaxOp, LayerNormOp, Reduce, SoftmaxOp
from dialects.graph.scan import Scan
from dialects.graph.scatter import Scatter
from dialects.graph.shapes import Shape
from dialects.types import dims_of
from lowering.remarks import Reporter

if TYPE_CHECKING:
    from lowering.graph.fuse_groups import Group


def is_reduction(op: Operation) -> bool:
    """Whether an op walks its operand once to give a few numbers for each row, or a row again."""
    return isinstance(op, Reduce | SoftmaxOp | LayerNormOp | ArgmaxOp)


class Refusal(Enum):
    """Why an op, or a whole group, does not become part of another group."""

    CLOSED = "{closed}"
    FULL = "the kernel of {kernel} has {count} ops, as many as one may have"
    SHAPE = "it computes {shape}, and the kernel of {kernel} gives {gives}"
    READS = "it reduces {reads}, and the kernel of {kernel} computes {computes}"
    ROWS = "{kernel} removes dims that are not the last: its result is not known when a row is walked"
    HEAVY = "a reduction does not run inside the kernel of {kernel}"
    AXES = "{kernel} removes other dims of {computes}"


class Apart(Enum):
    """Why two groups stay two, though one op reads both."""

    BOTH = "each holds a contraction or a reduction"
    SHAPE = "the kernel of {kernel} computes {computes}"
    FULL = "together they have more ops than a kernel may have"


class NoPrologue(Enum):
    """Why a matmul does not compute an operand while it reads it."""

    CLOSED = "{closed}"
    HEAVY = "{culprit} would be computed again at each read"
    FIXED = "the kernel of {kernel} runs once: it reads parameters and constants alone"
    LONG = "the kernel of {kernel} has {count} ops, and a prologue a few"
    DEAR = "{culprit} costs more than a load, and the matmul reads each element often"
    READ = "{culprit} reads it too"


def started(
    tell: Reporter, op: Operation, candidates: Mapping[Group, Refusal], sources: Sequence[tuple[Group, bool]]
) -> None:
    """An op starts a kernel. `sources` are the groups that compute what it reads, each with whether through views."""
    message = f"{operation_name(op)} starts a kernel of its own"
    see = [anchor(group) for group, _ in sources] or [anchor(group) for group in candidates]
    reasons = [reason(refusal, op, group) for group, refusal in candidates.items()]
    reasons += [_through_view(g) for g, viewed in sources if viewed and g not in candidates]
    if not see:
        tell.analysis(op, message, "nothing that it reads is computed here")
    elif runs_by_hand(op):
        tell.missed(op, message, "it runs by a kernel written by hand, on whole arrays", see)
    elif not isinstance(op, Elementwise) and not is_reduction(op):
        tell.analysis(
            op, message, "only elementwise ops and reductions join the kernel of what they read", see
        )
    else:
        tell.missed(op, message, "; ".join(dict.fromkeys(reasons)), see)


def joined(tell: Reporter, op: Operation, target: Group, shape: Shape) -> None:
    """An op becomes part of a group, before it is added to it."""
    kernel = anchor(target)
    name, other = operation_name(op), operation_name(kernel)
    message = f"{name} joins the kernel of {other}"
    if is_reduction(op) and target.reduced is not None:
        reason_ = "both reduce the same dims of the same shape"
    elif is_reduction(op):
        reason_ = "it reduces what that kernel computes"
    elif target.reduced is not None and shape == target.shape != target.result_shape:
        reason_ = f"it walks the rows again that {other} has reduced"
    elif target.heavy or target.reduced is not None:
        message, reason_ = f"{message} as its epilogue", f"both give {dims_text(shape)}"
    else:
        reason_ = f"both compute {dims_text(shape)}"
    tell.applied(op, message, reason_, [kernel], kernel=other)


def merged(
    tell: Reporter, op: Operation, target: Group, other: Group, why_not: Apart | Refusal | None
) -> None:
    """Two groups that an op reads become one, or not."""
    names = operation_name(anchor(target)), operation_name(anchor(other))
    see = [anchor(target), anchor(other)]
    if why_not is None:
        message = f"the kernels of {names[0]} and {names[1]} become one"
        tell.applied(op, message, f"{operation_name(op)} reads both", see)
        return
    message = f"the kernels of {names[0]} and {names[1]} stay apart, though {operation_name(op)} reads both"
    tell.missed(op, message, reason(why_not, op, other), see)


def prologue(
    tell: Reporter, op: Operation, producer: Group, refused: tuple[NoPrologue, Operation] | None
) -> None:
    """A matmul takes over the group that computes an operand, or not."""
    members = ", ".join(operation_name(m) for m in producer.ops)
    if refused is None:
        message = f"{members} becomes the prologue of matmul"
        tell.applied(anchor(producer), message, "it is cheap, and only the matmul reads it", [op])
        return
    why, culprit = refused
    facts = {
        "closed": closed_text(producer),
        "kernel": operation_name(anchor(producer)),
        "culprit": _reader(culprit),
        "count": len(producer.ops),
    }
    message = f"{operation_name(anchor(producer))} is no prologue of matmul"
    tell.missed(op, message, why.value.format(**facts), [anchor(producer)])


def view_inside(tell: Reporter, view: Operation, reader: Operation) -> None:
    """A view is copied into a kernel."""
    name, other = operation_name(view), operation_name(reader)
    tell.applied(
        view, f"{name} becomes part of the indices at which {other} reads", "a view moves nothing", [reader]
    )


def view_alone(tell: Reporter, view: Operation, reader: Operation) -> None:
    """A view becomes a kernel, a copy."""
    message = f"{operation_name(view)} is a kernel of its own, which copies"
    tell.missed(view, message, f"{_reader(reader)} needs it as an array", [reader])


def reason(refusal: Refusal | Apart, op: Operation, group: Group) -> str:
    """A refusal in words."""
    return refusal.value.format(
        closed=closed_text(group),
        kernel=operation_name(anchor(group)),
        count=len(group.ops),
        shape=dims_text(dims_of(op.results[0].type)),
        reads=dims_text(dims_of(op.operands[0].type)) if op.operands else "",
        computes=dims_text(group.shape),
        gives=dims_text(group.result_shape),
    )


def closed_text(group: Group) -> str:
    """Why a group takes no more ops."""
    kernel, closer = operation_name(anchor(group)), group.closer
    if closer is None:
        return f"the kernel of {kernel} is complete"
    if closer not in group.ops:
        return f"the kernel of {kernel} is complete, since {_reader(closer)} reads from it"
    if runs_by_hand(closer):
        return f"{operation_name(closer)} runs by a kernel written by hand"
    if isinstance(closer, ConcatOp | Scatter | Scan):
        return f"nothing follows a {operation_name(closer)} in its kernel"
    return f"{operation_name(closer)} reads it through a view in the same kernel"


def anchor(group: Group) -> Operation:
    """The op after which a kernel is called: its contraction or first reduction, else its first op."""
    if group.heavy:
        heavy = [o for o in group.ops if not isinstance(o, Elementwise)]
        return heavy[0] if heavy else group.ops[0]
    if group.reduced is not None:
        return next((o for o in group.ops if not isinstance(o, Elementwise)), group.ops[0])
    return group.ops[0]


def _through_view(group: Group) -> str:
    return f"it reads {operation_name(anchor(group))} through a view"


def _reader(op: Operation) -> str:
    if isinstance(op, func.ReturnOp):
        return "the caller"
    if isinstance(op, ForOp):
        return "a loop"
    return "the next round of the loop" if op.name.endswith(".yield") else operation_name(op)
