"""Arguments and results that are nested in tuples, lists and dicts: taken apart into leaves, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Leaf:
    """The place of a leaf, by its number."""

    number: int


@dataclass(frozen=True)
class Static:
    """A part of the arguments that is no tensor."""

    value: object


@dataclass(frozen=True)
class Node:
    """A tuple, a list or a dict of such."""

    kind: type
    keys: tuple[object, ...]
    parts: tuple[Structure, ...]


Structure: TypeAlias = "Leaf | Static | Node"


def flatten(
    value: object, is_leaf: Callable[[object], bool], path: str = ""
) -> tuple[list[tuple[str, Any]], Structure]:
    """The leaves with their names, `w_bias` for `w["bias"]`, and how they are nested."""
    leaves: list[tuple[str, Any]] = []
    return leaves, _flatten(value, is_leaf, path, leaves)


def _flatten(
    value: object, is_leaf: Callable[[object], bool], path: str, leaves: list[tuple[str, Any]]
) -> Structure:
    if is_leaf(value):
        leaves.append((path, value))
        return Leaf(len(leaves) - 1)
    if type(value) not in (tuple, list, dict):
        return Static(value)
    items = value.items() if isinstance(value, dict) else enumerate(value)  # pyright: ignore
    keys, parts = [], []
    for key, part in items:
        keys.append(key)
        parts.append(_flatten(part, is_leaf, f"{path}_{key}" if path else str(key), leaves))
    return Node(type(value), tuple(keys), tuple(parts))


def unflatten(structure: Structure, leaves: Sequence[object]) -> Any:
    """The nested value with other leaves."""
    if isinstance(structure, Leaf):
        return leaves[structure.number]
    if isinstance(structure, Static):
        return structure.value
    parts = [unflatten(p, leaves) for p in structure.parts]
    return dict(zip(structure.keys, parts, strict=True)) if structure.kind is dict else structure.kind(parts)


def statics(structure: Structure) -> Iterator[object]:
    """The parts that are no leaves."""
    if isinstance(structure, Static):
        yield structure.value
    elif isinstance(structure, Node):
        for part in structure.parts:
            yield from statics(part)
