"""Each test of the run time has a cache of its own, unless it shares the one of the session for speed."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def use_shared_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IRKIT_CACHE_DIR", str(shared_cache))
    monkeypatch.delenv("CC", raising=False)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("IRKIT_CACHE_DIR", str(folder))
    return folder
