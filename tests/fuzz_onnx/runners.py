"""Others that run ONNX models: ONNX Runtime, and the evaluator of the `onnx` package."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from irkit.onnx.node import names_read
from tests.fuzz_onnx.ops import ERRS_IN_HALVES

Arrays = dict[str, np.ndarray]
Runner = Callable[[onnx.ModelProto, Mapping[str, np.ndarray]], Arrays]


def onnxruntime(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """The results by ONNX Runtime, on one thread and without rewriting the graph."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in model.graph.output]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def reference(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """The results by the evaluator of the `onnx` package."""
    from onnx.reference import ReferenceEvaluator

    names = [o.name for o in model.graph.output]
    with np.errstate(all="ignore"):
        found = ReferenceEvaluator(model).run(None, dict(inputs))
    return dict(zip(names, map(np.asarray, found), strict=True))


def either(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """The results by ONNX Runtime; by the evaluator for nodes for which that has no kernel, as for many of f64.

    A model with f16 runs node by node too: for want of kernels, ONNX Runtime computes parts of it in f32, unrounded.
    """
    if not _has_halves(model):
        try:
            return onnxruntime(model, inputs)
        except Exception as fault:
            if not _lacks(fault):
                raise
    known = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer} | dict(inputs)
    for node in model.graph.node:
        part = _of_one(node, known, model)
        given = {i.name: known[i.name] for i in part.graph.input}
        half = any(a.dtype == np.float16 for a in given.values())
        try:
            known |= (reference if half and node.op_type in ERRS_IN_HALVES else onnxruntime)(part, given)
        except Exception as fault:
            if not _lacks(fault):
                raise
            known |= reference(part, given)
    return {o.name: known[o.name] for o in model.graph.output}


def _has_halves(model: onnx.ModelProto) -> bool:
    """Whether a model has values of f16."""
    graph, half = model.graph, onnx.TensorProto.FLOAT16
    return (
        any(i.type.tensor_type.elem_type == half for i in graph.input)
        or any(t.data_type == half for t in graph.initializer)
        or any(a.name == "to" and a.i == half for n in graph.node for a in n.attribute)
    )


def _lacks(fault: Exception) -> bool:
    return type(fault).__name__ == "NotImplemented"


def _of_one(node: onnx.NodeProto, known: Arrays, model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of one node, whose inputs have known types."""
    names = [n for n in dict.fromkeys(names_read([node])) if n in known]
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(known[n].dtype), known[n].shape)
        for n in names
    ]
    ends = [helper.make_value_info(n, onnx.TypeProto()) for n in node.output if n]
    graph = helper.make_graph([node], "node", infos, ends)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


RUNNERS: dict[str, Runner] = {"onnxruntime": onnxruntime, "reference": reference, "either": either}
