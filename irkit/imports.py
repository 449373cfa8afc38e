"""The files that `.tg` texts import: their paths, and what a cached program depends on besides its own text."""

from __future__ import annotations

import os
import re

from irkit.files import read_text


def beside(path: str, filename: str) -> str:
    """A path that is relative to the folder of a file, from where we are; a file that is a text stands here."""
    return path if filename.startswith("<") else os.path.join(os.path.dirname(filename), path)


def identity(path: str) -> str:
    return path if path.startswith("<") else os.path.realpath(path)


_IMPORT = re.compile(r'^[ \t]*import[ \t]*"([^"\n]*)"', re.MULTILINE)


def imported_texts(text: str, filename: str) -> list[str]:
    """The texts of all files that a text imports, as far as they can be read: what a cached program depends on besides."""
    texts: list[str] = []
    known = {identity(filename)}
    work = [(text, filename)]
    while work:
        current, name = work.pop()
        for match in _IMPORT.finditer(current):
            path = beside(match[1], name)
            if identity(path) not in known and os.path.isfile(path):
                known.add(identity(path))
                texts.append(read_text(path))
                work.append((texts[-1], path))
    return texts
