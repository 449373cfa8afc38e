"""Names that C, its headers or the emitted text use: a dim, an axis or an argument may be called so."""

from __future__ import annotations

import re

import numpy as np
import pytest

import irkit
from dialects.errors import IrkitError
from lowering.c.names import c_field, c_local

DIMS = ["r", "l", "p", "c", "tid", "int", "args", "INT32_MAX", "irk_min_i64", "k_mul", "i"]
ARGUMENTS = ["_Bool", "double", "errno", "restrict", "int_", "r1", "UINT8_MAX", "NAN", "main", "q_constant_0"]


def test_dims_called_like_variables_of_the_emitted_text():
    dims = "\n".join(f"dim {name} = 5 in 1..9" for name in DIMS)
    inputs = ", ".join(f"x{n}: f32[{name}, 37]" for n, name in enumerate(DIMS))
    types = ", ".join(f"f32[{name}, {name}], f32[{name}, 37], f32[37, {name}]" for name in DIMS)
    results = ", ".join(
        f"x{n} @ transpose(x{n}), flip(x{n}, [0]) * 2, transpose(exp(x{n}))" for n in range(len(DIMS))
    )
    program = irkit.compile(f"{dims}\nfn f({inputs}) -> ({types}) {{\n  return {results}\n}}\n")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2 + n % 7, 37)).astype(np.float32) for n in range(len(DIMS))]
    found = program(*arrays)
    for n, x in enumerate(arrays):
        np.testing.assert_allclose(found[3 * n], x @ x.T, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(found[3 * n + 1], x[::-1] * 2)
        np.testing.assert_allclose(found[3 * n + 2], np.exp(x).T, rtol=1e-5)


@pytest.mark.parametrize("axis", ["r", "l", "int", "INT32_MAX", "irk_min_i64", "_", "_0", "_Bool"])
def test_axes(axis: str):
    text = (
        f"fn f(x: f32[7, 37], n: i32[4]) -> (f32[4, 37], f32[7]) {{\n  y[{axis}, b] = 2 * x[n[{axis}], b]\n"
    )
    text += f"  z[a] = sum({axis}) x[a, {axis}]\n  return y, z\n}}\n"
    x, n = np.arange(259, dtype=np.float32).reshape(7, 37), np.array([6, 0, 3, 3], np.int32)
    y, z = irkit.compile(text)(x, n)
    np.testing.assert_array_equal(y, 2 * x[n])
    np.testing.assert_array_equal(z, x.sum(axis=1))


@pytest.mark.parametrize("target", ["native", "c99"])
def test_arguments(target: str):
    inputs = ", ".join(f"{name}: f32[4]" for name in ARGUMENTS)
    total = " + ".join(f"{n + 1} * {name}" for n, name in enumerate(ARGUMENTS))
    text = f"fn f({inputs}) -> (struct: f32[4], void: f32[4]) {{\n"
    text += f"  return {total}, _Bool + constant([1, 2, 3, 4], f32)\n}}\n"
    program = irkit.compile(text, target=target)
    one, other = program(*(np.full(4, n, np.float32) for n in range(len(ARGUMENTS))))
    assert one[0] == sum(n * (n + 1) for n in range(len(ARGUMENTS)))
    np.testing.assert_array_equal(other, [1, 2, 3, 4])


def test_no_two_names_become_one():
    names = ["int", "int_", "int__", "r", "r_", "_Bool", "_Bool_", "x", "x_", "W_q", "N_MAX"]
    for changed in (c_field, c_local):
        assert len({changed(name) for name in names}) == len(names)
    assert [c_field(n) for n in ("x", "W_q", "r", "I", "N_MAX")] == ["x", "W_q", "r", "I", "N_MAX"]


def test_a_dim_begins_with_a_letter():
    with pytest.raises(IrkitError, match=re.escape("'_N' cannot be the name of a dim")):
        irkit.dim("_N", 3, 1, 4)
