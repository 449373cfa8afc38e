"""Derivatives of whole functions, as functions: what `check_gradients` and tests run."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, StringAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from dialects.dims import Dim
from dialects.graph.derivatives import JvpOp, VjpOp, VmapOp, has_tangent
from dialects.graph.structure import YieldOp
from dialects.types import dims_of, tensor
from lowering.graph.interpret import argument_names


def reverse_function(func: FuncOp, wrt: Collection[str]) -> FuncOp:
    """The results of a function, then the cotangents of the arguments that wrt names.

    It takes the arguments of the function, then a seed for each of its float results.
    """
    body, results = _as_body(func)
    seeded = [v for v in results if has_tangent(v)]
    outer = Block(arg_types=[*func.function_type.inputs, *(v.type for v in seeded)])
    inputs = _bind(func, body, outer, wrt)
    order = [*seeded, *(v for v in results if not has_tangent(v))]
    end = YieldOp(*order)
    end.location = func.location
    body.block.add_op(end)
    op = VjpOp(inputs, outer.args[len(func.function_type.inputs) :], body)
    op.location = func.location
    outer.add_op(op)
    place = dict(zip(order, op.results, strict=False))
    return _function(func, "vjp", outer, [*(place[v] for v in results), *op.results[len(order) :]])


def forward_function(func: FuncOp, wrt: Collection[str]) -> FuncOp:
    """The results of a function, then the tangents of its float results.

    It takes the arguments of the function, then a direction for each that wrt names.
    """
    body, results = _as_body(func)
    count, names = len(func.function_type.inputs), argument_names(func)
    moved = [t for t, name in zip(func.function_type.inputs, names, strict=True) if name in wrt]
    outer = Block(arg_types=[*func.function_type.inputs, *moved])
    inputs = _bind(func, body, outer, wrt)
    end = YieldOp(*results)
    end.location = func.location
    body.block.add_op(end)
    op = JvpOp(inputs, outer.args[count:], body)
    op.location = func.location
    outer.add_op(op)
    return _function(func, "jvp", outer, list(op.results))


def mapped_function(func: FuncOp, size: Dim, axes: Mapping[str, int]) -> FuncOp:
    """A function on many parts at once: the arguments that axes names have one more dim there, all results one as the first."""
    body, results = _as_body(func)
    types: list[Attribute] = []
    for type_, name in zip(func.function_type.inputs, argument_names(func), strict=True):
        assert isinstance(type_, TensorType)
        if name in axes:
            dims = dims_of(type_)
            type_ = tensor(type_.element_type, (*dims[: axes[name]], size, *dims[axes[name] :]))
        types.append(type_)
    outer = Block(arg_types=types)
    inputs = _bind(func, body, outer, axes)
    end = YieldOp(*results)
    end.location = func.location
    body.block.add_op(end)
    op = VmapOp(size, inputs, [axes[n] for n in argument_names(func) if n in axes], body)
    op.location = func.location
    outer.add_op(op)
    return _function(func, "vmap", outer, list(op.results))


def _as_body(func: FuncOp) -> tuple[Region, list[SSAValue]]:
    """A copy of the body of a function without its end, and what it returns."""
    body = func.body.clone()
    last = body.block.last_op
    assert isinstance(last, ReturnOp)
    results = list(last.operands)
    body.block.erase_op(last)
    return body, results


def _bind(func: FuncOp, body: Region, outer: Block, wrt: Collection[str]) -> list[SSAValue]:
    """Leaves a body the arguments that wrt names, and takes the others from the block around; those that stay."""
    inputs: list[SSAValue] = []
    own = list(body.block.args)
    for arg, given, name in zip(own, outer.args, argument_names(func), strict=False):
        if name in wrt:
            inputs.append(given)
        else:
            arg.replace_all_uses_with(given)
            body.block.erase_arg(arg)
    return inputs


def _function(func: FuncOp, suffix: str, block: Block, results: list[SSAValue]) -> FuncOp:
    """A function from a block, beside another one, with its dims."""
    end = ReturnOp(*results)
    end.location = func.location
    block.add_op(end)
    types: list[Attribute] = [a.type for a in block.args]
    made = FuncOp(
        f"{func.sym_name.data}_{suffix}",
        FunctionType.from_lists(types, [r.type for r in results]),
        Region(block),
    )
    if "graph.symbols" in func.attributes:
        made.attributes["graph.symbols"] = func.attributes["graph.symbols"]
    made.arg_attrs = ArrayAttr(
        DictionaryAttr({"graph.name": StringAttr(n)}) for n in _names(func, len(types))
    )
    made.location = func.location
    return made


def _names(func: FuncOp, count: int) -> list[str]:
    """The names of a function's arguments, and others for those that come after them."""
    names = argument_names(func)
    number = 0
    while len(names) < count:
        if f"along{number}" not in names:
            names.append(f"along{number}")
        number += 1
    return names
