"""irk_math.h: errors against wider floats, special values, small floats, integers, random numbers; by both compilers."""

import ctypes
import math
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dialects.graph.numerics import cast_array, divide, float_to_integer, modulo, philox, power
from dialects.types import DTYPES, SMALL_FLOATS, np_dtype
from irkit.runtime.compiler import INCLUDE

DRIVER = Path(__file__).with_name("math_driver.c")
STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fno-math-errno", f"-I{INCLUDE}"]
NATIVE = ["-O3", "-march=native", "-mprefer-vector-width=512", "-ffp-contract=fast"]

BUILDS = {
    "gcc native x16": ("gcc", 16, NATIVE),
    "gcc native numbers": ("gcc", 0, NATIVE),
    "gcc plain x4 without contraction": ("gcc", 4, ["-O2", "-ffp-contract=off"]),
    "clang native x8": ("clang", 8, NATIVE),
    "clang plain x2": ("clang", 2, ["-O2"]),
    "gcc c99 numbers": ("gcc", 0, ["-O2", "-std=c99", "-pedantic", "-DIRK_NO_VECTORS"]),
}
FLOATS = {"f32": (np.float32, np.float64), "f64": (np.float64, np.longdouble)}
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    math.inf,
    -math.inf,
    math.nan,
    0.5,
    1.5,
    -2.5,
    88.7,
    89.0,
    -87.0,
    -103.0,
    -104.0,
]
SPECIAL += [
    709.0,
    710.0,
    -745.0,
    -746.0,
    1e-45,
    1e-40,
    -1e-40,
    5e-324,
    1e-310,
    3e38,
    1e308,
    6000.5,
    -1e6,
    1e22,
]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Library:
    """A build of the driver: `call(name, arrays, out)` fills out."""

    def __init__(self, path: Path):
        self.library = ctypes.CDLL(str(path))

    def call(self, name: str, *arrays: np.ndarray, out: np.ndarray) -> np.ndarray:
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
        getattr(self.library, name)(*pointers, ctypes.c_long(out.size))
        return out

    def random(self, name: str, keys: tuple[int, int], out: np.ndarray) -> np.ndarray:
        words = [ctypes.c_uint32(k) for k in keys]
        getattr(self.library, name)(*words, ctypes.c_void_p(out.ctypes.data), ctypes.c_long(out.size))
        return out


@pytest.fixture(scope="module", params=list(BUILDS))
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    compiler, lanes, flags = BUILDS[request.param]
    path = tmp_path_factory.mktemp("math") / "math.so"
    command = [compiler, *STRICT, *flags, f"-DLANES={lanes}", "-shared", "-fPIC", DRIVER, "-o", path, "-lm"]
    subprocess.run(command, check=True)
    return Library(path)


@cache
def stated() -> dict[tuple[str, str], float]:
    """The greatest errors that the header states, by function and dtype."""
    text = (INCLUDE / "irk_math.h").read_text()
    names = re.search(r"^ \* +(exp +log .*)$", text, re.M)
    assert names is not None
    rows = re.findall(r"^ \* +(f32|f64) +([\d. ]+)$", text, re.M)
    return {(n, f): float(v) for f, row in rows for n, v in zip(names[1].split(), row.split(), strict=True)}


def numbers(dtype: type, seed: int = 0, count: int = 60_000) -> np.ndarray:
    """Special values, numbers of common size, and any bits at all."""
    rng = np.random.default_rng(seed)
    bits = np.dtype(f"i{np.dtype(dtype).itemsize}")
    least, greatest = np.iinfo(bits).min, np.iinfo(bits).max
    anything = rng.integers(least, greatest, count, dtype=bits, endpoint=True).view(dtype)
    common = (rng.normal(size=count) * 10.0 ** rng.uniform(-3, 3, count)).astype(dtype)
    return np.concatenate([np.array(SPECIAL).astype(dtype), common, anything])


def check_error(got: np.ndarray, want: np.ndarray, most: float, *inputs: np.ndarray) -> None:
    """Compares with a result in a wider dtype: special values and signs of zeros exactly, others to within `most`
    units in the last place."""
    rounded = want.astype(got.dtype)
    finite = np.isfinite(rounded) & np.isfinite(got)
    same = (rounded == got) | (np.isnan(rounded) & np.isnan(got))
    # At the edge of the range the rounded result may be the greatest number where the other is infinite.
    edge = np.isinf(got) & (np.abs(rounded) == np.finfo(got.dtype).max)
    wrong = ~finite & ~same & ~edge
    zeros = (got == 0) & (want == 0)
    wrong |= zeros & (np.signbit(got) != np.signbit(want))
    assert not wrong.any(), [
        (*(float(x[i]) for x in inputs), got[i], want[i]) for i in np.flatnonzero(wrong)[:5]
    ]
    unit = np.spacing(np.abs(np.where(finite, rounded, 1))).astype(want.dtype)
    errors = np.where(finite, np.abs(got.astype(want.dtype) - np.where(finite, want, 0)) / unit, 0)
    worst = int(errors.argmax())
    assert errors[worst] <= most, (*(float(x[worst]) for x in inputs), got[worst], want[worst])


_erf = np.frompyfunc(math.erf, 1, 1)
UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "erf": lambda x: _erf(x.astype(np.float64)).astype(x.dtype),
    "sin": np.sin,
    "cos": np.cos,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
}


def test_the_header_states_an_error_for_each_function():
    assert stated().keys() == {(op, f) for op in (*UNARY, "pow") for f in FLOATS}


@pytest.mark.parametrize("f", FLOATS)
@pytest.mark.parametrize("op", UNARY)
def test_errors(library: Library, op: str, f: str):
    dtype, wide = FLOATS[f]
    if f == "f64" and np.finfo(wide).nmant < 63:
        pytest.skip("needs a float wider than f64")
    x = numbers(dtype)
    got = library.call(f"{op}_{f}", x, out=np.empty_like(x))
    slack = 0.5 if (op, f) == ("erf", "f64") else 0.0  # math.erf is rounded itself
    check_error(got, UNARY[op](x.astype(wide)), stated()[op, f] + slack, x)


@pytest.mark.parametrize("f", FLOATS)
def test_pow(library: Library, f: str):
    dtype, wide = FLOATS[f]
    if f == "f64" and np.finfo(wide).nmant < 63:
        pytest.skip("needs a float wider than f64")
    rng = np.random.default_rng(1)
    special = np.array(
        [*SPECIAL[:10], 2.0, -2.0, 3.0, -3.0, 1e30, -1e30, 16777217.0, 2.0**53, -(2.0**53)], dtype
    )
    a, b = (m.ravel() for m in np.meshgrid(special, special))
    count = 100_000
    bases = rng.choice([-1, 1], count, p=[0.3, 0.7]) * np.exp(rng.normal(0, 20, count))
    powers = rng.normal(size=count) * 10.0 ** rng.uniform(-3, 2, count)
    powers = np.where(rng.random(count) < 0.3, np.round(powers), powers)
    a, b = np.concatenate([a, bases.astype(dtype)]), np.concatenate([b, powers.astype(dtype)])
    got = library.call(f"pow_{f}", a, b, out=np.empty_like(a))
    check_error(got, np.power(a.astype(wide), b.astype(wide)), stated()["pow", f], a, b)


@pytest.mark.parametrize("f", FLOATS)
def test_single_operations(library: Library, f: str):
    x = numbers(FLOATS[f][0])
    y = np.roll(x, 7)
    for op, judge in {"abs": np.abs, "floor": np.floor, "ceil": np.ceil}.items():
        check_error(library.call(f"{op}_{f}", x, out=np.empty_like(x)), judge(x), 0.0, x)
    for op, judge in {"min": np.minimum, "max": np.maximum}.items():
        got = library.call(f"{op}_{f}", x, y, out=np.empty_like(x))
        assert np.array_equal(got, judge(x, y), equal_nan=True)


@pytest.mark.parametrize("f", FLOATS)
@pytest.mark.parametrize("to", ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"])
def test_casts_to_integers_saturate(library: Library, f: str, to: str):
    target = np.dtype(to[0] + str(int(to[1:]) // 8))
    info = np.iinfo(target)
    edges = [float(v) + d for v in (info.min, info.max, 0) for d in (-1.5, -1, -0.5, 0, 0.5, 1, 1.5)]
    x = np.concatenate([np.array(edges).astype(FLOATS[f][0]), numbers(FLOATS[f][0], count=5000)])
    got = library.call(f"{f}_to_{to}", x, out=np.empty(x.size, target))
    assert np.array_equal(got, float_to_integer(x, target))


def every_pattern(name: str) -> np.ndarray:
    dtype = np_dtype(name)
    count = 16 if name == "f4e2m1" else 256**dtype.itemsize
    return np.arange(count, dtype=f"u{dtype.itemsize}").view(dtype)


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_small_floats_to_f32(library: Library, name: str):
    """Every bit pattern there is."""
    x = every_pattern(name)
    got = library.call(f"{name}_to_f32", x, out=np.empty(x.size, np.float32))
    want = x.astype(np.float32)
    assert np.array_equal(got, want, equal_nan=True)
    assert np.array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_f32_to_small_floats(library: Library, name: str):
    """Numbers of all sizes, and every small float with its two neighbours and the midpoints between."""
    dtype = np_dtype(name)
    every = every_pattern(name).astype(np.float32)
    every = np.unique(every[np.isfinite(every)])
    middle = (every[1:].astype(np.float64) + every[:-1]) / 2
    ties = np.concatenate(
        [
            np.nextafter(m, d).astype(np.float32)
            for m in (middle.astype(np.float32), every)
            for d in (-np.inf, np.inf)
        ]
    )
    x = np.concatenate(
        [
            numbers(np.float32),
            every,
            middle.astype(np.float32),
            ties,
            np.float32([460, 464, 465, 480, 61439, 61440, 65520]),
        ]
    )
    got = library.call(f"f32_to_{name}", x, out=np.empty(x.size, dtype))
    want = cast_array(x, DTYPES[name])
    nan = np.isnan(want.astype(np.float32))
    assert np.array_equal(np.isnan(got.astype(np.float32)), nan)
    bits = f"u{dtype.itemsize}"
    assert np.array_equal(got.view(bits)[~nan], want.view(bits)[~nan])


@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_integers(library: Library, width: int):
    signed, unsigned = np.dtype(f"i{width // 8}"), np.dtype(f"u{width // 8}")
    info = np.iinfo(signed)
    edges = np.array([0, 1, -1, 2, -2, 3, -3, 7, info.min, info.max, info.min + 1], signed)
    a, b = (m.ravel() for m in np.meshgrid(edges, edges))
    rng = np.random.default_rng(2)
    drawn = rng.integers(info.min, info.max, (2, 2000), dtype=signed, endpoint=True)
    a, b = np.concatenate([a, drawn[0]]), np.concatenate([b, drawn[1] >> (width // 2)])
    ops = {
        "floordiv": (signed, divide),
        "mod": (signed, modulo),
        "udiv": (unsigned, divide),
        "umod": (unsigned, modulo),
        "ipow": (signed, power),
        "upow": (unsigned, power),
    }
    for op, (dtype, judge) in ops.items():
        got = library.call(f"{op}_i{width}", a, b, out=np.empty_like(a)).view(dtype)
        assert np.array_equal(got, judge(a.view(dtype), b.view(dtype))), op


def test_random_numbers(library: Library):
    keys, count = (0xDEADBEEF, 42), 20_000
    counters = np.zeros((count, 4), np.uint64)
    counters[:, 0] = np.arange(count)
    words = philox(keys, counters)
    assert np.array_equal(library.random("random_bits", keys, np.empty(count, np.uint32)), words[:, 0])
    high = (words >> np.uint32(8)).astype(np.float64)
    uniform = library.random("random_uniform", keys, np.empty(count, np.float32))
    assert np.array_equal(uniform, (high[:, 0] * 2.0**-24).astype(np.float32))
    normal = library.random("random_normal", keys, np.empty(count, np.float32))
    want = np.sqrt(-2 * np.log((high[:, 0] + 1) * 2.0**-24)) * np.cos(2 * np.pi * high[:, 1] * 2.0**-24)
    assert np.allclose(normal, want, rtol=4e-7, atol=1e-9)
    # The first answer that the authors' library, Random123, gives for a counter and a key of zeros.
    assert library.random("random_bits", (0, 0), np.empty(1, np.uint32))[0] == 0x6627E8D5


USES = """
#define IRK_ONLY_X%(lanes)d
#include "irk_math.h"
#include "irk_team.h"
void use(float *p, int32_t *q) {
  irk_f32x%(lanes)d a = *(irk_f32x%(lanes)du *)p, b = IRK_SPLAT(irk_f32x%(lanes)d, 2.0f);
  irk_i1x%(lanes)d m = a > b;
  IRK_UNROLL for (int i = 0; i < 4; i++) irk_exp_f32x%(lanes)d(&a, &a);
  irk_select_f32x%(lanes)d(&a, &m, &a, &b);
  *(irk_f32x%(lanes)du *)p = a;
  *(irk_i32x%(lanes)du *)q = m;
}
int main(void) { return 0; }
"""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("flags", [[], ["-march=native"], ["-O0"], ["-mavx2", "-mfma"]], ids=" ".join)
@pytest.mark.parametrize("lanes", [4, 16])
def test_no_warnings_at_any_width(tmp_path: Path, compiler: str, flags: list[str], lanes: int):
    """Vectors wider than the machine's registers stand in no signature, so there is nothing to warn of."""
    source = tmp_path / "use.c"
    source.write_text(USES % {"lanes": lanes})
    command = [compiler, "-std=gnu11", "-O2", *flags, "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", source]
    subprocess.run([*command, "-o", tmp_path / "use", "-lm"], check=True)
