"""Calling a loaded program: what is taken as it is, what is copied, what is refused, and with which words."""

import os
import threading
import warnings

import numpy as np
import pytest

import irkit
from dialects.errors import IrkitError
from irkit.runtime.module import LayoutWarning, Program
from tests.levels.programs import programs
from tests.runtime.handmade import load

X = np.arange(6, dtype=np.float32).reshape(2, 3)
W = np.array([1, 2, 3], np.float32)


@pytest.fixture(scope="module", name="program")
def _program(shared_cache) -> Program:
    os.environ["IRKIT_CACHE_DIR"] = str(shared_cache)
    return load(w=W)


def test_by_position_and_by_name(program: Program):
    expected = X * W + 1
    for y, total in (program(X, 1), program(X, float=1), program(float=1, x=X)):
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(total, expected.sum(1))


def test_a_parameter_is_replaced_for_one_call(program: Program):
    np.testing.assert_array_equal(program(X, 0, w=np.ones(3, np.float32))[0], X)
    np.testing.assert_array_equal(program(X, 0)[0], X * W)


def test_contiguous_arrays_are_not_copied(program: Program):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call = program.prepare(X[1:], np.asarray(1, np.int32))
    assert np.shares_memory(call.arrays["x"], X)


@pytest.mark.parametrize(
    "array, why",
    [
        (np.asfortranarray(X), "in Fortran order"),
        (np.repeat(X, 2, 1)[:, ::2], "not contiguous"),
        (np.frombuffer(b"0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 3), "not aligned"),
        (X[::-1], "not contiguous"),
    ],
)
def test_other_layouts_are_copied_with_a_warning(program: Program, array: np.ndarray, why: str):
    with pytest.warns(LayoutWarning, match=f"'x' of scale is copied: it is {why}") as caught:
        y, _ = program(array, 0)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(y, array * W)


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_symbolic_dims_follow_the_shapes(program: Program, rows: int):
    y, total = program(np.ones((rows, 3), np.float32), 0)
    assert y.shape == (rows, 3) and total.shape == (rows,)


REFUSED = {
    "dtype": ((X.astype(np.float64), 1), {}, "wrong dtype", "float64", "float32", "astype"),
    "byte order": ((X.astype(">f4"), 1), {}, "wrong dtype", "foreign byte order", "float32", "astype"),
    "rank": ((X[0], 1), {}, "wrong shape", "f32[3]", "f32[B, 3]", "2 dims instead of 1"),
    "shape": ((X[:, :2].copy(), 1), {}, "wrong shape", "f32[2, 2]", "f32[B, 3] with B = 2", "dim 1"),
    "too large": ((np.ones((9, 3), np.float32), 1), {}, "outside of its range", "B = 9", "1..8", ""),
    "empty": ((np.ones((0, 3), np.float32), 1), {}, "outside of its range", "B = 0", "1..8", ""),
    "missing": ((X,), {}, "missing argument", "x", "float: i32", ""),
    "extra": ((X, 1, X), {}, "too many arguments", "3", "at most 2: x, float", "by name"),
    "unknown": ((X, 1), {"ww": W}, "no argument 'ww'", "", "x, float, w", "did you mean 'w'"),
    "twice": ((X, 1), {"x": X}, "given twice", "", "", ""),
    "result": ((X, 1), {"y": X}, "'y' is a result", "", "", "`out`"),
    "list": (([[1, 2, 3]], 1), {}, "no NumPy array", "list", "f32[B, 3]", "asarray"),
    "float for int": ((X, 1.5), {}, "no NumPy array", "float", "i32", ""),
    "too big": ((X, 2**40), {}, "no NumPy array", "int", "i32", ""),
    "parameter": ((X, 1), {"w": W[:2]}, "wrong shape", "f32[2]", "f32[3]", "dim 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(program: Program, case: str):
    args, named, message, found, expected, hint = REFUSED[case]
    with pytest.raises(IrkitError) as caught:
        program(*args, **named)
    error = caught.value
    assert message in error.message
    assert found in (error.found or "") and expected in (error.expected or "") and hint in (error.hint or "")


def test_results_go_to_preallocated_arrays(program: Program):
    y, total = np.empty((2, 3), np.float32), np.empty(2, np.float32)
    for out in ((y, total), [y, total], {"y": y, "total": total}):
        y[:], total[:] = 0, 0
        results = program(X, 1, out=out)
        assert results[0] is y and results[1] is total
        np.testing.assert_array_equal(y, X * W + 1)
    results = program(X, 1, out={"total": total})
    assert results[1] is total and results[0] is not y


@pytest.mark.parametrize(
    "out, message",
    [
        (np.empty((2, 3), np.float32), "does not fit the results"),
        ((np.empty((2, 3), np.float32),) * 3, "does not fit the results"),
        ({"z": np.empty(2, np.float32)}, "does not fit the results"),
        ((np.empty((2, 3)), np.empty(2, np.float32)), "wrong dtype"),
        ((np.empty((3, 3), np.float32), np.empty(2, np.float32)), "wrong shape"),
        ((np.empty((2, 3), np.float32, order="F"), np.empty(2, np.float32)), "cannot be written in place"),
        ((np.broadcast_to(np.float32(0), (2, 3)), np.empty(2, np.float32)), "cannot be written in place"),
        ((X, np.empty(2, np.float32)), "overlaps 'x'"),
        ((buffer := np.empty((2, 3), np.float32), buffer.reshape(-1)[:2]), "overlaps 'y'"),
    ],
)
def test_refuses_preallocated_arrays(program: Program, out, message: str):
    with pytest.raises(IrkitError, match=message):
        program(X, 1, out=out)


def test_what_a_program_says_of_itself(program: Program):
    assert program.kernels == ("scale",) and program.name == "scale"
    assert (program.peak_bytes, program.lower_bound_bytes) == (12, 12)
    assert "scale_run" in program.source and "scale_args" in program.header
    assert "x: f32[B, 3]" in repr(program) and "total: f32[B]" in repr(program)


def test_without_a_value_for_a_parameter(shared_cache):
    bare = load()
    with pytest.raises(IrkitError, match="missing argument"):
        bare(X, 1)
    assert bare(X, 0, w=W)[0].shape == (2, 3)


def test_threads(shared_cache):
    assert load(threads=3, w=W)(X, 0)[0].shape == (2, 3)
    with pytest.raises(IrkitError, match="0 threads"):
        load(threads=0)


def test_calls_from_several_threads_take_turns(program: Program):
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = np.random.default_rng(seed).standard_normal((8, 3)).astype(np.float32)
        for _ in range(200):
            if not np.array_equal(program(x, seed)[0], x * W + np.float32(seed)):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_time_gives_seconds(program: Program):
    assert 0 < program.time(X, 1, repeats=3) < 1


def test_no_thread_writes_what_is_another_thread_s():
    """GCC's predictive commoning stored what an array held before, over what the other thread had just written."""
    _, text, _ = programs()["parallel_products"]
    rng = np.random.default_rng(0)
    alone, shared = (irkit.compile(text, threads=n) for n in (1, 2))
    x, im = (rng.standard_normal(s).astype(np.float32) for s in ((2, 3), (1, 1, 3, 3)))
    expected = [np.array(r) for r in alone(x=x, im=im)]
    call = shared.prepare(x=x, im=im)
    for _ in range(1000):
        assert all(map(np.array_equal, call.run(), expected))
