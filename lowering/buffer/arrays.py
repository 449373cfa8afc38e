"""Arrays before they have a place: the pieces of memory that the values of a host function share."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from dialects.types import RefType, ref_of


@dataclass(eq=False)
class Array:
    """A piece of memory that values share.

    kind: arena (gets an offset), prepared (gets one in the memory that outlives a run, and is read there alone), argument
    (the caller's), constant, loop (one of the two arrays that change places, as
    the loop's body sees it), either (what such a loop leaves behind: one of `parts`).
    """

    kind: str
    type: RefType
    home: Block | None = None
    """The block that an arena array belongs to."""
    writable: bool = True
    begin: int = -1
    end: int = -1
    parts: tuple[Array, ...] = ()
    written: bool = False
    value: SSAValue | None = None
    """For all but the arena: the array in the program, known when the program is built."""
    merged: Array | None = None

    def find(self) -> Array:
        """The array that this one has become part of."""
        array = self
        while array.merged is not None:
            array = array.merged
        return array

    def touch(self, time: int) -> None:
        """Says that the array holds a value that is needed at a time."""
        array = self.find()
        array.begin = time if array.begin < 0 else min(array.begin, time)
        array.end = max(array.end, time)
        for part in array.parts:
            part.touch(time)

    def become(self, other: Array, block: Block | None) -> None:
        """Makes an arena array of the given block part of another one; leaves any other array as it is."""
        mine, other = self.find(), other.find()
        if mine is other or mine.kind != "arena" or mine.home is not block:
            return
        mine.merged = other
        if mine.begin >= 0:
            other.touch(mine.begin)
            other.touch(mine.end)


@dataclass(frozen=True)
class Carried:
    """How a loop keeps a value: `array` holds it first; with `following` the body writes the next one there, and the
    two change places, with `spare` behind the second at first. `result` holds the value after the loop."""

    number: int
    type: RefType
    array: Array
    copies_init: bool
    current: Array
    spare: Array | None
    following: Array | None
    result: Array

    @property
    def target(self) -> Array:
        """Where the next value must be when the body ends."""
        return self.following or self.current


@dataclass
class ArrayTypes:
    """The type of the array that holds a tensor; one object for all tensors of a type."""

    known: dict[Attribute, RefType] = field(default_factory=dict)

    def __call__(self, value: SSAValue) -> RefType:
        type_ = value.type
        if (found := self.known.get(type_)) is None:
            assert isinstance(type_, TensorType)
            found = self.known[type_] = ref_of(type_)
        return found


@dataclass
class Storage:
    """The array of every value (by root), the plan of every loop, the program's outputs, and what needs a place.

    By the number of a result: the argument that it updates, and an array where its value is set aside before any is copied.
    """

    arrays: dict[SSAValue, Array] = field(default_factory=dict)
    loops: dict[Operation, list[Carried]] = field(default_factory=dict)
    outputs: list[Array] = field(default_factory=list)
    arena: list[Array] = field(default_factory=list)
    prepared: list[Array] = field(default_factory=list)
    updated: dict[int, BlockArgument] = field(default_factory=dict)
    aside: dict[int, Array] = field(default_factory=dict)
