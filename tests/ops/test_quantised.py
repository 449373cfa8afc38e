"""Quantised tensors: casts and moves, in NumPy and through C, equal to the last bit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from dialects.errors import IrkitError
from dialects.graph import quant
from dialects.graph.numerics import cast_array
from dialects.graph.quantised import QUANTISED
from dialects.quant import STORAGES, QuantType, stored_range
from dialects.types import DTYPES, AnyTensor, dims_of, np_dtype, stored, tensor, type_text
from tests.graph.samples import op_of
from tests.ops.harness import Call, module_of, program_of

RNG = np.random.default_rng(7)
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e30, -1e30, 0.05, 0.15, -0.05, 0.25, 1.5]


def q(storage: str, scale: object = 0.1, zero: object = 0, axis: int = -1, block: int = 0, to: str = "f32"):
    """A quantised type."""
    scales = scale if isinstance(scale, list) else [scale]
    zeros = zero if isinstance(zero, list) else [zero] * len(scales)
    return quant(DTYPES[storage], DTYPES[to], scales, zeros, axis, block)


def types_of(storage: str, to: str) -> list[QuantType]:
    """For a tensor [6, 4]: one scale, one for each row, one for two columns; with zero points where there are any."""
    low, high = stored_range(DTYPES[storage])
    near = [0, 0, 0] if storage[0] == "f" else [int(low), int(high), int(low // 2 + high // 2 + 1)]
    return [
        q(storage, 0.25, near[2], to=to),
        q(storage, [0.1, 0.5, 2.0, 1e-3, 0.3, 7.0], near * 2, 0, to=to),
        q(storage, [0.1, 0.4], near[1:], 1, 2, to=to),
    ]


@dataclass
class Case:
    """An op on arrays of what is stored."""

    name: str
    types: list[AnyTensor]
    arrays: list[np.ndarray]
    values: dict[str, object] = field(default_factory=dict)
    result: int = 0

    def call(self) -> Call:
        return Call(self.name, self.arrays, self.values, self.types, self.result)

    def reference(self) -> np.ndarray:
        op = op_of(self.name, self.types, **self.values)
        op.verify()
        return op.run(self.arrays)[self.result]

    def __str__(self) -> str:
        return f"{self.name} of {', '.join(map(type_text, self.types))} with {self.values}"


def floats(dtype: str, shape: tuple[int, ...] = (6, 4)) -> np.ndarray:
    values = RNG.standard_normal(shape) * 3
    values.reshape(-1)[: len(SPECIAL)] = SPECIAL
    with np.errstate(all="ignore"):
        return cast_array(values.astype(np.float32), DTYPES[dtype])


def numbers(element: QuantType, shape: tuple[int, ...] = (6, 4)) -> np.ndarray:
    """Stored numbers over the whole range."""
    low, high = stored_range(element.storage)
    if low < -1e4 and np_dtype(element).itemsize == 1:
        low, high = -100, 100
    values = RNG.uniform(low, high, shape)
    values.reshape(-1)[:2] = low, high
    return cast_array(values, element.storage)


def conversions() -> list[Case]:
    """Casts to and from quantised types of every storage, and of every type that may be expressed."""
    cases: list[Case] = []
    for storage, to in [
        *((s, "f32") for s in STORAGES),
        *(("u8", t) for t in ("f64", "f16", "bf16")),
        ("i32", "f64"),
    ]:
        for element in types_of(storage, to)[0 if to == "f32" else 2 :]:
            x = tensor(element, [6, 4])
            cases += [
                Case("cast", [tensor(to, [6, 4])], [floats(to)], {"dtype": element}),
                Case("cast", [x], [numbers(element)], {"dtype": to}),
            ]
        cases.append(Case("cast", [x], [numbers(element)], {"dtype": q("i8", 0.3, 100)}))
    x = tensor(q("i8", 0.3, 100), [6, 4])
    cases += [
        Case("cast", [x], [numbers(x.element_type)], {"dtype": d})  # pyright: ignore
        for d in ("f16", "i8", "bool", x.element_type)
    ]
    return [*cases, Case("cast", [tensor("f16", [6, 4])], [floats("f16")], {"dtype": x.element_type})]


ROWS = q("i8", [0.1, 0.5, 2.0, 1e-3], [3, -4, 0, 127], 0)
COLUMNS = q("u8", [0.1, 0.2, 0.3], 128, 1, 2)
ONE = q("i8", 0.1, -7)
FLOAT = q("f8e4m3", 0.5)
NIBBLES = q("u4", 0.5, 9)


def moves() -> list[Case]:
    """Every op that moves or compares what is stored."""

    def case(
        name: str, element: QuantType, shape: list[int], /, *others: np.ndarray, **values: object
    ) -> Case:
        types = [tensor(element, shape), *(tensor(_dtype(o), o.shape) for o in others)]
        return Case(name, types, [numbers(element, tuple(shape)), *others], values)

    index = np.array([2, 0, -1], np.int32)
    cases: list[Case] = []
    shape = [4, 6]
    for element in (ROWS, COLUMNS):
        cases += [
            case("transpose", element, shape),
            case("reshape", element, shape, shape=[1, 4, 1, 6]),
            case("broadcast", element, shape, shape=[3, 4, 6]),
            case("slice", element, shape, starts=[1, 1], stops=[3, 5]),
            case("slice", element, shape, starts=[0, 2], stops=[4, 4]),
            case("flip", element, shape),
            case("roll", element, shape, shift=3, axis=1),
            case("tile", element, shape, repeats=[2, 3]),
            case("pad", element, shape, pads=[1, 2, 2, 0], mode="edge"),
            case("take_along", element, shape, np.array([[1], [5], [0], [2]], np.int32))
            if element.along != 1
            else case("take_along", element, shape, np.array([[1, 0, 2, 3, 1, 1]], np.int32), axis=0),
            case("gather", element, shape, index, axis=1 if element.along != 1 else 0),
            Case("split", [tensor(element, shape)], [numbers(element, (4, 6))], {"parts": 2, "axis": 0}, 1),
            Case("split", [tensor(element, shape)], [numbers(element, (4, 6))], {"parts": 3, "axis": 1}, 2),
            Case(
                "where",
                [tensor("bool", shape), tensor(element, shape), tensor(element, shape)],
                [RNG.random(shape) < 0.5, numbers(element, (4, 6)), numbers(element, (4, 6))],
            ),
            Case(
                "concat", [tensor(element, shape)] * 2, [numbers(element, (4, 6)) for _ in "ab"], {"axis": 0}
            ),
            Case(
                "concat", [tensor(element, shape)] * 2, [numbers(element, (4, 6)) for _ in "ab"], {"axis": 1}
            ),
        ]
    for element in (ROWS, COLUMNS, FLOAT):
        cases += [
            case("relu", element, shape),
            Case("max", [tensor(element, shape)] * 2, [numbers(element, (4, 6)) for _ in "ab"]),
            Case("min", [tensor(element, shape)] * 2, [numbers(element, (4, 6)) for _ in "ab"]),
            case("reduce_max", element, shape, axes=[1 if element.along != 1 else 0]),
            case("reduce_min", element, shape, axes=[1 if element.along != 1 else 0], keepdims=True),
        ]
    return [
        *cases,
        case("transpose", NIBBLES, [4, 6]),
        case("flip", FLOAT, [4, 6]),
        case("pad", ONE, [4, 6], pads=[1, 2, 2, 0]),
        case("pad", ONE, [4, 6], pads=[1, 2, 2, 0], value=0.5),
        case("pad", NIBBLES, [4, 6], pads=[1, 2, 2, 0], value=-100.0),
        case("pad", FLOAT, [4, 6], pads=[1, 2, 2, 0], value=3.0),
        case("pad", q("i8", [0.1, 0.2], 5, 1), [4, 2], pads=[1, 2, 2, 0]),
        case("tril", q("i8", 0.1), [4, 6]),
        case("triu", q("i8", [0.1, 0.2, 0.3, 0.4], 0, 0), [4, 6], k=1),
        case("max_pool2d", q("u8", [0.1, 0.2], [1, 2], 1), [1, 2, 4, 6], kernel=2, padding=1),
        case("global_max_pool", q("u8", [0.1, 0.2], [1, 2], 1), [1, 2, 4, 6]),
        case("pixel_shuffle", ONE, [1, 4, 2, 3], factor=2),
        case("resize_nearest", q("i8", [0.1, 0.2], 0, 0), [2, 2, 3], size=[3, 5]),
        case("gather_nd", q("i8", [0.1, 0.2], 0, 1), [4, 2], np.array([[[1]], [[3]]], np.int32)),
        case("reinterpret", COLUMNS, [4, 6], dtype="u8"),
        case("reinterpret", ONE, [4, 6], dtype=q("i8", 3.0)),
        *(
            Case(
                name,
                [tensor(ONE, [4, 6]), tensor("i32", at.shape), tensor(ONE, updates)],
                [numbers(ONE, (4, 6)), at, numbers(ONE, tuple(updates))],
                {"mode": mode},
            )
            for mode in ("set", "max")
            for name, at, updates in (
                ("scatter", np.array([2, 0], np.int32), [2, 6]),
                ("scatter_nd", np.array([[2, 1], [0, 5]], np.int32), [2]),
                ("scatter_along", np.array([[1], [5], [0], [2]], np.int32), [4, 1]),
            )
        ),
    ]


def _dtype(array: np.ndarray) -> str:
    return {"int32": "i32", "bool": "bool"}[array.dtype.name]


def check(cases: list[Case]) -> None:
    """The results of C and of the reference are the same numbers, NaN included."""
    program = program_of(module_of([c.call() for c in cases]))
    results = program(*[a for c in cases for a in c.arrays])
    faults = []
    for case, found in zip(cases, results, strict=True):
        expected = case.reference()
        assert found.dtype == expected.dtype, case
        same = _wide(found).tobytes() == _wide(expected).tobytes()
        if found.shape != expected.shape or not same:
            faults.append(f"{case}: {found} against {expected}")
    assert not faults, "\n".join(faults)


def _wide(array: np.ndarray) -> np.ndarray:
    """The numbers with one NaN."""
    if array.dtype.kind in "biu" or array.dtype.name in ("int4", "uint4"):
        return array.astype(np.int64)
    wide = array.astype(np.float64)
    return np.where(np.isnan(wide), np.nan, wide)


def test_casts_give_the_same_in_c():
    check(conversions())


def test_moves_give_the_same_in_c():
    check(moves())


def test_every_op_that_takes_quantised_elements_is_tested():
    assert {c.name for c in [*conversions(), *moves()]} == QUANTISED.keys()


def test_a_move_of_stored_numbers_is_that_of_the_expressed_ones():
    """Dequantised after the op as before it; each op is exact, so that the scales have to be where they belong."""
    for case in moves():
        if case.name != "reinterpret" and case.values.get("value") not in (0.5, -100.0):
            _check_expressed(case)


def _check_expressed(case: Case) -> None:
    op = op_of(case.name, case.types, **case.values)
    after = _dequantised(op.results[case.result].type, case.reference())  # pyright: ignore
    plain = [tensor("f32", dims_of(t)) if isinstance(t.element_type, QuantType) else t for t in case.types]
    before = [
        _dequantised(t, a) if isinstance(t.element_type, QuantType) else a
        for t, a in zip(case.types, case.arrays, strict=True)
    ]
    expected = op_of(case.name, plain, **case.values).run(before)[case.result]
    np.testing.assert_array_equal(after, expected, err_msg=str(case))


def _dequantised(type_: AnyTensor, array: np.ndarray) -> np.ndarray:
    return op_of("cast", [type_], dtype="f32").run([array])[0]


# -- numbers worked out by hand ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "given", "numbers_", "back"),
    [
        (
            q("i8", 0.5),
            [0.25, 0.75, -0.25, 100, -100, np.nan],
            [0, 2, 0, 127, -128, 0],
            [0, 1, 0, 63.5, -64, 0],
        ),
        (q("u8", 0.5, 3), [-1.5, -2, 0, 1, np.nan, 1e9], [0, 0, 3, 5, 3, 255], [-1.5, -1.5, 0, 1, 0, 126]),
        (q("i4", 1.0, -8), [0, 15, 16, -1], [-8, 7, 7, -8], [0, 15, 15, 0]),
        (q("i32", 1.0, 2**31 - 1), [1, -1, -1e30], [2**31 - 1, 2**31 - 2, -(2**31)], [0, -1, -(2.0**32)]),
        (q("f8e4m3", 2.0), [2, 1e6, -np.inf, 3], [1, 448, -448, 1.5], [2, 896, -896, 3]),
        (q("i8", [1.0, 0.5], [0, 10], 0), [3, 3], [3, 16], [3, 3]),
        (q("i8", [1.0, 0.5], 0, 0, 2), [3, 2, 3, 2], [3, 2, 6, 4], [3, 2, 3, 2]),
    ],
)
def test_numbers(element: QuantType, given: list[float], numbers_: list[float], back: list[float]):
    x = np.array(given, np.float32)
    (found,) = op_of("cast", [tensor("f32", x.shape)], dtype=element).run([x])
    assert found.astype(np.float64).tolist() == numbers_
    assert _dequantised(tensor(element, x.shape), found).tolist() == back


# -- types ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "element", "shape", "values", "expected"),
    [
        ("transpose", ROWS, [4, 6], {}, q("i8", [0.1, 0.5, 2.0, 1e-3], [3, -4, 0, 127], 1)),
        ("slice", ROWS, [4, 6], {"starts": [1], "stops": [3]}, q("i8", [0.5, 2.0], [-4, 0], 0)),
        ("slice", ROWS, [4, 6], {"starts": [2], "stops": [3]}, q("i8", 2.0)),
        ("slice", COLUMNS, [4, 6], {"starts": [0, 2], "stops": [4, 6]}, q("u8", [0.2, 0.3], 128, 1, 2)),
        ("slice", COLUMNS, [4, 6], {"starts": [0, 1], "stops": [4, 4]}, q("u8", [0.1, 0.2, 0.2], 128, 1)),
        ("slice", COLUMNS, [4, 6], {"starts": [0, 2], "stops": [4, 4]}, q("u8", 0.2, 128)),
        ("flip", COLUMNS, [4, 6], {}, q("u8", [0.3, 0.2, 0.1], 128, 1, 2)),
        ("reshape", ROWS, [4, 6], {"shape": [4, 2, 3]}, ROWS),
        ("reshape", ROWS, [4, 6], {"shape": [1, 4, 6]}, q("i8", [0.1, 0.5, 2.0, 1e-3], [3, -4, 0, 127], 1)),
        ("reduce_max", COLUMNS, [4, 6], {"axes": [0]}, q("u8", [0.1, 0.2, 0.3], 128, 0, 2)),
        ("cast", ROWS, [4, 6], {"dtype": COLUMNS}, COLUMNS),
    ],
)
def test_scales_follow_their_dim(
    name: str, element: QuantType, shape: list[int], values: dict, expected: QuantType
):
    op = op_of(name, [tensor(element, shape)], **values)
    op.verify()
    assert op.results[0].type.element_type == expected  # pyright: ignore


def test_symbolic_dims_stay():
    op = op_of("transpose", [tensor(ROWS, [4, "B"])])
    assert type_text(op.results[0].type).endswith("axis=1)[B, 4]")


@pytest.mark.parametrize(
    ("name", "types", "values", "message"),
    [
        ("add", [ONE, ONE], {}, "add does not compute with quantised elements"),
        ("matmul", [ONE, ONE], {}, "matmul does not compute with quantised elements"),
        ("reshape", [ROWS], {"shape": [-1]}, "reshape does not keep the scales of a quantised tensor apart"),
        ("reshape", [ROWS], {"shape": [2, 2, 4]}, "reshape does not keep the scales"),
        ("reduce_max", [ROWS], {}, "reduce_max does not keep the scales"),
        ("tril", [ONE], {}, "tril does not keep the scales"),
        ("pad", [ROWS], {"pads": [0, 0, 1, 1]}, "pad does not keep the scales"),
        ("concat", [ROWS, ONE], {}, "concat needs operands of one quantised type"),
        ("max", [ROWS, ONE], {}, "max needs operands of one quantised type"),
        ("max", [ONE, "f32"], {}, "operand 1 of max is not quantised and another is"),
        ("relu", [NIBBLES], {}, "relu has no form on elements stored in four bits"),
        ("scatter_along", [ONE, "i32", ONE], {"mode": "add"}, "scatter_along does not keep the scales"),
        ("cast", ["i8"], {"dtype": ONE}, "no cast from i8 to a quantised type"),
        ("cast", [ONE], {"dtype": "c64"}, "no cast from a quantised type to c64"),
        ("cast", ["f32"], {"dtype": q("i8", [0.1, 0.2], 0, 2)}, "there is no dim 2 for the scales"),
        ("reinterpret", [ONE], {"dtype": "u8"}, "reinterpret does not convert i8 to u8"),
        ("reinterpret", ["f32"], {"dtype": "i64"}, "reinterpret does not convert f32 to i64"),
        ("reinterpret", ["f16"], {"dtype": "i16"}, "reinterpret does not convert f16 to i16"),
    ],
)
def test_what_is_refused(name: str, types: list, values: dict, message: str):
    with pytest.raises(IrkitError, match=message):
        op_of(name, [tensor(t, [4, 4]) for t in types], **values)


def test_storage_is_what_lies_in_memory():
    assert np_dtype(NIBBLES) == np_dtype("u4") and np_dtype("u4").itemsize == 1
    assert stored(NIBBLES) == DTYPES["u4"]
