"""Choices and loops: bodies that see what is around them, conditions that data tells, named dims, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dialects.errors import IrkitError
from irkit.onnx import from_onnx
from tests.from_onnx import batches
from tests.from_onnx.models import info, model

INT, BOOL = TensorProto.INT64, TensorProto.BOOL
TRUE = helper.make_node("Constant", [], ["yes"], value=onnx.numpy_helper.from_array(np.array(True)))


def body(nodes, inputs, outputs) -> onnx.GraphProto:
    return helper.make_graph(
        nodes, "body", inputs, [helper.make_value_info(o, onnx.TypeProto()) for o in outputs]
    )


def counted(nodes, state=("a",), outputs=("yes", "a2"), shape=(3,)) -> onnx.GraphProto:
    """The body of a loop that goes on."""
    inputs = [info("i", [], INT), info("go", [], BOOL), *(info(s, shape) for s in state)]
    return body([TRUE, *nodes], inputs, outputs)


def case(name: str, proto: onnx.ModelProto, inputs, outputs) -> batches.Case:
    return batches.Case(name, proto, inputs, outputs, 1e-5, 1e-6)


X = np.array([1.0, -2.0, 3.0], np.float32)


def captured() -> batches.Case:
    """A body uses the input, an initialiser and a value of the nodes before it; so does a body in it."""
    inner = counted([helper.make_node("Mul", ["b", "w"], ["b2"])], ("b",), ("yes", "b2"))
    outer = counted(
        [
            helper.make_node("Add", ["a", "x2"], ["a1"]),
            helper.make_node("Loop", ["two", "", "a1"], ["a2"], body=inner, name="inner"),
        ]
    )
    nodes = [
        helper.make_node("Add", ["x", "x"], ["x2"]),
        helper.make_node("Loop", ["three", "", "x"], ["y"], body=outer, name="outer"),
    ]
    data = {
        "two": np.array(2, np.int64),
        "three": np.array(3, np.int64),
        "w": np.array([1, 2, 0.5], np.float32),
    }
    y = X
    for _ in range(3):
        y = (y + 2 * X) * data["w"] ** 2
    return case("captured", model(nodes, [info("x", [3])], ["y"], data), [X], [y])


def choice_in_a_loop(limit: int | None) -> batches.Case:
    """As long as the sum stays below a bound, which the state tells; one way of the choice is a value from around."""
    ways = [
        body([helper.make_node("Mul", ["a", "w"], ["z"])], [], ["z"]),
        body([helper.make_node("Identity", ["x"], ["z"])], [], ["z"]),
    ]
    nodes = [
        helper.make_node("Less", ["i", "two"], ["early"]),
        helper.make_node("If", ["early"], ["d"], then_branch=ways[0], else_branch=ways[1]),
        helper.make_node("Add", ["a", "d"], ["a2"]),
        helper.make_node("ReduceSum", ["a2"], ["s"], keepdims=0),
        helper.make_node("Less", ["s", "bound"], ["again"]),
    ]
    inputs = [info("i", [], INT), info("go", [], BOOL), info("a", [3])]
    loop = helper.make_node(
        "Loop", ["most" if limit else "", "go0", "x"], ["y"], body=body(nodes, inputs, ["again", "a2"])
    )
    data = {
        "w": np.array(2, np.float32),
        "two": np.array(2, np.int64),
        "bound": np.array(40, np.float32),
        "most": np.array(limit or 0, np.int64),
    }
    proto = model([loop], [info("x", [3]), info("go0", [], BOOL)], ["y"], data)
    y, i = X, 0
    while i < (limit or 100) and (i == 0 or y.sum() < 40):
        y, i = y + (y * 2 if i < 2 else X), i + 1
    return case(f"choice in a loop {limit}", proto, [X, np.array(True)], [y])


def rows_of_a_scan() -> batches.Case:
    """Backwards over the columns of one and forwards over the rows of another, with a value from around."""
    step = body(
        [
            helper.make_node("Add", ["s", "a"], ["t"]),
            helper.make_node("Mul", ["t", "b"], ["u"]),
            helper.make_node("Sub", ["u", "x"], ["s2"]),
        ],
        [info("s", [3]), info("a", [3]), info("b", [3])],
        ["s2", "t"],
    )
    node = helper.make_node(
        "Scan", ["x", "p", "q"], ["last", "all"], body=step, num_scan_inputs=2, scan_input_axes=[1, 0],
        scan_input_directions=[1, 0], scan_output_axes=[-1], scan_output_directions=[1],
    )  # fmt: skip
    rng = np.random.default_rng(2)
    p, q = rng.standard_normal((3, 4)).astype(np.float32), rng.standard_normal((4, 3)).astype(np.float32)
    s, made = X, []
    for k in range(4):
        t = s + p[:, 3 - k]
        s = t * q[k] - X
        made.append(t)
    proto = model([node], [info("x", [3]), info("p", [3, 4]), info("q", [4, 3])], ["last", "all"])
    return case("scan", proto, [X, p, q], [s, np.stack(made[::-1], axis=-1)])


def stacked_twice() -> batches.Case:
    """A loop in a loop, both of which give something in each round."""
    inner = counted([helper.make_node("Add", ["b", "a"], ["b2"])], ("b",), ("yes", "b2", "b2"))
    outer = counted(
        [helper.make_node("Loop", ["two", "", "a"], ["a2", "rows"], body=inner)],
        ("a",),
        ("yes", "a2", "rows"),
    )
    node = helper.make_node("Loop", ["two", "", "x"], ["y", "all"], body=outer)
    proto = model([node], [info("x", [3])], ["y", "all"], {"two": np.array(2, np.int64)})
    rows = [[2 * X, 3 * X], [6 * X, 9 * X]]
    return case("stacked twice", proto, [X], [9 * X, np.array(rows, np.float32)])


def test_loops_and_choices():
    cases = [
        captured(),
        choice_in_a_loop(None),
        choice_in_a_loop(3),
        rows_of_a_scan(),
        stacked_twice(),
        growing(),
    ]
    faults = [f"{o.name}: {o.kind} {o.reason}" for o in batches.run(cases, "-O0") if o.kind != "passed"]
    assert not faults, "\n".join(faults)


def growing() -> batches.Case:
    """A body whose types depend on the number of the round is written out: the sums of more and more elements."""
    nodes = [
        helper.make_node("Add", ["i", "one"], ["end"]),
        helper.make_node("Unsqueeze", ["end", "zeros"], ["ends"]),
        helper.make_node("Slice", ["x", "zeros", "ends"], ["part"]),
        helper.make_node("Concat", ["a", "part"], ["a2"], axis=0),
        helper.make_node("Gather", ["part", "i"], ["row"], axis=0),
    ]
    loop = helper.make_node(
        "Loop", ["n", "", "x"], ["y", "rows"], body=counted(nodes, outputs=("yes", "a2", "row"))
    )
    data = {"one": np.array(1, np.int64), "zeros": np.array([0], np.int64), "n": np.array(3, np.int64)}
    y = np.concatenate([X, X[:1], X[:2], X])
    return case("growing", model([loop], [info("x", [3])], ["y", "rows"], data), [X], [y, X])


def numbered() -> batches.Case:
    """What a body gives is the number of the round itself."""
    graph = counted([helper.make_node("Add", ["a", "a"], ["a2"])], outputs=("yes", "a2", "i"))
    node = helper.make_node("Loop", ["n", "", "x"], ["y", "all"], body=graph)
    proto = model([node], [info("x", [3])], ["y", "all"], {"n": np.array(3, np.int64)})
    return case("numbered", proto, [X], [8 * X, np.arange(3)])


def test_named_dims():
    """A loop as long as a dim, whose body carries a tensor of that dim."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Loop", ["n", "", "x"], ["y", "all"], body=counted(
            [helper.make_node("Add", ["a", "x"], ["a2"]), helper.make_node("ReduceSum", ["a2"], ["r"], keepdims=0)],
            outputs=("yes", "a2", "r"), shape=("N",),
        )),
    ]  # fmt: skip
    proto = model(nodes, [info("x", ["N"])], ["y", "all"], {"zero": np.array(0, np.int64)})
    program = from_onnx(proto, dims={"N": (1, 8)}).compile(threads=1)
    for size in (1, 5):
        x = np.arange(size, dtype=np.float32)
        y, rows = program(x)
        np.testing.assert_allclose(y, x * (size + 1))
        np.testing.assert_allclose(rows, [x.sum() * (k + 2) for k in range(size)])


def ways(*nodes: onnx.NodeProto) -> dict:
    names = ("then_branch", "else_branch")
    return {name: body([node], [], ["z"]) for name, node in zip(names, nodes, strict=True)}


def test_a_known_condition_leaves_one_way():
    node = helper.make_node(
        "If",
        ["p"],
        ["y"],
        **ways(helper.make_node("Neg", ["x"], ["z"]), helper.make_node("Concat", ["x", "x"], ["z"], axis=0)),
    )
    proto = model([node], [info("x", [3])], ["y"], {"p": np.array(False)})
    assert "concat" in from_onnx(proto).mlir() and "graph.if" not in from_onnx(proto).mlir()


def refused(proto: onnx.ModelProto) -> str:
    with pytest.raises(IrkitError) as caught:
        from_onnx(proto)
    return str(caught.value)


def test_ways_of_different_types():
    """Of other shapes, of other dtypes: the error names the node, both types and the input that would decide."""
    p = info("p", [], BOOL)
    neg, two = helper.make_node("Neg", ["x"], ["z"]), helper.make_node("Concat", ["x", "x"], ["z"], axis=0)
    cast = helper.make_node("Cast", ["x"], ["z"], to=TensorProto.DOUBLE)
    for other, found in ((two, "f32[3] and f32[6]"), (cast, "f32[3] and f64[3]")):
        node = helper.make_node("If", ["p"], ["y"], name="choose", **ways(neg, other))
        text = refused(model([node], [p, info("x", [3])], ["y"]))
        assert "node 'choose' (If)" in text and found in text and "--input p=VALUE" in text


def test_refused_loops():
    more = counted([helper.make_node("Concat", ["a", "x"], ["a2"], axis=0)])
    loop = helper.make_node("Loop", ["n", "", "x"], ["y"], body=more, name="grows")
    text = refused(model([loop], [info("x", [3])], ["y"], {"n": np.array(2, np.int64)}))
    assert "changes its type in the loop" in text and "node 'grows' (Loop)" in text
    steps = counted([helper.make_node("Neg", ["a"], ["a2"])], outputs=("yes", "a2", "a2"))
    loop = helper.make_node("Loop", ["n", "", "x"], ["y", "all"], body=steps, name="rows")
    text = refused(model([loop], [info("n", [], INT), info("x", [3])], ["y", "all"]))
    assert "node 'rows' (Loop) needs to know the number of rounds while importing" in text
    assert "--input n=VALUE" in text
    nothing = body([TRUE], [info("i", [], INT), info("go", [], BOOL), info("a", [3])], ["yes", "missing"])
    loop = helper.make_node("Loop", ["n", "", "x"], ["y"], body=nothing, name="empty")
    assert "a body that gives nothing for an output" in refused(
        model([loop], [info("x", [3])], ["y"], {"n": np.array(2, np.int64)})
    )
