"""How each graph op reads as a field: one table, op to rule."""

from __future__ import annotations

from xdsl.ir import Operation

from lowering.kernel.builder import Rule
from lowering.kernel.rules.contraction import CONTRACTION
from lowering.kernel.rules.elementwise import ELEMENTWISE
from lowering.kernel.rules.movement import MOVEMENT
from lowering.kernel.rules.reduction import REDUCTION

RULES: dict[type[Operation], Rule] = {**ELEMENTWISE, **MOVEMENT, **REDUCTION, **CONTRACTION}
"""A missing rule is an error that names the op."""
