"""ONNX models as irkit graphs: read, checked, and made by the same ops that traced Python functions use.

    graph = irkit.from_onnx("model.onnx")
    graph.save_tg("model.tg")                  # and model.safetensors beside it

A model goes through `load` and `data` (files, external data, nothing of which is believed), `inputs`, `names` (what a
reader sees), `importer` (nodes in order, each by its rule) and `rules` (one function for each op). What is known while
importing, such as shapes and what is computed from them, stays outside of the graph (`values`, `folding`); ops that ONNX
defines by other ops are expanded (`functions`).
"""

from dialects.errors import IrkitError

try:
    from irkit.onnx.importer import from_onnx
except ModuleNotFoundError as fault:
    if fault.name != "onnx":
        raise
    hint = "pip install 'irkit[onnx]'"
    raise IrkitError("reading ONNX needs the package 'onnx'", hint=hint) from None

__all__ = ["from_onnx"]
