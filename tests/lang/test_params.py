"""Values of parameters: initialisers, safetensors and npz files, and the error of each fault."""

from __future__ import annotations

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file
from xdsl.dialects.func import FuncOp

from dialects.errors import ErrorList, IrkitError
from irkit.lang import parse, to_graph
from irkit.params import materialise


def function(text: str, **dims: int) -> FuncOp:
    (func,) = to_graph(parse(text, "m.tg"), dims=dims).ops
    assert isinstance(func, FuncOp)
    return func


def one(init: str, type_: str = "f32[4, 6]", base: Path = Path(".")) -> np.ndarray:
    return materialise(function(f"param w: {type_} = {init}\nfn f() -> {type_} {{ return w }}"), base)["w"]


def fault(init: str, type_: str, base: Path) -> IrkitError:
    with pytest.raises(ErrorList) as caught:
        one(init, type_, base)
    (error,) = caught.value.errors
    assert error.loc is not None and (error.loc.file, error.loc.line, error.loc.col) == ("m.tg", 1, 7)
    return error


@pytest.mark.parametrize(
    ("init", "want"),
    [("zeros()", 0), ("ones()", 1), ("0.5", 0.5), ("full(-2)", -2), ("full(value=1 / 4)", 0.25)],
)
def test_constant_initialisers(init: str, want: float) -> None:
    value = one(init)
    assert value.shape == (4, 6) and value.dtype == np.float32
    assert (value == want).all()


@pytest.mark.parametrize("type_", ["i8[3]", "u64[2, 2]", "bool[4]", "c64[2]", "f64[0, 3]", "bf16[2]", "f32"])
def test_zeros_of_every_kind(type_: str) -> None:
    assert not one("zeros()", type_).any()


def test_random_initialisers_are_fixed_by_seed_and_name() -> None:
    text = "param a: f32[500] = normal(seed={}, std=2)\nparam b: f32[500] = normal(seed={}, std=2)\n"
    text += "fn f() -> (f32[500], f32[500]) {{ return a, b }}"
    first, again, other = (materialise(function(text.format(s, s))) for s in (1, 1, 2))
    assert (first["a"] == again["a"]).all()
    assert (first["a"] != first["b"]).any() and (first["a"] != other["a"]).any()
    assert abs(first["a"].std() - 2) < 0.3


def test_spread_of_glorot_he_and_uniform() -> None:
    assert np.abs(one("glorot(seed=1)", "f64[100, 200]")).max() == pytest.approx(np.sqrt(6 / 300), rel=1e-2)
    assert one("he(seed=1)", "f64[64, 16, 3, 3]").std() == pytest.approx(np.sqrt(2 / 144), rel=3e-2)
    value = one("uniform(seed=1, low=-3, high=-1)", "f64[1000]")
    assert -3 <= value.min() < -2.9 and -1.1 < value.max() < -1


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.standard_normal((4, 6)).astype(np.float32),
        "n": np.arange(3, dtype=np.int64),
        "s": np.float32(2),
    }
    save_file({k: np.asarray(v) for k, v in arrays.items()}, tmp_path / "a.safetensors")
    np.savez(
        tmp_path / "a.npz", **arrays, big=arrays["w"].astype(">f4"), fortran=np.asfortranarray(arrays["w"])
    )
    return tmp_path


@pytest.mark.parametrize("name", ["a.safetensors", "a.npz"])
def test_files_are_read(files: Path, name: str) -> None:
    want = np.load(files / "a.npz")
    for tensor, type_ in (("w", "f32[4, 6]"), ("n", "i64[3]"), ("s", "f32")):
        value = one(f'load("{name}", "{tensor}")', type_, files)
        assert value.dtype == want[tensor].dtype
        np.testing.assert_array_equal(value, want[tensor])


def test_byte_order_and_layout_are_normalised(files: Path) -> None:
    want = np.load(files / "a.npz")["w"]
    for tensor in ("big", "fortran"):
        value = one(f'load("a.npz", "{tensor}")', "f32[4, 6]", files)
        assert value.flags.c_contiguous and value.dtype.isnative
        np.testing.assert_array_equal(value, want)


def test_small_floats_are_read(tmp_path: Path) -> None:
    bits = np.array([0x3F80, 0xC000], np.uint16)
    header = json.dumps(
        {"h": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}, "__metadata__": {"a": "b"}}
    ).encode()
    (tmp_path / "h.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bits.tobytes())
    value = one('load("h.safetensors", "h")', "bf16[2]", tmp_path)
    assert value.dtype == ml_dtypes.bfloat16 and value.astype(np.float32).tolist() == [1, -2]


@pytest.mark.parametrize(
    ("init", "type_", "message", "hint"),
    [
        ('load("b.npz", "w")', "f32[4, 6]", "there is no file", "did you mean 'a.npz'?"),
        ('load("a.npz", "ww")', "f32[4, 6]", "there is no tensor 'ww'", "did you mean 'w'?"),
        ('load("a.safetensors", "N")', "i64[3]", "there is no tensor 'N'", "did you mean 'n'?"),
        ('load("a.npz", "w")', "f32[6, 4]", "another shape", "dim 0 differs"),
        ('load("a.safetensors", "w")', "f32[24]", "another shape", "the ranks differ"),
        ('load("a.safetensors", "w")', "f16[4, 6]", "another dtype", "declare 'w' as f32"),
        ('load("a.txt", "w")', "f32[4, 6]", "cannot load 'a.txt'", None),
        ("normal()", "i32[4]", "'w' cannot be random", "use zeros"),
    ],
)
def test_faults_of_loading(files: Path, init: str, type_: str, message: str, hint: str | None) -> None:
    (files / "a.txt").write_text("hello")
    error = fault(init, type_, files)
    assert message in error.message
    assert hint is None or hint in (error.hint or "")


@pytest.mark.parametrize("name", ["a.safetensors", "a.npz"])
@pytest.mark.parametrize("keep", [0, 4, 40, 0.5, -1])
def test_truncated_files(files: Path, name: str, keep: float) -> None:
    data = (files / name).read_bytes()
    (files / name).write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else int(keep)])
    error = fault(
        f'load("{name}", "w")' if keep != -1 else f'load("{name}", "s")',
        "f32[4, 6]" if keep != -1 else "f32",
        files,
    )
    assert "cannot load" in error.message or "cannot read" in error.message
    assert error.found


@pytest.mark.parametrize(
    "header",
    [b"not json", b"[]", b'{"w": 1}', b'{"w": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}']
    + [
        b'{"w": {"dtype": "F32", "shape": [4, 6], "data_offsets": [%d, %d]}}' % p
        for p in ((0, 4), (-96, 0), (8, 104))
    ]
    + [
        b'{"w": {"dtype": "F32", "shape": %s, "data_offsets": [0, 96]}}' % shape
        for shape in (
            *(
                b"[-4, -6]",
                b'["4", "6"]',
                b'"46"',
                b"[4.0, 6]",
                b"[Infinity, 6]",
                b"[NaN]",
                b'{"4": 1, "6": 1}',
            ),
            *(b"null", b"[4%s, 6]" % (b"0" * 4000), b"[4%s, 6]" % (b"0" * 5000), b"[24%s]" % (b", 1" * 100)),
        )
    ]
    + [
        b'{"w": {"dtype": "F32", "shape": [4, 6], "data_offsets": %s}}' % offsets
        for offsets in (b"[0, Infinity]", b"[NaN, 96]", b'[0, "96"]', b"[0, 96, 96]", b"[0]", b"96", b"null")
    ]
    + [
        b'{"w": {"dtype": ["F32"], "shape": [4, 6], "data_offsets": [0, 96]}}',
        b'{"w": {"dtype": "F32", "shape": [0, 1180591620717411303424], "data_offsets": [0, 0]}}',
        *(
            b"[" * 5000,
            b'{"a":' * 5000,
            b"\xff\xfe",
            b"",
            b"{}x",
            b'{"w": {}}',
            b'{"w": null}',
            b"null",
            b"5",
        ),
    ],
)
def test_damaged_headers(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(96))
    assert "cannot load" in fault('load("a.safetensors", "w")', "f32[4, 6]", tmp_path).message


W = b'"w": {"dtype": "F32", "shape": [4, 6], "data_offsets": [0, 96]}'


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"{%s, %s}" % (W, W), "stands twice"),
        (W.replace(b'"w": {', b'{"w": {"dtype": "F16", ') + b"}", "stands twice"),
        (
            b'{%s, "v": {"dtype": "U8", "shape": [4], "data_offsets": [92, 96]}}' % W,
            "'w' and 'v' share bytes",
        ),
        (
            b'{%s, "v": {"dtype": "U8", "shape": [99], "data_offsets": [0, 99]}}' % W,
            "'v' ends at byte 99 of 96",
        ),
        (
            b'{%s, "v": {"dtype": "U8", "shape": [2], "data_offsets": [98, 96]}}' % W,
            "'v' ends before it begins",
        ),
        (b'{%s, "v": {"dtype": "U8", "shape": [2], "data_offsets": [-2, 0]}}' % W, "cannot be read"),
    ],
)
def test_faults_of_other_tensors(tmp_path: Path, header: bytes, text: str) -> None:
    """A file is refused as a whole: what one entry says may be a lie about another."""
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(96))
    error = fault('load("a.safetensors", "w")', "f32[4, 6]", tmp_path)
    assert text in (error.found or "")


def test_tensors_without_elements_take_no_bytes(tmp_path: Path) -> None:
    header = (
        b'{%s, "e": {"dtype": "F32", "shape": [0, 3], "data_offsets": [96, 96]}, "f": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}'
        % W
    )
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(96))
    assert one('load("a.safetensors", "e")', "f32[0, 3]", tmp_path).shape == (0, 3)
    assert one('load("a.safetensors", "w")', "f32[4, 6]", tmp_path).shape == (4, 6)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.array([{"a": 1}], dtype=object))
    assert "cannot load" in fault('load("a.npz", "w")', "f32[1]", tmp_path).message


def test_every_faulty_parameter_is_reported(files: Path) -> None:
    text = 'param a: f32[2] = load("a.npz", "x")\nparam b: f32[2] = load("c.npz", "b")\n'
    text += "fn f() -> f32[2] { return a + b }"
    with pytest.raises(ErrorList) as caught:
        materialise(function(text), files)
    assert [e.loc.line for e in caught.value.errors if e.loc] == [1, 2]


def test_inputs_have_defaults_and_dims_get_values() -> None:
    func = function(
        "dim B = 3 in 1..8\nfn f(x: f32[B, 2] = normal(seed=1), y: f32[B]) -> f32[B, 2] { return x }"
    )
    assert materialise(func) == {}
    assert materialise(func, kind="input", dims={"B": 5})["x"].shape == (5, 2)
    with pytest.raises(IrkitError, match="needs dims of known size"):
        materialise(func, kind="input")


def test_file_names_with_spaces(files: Path) -> None:
    (files / "a.npz").rename(files / "my 'own' weights.npz")
    assert one('load("my \'own\' weights.npz", "w")', "f32[4, 6]", files).shape == (4, 6)


def test_round_trip_through_text(files: Path) -> None:
    """A .mlir file says as much about its parameters as the .tg file that it came from."""
    from xdsl.context import Context
    from xdsl.dialects.builtin import Builtin
    from xdsl.dialects.func import Func
    from xdsl.parser import Parser

    from dialects.graph import Graph

    func = function('param w: f32[4, 6] = load("a.npz", "w")\nfn f() -> f32[4, 6] { return w }')
    context = Context()
    for dialect in (Builtin, Func, Graph):
        context.load_dialect(dialect)
    (again,) = Parser(context, str(func)).parse_module().ops
    assert isinstance(again, FuncOp)
    np.testing.assert_array_equal(materialise(again, files)["w"], materialise(func, files)["w"])
