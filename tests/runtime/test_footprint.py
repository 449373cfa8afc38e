"""Flash, RAM and stack of the C pair, from objects of several machines."""

import json
import shutil
from pathlib import Path

import pytest
from test_cli import EXAMPLES, irkit_cli

from irkit import IrkitError
from irkit.elf import Elf
from irkit.footprint import deepest
from irkit.runtime.compiler import find_compiler

MACHINES = ["gcc", "clang", "arm-linux-gnueabihf-gcc", "riscv64-linux-gnu-gcc"]


@pytest.mark.parametrize("cc", MACHINES)
@pytest.mark.parametrize("weights", ["const", "bin"])
def test_what_digits_takes(tmp_path: Path, cc: str, weights: str):
    if shutil.which(cc) is None:
        pytest.skip(f"{cc} is not here")
    file = tmp_path / "size.json"
    words = ["compile", EXAMPLES / "digits.tg", "-o", tmp_path / "out", "--target", "c99", "--cc", cc]
    code, out, err = irkit_cli(*words, "--weights", weights, "--size", "--size-file", file)
    assert code == 0, err
    found = json.loads(file.read_text())
    sizes = {row["file"]: row["sizes"] for row in found["objects"]}
    assert sizes["digits.c"]["text"] > 500 and sizes["digits.c"]["bss"] == 0
    data = found["const_bytes"] or found["file_bytes"]
    assert 132_000 < data < 134_000
    if weights == "const":
        assert data <= sizes["digits_weights.c"]["rodata"] < data + 1024
    assert found["arena_bytes"] >= found["peak_bytes"] > 0
    assert found["flash"] == sum(s["text"] + s["rodata"] + s["data"] for s in sizes.values())
    stack = found["stack"]
    if stack is None:
        assert cc == "clang" and "stack unknown" in out
        return
    assert [n for n in stack["chain"] if n != "irk_team_run"][:2] == ["digits_run", "digits_program"]
    assert stack["is_bounded"]
    assert 64 < stack["bytes"] < 4096
    assert found["ram"] >= found["arena_bytes"] + stack["bytes"]
    assert f"stack at most {stack['bytes']}" in out


def test_the_deepest_chain_is_found():
    calls = {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}
    assert deepest("a", calls, {"a": 1, "b": 10, "c": 20, "d": 5}) == (26, ("a", "c", "d"))


def test_functions_that_call_each_other_have_no_bound():
    with pytest.raises(IrkitError, match="the stack has no bound"):
        deepest("a", {"a": {"b"}, "b": {"a"}}, {"a": 1, "b": 1})


@pytest.mark.parametrize("length", [0, 20, 60, 300, 1000])
def test_damaged_objects_are_told(tmp_path: Path, length: int):
    compiler = find_compiler("gcc")
    (tmp_path / "f.c").write_text("int f(int x) { return x + 1; }\n")
    compiler.shared_library(tmp_path / "f.c", tmp_path / "f.so")
    data = (tmp_path / "f.so").read_bytes()
    assert Elf(data, "f.so").sizes().text > 0
    with pytest.raises(IrkitError, match=r"damaged ELF|no ELF object"):
        Elf(data[:length], "f.so")


def test_a_place_that_cannot_be_written_is_told_first(tmp_path: Path):
    words = [
        "compile",
        EXAMPLES / "digits.tg",
        "-o",
        tmp_path / "out",
        "--size-file",
        tmp_path / "no" / "s.json",
    ]
    code, out, err = irkit_cli(*words)
    assert code == 1 and "there is no folder" in err and not out
    assert not (tmp_path / "out").exists()
