"""The programs that are written for a machine with a GPU: their mains run on this one, and tell wrong results."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cuda.machine import FOLDERS, HOST, ROOT
from tools.gpu.cases import CASES, Case
from tools.gpu.generate import program, write

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
    """With its headers and the script, and no word of where it was made."""
    paths = write(tmp_path)
    assert len(paths) == len(CASES) == len(list(tmp_path.glob("*.cu")))
    assert {"check.h", "irk_cuda.h", "irk_math.h"} <= {p.name for p in (tmp_path / "include").iterdir()}
    assert not any(str(ROOT) in p.read_text() for p in tmp_path.rglob("*.*"))


def test_script_asks_for_nvcc(tmp_path: Path):
    script = str(ROOT / "tools" / "gpu" / "check.sh")
    done = subprocess.run(
        ["/bin/bash", script, str(tmp_path)], env={"PATH": ""}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1 and "there is no nvcc on the path" in done.stderr
