"""The programs that are written for a machine with a GPU: their mains run on this one, and tell wrong results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cuda.machine import FOLDERS, HOST, ROOT, has_nvcc
from tools.gpu.cases import CASES
from tools.gpu.generate import OTHERS, program, write
from tools.gpu.kernels import Case

SMALL = {case.name: case for case in CASES if case.small}
FOLDER = [f"-I{ROOT / 'tools' / 'gpu'}"]


def run(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "k.cu").write_text(source)
    subprocess.run([*HOST, *FOLDERS, *FOLDER, "k.cu", "-o", "k"], cwd=folder, check=True)
    return subprocess.run(["./k"], cwd=folder, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_mains_agree_with_double_precision(case: Case, tmp_path: Path):
    done = run(program(case), tmp_path)
    assert done.returncode == 0 and case.name in done.stdout and "| ok " in done.stdout


def test_mains_tell_what_is_wrong(tmp_path: Path):
    source = program(SMALL["gemm_f32_67x45x83"])
    done = run(source.replace("ko < 45", "ko < 32"), tmp_path)
    assert done.returncode == 1 and "WRONG" in done.stdout


def test_a_folder_is_whole(tmp_path: Path):
    """With its headers and scripts, and no word of where it was made."""
    paths = write(tmp_path, only="*_5*x*")
    assert paths and {p for p in tmp_path.glob("*.cu")} == {*paths, tmp_path / "blas.cu"}
    assert {"check.h", "irk_cuda.h", "irk_math.h"} <= {p.name for p in (tmp_path / "include").iterdir()}
    assert set(OTHERS) <= {p.name for p in tmp_path.iterdir()}
    assert not any(str(ROOT) in p.read_text() for p in tmp_path.rglob("*.*"))


@pytest.mark.slow
def test_every_case_is_written(tmp_path: Path):
    assert len({case.name for case in CASES}) == len(CASES)
    missing = sum(bool(case.suffix) for case in CASES) if write(tmp_path) else 0
    assert len(list(tmp_path.glob("[0-9]*.cu"))) >= len(CASES) - missing


@pytest.mark.skipif(not has_nvcc(), reason="there is no nvcc")
def test_script_builds_all_and_says_what_is_missing(tmp_path: Path):
    write(tmp_path, only="softmax_5x1001")
    script = str(tmp_path / "check.sh")
    done = subprocess.run(["bash", script, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "small_softmax_5x1001.cu" in done.stdout and "registers" in done.stdout
    if "there is no GPU" in done.stdout:
        assert done.stdout.endswith("there is no GPU: built, not run\n")
    else:
        assert "| softmax_5x1001" in done.stdout


@pytest.mark.parametrize("script", [["peers.py", "."], ["models.py"]])
def test_peers_that_are_missing_are_named(tmp_path: Path, script: list[str]):
    """torch is hidden, or sees no GPU."""
    write(tmp_path, only="softmax_8192*")
    (tmp_path / "torch.py").write_text("raise ImportError('No module named torch')")
    done = subprocess.run(
        [sys.executable, *script], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0 and "missing: No module named torch" in done.stdout


def test_script_asks_for_nvcc(tmp_path: Path):
    script = str(ROOT / "tools" / "gpu" / "check.sh")
    done = subprocess.run(
        ["/bin/bash", script, str(tmp_path)], env={"PATH": ""}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1 and "there is no nvcc on the path" in done.stderr
