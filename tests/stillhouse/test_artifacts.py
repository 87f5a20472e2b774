"""The store holds what its names say, whatever happens to the process or the disk."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.artifacts import ArtifactStore, build_key, write_atomically
from stillhouse.digests import digest_of, digest_of_folder
from stillhouse.errors import StillhouseError
from stillhouse.manifest import Manifest


def store_in(folder: Path, root: str | None = None) -> ArtifactStore:
    return ArtifactStore(root or str(folder / "store"), cache=folder / "cache", workbench=folder / "bench")


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


def test_the_same_content_has_one_name_and_one_copy(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert published(store, a="1") == published(store, a="1") != published(store, a="2")
    assert not list((tmp_path / "bench").iterdir())


def test_an_altered_byte_is_refused_and_the_next_build_puts_the_content_back(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = published(store, a="1")
    store.write_manifest(manifest_of(digest))
    file = store.open(digest) / "a"
    file.chmod(0o644)
    file.write_text("2")
    with pytest.raises(StillhouseError, match="was altered"):
        store.open(digest)
    assert store.find_build("k") is None
    assert published(store, a="1") == digest
    assert (store.open(digest) / "a").read_text() == "1"


def test_a_missing_artifact_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match=r"not in the store.*Materialize the asset again"):
        store_in(tmp_path).open("0" * 64)


def test_a_build_is_found_again_by_its_key_alone(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = published(store, a="1")
    identity = store.write_manifest(manifest_of(digest, "key"))
    found = store.find_build("key")
    assert found is not None and (found.digest, found.manifest) == (digest, identity)
    assert store.find_build("other") is None
    assert build_key("s", "v", a=1) != build_key("s", "v", a=2) != build_key("s", "w", a=2)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    digest = published(store, a="1")
    identity = store.write_manifest(manifest_of(digest))
    path = tmp_path / "store" / digest / "manifests" / f"{identity}.json"
    path.write_text(path.read_text().replace('"run"', '"another"'))
    with pytest.raises(StillhouseError, match="manifest was edited"):
        store.read_manifest(digest, identity)


def test_a_remote_store_behaves_like_a_local_one(tmp_path: Path) -> None:
    store = store_in(tmp_path, "memory://artifacts-test")
    digest = published(store, a="1", b="2")
    identity = store.write_manifest(manifest_of(digest))
    assert sorted(path.name for path in store.open(digest).iterdir()) == ["a", "b"]
    assert store.read_manifest(digest, identity).asset == "r/source"
    assert store.find_build("k") is not None


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


def test_an_atomic_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def broken(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [item.name for item in tmp_path.iterdir()] == ["file"]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from stillhouse import artifacts
    folder = Path({folder!r})
    store = artifacts.ArtifactStore(str(folder / "store"), cache=folder / "cache", workbench=folder / "bench")
    steps = iter(range(1000))
    def dying(original):
        def step(*arguments, **named):
            if next(steps) == {step}:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **named)
        return step
    Path.mkdir, Path.rename, Path.chmod, os.fsync = map(dying, (Path.mkdir, Path.rename, Path.chmod, os.fsync))
    with store.building() as build:
        (build / "a").write_text("1")
        (build / "b").write_text("2")
        store.publish(build)
"""


@pytest.mark.parametrize("step", range(0, 9))
def test_a_kill_at_any_step_of_publishing_leaves_all_or_nothing(tmp_path: Path, step: int) -> None:
    root = str(Path(__file__).parents[2])
    script = textwrap.dedent(KILLED.format(root=root, folder=str(tmp_path), step=step))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    store = store_in(tmp_path)
    for files in (tmp_path / "store").glob("*/files"):
        assert digest_of_folder(files) == files.parent.name
    assert (store.open(published(store, a="1", b="2")) / "a").read_text() == "1"
