"""`irkit.custom_vjp`: a function with a derivative of its own, which becomes one op with a formula and a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import Block, Region, SSAValue

from dialects import graph
from dialects.graph.derivatives import has_tangent
from dialects.types import dims_of, type_text
from irkit.lang.builder import type_of
from irkit.lang.unparse.text import identifier
from irkit.tracing.bodies import wrap, zeros
from irkit.tracing.errors import TraceError, located, place
from irkit.tracing.operators import one
from irkit.tracing.state import current, is_number
from irkit.tracing.tensor import Tensor
from irkit.tracing.transformed import Transformed, is_tensor, names_of, results_in, transformed, yield_from
from irkit.tracing.tree import Node, Structure, flatten, unflatten


class CustomVjp(Transformed):
    """A function whose derivative is what `defvjp` says.

        @irkit.custom_vjp
        def clipped(x): ...

        clipped.defvjp(forward, backward)

    `forward(*args)` gives the result, which may be a call of the function, and what is kept; `backward(kept, cotangent)`
    gives a cotangent for each argument, None for zero. Both see what they are given alone. Forward mode differentiates the
    function.
    """

    forward: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None
    in_rule = False
    """Whether its rule is being traced, in which the function is itself."""

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Sets the rule."""
        self.forward, self.backward = forward, backward


def custom_vjp(f: Callable[..., Any]) -> CustomVjp:
    """Gives a function a derivative of its own; see `CustomVjp`."""

    def emit(*args: Any, **named: Any) -> Any:
        if found.in_rule:
            return f(*args, **named)
        if found.forward is None or found.backward is None:
            hint = f"{found.name}.defvjp(forward, backward)"
            raise TraceError("a function under custom_vjp has no rule yet", place(), hint=hint)
        if any(is_tensor(leaf) for leaf in named.values()):
            hint = "pass them by place"
            raise TraceError("a function under custom_vjp takes tensors by place", place(), hint=hint)
        with located():
            return _Call(found, f, args, named).result()

    made = transformed(f, "custom_vjp", emit)
    found = CustomVjp(made.fn, **made.options)
    found.fn.__name__ = getattr(f, "__name__", "custom")
    return found


class _Call:
    """One call: its operands, the formula and the rule for them."""

    def __init__(
        self,
        custom: CustomVjp,
        f: Callable[..., Any],
        args: Sequence[Any],
        named: dict[str, Any],
    ):
        self.custom, self.f = custom, f
        self.named = named
        self.taken = 0
        """How many parameters have become operands."""
        self.trace, self.loc = current("irkit.custom_vjp"), place()
        self.names = names_of(f, len(args))
        leaves, self.nesting = flatten(tuple(args), is_tensor)
        self.operands = [self.trace.value(leaf, None, self.loc) for _, leaf in leaves]

    def result(self) -> Any:
        trace = self.trace
        body = Block(arg_types=[v.type for v in self.operands])
        with trace.inside(body):
            made = self.f(*unflatten(self.nesting, wrap(trace, body.args)), **self.named)
            results, gives = results_in(trace, made, self.loc)
        yield_from(body, results, self.loc)
        self.custom.in_rule = True
        try:
            rule = self.rule(results, gives)
        finally:
            self.custom.in_rule = False
        extra = list(dict.fromkeys([*_around(body), *_around(rule)]))
        for value in extra:
            self.take(value, (body, rule))
        title = identifier(getattr(self.f, "__name__", "")).strip("_") or "custom"
        op = graph.CustomOp(title, [*self.operands, *extra], {}, Region(body), Region(rule))
        return unflatten(gives, wrap(trace, trace.builder.add(op, self.loc).results))

    def rule(self, results: Sequence[SSAValue], gives: Structure) -> Block:
        """The block of the rule, on operands, results and cotangents; a parameter that it reads gets zeros."""
        trace, count = self.trace, len(self.operands)
        floats = [r for r in results if has_tangent(r)]
        block = Block(arg_types=[v.type for v in (*self.operands, *results, *floats)])
        with trace.inside(block):
            args = unflatten(self.nesting, wrap(trace, block.args[:count]))
            forward, backward = self.custom.forward, self.custom.backward
            assert forward is not None and backward is not None
            both = forward(*args, **self.named)
            if not isinstance(both, tuple) or len(both) != 2:
                raise TraceError("forward gives two values", self.loc, expected="result, kept")
            seeds = iter(wrap(trace, block.args[count + len(results) :]))
            cotangents = [next(seeds) if has_tangent(r) else None for r in results]
            given = backward(both[1], unflatten(gives, cotangents))
            found = self.cotangents(given, block.args[:count])
        yield_from(block, found, self.loc)
        return block

    def cotangents(self, given: Any, operands: Sequence[SSAValue]) -> list[SSAValue]:
        """One for each operand of floats. Raises TraceError."""
        assert isinstance(self.nesting, Node)
        if not isinstance(given, tuple) or len(given) != len(self.names):
            raise TraceError(
                "backward gives a tuple with a cotangent for each argument",
                self.loc,
                found=f"{len(given)} of {len(self.names)}"
                if isinstance(given, tuple)
                else type(given).__name__,
                expected=f"one for each of {', '.join(self.names)}",
            )
        found: list[SSAValue] = []
        for name, value, part in zip(self.names, given, self.nesting.parts, strict=True):
            own = [operands[n] for n in _numbers(part)]
            floats = [v for v in own if has_tangent(v)]
            leaves = [leaf for _, leaf in flatten(value, lambda v: is_tensor(v) or is_number(v))[0]]
            if value is None:
                found += [zeros(self.trace, v.type, self.loc) for v in floats]
            elif len(leaves) != len(floats):
                raise TraceError(
                    f"the cotangent of '{name}' is not nested as it is",
                    self.loc,
                    found=f"{len(leaves)} tensors",
                    expected=str(len(floats)),
                )
            else:
                found += [self.like(v, leaf, name) for v, leaf in zip(floats, leaves, strict=True)]
        return found

    def like(self, operand: SSAValue, leaf: object, name: str) -> SSAValue:
        """A cotangent of the type of its operand; a number stands for a tensor of it. Raises TraceError."""
        trace = self.trace
        value = trace.value(leaf, type_of(operand).element_type, self.loc)
        if is_number(leaf) and dims_of(operand.type):
            value = one("broadcast", Tensor(trace, value), shape=list(dims_of(operand.type))).value
        if value.type != operand.type:
            raise TraceError(
                f"the cotangent of '{name}' has another type",
                self.loc,
                found=type_text(type_of(value)),
                expected=type_text(type_of(operand)),
            )
        return value

    def take(self, value: SSAValue, blocks: tuple[Block, Block]) -> None:
        """Makes a parameter that the function reads an operand, which has no cotangent. Raises TraceError for a tensor."""
        if not any(p.value is value for p in self.trace.params.values()):
            raise TraceError(
                f"'{getattr(self.f, '__name__', 'the function')}' has a rule and uses a tensor from around it",
                self.loc,
                found=type_text(type_of(value)),
                hint="pass it as an argument",
            )
        body, rule = blocks
        for block in blocks:
            at = len(body.args) if block is body else len(self.operands)
            arg = block.insert_arg(value.type, at if block is body else at + self.taken)
            for op in block.walk():
                for n, operand in enumerate(op.operands):
                    if operand is value:
                        op.operands[n] = arg
        self.taken += 1
        if has_tangent(value):
            last = rule.last_op
            assert last is not None
            made = Block()
            with self.trace.inside(made):
                zero = zeros(self.trace, value.type, self.loc)
            for op in list(made.ops):
                op.detach()
                rule.insert_op_before(op, last)
            last.operands = [*last.operands, zero]


def _around(block: Block) -> list[SSAValue]:
    """The values from around that a block uses."""
    own: set[SSAValue] = set(block.args)
    for op in block.walk():
        own.update(op.results, *(b.args for region in op.regions for b in region.blocks))
    used = [v for op in block.walk() for v in op.operands]
    return [v for v in dict.fromkeys(used) if v not in own]


def _numbers(nesting: Structure) -> list[int]:
    """The numbers of the leaves in a part of the arguments."""
    if isinstance(nesting, Node):
        return [n for part in nesting.parts for n in _numbers(part)]
    number = getattr(nesting, "number", None)
    return [] if number is None else [number]
