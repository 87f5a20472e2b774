"""What was read from source is found by the next process, and is read again whenever it cannot be."""

import sys
from pathlib import Path

import pytest

from stillhouse import source_cache
from stillhouse.source_cache import SourceRead, known, remember

ONE = SourceRead(
    digest="d1", modules=("stillhouse.a",), names=(("stillhouse.b", "c"),), uses=("d",), looks_around=False
)
OTHER = ONE.model_copy(update={"digest": "d2"})


@pytest.fixture(autouse=True)
def kept_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, in a folder of the test; Python may be running without bytecode, and this one does not."""
    file = tmp_path / "cache.json"
    monkeypatch.setattr(source_cache, "_file", lambda: file)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    another_process(monkeypatch)
    return file


def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_cache, "_read_here", {})
    source_cache._of_earlier_processes.cache_clear()


def test_the_next_process_finds_what_two_have_read(monkeypatch: pytest.MonkeyPatch) -> None:
    remember("one", ONE)
    assert known("one") == ONE and known("other") is None
    source_cache.write()
    another_process(monkeypatch)
    remember("other", OTHER)
    source_cache.write()
    another_process(monkeypatch)
    assert (known("one"), known("other")) == (ONE, OTHER)


def test_what_is_known_already_is_not_written_again(kept_in: Path) -> None:
    remember("one", ONE)
    source_cache.write()
    kept_in.unlink()
    source_cache.write()
    assert not kept_in.exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"one": {"digest": 1}}', b"\xff"])
def test_a_file_that_cannot_be_read_is_none_and_is_replaced(
    kept_in: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    kept_in.write_bytes(content)
    assert known("one") is None
    remember("one", ONE)
    source_cache.write()
    another_process(monkeypatch)
    assert known("one") == ONE


def test_nothing_is_lost_but_time_where_nothing_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setattr(source_cache, "_file", lambda: tmp_path / "a file" / "cache.json")
    remember("one", ONE)
    source_cache.write()
    assert known("one") == ONE


def test_whoever_keeps_no_bytecode_keeps_no_source_either(kept_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    remember("one", ONE)
    source_cache.write()
    assert not kept_in.exists()


def test_with_too_many_those_of_earlier_versions_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_cache, "AT_MOST", 2)
    for name in ("first", "second"):
        remember(name, ONE)
    source_cache.write()
    another_process(monkeypatch)
    remember("third", OTHER)
    source_cache.write()
    another_process(monkeypatch)
    assert (known("first"), known("third")) == (None, OTHER)
