"""Random host functions, as text: opaque kernels with and without aliases, reshapes, constants, nested loops, launches
that run once."""

from __future__ import annotations

from math import prod
from random import Random

Shape = tuple[int, ...]
Value = tuple[str, Shape]

SHAPES: tuple[Shape, ...] = ((16,), (4, 4), (40,))


def tensor(shape: Shape) -> str:
    """The type of integers of a shape; of rank 0, a bool."""
    return f"tensor<{'x'.join(map(str, shape))}xsi32>" if shape else "tensor<i1>"


def array(shape: Shape) -> str:
    return f"!buffer.ref<[{', '.join(map(str, shape))}], {'i32' if shape else 'i1'}>"


def dims(shape: Shape) -> str:
    return f"#dim.list<[{', '.join(map(str, shape))}]>"


class Generator:
    """Writes one module with a function @main(%n, ...); %n is the trip count of some loops."""

    def __init__(self, seed: int, loops: bool = True):
        self.random = Random(seed)
        self.loops = loops
        self.kernels: dict[tuple[object, ...], tuple[str, str]] = {}
        self.count = 0
        self.inputs: list[Shape] = []

    def module(self) -> str:
        """The module's text; `inputs` then holds the shapes of the inputs after %n."""
        self.inputs = [self.random.choice(SHAPES) for _ in range(self.random.randrange(3))] + list(SHAPES)
        args = [(f"%a{i}", s) for i, s in enumerate(self.inputs)]
        facts = ["", "", "", " {graph.donated}", ' {graph.kind = "param"}', ' {graph.kind = "param"}']
        marks = [self.random.choice(facts) for _ in args]
        first = self._once([a for a, mark in zip(args, marks, strict=True) if "param" in mark])
        made = [v for _, values in first for v in values]
        body, scope = self._block(args + made, 0, "  ", self.random.randrange(1, 9))
        body = [line for lines, _ in first for line in lines] + body
        results = [self.random.choice(scope) for _ in range(self.random.randrange(1, 4))]
        taken = [f"{n}: {tensor(s)}{mark}" for (n, s), mark in zip(args, marks, strict=True)]
        types = ", ".join(tensor(s) for _, s in results)
        lines = [text for _, text in self.kernels.values()]
        lines.append(f"func.func @main(%n: tensor<si32>, {', '.join(taken)}) -> ({types}) {{")
        lines += [*body, f"  func.return {', '.join(n for n, _ in results)} : {types}", "}"]
        return "\n".join(lines)

    def _name(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def _pick(self, scope: list[Value], shape: Shape | None = None) -> Value:
        """Mostly a recent value, so that many die soon."""
        fitting = [v for v in scope if shape is None or v[1] == shape]
        return self.random.choice(fitting[-4:] if self.random.random() < 0.7 else fitting)

    def _block(self, scope: list[Value], depth: int, indent: str, size: int) -> tuple[list[str], list[Value]]:
        lines: list[str] = []
        scope = list(scope)
        for _ in range(size):
            kind = self.random.random()
            if kind < 0.08:
                new = self._constant(lines, indent)
            elif kind < 0.15:
                new = self._reshape(lines, scope, indent)
            elif kind < 0.35 and depth < 2 and self.loops:
                new = self._loop(lines, scope, depth, indent)
            else:
                new = self._launch(lines, scope, indent)
            scope += new
        return lines, scope

    def _once(self, scope: list[Value]) -> list[tuple[list[str], list[Value]]]:
        """What is made of parameters and constants: the lines of each op, and its values."""
        found: list[tuple[list[str], list[Value]]] = []
        for _ in range(self.random.randrange(5) if scope else 0):
            lines: list[str] = []
            kind = self.random.random()
            if kind < 0.15:
                made = self._constant(lines, "  ")
            elif kind < 0.3 and any(prod(s) == 16 for _, s in scope):
                made = self._reshape(lines, scope, "  ")
            else:
                made = self._launch(lines, scope, "  ", "once ")
            scope = scope + made
            found.append((lines, made))
        return found

    def _constant(self, lines: list[str], indent: str) -> list[Value]:
        shape, name = self.random.choice(SHAPES), self._name()
        lines.append(f"{indent}{name} = graph.constant dense<{self.random.randrange(100)}> : {tensor(shape)}")
        return [(name, shape)]

    def _reshape(self, lines: list[str], scope: list[Value], indent: str) -> list[Value]:
        source, old = self._pick([v for v in scope if prod(v[1]) == 16])
        shape, name = self.random.choice(SHAPES[:2]), self._name()
        kind = f"({tensor(old)}) -> {tensor(shape)}"
        lines.append(f"{indent}{name} = graph.reshape {source} {{shape = {dims(shape)}}} : {kind}")
        return [(name, shape)]

    def _launch(self, lines: list[str], scope: list[Value], indent: str, once: str = "") -> list[Value]:
        inputs = [self._pick(scope) for _ in range(self.random.randrange(1, 4))]
        count = self.random.choice((1, 1, 1, 2))
        outputs = [
            self.random.choice(SHAPES) if self.random.random() < 0.4 else inputs[0][1] for _ in range(count)
        ]
        kernel = self._kernel([s for _, s in inputs], outputs)
        name = self._name()
        types = f"({', '.join(tensor(s) for _, s in inputs)}) -> ({', '.join(map(tensor, outputs))})"
        operands = ", ".join(n for n, _ in inputs)
        lines.append(f"{indent}{_results(name, count)} = kernel.launch {once}@{kernel}({operands}) : {types}")
        return list(zip(_names(name, count), outputs, strict=True))

    def _kernel(self, inputs: list[Shape], outputs: list[Shape]) -> str:
        aliases: list[int | None] = []
        for shape in outputs:
            fitting = [i for i, s in enumerate(inputs) if prod(s) == prod(shape)]
            aliases.append(self.random.choice(fitting) if fitting and self.random.random() < 0.7 else None)
        team = self.random.random() < 0.15
        key = (*inputs, "to", *outputs, *aliases, team)
        if key not in self.kernels:
            name = f"k{len(self.kernels)}"
            args = [f"in %a{i}: {array(s)}" for i, s in enumerate(inputs)]
            for i, (shape, alias) in enumerate(zip(outputs, aliases, strict=True)):
                mode = "inout" if alias is not None and self.random.random() < 0.3 else "out"
                args.append(f"{mode} %o{i}: {array(shape)}" + ("" if alias is None else f" alias {alias}"))
            body = "%p = loop.alloc : !buffer.ref<[24], f32, space = team>\n" if team else ""
            self.kernels[key] = name, f"loop.func @{name} ({', '.join(args)}) {{ {body} }}"
        return self.kernels[key][0]

    def _flag(self, lines: list[str], scope: list[Value], indent: str) -> Value:
        """A bool that some value decides; a new one, so that loops end early now and then."""
        name, shape = self._pick([v for v in scope if v[1]])
        kernel, flag = self._kernel([shape], [()]), self._name()
        lines.append(f"{indent}{flag} = kernel.launch @{kernel}({name}) : ({tensor(shape)}) -> tensor<i1>")
        return flag, ()

    def _loop(self, lines: list[str], scope: list[Value], depth: int, indent: str) -> list[Value]:
        inits = [self._pick(scope) for _ in range(self.random.randrange(1, 4))]
        goes_on = self.random.random() < 0.4
        if goes_on:
            inits.insert(0, self._flag(lines, scope, indent))
        shapes = [s for _, s in inits]
        name, counter = self._name(), self._name()
        carried = [(self._name(), s) for s in shapes]
        body, inner = self._block(scope + carried, depth + 1, indent + "  ", self.random.randrange(5))
        if goes_on and self.random.random() < 0.9:
            inner.append(self._flag(body, inner, indent + "  "))
        own = inner[len(scope) :]
        nexts = [self._pick(own if self.random.random() < 0.9 else inner, s)[0] for s in shapes]
        stop = "%n : tensor<si32>" if self.random.random() < 0.4 else str(self.random.randrange(5))
        types, args = ", ".join(map(tensor, shapes)), ", ".join(f"{n}: {tensor(s)}" for n, s in carried)
        starts = ", ".join(n for n, _ in inits)
        lines.append(
            f"{indent}{_results(name, len(inits))} = graph.for 0 to {stop}{' while' if goes_on else ''} ({starts}) : ({types}) {{"
        )
        lines.append(f"{indent}^bb0({counter}: tensor<si64>, {args}):")
        lines += [*body, f"{indent}  graph.yield {', '.join(nexts)} : {types}", f"{indent}}}"]
        return list(zip(_names(name, len(inits)), shapes, strict=True))


def _results(name: str, count: int) -> str:
    return name if count == 1 else f"{name}:{count}"


def _names(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}#{i}" for i in range(count)]
