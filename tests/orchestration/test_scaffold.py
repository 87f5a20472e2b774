"""What `stillhouse new` writes: every value as it was given, whatever YAML makes of it, and all or nothing of it."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration import scaffold
from orchestration.scaffold import recipe_text, write_recipe
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.reading import parse_recipe, read_recipe
from tests.command import stillhouse
from tests.small import questions

VALUES = {
    "task": "Give a text the right one of its labels.", "owner": "team:mine", "teacher": "package://some/model",
    "revision": "0.1.0", "fingerprint": "0" * 64, "data": "rows.csv", "text": "body", "label": "queue", "key": "mine",
    "golden": 0.3,
}  # fmt: skip
ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@example("a: b.csv", "no", "[red] #3")
@example("two\nlines.csv", "1e3", "'\"$key ${text}")
@example("\x00\x1b[2J.csv", "\u2028", "---\nx: 1")
def test_each_value_reads_back_as_it_was_given(data: str, text: str, label: str) -> None:
    written = recipe_text({**VALUES, "data": data, "text": text, "label": label}, [], rows=100, labels=2)
    found = parse_recipe(written.encode(), Path("/nowhere/mine/defs.yaml")).recipe.data
    assert Path(found.source).name == Path(data).name and (found.text, found.label) == (text, label)


@pytest.mark.parametrize("name", ["no", "y", "null", "e1"])
def test_a_name_that_yaml_takes_for_something_else_is_a_name(tmp_path: Path, home: Home, name: str) -> None:
    data = tmp_path / "[urgent] a: b #3.csv"
    questions(90).write_csv(data)
    path = write_recipe(tmp_path / "recipes", name, data=str(data), text="question", label="service")
    recipe = read_recipe(path).recipe
    assert (recipe.split.key, recipe.data.source, recipe.owners) == (name, str(data), (f"team:{name}",))
    assert "[urgent] a: b #3.csv the right one of its 6 labels." in recipe.task


def test_what_does_not_read_back_is_not_put_in_place(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions(90).write_csv(tmp_path / "rows.csv")
    monkeypatch.setattr(scaffold, "fingerprint_of", lambda folder: "no fingerprint")
    with pytest.raises(StillhouseError, match=r"defs.yaml:\d+: teacher.fingerprint"):
        write_recipe(tmp_path / "recipes", "mine", data=str(tmp_path / "rows.csv"), text="question", label="service")
    assert not (tmp_path / "recipes").exists()


def test_a_file_whose_name_is_no_utf_8_is_refused_in_one_line(tmp_path: Path, home: Home) -> None:
    name = os.path.join(os.fsencode(tmp_path), b"bad\xff.csv")
    with open(name, "wb") as file:
        file.write(questions(90).write_csv().encode())
    options = ("--data", os.fsdecode(name), "--text", "question", "--label", "service")
    ended = stillhouse("new", "mine", *options, recipes=tmp_path / "recipes")
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and "bytes that are no UTF-8" in line and "bad\\udcff.csv" in line
    assert not (tmp_path / "recipes").exists()
