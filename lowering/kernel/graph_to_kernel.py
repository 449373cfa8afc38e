"""graph-to-kernel: a level change from graph ops inside a kernel to fields over named axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, builtin
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from dialects.dims import ONE, Dim
from dialects.errors import ErrorList, IrkitError
from dialects.graph.base import GraphOp, short_name
from dialects.graph.kernels import runs_by_hand
from dialects.graph.movement import ConcatOp
from dialects.graph.scan import Scan
from dialects.graph.scatter import Scatter
from dialects.graph.structure import IndexOp
from dialects.kernel import DefOp, LaunchOp, ReadOp, WriteOp, YieldOp, arg
from dialects.types import dtype_name, is_complex, ref_of, type_text
from dialects.updates import updated_arguments
from lowering.kernel import alias_remarks
from lowering.kernel.builder import Builder
from lowering.kernel.extern import extern_def
from lowering.kernel.rules import RULES
from lowering.kernel.rules.parameters import axis_of
from lowering.kernel.rules.scan import scanned
from lowering.kernel.rules.scatter import updates_in_place, write_scatter

AXES = "ijlmno"
"""Names of output axes after a batch."""


@dataclass(frozen=True)
class GraphToKernel(ModulePass):
    """Gives each kernel its axes.

    Expects: outlined kernels over tensors.
    Does: (1) turns arguments into arrays and results into output arguments; (2) reads every result at one point of
    its axes, which unfolds the ops behind it by the table of rules: views become index maps, reductions tuple states;
    (3) lets an output take the memory of an input of the same size that is read at the same index only, and first that of
    the argument that it is the new value of (`graph.updates`).
    Leaves: kernels in axes form; the host program is untouched.
    """

    name = "graph-to-kernel"

    def apply(self, ctx: Context, op: builtin.ModuleOp) -> None:
        if faults := list(_complex_values(op)):
            raise ErrorList(faults)
        wanted = _wanted_aliases(op)
        for kernel in [o for o in op.ops if isinstance(o, DefOp)]:
            if not kernel.in_axes_form or not kernel.block.args:
                by_hand = next((o for o in kernel.block.ops if runs_by_hand(o)), None)
                lowered = (
                    to_axes_form(kernel, wanted.get(kernel.sym_name.data, {}))
                    if by_hand is None
                    else extern_def(kernel, by_hand)  # pyright: ignore
                )
                parent = kernel.parent
                assert parent is not None
                parent.insert_op_before(lowered, kernel)
                parent.erase_op(kernel)


def _complex_values(module: builtin.ModuleOp) -> Iterator[IrkitError]:
    """One error for each op, and each function, with a complex result or argument."""
    for op in module.walk():
        values = (
            op.results if isinstance(op, GraphOp) else op.body.block.args if isinstance(op, FuncOp) else ()
        )
        for value in values:
            if isinstance(value.type, builtin.TensorType) and is_complex(value.type.element_type):
                what = short_name(op) if isinstance(op, GraphOp) else "a function"
                yield IrkitError(
                    f"{what} of {dtype_name(value.type.element_type)} has no kernel form",
                    op,
                    found=type_text(value.type),
                    expected="floats, integers or bools below the graph level",
                    hint="run graph-split-complex first",
                )
                break


def _wanted_aliases(module: builtin.ModuleOp) -> dict[str, dict[int, int]]:
    """For kernels by name, the input that holds the old value of what a result is the new one of, by their numbers."""
    found: dict[str, dict[int, int]] = {}
    for func in [o for o in module.ops if isinstance(o, FuncOp)]:
        last = func.body.block.last_op
        for number, old in updated_arguments(func).items():
            new = last.operands[number] if last is not None else old
            owner = new.owner
            if isinstance(owner, LaunchOp) and old in owner.inputs:
                own = found.setdefault(owner.callee.root_reference.data, {})
                own.setdefault(owner.results.index(new), owner.inputs.index(old))  # pyright: ignore
    return found


def to_axes_form(kernel: DefOp, wanted: Mapping[int, int] | None = None) -> DefOp:
    """One kernel with axes; `wanted` says of results whose memory they should take, if they may."""
    wanted = wanted or {}
    last = kernel.block.last_op
    if not isinstance(last, YieldOp):
        raise IrkitError(f"@{kernel.sym_name.data} does not end with kernel.yield", kernel)
    for op in kernel.block.ops:
        if op is not last and type(op) not in RULES and not isinstance(op, ConcatOp | Scatter | Scan):
            raise IrkitError(
                f"{op.name} has no kernel form", op, expected="an op with a rule in lowering/kernel/rules"
            )
    results = list(last.operands)
    block = Block(arg_types=[ref_of(v.type) for v in (*kernel.block.args, *results)])  # pyright: ignore
    builder = Builder(kernel, block, RULES)
    inputs = len(kernel.block.args)
    for old, new in zip(kernel.block.args, block.args[:inputs], strict=True):
        builder.arrays[old] = new
        new.name_hint = old.name_hint
    for value, array in zip(results, block.args[inputs:], strict=True):
        array.name_hint = value.name_hint or "out"
    axes: dict[tuple[Dim, ...], tuple[Dim, ...]] = {}
    for value, array in zip(results, block.args[inputs:], strict=True):
        _write(builder, value, array, axes)
    signature = [arg("in") for _ in kernel.block.args]
    for position, value in enumerate(results, inputs):
        owner = value.owner
        if isinstance(owner, Scatter) and updates_in_place(owner):
            signature.append(arg("inout", list(kernel.block.args).index(owner.operands[0])))  # pyright: ignore
        else:
            own = wanted.get(position - inputs)
            taken = {f.alias_of for f in signature} | (set(wanted.values()) - {own})
            alias = _alias(block, position, taken, own)
            if alias is None:
                alias_remarks.no_alias(kernel, block, position, taken)
            signature.append(arg("out", alias))
    _drop_dead(block)
    out = DefOp(
        kernel.sym_name.data,
        Region(block),
        signature,
        tuple(builder.axes.items()),
        kernel.symbols.data,
        kernel.schedule.data if kernel.schedule is not None else None,
    )
    out.location = kernel.location
    return out


def _write(
    b: Builder, value: SSAValue, array: SSAValue, axes: dict[tuple[Dim, ...], tuple[Dim, ...]]
) -> None:
    """Computes a result at a point of its axes and stores it; results of one shape share axes."""
    owner = value.owner
    b.current = owner if isinstance(owner, Operation) else None
    if isinstance(owner, ConcatOp):
        _write_concat(b, owner, array)
        return
    if isinstance(owner, Scatter):
        if not updates_in_place(owner):
            index = output_axes(b, b.shape(value))
            _store(b, b.at(owner.operands[0], index), array, index)
        write_scatter(b, owner, array)
        return
    if isinstance(owner, Scan):
        field, index = scanned(b, owner, output_axes(b, b.shape(value)))
        _store(b, field, array, index)
        return
    shape = b.shape(value)
    if shape not in axes:
        axes[shape] = output_axes(b, shape, _own_names(b, value))
    index = axes[shape]
    _store(b, b.at(value, index), array, index)


def _own_names(b: Builder, value: SSAValue) -> list[str]:
    """The names that the program gives the axes of a result, itself in index notation or computed from what is."""
    owner = value.owner
    ops = [
        owner,
        *(
            o
            for o in b.source.block.ops
            if isinstance(o, IndexOp) and b.shape(o.results[0]) == b.shape(value)
        ),
    ]
    return next(([n for n, _ in o.axes.data] for o in ops if isinstance(o, IndexOp)), [])


def output_axes(b: Builder, shape: Sequence[Dim], own: Sequence[str] = ()) -> tuple[Dim, ...]:
    """An axis for each dim, none for dims of size one: the last two are i and j, earlier ones a, b, c, ...; those of index
    notation keep the names that the program gives them."""
    if own and not any(name.endswith("_") for name in own):
        return tuple(Dim.of(0) if s == ONE else b.axis(n, s) for n, s in zip(own, shape, strict=True))
    names = ["abcdefgh"[n % 8] for n in range(max(len(shape) - 2, 0))] + ["i", "j"][2 - min(len(shape), 2) :]
    return tuple(
        Dim.of(0) if size == ONE else b.axis(name, size) for name, size in zip(names, shape, strict=True)
    )


def _store(b: Builder, field: SSAValue, array: SSAValue, index: Sequence[Dim]) -> None:
    element = array.type.element_type  # pyright: ignore
    if field.type != element:
        field = b.add(arith.TruncFOp(field, element))
    op = WriteOp(field, array, index)
    if b.current is not None:
        op.location = b.current.location
    b.block.add_op(op)


def _write_concat(b: Builder, op: ConcatOp, array: SSAValue) -> None:
    """Each part is written to its place over axes of its own."""
    axis = axis_of(op, len(b.shape(op.results[0])))
    start = Dim.of(0)
    for part in op.operands:
        shape = b.shape(part)
        index = output_axes(b, shape)
        target = [i + start if d == axis else i for d, i in enumerate(index)]
        _store(b, b.at(part, index), array, target)
        start = start + shape[axis]


def _alias(block: Block, position: int, taken: set[int | None], first: int | None = None) -> int | None:
    """An input whose memory an output may take: same array type, and read only where the output is written; `first` is
    the one to be tried before the others.

    Not where the output is one number: every thread reads it, and one of them writes.
    """
    target = block.args[position]
    writes = [op for op in block.ops if isinstance(op, WriteOp) and op.array is target]
    if len(writes) != 1 or not any(expr.names() for expr in writes[0].index.data):
        return None
    for candidate in sorted(range(position), key=lambda n: n != first):
        source = block.args[candidate]
        if candidate in taken or source.type != target.type:
            continue
        reads = [op for op in block.ops if isinstance(op, ReadOp) and op.array is source]
        others = [u.operation for u in source.uses if not isinstance(u.operation, ReadOp)]
        plain = reads and not others and all(op.index == writes[0].index and not op.indices for op in reads)
        outputs = [op for op in block.ops if isinstance(op, WriteOp)]
        if plain and all(op.index == writes[0].index for op in outputs):
            return candidate
    return None


def _drop_dead(block: Block) -> None:
    for op in reversed(list(block.ops)):
        if op.results and not any(any(True for _ in r.uses) for r in op.results):
            block.erase_op(op)
