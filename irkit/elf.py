"""Reads ELF object files: sections with their sizes, functions, and which function refers to which."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dialects.errors import IrkitError

_WRITE, _ALLOC, _EXEC = 1, 2, 4
_SYMTAB, _RELA, _NOBITS, _REL = 2, 4, 8, 9
_FUNC, _UNDEFINED, _RESERVED = 2, 0, 0xFF00

X86 = {3: 4, 62: 8}
"""Machines whose calls push the return address: its bytes by the number of the machine."""


@dataclass(frozen=True)
class Section:
    """A section: its name, type, flags, place in the file, and the numbers that relate it to others."""

    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int


@dataclass(frozen=True)
class Symbol:
    """A symbol: a name, the number of its section (0 where it is defined elsewhere), and whether it is a function."""

    name: str
    section: int
    is_function: bool


@dataclass(frozen=True)
class Sizes:
    """Bytes of an object by what they become: code, constants, initialised and zeroed data."""

    text: int
    rodata: int
    data: int
    bss: int


class Elf:
    """An object file in memory. Raises IrkitError where it is none."""

    def __init__(self, data: bytes, name: str):
        self.data = data
        if data[:4] != b"\x7fELF" or len(data) < 52:
            raise IrkitError(f"'{name}' is no ELF object file", hint="use a compiler for Linux or bare metal")
        self.wide = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"
        try:
            (self.machine,) = self._unpack("H", 18)
            self.sections = self._sections()
            self.symbols = self._symbols()
        except (struct.error, IndexError, UnicodeDecodeError):
            raise IrkitError(f"'{name}' is a damaged ELF file") from None

    def _unpack(self, format_: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + format_, self.data, offset)

    def _text(self, table: Section, offset: int) -> str:
        start = table.offset + offset
        return self.data[start : self.data.index(b"\0", start)].decode()

    def _sections(self) -> list[Section]:
        (start,) = self._unpack("Q" if self.wide else "I", 40 if self.wide else 32)
        width, count, names = self._unpack("HHH", 58 if self.wide else 46)
        format_ = "IIQQQQIIQQ" if self.wide else "IIIIIIIIII"
        rows = [self._unpack(format_, start + i * width) for i in range(count)]
        bare = [Section("", r[1], r[2], r[4], r[5], r[6], r[7]) for r in rows]
        return [
            Section(self._text(bare[names], row[0]), s.type, s.flags, s.offset, s.size, s.link, s.info)
            for row, s in zip(rows, bare, strict=True)
        ]

    def _symbols(self) -> list[Symbol]:
        found: list[Symbol] = []
        for table in (s for s in self.sections if s.type == _SYMTAB):
            width = 24 if self.wide else 16
            for at in range(table.offset, table.offset + table.size, width):
                if self.wide:
                    name, info, _, section = self._unpack("IBBH", at)
                else:
                    name, _, _, info, _, section = self._unpack("IIIBBH", at)
                text = self._text(self.sections[table.link], name)
                found.append(Symbol(text, section if section < _RESERVED else 0, info & 15 == _FUNC))
        return found

    def sizes(self) -> Sizes:
        """The bytes that the object takes once loaded."""
        text = rodata = data = bss = 0
        for s in self.sections:
            if not s.flags & _ALLOC:
                continue
            if s.flags & _EXEC:
                text += s.size
            elif s.type == _NOBITS:
                bss += s.size
            elif s.flags & _WRITE and not s.name.startswith(".data.rel.ro"):
                data += s.size
            else:  # .data.rel.ro holds constants; only the loader writes there, and only in a PIE
                rodata += s.size
        return Sizes(text, rodata, data, bss)

    def functions(self) -> dict[int, str]:
        """The function in each section of code, for an object with one in each."""
        return {s.section: s.name for s in self.symbols if s.is_function and s.section != _UNDEFINED}

    def references(self) -> Iterator[tuple[int, Symbol]]:
        """(section, symbol that something in it refers to), of every relocation."""
        for table in (s for s in self.sections if s.type in (_RELA, _REL)):
            width = (24 if self.wide else 12) if table.type == _RELA else (16 if self.wide else 8)
            for at in range(table.offset, table.offset + table.size, width):
                (info,) = self._unpack("Q" if self.wide else "I", at + (8 if self.wide else 4))
                yield table.info, self.symbols[info >> 32 if self.wide else info >> 8]
