"""A program in several translation units runs as it does in one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import irkit
from dialects.errors import IrkitError
from irkit.runtime import units
from irkit.runtime.compiler import find_compiler
from irkit.runtime.module import Program
from lowering.c.emit import emit_program
from lowering.target import get_target

TEXT = """
fn main(x: f32[40, 30], w: f32[30, 50]) -> (f32[40, 50], i64[40, 50], f32[50]) {
  y = softmax(x @ w)
  return y, argsort(y), sum(cumsum(y, axis=0), axis=0)
}
"""


@pytest.mark.parametrize("cc", ("gcc", "clang"))
def test_a_program_in_three_units(cc: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if shutil.which(cc) is None:
        pytest.skip(f"{cc} is not here")
    monkeypatch.setattr(units, "WORTH", 100)
    module = irkit.lower(TEXT)
    spec = emit_program(module, get_target("native", cc))
    texts = units.units(spec, 3)
    assert len(texts) == 3 and len(spec.kernels) >= 4
    defined = [[f"void {units.kernel_name(k)}(" in t for t in texts].count(True) for k in spec.kernels]
    assert min(defined) >= 1  # and where the program stands, those of others are declared
    sources = [tmp_path / f"u{n}.c" for n in range(3)]
    for source, text in zip(sources, texts, strict=True):
        source.write_text(text)
    (tmp_path / f"{spec.name}.h").write_text(spec.header)
    find_compiler(cc).shared_library_of(sources, tmp_path / "u.so", get_target("native", cc).cflags)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s, np.float32) for s in ((40, 30), (30, 50))]
    whole = irkit.compile(TEXT, cc=cc)(*arrays)
    parts = Program(spec, tmp_path / "u.so", {})(*arrays)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_small_program_and_one_without_cuts_stay_whole(monkeypatch: pytest.MonkeyPatch):
    spec = emit_program(irkit.lower(TEXT), get_target("native", "gcc"))
    assert units.units(spec, 8) == [spec.source]
    monkeypatch.setattr(units, "WORTH", 100)
    assert units.units(replace(spec, cuts=()), 8) == [spec.source]
    assert len(units.units(spec, 1)) == 1 and len(units.units(spec, 2)) == 2


def test_what_the_compiler_says_of_a_unit_is_told(tmp_path: Path):
    good, bad = tmp_path / "good.c", tmp_path / "bad.c"
    good.write_text("int f(void) { return 1; }\n")
    bad.write_text("int g(void) { return nonsense; }\n")
    with pytest.raises(IrkitError, match="failed with exit code") as caught:
        find_compiler().shared_library_of([good, bad], tmp_path / "out.so")
    assert "nonsense" in (caught.value.found or "") and not (tmp_path / "out.so").exists()
