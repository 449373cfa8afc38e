"""Examples as graphs: their text with the types that they return, their results, one program of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from dialects.dims import dims_text
from dialects.errors import ErrorList, IrkitError, Loc
from dialects.graph import OPS, ConstantOp, GraphOp
from dialects.graph.examples import example_of
from dialects.types import AnyTensor, dims_of, dtype_name
from irkit.lang import parse
from irkit.lang.emit import Emitter, Frame
from irkit.lang.program import Program
from lowering.graph.interpret import run_graph

DIGITS = 5
"""The digits to which results are shown: what compilers and processors agree on."""

WIDTH = 100


@dataclass(frozen=True)
class Shown:
    """An example of an op: its text, its graph, the op in it, and what it returns by the references."""

    name: str
    text: str
    func: FuncOp
    op: GraphOp
    results: tuple[np.ndarray, ...]

    def ir(self) -> str:
        """The op as the graph level prints it."""
        mark = f" = {self.op.name}"
        return next(line.strip() for line in str(self.func).splitlines() if mark in line)

    def lines(self, results: Sequence[np.ndarray] | None = None) -> list[str]:
        """Each result in a line, or in a line for each row: `f32[2]: [1, 2]`."""
        types = self.func.function_type.outputs.data
        given = self.results if results is None else results
        return [f"{type_name(t)}: {elements(a)}" for t, a in zip(types, given, strict=True)]  # pyright: ignore


def shown(name: str) -> Shown:
    """The example of an op, run by the references. Raises IrkitError for none, and for one that does not fit."""
    found = example_of(OPS[name])
    if found is None:
        raise IrkitError(missing(name))
    file = f"example of {name}"
    module = parse(found.text(["f32"]), file)
    program = Program(module, {})
    emitter = Emitter(program)
    block, frame = emitter.entry_block, Frame({})
    fn = program.functions["main"]
    for statement in fn.body[:-1]:
        emitter.statement(statement, frame)
    values: list[SSAValue] = []
    with emitter.reporting():
        for node in fn.body[-1].values:  # pyright: ignore[reportAttributeAccessIssue]
            values += emitter.several(node, frame)  # pyright: ignore[reportArgumentType]
    if program.errors:
        raise ErrorList(program.sorted_errors())
    for key, value in frame.names.items():
        if isinstance(value, SSAValue):
            value.name_hint = key
    func = _function(block, values)
    op = next((o for o in block.ops if isinstance(o, OPS[name])), None)
    if op is None:
        raise IrkitError(f"the example of {name} does not use it", found=found.call)
    results = tuple(run_graph(func, []))
    return Shown(name, found.text([type_name(v.type) for v in values]), func, op, results)  # pyright: ignore


def missing(name: str) -> str:
    """What to add for an op that has no example."""
    cls = OPS[name]
    where = Path(str(cls.__module__).replace(".", "/") + ".py")
    inputs = ", ".join(f'{operand}="f32 [1, 2, 3]"' for operand in cls.OPERANDS[: cls.ARITY[0]])
    call = f"{name}({', '.join(cls.OPERANDS[: cls.ARITY[0]])})"
    return (
        f"the op '{name}' ({where}) has no example: add\n"
        f'    "{name}": Example("{call}"{", " if inputs else ""}{inputs}),\n'
        "to a table of dialects/graph/examples/, or EXAMPLE to its class; then run python -m tools.ops_docs"
    )


def _function(block: Block, values: Sequence[SSAValue]) -> FuncOp:
    last = ReturnOp(*values)
    block.add_op(last)
    func = FuncOp("main", ([], [v.type for v in values]), Region(block))
    func.res_attrs = _names("y", len(values))
    func.location = last.location = Loc("examples.tg", 1, 1).attr()
    return func


def _names(letter: str, count: int) -> ArrayAttr[DictionaryAttr]:
    return ArrayAttr([DictionaryAttr({"graph.name": StringAttr(f"{letter}{i}")}) for i in range(count)])


def all_in_one(examples: Sequence[Shown]) -> tuple[ModuleOp, list[np.ndarray]]:
    """A program of all examples one after another, and its inputs.

    Constants become inputs, so that what is compiled is the ops, and not their results on constants.
    """
    block = Block()
    arrays: list[np.ndarray] = []
    values: list[SSAValue] = []
    for example in examples:
        body = example.func.clone().body.block
        *ops, last = body.ops
        for op in ops:
            if isinstance(op, ConstantOp) and example.name != "constant":
                arg = block.insert_arg(op.results[0].type, len(block.args))
                arrays.append(op.array())
                op.results[0].replace_all_uses_with(arg)
                continue
            op.detach()
            block.add_op(op)
        values += last.operands
        last.detach()
        last.drop_all_references()
    func = _function(block, values)
    func.function_type = FunctionType.from_lists(list(block.arg_types), [v.type for v in values])
    func.arg_attrs = _names("x", len(block.args))
    module = ModuleOp([func])
    module.location = func.location
    return module, arrays


# -- numbers as text ------------------------------------------------------------------------------------------------


def type_name(type_: AnyTensor) -> str:
    """`f32[2, 3]`, as the language has it."""
    dims = dims_of(type_)
    return dtype_name(type_.element_type) + (dims_text(dims) if dims else "")


def elements(array: np.ndarray) -> str:
    """The elements as a list of lists, in one line where they fit."""
    text = _listed(array)
    if len(text) <= WIDTH or array.ndim < 2:
        return text
    return "[\n" + "".join(f"  {_listed(row)},\n" for row in array) + "]"


def _listed(array: np.ndarray) -> str:
    if array.ndim:
        return f"[{', '.join(map(_listed, array))}]"
    value = array[()]
    if array.dtype.kind == "c":
        return f"{_number(value.real)}{_number(value.imag, '+')}i"
    if array.dtype.kind == "b":
        return str(bool(value)).lower()
    return str(int(value)) if array.dtype.kind in "iu" or "int" in array.dtype.name else _number(value)


def _number(value: object, sign: str = "") -> str:
    return f"{float(value):{sign}.{DIGITS}g}"  # pyright: ignore[reportArgumentType]
