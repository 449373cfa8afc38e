"""The table of dtypes: every op compiled to C in every dtype that it takes, against its NumPy reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dialects.errors import ErrorList, IrkitError
from dialects.graph import array_of
from dialects.graph.numerics import cast_array
from dialects.types import DTYPES, np_dtype, tensor
from irkit.runtime.module import Program
from tests.graph.samples import SAMPLES, Sample, op_of, random_array
from tests.ops.harness import Call, built, check, module_of
from tests.ops.torch_calls import FUNCTIONS
from tools.ops_docs.examples import Shown
from tools.ops_docs.facts import Group, groups, principal, stored_in
from tools.ops_docs.pages import TORCH
from tools.ops_docs.torch_table import VERSION, Note, column, is_measured_with

AGREES, REFUSED, ONLY_REFERENCE, DIFFERS, UNKNOWN = "✓", "·", "ref", "✗", "?"


@dataclass(frozen=True)
class Row:
    """A row of the table: an op, or one group of its operands or parameters."""

    label: str
    example: Shown
    group: Group


def rows(examples: Sequence[Shown]) -> list[Row]:
    """A row for each op, and further ones for groups that may have several dtypes on their own."""
    found: list[Row] = []
    for example in examples:
        own = groups(example.op)
        first = principal(own)
        found.append(Row(example.name, example, first))
        for group in own:
            if group is not first and len(group.results) > 1:
                found.append(Row(f"{example.name} {', '.join(dict.fromkeys(group.names))}", example, group))
    return found


def blank(table: Sequence[Row], known: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The table without running anything: what an op refuses is known, the rest is taken from an earlier table."""
    cells: dict[str, dict[str, str]] = {}
    for row in table:
        before = known.get(row.label, {})
        cells[row.label] = {
            d: REFUSED if d not in row.group.results else _not_refused(before.get(d, UNKNOWN)) for d in DTYPES
        }
        cells[row.label][TORCH] = (before.get(TORCH) or UNKNOWN) if row.label in FUNCTIONS else ""
    return cells


def _not_refused(mark: str) -> str:
    return UNKNOWN if mark == REFUSED else mark


def measured(
    table: Sequence[Row], note: Note = print, known: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, dict[str, str]]:
    """The table with every cell run; one C program for each dtype. What is said of torch is taken from an earlier table
    where torch is not installed."""
    cells = blank(table, {} if known is None else known)
    for dtype in DTYPES:
        calls = [
            (row.label, call) for row in table if dtype in row.group.results for call in _calls(row, dtype)
        ]
        marks = _marks(calls, dtype, note)
        for label, mark in marks.items():
            cells[label][dtype] = mark
    return with_torch(cells, note)


def with_torch(cells: dict[str, dict[str, str]], note: Note) -> dict[str, dict[str, str]]:
    """The table with the column of torch measured, where it is installed in the version of the table."""
    if is_measured_with():
        for label, text in column(note).items():
            cells[label][TORCH] = text
    else:
        note(f"torch {VERSION} is not installed: what the table says of it is kept")
    return cells


# -- calls ----------------------------------------------------------------------------------------------------------


def _calls(row: Row, dtype: str) -> Iterator[Call]:
    """The example in a dtype, and a sample on random numbers; one call for each result."""
    op, group = row.example.op, row.group
    name = row.example.name
    values = {key: value for key, value in op.values().items() if value is not None}
    values = stored_in(values, dtype)
    arrays = [
        _in_dtype(_constant(v), dtype) if i in group.places else _constant(v)
        for i, v in enumerate(op.operands)
    ]
    for key in group.names if not group.places else ():
        kind = type(op).PARAMS[key].kind
        values[key] = dtype if kind in ("dtype", "element") else array_of(values[key]).astype(np_dtype(dtype))
    for i in range(len(op.results)):
        yield Call(name, arrays, values, result=i)
    sample = next((s for s in SAMPLES if s.name == name and _is_static(s)), None)
    if sample is None or not group.places:
        return
    types = sample.types()
    same = sample.operands[group.places[0]][0]
    types = [
        tensor(dtype, t.get_shape()) if d == same else t
        for t, (d, _) in zip(types, sample.operands, strict=True)
    ]
    try:
        made = op_of(name, types, **sample.values)
    except IrkitError:
        return
    for i in range(len(made.results)):
        yield Call(
            name, [random_array(t, seed) for seed, t in enumerate(types)], dict(sample.values), result=i
        )


def _is_static(sample: Sample) -> bool:
    return all(isinstance(d, int) and d for _, dims in sample.operands for d in dims)


def _constant(value: object) -> np.ndarray:
    """The array of an operand of an example."""
    op = value.owner  # pyright: ignore[reportAttributeAccessIssue]
    arrays = [_constant(v) for v in op.operands]
    return op.run(arrays)[0]


def _in_dtype(array: np.ndarray, dtype: str) -> np.ndarray:
    return cast_array(array, DTYPES[dtype])


# -- running --------------------------------------------------------------------------------------------------------


def _marks(calls: list[tuple[str, Call]], dtype: str, note: Note) -> dict[str, str]:
    """The mark of each row that has calls: the worst of its calls."""
    marks = {label: AGREES for label, _ in calls}
    program, kept, refused = _compiled(calls)
    for label in refused:
        marks[label] = ONLY_REFERENCE
    if program is None:
        return marks
    results = program(*[a for _, call in kept for a in call.arrays])
    listed = list(results) if isinstance(results, tuple) else [results]
    for (label, call), found in zip(kept, listed, strict=True):
        if fault := _fault(call, found):
            marks[label] = DIFFERS
            note(f"{label} in {dtype}: {call}: {fault}")
    return marks


def _compiled(
    calls: list[tuple[str, Call]],
) -> tuple[Program | None, list[tuple[str, Call]], set[str]]:
    """One program of the calls that can be compiled, these, and the rows of which one is refused below the graph level."""
    kept = list(calls)
    refused: set[str] = set()
    while kept:
        try:
            return Program(*built(module_of([call for _, call in kept])), None, 1), kept, refused
        except (IrkitError, ErrorList) as fault:
            lines = {e.loc.line for e in _errors(fault) if e.loc is not None}
            if not lines or max(lines) > len(kept):
                raise
            refused |= {kept[line - 1][0] for line in lines}
            kept = [pair for i, pair in enumerate(kept, 1) if i not in lines]
    return None, [], refused


def _errors(fault: IrkitError | ErrorList) -> list[IrkitError]:
    return list(fault.errors) if isinstance(fault, ErrorList) else [fault]


def _fault(call: Call, found: np.ndarray) -> str:
    """Why a result does not agree; nothing where it does."""
    try:
        if found.dtype.kind == "c":
            expected = call.reference()
            eps = float(np.finfo(expected.dtype).eps)
            scale = float(np.max(np.abs(expected[np.isfinite(expected)]), initial=1.0))
            np.testing.assert_allclose(found, expected, rtol=16 * eps, atol=16 * eps * scale)
        else:
            check(call, found)
    except Exception as fault:  # of the comparison, or of the reference itself
        return f"{type(fault).__name__}: {' '.join(str(fault).split())}"[:300]
    return ""
