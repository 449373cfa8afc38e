"""The smallest part of a model that is still wrong: fewer results, then fewer nodes, at both ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import onnx
from onnx import helper

from irkit.onnx.node import names_read
from tests.fuzz_onnx.check import Checker, Sample
from tests.fuzz_onnx.expected import expect
from tests.fuzz_onnx.runners import Runner

TRIES = 60


def minimised(sample: Sample, output: str, check: Checker, run: Runner) -> Sample:
    """A part of a sample that `check` calls wrong too: greedily, and no part where nothing smaller is."""
    values = {
        k: v for k, v in expect(sample.model, sample.inputs, run, 0).values.items() if k not in sample.inputs
    }
    small, tries = sample, 0
    progress = True
    while progress and tries < TRIES:
        progress = False
        for candidate in _smaller(small, output, values):
            tries += 1
            if check(candidate).kind == "wrong":
                small, progress = candidate, True
                output = small.model.graph.output[0].name
                break
            if tries >= TRIES:
                break
    return small


def _smaller(sample: Sample, output: str, values: dict[str, np.ndarray]) -> Iterator[Sample]:
    """Parts of a sample: with one result, with an earlier one, with the result of a node as an input."""
    graph = sample.model.graph
    if len(graph.output) > 1 and output:
        yield _part(sample, [output], {})
    made = [n for node in graph.node for n in node.output if n]
    ends = {o.name for o in graph.output}
    half = len(made) // 2
    inner = [n for n in made if n not in ends]
    if len(graph.node) > 4:
        yield _part(sample, list(ends), {n: values[n] for n in made[:half] if n in inner})
    for name in inner:
        if len(ends) == 1:
            yield _part(sample, [name], {})
    for name in inner:
        yield _part(sample, list(ends), {name: values[name]})
    if len(ends) == 1 and len(graph.node) > 1:  # a node left out where its input has the type of its result
        for node in graph.node:
            for source in node.input:
                both = [values.get(n, sample.inputs.get(n)) for n in (source, node.output[0])]
                if node.output[0] in inner and all(b is not None for b in both) and _alike(*both):
                    yield _part(sample, list(ends), {}, {node.output[0]: source})


def _alike(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is not None and b is not None and (a.shape, a.dtype) == (b.shape, b.dtype)


def _part(
    sample: Sample, outputs: Sequence[str], given: dict[str, np.ndarray], other: dict[str, str] | None = None
) -> Sample:
    """The nodes that lead to some results, with some values as inputs instead, or one value in another's place."""
    model = onnx.ModelProto()
    model.CopyFrom(sample.model)
    graph = model.graph
    nodes, wanted = [], set(outputs)
    for node in reversed(list(graph.node)):
        live = [o for o in node.output if o in wanted and o not in given]
        if not live or (other and node.output[0] in other):
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for place, name in enumerate(copy.input):
            copy.input[place] = (other or {}).get(name, name)
        nodes.append(copy)
        wanted.update(names_read([copy]))
    nodes.reverse()
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.output.extend(helper.make_value_info(n, onnx.TypeProto()) for n in outputs)
    used = set(names_read(nodes))
    inputs = [i for i in graph.input if i.name in used]
    held = [t for t in graph.initializer if t.name in used]
    del graph.input[:], graph.initializer[:]
    graph.input.extend(inputs)
    graph.initializer.extend(held)
    arrays = {i.name: sample.inputs[i.name] for i in inputs}
    for name, array in given.items():
        if name in used:
            code = helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(helper.make_tensor_value_info(name, code, array.shape))
            arrays[name] = array
    return replace(sample, model=model, inputs=arrays)
