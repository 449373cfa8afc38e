"""The bench's rows: programs that compile, results that equal the reference, work counted from the IR."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from irkit.lang import parse
from irkit.lang.format import format_text
from tools.bench import dynamic, formulas, gradient, limits, ours, race, rows
from tools.bench.data import data_of
from tools.bench.measure import Ratio
from tools.bench.peers import PEERS
from tools.bench.rows import TG, Row

SMALL: dict[str, Mapping[str, int]] = {
    "gemm": {"M": 9, "K": 20, "N": 33},
    "weights": {"M": 1, "K": 64, "N": 48},
    "bmm": {"B": 3, "M": 8, "K": 16, "N": 20},
    "mlp": {"B": 3},
    "ew": {"M": 5, "N": 40},
    "softmax": {"M": 5, "N": 40},
    "layernorm": {"M": 5, "N": 40},
    "attention": {"H": 2, "S": 20, "D": 8},
    "encoder": {"L": 2, "S": 8, "D": 24, "H": 3},
    "conv": {"C": 4, "O": 6, "S": 9, "K": 3, "P": 1, "G": 2},
    "cnn": {"B": 2},
    "jacobi2d": {"N": 20, "T": 4},
    "heat3d": {"N": 9, "T": 4},
    "train_mlp": {"B": 3},
    "train_cnn": {"B": 3},
    "train_gpt": {"B": 2, "S": 8, "D": 16, "H": 2, "V": 20},
}
"""Every family with dims that take no time."""


def small(family: str) -> Row:
    return Row(f"small_{family}", family, SMALL[family])


def test_every_family_is_tried_here():
    assert (
        {path.stem for path in TG.glob("*.tg")} | {"train_gpt"}
        == set(SMALL)
        == {row.family for row in rows.ROWS} | {"attention", "cnn"}
    )


def test_networks_get_random_weights(tmp_path: Path):
    onnx = pytest.importorskip("onnx")
    from tools.bench.models import light

    light.write("squeezenet", tmp_path / "squeezenet.onnx")
    model = onnx.load(tmp_path / "squeezenet.onnx")
    assert "ConstantOfShape" not in {node.op_type for node in model.graph.node}
    assert [i.name for i in model.graph.input] == ["data_0"]
    assert any(onnx.numpy_helper.to_array(t).std() > 0 for t in model.graph.initializer)


def test_names_are_unique_and_rows_to_come_have_a_reason():
    assert len(set(rows.NAMES)) == len(rows.NAMES)
    assert {"train_resnet50", "spmm", "gcn2"} <= rows.NOT_YET.keys() and all(rows.NOT_YET.values())
    assert rows.find("attention2048") is not None and rows.find("spmm") is None


@pytest.mark.parametrize("row", rows.ROWS, ids=lambda row: row.name)
def test_programs_parse_and_declare_the_dims_of_their_rows(row: Row):
    text = row.text()
    declared = {line.split()[1] for line in text.splitlines() if line.startswith("dim ")}
    assert parse(text, row.file).decls and row.sizes().keys() <= declared


@pytest.mark.parametrize("path", sorted(TG.glob("*.tg")), ids=lambda path: path.name)
def test_programs_are_laid_out(path):
    assert format_text(path.read_text()) == path.read_text()


@pytest.mark.parametrize("family", SMALL)
def test_our_results_equal_the_reference(family: str):
    row = small(family)
    data = data_of(row)
    exact, tolerance = formulas.reference(row, data)
    assert tolerance < 1e-3
    race.check(ours.prepare(row, data, 1).candidate.result(), exact, tolerance)


def test_a_program_for_every_size_races_those_for_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    family = dynamic.Open(small("mlp"), "B", (1, 7))
    assert "dim B = 7 in 1..7" in dynamic.opened(family)
    found = list(dynamic.race(family, rounds=1))
    assert [f.size for f in found] == [1, 7] and all(f.open > 0 < f.fixed for f in found)
    slow = replace(found[0], slowdown=Ratio(2.0, 1.9, 2.1))
    monkeypatch.setattr(dynamic, "race", lambda family: [slow])
    monkeypatch.setattr(dynamic, "pin", lambda count: None)
    assert dynamic.main(["mlp"]) == 1
    assert "| mlp | B | 1 |" in capsys.readouterr().out


def test_a_wrong_result_is_refused():
    exact = np.ones(3)
    with pytest.raises(ArithmeticError, match="off by"):
        race.check(exact + 1e-3, exact, 1e-5)
    with pytest.raises(ArithmeticError, match="off by"):
        race.check(np.array([1, np.nan, 1]), exact, 1e-5)
    with pytest.raises(ArithmeticError, match="shape"):
        race.check(np.ones(4), exact, 1e-5)


@pytest.mark.parametrize("peer", PEERS)
def test_peers_equal_the_reference(peer: str):
    """Every family that a peer has; at least one."""
    if missing := PEERS[peer].missing():
        pytest.skip(f"{', '.join(missing)} missing")
    had = 0
    for row in map(small, SMALL):
        data = data_of(row)
        candidate = PEERS[peer].load()(row, data, 1)
        if candidate is not None:
            with candidate.turn():
                race.check(candidate.result(), *formulas.reference(row, data))
                candidate.call()
            had += 1
    assert had


def test_a_gradient_is_timed_beside_its_loss(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    loss, both = gradient.times(small("train_mlp"), rounds=1)
    assert both > 0 < loss
    monkeypatch.setattr(gradient, "times", lambda row: (0.001, 0.005))
    assert gradient.main(["train_mlp", "gemm64"]) == 1
    assert capsys.readouterr().out == "train_mlp: loss 1 ms, with gradient 5 ms: 5.00\n"


# -- work and limits ------------------------------------------------------------------------------------------


def test_work_of_a_product_counts_flops_and_what_it_reads_and_writes():
    done = limits.work(small("gemm"))
    assert (done.flops, done.exps) == (2 * 9 * 20 * 33, 0)
    assert done.streams == {(4 * (9 * 20 + 20 * 33), 4 * 9 * 33): 1}
    assert done.bytes == 4 * (9 * 20 + 20 * 33 + 9 * 33)


def test_work_counts_exp_once_for_each_point():
    assert limits.work(small("softmax")).exps == 5 * 40
    assert limits.work(small("ew")).exps == 3 * 5 * 40  # erf, sigmoid, softmax
    assert limits.work(small("attention")).exps == 2 * 20 * 20


def test_work_of_a_loop_counts_its_rounds():
    assert limits.work(small("jacobi2d")).streams == {(4 * 20 * 20, 4 * 20 * 20): 4}


def test_the_longest_bound_binds():
    bound = limits.Limit({"FLOPs": 1.0, "exp": 3.0, "bytes": 2.0})
    assert (bound.binds, bound.least) == ("exp", 3.0)
    measured = limits.limit(limits.Work(10**6, 10**3, {(10**6, 10**6): 2}), 1)
    assert all(seconds > 0 for seconds in measured.seconds.values())


# -- a race ---------------------------------------------------------------------------------------------------


def test_a_race_from_end_to_end():
    row = small("gemm")
    (found,) = race.run(row, 1, ("numpy",), (None,), rounds=2)
    assert found.seconds.keys() == found.compile_seconds.keys() == {"irkit", "numpy"}
    assert found.standings[0].peer == "numpy" and not found.skipped and found.passed is None
    assert found.binds in found.limit and found.of_limit.median > 0
    assert found.work["flops"] == 2 * 9 * 20 * 33


def test_a_race_leaves_a_peer_out_that_fails(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("no such kernel\nat all")

    monkeypatch.setattr(type(PEERS["numpy"]), "load", lambda self: broken)
    row = small("gemm")
    (found,) = race.run(row, 1, ("numpy",), (None,), rounds=1)
    assert found.skipped == {"numpy": "RuntimeError: no such kernel"}
    assert found.standings[0].peer is None and found.seconds.keys() == {"irkit"}
