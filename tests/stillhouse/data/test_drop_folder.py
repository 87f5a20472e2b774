"""Each file of a drop folder is treated alone: finished or not, readable or not, it stops no other."""

import os
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from stillhouse.data.drop_folder import Look, last_look, look_at
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.stages.source import drop_folder
from tests.small import small_recipe

GOOD = "question,service,kind\nWho ?,HUM,HUM:ind\n"


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    (tmp_path / "teacher").mkdir()  # nobody asks it anything
    return small_recipe(tmp_path, rows=100)


def look(builds: BuildStore, file: RecipeFile) -> Look:
    return look_at(builds, file, drop_folder(file, builds.home))


def settled(builds: BuildStore, file: RecipeFile) -> Look:
    look(builds, file)
    return look(builds, file)


def drop(home: Home, name: str | bytes, content: str | bytes = GOOD) -> Path:
    inbox = home.inbox("small")
    inbox.mkdir(parents=True, exist_ok=True)
    path = inbox / os.fsdecode(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.experiment("D10")
def test_a_file_is_taken_in_once_two_looks_are_alike(builds: BuildStore, file: RecipeFile, home: Home) -> None:
    drop(home, "monday.csv", GOOD[:-9])
    assert look(builds, file).waiting == ["monday.csv"]
    drop(home, "monday.csv", GOOD)
    grown = look(builds, file)
    assert grown.waiting == ["monday.csv"] and not grown.folder.ready
    found = look(builds, file)
    assert list(found.folder.ready) == ["monday.csv"] and not found.waiting
    assert last_look(builds, file) == found


def test_the_bytes_that_were_hashed_are_kept(builds: BuildStore, file: RecipeFile, home: Home) -> None:
    path = drop(home, "monday.csv")
    digest = settled(builds, file).folder.ready["monday.csv"].digest
    path.unlink()
    assert builds.store.kept(digest).read_text() == GOOD


def of(experiment: str, *what: str | bytes) -> ParameterSet:
    """A case that is an experiment."""
    return pytest.param(*what, marks=pytest.mark.experiment(experiment))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        of("D4", "empty.csv", "", "it is empty"),
        of("D7", "README", GOOD, "it is not a file of rows: its ending is missing"),
        of("D6", "base", GOOD, "it is not a file of rows: its ending is missing"),
        of("D7", "notes.txt", GOOD, "it is not a file of rows: its ending is .txt"),
        of("D5", b"bad\xff.csv", GOOD, "its name is not UTF-8"),
        of("D8", "a" * 251 + ".csv", GOOD, "its name has 255 bytes"),
        ("only a head.csv", "question,service,kind\n", "it holds no rows"),
        ("no text.csv", "service,kind\nHUM,HUM:ind\n", "no column 'question'"),
        of("E2", "no label.csv", "question,kind\nWho ?,HUM:ind\n", "no column 'service'"),
        of("E3", "no slice.csv", "question,service\nWho ?,HUM\n", "no column 'kind'"),
        ("latin.csv", "question,service,kind\ncafé ?,HUM,HUM:ind\n".encode("latin-1"), "is not utf-8"),
        ("zip.csv.gz", b"\x1f\x8bcut", "cannot be read"),
        ("rows.parquet", "no parquet", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_taken_in_is_named_and_stops_no_other(
    builds: BuildStore, file: RecipeFile, home: Home, name: str | bytes, content: str | bytes, said: str
) -> None:
    drop(home, name, content)
    drop(home, "good.csv")
    found = settled(builds, file)
    assert list(found.folder.ready) == ["good.csv"] and not found.waiting
    (line,) = found.refused
    assert said in line and line.endswith(".") and line.isprintable()


@pytest.mark.experiment("D9")
@pytest.mark.parametrize(
    "name", ["with blank.csv", "ünï 🦊.csv", "new\nline.csv", "br[a]ck*.csv", "com,ma;co:lon.csv", "esc\x1b[31m.csv"]
)
def test_a_name_with_odd_characters_is_taken_in(builds: BuildStore, file: RecipeFile, home: Home, name: str) -> None:
    drop(home, name)
    assert list(settled(builds, file).folder.ready) == [name]


def test_a_column_may_be_missing_where_the_recipe_says_so(builds: BuildStore, tmp_path: Path, home: Home) -> None:
    (tmp_path / "teacher").mkdir()
    strict, lenient = small_recipe(tmp_path), small_recipe(tmp_path, data__allow_missing_columns=["service"])
    drop(home, "no label.csv", "question,kind\nWho ?,HUM:ind\n")
    assert settled(builds, strict).refused
    found = settled(builds, lenient)
    assert list(found.folder.ready) == ["no label.csv"], "a changed recipe looks at every file again"


def test_a_look_that_was_cut_is_made_again(builds: BuildStore, file: RecipeFile, home: Home) -> None:
    drop(home, "monday.csv")
    before = settled(builds, file)
    memory = home.looks / "small.json"
    memory.write_bytes(memory.read_bytes()[:20])
    assert settled(builds, file) == before
