"""Keeping the bytes of files from outside, noticing that one was changed, listing a drop folder."""

import gzip
import hashlib
from pathlib import Path

import polars as pl
import pytest
from upath import UPath

from stillhouse.data.outside import digests_now, drop_folder_entries, read_outside
from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import Limits
from stillhouse.records.artifacts import ArtifactStore
from tests.stillhouse.data.conftest import CSV
from tests.stillhouse.data.options import read_with


def test_the_drop_folder_lists_finished_files_by_name(project: Path) -> None:
    for name in (
        "b.csv",
        "a.parquet",
        ".hidden.csv",
        "_SUCCESS",
        "c.csv.tmp",
        "d.csv~",
        "e.PART",
        "~$f.csv",
        "g.partial",
    ):
        (project / name).touch()
    (project / "folder.csv").mkdir()
    names = [item.name for item in drop_folder_entries(str(project))]
    assert names == ["a.parquet", "b.csv", "rows.csv"]


def test_a_drop_folder_that_is_missing_or_a_file_is_refused(project: Path) -> None:
    with pytest.raises(StillhouseError, match="does not exist"):
        drop_folder_entries(str(project / "inbox"))
    with pytest.raises(StillhouseError, match="is a file"):
        drop_folder_entries(str(project / "rows.csv"))


def test_a_drop_folder_in_a_store_gives_addresses_that_can_be_read(memory: UPath) -> None:
    for name in ("b.csv", "a.csv", "c.csv.part"):
        (memory / name).write_text(CSV)
    files = drop_folder_entries("memory://inbox")
    assert [file.name for file in files] == ["a.csv", "b.csv"]
    assert read_with(files[0].address, text="question").rows.height == 2
    assert drop_folder_entries("memory://nothing/here/yet") == []


def test_the_digest_of_a_local_source_is_that_of_its_bytes(project: Path) -> None:
    # printf 'question,topic,region\na,x,north\nb,,\n' | sha256sum
    expected = "61a221b98192cd96fe05accd263ca2df1f877a925ec801eb4434ec86af12e1e5"
    assert digests_now("rows.csv", root=project) == {"rows.csv": expected}
    (project / "more.csv").write_text(CSV)
    assert digests_now("*.csv", root=project).keys() == {str(project / "more.csv"), str(project / "rows.csv")}


def test_the_digest_in_a_store_follows_its_content_mark_and_else_the_time(
    memory: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: dict[str, object] = {"size": 3, "ETag": '"one"', "LastModified": "monday"}
    monkeypatch.setattr(type(memory.fs), "info", lambda *_: facts)
    address = "memory://inbox/rows.csv"
    first = digests_now(address)
    facts["LastModified"] = "tuesday"
    assert digests_now(address) == first, "the same content uploaded again is no news"
    facts["ETag"] = '"two"'
    assert digests_now(address) != first
    del facts["ETag"]
    tuesday = digests_now(address)
    facts["LastModified"] = "wednesday"
    assert digests_now(address) != tuesday
    del facts["LastModified"]
    with pytest.raises(StillhouseError, match="neither a digest nor a time"):
        digests_now(address)


def test_the_digest_of_a_missing_source_is_refused(project: Path, memory: UPath) -> None:
    with pytest.raises(StillhouseError, match="no such file"):
        digests_now("none.csv", root=project)
    with pytest.raises(StillhouseError, match="cannot be read"):
        digests_now("memory://inbox/none.csv")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache", workbench=tmp_path / "bench")


@pytest.mark.experiment("E9")
def test_a_source_replaced_after_it_was_hashed_gives_the_rows_that_were_hashed(
    project: Path, store: ArtifactStore
) -> None:
    """Regression: other rows went in under the digest of the honest file, with every gate open."""
    outside = read_outside("rows.csv", store, root=project)
    (project / "rows.csv").write_text("question,topic,region\nevil,x,north\n")
    assert outside.content == "61a221b98192cd96fe05accd263ca2df1f877a925ec801eb4434ec86af12e1e5"
    rows = read_with("rows.csv", kept=outside.kept(store), text="question", label="topic").rows
    assert rows["text"].to_list() == ["a", "b"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet", "rows.ndjson"])
def test_kept_bytes_are_read_as_the_format_that_their_address_says(
    project: Path, store: ArtifactStore, name: str
) -> None:
    frame = pl.DataFrame({"question": ["a", "b"], "topic": ["x", "y"]})
    if name.endswith("parquet"):
        frame.write_parquet(project / name)
    elif name.endswith("ndjson"):
        frame.write_ndjson(project / name)
    else:
        content = frame.write_csv().encode()
        (project / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    kept = read_outside(name, store, root=project).kept(store)
    (project / name).unlink()
    assert read_with(name, kept=kept, text="question", label="topic").rows["text"].to_list() == ["a", "b"]


def test_no_more_of_a_remote_file_is_fetched_than_the_limit(memory: UPath, store: ArtifactStore) -> None:
    (memory / "rows.csv").write_bytes(CSV.encode() * 100_000)
    with pytest.raises(StillhouseError, match="it holds more than 1 MB") as refused:
        read_outside("memory://inbox/rows.csv", store, limits=Limits(file_mb_at_most=1))
    assert "data.limits.file_mb_at_most" in refused.value.do
    assert not [path for path in Path(str(store.root)).rglob("*") if path.is_file()], "nothing of it was kept"


def test_every_file_behind_wildcards_is_kept_and_named(project: Path, store: ArtifactStore) -> None:
    (project / "more.csv").write_text("topic,question,region\ny,c,south\n")
    outside = read_outside("*.csv", store, root=project)
    assert list(outside.digests) == [str(project / "more.csv"), str(project / "rows.csv")]
    assert outside.content == hashlib.sha256("\n".join(outside.digests.values()).encode()).hexdigest()
    assert outside.digests == digests_now("*.csv", root=project)
    for name, path in outside.kept(store).items():
        assert path.read_bytes() == Path(name).read_bytes()
    assert read_with("*.csv", kept=outside.kept(store), text="question").rows["text"].to_list() == ["c", "a", "b"]


def test_a_file_in_a_store_is_kept_by_its_bytes_and_watched_by_its_mark(memory: UPath, store: ArtifactStore) -> None:
    (memory / "rows.csv").write_text(CSV)
    address = "memory://inbox/rows.csv"
    outside = read_outside(address, store)
    assert outside.digests == {address: hashlib.sha256(CSV.encode()).hexdigest()}
    assert outside.marks == digests_now(address)
    (memory / "rows.csv").write_text("question\nanother\n")
    assert outside.marks != digests_now(address)
    assert read_with(address, kept=outside.kept(store), text="question").rows.height == 2


def test_an_altered_copy_is_refused_and_not_read(project: Path, store: ArtifactStore) -> None:
    outside = read_outside("rows.csv", store, root=project)
    (path,) = outside.kept(store).values()
    path.unlink()
    path.write_text("question,topic,region\nevil,x,north\n")
    with pytest.raises(StillhouseError, match="were altered"):
        outside.kept(store)


def test_a_missing_source_is_said_before_anything_is_kept(project: Path, store: ArtifactStore) -> None:
    with pytest.raises(StillhouseError, match="no such file"):
        read_outside("none.csv", store, root=project)
    assert not store.root.exists()
