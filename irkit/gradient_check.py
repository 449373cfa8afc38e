"""The check of derivatives: reverse mode against forward mode and central differences, in f64, op by op.

A function runs on random inputs by the references, floats in f64 whatever their dtype. Then each op that carries a
derivative is checked alone on what it met there, and so is the whole function, for each argument. Along a random
direction t, with random seeds s, three numbers have to agree: s . (J t) by forward mode, (J^T s) . t by reverse mode,
and (s . f(x + h t) - s . f(x - h t)) / 2h. Differences before and after x, or at two steps h, that do not agree
themselves mean a corner or a jump, where they judge nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.table import Table
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from dialects.errors import IrkitError, loc_of_attr
from dialects.graph.base import dense, make, operation_name
from dialects.graph.derivatives import has_tangent
from dialects.graph.structure import ForOp
from dialects.types import is_float_tensor
from irkit.checking import default_sizes, random_inputs
from irkit.gradients import forward_function, reverse_function
from lowering.graph.derivatives.activity import Activity, captured
from lowering.graph.differentiate import TRANSFORMS, expand
from lowering.graph.interpret import argument_names, run_graph, values_of

Array = np.ndarray

TRIES = 3
"""Directions along which each thing is checked."""

WIDTH = 140
"""Columns of a table that goes to a file."""

STEPS = (1e-5, 1e-6)
"""Steps of the differences."""

BETWEEN_MODES = 1e-8
AGAINST_DIFFERENCES = 1e-4
"""How much the modes may differ from each other, and from differences, in parts of the sum of the terms' sizes."""


@dataclass
class Row:
    """What was found for an op, or for an argument of the whole function: the worst relative errors."""

    what: str
    count: int = 0
    modes: float = 0.0
    differences: float = 0.0
    smooth: bool = True
    place: str = ""
    """Where the worst of them stands in the source."""

    @property
    def passes(self) -> bool:
        """Whether all agree, as far as they could be compared."""
        return self.modes <= BETWEEN_MODES and self.differences <= AGAINST_DIFFERENCES

    @property
    def verdict(self) -> str:
        """`ok`, `wrong`, or that differences could not judge."""
        return "wrong" if not self.passes else "ok" if self.smooth else "ok, at a corner"

    def take(self, found: Sample, place: str) -> None:
        """Counts one more check."""
        self.count += 1
        error = max(found.modes / BETWEEN_MODES, found.differences / AGAINST_DIFFERENCES)
        if error >= max(self.modes / BETWEEN_MODES, self.differences / AGAINST_DIFFERENCES):
            self.place = place
        self.modes, self.differences = max(self.modes, found.modes), max(self.differences, found.differences)
        self.smooth = self.smooth and found.smooth


@dataclass(frozen=True)
class Sample:
    """The errors of one comparison."""

    modes: float
    differences: float
    smooth: bool


@dataclass
class GradientReport:
    """The rows of ops, then those of arguments."""

    function: str
    rows: list[Row] = field(default_factory=list)

    @property
    def passes(self) -> bool:
        """Whether every row does."""
        return all(row.passes for row in self.rows)

    def table(self) -> Table:
        """For a terminal."""
        table = Table(title=f"Derivatives of {self.function}", title_justify="left")
        for name in ("what", "checked", "between modes", "against differences", "verdict", "worst at"):
            table.add_column(name)
        for row in self.rows:
            cells = (
                row.what,
                str(row.count),
                f"{row.modes:.1e}",
                f"{row.differences:.1e}",
                row.verdict,
                row.place,
            )
            table.add_row(*cells)
        return table


def check_gradients(func: FuncOp, arrays: Mapping[str, Array] | None = None, seed: int = 0) -> GradientReport:
    """Checks the derivatives of a function of the graph level with respect to all of its float arguments.

    Arrays that are not given are drawn. Raises IrkitError for an op that has no derivative, at its place.
    """
    sizes = default_sizes(func)
    drawn = {**random_inputs(func, sizes, seed), **(arrays or {})}
    func = _expanded(func)
    names = argument_names(func)
    inputs = [_wide(drawn[name]) for name in names]
    report, rng = GradientReport(func.sym_name.data), np.random.default_rng(seed)
    wrt = [n for n, a in zip(names, func.body.block.args, strict=True) if has_tangent(a)]
    for what, found in (
        ("argument", wrt),
        ("result", [t for t in func.function_type.outputs if is_float_tensor(t)]),
    ):
        if not found:
            raise IrkitError(
                f"'{func.sym_name.data}' has no {what} of floats, so that there is no derivative to check",
                func,
                hint="name another function with --fn",
            )
    rows: dict[str, Row] = {}
    values = values_of(func, inputs, sizes)
    for op in _active_ops(func):
        alone, operands = _alone(func, op, values)
        own = [n for n, v in zip(argument_names(alone), operands, strict=True) if has_tangent(v)]
        row = rows.setdefault(operation_name(op), Row(operation_name(op)))
        for found in _samples(alone, [values[v] for v in operands], own, sizes, rng):
            row.take(found, str(loc_of_attr(op.location) or ""))
    report.rows += sorted(rows.values(), key=lambda r: r.what)
    for name in wrt:
        row = Row(f"argument {name}")
        for found in _samples(func, inputs, [name], sizes, rng):
            row.take(found, "")
        report.rows.append(row)
    return report


def check_grad(
    path_or_text: str | os.PathLike[str],
    fn: str | None = None,
    dims: Mapping[str, int] | None = None,
    arrays: Mapping[str, Array] | None = None,
    seed: int = 0,
) -> GradientReport:
    """Checks the derivatives of a function of a `.tg` or `.mlir` file, or of `.tg` text, with respect to all its float
    arguments, parameters among them. Arrays that are not given are drawn. Raises IrkitError, or ErrorList.
    """
    from irkit.api import graph_of, read_source

    module = graph_of(*read_source(path_or_text), fn, dims)
    return check_gradients(next(op for op in module.ops if isinstance(op, FuncOp)), arrays, seed)


def check_module(module: ModuleOp, seed: int = 0) -> None:
    """Checks every function of a module and prints the tables to stderr. Raises IrkitError where one is wrong."""
    console = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH)
    funcs = [op for op in module.ops if isinstance(op, FuncOp) and not op.is_declaration]
    for func in funcs:
        report = check_gradients(func, seed=seed)
        console.print(report.table())
        for row in report.rows:
            if not row.passes:
                raise IrkitError(
                    f"the derivative of {row.what} is wrong",
                    func,
                    found=f"{row.modes:.1e} between the modes, {row.differences:.1e} against differences, {row.place}",
                    expected=f"at most {BETWEEN_MODES} and {AGAINST_DIFFERENCES}",
                )


def _expanded(func: FuncOp) -> FuncOp:
    """A copy in which derivatives that stand in it already are the ops that compute them."""
    copy = func.clone()
    for op in [o for o in copy.walk() if isinstance(o, TRANSFORMS)][::-1]:
        expand(op)
    return copy


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind not in "iub" and array.dtype.kind != "c" else array


def _active_ops(func: FuncOp) -> list[Operation]:
    """The ops that depend on a float argument; found on a copy, since formulas are put in on the way."""
    copy = func.clone()
    own = list(func.body.block.ops)
    twins = dict(zip(copy.body.block.ops, own, strict=True))
    args = [a for a in copy.body.block.args if has_tangent(a)]
    steps = Activity(copy.body.block, args).steps
    found = [twins[op] for op in steps if op in twins]
    return [op for op in found if any(has_tangent(r) for r in op.results) and not isinstance(op, ReturnOp)]


def _alone(func: FuncOp, op: Operation, values: Mapping[SSAValue, Array]) -> tuple[FuncOp, list[SSAValue]]:
    """A function of one op, and the values that it is called with; how often a loop runs is a constant of it."""
    around = {*func.body.block.args, *(r for o in func.body.block.ops for r in o.results)}
    operands = list(dict.fromkeys([*op.operands, *captured(op, around)]))
    counts = [v for v in op.bounds() if isinstance(v, SSAValue)] if isinstance(op, ForOp) else []
    operands = [v for v in operands if v not in counts]
    block = Block(arg_types=[v.type for v in operands])
    inner: dict[SSAValue, SSAValue] = dict(zip(operands, block.args, strict=True))
    for value in counts:
        constant = make("constant", [], {"value": dense(values[value])})
        block.add_op(constant)
        inner[value] = constant.results[0]
    copy = op.clone(inner)
    block.add_op(copy)
    end = ReturnOp(*(r for r in copy.results if has_tangent(r)))
    end.location = op.location
    block.add_op(end)
    types: list[Attribute] = [a.type for a in block.args]
    alone = FuncOp("alone", FunctionType.from_lists(types, [v.type for v in end.operands]), Region(block))
    alone.location = op.location
    if "graph.symbols" in func.attributes:
        alone.attributes["graph.symbols"] = func.attributes["graph.symbols"]
    return alone, operands


def _samples(
    func: FuncOp,
    inputs: Sequence[Array],
    wrt: Sequence[str],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
) -> list[Sample]:
    """Comparisons along some directions of the arguments that wrt names together."""
    places = [argument_names(func).index(name) for name in wrt]
    back, ahead = reverse_function(func, wrt), forward_function(func, wrt)
    results = _run(func, inputs, sizes)
    floats = [i for i, t in enumerate(func.function_type.outputs) if is_float_tensor(t)]
    out: list[Sample] = []
    for _ in range(TRIES):
        seeds = [rng.standard_normal(results[i].shape) for i in floats]
        along = [rng.standard_normal(inputs[p].shape) for p in places]
        pulled = _run(back, [*inputs, *seeds], sizes)[len(results) :]
        pushed = _run(ahead, [*inputs, *along], sizes)[len(results) :]
        by_reverse = [float(np.sum(g * t)) for g, t in zip(pulled, along, strict=True)]
        by_forward = [float(np.sum(s * t)) for s, t in zip(seeds, pushed, strict=True)]
        here = sum(float(np.sum(s * results[i])) for s, i in zip(seeds, floats, strict=True))
        sides: list[tuple[float, float]] = []
        for step in STEPS:
            ends = [_moved(func, inputs, places, along, floats, seeds, sizes, h) for h in (step, -step)]
            sides.append(((ends[0] - here) / step, (here - ends[1]) / step))
        size = max(_size(pulled, along), _size(seeds, pushed), 1e-12)
        out.append(_compared(sum(by_reverse), sum(by_forward), sides, size))
    return out


def _compared(back: float, ahead: float, sides: Sequence[tuple[float, float]], size: float) -> Sample:
    if not np.isfinite([back, ahead]).all():
        same = (np.isnan(back) and np.isnan(ahead)) or back == ahead
        return Sample(0.0 if same else np.inf, 0.0, False)
    coarse, fine = (sum(pair) / 2 for pair in sides)
    after, before = sides[-1]
    gaps = [abs(coarse - fine), abs(after - before)]
    smooth = bool(np.isfinite(gaps).all()) and max(gaps) <= AGAINST_DIFFERENCES * size
    error = abs(back - fine) / size if smooth else 0.0
    return Sample(abs(back - ahead) / size, error, smooth)


def _size(a: Sequence[Array], b: Sequence[Array]) -> float:
    """The size of the terms of a sum of products, which its rounding follows."""
    return float(sum(np.sum(np.abs(x * y)) for x, y in zip(a, b, strict=True)))


def _moved(
    func: FuncOp,
    inputs: Sequence[Array],
    places: Sequence[int],
    along: Sequence[Array],
    floats: Sequence[int],
    seeds: Sequence[Array],
    sizes: Mapping[str, int],
    step: float,
) -> float:
    """The seeded sum of the results, some way along the direction."""
    moved = list(inputs)
    for place, direction in zip(places, along, strict=True):
        moved[place] = moved[place] + step * direction
    results = _run(func, moved, sizes)
    return sum(float(np.sum(s * results[i])) for s, i in zip(seeds, floats, strict=True))


def _run(func: FuncOp, arrays: Sequence[Array], sizes: Mapping[str, int]) -> list[Array]:
    with np.errstate(all="ignore"):
        return run_graph(func, list(arrays), sizes, checked=False, smooth=True)
