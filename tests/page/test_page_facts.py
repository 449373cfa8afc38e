"""The facts of a page: they are those of the compiled program, and of `irkit show`."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import pytest

from dialects import buffer
from dialects.errors import IrkitError
from irkit.api import emit, lower
from irkit.cli import main
from irkit.commands.arguments import bytes_text, count_text
from irkit.commands.show import graph_ops
from irkit.page.collect import collect
from irkit.page.facts import Page
from irkit.page.roof import read_roof
from tests.page.models import MODELS, ROOT, level, page_of, texts, write_model
from tools.bench import programs

PADDING = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Page]:
    return {name: page_of(folder, name) for name in MODELS}


def padded(size: int) -> int:
    return -(-size // PADDING) * PADDING


@pytest.mark.parametrize("name", MODELS)
def test_pieces_never_share_a_byte_at_one_time(pages: dict[str, Page], name: str):
    plan = pages[name].memory
    for a, b in combinations([p for p in plan.pieces if p.size], 2):
        apart = a.end <= b.begin or b.end <= a.begin
        beside = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
        assert apart or beside, f"{a}\n{b}"


@pytest.mark.parametrize("name", MODELS)
def test_peak_and_bound_are_those_of_the_pieces(pages: dict[str, Page], name: str):
    plan = pages[name].memory
    assert max((p.offset + padded(p.size) for p in plan.pieces), default=0) == plan.peak_bytes
    live = [sum(padded(p.size) for p in plan.pieces if p.begin <= t < p.end) for t in range(len(plan.tasks))]
    assert max(live, default=0) == plan.lower_bound_bytes
    assert all(0 <= p.begin < p.end <= len(plan.tasks) for p in plan.pieces if p.size)


@pytest.mark.parametrize("name", MODELS)
def test_the_plan_is_that_of_the_compiled_program(pages: dict[str, Page], folder: Path, name: str):
    module = lower(folder / f"{name}.tg", "buffer", target="avx2")
    program = next(op for op in module.ops if isinstance(op, buffer.ProgramOp))
    ops = list(program.walk())
    views = {o.offset.data.value for o in ops if isinstance(o, buffer.ViewOp) and o.prepared is None}
    teams = {op.team.data.value for op in ops if isinstance(op, buffer.CallOp) and op.team is not None}
    plan = pages[name].memory
    assert {p.offset for p in plan.pieces if not p.name.startswith("panels of")} == views
    assert {p.offset for p in plan.pieces if p.name.startswith("panels of")} == teams
    assert plan.peak_bytes == program.peak_bytes.data.value
    assert plan.prepared_bytes == program.prepared_bytes.data.value
    calls = [op.callee.root_reference.data for op in ops if isinstance(op, buffer.CallOp)]
    assert [t.name for t in plan.tasks if t.name in calls] == calls


@pytest.mark.parametrize("name", ("encoder", "heat", "symbolic"))
def test_numbers_are_those_of_the_table(pages: dict[str, Page], folder: Path, monkeypatch, name: str):
    monkeypatch.setenv("COLUMNS", "300")
    out = io.StringIO()
    assert main(["show", str(folder / f"{name}.tg"), "--target", "avx2"], stdout=out) == 0
    page, lines = pages[name], out.getvalue().splitlines()
    rows = {line.split()[0]: " ".join(line.split()) for line in lines[2:] if line.strip()}
    assert len(page.kernels) > 1
    for kernel in page.kernels:
        cells = (
            kernel.name,
            kernel.axes,
            kernel.ops,
            "once" if kernel.once else kernel.runs,
            count_text(kernel.flops),
            bytes_text(kernel.bytes),
        )
        assert rows[kernel.name].startswith(" ".join(" ".join(map(str, cells)).split()) + " ")
    plan = page.memory
    peak, bound = bytes_text(plan.peak_bytes), bytes_text(plan.lower_bound_bytes)
    assert f"intermediates {peak} at the peak, lower bound {bound}" in lines[-2:]
    assert any(k.once for k in page.kernels) == lines[-1].startswith("prepared ") == bool(plan.prepared_bytes)
    assert all(note in lines for note in page.notes)


@pytest.mark.parametrize("name", MODELS)
def test_the_text_of_each_level_is_what_the_tools_print(pages: dict[str, Page], folder: Path, name: str):
    page, path = pages[name], folder / f"{name}.tg"
    assert "\n".join(texts(level(page, "source")[0])) + "\n" == MODELS[name]
    for wanted in ("graph", "kernel"):
        ops = list(lower(path, wanted, target="avx2").ops)
        shown = ["\n".join(texts(s)) for s in level(page, wanted)]
        assert shown == [str(op) for op in ops]
    module = lower(path, "buffer", target="avx2")
    shown = ["\n".join(texts(s)) for s in (*level(page, "loop"), *level(page, "buffer"))]
    assert shown == [str(op) for op in module.ops]
    spec, _ = emit(path.read_text(encoding="utf-8"), str(path), target="avx2")
    code = [text for section in level(page, "C") for text in texts(section) if text]
    assert code == [text for text in spec.source.split("\n") if text]


@pytest.mark.parametrize("name", ("encoder", "heat", "loop", "branches"))
def test_every_op_is_drawn_and_found_at_every_level(pages: dict[str, Page], folder: Path, name: str):
    page = pages[name]
    counts = graph_ops(lower(folder / f"{name}.tg", "graph"))
    drawn = [n for n in page.graph.nodes if n.kind == "op"]
    assert len(drawn) == counts.total() - counts["for"]
    for node in drawn:
        assert len(node.mark.ops) == 1 and len(node.mark.lines) == 1 and node.mark.kernels, node
        for wanted in ("graph", "kernel", "loop", "buffer", "C"):
            lines = [line for s in level(page, wanted) for line in s.lines]
            assert any(set(node.mark.ops) & set(line.mark.ops) for line in lines), f"{node} {wanted}"
        (file, line), *_ = node.mark.lines
        source = level(page, "source")[0]
        assert source.name == file and set(node.mark.ops) <= set(source.lines[line - 1].mark.ops)


def test_an_op_leads_to_its_own_lines(tmp_path: Path):
    """Three ops of one kernel on three lines keep their places down to the loops."""
    path = tmp_path / "fused.tg"
    path.write_text("fn main(x: f32[64]) -> f32[64] {\n  a = exp(x)\n  b = a + 1\n  return tanh(b)\n}\n")
    page = collect(str(path), target="avx2")
    (kernel,) = page.kernels
    assert [line for _, line in kernel.mark.lines] == [2, 3, 4]
    for wanted in ("kernel", "loop"):
        lines = [line for s in level(page, wanted) for line in s.lines]
        adds = {m for x in lines if "arith.addf" in x.text for m in x.mark.lines}
        assert adds == {(str(path), 3)}
        assert {m for x in lines if "math.exp" in x.text for m in x.mark.lines} == {(str(path), 2)}


def test_equal_kernels_are_shown_once_and_stand_for_all_their_lines(tmp_path: Path):
    def of(count: int) -> Page:
        path = tmp_path / f"repeated_{count}.tg"
        path.write_text(programs.repeated_blocks(count))
        return collect(str(path), target="avx2")

    few, many = of(3), of(8)
    assert [k.name for k in few.kernels] == [k.name for k in many.kernels]
    assert [len(s.lines) for s in level(few, "loop")] == [len(s.lines) for s in level(many, "loop")]
    blocks = [n for n in many.graph.nodes if n.title == "layer_norm"]
    assert len(blocks) == 16
    names = {n.mark.kernels for n in blocks}
    assert len(names) == 1
    whole = next(k for k in many.kernels if (k.name,) in names)
    assert {op for n in blocks for op in n.mark.ops} <= set(whole.mark.ops)
    assert whole.runs == 16


def test_ops_of_other_files_show_those_files(tmp_path: Path):
    """IR may name any file; one that is there is shown, one that is not is left out."""
    other = tmp_path / "other.tg"
    other.write_text("first\nsecond\n")
    text = "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
    text += f'  %0 = graph.exp %x : (tensor<4xf32>) -> tensor<4xf32> loc("{other}":2:1)\n'
    text += '  %1 = graph.sin %0 : (tensor<4xf32>) -> tensor<4xf32> loc("gone.tg":1:1)\n'
    text += "  func.return %1 : tensor<4xf32>\n}\n"
    path = tmp_path / "model.mlir"
    path.write_text(text)
    page = collect(str(path), target="avx2")
    sections = {s.name: s for s in level(page, "source")}
    assert set(sections) == {str(path), str(other)}
    assert sections[str(other)].lines[1].mark.ops and not sections[str(other)].lines[0].mark.ops


@pytest.mark.parametrize("text", ("", "1", "1,2,3", "x,y", "0,1", "-1,2", "nan,1", "1,inf"))
def test_a_bad_roof_is_refused(text: str):
    with pytest.raises(IrkitError, match="bad roof"):
        read_roof(text)


def test_a_roof_bounds_kernels():
    roof = read_roof("100, 10")
    assert roof.bound(1.0) == 10e9 and roof.bound(10.0) == roof.bound(1e6) == 100e9
    assert roof.seconds(flops=200, size=10) == 200 / 100e9 and roof.seconds(flops=1, size=10) == 1e-9


def test_show_writes_the_page_whole_or_not_at_all(tmp_path: Path):
    model, target = write_model(tmp_path, "unused"), tmp_path / "page.html"
    out, err = io.StringIO(), io.StringIO()
    assert main(["show", str(model), "--html", str(target)], stdout=out) == 0
    assert out.getvalue().startswith(f"wrote {target}, ") and target.read_text().startswith("<!DOCTYPE html>")
    before = target.read_text()
    model.write_text("fn main(x: f32[3]) -> f32[3] { return y }")
    assert main(["show", str(model), "--html", str(target)], stderr=err) == 1
    assert "unknown name 'y'" in err.getvalue() and target.read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "unused.tg"]


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path):
    err = io.StringIO()
    model = write_model(tmp_path, "unused")
    assert main(["show", str(model), "--html", str(tmp_path / "no" / "page.html")], stderr=err) == 1
    assert "error: cannot write" in err.getvalue() and "Traceback" not in err.getvalue()


def test_the_examples_of_the_docs_run(tmp_path: Path, monkeypatch):
    block = (ROOT / "docs" / "page.md").read_text(encoding="utf-8").split("```sh\n")[1].split("```")[0]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for command in block.splitlines():
        program, *words = command.split()
        assert program == "irkit" and main(words, stdout=io.StringIO()) == 0
    assert {p.name for p in tmp_path.glob("*.html")} == {"encoder.html", "digits.html"}
    assert "Roof: an estimate in f32" in (tmp_path / "encoder.html").read_text()
    assert "Roof: as given by --roof." in (tmp_path / "digits.html").read_text()


def test_a_roof_without_a_page_is_refused(tmp_path: Path):
    err = io.StringIO()
    assert main(["show", str(write_model(tmp_path, "unused")), "--roof", "1,1"], stderr=err) == 1
    assert "error: --roof is for the page alone" in err.getvalue()
