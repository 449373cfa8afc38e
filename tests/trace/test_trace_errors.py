"""Each fault of a traced function: its place in Python, its words, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import irkit
from irkit import nn, ops

X = np.ones((3, 4), np.float32)
kept: list[irkit.Tensor] = []


def change(x: Any) -> Any:
    x[0] = 1
    return x


def leak(x: Any) -> Any:
    def body(i, c):
        kept[:] = [c]
        return c + 1

    y = irkit.fori(0, 3, body, x)
    return y + kept[0]


BAD: dict[str, tuple[Callable[..., Any], str, str, str]] = {
    "truth": (lambda x: x if x.sum() > 0 else -x, "the truth of a tensor is not known", "x.sum() > 0", "irkit.cond"),
    "chained": (lambda x: 0 < x < 1, "the truth of a tensor is not known", "0 < x < 1", "np.where"),
    "float": (lambda x: float(x[0, 0]), "the number in a tensor is not known", "float(x[0, 0])", "leave it a tensor"),
    "range": (lambda x: x[range(3)[ops.argmax(x[0])]], "an index from a tensor", "range(3)[ops.argmax(x[0])]", "irkit.fori"),
    "array": (lambda x: np.asarray(x), "an element of a tensor is not known", "np.asarray(x)", "irkit.ops"),
    "in place": (change, "a tensor cannot be changed in place", "x[0]", ".at[i].set(v)"),
    "out": (lambda x: np.add(x, 1, out=x), "a tensor cannot be changed in place", "np.add(x, 1, out=x)", "x = x + y"),
    "shapes": (lambda x: x @ x, "inner dims of matmul differ: 4 against 3", "x @ x", "transpose one"),
    "dtypes": (lambda x: x + np.ones(4), "add needs operands of one dtype", "x + np.ones(4)", '.astype("f32")'),
    "number": (lambda x: x.astype("i32") + 0.5, "0.5 is no i32", 'x.astype("i32") + 0.5', 'x.astype("f32")'),
    "division": (lambda x: x.astype(int) / 2, "/ of integers gives floats", "x.astype(int) / 2", "a // b"),
    "function": (lambda x: np.convolve(x[0], x[1]), "np.convolve has no op", "np.convolve(x[0], x[1])", "irkit.ops"),
    "near": (lambda x: np.arctanh(x), "np.arctanh has no op", "np.arctanh(x)", "did you mean 'irkit.ops."),
    "argument": (lambda x: nn.softmax(x, dim=1), "softmax has no argument 'dim'", "nn.softmax(x, dim=1)", "softmax(x, axis=-1)"),
    "operands": (lambda x: ops.matmul(x), "wrong arguments for matmul", "ops.matmul(x)", "matmul(a, b)"),
    "numpy argument": (lambda x: np.sum(x, where=x > 0), "np.sum of tensors does not take", "np.sum(x, where=x > 0)", "where"),
    "object": (lambda x: np.maximum(x, "a"), "an object of type 'str' is no tensor", 'np.maximum(x, "a")', "NumPy array"),
    "mask": (lambda x: x[x > 0], "an index is an integer", "x[x > 0]", "np.where(mask, x, 0)"),
    "indices": (lambda x: x[np.array([0]), np.array([1])], "two tensors as indices", "x[np.array([0]), np.array([1])]", "gather_nd"),
    "index": (lambda x: x[5], "index 5 is out of range", "x[5]", "a dim of size 3"),
    "leak from a body": (leak, "a tensor of the body of a loop", "y + kept[0]", "carry it"),
    "returns a number": (lambda x: 3, "'main' returns what is no tensor", "", "an object of type 'int'"),
    "spectral norm": (lambda x: np.linalg.norm(x, 2), "np.linalg.norm of tensors is the one of squares", "np.linalg.norm(x, 2)", "ord=2"),
    "inner": (lambda x: np.inner(x, x[None]), "np.inner of more than two dims", "np.inner(x, x[None])", "np.einsum"),
    "returns an array": (lambda x: (x, np.ones((2, 2))), "'main' returns what is no tensor", "", "an object of type 'ndarray'"),
    "name of a parameter": (lambda x: irkit.param("é", X), "'é' cannot be the name of a parameter", 'irkit.param("é", X)', "ASCII letters"),
    "returns nothing": (lambda x: None, "'main' returns what is no tensor", "", "nothing"),
    "carry": (lambda x: irkit.scan(lambda c, r: (c, r), 0.0, x), "a number without a dtype cannot be carried", "irkit.scan(lambda c, r: (c, r), 0.0, x)", "np.float32(0.0)"),
    "carry type": (lambda x: irkit.fori(0, 2, lambda i, c: c[:1], x), "'carry' changes its type in the loop", "irkit.fori(0, 2, lambda i, c: c[:1], x)", "dim 0 is 1 and not 3"),
    "carry form": (lambda x: irkit.fori(0, 2, lambda i, c: (c, c), x), "gives another structure", "irkit.fori(0, 2, lambda i, c: (c, c), x)", ""),
    "ways": (lambda x: irkit.cond(x.sum() > 0, lambda: x, lambda: x[0]), "two ways of a choice give different types", "irkit.cond(x.sum() > 0, lambda: x, lambda: x[0])", "ranks differ"),
    "condition": (lambda x: irkit.cond(x > 0, lambda: x, lambda: x), "a condition is a bool of rank 0", "irkit.cond(x > 0, lambda: x, lambda: x)", "x.any()"),
    "param": (lambda x: x + irkit.param("w", 3), "'w' is filled by an array or an initialiser", 'irkit.param("w", 3)', "irkit.init.zeros"),
    "param name": (lambda x: x + irkit.param("x", X), "'x' is an input", 'irkit.param("x", X)', "another name"),
    "dtype": (lambda x: x.astype("float"[:3]), "unknown dtype 'flo'", 'x.astype("float"[:3])', "f64, f32"),
    "setting": (lambda x: x + irkit.init.normal([4], sed=1), "normal has no setting 'sed'", "irkit.init.normal([4], sed=1)", "did you mean 'seed'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_fault_is_told_at_its_place(name: str):
    fn, message, code, hint = BAD[name]
    with pytest.raises(irkit.TraceError) as caught:
        irkit.trace(fn)(X)
    text = str(caught.value)
    first, line, caret, *_ = text.split("\n")
    assert re.match(rf".*test_trace_errors\.py:\d+:\d+: error: .*{re.escape(message)}", first), text
    assert hint in text
    start = caret.index("^")
    marked = line[start : start + len(caret.strip())]
    assert not code or marked == code


def test_a_tensor_of_another_trace_is_told():
    irkit.trace(lambda x: kept.append(x) or x)(X)
    with pytest.raises(irkit.TraceError, match="a tensor of another trace"):
        irkit.trace(lambda x: x + kept[-1])(X)


@pytest.mark.parametrize(
    ("call", "message"),
    (
        (lambda: ops.zeros([2]), "zeros is for traced functions"),
        (lambda: irkit.scan(None, None), r"irkit\.scan is for traced functions"),
        (lambda: irkit.trace(lambda x: x)(), "missing a required argument: 'x'"),
        (lambda: irkit.trace(lambda x: x)(irkit.spec([2])), "'x' has no data"),
        (lambda: irkit.trace(lambda x: x)({1, 2}), "an argument of type 'set' is no tensor"),
        (lambda: irkit.dim("B", 9, 1, 4), "bad range of dim 'B'"),
        (lambda: irkit.dim("in", 9, 1, 4), "cannot be the name of a dim"),
        (lambda: irkit.spec([-1]), "'-1' is no size"),
    ),
)
def test_faults_outside_of_a_trace(call: Callable[[], Any], message: str):
    with pytest.raises(irkit.TraceError, match=message):
        call()


def test_a_failed_trace_leaves_nothing_behind():
    with pytest.raises(irkit.TraceError):
        irkit.trace(lambda x: x @ x)(X)
    with pytest.raises(irkit.TraceError, match="is for traced functions"):
        ops.zeros([2])
