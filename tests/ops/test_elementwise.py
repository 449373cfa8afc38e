"""Elementwise ops, casts, comparisons and choices through compiled C: every dtype, shapes around the vector width,
broadcasting, the ends of each range, NaN and infinities."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

import irkit
from dialects.graph import OPS
from dialects.graph.elementwise import BINARY, PREDICATES, UNARY
from dialects.types import STORAGE, np_dtype
from tests.graph.samples import FLOATS, INTEGERS, NUMBERS
from tests.ops.harness import Call, check_all

RNG = np.random.default_rng(0)
SHAPES = [(), (1,), (0, 4), (3, 5), (15,), (16,), (17,), (33,), (65,), (4, 1, 17)]
COMPUTED = (*NUMBERS, "bool")
KIND = {name: "f" if name in FLOATS else "i" if name in INTEGERS else "b" for name in COMPUTED}


def edges(name: str) -> np.ndarray:
    """Values at which arithmetic goes wrong, for a dtype."""
    dtype = np_dtype(name)
    if name == "bool":
        return np.array([False, True, True, False])
    if name in INTEGERS:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        some = [low, low + 1, -3, -2, -1, 0, 1, 2, 3, 7, high - 1, high]
        return np.array([v for v in some if low <= v <= high], dtype)
    info = ml_dtypes.finfo(dtype)
    values = [
        0,
        -0.0,
        1,
        -1,
        0.5,
        -2.5,
        3,
        7,
        -7,
        60,
        -60,
        1e-3,
        float(info.max),
        float(info.smallest_normal),
    ]
    with np.errstate(all="ignore"):
        return np.array([*values, np.inf, -np.inf, np.nan], np.float64).astype(dtype)


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of moderate size."""
    dtype = np_dtype(name)
    if name == "bool":
        return RNG.random(shape) < 0.5
    if name in INTEGERS:
        return RNG.integers(0 if name[0] == "u" else -9, 10, shape).astype(dtype)
    return (RNG.standard_normal(shape) * 2).astype(np.float32).astype(dtype)


def takes(op: str) -> list[str]:
    """The dtypes that an op takes."""
    return [name for name in COMPUTED if KIND[name] in OPS[op].TAKES]  # pyright: ignore


def moderate(op: str, x: np.ndarray) -> np.ndarray:
    """The values for which an op is held to a few units in the last place."""
    if op in ("sin", "cos"):
        return x[np.abs(np.nan_to_num(x.astype(np.float64), nan=0, posinf=0, neginf=0)) <= 100]
    return x


@pytest.mark.parametrize("op", [*UNARY, "gelu"])
def test_unary(op: str):
    calls = [Call(op, [moderate(op, edges(name))]) for name in takes(op)]
    plain = takes(op)[1] if len(takes(op)) > 1 else takes(op)[0]
    # the negative tail of gelu is a difference: exact to the size of x, not of the result
    tails = np.abs if op == "gelu" else np.asarray
    calls += [Call(op, [tails(numbers(plain, shape))]) for shape in SHAPES]
    if op == "gelu":
        calls += [Call(op, [edges(name)], {"approximate": "tanh"}) for name in takes(op)]
    check_all(calls)


@pytest.mark.parametrize("op", BINARY)
def test_binary(op: str):
    calls: list[Call] = []
    for name in takes(op):
        x = edges(name)
        if op == "pow" and KIND[name] == "f":
            x = numbers(name, (40,))
            calls.append(Call(op, [np.abs(x), numbers(name, (40,))]))
            x = x[:6]
        if op == "mod" and KIND[name] == "f":
            x = x[np.isfinite(x.astype(np.float64)) & (np.abs(x.astype(np.float64)) < 100)]
        calls.append(Call(op, [x[:, None], x[None, :]]))
    check_all(calls)


PAIRS = [
    ((3, 5), (5,)),
    ((5,), (3, 1)),
    ((), (4, 3)),
    ((1,), (0,)),
    ((0, 3), (1, 3)),
    ((2, 1, 17), (3, 1)),
    ((33,), ()),
]


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_broadcasting(cc: str):
    calls = [
        Call("sub", [numbers(name, a), numbers(name, b)]) for a, b in PAIRS for name in ("f32", "f64", "i8")
    ]
    calls += [Call("add", [numbers("f32", s), numbers("f32", s)]) for s in SHAPES]
    calls += [Call("logical_and", [numbers("bool", a), numbers("bool", b)]) for a, b in PAIRS]
    for a, b in PAIRS:
        for name in ("f32", "bf16", "i64", "u8", "bool"):
            calls.append(Call("where", [numbers("bool", a), numbers(name, b), numbers(name, a)]))
    check_all(calls, cc)


@pytest.mark.parametrize("pred", PREDICATES)
def test_compare(pred: str):
    calls: list[Call] = []
    for name in COMPUTED:
        x = edges(name)
        calls.append(Call("compare", [x[:, None], x[None, :]], {"pred": pred}))
    calls += [Call("compare", [numbers("f32", s), numbers("f32", s)], {"pred": pred}) for s in SHAPES]
    check_all(calls)


@pytest.mark.parametrize("source", COMPUTED)
def test_cast(source: str):
    x = edges(source)
    if source in FLOATS:
        with np.errstate(all="ignore"):
            near = np.array(
                [
                    127,
                    127.5,
                    128,
                    -128.9,
                    -129,
                    255.5,
                    256,
                    2.0**31,
                    -(2.0**31),
                    2.0**63,
                    2.0**64,
                    448,
                    465,
                    1e-9,
                ]
            )
            near = np.concatenate([near, near * 1.0001, RNG.standard_normal(40) * 300])
            x = np.concatenate([x, near.astype(np_dtype(source))])
    check_all([Call("cast", [x], {"dtype": target}) for target in COMPUTED])


def test_every_bit_pattern_of_small_floats():
    calls: list[Call] = []
    for name in ("f16", "bf16", "f8e4m3", "f8e5m2"):
        size = np_dtype(name).itemsize
        x = np.arange(1 << (8 * size), dtype=f"u{size}").view(np_dtype(name))
        if size == 2:
            x = x[::7]
        calls += [
            Call("cast", [x], {"dtype": "f32"}),
            Call("neg", [x]),
            Call("compare", [x, x], {"pred": "eq"}),
        ]
    wide = np.concatenate(
        [np.float32(RNG.standard_normal(500) * s) for s in (1e-8, 1e-6, 1e-3, 1, 100, 1e4, 1e5)]
    )
    calls += [Call("cast", [wide], {"dtype": name}) for name in ("f16", "bf16", "f8e4m3", "f8e5m2")]
    check_all(calls)


@pytest.mark.parametrize(("cc", "threads"), [("gcc", 3), ("clang", 1), ("clang", 2)])
def test_compilers_and_threads(cc: str, threads: int):
    calls: list[Call] = []
    for op, name in itertools.product(("add", "div", "mod", "max", "mul"), NUMBERS):
        x = edges(name)
        x = x[np.abs(np.nan_to_num(x.astype(np.float64), posinf=1e9, neginf=1e9)) < 100] if op == "mod" else x
        calls.append(Call(op, [x[:, None], x[None, :]]))
    calls += [
        Call(op, [moderate(op, edges(name))])
        for op in UNARY
        if op not in ("logical_not",)
        for name in ("f32", "f64")
        if KIND[name] in OPS[op].TAKES
    ]  # pyright: ignore
    calls += [
        Call("cast", [edges(a)], {"dtype": b}) for a in COMPUTED for b in ("f32", "i8", "u64", "bool", "bf16")
    ]
    check_all(calls, cc, threads)


def test_casts_to_and_from_types_for_storage():
    """They stand in bytes. Of i2, u2, i4, u4 what is read counts with its lowest bits; what is written saturates or wraps."""
    numbers = np.array(
        [
            -300,
            -9,
            -8.5,
            -8,
            -1.5,
            -0.5,
            -0.0,
            0,
            3.9,
            7,
            8,
            15,
            16,
            20,
            300,
            np.nan,
            -np.nan,
            np.inf,
            -np.inf,
        ],
        np.float32,
    )
    numbers = np.concatenate(
        [numbers, *(np.float32(RNG.standard_normal(40) * s) for s in (1e-39, 1e-5, 1e38))]
    )
    calls = []
    for name in STORAGE:
        count = 256 if name.startswith("f8") else 16
        small = np.arange(count, dtype=np.uint8)
        small = small.view(np_dtype(name)) if name[0] == "f" else small.astype(np_dtype(name))
        small = small.reshape(2, -1)
        calls += [Call("cast", [numbers], {"dtype": name})]
        calls += [Call("cast", [numbers.astype(np.float16)], {"dtype": name})]
        calls += [Call("cast", [np.arange(-40, 40, dtype=np.int32)], {"dtype": name})]
        calls += [
            Call("cast", [small], {"dtype": d}) for d in ("i8", "i64", "f32", "bf16", "f64", "bool", *STORAGE)
        ]
    check_all(calls)


def test_bits_of_floats_as_integers():
    """Every bit stays, those of NaN too."""
    x = np.concatenate([edges("f32"), np.array([0x7FC00001, 0xFF812345], np.uint32).view(np.float32)])
    wide = np.concatenate([edges("f64"), np.array([0x7FF8000000000001], np.uint64).view(np.float64)])
    calls = [Call("reinterpret", [x], {"dtype": d}) for d in ("i32", "u32")]
    calls += [Call("reinterpret", [x.view(d)], {"dtype": "f32"}) for d in ("i4", "u4")]
    calls += [Call("reinterpret", [wide], {"dtype": d}) for d in ("i64", "u64")]
    calls += [Call("reinterpret", [wide.view(np.int64)], {"dtype": "f64"})]
    check_all(calls)
    turned = irkit.compile(
        "fn f(x: f32[257]) -> f32[257] { return reinterpret(bitwise_xor(reinterpret(x, i32), -2147483648), f32) }"
    )
    values = RNG.standard_normal(257).astype(np.float32)
    np.testing.assert_array_equal(turned(values), -values)
