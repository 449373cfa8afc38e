"""With respect to what a function is differentiated: `wrt=[x, w]`, `wrt=params`, or all inputs of floats."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dialects.types import DTYPES, is_float_tensor, tensor
from irkit.diagnostics import nearest
from irkit.lang import tree
from irkit.lang.transforms import Site, params_of

PARAMS = "params"


@dataclass(frozen=True)
class Wrt:
    """An input of the function, or a parameter of the file, and where it is named."""

    name: str
    type: tree.TypeRef
    is_param: bool
    node: tree.Name

    @property
    def span(self) -> tree.Span:
        return self.node.span


def is_float_type(type_: tree.TypeRef) -> bool:
    """Whether a type in the text is one of floats."""
    return type_.quant is None and type_.dtype in DTYPES and is_float_tensor(tensor(type_.dtype, []))


def wrt_of(site: Site) -> list[Wrt]:
    """What the setting `wrt` names. Raises IrkitError."""
    node = site.settings.get("wrt")
    inputs = {i.name.id: i.type for i in site.base.inputs}
    where = tree.Name(site.base.name.id, site.node.args[0].span)
    if node is None:
        found = [Wrt(n, t, False, tree.Name(n, where.span)) for n, t in inputs.items() if is_float_type(t)]
        if not found:
            raise _nothing(site, where, f"'{site.base.name.id}' has no input of floats")
        return found
    found: list[Wrt] = []
    names = _names(site, node)
    if not names:
        raise _nothing(site, node, "wrt is empty")
    for name in names:
        if name.id == PARAMS and name.id not in inputs:
            found += _params(site, name)
        else:
            found.append(_one(site, name, inputs))
    seen: set[str] = set()
    for w in found:
        if w.name in seen:
            raise site.error(f"'{w.name}' is named twice", w.node)
        seen.add(w.name)
    return found


def _one(site: Site, name: tree.Name, inputs: dict[str, tree.TypeRef]) -> Wrt:
    function = site.base.name.id
    param = site.program.params.get(name.id) if name.id not in inputs else None
    type_ = inputs.get(name.id) or (param.type if param is not None else None)
    if type_ is None:
        known = [*inputs, *site.program.params]
        raise site.error(
            f"'{name.id}' is neither an input of '{function}' nor a parameter",
            name,
            expected=f"one of {', '.join([*known, PARAMS])}",
            hint=nearest(name.id, known),
        )
    if not is_float_type(type_):
        hint = "dequantise it where it is used" if type_.quant is not None else None
        raise site.error(
            f"'{name.id}' has no derivative", name, found=str(type_), expected="floats", hint=hint
        )
    return Wrt(name.id, type_, param is not None, name)


def _params(site: Site, name: tree.Name) -> list[Wrt]:
    used = params_of(site.program, site.base)
    types = {n: site.program.params[n].type for n in used}
    found = [Wrt(n, t, True, tree.Name(n, name.span)) for n, t in types.items() if is_float_type(t)]
    if not found:
        raise _nothing(site, name, f"'{site.base.name.id}' uses no parameter of floats")
    return found


def _names(site: Site, node: tree.Expr) -> list[tree.Name]:
    """The names of a list, each with its place; or one name."""
    if isinstance(node, tree.Name):
        return [node]
    text = site.program.module.text[node.span.start : node.span.end]
    if not isinstance(node, tree.ListOf) or not re.fullmatch(
        r"\[\s*([A-Za-z_]\w*\s*(,\s*[A-Za-z_]\w*\s*)*)?\]", text
    ):
        raise site.error(
            "wrt takes names", node, found=text, expected="[x, w]: inputs and parameters, or params"
        )
    start = node.span.start
    words = re.finditer(r"\w+", text)
    return [tree.Name(m[0], tree.Span(start + m.start(), start + m.end())) for m in words]


def _nothing(site: Site, node: tree.Node, why: str) -> Exception:
    return site.error(
        "there is nothing to differentiate with respect to",
        node,
        found=why,
        expected="inputs or parameters of floats",
        hint="wrt=[w] names them; wrt=params stands for all parameters",
    )
