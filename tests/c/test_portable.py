"""Target c99: no extension, no library and no header of one; the same numbers on machines of other kinds."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest

from irkit.cli import main
from tests.c.driver import Unit, run_all, unit_of, works
from tests.levels.programs import programs
from tests.ops.harness import program_of
from tools.ops_docs.__main__ import all_examples
from tools.ops_docs.examples import all_in_one

LANGUAGE = ("-std=c99", "-pedantic", "-ffreestanding", "-Wno-unused-parameter")
MACHINES = {
    "arm": ("arm-linux-gnueabihf-gcc", ("qemu-arm", "-L", "/usr/arm-linux-gnueabihf")),
    "riscv64": ("riscv64-linux-gnu-gcc", ("qemu-riscv64", "-L", "/usr/riscv64-linux-gnu")),
}
FREE = {"memcpy", "memmove", "memset", "memcmp"}
"""What a freestanding compiler may call on its own."""


@pytest.fixture(scope="module")
def units() -> list[Unit]:
    return [unit_of(name, "c99") for name in programs()]


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_here(tmp_path: Path, units: list[Unit], cc: str):
    run_all(tmp_path, units, cc, ["-O2", "-fno-builtin"], 1, language=LANGUAGE)
    for unit in units:
        words = ["nm", "--undefined-only", "-P", f"{unit.spec.name}.o"]
        listed = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        needed = {line.split()[0] for line in listed.splitlines()} - FREE - {"_GLOBAL_OFFSET_TABLE_"}
        assert not needed, f"{unit.spec.name} needs {needed}"


@pytest.mark.parametrize("machine", MACHINES)
def test_elsewhere(tmp_path: Path, units: list[Unit], machine: str):
    """Cross-compiled, and run by an emulator of the machine."""
    cc, launcher = MACHINES[machine]
    if not works(cc, [], tmp_path, launcher):
        pytest.skip(f"{cc} or {launcher[0]} is not here: install gcc-{cc.removesuffix('-gcc')} and qemu-user")
    run_all(tmp_path, units, cc, ["-O2"], 1, language=LANGUAGE, launcher=launcher)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_files_of_compile_build_elsewhere(tmp_path: Path, machine: str):
    """The build line that irkit prints, for the other machine's compiler; the program compares itself with the reference."""
    cc, launcher = MACHINES[machine]
    if not works(cc, [], tmp_path, launcher):
        pytest.skip(f"{cc} or {launcher[0]} is not here: install gcc-{cc.removesuffix('-gcc')} and qemu-user")
    digits = Path(__file__).resolve().parents[2] / "examples" / "digits.tg"
    out = io.StringIO()
    words = ["compile", str(digits), "-o", str(tmp_path), "--target", "c99", "--golden", "--cc", "gcc"]
    assert main(words, stdout=out) == 0
    line = out.getvalue().partition("build: ")[2]
    assert "-std=c99 -pedantic" in line
    line = line.replace("&& gcc", f"&& {cc} -static -Wall -Wextra -Werror").replace(
        "&& ./", f"&& {launcher[0]} ./"
    )
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "accuracy 0.983333" in ran.stdout


def test_only_headers_that_every_c99_compiler_brings(units: list[Unit]):
    included = {name for u in units for name in re.findall(r"#include <(.*?)>", u.spec.source)}
    assert included <= {"stddef.h", "stdint.h"}
    assert not any(word in u.spec.source for u in units for word in ("__attribute__", "__builtin", "_Pragma"))


def test_every_op_has_a_portable_form():
    examples = all_examples()
    module, arrays = all_in_one(examples)
    results = iter(program_of(module, target="c99")(*arrays))
    wrong = []
    for example in examples:
        found = example.lines([next(results) for _ in example.results])
        if found != example.lines():
            wrong.append(f"{example.name}: {found}")
    assert not wrong, "\n".join(wrong)
