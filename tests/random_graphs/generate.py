"""Random valid graphs over every op: what is drawn is run at once, plainly and shaken.

An op comes from the table of samples, so that its operands and parameters fit; an operand is a new input, or a value that
is there, brought to the type that is wanted. Graphs nest loops and choices. Each value is computed along, once by the
references and some times with a little noise after each inexact op: how far these lie apart tells how far compiled
code may lie, and what small errors blow up is not used any further.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from dialects.dims import ZERO, Dim
from dialects.errors import IrkitError, Loc
from dialects.graph import ForOp, GraphOp, IfOp, YieldOp, make
from dialects.graph.base import short_name
from dialects.quant import QuantType
from dialects.syntax import SymbolsAttr
from dialects.types import AnyTensor, dims_of, dtype_name, np_dtype, tensor
from tests.graph.samples import SAMPLES, Sample
from tests.ops.harness import is_float, named

SHAKES = 3
NOISE = 2.0**-21
TOO_MUCH = 1e-3
"""Values that noise moves by more than this share of the greatest are not used further."""

SIZES = {"B": 3, "N": 5}
"""The values of the symbolic dims of samples."""

EXACT = frozenset(
    [
        "neg",
        "abs",
        "relu",
        "min",
        "max",
        "where",
        "compare",
        "cast",
        "reshape",
        "transpose",
        "broadcast",
        "concat",
        "slice",
        "gather",
        "constant",
        "random",
        "argmax",
        "argmin",
        "reduce_max",
        "reduce_min",
        "max_pool2d",
        "global_max_pool",
        "pad",
        "tile",
        "flip",
        "roll",
        "split",
        "iota",
        "one_hot",
        "tril",
        "triu",
        "take_along",
        "gather_nd",
        "pixel_shuffle",
        "resize_nearest",
        "clamp",
        "sign",
        "relu6",
        "floor",
        "ceil",
        "round",
        "is_nan",
        "is_inf",
        "is_finite",
        "cummax",
        "cummin",
        "argsort",
        "sort",
        "top_k",
        "scatter",
        "scatter_nd",
        "scatter_along",
        "reduce_any",
        "reduce_all",
        "logical_and",
        "logical_or",
        "logical_xor",
        "logical_not",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "bitwise_not",
        "shift_left",
        "shift_right",
        "adaptive_max_pool2d",
    ]
)
"""Ops that round nothing."""

TAILS = frozenset({"gelu", "mish", "silu", "softplus", "elu", "log_sigmoid"})
"""Ops whose small results are differences of larger numbers."""

SPREADS = frozenset({"conv_transpose2d"})
"""Ops whose formulas multiply by zeros that the references leave out."""

Arrays = list[np.ndarray]
"""One value: by the references, then shaken."""


@dataclass
class Value:
    ssa: SSAValue
    arrays: Arrays

    @property
    def type(self) -> AnyTensor:
        return self.ssa.type  # pyright: ignore[reportReturnType]


def as_floats(array: np.ndarray) -> np.ndarray:
    """Complex numbers as their parts; anything else as it is."""
    if array.dtype.kind != "c":
        return array
    return np.ascontiguousarray(array).view(np.float32 if array.itemsize == 8 else np.float64)


def distance(arrays: Arrays) -> float:
    """How far noise moves a value; infinite where it changes what is NaN or infinite, or an exact number."""
    arrays = [as_floats(a) for a in arrays]
    first = arrays[0]
    if not is_float(first.dtype):
        return 0.0 if all(np.array_equal(first, other) for other in arrays[1:]) else np.inf
    first = first.astype(np.float64)
    finite, most = np.isfinite(first), 0.0
    for other in arrays[1:]:
        other = other.astype(np.float64)
        if (
            not np.array_equal(first[~finite], other[~finite], equal_nan=True)
            or not np.isfinite(other[finite]).all()
        ):
            return np.inf
        most = max(most, float(np.max(np.abs(first - other)[finite], initial=0.0)))
    return most


def scale(array: np.ndarray) -> float:
    wide = as_floats(array).astype(np.float64)
    return float(np.max(np.abs(wide[np.isfinite(wide)]), initial=0.0))


@dataclass
class Batch:
    """One function of many graphs, its inputs, and what its results should be."""

    seed: int
    dynamic: bool = False
    block: Block = field(default_factory=Block)
    inputs: list[np.ndarray] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    donated: set[int] = field(default_factory=set)
    """The inputs whose memory the program may take."""
    line: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def module(self) -> ModuleOp:
        last = ReturnOp(*(v.ssa for v in self.results))
        self.block.add_op(last)
        func = FuncOp(
            "main", (list(self.block.arg_types), [v.type for v in self.results]), Region(self.block)
        )
        func.arg_attrs, func.res_attrs = named("x", len(self.block.args)), named("y", len(self.results))
        self.donate(func)
        if self.dynamic:
            func.attributes["graph.symbols"] = SymbolsAttr(tuple((n, 1, 9) for n in SIZES))
        func.location = last.location = Loc("random.tg", 1, 1).attr()
        module = ModuleOp([func])
        module.location = func.location
        return module

    def donate(self, func: FuncOp) -> None:
        """Lets the program take the memory of some inputs; never that of an array that two inputs share."""
        shared = Counter(map(id, self.inputs))
        alone = [i for i, array in enumerate(self.inputs) if shared[id(array)] == 1]
        self.donated = {i for i in alone if self.rng.random() < 0.2}
        assert func.arg_attrs is not None
        func.arg_attrs = ArrayAttr(
            DictionaryAttr(attrs.data | ({"graph.donated": UnitAttr()} if i in self.donated else {}))
            for i, attrs in enumerate(func.arg_attrs.data)
        )
        self.update(func)
        self.used["donated input"] += len(self.donated)
        self.used["shared input"] += len(self.inputs) - len(shared)

    def update(self, func: FuncOp) -> None:
        """Lets results be what donated inputs hold after the run: any of the same type, and often another input of these."""
        results: dict[int, int] = {}
        for i in sorted(self.donated):
            type_ = self.block.args[i].type
            fitting = [n for n, v in enumerate(self.results) if v.type == type_ and n not in results]
            inputs = [n for n in fitting if isinstance(self.results[n].ssa.owner, Block)]
            if fitting and self.rng.random() < 0.8:
                chosen = inputs if inputs and self.rng.random() < 0.5 else fitting
                results[chosen[self.rng.integers(len(chosen))]] = i
        assert func.res_attrs is not None
        func.res_attrs = ArrayAttr(
            DictionaryAttr(a.data | ({"graph.updates": StringAttr(f"x{results[n]}")} if n in results else {}))
            for n, a in enumerate(func.res_attrs.data)
        )
        self.used["updated input"] += len(results)

    def grow(self, graphs: int, ops: int) -> Batch:
        """Adds graphs of about so many ops each."""
        for _ in range(graphs):
            graph = Graph(self, self.block)
            graph.grow(ops)
            self.results += graph.chosen()
        return self


class Graph:
    """A graph under construction in a block; values of what is around it may be used."""

    def __init__(self, batch: Batch, block: Block, around: Sequence[Value] = (), depth: int = 0):
        self.batch, self.block, self.depth = batch, block, depth
        self.rng = batch.rng
        self.values: list[Value] = list(around)
        self.own = len(self.values)

    # -- drawing ----------------------------------------------------------------------------------------------

    def grow(self, ops: int) -> None:
        for _ in range(ops):
            if self.depth < 2 and self.rng.random() < 0.08 and len(self.values) > self.own:
                self.structure()
            elif self.rng.random() < 0.03 and len(self.values) > self.own:
                self.empty()
            else:
                self.op()

    def chosen(self) -> list[Value]:
        """The last value, and some of the others."""
        own = [
            v
            for v in self.values[self.own :]
            if distance(v.arrays) <= TOO_MUCH * max(scale(v.arrays[0]), 1e-6)
        ]
        if not own:
            return []
        picked = {len(own) - 1, *(int(i) for i in self.rng.integers(0, len(own), 2))}
        results = [own[i] for i in sorted(picked)]
        if self.depth == 0 and self.rng.random() < 0.1:  # one array for two results
            results.append(results[0])
            self.batch.used["result twice"] += 1
        passed = [v for v in self.values if isinstance(v.ssa.owner, Block)]
        if self.depth == 0 and passed and self.rng.random() < 0.1:
            results.append(passed[self.rng.integers(len(passed))])
            self.batch.used["input as result"] += 1
        return results

    def op(self) -> None:
        """Adds an op of the table, or none where what was drawn does not fit."""
        sample = SAMPLES[self.rng.integers(len(SAMPLES))]
        types = [self.sized(t) for t in sample.types()]
        before = self.block.last_op
        try:
            operands = [self.operand(sample, t) for t in types]
            self.add(sample.name, operands, self.parameters(sample))
        except IrkitError:
            while self.block.last_op is not before and self.block.last_op is not None:
                self.block.erase_op(self.block.last_op)
            self.values = [v for v in self.values if v.ssa.owner is not None and _is_there(v.ssa)]

    def empty(self) -> None:
        """Takes nothing of a value along an axis, and does with it what may be done with an array without elements."""
        unfit = ("bool", "c64", "c128")  # without products, or casts to f32
        usable = [
            v
            for v in self.values
            if _static(v)
            and dims_of(v.type)
            and dtype_name(v.type.element_type) not in unfit
            and not isinstance(v.type.element_type, QuantType)
        ]
        if not usable:
            return
        value = usable[self.rng.integers(len(usable))]
        sizes = [d.value or 0 for d in dims_of(value.type)]
        axis = int(self.rng.integers(len(sizes)))
        stops = [0 if i == axis else n for i, n in enumerate(sizes)]
        (none,) = self.add("slice", [value], {"starts": [0] * len(sizes), "stops": stops})
        self.batch.used["no elements"] += 1
        (none,) = self.add("mul", [none, none], {})
        for name, values in (
            ("reduce_sum", {"axes": [axis]}),
            ("transpose", {"perm": list(range(len(sizes)))[::-1]}),
            ("cast", {"dtype": "f32"}),
            ("reshape", {"shape": [*stops, 1]}),
        ):
            self.add(name, [none], values)
        self.add("concat", [none, value, none], {"axis": axis})

    def sized(self, type_: AnyTensor) -> AnyTensor:
        return (
            type_
            if self.batch.dynamic
            else tensor(type_.element_type, [d.subst(SIZES) for d in dims_of(type_)])
        )

    def parameters(self, sample: Sample) -> dict[str, object]:
        if self.batch.dynamic:
            return dict(sample.values)
        return {k: _without_names(v) for k, v in sample.values.items()}

    def operand(self, sample: Sample, type_: AnyTensor) -> Value:
        fitting = [v for v in self.values if v.type == type_]
        if fitting and self.rng.random() < 0.6:
            return fitting[self.rng.integers(len(fitting))]
        static = all(d.value is not None for d in dims_of(type_))
        usable = [v for v in self.values if all(d.value is not None for d in dims_of(v.type))]
        if usable and static and self.rng.random() < 0.6 and sample.name not in ("random", "constant"):
            return self.coerced(usable[self.rng.integers(len(usable))], type_)
        return self.input(type_, sample.name)

    def input(self, type_: AnyTensor, name: str = "") -> Value:
        """A new argument of the function, with the odd NaN, infinity or extreme among its elements."""
        shape = [d.evaluate(SIZES) for d in dims_of(type_)]
        dtype, kind = np_dtype(type_.element_type), dtype_name(type_.element_type)
        if kind == "bool":
            array = np.asarray(self.rng.random(shape) < 0.5)
        elif kind[0] in "iu":
            array = np.asarray(self.rng.integers(0 if kind[0] == "u" else -7, 8, shape)).astype(dtype)
        elif kind[0] == "c":
            array = (self.rng.standard_normal(shape) + 1j * self.rng.standard_normal(shape)).astype(dtype)  # pyright: ignore
        else:
            array = np.asarray(self.rng.standard_normal(shape)).astype(np.float32)
            if array.size and self.rng.random() < 0.1:
                array.reshape(-1)[self.rng.integers(array.size)] = self.rng.choice(
                    [np.nan, np.inf, -np.inf, 0.0, 1e4]
                )
                self.batch.used["NaN or infinity"] += not np.isfinite(array).all()
            with np.errstate(all="ignore"):
                array = array.astype(dtype)
        same = [a for a, b in zip(self.batch.inputs, self.batch.block.args, strict=True) if b.type == type_]
        if same and self.rng.random() < 0.1:  # two inputs, one array
            array = same[self.rng.integers(len(same))]
        arg = self.batch.block.insert_arg(type_, len(self.batch.block.args))
        self.batch.inputs.append(array)
        value = Value(arg, [array] * (1 + SHAKES))
        if self.depth == 0:
            self.values.append(value)
        return value

    def coerced(self, value: Value, type_: AnyTensor) -> Value:
        """A value brought to a type: cast, then its elements in order, over again where there are too few."""
        if value.type.element_type != type_.element_type:
            (value,) = self.add("cast", [value], {"dtype": dtype_name(type_.element_type)})
        have, want = (prod(d.value or 0 for d in dims_of(t)) for t in (value.type, type_))
        if dims_of(value.type) == dims_of(type_):
            return value
        if not have:
            raise IrkitError("nothing to take elements from")
        (flat,) = self.add("reshape", [value], {"shape": [-1]})
        if want > have:
            (flat,) = self.add("tile", [flat], {"repeats": [-(-want // have)]})
        (part,) = self.add("slice", [flat], {"starts": [0], "stops": [want]})
        return self.add("reshape", [part], {"shape": list(dims_of(type_))})[0]

    # -- adding -----------------------------------------------------------------------------------------------

    def add(self, name: str, operands: Sequence[Value], values: Mapping[str, object]) -> list[Value]:
        """Appends an op and computes it. Raises IrkitError where it does not fit."""
        self.batch.line += 1
        op = make(name, [v.ssa for v in operands], values, Loc("random.tg", self.batch.line, 1))
        if name in SPREADS and not all(np.isfinite(v.arrays[0]).all() for v in operands):
            op.erase()
            raise IrkitError("what is no number spreads further than the reference has it")
        runs = [run(op, [v.arrays[i] for v in operands], self.rng if i else None) for i in range(1 + SHAKES)]
        whole = [
            a for arrays in ([v.arrays[0] for v in operands], runs[0]) for a in arrays if a.dtype.kind == "c"
        ]
        if not all(np.isfinite(a).all() for a in whole):
            op.erase()
            raise IrkitError("complex numbers that are not finite have no agreed arithmetic")
        self.block.add_op(op)
        self.batch.used[name] += 1
        made = [Value(r, [arrays[i] for arrays in runs]) for i, r in enumerate(op.results)]
        for value in made:
            if (
                distance(value.arrays) <= TOO_MUCH * max(scale(value.arrays[0]), 1e-6)
                and scale(value.arrays[0]) < 1e6
            ):
                self.values.append(value)
        return made

    def structure(self) -> None:
        """A loop, a loop with a condition, or a choice, over some values that are there."""
        candidates = [
            v for v in self.values[self.own :] if dtype_name(v.type.element_type) not in ("c64", "c128")
        ]
        if not candidates:
            return
        picked = {int(i) for i in self.rng.integers(0, len(candidates), self.rng.integers(1, 3))}
        inits = [candidates[i] for i in sorted(picked)]
        kind = self.rng.choice(["for", "while", "if"])
        if kind == "if":
            op = self.choice(inits)
        else:
            op = self.loop(inits, kind == "while")
        if op is None:
            return
        self.batch.line += 1
        op.location = Loc("random.tg", self.batch.line, 1).attr()
        self.block.add_op(op)
        self.batch.used[kind] += 1
        env = [{o: _found(self, o, i) for o in _outside(op)} for i in range(1 + SHAKES)]
        runs = [execute(op, env[i], self.rng if i else None) for i in range(1 + SHAKES)]
        for number, result in enumerate(op.results):
            value = Value(result, [arrays[number] for arrays in runs])
            if (
                distance(value.arrays) <= TOO_MUCH * max(scale(value.arrays[0]), 1e-6)
                and scale(value.arrays[0]) < 1e6
            ):
                self.values.append(value)

    def body(self, block: Block, args: Sequence[Value], inits: Sequence[Value]) -> bool:
        """Fills a block; it yields values of the types of the inits."""
        inner = Graph(self.batch, block, [*self.values, *args], self.depth + 1)
        inner.grow(int(self.rng.integers(1, 4)))
        try:
            new = [v for v in inner.values[len(self.values) :] if _static(v)]
            last = [
                inner.coerced(new[self.rng.integers(len(new))], i.type) if new and _static(i) else a
                for a, i in zip(args[-len(inits) :], inits, strict=True)
            ]
        except IrkitError:
            return False
        block.add_op(YieldOp(*(v.ssa for v in last)))
        _locate(block, self.batch.line)
        return True

    def loop(self, inits: Sequence[Value], conditional: bool) -> Operation | None:
        trips = int(self.rng.integers(0, 4))
        inits = list(inits)
        if conditional:
            flag = self.add("constant", [], {"value": np.asarray(self.rng.random() < 0.9)})[0]
            inits.insert(0, flag)
        block = Block(arg_types=[tensor("i64", []), *(v.type for v in inits)])
        counter = Value(block.args[0], [np.asarray(0)] * (1 + SHAKES))
        args = [Value(a, v.arrays) for a, v in zip(block.args[1:], inits, strict=True)]
        if conditional:
            inner = Graph(self.batch, block, [*self.values, *args], self.depth + 1)
            limit = inner.add("constant", [], {"value": np.asarray(int(self.rng.integers(0, 3)))})[0]
            goes_on = inner.add("compare", [counter, limit], {"pred": "lt"})[0]
            if not self.body(block, [counter, *args[1:]], inits[1:]):
                return _dropped(block)
            last = block.last_op
            assert isinstance(last, YieldOp)
            last.operands = [goes_on.ssa, *last.operands]
        elif not self.body(block, [counter, *args], inits):
            return _dropped(block)
        return ForOp(ZERO, Dim.of(trips), [v.ssa for v in inits], Region(block), conditional)

    def choice(self, inits: Sequence[Value]) -> Operation | None:
        condition = self.input(tensor("bool", []))
        blocks = [Block(arg_types=[v.type for v in inits]) for _ in range(2)]
        for block in blocks:
            args = [Value(a, v.arrays) for a, v in zip(block.args, inits, strict=True)]
            if not self.body(block, args, inits):
                return _dropped(*blocks)
        return IfOp(condition.ssa, [v.ssa for v in inits], *(Region(b) for b in blocks))


def _without_names(value: object) -> object:
    if isinstance(value, str) and re.search(r"\b[BN]\b", value):
        return Dim.parse(value).subst(SIZES)
    return [_without_names(v) for v in value] if isinstance(value, list) else value


def _dropped(*blocks: Block) -> None:
    """Takes the ops of bodies apart that come to nothing, so that they use no values."""
    for block in blocks:
        for op in reversed(list(block.ops)):
            op.detach()
            op.drop_all_references()


def _static(value: Value) -> bool:
    return all(d.value is not None for d in dims_of(value.type))


def _is_there(value: SSAValue) -> bool:
    return isinstance(value.owner, Block) or value.owner.parent is not None


def _locate(block: Block, line: int) -> None:
    for op in block.ops:
        if type(op.location).__name__ == "UnknownLoc":
            op.location = Loc("random.tg", line, 1).attr()


def _outside(op: Operation) -> list[SSAValue]:
    """The values from around that an op with regions reads."""
    inside = {r for o in op.walk() for r in o.results} | {
        a for r in op.walk() for g in r.regions for a in g.block.args
    }
    return [v for v in dict.fromkeys(v for o in op.walk() for v in o.operands) if v not in inside]


def _found(graph: Graph, ssa: SSAValue, number: int) -> np.ndarray:
    for value in graph.values:
        if value.ssa is ssa:
            return value.arrays[number]
    if ssa.owner is graph.batch.block:
        return graph.batch.inputs[ssa.index]  # pyright: ignore[reportAttributeAccessIssue]
    return execute_alone(ssa, graph, number)


def execute_alone(ssa: SSAValue, graph: Graph, number: int) -> np.ndarray:
    """A value that was computed and is not used further (noise moves it too much, say)."""
    owner = ssa.owner
    assert isinstance(owner, GraphOp), owner
    arrays = [_found(graph, v, number) for v in owner.operands]
    return run(owner, arrays, None)[list(owner.results).index(ssa)]  # pyright: ignore


# -- running ------------------------------------------------------------------------------------------------------


def run(op: GraphOp, arrays: Sequence[np.ndarray], rng: np.random.Generator | None) -> Arrays:
    """The results of an op by its reference; with a generator, operands and results are shaken where the op rounds."""
    is_exact = short_name(type(op)) in EXACT and op.values().get("dist") != "normal"
    if rng is None or is_exact:
        return op.run(arrays, SIZES)
    results = op.run([_shaken(a, rng) for a in arrays], SIZES)
    if short_name(type(op)) in TAILS:  # exact to the size of the operand, not of the result
        size = [scale(a) for a in arrays if is_float(a.dtype)]
        return [(r + NOISE * max(size) * rng.uniform(-1, 1, r.shape)).astype(r.dtype) for r in results]
    return [_shaken(r, rng) for r in results]


def _shaken(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if array.dtype.kind == "c":
        return _shaken(as_floats(array), rng).view(array.dtype).reshape(array.shape)
    if not is_float(array.dtype):
        return array
    if array.dtype.itemsize < 4:
        noise = float(ml_dtypes.finfo(array.dtype).eps)
        wide = array.astype(np.float32)
        with np.errstate(all="ignore"):
            return (wide * (1 + noise * rng.uniform(-0.6, 0.6, wide.shape)).astype(np.float32)).astype(
                array.dtype
            )
    noise = NOISE if array.dtype == np.float32 else NOISE**2
    with np.errstate(all="ignore"):
        return (array * (1 + noise * rng.uniform(-1, 1, array.shape))).astype(array.dtype)


def execute(op: Operation, env: dict[SSAValue, np.ndarray], rng: np.random.Generator | None) -> Arrays:
    """The results of an op, given the values that it reads."""
    if isinstance(op, GraphOp):
        return run(op, [env[v] for v in op.operands], rng)
    if isinstance(op, IfOp):
        body = (op.then if env[op.condition] else op.otherwise).block
        return _block(body, env | dict(zip(body.args, [env[v] for v in op.inits], strict=True)), rng)
    assert isinstance(op, ForOp) and op.lower is not None and op.upper is not None
    carried = [env[v] for v in op.inits]
    for t in range(op.lower.data.evaluate({}), op.upper.data.evaluate({})):
        if op.conditional is not None and not carried[0]:
            break
        inner = dict(zip(op.block.args, [np.asarray(t), *carried], strict=True))
        carried = _block(op.block, env | inner, rng)
    return carried


def _block(block: Block, env: dict[SSAValue, np.ndarray], rng: np.random.Generator | None) -> Arrays:
    for op in block.ops:
        if isinstance(op, YieldOp):
            return [env[v] for v in op.operands]
        env.update(zip(op.results, execute(op, env, rng), strict=True))
    raise AssertionError("no terminator")
