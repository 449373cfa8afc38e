"""The cache under faults: processes that are killed, that run at once, folders that cannot be written, full disks."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from irkit.runtime import cache
from irkit.runtime.compiler import find_compiler
from tests.runtime.handmade import scale_spec

ROOT = Path(__file__).resolve().parents[2]
MODEL = "fn main(x: f32 = 20, y: f32[300] = ones()) -> (z: f32) {\n  return x + sum(exp(y - 1)) - 300\n}\n"

WRAPPER = """#!/bin/bash
# a compiler that stops where the file $STAGE says: before it begins, with half a library written, before it ends
stage=$(cat "$STAGE" 2>/dev/null)
out=; for ((i = 1; i <= $#; i++)); do [ "${!i}" = -o ] && j=$((i + 1)) && out=${!j}; done
stop() { touch "$STAGE.reached"; exec sleep 60; }
[ "$stage" = before ] && stop
gcc "$@" || exit
[ "$stage" = half ] && truncate -s 3000 "$out" && stop
[ "$stage" = killed ] && truncate -s 3000 "$out" && kill -9 $$
[ "$stage" = after ] && stop
exit 0
"""


class Bench:
    """A model, a cache of its own, and a compiler that can be stopped."""

    def __init__(self, folder: Path):
        self.cache, self.stage = folder / "cache", folder / "stage"
        self.model = folder / "model.tg"
        self.model.write_text(MODEL)
        self.cc = folder / "cc"
        self.cc.write_text(WRAPPER)
        self.cc.chmod(0o755)

    def start(self, **more: object) -> subprocess.Popen[str]:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "IRKIT_CACHE_DIR": str(self.cache),
            "STAGE": str(self.stage),
            "CC": str(self.cc),
        }
        words = [sys.executable, "-m", "irkit.cli", "run", str(self.model)]
        return subprocess.Popen(
            words,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **more,  # pyright: ignore
        )

    def run(self, **more: object) -> tuple[int, str, str]:
        process = self.start(**more)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err and "fault of irkit" not in err, err
        return process.returncode, out, err

    def check(self) -> None:
        """The right answer, and one whole entry."""
        code, out, err = self.run()
        assert code == 0 and out.startswith("z 20\n"), (out, err)
        assert sorted(p.suffix for p in self.cache.iterdir() if p.suffix) == [".json", ".so"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def kill(process: subprocess.Popen[str]) -> None:
    """Kills a process with the compiler that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("stage", ["before", "half", "after"])
def test_a_compile_that_is_killed(bench: Bench, stage: str):
    bench.stage.write_text(stage)
    process = bench.start()
    reached = Path(f"{bench.stage}.reached")
    while not reached.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    kill(process)
    assert not list(bench.cache.glob("*.so"))
    left = list(bench.cache.glob("build-*"))
    assert len(left) == 1
    bench.stage.unlink()
    os.utime(left[0], (1, 1))
    bench.check()
    assert not list(bench.cache.glob("build-*")), "what was left for long is cleared away"


def test_a_compiler_that_is_killed(bench: Bench):
    bench.stage.write_text("killed")
    code, _, err = bench.run()
    assert code == 1 and "was killed by SIGKILL" in err
    assert not list(bench.cache.iterdir())
    bench.stage.unlink()
    bench.check()


def test_kills_at_any_moment(bench: Bench):
    rng = random.Random(0)
    for _ in range(6):
        process = bench.start()
        time.sleep(rng.uniform(0.1, 1.5))
        kill(process)
    bench.check()


def test_processes_that_compile_the_same_at_once(bench: Bench):
    processes = [bench.start() for _ in range(4)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 and out.startswith("z 20\n"), err
    bench.check()
    assert len(list(bench.cache.iterdir())) == 2


def test_fresh_work_of_others_is_left_alone(tmp_path: Path):
    (tmp_path / "build-other").mkdir()
    (tmp_path / ".new-other").write_text("")
    (tmp_path / ".new-old").write_text("")
    os.utime(tmp_path / ".new-old", (1, 1))
    cache.prune(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".new-other", "build-other"]


# -- no room --------------------------------------------------------------------------------------------------------


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


def test_no_file_may_be_as_large_as_a_program(bench: Bench):
    code, out, err = bench.run(preexec_fn=small_files)
    assert code == 1 and not out and ("File too large" in err or "failed" in err or "was killed" in err), err
    assert not list(bench.cache.iterdir())
    bench.check()


def test_a_full_disk_is_told_and_gone_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Python's own writes fail as they do on a full disk; the program is compiled elsewhere and not kept."""
    monkeypatch.setenv("IRKIT_CACHE_DIR", str(tmp_path / "full"))
    whole = cache._compile

    def compile_(spec: object, compiler: object, cflags: object, path: Path) -> None:
        if path.parent == tmp_path / "full":
            raise OSError(28, "No space left on device")
        whole(spec, compiler, cflags, path)  # pyright: ignore

    monkeypatch.setattr(cache, "_compile", compile_)
    with pytest.warns(UserWarning, match=r"full is of no use: No space left on device"):
        path = cache.library(scale_spec(), find_compiler(), ())
    assert path.is_file() and path.parent != tmp_path / "full"
    cache.store_program("key", cache.Entry(scale_spec(), path, {}, ()))
    assert not list((tmp_path / "full").iterdir())


def test_a_cache_that_is_a_file(bench: Bench):
    bench.cache.write_text("")
    code, out, err = bench.run()
    assert code == 0 and out.startswith("z 20\n")
    assert err.count("warning: the cache in") == 1 and "nothing is kept" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_disk_of_a_few_kilobytes_and_one_that_is_read_only(bench: Bench):
    bench.cache.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(bench.cache)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        code, out, err = bench.run()
        assert code == 0 and out.startswith("z 20\n"), (out, err)
        assert err.count("is of no use: No space left on device; nothing is kept") == 1
        subprocess.run(["mount", "-o", "remount,ro", str(bench.cache)], check=True)
        code, out, err = bench.run()
        assert code == 0 and out.startswith("z 20\n") and "is of no use: " in err, (out, err)
    finally:
        subprocess.run(["umount", str(bench.cache)], check=True)
