"""What keeps rows from many cores is counted from their IR."""

from __future__ import annotations

import pytest

from tools.bench.__main__ import main
from tools.bench.cores import scaling
from tools.bench.rows import Row


def test_pieces_and_barriers_of_a_chain_of_products():
    row = Row("mlp7", "mlp", {"B": 7})
    one, many = (scaling(row, cores) for cores in (1, 64))
    assert one.barriers == many.barriers == 2  # between three layers
    assert one.speedup < 1.01
    assert 1 < many.speedup <= many.pieces


def test_barriers_in_loops_count_for_each_round():
    done = scaling(Row("small", "jacobi2d", {"N": 64, "T": 7}), 4)
    assert (done.barriers, done.pieces) == (7, 64)
    assert done.bytes == 7 * 2 * 4 * 64 * 64
    assert done.waiting > 0.5  # 64 rows take no microsecond


def test_more_cores_than_pieces_help_no_further():
    row = Row("rows", "softmax", {"M": 8, "N": 4096})
    assert scaling(row, 8).many == pytest.approx(scaling(row, 64).many)


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]):
    assert main(["--cores", "16", "--rows", "gemm64"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("| row | barriers")
    assert [cell.strip() for cell in out[2].split("|")][1:4] == ["gemm64", "0", "5"]
