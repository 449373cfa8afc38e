"""Finding a compiler, and keeping what it made."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dialects.errors import IrkitError
from irkit.runtime import cache, compiler
from irkit.runtime.module import Program
from tests.runtime.handmade import build, scale_spec

# -- the compiler ---------------------------------------------------------------------------------------------


def test_a_compiler_by_name_or_variable(monkeypatch: pytest.MonkeyPatch):
    found = compiler.find_compiler()
    assert found.path.is_file() and found.version()
    assert compiler.find_compiler(str(found.path)).path == found.path
    monkeypatch.setenv("CC", f"{found.path} -g")
    assert compiler.find_compiler().command == (str(found.path), "-g")


def test_a_compiler_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(IrkitError, match="no C compiler 'tcc-9000'") as caught:
        compiler.find_compiler("tcc-9000")
    assert "pip install" in (caught.value.hint or "")
    monkeypatch.setenv("CC", "tcc-9000")
    with pytest.raises(IrkitError, match="which the CC variable names"):
        compiler.find_compiler()


def test_no_compiler_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compiler, "_zig", lambda: None)
    with pytest.raises(IrkitError, match="there is no C compiler") as caught:
        compiler.find_compiler()
    assert "ziglang" in (caught.value.hint or "")


def test_what_the_compiler_said_is_told(own_cache: Path):
    spec = replace(scale_spec(), source="int f(void) { return nonsense; }\n")
    with pytest.raises(IrkitError, match="failed with exit code") as caught:
        build(spec)
    assert "nonsense" in (caught.value.found or "") and "-ffp-contract=fast" in (caught.value.hint or "")
    assert not list(own_cache.iterdir())


def test_flags_of_the_user_come_last_and_make_another_library(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    first = build(scale_spec())
    monkeypatch.setenv(compiler.USERS_FLAGS, "-O1 '-DNAME=a b'")
    assert compiler.users_flags() == ("-O1", "-DNAME=a b")
    assert build(scale_spec()) != first
    monkeypatch.setenv(compiler.USERS_FLAGS, "-O1 --no-such-flag")
    with pytest.raises(IrkitError, match="failed with exit code") as caught:
        build(scale_spec())
    assert "-O1 --no-such-flag" in (caught.value.hint or "")
    monkeypatch.setenv(compiler.USERS_FLAGS, "-O1 'open")
    with pytest.raises(IrkitError, match="cannot read IRKIT_CFLAGS: No closing quotation"):
        build(scale_spec())


# -- the cache ------------------------------------------------------------------------------------------------


def test_the_same_text_is_compiled_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch):
    first = build(scale_spec())
    monkeypatch.setattr(compiler.Compiler, "shared_library", lambda *_: pytest.fail("compiled again"))
    assert build(scale_spec()) == first
    assert [p.name for p in own_cache.iterdir()] == [first.name]


def test_another_text_or_flag_is_another_library(own_cache: Path):
    spec, found = scale_spec(), compiler.find_compiler()
    paths = {
        cache.library(spec, found, ()),
        cache.library(spec, found, ("-g",)),
        cache.library(replace(spec, source=spec.source + "\n"), found, ()),
        cache.library(replace(spec, header=spec.header + "\n"), found, ()),
    }
    assert len(paths) == 4


def entry() -> cache.Entry:
    spec = scale_spec()
    return cache.Entry(spec, build(spec), {"x": ("scale.tg", 3, 4)}, ("-O1",))


def test_a_program_comes_back_as_it_was(own_cache: Path):
    kept = entry()
    cache.store_program("key", kept)
    assert cache.load_program("key") == kept
    assert cache.load_program("other") is None


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"spec": "{}", "places": {}, "library": "x", "cflags": []}']
)
def test_a_damaged_record_counts_as_none(own_cache: Path, damage: str):
    cache.store_program("key", entry())
    (own_cache / "key.json").write_text(damage)
    assert cache.load_program("key") is None


def test_a_missing_library_counts_as_none(own_cache: Path):
    kept = entry()
    cache.store_program("key", kept)
    kept.library.unlink()
    assert cache.load_program("key") is None


def test_a_damaged_library_is_compiled_again(own_cache: Path):
    spec, found = scale_spec(), compiler.find_compiler()
    path = cache.library(spec, found, ())
    path.unlink()
    path.write_bytes(b"not a library")
    with pytest.raises(OSError):
        Program(spec, path)
    assert Program(spec, cache.library(spec, found, (), again=True)).name == "scale"


def test_the_key_holds_all_that_leads_to_a_program():
    found = compiler.find_compiler()
    keys = {
        cache.program_key(parts, found) for parts in (["a", "b"], ["ab", ""], ["", "ab"], ["a", "b", "c"])
    }
    assert len(keys) == 4
    other = compiler.Compiler((*found.command, "-g"), found.path)
    assert cache.program_key(["a"], found) != cache.program_key(["a"], other)


def test_a_folder_that_cannot_be_made_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IRKIT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="Not a directory; nothing is kept"):
        assert cache.cache_dir().is_dir()


def test_the_user_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("IRKIT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_dir() == (tmp_path / "irkit").resolve()


def test_what_was_used_longest_ago_goes_first(tmp_path: Path):
    for age, name in enumerate(("new.so", "old.so", "older.json")):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    cache.prune(tmp_path, limit=20)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.so", "old.so"]


def test_several_processes_share_a_folder(own_cache: Path):
    code = "from tests.runtime.handmade import load; import numpy as np; print(load(w=np.ones(3, np.float32)).name)"
    root = Path(__file__).resolve().parents[2]
    workers = [
        subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [w.communicate(timeout=120)[0].strip() for w in workers] == ["scale"] * 4
    assert len(list(own_cache.iterdir())) == 1


# -- the interface --------------------------------------------------------------------------------------------


def test_a_spec_survives_json():
    spec = scale_spec()
    assert type(spec).from_json(spec.to_json()) == spec


@pytest.mark.parametrize("flags", [("-std=gnu11",), ("-x", "c++")])
def test_the_header_stands_alone(tmp_path: Path, flags: tuple[str, ...]):
    spec = scale_spec()
    (tmp_path / "scale.h").write_text(spec.header)
    (tmp_path / "other.h").write_text(spec.header.replace("scale", "other").replace("SCALE", "OTHER"))
    (tmp_path / "use.c").write_text(
        '#include "scale.h"\n#include "other.h"\n#include "scale.h"\n'
        "int use(scale_args *a, other_args *b) { a->float_ = b->float_; return scale_info.arg_count; }\n"
    )
    found = compiler.find_compiler()
    words = [*found.command, *flags, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "use.c"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_arrays_of_the_arena_are_aligned():
    from irkit.runtime.module import aligned

    for size in (0, 1, 63, 4096):
        memory = aligned(size)
        assert memory.nbytes == size and (memory.ctypes.data % 64 == 0 or not size)
        assert memory.dtype == np.uint8
