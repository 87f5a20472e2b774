"""The store holds what its names say, whatever happens to the process or the disk."""

import errno
import hashlib
import io
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.digests import digest_of, digest_of_folder
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.files import write_atomically
from stillhouse.records import artifacts
from stillhouse.records.artifacts import ArtifactStore, build_key
from stillhouse.records.manifest import Manifest
from tests.warm import WarmParent


def store_in(folder: Path, root: str | None = None) -> ArtifactStore:
    return ArtifactStore(root or str(folder / "store"), cache=folder / "cache", workbench=folder / "bench")


def always(digest: str, identity: str) -> bool:
    return True


def published(store: ArtifactStore, **files: str) -> str:
    with store.building() as folder:
        for name, content in files.items():
            (folder / name).write_text(content)
        return store.publish(folder)


def manifest_of(digest: str, key: str = "k", **changes: object) -> Manifest:
    values = {
        "digest": digest, "asset": "r/source", "run_id": "run", "build_key": key, "code_digest": "c",
        "lock_digest": "l", "config": {}, "device": "d", "inputs": {}, "wall_seconds": 0.0, "cpu_seconds": 0.0,
        "cost_usd": 0.0, "created_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Manifest.model_validate({**values, **changes})


@pytest.mark.long
@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.none()))
def test_a_digest_does_not_depend_on_key_order(value: dict[str, object]) -> None:
    assert digest_of(value) == digest_of(dict(reversed(value.items())))


def test_a_digest_refuses_what_json_cannot_say() -> None:
    with pytest.raises(TypeError):
        digest_of({"path": Path("x")})
    with pytest.raises(ValueError):
        digest_of(float("nan"))


def test_the_digest_of_a_folder_covers_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = digest_of_folder(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = digest_of_folder(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, renamed, digest_of_folder(tmp_path)}) == 3


def a_link_to_a_file(folder: Path, elsewhere: Path) -> None:
    (elsewhere / "b").write_text("same bytes")
    (folder / "b").unlink()
    (folder / "b").symlink_to(elsewhere / "b")


def a_link_to_a_folder(folder: Path, elsewhere: Path) -> None:
    (elsewhere / "optimizer.pt").write_bytes(b"pickle")
    (folder / "extra").symlink_to(elsewhere)


def a_link_to_nothing(folder: Path, elsewhere: Path) -> None:
    (folder / "extra").symlink_to(elsewhere / "absent")


@pytest.mark.parametrize("linked", [a_link_to_a_file, a_link_to_a_folder, a_link_to_nothing])
def test_a_link_is_counted_in_a_digest_and_never_published(
    tmp_path: Path, linked: Callable[[Path, Path], None]
) -> None:
    store, elsewhere = store_in(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    with store.building() as folder:
        (folder / "b").write_text("same bytes")
        honest = digest_of_folder(folder)
        linked(folder, elsewhere)
        assert digest_of_folder(folder) != honest
        with pytest.raises(StillhouseError, match="is a link to"):
            store.publish(folder)
    assert not (tmp_path / "store").exists()


@pytest.mark.experiment("A21", "A22")
@pytest.mark.parametrize("linked", [a_link_to_a_file, a_link_to_a_folder, a_link_to_nothing])
def test_a_link_put_into_an_artifact_is_found(tmp_path: Path, linked: Callable[[Path, Path], None]) -> None:
    store, elsewhere = store_in(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    digest = published(store, b="same bytes")
    linked(store.open(digest), elsewhere)
    with pytest.raises(StillhouseError, match="was altered"):
        store.open(digest)


def folders_synced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            synced.append(path.relative_to(tmp_path).as_posix())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return synced


@pytest.mark.experiment("C13")
def test_every_folder_that_got_a_name_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    synced = folders_synced(monkeypatch, tmp_path)
    digest = published(store, a="1")
    store.write_manifest(manifest_of(digest))
    store.remember_build("k", digest, "0" * 64)
    kept = store.keep(io.BytesIO(b"rows"))
    assert {"store", f"store/{digest}", f"store/{digest}/manifests", "store/builds", "store/kept"} <= set(synced)
    assert store.kept(kept).read_bytes() == b"rows"


def test_an_edit_that_keeps_size_and_time_is_found_by_the_same_store(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = published(store, a="1")
    file = store.open(digest) / "a"
    before = file.stat()
    file.chmod(0o644)
    file.write_text("2")
    file.chmod(0o444)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StillhouseError, match="was altered"):
        store.open(digest)


ROOTS = pytest.mark.parametrize("root", [None, "memory://kept-test"])


@pytest.mark.long
@ROOTS
@given(content=st.binary(max_size=200))
def test_what_is_kept_is_what_was_hashed(tmp_path_factory: pytest.TempPathFactory, root: str, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("kept")
    store = store_in(folder, root)
    (folder / "outside").write_bytes(content)
    digest = store.keep(folder / "outside")
    assert digest == hashlib.sha256(content).hexdigest()
    assert store.keep(io.BytesIO(content)) == digest
    (folder / "outside").write_bytes(b"replaced")
    assert store.kept(digest).read_bytes() == content


def test_a_source_that_changes_while_it_is_copied_gives_bytes_and_digest_that_agree(tmp_path: Path) -> None:
    class Changing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            got = super().read(3)
            self.getbuffer()[:] = b"x" * len(self.getbuffer())  # somebody writes over what was read already
            return got

    store = store_in(tmp_path)
    digest = store.keep(Changing(b"abcdef"))
    assert store.kept(digest).read_bytes() == b"abcxxx"
    assert digest == hashlib.sha256(b"abcxxx").hexdigest()


@pytest.mark.parametrize("bad", [b"", b"ab", b"abd"], ids=["empty", "cut", "edited"])
@ROOTS
def test_an_altered_kept_file_is_refused_and_kept_again(tmp_path: Path, root: str, bad: bytes) -> None:
    store = store_in(tmp_path, root)
    digest = store.keep(io.BytesIO(b"abc"))
    kept = store.root / "kept" / digest
    kept.unlink()
    kept.write_bytes(bad)
    store = store_in(tmp_path / "again", str(store.root))
    with pytest.raises(StillhouseError, match="were altered"):
        store.kept(digest)
    assert store.keep(io.BytesIO(b"abc")) == digest
    assert store.kept(digest).read_bytes() == b"abc"
    assert any(item.name.startswith(f"kept-{digest}") for item in (store.root / "set_aside").iterdir())


def test_what_was_never_kept_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match="were not kept"):
        store_in(tmp_path).kept("0" * 64)


def test_kept_rows_are_for_their_owner_alone(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert store.kept(store.keep(io.BytesIO(b"secret"))).stat().st_mode & 0o077 == 0


def test_the_same_content_has_one_name_and_one_copy(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert published(store, a="1") == published(store, a="1") != published(store, a="2")
    assert not list((tmp_path / "bench").iterdir())


def test_an_altered_byte_is_refused_and_the_next_build_puts_the_content_back(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = published(store, a="1")
    store.write_manifest(manifest_of(digest))
    store.remember_build("k", digest, "0" * 64)
    file = store.open(digest) / "a"
    file.chmod(0o644)
    file.write_text("2")
    with pytest.raises(StillhouseError, match="was altered"):
        store.open(digest)
    assert store.find_build("k", is_recorded=always) is None
    assert published(store, a="1") == digest
    assert (store.open(digest) / "a").read_text() == "1"


@pytest.mark.parametrize("number", [errno.ENOTEMPTY, errno.EEXIST])
@pytest.mark.parametrize("theirs", ["1", "altered"])
def test_of_two_that_publish_the_same_at_once_both_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str, number: int
) -> None:
    """Regression: two recipes of one source, run beside each other, and one of them ended in an error of the system."""
    place = artifacts.move_into_place

    def another_is_faster(source: Path, target: Path) -> None:
        monkeypatch.setattr(artifacts, "move_into_place", place)
        target.mkdir()
        (target / "a").write_text(theirs)
        with pytest.raises(OSError, match="not empty"):
            place(source, target)
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    monkeypatch.setattr(artifacts, "move_into_place", another_is_faster)
    store = store_in(tmp_path)
    digest = published(store, a="1")
    assert (store.open(digest) / "a").read_text() == "1" and not list((tmp_path / "bench").iterdir())


def test_a_missing_artifact_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match=r"not in the store.*Materialize the asset again"):
        store_in(tmp_path).open("0" * 64)


def test_a_build_is_found_again_by_its_key_alone(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = published(store, a="1")
    identity = store.write_manifest(manifest_of(digest, "key"))
    store.remember_build("key", digest, identity)
    found = store.find_build("key", is_recorded=always)
    assert found is not None and (found.digest, found.identity) == (digest, identity)
    assert store.find_build("other", is_recorded=always) is None
    assert build_key("s", "v", a=1) != build_key("s", "v", a=2) != build_key("s", "w", a=2)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = published(store, a="1")
    identity = store.write_manifest(manifest_of(digest))
    path = tmp_path / "store" / digest / "manifests" / f"{identity}.json"
    assert store.read_manifest(digest, identity).run_id == "run"
    path.write_text(path.read_text().replace('"run"', '"another"'))
    with pytest.raises(StillhouseError, match="manifest was edited"):
        store.read_manifest(digest, identity)


def test_a_remote_store_behaves_like_a_local_one(tmp_path: Path) -> None:
    store = store_in(tmp_path, "memory://artifacts-test")
    digest = published(store, a="1", b="2")
    identity = store.write_manifest(manifest_of(digest))
    assert sorted(path.name for path in store.open(digest).iterdir()) == ["a", "b"]
    assert store.read_manifest(digest, identity).asset == "r/source"
    store.remember_build("k", digest, identity)
    assert store.find_build("k", is_recorded=always) is not None


def test_altered_content_in_a_remote_store_is_set_aside_and_made_again(tmp_path: Path) -> None:
    store = store_in(tmp_path, "memory://artifacts-altered")
    digest = published(store, a="1")
    store.remember_build("k", digest, store.write_manifest(manifest_of(digest)))
    (store.root / digest / "files" / "a").write_text("2")
    fresh = store_in(tmp_path / "elsewhere", "memory://artifacts-altered")
    assert fresh.find_build("k", is_recorded=always) is None
    assert published(fresh, a="1") == digest
    assert (fresh.open(digest) / "a").read_text() == "1"


def test_a_damaged_copy_of_a_remote_artifact_is_fetched_again(tmp_path: Path) -> None:
    store = store_in(tmp_path, "memory://artifacts-cached")
    digest = published(store, a="1")
    (store.open(digest) / "a").write_text("2")
    assert (store.open(digest) / "a").read_text() == "1"


def test_what_another_process_has_fetched_meanwhile_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path, "memory://artifacts-raced")
    digest = published(store, a="1")
    other = store_in(tmp_path, "memory://artifacts-raced")
    find = MemoryFileSystem.find

    def overtaken(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(MemoryFileSystem, "find", find)
        other.open(digest)
        return find(*arguments, **named)

    monkeypatch.setattr(MemoryFileSystem, "find", overtaken)
    assert (store.open(digest) / "a").read_text() == "1"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [digest], "nothing half-fetched is left"


def test_a_store_that_is_away_leaves_no_half_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path, "memory://artifacts-away")
    digest = published(store, a="1", b="2")
    get, calls = MemoryFileSystem.get_file, []

    def broken(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise ConnectionError("away")
        return get(*arguments, **named)

    monkeypatch.setattr(MemoryFileSystem, "get_file", broken)
    with pytest.raises(ConnectionError):
        store.open(digest)
    assert not list((tmp_path / "cache").iterdir())
    assert sorted(path.name for path in store.open(digest).iterdir()) == ["a", "b"]


@pytest.mark.parametrize(("options", "says"), [("ro", "Read-only file system"), ("size=200k", "no space left")])
def test_content_that_finds_no_place_on_this_machine_is_not_set_aside_for_everybody(
    tmp_path: Path, options: str, says: str
) -> None:
    """Nothing that is looked up from such a machine may be taken for broken: it is whole where all others read it."""
    root = f"memory://artifacts-in-use-{options}"
    whole, large = store_in(tmp_path, root), "x" * 500_000
    digest, kept = published(whole, a=large), whole.keep(io.BytesIO(large.encode()))
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        here = ArtifactStore(root, cache=disk / "cache", workbench=tmp_path / "bench")
        with pytest.raises(MachineError, match=says):
            published(here, a=large)
        with pytest.raises(MachineError, match=says):
            here.keep(io.BytesIO(large.encode()))
    finally:
        subprocess.run(["umount", disk], check=True)
    elsewhere = ArtifactStore(root, cache=tmp_path / "other", workbench=tmp_path / "bench")
    assert (elsewhere.open(digest) / "a").read_text() == large and elsewhere.kept(kept).read_text() == large


def test_a_full_disk_publishes_nothing_and_says_so(tmp_path: Path) -> None:
    """A real full disk: a file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        store = store_in(disk)
        with pytest.raises(StillhouseError, match=r"no space left.*nothing was published"), store.building() as folder:
            (folder / "large").write_bytes(b"x" * 5_000_000)
        assert not (disk / "store").exists()
        assert not list((disk / "bench").iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.experiment("C3")
def test_a_build_on_a_full_disk_leaves_nothing_half_done(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(StillhouseError, match=r"no space left.*nothing was published"), store.building() as folder:
        (folder / "begun").write_text("half")
        raise OSError(28, "No space left on device")
    assert not (tmp_path / "store").exists()
    assert not list((tmp_path / "bench").iterdir())


@pytest.mark.experiment("C4")
def test_an_atomic_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def broken(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StillhouseError, match="no space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [item.name for item in tmp_path.iterdir()] == ["file"]


KILLED = """
    import os, signal
    from pathlib import Path
    from stillhouse.records import artifacts
    folder = Path({folder!r})
    store = artifacts.ArtifactStore(str(folder / "store"), cache=folder / "cache", workbench=folder / "bench")
    steps = iter(range(1000))
    def dying(original):
        def step(*arguments, **named):
            if next(steps) == {step}:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **named)
        return step
    Path.mkdir, Path.replace, Path.chmod, os.fsync = map(dying, (Path.mkdir, Path.replace, Path.chmod, os.fsync))
    with store.building() as build:
        (build / "a").write_text("1")
        (build / "b").write_text("2")
        store.publish(build)
"""


@pytest.mark.long
@pytest.mark.parametrize("step", range(0, 16))
def test_a_kill_at_any_step_of_publishing_leaves_all_or_nothing(parent: WarmParent, tmp_path: Path, step: int) -> None:
    ended = parent.run(KILLED.format(folder=str(tmp_path), step=step))
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    store = store_in(tmp_path)
    for files in (tmp_path / "store").glob("*/files"):
        assert digest_of_folder(files) == files.parent.name
    assert (store.open(published(store, a="1", b="2")) / "a").read_text() == "1"
