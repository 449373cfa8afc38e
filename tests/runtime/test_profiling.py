"""Profiles: costs against formulas, calls and lines against the source, traces against the format."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from test_cli import irkit_cli

import irkit
from irkit.commands.reports import trace
from irkit.profiling import Profile
from irkit.runtime import roofline
from irkit.runtime.compiler import find_compiler
from lowering.c.emit import emit_c
from lowering.kernel.cost import KernelCost, kernel_costs
from lowering.target import get_target

M, N, K = 24, 40, 56

MATMUL = f"""fn main(x: f32[{M}, {K}], w: f32[{K}, {N}]) -> f32[{M}, {N}] {{
  return x @ w
}}
"""

LAYERS = """dim B = 8
param w: f32[32, 32] = glorot(seed=1)
fn main(x: f32[B, 32]) -> (y: f32[B, 32], p: f32[B, 32]) {
  h = relu(x @ w)
  y = h @ w
  return y, softmax(y, axis=-1)
}
"""

LOOP = """fn main(x: f32[16, 16]) -> f32[16, 16] {
  u = x
  for t in 0..5 with u {
    u = u @ u * 0.1
  }
  return u
}
"""


def costs(text: str) -> list[KernelCost]:
    return list(kernel_costs(irkit.lower(text, "kernel").ops).values())


def sizes(cost: KernelCost, **symbols: int) -> tuple[int, int]:
    return cost.flops.evaluate(symbols), cost.bytes.evaluate(symbols)


# -- costs ----------------------------------------------------------------------------------------------------


def test_cost_of_a_product():
    (cost,) = costs(MATMUL)
    assert sizes(cost) == (2 * M * N * K, 4 * (M * K + K * N + M * N))
    assert not cost.is_double


def test_cost_of_an_epilogue_and_of_f64():
    (cost,) = costs("fn main(x: f64[6, 5], w: f64[5, 7], b: f64[7]) -> f64[6, 7] { return relu(x @ w + b) }")
    assert sizes(cost) == (2 * 6 * 7 * 5 + 2 * 6 * 7, 8 * (30 + 35 + 7 + 42))
    assert cost.is_double


def test_cost_of_elementwise_ops_and_sums():
    (cost,) = costs("fn main(x: f32[9, 4]) -> f32[9] { return sum(exp(x) * x, axis=1) }")
    assert sizes(cost) == (3 * 36, 4 * (36 + 9))
    (cast,) = costs("fn main(x: f32[10]) -> i32[10] { return cast(x, i32) }")
    assert sizes(cast) == (0, 80)


def test_cost_counts_functions_and_what_is_written():
    text = "fn main(x: f32[9, 4]) -> f32[9] { return sum(exp(x) * tanh(x) + sqrt(x), axis=1) + log(2.0) }"
    (cost,) = costs(text)
    assert cost.exps.evaluate({}) == 2 * 36
    assert cost.written.evaluate({}) == 4 * 9


def test_cost_counts_what_is_touched_and_not_whole_arrays():
    (rows,) = costs("fn main(t: f32[1000, 8], i: i32[3]) -> f32[3, 8] { return gather(t, i, axis=0) }")
    assert sizes(rows)[1] == 3 * 4 + 2 * (3 * 8 * 4)
    (part,) = costs("fn main(x: f32[100]) -> f32[10] { return x[20:30] + 1 }")
    assert sizes(part) == (10, 80)


def test_cost_of_symbolic_dims_is_an_expression():
    (cost,) = costs("dim n = 4 in 1..64\nfn main(x: f32[n, 8], w: f32[8, 2]) -> f32[n, 2] { return x @ w }")
    for n in (1, 7, 64):
        assert sizes(cost, n=n) == (2 * n * 8 * 2, 4 * (8 * n + 16 + 2 * n))


# -- profiles -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "layers.tg"
    path.write_text(LAYERS)
    return path


def profile(source: str | Path, threads: int, repeats: int = 3) -> Profile:
    model = irkit.compile(source, threads=threads)
    arg = model.inputs[0]
    shape = [int(d) for d in arg.dims]
    return model.profile(np.ones(shape, np.float32), repeats=repeats)


@pytest.mark.parametrize("threads", [1, 2])
def test_profile_of_layers(layers: Path, threads: int):
    found = profile(layers, threads)
    assert (found.name, found.threads, found.repeats, found.dropped) == ("layers", threads, 3, 0)
    kernels = found.kernels
    assert [k.sources[0].line for k in kernels] == [4, 5, 6]
    assert all(s.file == str(layers) for k in kernels for s in k.sources)
    assert [k.flops for k in kernels[:2]] == [2 * 8 * 32 * 32 + 8 * 32, 2 * 8 * 32 * 32]
    assert kernels[1].bytes == 4 * (8 * 32 + 32 * 32 + 8 * 32)
    for k in kernels:
        assert k.calls == 1 and 0 < k.seconds <= found.seconds and k.total_seconds > 0
        assert k.roofline is not None and k.roofline > 0 and 0 < k.share <= 1
        assert k.flops_per_second == pytest.approx(k.flops / k.seconds)
    assert {e.thread for e in found.events} == set(range(threads))
    for thread in range(threads):
        mine = [e for e in found.events if e.thread == thread]
        assert [e.task for e in mine if e.task is not None] == [0, 1, 2]
        assert all(a.begin + a.seconds <= b.begin + 1e-9 for a, b in itertools.pairwise(mine))
        assert (None in [e.task for e in mine]) == (threads > 1) or threads == 1


def test_profile_of_a_loop_counts_each_iteration():
    found = profile(LOOP, 2, repeats=2)
    assert sum(k.calls for k in found.kernels) == 5
    assert sum(e.task is not None and e.thread == 1 for e in found.events) == sum(
        t.calls for t in found.tasks
    )
    (kernel,) = found.kernels
    assert kernel.flops == 2 * 16**3 + 16**2
    assert kernel.total_seconds >= kernel.seconds


def test_profile_gives_the_sizes_of_symbolic_dims():
    model = irkit.compile(
        "dim n = 4 in 1..64\nfn main(x: f32[n, 8]) -> f32[n, 8] { return x * 2 }", threads=1
    )
    for n in (1, 5):
        (kernel,) = model.profile(np.ones((n, 8), np.float32), repeats=1).kernels
        assert (kernel.flops, kernel.bytes) == (8 * n, 64 * n)


def test_instrumented_runs_leave_the_program_as_it_was():
    model = irkit.compile(LOOP, threads=2)
    x = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    before = model(x)
    model.profile(x, repeats=1)
    np.testing.assert_array_equal(model(x), before)
    assert "IRK_TASK" not in model.source and "clock_gettime" not in model.source


def test_instrumentation_adds_to_the_text_and_changes_no_kernel():
    from lowering.c.emit import emit_program
    from lowering.c.record import Recorder

    target, recorder = get_target(), Recorder()
    plain = emit_c(irkit.lower(LAYERS), target, "same")
    recorded = emit_program(irkit.lower(LAYERS), target, "same", recorder).source
    kept = set(recorded.splitlines())
    changed = [line for line in plain.splitlines() if line not in kept]
    assert len(changed) == len(recorder.tasks)
    assert all(line.strip().startswith(("k_", "irk_")) for line in changed)
    assert [t.kind for t in recorder.tasks].count("kernel") == 3


def test_a_program_of_unknown_source_has_no_profile():
    model = irkit.compile(MATMUL)
    model.origin = None
    with pytest.raises(irkit.IrkitError, match="the source of"):
        model.profile(np.ones((M, K), np.float32), np.ones((K, N), np.float32))


def test_profile_refuses_no_runs():
    model = irkit.compile(LOOP)
    with pytest.raises(irkit.IrkitError, match="0 times"):
        model.profile(np.ones((16, 16), np.float32), repeats=0)


# -- the roofs ------------------------------------------------------------------------------------------------


def test_the_machine_is_measured_once(monkeypatch: pytest.MonkeyPatch):
    compiler, target = find_compiler(), get_target()
    found = roofline.machine(compiler, target, 1)
    assert found.flops32 > found.flops64 * 0.5 > 0
    assert found.flops32 > found.exps32 > 1e6
    assert [size for size, _ in found.bandwidths] == sorted(size for size, _ in found.bandwidths)
    monkeypatch.setattr(roofline, "_measure", lambda *_: pytest.fail("not from the cache"))
    assert roofline.machine(compiler, target, 1) == found


def test_streams_are_measured_by_what_is_read_and_written():
    compiler, target = find_compiler(), get_target()
    for read, written in ((1 << 16, 1 << 16), (1 << 16, 0), (0, 1 << 16), (100, 1 << 12)):
        assert roofline.stream_rate(compiler, target, 1, read, written) > 1e6


def test_the_roof_is_the_lower_of_two():
    machine = roofline.Machine(100.0, 50.0, ((10, 8.0), (1000, 4.0)), 25.0)
    assert machine.seconds(1000, 8) == 10 and machine.seconds(1000, 8, is_double=True) == 20
    assert machine.seconds(10, 8) == 1 and machine.seconds(10, 100) == 25
    assert machine.bandwidth(5000) == 4.0


# -- the command line -----------------------------------------------------------------------------------------


def test_run_prints_a_profile_and_writes_a_trace(layers: Path, tmp_path: Path):
    file = tmp_path / "trace.json"
    code, out, err = irkit_cli(
        "run", layers, "--profile", "--repeat", 3, "--threads", 2, "--trace-file", file
    )
    assert code == 0, err
    for text in (
        "GFLOP/s",
        "GB/s",
        "roofline",
        "layers.tg:4",
        "layers.tg:5",
        "between calls",
        "medians of 3",
    ):
        assert text in out
    data = json.loads(file.read_text())
    rows = [r for r in data["traceEvents"] if r["ph"] == "X"]
    names = {r["args"]["name"] for r in data["traceEvents"] if r["ph"] == "M" and r["name"] == "thread_name"}
    assert names == {"thread 0", "thread 1"} == {f"thread {r['tid']}" for r in rows}
    kernels = [r for r in rows if r["cat"] == "kernel"]
    assert len(kernels) == 6
    for row in rows:
        assert row["ts"] >= 0 and row["dur"] >= 0 and row["pid"] == 1
    for row in kernels:
        assert row["args"].keys() == {"source", "flops", "bytes"}
        assert row["name"] in out and row["args"]["source"].startswith(str(layers))
    assert min(r["ts"] for r in rows) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["trace.json"]


def test_trace_holds_the_events_of_the_profile():
    found = profile(LOOP, 1, repeats=1)
    rows = [r for r in trace(found)["traceEvents"] if r["ph"] == "X"]
    assert len(rows) == len(found.events)
    assert [r["dur"] for r in rows] == [e.seconds * 1e6 for e in found.events]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "--repeat", "0"], "cannot repeat a run 0 times"),
        (["--repeat", "3"], "--repeat without a profile"),
        (["--trace-file", "none/trace.json"], "cannot write 'none/trace.json'"),
        (["--trace-file", "/dev/null/trace.json"], "is a file"),
        (["--dump-intermediates", "/dev/null/dump"], "is a file"),
    ],
)
def test_bad_options_end_in_errors(layers: Path, options: list[str], message: str):
    code, out, err = irkit_cli("run", layers, *options)
    assert code == 1 and message in err and not out and "Traceback" not in err
