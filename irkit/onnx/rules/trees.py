"""TreeEnsemble: all trees go down together, one level in a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irkit.onnx.faults import Unsupported
from irkit.onnx.node import Node, Result, rule
from irkit.onnx.rules.ml import DOMAIN
from irkit.tracing import fori, ops
from irkit.tracing.tensor import Tensor

MODES = ("le", "lt", "ge", "gt", "eq", "ne")
MEMBER = 6


@dataclass
class Forest:
    """Nodes and leaves in one table; a leaf leads to itself."""

    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    nan_is_true: list[bool] = field(default_factory=list)
    ways: list[list[int]] = field(default_factory=list)
    leaf: list[int] = field(default_factory=list)
    depth: int = 0

    def add(
        self, feature: int = 0, split: float = 0.0, mode: int = 0, nan: bool = False, leaf: int = -1
    ) -> int:
        """The place of a new node, which leads to itself for now."""
        place = len(self.ways)
        self.features.append(feature)
        self.splits.append(split)
        self.modes.append(mode)
        self.nan_is_true.append(nan)
        self.ways.append([place, place])
        self.leaf.append(leaf)
        return place


@rule("TreeEnsemble", domain=DOMAIN)
def tree_ensemble(n: Node) -> Result:
    x = n[0]
    aggregate = n.only("aggregate_function", 1, 0, 2, 3)
    n.only("post_transform", 0)
    forest, roots = _forest(n)
    weights, targets = n.needs("leaf_weights"), np.array(n.needs("leaf_targetids"), np.int64)
    count = n.needs("n_targets")
    place = _descended(x, forest, roots)
    leaf = ops.gather(ops.constant(np.array(forest.leaf, np.int64)), place)
    weight, target = ops.gather(ops.constant(weights), leaf), ops.gather(ops.constant(targets), leaf)
    mine = ops.compare(ops.reshape(target, [*target.shape, 1]), ops.iota([count], dtype="i64"), pred="eq")
    weight = ops.reshape(weight, [*weight.shape, 1])
    if aggregate in (0, 1):
        total = ops.sum(ops.where(mine, weight, 0.0), axis=1)
        return total / len(roots) if aggregate == 0 else total
    extreme = float(np.finfo(weights.dtype).max)
    if aggregate == 2:
        return ops.min(ops.where(mine, weight, extreme), axis=1)
    return ops.max(ops.where(mine, weight, -extreme), axis=1)


def _descended(x: Tensor, forest: Forest, roots: Sequence[int]) -> Tensor:
    """The leaf of each row in each tree: [rows, trees]."""
    dtype = x.dtype
    start = ops.broadcast(ops.constant(np.array(roots, np.int64)), [x.shape[0], len(roots)])
    features, splits = (
        ops.constant(np.array(forest.features, np.int64)),
        ops.constant(np.array(forest.splits, dtype)),
    )
    yes, no = (ops.constant(np.array(way, np.int64)) for way in zip(*forest.ways, strict=True))
    modes = np.array(forest.modes, np.int64)
    used = sorted({m for m, leaf in zip(forest.modes, forest.leaf, strict=True) if leaf < 0}) or [0]

    def down(_: Any, place: Tensor) -> Tensor:
        value, split = ops.take_along(x, ops.gather(features, place), axis=1), ops.gather(splits, place)
        goes = ops.compare(value, split, pred=MODES[used[0]])
        for mode in used[1:]:
            is_mode = ops.compare(ops.gather(ops.constant(modes), place), mode, pred="eq")
            goes = ops.where(is_mode, ops.compare(value, split, pred=MODES[mode]), goes)
        if any(forest.nan_is_true):
            nan = ops.gather(ops.constant(np.array(forest.nan_is_true)), place)
            goes = ops.logical_or(goes, ops.logical_and(ops.is_nan(value), nan))
        return ops.where(goes, ops.gather(yes, place), ops.gather(no, place))

    return fori(0, forest.depth, down, start)


def _forest(n: Node) -> tuple[Forest, list[int]]:
    """The table of all trees, and where each begins; a set of members is a chain of comparisons."""
    lists = {
        name: list(n.needs(f"nodes_{name}"))
        for name in (
            "featureids",
            "truenodeids",
            "falsenodeids",
            "trueleafs",
            "falseleafs",
            "modes",
            "splits",
        )
    }
    sizes = {len(found) for found in lists.values()}
    if len(sizes) != 1:
        raise Unsupported("nodes of which some facts are missing")
    missing = n.attr("nodes_missing_value_tracks_true") or [0] * len(lists["modes"])
    sets = _sets(n, [i for i, mode in enumerate(lists["modes"]) if mode == MEMBER])
    forest, leaves = Forest(), {}
    weights = n.needs("leaf_weights").size
    width = n.shape()[1]

    def child(index: int, is_leaf: bool, depth: int) -> int:
        forest.depth = max(forest.depth, depth)
        if is_leaf:
            if not 0 <= index < weights:
                raise Unsupported(f"the leaf {index} of {weights}")
            if index not in leaves:
                leaves[index] = forest.add(leaf=index)
            return leaves[index]
        if not 0 <= index < len(lists["modes"]):
            raise Unsupported(f"the node {index} of {len(lists['modes'])}")
        if index in seen:
            raise Unsupported(f"trees that share the node {index}")
        seen.add(index)
        feature = lists["featureids"][index]
        if isinstance(width, int) and not 0 <= feature < width:
            raise Unsupported(f"the feature {feature} of {width}")
        mode, nan = int(lists["modes"][index]), bool(missing[index])
        tests = [(4, v) for v in sets[index]] if mode == MEMBER else [(mode, float(lists["splits"][index]))]
        chain = [forest.add(feature, split, kind, nan) for kind, split in tests]
        waiting.append((index, chain, depth))
        return chain[0]

    seen: set[int] = set()
    waiting: list[tuple[int, list[int], int]] = []
    roots = [child(root, False, 0) for root in n.needs("tree_roots")]
    while waiting:
        index, chain, depth = waiting.pop()
        yes = child(lists["truenodeids"][index], bool(lists["trueleafs"][index]), depth + len(chain))
        no = child(lists["falsenodeids"][index], bool(lists["falseleafs"][index]), depth + len(chain))
        for place, after in zip(chain, [*chain[1:], no], strict=True):
            forest.ways[place] = [yes, after]
    return forest, roots


def _sets(n: Node, nodes: Sequence[int]) -> dict[int, list[float]]:
    """The members that nodes compare with: lists that end with NaN, one after another."""
    given = n.attr("membership_values")
    members: list[list[float]] = [[]]
    for value in [] if given is None else given.reshape(-1).tolist():
        if np.isnan(value):
            members.append([])
        else:
            members[-1].append(value)
    found = dict(zip(nodes, members, strict=False))
    if len(found) < len(nodes) or not all(found.values()):
        raise Unsupported("nodes without the members that they compare with")
    return found
