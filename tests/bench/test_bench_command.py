"""The bench's command line, its workers and its tables."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.bench import __main__ as command, budgets, memory, peers, report, scale, worker
from tools.bench.worker import Job

RATIO = {"median": 0.9, "low": 0.8, "high": 0.95}
RACE = {
    "kind": "race",
    "row": "gemm64",
    "threads": 1,
    "cc": "",
    "name": "irkit",
    "seconds": {"irkit": 0.002, "numpy": 0.0018, "torch": 0.003},
    "standings": [{"among": "all", "goal": 1.0, "peer": "numpy", "ratio": RATIO, "passed": False}],
    "in_geomean": True,
    "binds": "FLOPs",
    "of_limit": {"median": 0.5, "low": 0.4, "high": 0.6},
    "of_bytes": RATIO,
    "bandwidth": None,
    "compile_seconds": {"irkit": 1.0},
    "peak_bytes": 1 << 20,
    "array_bytes": 1 << 20,
    "versions": {"numpy": "2.4", "torch": "2.13"},
    "skipped": {"jax": "ImportError: no"},
    "memory": {},
    "shipped": {},
    "passed": False,
}
TO_COME = {"kind": "not yet", "row": "spmm", "threads": 1, "reason": "no sparse tensors"}
BUDGET = {
    "kind": "budget",
    "row": "compile-chain-of-1000",
    "budget": 3,
    "spent": {"seconds": 0.5, "steps": {"parse": 0.4}, "remark": "3 kernels"},
    "passed": True,
}


# -- the command line -----------------------------------------------------------------------------------------


def test_unknown_peers_and_rows_are_refused(capsys: pytest.CaptureFixture[str]):
    for argv, word in (
        (["--peers", "nympy"], "unknown peer nympy; known are ort, openvino"),
        (["--rows", "germ*"], "no row is called germ*"),
        (["--threads", "0"], "at least 1"),
        (["--scale", "width"], "invalid choice"),
    ):
        with pytest.raises(SystemExit) as stop:
            command.main(argv)
        assert stop.value.code == 2 and word in capsys.readouterr().err


def test_rows_are_listed_by_pattern(capsys: pytest.CaptureFixture[str]):
    assert command.main(["--rows", "gemv*,spmm,lit*", "--list"]) == 0
    assert capsys.readouterr().out.split() == ["gemv4096", "spmm", "lit-200-tests"]


def test_absent_peers_are_skipped_with_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(peers.Peer, "missing", lambda self: list(self.packages[:1]))
    jobs: list[Job] = []
    monkeypatch.setattr(worker, "start", lambda job: jobs.append(job) or [RACE])
    assert command.main(["--rows", "gemm64", "--peers", "jax,c"]) == 1  # RACE misses its goal
    told = capsys.readouterr()
    assert "peer jax is skipped: jax missing; pip install" in told.err and "peer c" not in told.err
    assert jobs == [Job(("gemm64",), 1, ("c",), (None,), 15)]


def test_rows_to_come_print_not_yet_and_fail_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    file, page = tmp_path / "figures.json", tmp_path / "page.md"
    argv = [
        "--rows",
        "spmm,train_resnet50,gcn2",
        "--threads",
        "1",
        "2",
        "--json",
        str(file),
        "--markdown",
        str(page),
    ]
    assert command.main(argv) == 0
    told = capsys.readouterr().out
    assert told.count("not yet") == 6 and "no sparse tensors" in told
    assert [r["row"] for r in json.loads(file.read_text())] == ["train_resnet50", "spmm", "gcn2"] * 2
    assert (
        "| spmm | 2 | not yet |" in page.read_text() and "`python -m tools.bench --rows" in page.read_text()
    )


def test_compilers_and_rounds_reach_the_worker(monkeypatch: pytest.MonkeyPatch):
    jobs: list[Job] = []
    monkeypatch.setattr(worker, "start", lambda job: jobs.append(job) or [])
    argv = [
        "--rows",
        "gemm64,parse*",
        "--threads",
        "1",
        "2",
        "--peers",
        "numpy",
        "--cc",
        "gcc,clang",
        "--rounds",
        "3",
    ]
    assert command.main(argv) == 0
    races = [Job(("gemm64",), n, ("numpy",), ("gcc", "clang"), 3) for n in (1, 2)]
    assert jobs == [*races, Job(("parse-3000-lines",))]


def test_a_run_that_is_broken_off_keeps_its_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def broken_off(job: Job) -> Iterator[dict]:
        yield RACE
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "start", broken_off)
    file = tmp_path / "figures.json"
    with pytest.raises(KeyboardInterrupt):
        command.main(["--rows", "gemm*", "--peers", "numpy", "--json", str(file)])
    assert json.loads(file.read_text()) == [RACE]


# -- workers --------------------------------------------------------------------------------------------------


def test_a_worker_runs_a_row_in_a_process_of_its_own():
    (found,) = worker.start(Job(("parse-3000-lines",)))
    assert found["row"] == "parse-3000-lines" and found["spent"]["seconds"] > 0


def test_where_a_worker_dies_the_row_is_at_fault_and_another_goes_on(monkeypatch: pytest.MonkeyPatch):
    started: list[tuple[str, ...]] = []

    def process(job: Job, cache: str, noise) -> list[dict | int]:
        started.append(job.rows)
        if len(started) == 1:
            print("Segmentation fault", file=noise, flush=True)
            return [{"row": "a"}, {"done": "a"}, -11]
        return [{"row": "c"}, {"done": "c"}, 0]

    monkeypatch.setattr(worker, "_process", process)
    found = list(worker.start(Job(("a", "b", "c"))))
    assert [r["row"] for r in found] == ["a", "b", "c"]
    assert found[1]["fault"] == "the worker ended with -11: Segmentation fault"
    assert started == [("a", "b", "c"), ("c",)]


def test_every_candidate_is_held_to_the_threads():
    one, two = worker.environment(1, "/cache"), worker.environment(2, "/cache")
    assert one["OMP_NUM_THREADS"] == one["NUMBA_NUM_THREADS"] == "1" and two["OPENBLAS_NUM_THREADS"] == "2"
    assert "multi_thread_eigen=false" in one["XLA_FLAGS"]
    assert "multi_thread_eigen" not in two.get("XLA_FLAGS", "")


def test_memory_of_a_candidate_counts_its_arrays():
    found = dict(memory.measured("gemm512", 1, [("numpy", None)]))
    assert 3 * 512 * 512 * 4 <= found["numpy"].memory < 1 << 30
    assert found["numpy"].shipped is None


def test_what_is_shipped_is_what_a_program_saves():
    found = dict(memory.measured("gemm64", 1, [("irkit", None)]))
    assert 10_000 < (found["irkit"].shipped or 0) < 1 << 20


def test_memory_is_measured_once_for_each_candidate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked: list[tuple] = []

    def measured(
        row: str, threads: int, candidates: list[tuple[str, str | None]]
    ) -> list[tuple[str, memory.Needs]]:
        asked.extend((row, threads, *c) for c in candidates)
        return [(name, memory.Needs(1 << 20, 5 if name == "irkit" else None)) for name, _ in candidates]

    races = [RACE | {"cc": "gcc", "memory": {}}, RACE | {"cc": "clang", "memory": {}}]
    monkeypatch.setattr(worker, "start", lambda job: races)
    monkeypatch.setattr(memory, "measured", measured)
    assert command.main(["--rows", "gemm64", "--peers", "numpy", "--memory"]) == 1
    peers = [("gemm64", 1, "numpy", None), ("gemm64", 1, "torch", None)]
    assert asked == [*peers, ("gemm64", 1, "irkit", "gcc"), ("gemm64", 1, "irkit", "clang")]
    assert all(r["memory"].keys() == {"numpy", "torch", "irkit"} for r in races)
    assert all(r["shipped"] == {"irkit": 5} for r in races)


# -- tables ---------------------------------------------------------------------------------------------------


def test_a_race_is_a_line_with_the_best_peers_first():
    (line,) = report.race_lines([RACE])
    assert line.passed is False
    assert line.cells == (
        "gemm64",
        "1",
        "2",
        "numpy 1.8, torch 3",
        "0.90",
        "0.80 to 0.95",
        "1.00",
        "50% FLOPs",
        "1.00",
        "arena 1.0",
        "",
    )


def test_the_bandwidth_that_would_do_is_told_and_colours_the_line():
    (line,) = report.race_lines([RACE | {"bandwidth": 0.9}])
    assert line.cells[6] == "1.00, or 90% of bytes" and line.passed is True


def test_measured_memory_stands_beside_the_least_of_the_peers():
    found = {"irkit": 3 << 20, "numpy": 2 << 20, "torch": 9 << 20}
    assert report.memory(RACE | {"memory": found}) == report.least(found) == "3.0; numpy 2.0"


def test_remarks_tell_the_mean_the_skipped_and_the_faults():
    results = [
        RACE,
        RACE | {"threads": 2},
        RACE | {"row": "gemm1021"},
        {"row": "ew", "fault": "IrkitError: no"},
    ]
    means = report.means(results)
    assert means[0] == "geometric mean of 1 of 19 rows, 1 thread: 0.90 (goal 1.15)"
    assert len(means) == 2 and "2 threads" in means[1]
    told = report.remarks(results)
    assert "gemm64: jax is left out: ImportError: no" in told and told[-1] == "ew: IrkitError: no"


def test_markdown_marks_what_is_missed():
    page = report.markdown([RACE, TO_COME, BUDGET], "python -m tools.bench")
    assert "| 1.00 missed |" in page and "| spmm | 1 | not yet | no sparse tensors |" in page
    assert "| compile-chain-of-1000 | 0.50 | 3 |" in page and "numpy 2.4" in page


def test_a_scale_has_no_goals_to_miss(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(worker, "start", lambda job: [RACE] if job.rows[0] == "gemm64" else [])
    assert command.main(["--scale", "gemm", "--peers", "numpy"]) == 0
    assert "geometric mean" not in capsys.readouterr().out


def test_curves_grow_by_their_last_two_points():
    races = [
        RACE
        | {"row": f"attention{n}", "seconds": {"irkit": n * n * 1e-6}, "peak_bytes": 64 * n, "array_bytes": 0}
        for n in (128, 256, 512)
    ]
    told = scale.growth(races, "attention")
    assert "time of irkit grows as size ** 2.00" in told
    assert "memory of irkit, all arrays grows as size ** 1.00" in told
    assert scale.size_of("compile-chain-of-30000") == 30000
    assert len({scale.size_of(row.name) for row in budgets.SCALE}) == len(budgets.SCALE)


def test_plots_are_drawn(tmp_path: Path):
    pytest.importorskip("matplotlib")
    from tools.bench import plot

    plot.ratios([RACE, RACE | {"threads": 2}, TO_COME], str(tmp_path / "ratios.svg"))
    plot.scale([RACE, RACE | {"row": "gemm128"}], str(tmp_path / "scale.svg"))
    for name in ("ratios", "scale"):
        assert "</svg>" in (tmp_path / f"{name}.svg").read_text()
