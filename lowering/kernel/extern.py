"""Kernels written by hand, on their way down: one op on whole arrays, at the kernel and at the loop level alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import DictionaryAttr, IntegerType
from xdsl.ir import Block, Region, SSAValue

from dialects.dims import Dim
from dialects.errors import IrkitError
from dialects.graph.base import OPS, GraphOp, resolved, short_name
from dialects.graph.kernels import Call, Kernel, call_of, find_kernel
from dialects.kernel import DefOp, ExternOp, YieldOp, arg
from dialects.loop import AllocOp, FuncOp
from dialects.types import dims_of, np_dtype, ref, ref_of


def extern_def(kernel: DefOp, op: GraphOp) -> DefOp:
    """A kernel that holds just an op with a kernel written by hand."""
    last = kernel.block.last_op
    assert isinstance(last, YieldOp)
    block = Block(arg_types=[ref_of(v.type) for v in (*kernel.block.args, *last.operands)])  # pyright: ignore
    count = len(kernel.block.args)
    for old, new in zip((*kernel.block.args, *last.operands), block.args, strict=True):
        new.name_hint = old.name_hint or "out"
    arrays: dict[SSAValue, SSAValue] = dict(zip(kernel.block.args, block.args[:count], strict=True))
    for operand in op.operands:
        if operand not in arrays:
            raise IrkitError(f"an operand of {short_name(type(op))} is computed in its own kernel", op)
    body = ExternOp(
        short_name(type(op)),
        DictionaryAttr(dict(op.properties)),
        [v.type for v in op.operands],
        [r.type for r in op.results],
        [arrays[v] for v in op.operands],
        [block.args[count + list(last.operands).index(r)] for r in op.results],
    )
    body.location = op.location
    block.add_op(body)
    signature = [arg("in")] * count + [arg("out")] * len(last.operands)
    out = DefOp(kernel.sym_name.data, Region(block), signature, (), kernel.symbols.data)
    out.location = kernel.location
    return out


def call(op: ExternOp) -> Call:
    """The call that an op on arrays stands for. Raises IrkitError for an op that is not registered."""
    cls = op_class(op)
    types = [t for t in op.operand_types]
    values = resolved(cls, types, op.values.data)  # pyright: ignore[reportArgumentType]
    return call_of(op.callee.data, types, list(op.result_types), values)  # pyright: ignore[reportArgumentType]


def op_class(op: ExternOp) -> type[GraphOp]:
    """The class of the op by its name."""
    if op.callee.data not in OPS:
        raise IrkitError(
            f"unknown op '{op.callee.data}'",
            op,
            expected="a registered op",
            hint="load the plugin that has it",
        )
    return OPS[op.callee.data]


def implementation(op: ExternOp, target: str = "c") -> Kernel:
    """The kernel that runs an op: one for a target, else one in plain C. Raises IrkitError where none does."""
    found = find_kernel(call(op), target) or find_kernel(call(op))
    if found is None:
        raise IrkitError(
            f"no kernel for '{op.callee.data}' takes this call",
            op,
            found=", ".join(map(str, op.operand_types)),
            hint="register one with register_kernel",
        )
    return found


def lower_extern(kernel: DefOp, op: ExternOp) -> FuncOp:
    """The function of a kernel written by hand: the op, and the scratch that it asks for."""
    block = Block(arg_types=[a.type for a in kernel.block.args])
    arrays: dict[SSAValue, SSAValue] = dict(zip(kernel.block.args, block.args, strict=True))
    for old, new in arrays.items():
        new.name_hint = old.name_hint
    known = find_kernel(call(op))  # none for an op with a form of its own
    size = Dim.of(known.scratch(call(op)) if known is not None else 0)
    scratch = None
    if size != Dim.of(0):
        alloc = AllocOp(ref(IntegerType(8), [size], space="scratch"))
        alloc.location = op.location
        block.add_op(alloc)
        scratch = alloc.result
    body = on_arrays(op, arrays, scratch)
    block.add_op(body)
    func = FuncOp(kernel.sym_name.data, Region(block), kernel.signature.data, kernel.symbols.data)
    func.attributes.update(kernel.attributes)
    func.location = kernel.location
    return func


def on_arrays(op: ExternOp, arrays: Mapping[SSAValue, SSAValue], scratch: SSAValue | None) -> ExternOp:
    """The same op on other arrays, with memory of its own."""
    out = ExternOp(
        op.callee.data,
        op.values,
        list(op.operand_types),
        list(op.result_types),
        [arrays[v] for v in op.inputs],
        [arrays[v] for v in op.outputs_],
        scratch,
    )
    out.location = op.location
    return out


def run_extern(
    op: ExternOp, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], symbols: Mapping[str, int]
) -> None:
    """Runs the op's reference on arrays that hold integers as signed ones; outputs are written in place."""
    cls = op_class(op)
    block = Block(arg_types=list(op.operand_types))
    whole = cls.create(
        operands=list(block.args), properties=dict(op.values.data), result_types=list(op.result_types)
    )

    def shaped(array: np.ndarray, type_: object) -> np.ndarray:
        dims = [d.evaluate(symbols) for d in dims_of(type_)]  # pyright: ignore[reportArgumentType]
        return array.view(np_dtype(type_.element_type)).reshape(dims)  # pyright: ignore

    arrays = [shaped(a, t) for a, t in zip(inputs, op.operand_types, strict=True)]
    for output, result in zip(outputs, whole.run(arrays, symbols), strict=True):
        output[...] = result.view(output.dtype).reshape(output.shape)
