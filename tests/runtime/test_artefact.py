"""Programs as files: saved, loaded without a compiler, refused where they are damaged or do not fit; other parameters."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import irkit
from dialects.errors import IrkitError
from irkit.cli import main
from irkit.runtime import artefact

TEXT = """dim B = 3 in 1..8
param w: f32[4, 5] = glorot(seed=1)
param b: bf16[5] = zeros()
fn main(x: f32[B, 4]) -> (y: f32[B, 5], b16: bf16[5]) {
  return relu(x @ w), b + 1
}
"""
X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artefact") / "model.irk"
    irkit.compile(TEXT).save(path)
    return path


def test_it_runs_without_a_compiler(saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    wanted = irkit.compile(TEXT)(X)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("IRKIT_CACHE_DIR", str(tmp_path))
    program = irkit.load(saved, threads=2)
    for found, want in zip(program(X), wanted, strict=True):
        np.testing.assert_array_equal(found, want)
    assert [a.name for a in program.inputs] == ["x"] and "irk_team" in program.source


def test_equal_programs_make_equal_files(saved: Path, tmp_path: Path):
    again = tmp_path / "again.irk"
    irkit.compile(TEXT).save(again)
    assert again.read_bytes() == saved.read_bytes()


def test_other_parameters(saved: Path):
    program = irkit.load(saved)
    w = np.ones((4, 5), np.float32)
    program.set_params({"w": w})
    np.testing.assert_allclose(program(X)[0], np.maximum(X @ w, 0), rtol=1e-6)
    before = dict(program.values)
    for values, message in (
        ({"w": 2 * w, "b": np.zeros(5, np.float32)}, "'b'"),
        ({"w": 2 * w, "c": w}, "has no argument 'c'"),
        ({"w": np.ones((4, 6), np.float32)}, "dim 1 differs"),
        ({"x": X}, "is no parameter"),
    ):
        with pytest.raises(IrkitError, match=message):
            program.set_params(values)
        assert all(program.values[n] is v for n, v in before.items()), "all or nothing"


def changed(saved: Path, path: Path, **facts: object) -> Path:
    """The file with other facts."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == artefact.FACTS:
                data = json.dumps({**json.loads(data), **facts}).encode()
            new.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"version": 99}, "is of another version"),
        ({"abi": 99}, "is of another version"),
        ({"machine": "pdp11"}, "is for another machine"),
        ({"features": ["avx9000"]}, "needs what this processor lacks"),
        ({"sha256": 3}, "is damaged"),
        ({"sizes": {}}, "is damaged"),
        ({"spec": "{}"}, "is damaged"),
    ],
)
def test_what_does_not_fit_is_refused(saved: Path, tmp_path: Path, facts: dict, message: str):
    with pytest.raises(IrkitError, match=message):
        irkit.load(changed(saved, tmp_path / "other.irk", **facts))


def test_damaged_files_end_in_errors(saved: Path, tmp_path: Path):
    """Cut short, and with bits turned: an error, or the program as it was."""
    data, path, rng = saved.read_bytes(), tmp_path / "broken.irk", random.Random(0)
    wanted = irkit.load(saved)(X)[0]
    for round_ in range(150):
        broken = bytearray(data)
        if round_ % 3 == 0:
            del broken[rng.randrange(len(broken)) :]
        for _ in range(rng.choice([1, 1, 8]) if broken and round_ % 3 else 0):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(broken))
        try:
            found = irkit.load(path)(X)[0]
        except IrkitError as error:
            assert "broken.irk" in error.message
        else:
            np.testing.assert_array_equal(found, wanted)
    for other in (b"", b"no zip", b"PK\x03\x04"):
        path.write_bytes(other)
        with pytest.raises(IrkitError, match="is damaged"):
            irkit.load(path)
    with pytest.raises(IrkitError, match="there is no file"):
        irkit.load(tmp_path / "nothing.irk")


def test_the_command_line(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = tmp_path / "m.tg"
    model.write_text(TEXT)
    target = tmp_path / "m.irk"
    assert main(["compile", str(model), "-o", str(target)]) == 0
    save_file({"w": np.zeros((4, 5), np.float32)}, tmp_path / "w.safetensors")
    np.save(tmp_path / "x.npy", X)
    assert main(["run", str(target), "--input", f"x={tmp_path / 'x.npy'}"]) == 0
    assert "y f32[3, 5]" in capsys.readouterr().out
    code = main(
        [
            "run",
            str(target),
            "--input",
            f"x={tmp_path / 'x.npy'}",
            "--params",
            str(tmp_path / "w.safetensors"),
        ]
    )
    assert code == 1 and "b" in capsys.readouterr().err, "all parameters, or none"
    for option in (["--dim", "B=2"], ["--fn", "main"], ["--target", "c99"], ["--profile"]):
        assert main(["run", str(target), *option]) == 1
        assert f"{option[0]} has no effect on a program that is compiled" in capsys.readouterr().err
    assert main(["compile", str(model), "-o", str(tmp_path / "no" / "m.irk")]) == 1
    assert "cannot write" in capsys.readouterr().err
    shutil.copy(saved, tmp_path / "copy.irk")


def test_an_arena_that_is_too_large_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = tmp_path / "m.tg"
    model.write_text("fn main(x: f32[64, 64]) -> f32[64, 64] { return softmax(x @ x) @ x }\n")
    out = tmp_path / "out"
    assert main(["compile", str(model), "-o", str(out), "--arena-limit", "1k"]) == 1
    err = capsys.readouterr().err
    assert "needs an arena of" in err and "at most 1024" in err and not out.exists()
    assert main(["compile", str(model), "-o", str(out), "--arena-limit", "100M"]) == 0
    assert main(["compile", str(model), "-o", str(out), "--arena-limit", "much"]) == 1
    assert "bad number of bytes" in capsys.readouterr().err
