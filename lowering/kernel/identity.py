"""What a kernel is called wherever its name does not matter: a hash of what it computes, over which axes and arrays."""

from __future__ import annotations

import hashlib
from io import StringIO

from xdsl.dialects.builtin import StringAttr
from xdsl.printer import Printer

from dialects.kernel import DefOp

DIGITS = 20


def kernel_hash(kernel: DefOp) -> str:
    """A hash of a kernel in axes form. Its own name, the names of its values, its schedule and where it comes from play
    no part; the names of its axes do, as directives name them."""
    bare = kernel.clone()
    bare.properties.pop("schedule", None)
    bare.properties["sym_name"] = StringAttr("kernel")
    bare.attributes.clear()
    for block in (b for op in bare.walk() for region in op.regions for b in region.blocks):
        for value in (*block.args, *(r for op in block.ops for r in op.results)):
            value.name_hint = None
    text = StringIO()
    Printer(stream=text, print_debuginfo=False).print_op(bare)
    return hashlib.sha256(text.getvalue().encode()).hexdigest()[:DIGITS]
