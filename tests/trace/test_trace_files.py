"""Traced functions as `.tg` files with their data, as IR, as saved programs; parameters; places in Python."""

from __future__ import annotations

import os

import ml_dtypes
import numpy as np
import pytest

import irkit
from dialects.types import DTYPES as DTYPES_OF, np_dtype
from irkit.cli import main
from irkit.lang import parse, to_graph
from tests.lang.graph_signature import signatures

X = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)
W = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)


@irkit.trace
def layer(x):
    small = irkit.param("small", (W / 3).astype(ml_dtypes.bfloat16)).astype("f32")
    h = np.tanh(x @ W + irkit.param("bias", irkit.init.normal([8], seed=3, std=0.5)))
    h = h @ W.T
    return h @ small


def test_large_arrays_are_parameters_named_like_the_variable():
    graph = layer.graph(X)
    assert list(graph.arrays) == ["small", "W", "array"]
    assert '= load("layer.safetensors", "W")' in graph.tg()
    assert "= normal(seed=3, std=0.5)" in str(graph)
    assert len(graph.mlir()) < 3000


def test_names_that_the_language_does_not_take_are_replaced(tmp_path):
    größe = np.full((4, 8), 3, np.float32)

    @irkit.trace
    def f(x, β):
        return {"é": x + größe, "pi": x * 2, "for": x * 3, "relu": x * β}

    graph = f.graph(X, X)
    graph.save_tg(tmp_path / "f.tg")
    assert "-> (out0: f32[4, 8], out1: f32[4, 8], out2: f32[4, 8], relu: f32[4, 8])" in graph.tg()
    wanted = [X + 3, X * 2, X * 3, X * X]
    for found in (list(f(X, X).values()), irkit.compile(tmp_path / "f.tg")(X, X)):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_saved_file_gives_the_same_numbers(tmp_path, capsys):
    graph = layer.graph(X)
    graph.save_tg(tmp_path / "m.tg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors", "m.tg"]
    wanted = layer(X)
    program = irkit.compile(tmp_path / "m.tg")
    np.testing.assert_array_equal(program(X), wanted)
    np.testing.assert_allclose(wanted, graph.interpret(X)[0], rtol=1e-4, atol=1e-5)
    read = to_graph(parse((tmp_path / "m.tg").read_text(), "m.tg"))
    a, b = signatures(graph.func, next(iter(read.ops)))  # pyright: ignore
    assert a[1:] == b[1:]
    np.savez(tmp_path / "x.npz", x=X)
    assert main(["run", str(tmp_path / "m.tg"), "--input", f"x={tmp_path / 'x.npz'}:x"]) == 0
    assert "out f32[4, 8] min" in capsys.readouterr().out


def test_programs_are_saved_with_their_data_and_take_other(tmp_path):
    program = layer.compile(X)
    program.save(tmp_path / "m.irk")
    np.testing.assert_array_equal(irkit.load(tmp_path / "m.irk")(X), layer(X))
    program.set_params({"W": np.zeros_like(W)})
    assert not np.array_equal(program(X), layer(X))


def test_data_is_copied_when_traced():
    w = np.ones((8, 8), np.float32)
    f = irkit.trace(lambda x: x @ w)
    before = f(X)
    w[:] = 0
    np.testing.assert_array_equal(f(X), before)


PLACES = np.arange(3)
DTYPES = [
    "i4",
    "u2",
    "f8e4m3fnuz",
    "f8e8m0",
    "f4e2m1",
    "c128",
    "c64",
    "bool",
    "bf16",
    "f8e4m3",
    "f8e5m2",
    "i8",
    "u16",
    "f64",
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_data_of_every_dtype_is_saved(tmp_path, dtype: str):
    """Beside an array of bf16, which a .npz file cannot hold."""
    numbers = np.arange(40) % 8
    w = (numbers * (1 + 2j) / 3 if dtype[0] == "c" else numbers).astype(np_dtype(DTYPES_OF[dtype]))
    half = (np.arange(40) / 3).astype(ml_dtypes.bfloat16)
    arrays = [("w", w), ("half", half)]
    graph = irkit.trace(lambda i: [irkit.ops.gather(irkit.param(n, a), i) for n, a in arrays]).graph(PLACES)
    graph.save_tg(tmp_path / "m.tg")
    names = {"m.tg", "m.safetensors"} | ({"m.npz"} if dtype == "c128" else set())
    assert {p.name for p in tmp_path.iterdir()} == names
    assert ('load("m.npz", "w")' in (tmp_path / "m.tg").read_text()) == (dtype == "c128")
    assert (f'load("{graph.name}.npz", "w")' in graph.tg()) == (dtype == "c128")
    wanted, _ = graph.interpret(PLACES)
    for program in (irkit.compile(tmp_path / "m.tg"), graph.compile()):
        found, kept = program(PLACES)
        assert found.dtype == w.dtype
        assert found.tobytes() == wanted.tobytes()  # bit for bit: f8e8m0 has NaN for 0
        np.testing.assert_array_equal(kept, half[:3])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    graph.save_tg(tmp_path / "m.tg")
    assert before == {p.name: p.read_bytes() for p in tmp_path.iterdir()}


def test_the_name_of_a_file_is_held_to_its_suffix(tmp_path):
    with pytest.raises(irkit.IrkitError, match=r"is no \.tg file"):
        layer.graph(X).save_tg(tmp_path / "m")


def test_ops_have_the_place_of_the_expression_that_made_them():
    def f(x):
        y = np.exp(x) + 1
        return y * x

    text = irkit.trace(f).graph(X).mlir(locations=True)
    first = f.__code__.co_firstlineno
    file = __file__.removeprefix(f"{os.getcwd()}/")
    assert f'graph.exp %x : (tensor<4x8xf32>) -> tensor<4x8xf32> loc("{file}":{first + 1}:13)' in text
    assert f'loc("{file}":{first + 2}:16)' in text
    assert "%y = graph.add" in text
