"""irkit-opt as a function: streams, exit codes, files; and pass pipelines as text."""

import os
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i32
from xdsl.ir import Attribute
from xdsl.passes import ModulePass
from xdsl.transforms.canonicalize import CanonicalizePass
from xdsl.transforms.common_subexpression_elimination import CommonSubexpressionElimination

from dialects.errors import IrkitError
from irkit import opt
from irkit.pass_manager import PassManager, Watch
from irkit.pipeline_text import Step, format_pipeline, parse_pipeline


@dataclass(frozen=True)
class MarkPass(ModulePass):
    """Marks the ops of a module with a number."""

    name = "mark"
    number: int = 0
    label: str = "x"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for child in op.body.block.ops:
            child.attributes[self.label] = IntegerAttr(self.number, i32)


@dataclass(frozen=True)
class BrokenPass(ModulePass):
    """Raises an exception that nobody foresaw."""

    name = "broken"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise KeyError("lost")


@dataclass(frozen=True)
class SpoilPass(ModulePass):
    """Leaves a use before its definition."""

    name = "spoil"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first = next(o for o in op.walk() if o.name == "arith.addi")
        last = first.parent.last_op.prev_op  # pyright: ignore
        assert last is not None
        last.detach()
        first.parent.insert_op_before(last, first)  # pyright: ignore


REGISTRY = {
    "cse": lambda: CommonSubexpressionElimination,
    "canonicalize": lambda: CanonicalizePass,
    "mark": lambda: MarkPass,
    "broken": lambda: BrokenPass,
    "spoil": lambda: SpoilPass,
}

TEXT = """func.func @f(%x: i32) -> i32 {
  %a = arith.addi %x, %x : i32
  %b = arith.muli %a, %x : i32
  func.return %b : i32
}
"""


@pytest.fixture(autouse=True)
def test_passes(monkeypatch: pytest.MonkeyPatch):
    ours = opt.pipeline.all_passes()
    monkeypatch.setattr(opt.pipeline, "all_passes", lambda: ours | REGISTRY)


def run(*argv: str, text: str = TEXT) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    code = opt.main(list(argv), StringIO(text), out, err)
    assert "Traceback" not in err.getvalue()
    return code, out.getvalue(), err.getvalue()


# pipelines as text


@pytest.mark.parametrize(
    "text",
    [
        "cse",
        "cse,canonicalize",
        "func.func(cse,canonicalize)",
        "cse,func.func(cse),cse",
        "func.func(scf.for(cse),cse)",
        'mark{number=3 label="a"},func.func(mark{number=1})',
    ],
)
def test_pipelines_round_trip(text: str):
    steps = parse_pipeline(text, REGISTRY)
    printed = format_pipeline(steps)
    assert printed.startswith("builtin.module(") and printed.endswith(")")
    assert parse_pipeline(printed, REGISTRY) == steps


def test_an_empty_pipeline_has_no_steps():
    assert parse_pipeline("", REGISTRY) == parse_pipeline("builtin.module()", REGISTRY) == []


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("cse,canonicalise", 5, "unknown pass 'canonicalise'"),
        ("cse canonicalize", 5, "unexpected 'canonicalize'"),
        ("cse,,cse", 5, "unexpected ','"),
        (",cse", 1, "unexpected ','"),
        ("cse)", 4, "unexpected ')'"),
        ("func.func(cse", 14, "'func.func(' is not closed"),
        ("cse{", 4, "unexpected '{'"),
        ("cse;cse", 4, "unexpected ';'"),
        ("mark{numbr=1}", 5, "it has no option 'numbr'"),
        ("mark{number=abc}", 5, "bad options of pass 'mark'"),
        ("cse{x=1}", 5 - 1, "it has no option 'x'"),
    ],
)
def test_errors_in_pipelines_have_a_column(text: str, column: int, message: str):
    with pytest.raises(IrkitError) as caught:
        parse_pipeline(text, REGISTRY)
    assert message in caught.value.message
    assert caught.value.loc is not None and caught.value.loc.line == 1 and caught.value.loc.col == column


def test_an_unknown_pass_is_told_the_nearest_one():
    with pytest.raises(IrkitError) as caught:
        parse_pipeline("canonicalise", REGISTRY)
    assert caught.value.hint == "did you mean 'canonicalize'?"


# running


def test_a_nested_pass_sees_only_its_op():
    text = "func.func private @a() -> ()\nbuiltin.module { func.func private @b() -> () }\n"
    code, out, _ = run(
        "-p", "func.func(mark{number=1}),builtin.module(builtin.module(func.func(mark{number=2})))", text=text
    )
    assert code == 0
    lines = [line.strip() for line in out.splitlines()]
    assert "func.func private @a() -> () attributes {x = 1 : i32}" in lines
    assert "func.func private @b() -> () attributes {x = 2 : i32}" in lines
    assert lines.index("builtin.module {", 1) > lines.index(
        "func.func private @a() -> () attributes {x = 1 : i32}"
    )


def test_order_of_ops_is_kept_by_nested_passes():
    text = "".join(f"func.func private @f{i}() -> ()\n" for i in range(4))
    _, out, _ = run("-p", "func.func(mark)", text=text)
    assert [line.split("@")[1][:2] for line in out.splitlines() if "@" in line] == ["f0", "f1", "f2", "f3"]


def test_statistics_add_up_over_ops():
    @dataclass(frozen=True)
    class CountPass(ModulePass):
        name = "count"

        def __post_init__(self) -> None:
            object.__setattr__(self, "stats", {})

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            self.stats["ops"] = len(list(op.walk()))  # pyright: ignore

    manager = PassManager(Context(), Watch(verify=False))
    module = ModuleOp([ModuleOp([]), ModuleOp([])])
    manager.run(module, [Step(CountPass()), Step(CountPass(), ("builtin.module",))])
    assert manager.stats == {"count": {"ops": 5}}
    assert "5  count: ops" in manager.stats_table()
    assert "count" in manager.timing_table()


def test_an_unforeseen_exception_is_an_error():
    code, out, err = run("-p", "cse,broken")
    assert (code, out) == (1, "")
    assert "pass 'broken' failed: KeyError: 'lost'" in err and "report" in err


def test_a_pass_that_breaks_the_ir_is_named():
    code, _, err = run("-p", "canonicalize,spoil")
    assert code == 1
    assert "does not dominate its use" in err and "not valid after 'spoil'" in err


def test_verification_between_passes_is_a_choice():
    assert run("-p", "spoil", "--disable-verify")[0] == 0
    assert "after 'spoil'" in run("-p", "spoil,mark", "--verify-each")[2]
    assert "after 'mark'" in run("-p", "spoil,mark")[2]


def test_crash_reproducer(tmp_path: Path):
    path = tmp_path / "crash.mlir"
    code, _, err = run("-p", "cse,broken", f"--crash-reproducer={path}", "--verify-each", "--target=avx2")
    assert code == 1 and f"wrote {path}; run: irkit-opt --run-reproducer {path}" in err
    first, second, *rest = path.read_text().splitlines()
    assert first == f"// irkit-opt --run-reproducer {path}"
    assert second == (
        "// configuration: -f mlir -p 'builtin.module(cse,broken)' --target=avx2 --cc=gcc --verify-each"
    )
    assert rest[0] == "builtin.module {" and any('loc("<stdin>":2:3)' in line for line in rest)


GRAPH = """func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.tanh %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}
"""


def broken_c(*_: object) -> str:
    raise KeyError("lost in the C text")


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "cse,broken"],
        ["-p", "cse,spoil", "--verify-each"],
        ["-p", "graph-cse,func.func(broken)", "--emit=c"],
        ["--emit=c", "--cc=clang", "--target=sse2"],
        ["--emit=kernel", "--check", "--check-seed=3"],
    ],
    ids=["a crash of a pass", "bad IR", "a nested pass", "a crash of the emitter", "wrong numbers"],
)
@pytest.mark.parametrize("local", [False, True], ids=["whole", "local"])
def test_a_reproducer_fails_in_the_same_way(
    words: list[str], local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "crash.mlir"
    monkeypatch.setattr("lowering.c.emit.emit_c", broken_c)
    if "--check" in words:
        from lowering.kernel.simplify import KernelSimplify

        monkeypatch.setattr(KernelSimplify, "apply", lambda self, ctx, op: swap_tanh(op))
    extra = ["--crash-reproducer-local"] if local else []
    text = TEXT if "spoil" in words[1] else GRAPH
    code, out, err = run(*words, f"--crash-reproducer={path}", *extra, text=text)
    assert code == 1
    message = err[err.index("error:") :].splitlines()[0]
    again = run("--run-reproducer", str(path), text="")
    assert again[:2] == (1, out) and message in again[2]
    assert ("cse" in path.read_text().splitlines()[1]) == (not local)


def swap_tanh(module: ModuleOp) -> None:
    from xdsl.dialects import math

    for op in [o for o in module.walk() if o.name == "math.tanh"]:
        new = math.SinOp(op.operands[0])
        op.parent.insert_op_before(new, op)  # pyright: ignore
        op.results[0].replace_all_uses_with(new.results[0])
        op.parent.erase_op(op)  # pyright: ignore


def test_a_reproducer_keeps_dims_and_source_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lowering.c.emit.emit_c", broken_c)
    model, path = tmp_path / "model.tg", tmp_path / "crash.mlir"
    model.write_text("dim B = 8\nfn main(x: f32[B]) -> f32[B] {\n  return tanh(x)\n}\n")
    assert run(str(model), "--dim", "B=5", "--emit=c", f"--crash-reproducer={path}")[0] == 1
    assert f'loc("{model}":3:10)' in path.read_text() and "tensor<5xf32>" in path.read_text()


def test_no_reproducer_without_a_failure(tmp_path: Path):
    path = tmp_path / "crash.mlir"
    assert run("-p", "cse", f"--crash-reproducer={path}")[0] == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("", "is no crash reproducer"),
        ("// configuration: -p 'cse", "is damaged"),
        ("// configuration: --pases=cse", "found: unrecognized arguments: --pases=cse"),
        ("// configuration: --emit=kernl", "found: --emit: invalid choice"),
        ("// configuration: -o /etc/passwd", "found: 'output-file', which a reproducer does not set"),
        ("// configuration: -p cse,canonicalise", "unknown pass 'canonicalise'"),
    ],
)
def test_damaged_reproducers(head: str, message: str, tmp_path: Path):
    path = tmp_path / "crash.mlir"
    path.write_text(f"// a note\n{head}\n{TEXT}")
    code, out, err = run("--run-reproducer", str(path))
    assert (code, out) == (1, "") and message in err
    assert "2:1: error: the configuration" in err or "the configuration" not in err
    assert run("--run-reproducer", str(tmp_path / "none.mlir"))[0] == 1


def test_disable_verify_leaves_the_process_as_it_was():
    before = Attribute.__post_init__
    run("--disable-verify")
    assert Attribute.__post_init__ is before


# files


def test_output_is_written_as_a_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "out.mlir"
    assert run("-o", str(path))[:2] == (0, "")
    first = path.read_text()
    assert "func.func @f" in first
    assert run("-o", str(path), "-p", "broken")[0] == 1
    assert path.read_text() == first
    assert os.listdir(tmp_path) == ["out.mlir"]


def test_output_keeps_mode_and_follows_links(tmp_path: Path):
    path, link = tmp_path / "out.mlir", tmp_path / "link.mlir"
    path.write_text("")
    path.chmod(0o640)
    link.symlink_to(path)
    assert run("-o", str(link))[0] == 0
    assert link.is_symlink() and "func.func" in path.read_text() and path.stat().st_mode & 0o777 == 0o640


def test_output_to_a_device():
    assert run("-o", "/dev/null")[0] == 0


def test_output_to_a_folder_that_is_not_there(tmp_path: Path):
    code, _, err = run("-o", str(tmp_path / "no" / "out.mlir"))
    assert code == 1 and "cannot write" in err


def test_missing_file_and_its_nearest_name(tmp_path: Path):
    (tmp_path / "model.mlir").write_text(TEXT)
    code, _, err = run(str(tmp_path / "modle.mlir"))
    assert code == 1 and "there is no file" in err and "model.mlir'?" in err


def test_files_that_are_no_text(tmp_path: Path):
    path = tmp_path / "x.mlir"
    path.write_bytes(b"\xff\xfe\x00")
    code, _, err = run(str(path))
    assert code == 1 and "is not text" in err
    assert run(str(tmp_path))[0] == 1


def test_bad_command_line():
    assert run("--emit=kernal")[0] == 2
    assert run("--dim", "B")[0] == 0  # dims belong to .tg files
    assert "bad dim 'B'" in run("--dim", "B", "-f", "tg")[2]
    assert "unknown output format 'mlr'" in run("-t", "mlr")[2]


def test_syntax_trees_are_of_tg_files():
    code, _, err = run("--emit=ast")
    assert code == 1 and "only .tg files have a syntax tree" in err


def test_locations_are_those_of_the_text():
    _, out, _ = run("--print-debuginfo")
    assert 'arith.muli %a, %x : i32 loc("<stdin>":3:3)' in out
    again = run("--print-debuginfo", text=out)[1]
    assert again == out
