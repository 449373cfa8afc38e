"""The command line, and the Python interface, on small programs."""

import io
import re
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import irkit
from irkit.cli import main
from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

SCALE = """dim B = 2
param w: f32[3] = full(2)
fn main(x: f32[B, 3], shift: f32 = 1) -> (y: f32[B, 3], total: f32) {
  y = x * w + shift
  return y, sum(y)
}
fn twice(x: f32[B, 3]) -> f32[B, 3] {
  return x * 2
}
"""


@pytest.fixture
def scale(tmp_path: Path) -> Path:
    path = tmp_path / "scale.tg"
    path.write_text(SCALE)
    return path


def irkit_cli(*words: object, stdin: str | None = None) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main([str(w) for w in words], io.StringIO(stdin) if stdin is not None else None, out, err)
    return code, out.getvalue(), err.getvalue()


# -- from Python ----------------------------------------------------------------------------------------------


def test_compile_from_a_text_and_from_a_file(scale: Path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for source in (SCALE, scale, str(scale)):
        program = irkit.compile(source)
        y, total = program(x)
        np.testing.assert_allclose(y, x * 2 + 1)
        np.testing.assert_allclose(total, (x * 2 + 1).sum())
    assert irkit.compile(SCALE, fn="twice", dims={"B": 1}, threads=1)(x[:1]).shape == (1, 3)


def test_compile_again_needs_no_front_end(scale: Path, monkeypatch: pytest.MonkeyPatch):
    irkit.compile(scale)
    monkeypatch.setattr("irkit.api.emit", lambda *_: pytest.fail("not from the cache"))
    irkit.compile(scale)
    scale.write_text(SCALE + "\n")
    with pytest.raises(pytest.fail.Exception):
        irkit.compile(scale)


def test_a_damaged_library_in_the_cache_is_replaced(own_cache: Path, scale: Path):
    irkit.compile(scale, fn="twice")
    for path in own_cache.glob("*.so"):
        path.unlink()
        path.write_bytes(b"damaged")
    assert irkit.compile(scale, fn="twice")(np.ones((2, 3), np.float32))[0, 0] == 2


def test_parse_and_lower(scale: Path):
    assert irkit.parse(scale).filename == str(scale)
    for level, op in (
        ("graph", "graph.mul"),
        ("kernel", "kernel.def"),
        ("loop", "loop.func"),
        ("buffer", "buffer.program"),
    ):
        assert op in str(irkit.lower(scale, level))
    module = irkit.lower(SCALE, "kernel")
    assert "buffer.program" in str(irkit.lower(module, "buffer"))
    with pytest.raises(irkit.IrkitError, match="unknown level"):
        irkit.lower(scale, "machine")
    with pytest.raises(irkit.IrkitError, match="below"):
        irkit.lower(module, "graph")


def test_compile_from_ir(scale: Path, tmp_path: Path):
    x = np.ones((2, 3), np.float32)
    for level in ("graph", "kernel", "loop", "buffer"):
        path = tmp_path / f"scale_{level}.mlir"
        path.write_text(str(irkit.lower(scale, level)))
        np.testing.assert_allclose(irkit.compile(path)(x)[0], 3 * x)


def test_fast_math_is_another_program():
    text = "fn main(x: f32[4]) -> f32[4] { return x - x }"
    x = np.array([1, np.inf, np.nan, 0], np.float32)
    for fast, wrong in ((False, 2), (True, 0), (False, 2)):
        assert np.isnan(irkit.compile(text, fast_math=fast)(x=x)).sum() == wrong


def test_symbolic_dims():
    program = irkit.compile("dim N = 4 in 1..16\nfn main(x: f32[N]) -> f32[N] { return x + 1 }")
    for n in (1, 5, 16):
        np.testing.assert_array_equal(program(np.zeros(n, np.float32)), np.ones(n, np.float32))
    with pytest.raises(irkit.IrkitError, match="outside of its range"):
        program(np.zeros(17, np.float32))


@pytest.mark.parametrize(
    "dtype", [ml_dtypes.bfloat16, np.float16, np.float64, np.int8, np.uint8, np.int64, np.bool_]
)
def test_dtypes(dtype: type):
    name = {"bfloat16": "bf16", "bool": "bool"}.get(np.dtype(dtype).name) or np.dtype(dtype).name
    name = re.sub(r"^float|^int|^uint", lambda m: m[0][0], name)
    program = irkit.compile(
        f"fn main(x: {name}[5], y: {name}[5]) -> {name}[5] {{ return where(x == y, x, y) }}"
    )
    x, y = np.array([0, 1, 1, 0, 1]).astype(dtype), np.array([1, 1, 0, 0, 1]).astype(dtype)
    result = program(x, y)
    assert result.dtype == x.dtype
    np.testing.assert_array_equal(result, y)


# -- run ------------------------------------------------------------------------------------------------------


def test_run_digits():
    code, out, err = irkit_cli("run", EXAMPLES / "digits.tg")
    assert code == 0 and not err
    accuracy = re.search(r"^accuracy (0\.\d+)$", out, re.M)
    assert accuracy and float(accuracy[1]) >= 0.96
    assert re.search(r"^time [\d.]+ (ns|us|ms|s) \(", out, re.M)
    assert re.search(
        r"^peak memory: intermediates [\d.]+ .?B \(lower bound .*\), prepared [\d.]+ kB, process [\d.]+ MB$",
        out,
        re.M,
    )


def test_run_with_data(scale: Path, tmp_path: Path):
    np.savez(tmp_path / "in.npz", a=np.ones((2, 3), np.float32), w=np.full(3, 5, np.float32))
    np.save(tmp_path / "w.npy", np.full(3, 7, np.float32))
    data, result = tmp_path / "in.npz", tmp_path / "out.npz"
    words = ("run", scale, "--input", f"x={data}:a", "--threads", 1)
    code, out, err = irkit_cli(*words, "--output", result)
    assert (code, err) == (0, "")
    assert "y f32[2, 3] min 3 mean 3 max 3" in out and "total 18\n" in out and "(1 thread)" in out
    with np.load(result) as saved:
        assert saved["y"].shape == (2, 3) and saved["total"] == 18
    assert "total 36\n" in irkit_cli(*words, "--input", f"w={data}")[1]
    assert "total 48\n" in irkit_cli(*words, "--input", f"w={tmp_path / 'w.npy'}")[1]
    assert "total 12\n" in irkit_cli(*words, "--input", "shift=0")[1]
    assert re.search(r"in \d+ runs", irkit_cli(*words, "--time")[1])


def test_run_without_data_takes_random_numbers(scale: Path):
    first, second = (irkit_cli("run", scale, "--fn", "twice", "--dim", "B=3") for _ in range(2))
    assert first[0] == 0 and "note: 'x' has no data and gets random numbers" in first[2]
    assert first[1].splitlines()[0] == second[1].splitlines()[0]
    assert "f32[3, 3]" in first[1]


def test_run_from_standard_input():
    code, out, _ = irkit_cli("run", "-", stdin="fn main(x: i32 = 20) -> (y: i32) { return x + 1 }")
    assert code == 0 and out.startswith("y 21\n")


def test_run_from_ir(scale: Path, tmp_path: Path):
    path = tmp_path / "scale.mlir"
    path.write_text(str(irkit.lower(scale, "graph")))
    assert irkit_cli("run", path)[0] == 0


FAILURES = {
    "no file": (["nothing.tg"], "there is no file 'nothing.tg'", ""),
    "no function": (["{scale}", "--fn", "tvice"], "tvice", "did you mean 'twice'"),
    "bad dim": (["{scale}", "--dim", "B"], "bad dim 'B'", "--dim B=1"),
    "unknown dim": (["{scale}", "--dim", "Z=1"], "Z", ""),
    "target": (["{scale}", "--target", "pdp11"], "unknown target 'pdp11'", "native"),
    "compiler": (["{scale}", "--cc", "tcc-9000"], "no C compiler 'tcc-9000'", "install gcc"),
    "bad input": (["{scale}", "--input", "x"], "bad input 'x'", "--input x="),
    "unknown input": (["{scale}", "--input", "xx=a.npz:x"], "no input 'xx'", "did you mean 'x'"),
    "no input file": (["{scale}", "--input", "x=a.npz:x"], "there is no file 'a.npz'", ""),
    "no key": (["{scale}", "--input", "x={data}:b"], "no array 'b'", "found: a, wrong"),
    "input shape": (["{scale}", "--input", "x={data}:wrong"], "'x' has the wrong shape", "f32[2, 3]"),
    "not an archive": (["{scale}", "--input", "x={scale}:b"], "cannot read", ".npz"),
    "output": (["{scale}", "--output", "/nonexistent/out.npz"], "cannot write", "folder"),
    "threads": (["{scale}", "--threads", "0"], "0 threads", "1 to 1024"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_are_told_without_a_traceback(case: str, scale: Path, tmp_path: Path):
    words, message, more = FAILURES[case]
    data = tmp_path / "data.npz"
    np.savez(data, a=np.ones((2, 3), np.float32), wrong=np.ones((2, 2), np.float32))
    code, _, err = irkit_cli("run", *(w.format(scale=scale, data=data) for w in words))
    assert code == 1 and "Traceback" not in err and "fault of irkit" not in err
    assert message in err and more in err


NO_NUMBERS = [("b", "128"), ("b", "2.5"), ("b", "nan"), ("b", "9" * 30), ("c", "2"), ("a", "much")]


def test_numbers_as_inputs(tmp_path: Path):
    types = "f32, i8, bool, f8e4m3"
    (tmp_path / "n.tg").write_text(
        f"fn f(a: f32, b: i8, c: bool, d: f8e4m3) -> ({types}) {{ return a, b, c, d }}\n"
    )
    given = {"a": "nan", "b": "-128", "c": "1", "d": "1.5"}
    code, out, _ = irkit_cli("run", tmp_path / "n.tg", *(f"--input={n}={v}" for n, v in given.items()))
    assert code == 0 and out.startswith("out0 nan\nout1 -128\nout2 True\nout3 1.5\n")
    for name, bad in NO_NUMBERS:
        words = [f"--input={n}={v}" for n, v in (given | {name: bad}).items()]
        code, _, err = irkit_cli("run", tmp_path / "n.tg", *words)
        assert code == 1 and (f"{bad} is no" in err or f"there is no file '{bad}'" in err)


def test_errors_of_the_text_show_line_and_caret(tmp_path: Path):
    path = tmp_path / "bad.tg"
    path.write_text("fn main(x: f32[2]) -> f32[2] {\n  return relo(x)\n}\n")
    code, _, err = irkit_cli("run", path)
    assert code == 1
    assert f"{path}:2:10: error" in err and "^" in err and "did you mean 'relu'" in err


def test_errors_of_weights_name_the_parameter_also_from_the_cache(tmp_path: Path):
    path = tmp_path / "m.tg"
    path.write_text('param w: f32[2] = load("w.npz", "w")\nfn main(x: f32[2]) -> f32[2] { return x * w }\n')
    np.savez(tmp_path / "w.npz", w=np.ones(2, np.float32))
    assert irkit_cli("run", path)[0] == 0
    np.savez(tmp_path / "w.npz", w=np.ones(3, np.float32))
    code, _, err = irkit_cli("run", path)
    assert code == 1 and f"{path}:1:" in err and "another shape" in err


def test_a_cached_run_imports_no_compiler(scale: Path):
    words = ["run", str(scale)]
    code = f"import sys; from irkit.cli import main; main({words}); print(*sorted(sys.modules))"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
    modules = set(done.stdout.splitlines()[-1].split())
    assert not modules & {
        "lark",
        "rich",
        "irkit.lang.parser",
        "irkit.pipeline",
        "lowering.c.emit",
        "xdsl.dialects.arith",
    }


# -- show and compile -----------------------------------------------------------------------------------------


def test_show():
    code, out, _ = irkit_cli("show", EXAMPLES / "digits.tg")
    assert code == 0
    assert "2 matmul" in out and "matmul_add_relu" in out and "FLOPs" in out
    assert re.search(r"intermediates [\d.]+ kB at the peak, lower bound [\d.]+ kB", out)


@pytest.mark.parametrize("name", ['m{1} "& <b>.tg', "two\nlines.tg"])
def test_any_name_of_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("fn f(x: f32[3]) -> f32[3] {\n  return exp(x)\n}\n")
    for words in (
        ["run"],
        ["show"],
        ["bisect"],
        ["show", "--html", "page.html"],
        ["reduce", "--test", "grep -q exp"],
    ):
        code, _, err = irkit_cli(words[0], name, *words[1:])
        assert code == 0, err


@pytest.mark.parametrize("target", ["native", "c99"])
def test_comments_of_the_source_end_with_their_line_in_c(target: str, tmp_path: Path):
    text = "fn f(x: f32[3], w: f32[3]) -> f32 {\n  y = x @ w  // in C:\\\\dir\\\\\n  return y + 1  // what??/\n}\n"
    (tmp_path / "m.tg").write_text(text)
    one = np.ones(3, np.float32)
    assert irkit.compile(tmp_path / "m.tg", target=target)(one, one) == 4


@pytest.mark.parametrize("weights", ["const", "bin"])
@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_compile_writes_files_that_stand_alone(tmp_path: Path, weights: str, cc: str):
    try:
        compiler = find_compiler(cc)
    except irkit.IrkitError:
        pytest.skip(f"no {cc}")
    code, out, err = irkit_cli(
        "compile", EXAMPLES / "digits.tg", "-o", tmp_path, "--weights", weights, "--cc", cc, "--dim", "B=360"
    )
    assert (code, err) == (0, "")
    command = re.search(r"^build: (.*)$", out, re.M)
    assert command
    strict = command[1].replace("-O3", "-O1 -Wall -Wextra -Werror", 1)
    done = subprocess.run(strict, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"accuracy 0\.9[6-9]", done.stdout)
    assert compiler.name in command[1]


def test_weights_are_exact_as_c_constants():
    from irkit.commands.compile import c_words

    values = np.array([0.1, -0.0, 1e-45, 3.4e38, 1.0, -7.5], np.float32)
    words = [w.rstrip("f") for w in c_words(values, "f32")]
    again = np.array([float.fromhex(w) if "x" in w else float(w) for w in words], np.float32)
    assert again.tobytes() == values.tobytes()
    assert c_words(np.array([np.nan, np.inf, -np.inf]), "f64") == [
        '__builtin_nan("")',
        "__builtin_inf()",
        "-__builtin_inf()",
    ]
    assert c_words(np.array([-(2**63), 2**63 - 1]), "i64") == ["INT64_MIN", "INT64_C(9223372036854775807)"]
    assert c_words(np.array([1 + 2j], np.complex64), "c64") == ["1.0f", "2.0f"]
    assert c_words(np.zeros(0, np.float32), "f32") == ["0"]


def test_the_cache_is_where_it_should_be(shared_cache: Path):
    assert cache.cache_dir() == shared_cache.resolve()
