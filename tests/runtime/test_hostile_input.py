"""Absurd command lines and files: each ends in an error in kind, soon, and in little memory."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import irkit.cli
import irkit.opt

ROOT = Path(__file__).resolve().parents[2]
OK = "fn main(x: f32[4]) -> f32[4] {\n  return x + 1\n}\n"
MUCH = 1 << 40
DEEP = 10**5
NINES = "9" * 5000


def run(*words: object, stdin: str = "") -> tuple[int, str]:
    """The exit code and the messages of a command; `irkit-opt` where the first word says so."""
    name, *argv = map(str, words)
    tool = irkit.opt.main if name == "irkit-opt" else irkit.cli.main
    argv = argv if name == "irkit-opt" else [name, *argv]
    out, err = io.StringIO(), io.StringIO()
    code = tool(argv, io.StringIO(stdin), out, err)
    assert "fault of irkit" not in err.getvalue() and "Traceback" not in err.getvalue(), err.getvalue()
    return code, err.getvalue()


def loops(count: int, head: str = "for t in 0..2") -> str:
    return (
        "fn main(x: f32[4], n: i32) -> f32[4] {\n"
        + f"{head} with x {{\n" * count
        + "x = x + 1\n"
        + "}\n" * count
        + "return x }"
    )


def main_of(result: str, type_: str = "f32[4]") -> str:
    return f"fn main(x: f32[4], i: i32[4]) -> {type_} {{\n  return {result}\n}}\n"


CALLS = "fn f0(x: f32[4]) -> f32[4] { return x + 1 }\n" + "".join(
    f"fn f{i}(x: f32[4]) -> f32[4] {{ return f{i - 1}(f{i - 1}(x)) }}\n" for i in range(1, 25)
)
TEXTS = {
    "empty": ("", "the file has no function"),
    "a nul": ("fn main\0", "unexpected '\\x00'"),
    "open parentheses": ("(" * DEEP, "unexpected '('"),
    "minuses": (main_of("-" * DEEP + "x"), "nested too deeply"),
    "brackets": (main_of("constant(" + "[" * DEEP + "]" * DEEP + ", f32)"), "unexpected '['"),
    "a number without end": (main_of("x + " + "1" * 10**6), "this number is too large"),
    "a float beyond f64": (main_of("x + 1e400"), "this number is too large"),
    "a number beyond f32": (main_of("x + 1e39"), "does not fit into f32"),
    "a product of numbers": (main_of("x * (" + " * ".join(["9" * 300] * 9) + ")"), "is too large"),
    "towers": (main_of("x * 9 ** 9 ** 9 ** 9"), "9 ** 387420489 is too large"),
    "a tower as a dim": ("dim B = 9 ** 9 ** 9\n" + OK, "9 ** 387420489 is too large"),
    "a large dim": (f"dim B = {NINES[:30]}\n" + OK, "is no size"),
    "a large range": (f"dim B = 4 in 1..{NINES[:30]}\n" + OK, "bad range of dim 'B'"),
    "parts": (f"fn main(x: f32[{MUCH}]) -> f32[4] {{ return split(x, {MUCH}) }}", "too many results"),
    "an array of arrays": (main_of(f"x + sum(broadcast(x, [{MUCH}, {MUCH}, 4]))"), "is too large"),
    "padding": (
        f"fn main(x: f32[1, 1, 8, 8], w: f32[1, 1, 3, 3]) -> f32 {{ return sum(conv2d(x, w, padding={MUCH})) }}",
        "is too large",
    ),
    "intermediates": (
        main_of(f"x + sum(sort(broadcast(x, [{MUCH * 128}, 4])))"),
        "than any machine addresses",
    ),
    "loops": (loops(200), "loops and choices are nested too deeply"),
    "choices": (loops(300, "if n > 0"), "loops and choices are nested too deeply"),
    "calls": (CALLS, "functions call functions too often"),
    "a tile": (
        "fn main(a: f32[40, 50], b: f32[50, 60]) -> f32[40, 60] {\n"
        f'  y[r, c] = sum(m) a[r, m] * b[m, c], schedule="tile r {MUCH}; vector c 65536"\n  return y\n}}',
        "points are too many at once",
    ),
    "an import of a device": ('import "/dev/zero"\n' + OK, "'/dev/zero' has no end in sight"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str):
    text, message = TEXTS[name]
    code, err = run("irkit-opt", "-", "-f", "tg", "--emit=c", stdin=text)
    assert code == 1 and message in err, err[:500]


FINE = {
    "parentheses": main_of("(" * DEEP + "x" + ")" * DEEP),
    "a long comment": "// " + "a" * 10**6 + "\n" + OK,
    "a long name": main_of("x + 1").replace("x", "x" * 10**5),
    "a byte order mark and Windows lines": "\ufeff" + OK.replace("\n", "\r\n"),
    "names of any script": main_of("größe + 1").replace("x:", "größe:"),
    "an array that is never there": main_of(f"x + sum(exp(full([{MUCH}], 0.5, f32)))"),
    "a loop that takes long": main_of("x").replace("{", f"{{ for t in 0..{MUCH} with x {{ x = x + 1 }}", 1),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_odd_and_right(name: str, tmp_path: Path):
    path = tmp_path / "módel 模型.tg"
    path.write_text(FINE[name], encoding="utf-8", newline="")
    assert run("irkit-opt", path, "--emit=c") == (0, "")


IR = {
    "regions": ('"builtin.module"() ({' * 5000, "nested too deeply"),
    "open strings": ('"' + "a" * 10**6, "this string has no end"),
    "blocks": ("builtin.module {\n^a:\n^b:\n}", "a module has 2 blocks"),
    "a number": (f"builtin.module {{}} {{x = {NINES} : i64}}", ""),
}


@pytest.mark.parametrize("name", IR)
def test_ir(name: str):
    text, message = IR[name]
    code, err = run("irkit-opt", "-", "--emit=c", stdin=text)
    assert code == 1 and message in err, err[:500]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.tg").write_text(OK)
    (tmp_path / "w.tg").write_text(
        "dim B = 4\nparam w: f32[B] = normal(seed=1)\nfn main() -> f32[B] { return w }"
    )
    (tmp_path / "dir.tg").mkdir()
    (tmp_path / "stop.py").write_text("raise SystemExit(3)")
    for name in ("bin.tg", "bin.npz", "bin.npy", "bin.safetensors", "bin.irk"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 9)
    return tmp_path


COMMANDS = [
    ("run bin.tg", "'bin.tg' is not text"),
    ("run dir.tg", "Is a directory"),
    ("run missing.tg", "there is no file 'missing.tg'"),
    ("run /dev/zero", "has no end in sight"),
    (f"run {'a' * 5000}.tg", "File name too long"),
    ("run bin.irk", "'bin.irk' is damaged"),
    (f"run w.tg --dim B={MUCH}", "there is not enough memory for 'w'"),
    (f"compile w.tg -o out --dim B={MUCH}", "there is not enough memory for 'w'"),
    (f"run w.tg --dim B={NINES}", "bad dim"),
    (f"irkit-opt w.tg --dims B={NINES}", "bad dim"),
    ("run ok.tg --threads 999999999", "expected: 1 to 1024"),
    ("run ok.tg --cc /bin/true", "is no C compiler: it ended well and wrote nothing"),
    ("run ok.tg --cc /bin/false", "failed with exit code 1"),
    ('run ok.tg --cc "', "cannot read the C compiler"),
    ("run ok.tg --input x=bin.tg", "it is no such file, or one of Python objects"),
    ("run ok.tg --input x=dir.tg", "'dir.tg' is a folder"),
    *((f"run ok.tg --input x=bin.{kind}", "cannot read") for kind in ("npz", "npy", "safetensors")),
    *((f"run w.tg --params bin.{kind}", "cannot read") for kind in ("npz", "npy", "safetensors")),
    ("run ok.tg --output /nonexistent/a.npz", "there is no folder"),
    ("run ok.tg --output dir.tg", "a folder"),
    ("run ok.tg --output /dev/full", "No space left on device"),
    ("compile ok.tg -o a.irk/b.irk", "cannot write"),
    ("compile ok.tg -o ok.tg", "cannot write"),
    (f"compile ok.tg -o out --arena-limit {NINES}", "bad number of bytes"),
    ("show ok.tg --html /dev/full", "No space left on device"),
    ("show ok.tg --html x.html --roof nan,1", "bad roof"),
    ("irkit-opt ok.tg -o /dev/full", "No space left on device"),
    ("irkit-opt ok.tg -o dir.tg", "Is a directory"),
    ("irkit-opt ok.tg -p ((((", "error"),
    ("irkit-opt ok.tg --load-plugin stop.py", "cannot be imported"),
    ("run ok.tg --load-plugin bin.tg/x.py", "there is no plugin"),
    ("fmt bin.tg missing.tg dir.tg", "3 errors"),
]


@pytest.mark.parametrize(("line", "message"), COMMANDS, ids=[line[:40] for line, _ in COMMANDS])
def test_commands(folder: Path, line: str, message: str):
    code, err = run(*line.split(" "))
    assert code == 1 and message in err, err[:500]


def test_a_seed_is_no_negative_number(folder: Path):
    assert run("irkit-opt", "ok.tg", "--check", "--check-seed=-1")[0] == 2


def test_devices_are_written_and_not_replaced(folder: Path):
    for words in (
        "run ok.tg --output",
        "compile ok.tg -o out --size-file",
        "irkit-opt ok.tg -o",
        "show ok.tg --html",
    ):
        assert run(*words.split(" "), "/dev/null")[0] == 0
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_names_that_are_no_text(folder: Path):
    name = os.fsdecode(b"odd\xff.tg")
    (folder / name).write_text(OK)
    for words in (("run", name), ("irkit-opt", name), ("compile", "ok.tg", "-o", name), ("fmt", name)):
        code, err = run(*words)
        assert code == 1 and "the name of a file is not UTF-8" in err


@pytest.mark.parametrize(
    "words", ["irkit.cli show ok.tg", "irkit.opt --list-passes all", "irkit.opt ok.tg --emit=c"]
)
def test_a_reader_that_goes_away(folder: Path, words: str):
    """As in `irkit show model.tg | head -1`."""
    command = f"{sys.executable} -m {words} | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0 and not done.stderr


def test_an_output_that_is_full_or_closed(folder: Path):
    for words in ("irkit.cli show ok.tg", "irkit.opt ok.tg", "irkit.cli fmt --check ok.tg"):
        for target in (">/dev/full", ">&-", "2>&- >&-"):
            done = subprocess.run(
                ["bash", "-c", f"{sys.executable} -m {words} {target}"],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
            assert "Traceback" not in done.stderr and "fault of irkit" not in done.stderr, (
                words,
                target,
                done.stderr,
            )
