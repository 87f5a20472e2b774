"""Labels that are JSON objects become a recipe of records, or one sentence says why not."""

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from orchestration.recipe_check import check
from orchestration.scaffold.records import record_of
from orchestration.scaffold.server import TeacherServer
from orchestration.scaffold.writing import FilesBeside, Written, write_recipe
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.reading import Recipes, read_recipe
from stillhouse.recipe.record import RecordSpec
from tests.command import stillhouse
from tests.slots import answered, sentences
from tests.small import questions

ROWS = 400


def files(folder: Path, ending: str = "jsonl") -> tuple[Path, Path]:
    """Sentences with their records, one of them invented, and a model's answers to them."""
    rows = sentences(ROWS)
    more = pl.DataFrame({"text": ["Pay it"], "record": ['{"payee": "Acme", "currency": "EUR"}'], "order": ["0"]})
    data, replies = folder / f"rows.{ending}", folder / "replies.csv"
    rows = pl.concat([rows, more])
    if ending == "csv":
        rows.write_csv(data)
    else:
        lines = [{"text": text, "record": json.loads(record)} for text, record in rows.select("text", "record").rows()]
        data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    answered(sentences(ROWS)).select("text", "answer").write_csv(replies)
    return data, replies


def new(folder: Path, data: Path, **beside: Any) -> Written:
    return write_recipe(
        folder / "recipes", "bills", data=str(data), text="text", label="record", beside=FilesBeside(**beside)
    )


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_column_of_records_is_recognised_and_the_recipe_says_so(tmp_path: Path, ending: str) -> None:
    data, replies = files(tmp_path, ending)
    made = new(tmp_path, data, stored=str(replies))
    recipe = read_recipe(made.path).recipe
    assert recipe.data.record == RecordSpec.model_validate({"words": 32, "fields": {
        "currency": {"kind": "choice", "of": ["EUR", "USD"]},
        "due": {"kind": "verbatim", "words_at_most": 1, "optional": True},
        "payee": {"kind": "verbatim", "words_at_most": 2},
    }})  # fmt: skip
    assert (recipe.bar.metric, recipe.slices, recipe.teacher.kind) == ("accuracy", (), "stored")
    assert {each.training.loss for each in recipe.students if each.training} == {"kl", "labels"}
    assert recipe.task.startswith("Give a text of rows.") and "the record of its" in recipe.task
    (said,) = (each for each in made.seen if "learned as records" in each)
    there = sentences(ROWS).height
    assert f"values of {there:,} of {there + 1:,} labelled rows can be taken out of their texts" in said
    assert said.endswith("not 1 because payee is not in the text") and "currency (one of 2 values)" in said
    text = made.path.read_text()
    assert "with records as labels" in text and "one place for all is" in text and "column label" not in text
    assert "of one field by itself" not in text and '#   "currency": {critical: true' in text


def test_what_it_writes_is_planned_and_once_the_questions_are_answered_all_is_well(tmp_path: Path, home: Home) -> None:
    data, replies = files(tmp_path)
    options = ("--data", str(data), "--text", "text", "--label", "record", "--answers", str(replies))
    ended = stillhouse("new", "bills", *options, "--pain", "latency", recipes=tmp_path / "recipes")
    assert ended.returncode == 0 and "learned as records of" in ended.stdout, ended.stderr
    path = tmp_path / "recipes" / "bills" / "defs.yaml"
    document = yaml.safe_load(path.read_text())
    document["attributes"]["bar"]["fields"] = {"due": {"critical": True, "margin": 0.1}}
    path.write_text(yaml.safe_dump(document))
    planned = stillhouse("plan", "bills", recipes=tmp_path / "recipes")
    assert planned.returncode == 0 and "field due" in planned.stdout, planned.stderr
    document["attributes"]["teacher"] |= {"licence": "its terms", "training_on_outputs": "allowed"}
    document["attributes"]["data"]["licence"] = "ours"
    path.write_text(yaml.safe_dump(document))
    assert check(Recipes((read_recipe(path),), ())).all_is_well


def test_an_encoder_learns_them_from_the_rows_and_a_server_is_asked_for_them(tmp_path: Path) -> None:
    data, _ = files(tmp_path)
    recipe = read_recipe(new(tmp_path, data).path).recipe
    assert (recipe.teacher.kind, recipe.data.answer, recipe.base) == ("encoder", "fields", None)
    assert recipe.teacher.training is not None and recipe.teacher.training.loss == "labels"
    assert {each.training.loss for each in recipe.students if each.training} == {"kl", "labels"}
    server = TeacherServer("http://127.0.0.1:8000/v1", "large", 0.2, 0.6, 25)
    (tmp_path / "asked").mkdir()
    recipe = read_recipe(new(tmp_path / "asked", data, server=server).path).recipe
    assert (recipe.teacher.kind, recipe.data.answer) == ("endpoint", "fields")
    assert recipe.teacher.ask is not None and recipe.data.record is not None
    assert recipe.teacher.ask.settings["max_tokens"] == recipe.data.record.tokens_at_most > 64


def test_golden_rows_with_records_make_a_recipe_of_records_of_a_source_without_labels(tmp_path: Path) -> None:
    golden, replies = files(tmp_path)
    source = tmp_path / "source.csv"
    questions(300, skip=2500).select(text="question").write_csv(source)
    made = new(tmp_path, source, golden=str(golden), stored=str(replies))
    recipe = read_recipe(made.path).recipe
    assert recipe.data.label is None and recipe.data.record is not None
    assert [*recipe.data.record.fields] == ["currency", "due", "payee"]


def found(texts: Sequence[str], values: Sequence[Any]) -> RecordSpec | str:
    """What is said of one field with these values."""
    labels = [json.dumps({"x": value}) for value in values]
    return record_of(pl.DataFrame({"text": texts, "label": labels}))


def field(texts: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    spec = found(texts, values)
    assert isinstance(spec, RecordSpec), spec
    return spec.fields["x"].model_dump(exclude_defaults=True)


@pytest.mark.parametrize(
    ("written", "value", "says"),
    [
        ("{0}.50", lambda number: number + 0.5, {"kind": "number", "words_at_most": 1}),
        ("1,{0:03d}", lambda number: 1000 + number, {"kind": "number", "words_at_most": 1, "decimal": "point"}),
        ("1.{0:03d}", lambda number: 1000 + number, {"kind": "number", "words_at_most": 1, "decimal": "comma"}),
        ("1 {0:03d},25", lambda number: f"{1000 + number}.25", {"kind": "number", "words_at_most": 2}),
        ("1,{0:03d}", lambda number: f"1,{number:03d}", {"kind": "verbatim", "words_at_most": 1}),
        ("{0}", lambda number: number, {"kind": "number", "words_at_most": 1}),
        ("0{0}", lambda number: f"0{number}", {"kind": "verbatim", "words_at_most": 1}),
        ("Acme {0} Ltd", lambda number: f"acme {number} ltd", {"kind": "verbatim", "words_at_most": 3}),
        ("1/{0} of 2{0}", lambda number: f"1/{number} of 2{number}", {"kind": "verbatim", "words_at_most": 5}),
        ("nothing", lambda number: "abc"[number % 3], {"kind": "choice", "of": ("a", "b", "c")}),
        ("nothing", lambda number: number % 3, {"kind": "choice", "of": ("0", "1", "2")}),
        ("of 7", lambda number: None if number % 2 else 7, {"kind": "number", "words_at_most": 1, "optional": True}),
    ],
)  # fmt: skip
def test_the_kind_of_a_field_is_that_of_its_values(
    written: str, value: Callable[[int], Any], says: dict[str, Any]
) -> None:
    numbers = range(101, 161)
    assert field([f"It is {written.format(each)} here" for each in numbers], [*map(value, numbers)]) == says


def test_dates_are_found_in_the_order_that_the_rows_show() -> None:
    days = [date(2026, 1, 1) + timedelta(days=5 * number) for number in range(70)]
    values = [day.isoformat() for day in days]
    american = field([f"Due {day.month}/{day.day}/{day.year} here" for day in days], values)
    assert american == {"kind": "date", "words_at_most": 5, "order": "month_first"}
    assert field([f"Due {day.day}.{day.month}.{day.year}" for day in days], values)["order"] == "day_first"
    named = field([f"Due {day:%B} {day.day}, {day.year}" for day in days], values)
    assert named == {"kind": "date"}, "as many words as the default has, and no order that anybody needs"
    assert field([f"Due {value}" for value in values], values) == {"kind": "verbatim", "words_at_most": 1}


def test_a_decimal_sign_that_the_rows_do_not_show_is_not_guessed() -> None:
    """Half of the amounts are in the way of one country, and half in that of another."""
    texts = [f"It is {'1,' if number % 2 else '1.'}{number}" for number in range(101, 161)]
    assert "decimal" not in field([*texts, *["It is 7"] * 70], [*range(1101, 1161), *[7] * 70])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (lambda number: [number], "'x' holds lists, objects, true or false"),
        (lambda number: number % 2 == 0, "'x' holds lists, objects, true or false"),
        (lambda number: None, "'x' has no value in any row"),
        (
            lambda number: f"invented {number}",
            "of 'x' only 0.0% of the values are words, numbers or dates of their text",
        ),
        (lambda number: f"invented {number}", "and too many different ones to choose among"),
        (lambda number: "always", "of 'x' only 0.0% of the values"),
        (lambda number: "always", "and all are the same, so that there is none to choose among"),
    ],
)
def test_what_no_kind_of_field_is_says_why(value: Callable[[int], Any], why: str) -> None:
    said = found([f"text {number}" for number in range(60)], [*map(value, range(60))])
    assert isinstance(said, str) and why in said


@pytest.mark.parametrize("name", ["", " x", "x ", "a  b", "a\nb"])
def test_a_name_that_no_field_can_have_is_not_called_too_many_fields(name: str) -> None:
    rows = pl.DataFrame({"text": ["Pay Acme"] * 9, "label": [json.dumps({name: "Acme"})] * 9})
    assert f"{name!r} is a name that no field can have" in str(record_of(rows))


def test_records_that_cannot_be_learned_stay_classes_and_the_sentence_says_why(tmp_path: Path) -> None:
    data, replies = files(tmp_path, "csv")
    rows = pl.read_csv(data, infer_schema=False)
    tags = [json.dumps({"tags": [number % 5]}) for number in range(rows.height)]
    rows.with_columns(record=pl.Series(tags)).write_csv(data)
    made = new(tmp_path, data, stored=str(replies))
    assert read_recipe(made.path).recipe.data.answer == "single_label"
    assert any("learned here as classes: 'tags' holds lists" in each for each in made.seen)


def test_objects_of_a_file_that_cannot_be_learned_are_refused_with_the_reason(tmp_path: Path) -> None:
    data, replies = files(tmp_path)
    lines = [{"text": text, "record": {"tags": [1, 2]}} for text in sentences(ROWS)["text"]]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(StillhouseError, match=r"'tags' holds lists.*Name a field in it by its path"):
        new(tmp_path, data, stored=str(replies))
    assert not (tmp_path / "recipes").exists()
