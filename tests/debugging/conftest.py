"""The tests of a session share a cache of compiled programs, and nothing with the user."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def use_shared_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IRKIT_CACHE_DIR", str(shared_cache))
    monkeypatch.delenv("CC", raising=False)
