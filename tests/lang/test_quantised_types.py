"""Quantised types in the language: written, laid out, loaded, run, and told by the interface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import irkit
from dialects.errors import ErrorList, IrkitError
from dialects.graph import quant
from dialects.types import DTYPES
from irkit.lang.emit import to_graph
from irkit.lang.format import format_text
from irkit.lang.parser import parse
from irkit.lang.tree import dump

MODEL = """dim B = 4 in 1..8

param w: quant(i8, scale=[0.5, 0.25], zero=[0, 2], axis=0)[2, 3] = load("w.safetensors", "w")

fn main(x: f32[B, 3], q: quant(u8, scale=1 / 10, zero=128)[B, 2]) -> (y: f32[B, 2], out: quant(u8, scale=1 / 10, zero=128)[B, 2]) {
  y = x @ transpose(cast(w, f32)) + cast(q, f32)
  return y, cast(y, quant(u8, scale=0.1, zero=128))
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"w": np.array([[1, -2, 3], [2, 3, 4]], np.int8)}, tmp_path / "w.safetensors")
    (tmp_path / "m.tg").write_text(MODEL)
    return tmp_path


def test_a_model_with_quantised_weights_input_and_result(folder: Path):
    model = irkit.compile(folder / "m.tg")
    x = np.array([[1, 2, 3], [0, 0, 2]], np.float32)
    y, out = model(x, np.array([[128, 138], [118, 255]], np.uint8))
    w = np.array([[0.5, -1, 1.5], [0, 0.25, 0.5]], np.float32)
    np.testing.assert_allclose(y, x @ w.T + np.array([[0, 1], [-1, 12.7]], np.float32), rtol=1e-6)
    np.testing.assert_array_equal(out, np.clip(np.rint(y / np.float32(0.1)) + 128, 0, 255).astype(np.uint8))
    assert out.dtype == np.uint8
    with pytest.raises(IrkitError, match=r"quant\(u8, scale=0.1, zero=128\)\[B, 2\]"):
        model(x, np.zeros((2, 2), np.float32))


def test_the_header_tells_the_type(folder: Path):
    text = irkit.compile(folder / "m.tg").spec.header
    assert "const uint8_t *q;  // input, quant(u8, scale=0.1, zero=128)[B, 2]" in text
    assert "const int8_t *w;  // param, quant(i8, scale=[0.5, 0.25], zero=[0, 2], axis=0)[2, 3]" in text
    assert "uint8_t *out;  // output, quant(u8, scale=0.1, zero=128)[B, 2]" in text


def test_stored_numbers_of_another_dtype_are_told(folder: Path):
    save_file({"w": np.zeros((2, 3), np.float32)}, folder / "w.safetensors")
    with pytest.raises(ErrorList, match=r"'w' in '.*' has another dtype") as fault:
        irkit.compile(folder / "m.tg")
    assert "expected: i8[2, 3]" in str(fault.value)


def test_the_layout_of_a_type():
    text = "fn f( x:quant( i8,scale = [0.1,0.2] ,axis=0 ) [2,B] )->quant(i8 , scale=0.5 ) {\n return x\n}\n"
    first = "fn f(x: quant(i8, scale=[0.1, 0.2], axis=0)[2, B]) -> quant(i8, scale=0.5) {"
    assert format_text(text).splitlines()[0] == first
    assert format_text(MODEL) == MODEL


def test_a_type_over_several_lines_and_its_tree():
    module = parse(
        "fn f(x: quant(i8,\n  scale=[0.1,\n 0.2],\n axis=0)[2, 3],) -> f32[2, 3] {\n  return cast(x, f32)\n}\n"
    )
    assert "Input name=x type=quant(i8, scale=[0.1, 0.2], axis=0)[2, 3]" in dump(module)
    element = quant(DTYPES["i8"], DTYPES["f32"], [0.1, 0.2], [], 0)
    (func,) = to_graph(module).ops
    assert func.body.block.args[0].type.element_type == element  # pyright: ignore


def test_a_function_is_called_and_a_loop_collects(tmp_path: Path):
    (tmp_path / "m.tg").write_text("""
fn halved(x: quant(i8, scale=0.5, zero=1)[N]) -> quant(i8, scale=0.5, zero=1)[N] {
  return cast(cast(x, f32) / 2, quant(i8, scale=0.5, zero=1))
}

fn main(x: quant(i8, scale=0.5, zero=1)[3]) -> (quant(i8, scale=0.5, zero=1)[3], quant(i8, scale=0.5, zero=1)[4, 3]) {
  for t in 0..4 with x collect y {
    x = halved(x)
    y = relu(x)
  }
  return x, y
}
""")
    last, rows = irkit.compile(tmp_path / "m.tg")(np.array([65, -63, 9], np.int8))
    assert last.tolist() == [5, -3, 1]
    assert rows.tolist() == [[33, 1, 5], [17, 1, 3], [9, 1, 2], [5, 1, 1]]


def test_stored_numbers_are_multiplied(tmp_path: Path):
    """Integers in a matmul: what is stored is read as i32, and the sum as a quantised i32."""
    (tmp_path / "m.tg").write_text("""
fn main(a: quant(i8, scale=0.5)[2, 3], b: quant(i8, scale=0.25)[3, 2]) -> f32[2, 2] {
  c = cast(reinterpret(a, i8), i32) @ cast(reinterpret(b, i8), i32)
  return cast(reinterpret(c, quant(i32, scale=0.5 * 0.25)), f32)
}
""")
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-128, 128, s).astype(np.int8) for s in ((2, 3), (3, 2)))
    found = irkit.compile(tmp_path / "m.tg")(a, b)
    np.testing.assert_array_equal(found, (a.astype(np.float32) * 0.5) @ (b.astype(np.float32) * 0.25))


def test_types_that_differ_are_told():
    text = "fn f(x: quant(i8, scale=0.5)[3]) -> quant(i8, scale=0.25)[3] {\n  return x\n}\n"
    with pytest.raises(ErrorList) as fault:
        to_graph(parse(text, "f.tg"))
    assert "found: quant(i8, scale=0.5)[3]" in str(fault.value)
    assert "expected: quant(i8, scale=0.25)[3]" in str(fault.value)


def test_constants_and_broadcasts(tmp_path: Path):
    (tmp_path / "m.tg").write_text("""
fn main(x: quant(i8, scale=0.5)[2, 3]) -> (quant(i8, scale=0.5)[2], quant(i8, scale=0.5)[2, 3], f32[2]) {
  c = cast(constant([1.2, 500], f32), quant(i8, scale=0.5))
  y = maximum(broadcast(reshape(c, [2, 1]), [2, 3]), x)
  return c, y, cast(c, f32)
}
""")
    c, y, back = irkit.compile(tmp_path / "m.tg")(np.array([[1, 2, 3], [4, 5, 6]], np.int8))
    assert c.tolist() == [2, 127]
    assert y.tolist() == [[2, 2, 3], [127, 127, 127]]
    assert back.tolist() == [1, 63.5]


@pytest.mark.parametrize("suffix", ("safetensors", "npz"))
def test_numbers_of_four_bits_are_bytes_in_a_file(tmp_path: Path, suffix: str):
    (tmp_path / "m.tg").write_text(
        f'param w: quant(i4, scale=0.5)[3] = load("w.{suffix}", "w")\n'
        "fn main(x: f32[3]) -> f32[3] {\n  return x + cast(w, f32)\n}\n"
    )
    write = save_file if suffix == "safetensors" else lambda arrays, path: np.savez(path, **arrays)
    write({"w": np.array([-8, 0, 7], np.int8)}, tmp_path / f"w.{suffix}")
    found = irkit.compile(tmp_path / "m.tg")(np.ones(3, np.float32))
    assert found.tolist() == [-3, 1, 4.5]
    write({"w": np.array([-8, 0, 8], np.int8)}, tmp_path / f"w.{suffix}")
    with pytest.raises(ErrorList) as fault:
        irkit.compile(tmp_path / "m.tg")
    assert "does not fit into i4" in str(fault.value) and "expected: -8 to 7" in str(fault.value)


def test_an_op_takes_an_operand_of_a_quantised_type():
    text = """op f(z: quant(i8, scale=0.5)[4]) {
  return cast(z, f32)
}
fn main(x: f32[4]) -> f32[4] {
  return f(cast(x, quant(i8, scale=0.5)))
}
"""
    x = np.array([0.6, -1.3, 100.0, 0.0], np.float32)
    np.testing.assert_array_equal(irkit.compile(text)(x), [0.5, -1.5, 63.5, 0.0])
    with pytest.raises(irkit.ErrorList, match="an operand has no default, and a setting no type"):
        irkit.parse(text.replace("[4]) {", "[4] = 3) {", 1))
