"""What holds for all tests."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from irkit.runtime.compiler import USERS_FLAGS
from tests.rotating import change

QUICK = {
    "-O0": frozenset(
        {
            "bench",
            "buffer",
            "debugging",
            "derivatives",
            "from_onnx",
            "fuzz_onnx",
            "graph",
            "levels",
            "ops",
            "random_graphs",
            "trace",
        }
    ),
    "-O1": frozenset({"cuda"}),
}
"""Folders whose tests ask whether what was emitted is right, and not what a compiler makes of it: they build it with no
optimisation, as the greater part of their time is the compiler's, or with little where they run for long.
`IRKIT_CFLAGS=-O3 pytest` builds all as users do."""

OPTIMISED = 6
"""One of so many files is built with a little optimisation all the same: others with each change."""

TABLE = "table"
"""The property of a test under which it leaves text to be shown at the end, whether it passes or not."""


def flags_of(path: Path) -> str | None:
    """What the tests of a file build with."""
    place = path.relative_to(Path(__file__).parent)
    level = next((level for level, folders in QUICK.items() if place.parts[0] in folders), None)
    chosen = (zlib.crc32(str(place).encode()) + change()) % OPTIMISED == 0
    return "-O1" if level == "-O0" and chosen else level


@pytest.fixture(autouse=True, scope="module")
def quick_builds(request: pytest.FixtureRequest) -> Iterator[None]:
    flags = flags_of(Path(request.path))
    with pytest.MonkeyPatch.context() as patch:
        if flags is not None and USERS_FLAGS not in os.environ:
            patch.setenv(USERS_FLAGS, flags)
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", []):
                if name == TABLE and getattr(report, "when", None) == "call":
                    terminalreporter.write_line(text)
