"""Derivatives of Python functions: inside traced functions, on arrays, of each other, nested arguments, own rules."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import irkit
from dialects import graph

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 3)).astype(np.float32)
P = {"w": RNG.standard_normal((3, 2)).astype(np.float32), "b": np.zeros(2, np.float32)}
Y = np.array([0, 1, 1, 0])
BIG = RNG.standard_normal((6, 4, 3)).astype(np.float32)


def loss(p, x, y):
    return irkit.nn.cross_entropy(x @ p["w"] + p["b"], y).mean()


def by_hand(p, x, y):
    """The value and the gradient of the loss with respect to p."""
    s = x @ p["w"] + p["b"]
    e = np.exp(s - s.max(1, keepdims=True))
    e /= e.sum(1, keepdims=True)
    d = (e - np.eye(2)[y]) / len(y)
    return -np.log(e[range(len(y)), y]).mean(), {"w": x.T @ d, "b": d.sum(0)}


def check(found, wanted):
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert_allclose(found[key], value, atol=1e-6)


def test_grad_on_arrays_is_nested_as_the_argument():
    value, wanted = by_hand(P, X, Y)
    check(irkit.grad(loss)(P, X, Y), wanted)
    found, gradient = irkit.value_and_grad(loss)(P, x=X, y=Y)
    assert_allclose(found, value, rtol=1e-5)
    check(gradient, wanted)
    both = irkit.grad(loss, argnums=(0, -2))(P, X, Y)
    check(both[0], wanted)
    assert both[1].shape == X.shape


def test_in_a_traced_function_with_tensors_from_around():
    @irkit.trace
    def step(p, x, y, rate):
        def regularised(p):
            return loss(p, x, y) + rate * (p["w"] ** 2).sum()

        return irkit.grad(regularised)(p)

    _, wanted = by_hand(P, X, Y)
    wanted["w"] = wanted["w"] + 2 * 0.25 * P["w"]
    check(step(P, X, Y, np.float32(0.25)), wanted)
    made = step.graph(P, X, Y, np.float32(0.25))
    (op,) = (o for o in made.module.walk() if isinstance(o, graph.VjpOp))
    assert len(op.inputs) == 2
    assert "irkit" not in str(made) and "softmax" in str(made)
    check({"w": made.interpret(P["w"], P["b"], X, Y, np.float32(0.25))[0]}, {"w": wanted["w"]})


def test_of_a_traced_function_and_of_each_other():
    f = irkit.trace(lambda x: np.sin(x) * x, threads=1)
    total = irkit.grad(lambda x: irkit.grad(lambda x: f(x).sum())(x).sum())
    assert_allclose(total(X), 2 * np.cos(X) - X * np.sin(X), rtol=1e-4)
    of_traced = irkit.grad(irkit.grad(irkit.trace(lambda x: x**3, threads=1)))
    assert of_traced(np.float32(2)) == 12
    assert of_traced.options["threads"] == 1


def test_has_aux():
    def f(x):
        return (x * x).sum(), {"half": x / 2, "n": x.argmax(axis=-1)}

    gradient, aux = irkit.grad(f, has_aux=True)(X)
    assert_allclose(gradient, 2 * X)
    assert_allclose(aux["half"], X / 2)
    assert_allclose(aux["n"], X.argmax(-1))
    (value, _), _ = irkit.value_and_grad(f, has_aux=True)(X)
    assert_allclose(value, (X * X).sum(), rtol=1e-5)


def test_vjp():
    out, pull = irkit.vjp(lambda x, w: {"y": x @ w, "n": x.argmax(axis=1)}, X, P["w"])
    assert_allclose(out["y"], X @ P["w"], rtol=1e-5)
    g = np.ones_like(out["y"])
    dx, dw = pull({"y": g, "n": None})
    assert_allclose(dx, g @ P["w"].T, rtol=1e-5)
    assert_allclose(dw, X.T @ g, rtol=1e-5)

    @irkit.trace
    def both(x, i):
        out, pull = irkit.vjp(lambda x, i: x[i].sum(), x, i)
        dx, di = pull(3.0)
        assert di is None
        return out, dx

    wanted = np.zeros_like(X)
    wanted[1] = 3
    assert_allclose(both(X, np.int64(1))[1], wanted)


def test_jvp_and_vmap_are_ops_of_the_graph():
    def f(x, n):
        return {"y": np.sin(x) * BIG[0], "n": n + 1}

    def along(x, t, n):
        out, moves = irkit.jvp(f, (x, n), (t, None))
        assert moves["n"] is None
        return out, moves["y"]

    made = irkit.trace(along).graph(X, X, np.int32(1))
    (op,) = (o for o in made.module.walk() if isinstance(o, graph.JvpOp))
    assert len(op.inputs) == 1 and len(op.results) == 3

    each = irkit.vmap(
        irkit.grad(lambda p, x: np.tanh(x @ p["w"]).sum()), in_axes=({"w": None}, 1), out_axes=-1
    )
    made = each.graph({"w": P["w"]}, X.T)
    (op,) = (o for o in made.module.walk() if isinstance(o, graph.VmapOp))
    assert op.dims_apart() == (1,) and str(op.results[0].type) == "tensor<4x3x2xf32>"
    assert [str(t) for t in made.func.function_type.outputs] == ["tensor<3x2x4xf32>"]


def test_a_dim_with_a_range():
    batch = irkit.dim("B", 4, 1, 64)
    made = irkit.grad(lambda x: (x * x).mean()).graph(irkit.spec([batch, 3]))
    assert_allclose(made.compile()(X), X / 6, rtol=1e-5)


def test_loops_and_choices():
    def f(x, n):
        y = irkit.fori(0, np.minimum(n, 4), lambda _, y: y * x, x)
        return irkit.cond(y.sum() > 0, lambda y: (y * 2).sum(), lambda y: y.sum(), y)

    x = np.abs(X)
    assert_allclose(irkit.grad(f)(x, np.int32(2)), 6 * x * x, rtol=1e-4)
    assert_allclose(irkit.grad(f)(-x, np.int32(2)), 3 * x * x, rtol=1e-4)


def test_stop_gradient():
    assert_allclose(irkit.grad(lambda x: (irkit.stop_gradient(x) * x).sum())(X), X)
    held = irkit.grad(lambda p: (irkit.stop_gradient(p)["w"] + p["w"]).sum())({"w": X})
    assert_allclose(held["w"], np.ones_like(X))
    assert irkit.stop_gradient([X, 2])[0] is X


# -- rules of one's own -------------------------------------------------------------------------------------------


def clipped():
    @irkit.custom_vjp
    def clip(x, by, low=0.0):
        return np.maximum(x["a"] * by, low) + (BIG * x["a"]).sum(axis=0)

    def forward(x, by, low=0.0):
        return clip(x, by, low), (x["a"], by)

    def backward(kept, g):
        a, by = kept
        return {"a": 2 * g * by + (BIG * a).sum(axis=0)}, None, None

    clip.defvjp(forward, backward)
    return clip


def test_custom_vjp():
    clip = clipped()
    by = np.float32(3)
    assert_allclose(clip({"a": X}, by), np.maximum(X * by, 0) + BIG.sum(0) * X, rtol=1e-5)
    found = irkit.grad(lambda x, by: clip(x, by).sum(), argnums=(0, 1))
    dx, dby = found({"a": X}, by)
    assert_allclose(dx["a"], 6 + BIG.sum(0) * X, rtol=1e-5)
    assert dby == 0
    (op,) = (o for o in found.graph({"a": X}, by).module.walk() if isinstance(o, graph.CustomOp))
    assert op.title.data == "clip" and op.backward is not None and len(op.operands) == 3
    op.verify()


def refused(f, message, hint=None, *args):
    with pytest.raises(irkit.TraceError) as caught:
        f(*(args or (X,)))
    assert caught.value.message == message
    assert hint is None or hint in (caught.value.hint or "")
    assert caught.value.loc is not None and caught.value.loc.file.endswith("test_trace_derivatives.py")


def test_errors():
    scalar = "irkit.grad takes a function that gives a float scalar"
    refused(irkit.grad(lambda x: x), scalar, "x.mean()")
    refused(irkit.grad(lambda x: (x.sum(), x)), scalar, "has_aux")
    refused(irkit.grad(lambda x: x.argmax(axis=0)[0]), scalar)
    refused(irkit.grad(loss, argnums=2), "'y' has no derivative", "argnums", P, X, Y)
    refused(irkit.grad(loss, argnums=3), "there is no such argument", None, P, X, Y)
    refused(irkit.grad(lambda x: x * 2), "'x' is a number without a dtype", "np.float32(2.0)", 2.0)
    refused(irkit.grad(lambda p: p[0]), "there is nothing to differentiate with respect to", None, [])
    refused(irkit.grad(lambda x: x.sum(), has_aux=True), "with has_aux the function gives two values")
    refused(irkit.grad, "irkit.grad takes a function", None, 3)
    refused(lambda x: irkit.jvp(np.sin, (x,), (x[0],)), "tangents of another type")
    refused(lambda x: irkit.jvp(lambda x: x + 1, (x,), (x, x)), "wrong number of tangents")
    refused(lambda x: irkit.vjp(lambda x: x + 1, x)[1](x[0]), "cotangents of another type")
    refused(irkit.vmap(lambda x: x, in_axes=(0, 1)), "in_axes has one entry for each argument")
    refused(irkit.vmap(lambda x: x, in_axes=None), "irkit.vmap takes nothing apart")
    refused(irkit.vmap(lambda x: x, in_axes=2), "there is no such dim to take apart along")
    refused(irkit.vmap(lambda x: x, in_axes=([0],)), "in_axes is not nested as the argument is")
    refused(irkit.vmap(lambda x: x, out_axes=2), "out_axes is a dim of the results")
    different = "the arguments of irkit.vmap have different numbers of parts"
    refused(irkit.vmap(lambda x, y: x), different, None, X, X.T)


def test_errors_of_own_rules():
    @irkit.custom_vjp
    def f(x, s):
        return x * s

    refused(f, "a function under custom_vjp has no rule yet", "f.defvjp", X, X)
    f.defvjp(lambda x, s: (x, s), lambda s, g: (g,))
    refused(f, "backward gives a tuple with a cotangent for each argument", None, X, X)
    f.defvjp(lambda x, s: (x, s), lambda s, g: (g[0], g))
    refused(f, "the cotangent of 'x' has another type", None, X, X)
    f.defvjp(lambda x, s: (x, s), lambda s, g: ([g, g], g))
    refused(f, "the cotangent of 'x' is not nested as it is", None, X, X)
    f.defvjp(lambda x, s: x, lambda s, g: (g, g))
    refused(f, "forward gives two values", None, X, X)

    @irkit.trace
    def around(x):
        h = irkit.custom_vjp(lambda y: y * x)
        h.defvjp(lambda y: (y, y), lambda y, g: (g,))
        return h(x)

    with pytest.raises(irkit.TraceError, match="uses a tensor from around it"):
        around(X)
