"""Each test draws the same numbers, whatever ran before it and in which process."""

from __future__ import annotations

import sys
from copy import deepcopy

import numpy as np
import pytest

_FIRST: dict[str, dict] = {}
"""The state in which the generator of each module of tests was first seen."""


@pytest.fixture(autouse=True)
def fresh_numbers():
    for name, module in list(sys.modules.items()):
        rng = getattr(module, "RNG", None) if name.startswith("tests.ops.") else None
        if isinstance(rng, np.random.Generator):
            rng.bit_generator.state = deepcopy(_FIRST.setdefault(name, deepcopy(rng.bit_generator.state)))
