"""Weight files that are cut short or have bits turned: an error at the parameter, or an array of the declared type."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from dialects.errors import ErrorList
from irkit.lang import parse, to_graph
from irkit.params import materialise

W = np.arange(24, dtype=np.float32).reshape(4, 6)


def fill(path: Path) -> np.ndarray:
    text = f'param w: f32[4, 6] = load("{path.name}", "w")\nfn f() -> f32[4, 6] {{ return w }}'
    (func,) = to_graph(parse(text, str(path.with_name("m.tg")))).ops
    return materialise(func, path.parent)["w"]  # pyright: ignore[reportArgumentType]


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def sweep(path: Path, data: bytes, seed: int, rounds: int) -> int:
    """Loads changed copies; returns how many were refused."""
    rng = random.Random(seed)
    refused = 0
    for number in range(rounds):
        broken = bytearray(data)
        if number % 3 == 0:
            del broken[rng.randrange(len(broken)) :]
        else:
            reach = len(broken) if number % 2 else min(len(broken), 160)  # headers often
            for _ in range(rng.choice([1, 1, 2, 8])):
                broken[rng.randrange(reach)] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(broken))
        try:
            value = fill(path)
        except ErrorList as fault:
            assert all(e.loc is not None for e in fault.errors)
            refused += 1
        else:
            assert value.shape == (4, 6) and value.dtype == np.float32
    return refused


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_damaged_files(name: str, tmp_path: Path):
    data = save({"w": W, "b": W[0]}) if name.endswith("safetensors") else npz(w=W, b=W[0])
    assert sweep(tmp_path / name, data, 0, 240) > 80


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_many_damaged_files(name: str, seed: int, tmp_path: Path):
    data = save({"w": W, "b": W[0]}) if name.endswith("safetensors") else npz(w=W, b=W[0])
    sweep(tmp_path / name, data, seed, 2000)


def test_a_header_that_claims_too_much(tmp_path: Path):
    """Nothing is allocated for what a file only claims to hold."""
    head = b'{"w":{"dtype":"F32","shape":[4,6],"data_offsets":[0,99999999999999]}}'
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    with pytest.raises(ErrorList):
        fill(path)
    path.write_bytes((2**62).to_bytes(8, "little") + head)
    with pytest.raises(ErrorList):
        fill(path)
    huge = io.BytesIO()
    np.lib.format.write_array_header_2_0(
        huge, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**6)}
    )
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", huge.getvalue())
    with pytest.raises(ErrorList):
        fill(path)


def test_a_compressed_bomb(tmp_path: Path):
    """A member that unpacks to far more than the declared shape is not unpacked."""
    path = tmp_path / "w.npz"
    np.savez_compressed(path, w=np.zeros((3000, 30000), np.float32))
    with pytest.raises(ErrorList) as caught:
        fill(path)
    assert "another shape" in caught.value.errors[0].message


def test_objects_are_refused(tmp_path: Path):
    path = tmp_path / "w.npz"
    path.write_bytes(npz(w=np.array([print], dtype=object)))
    with pytest.raises(ErrorList):
        fill(path)
