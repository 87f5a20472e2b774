"""What `stillhouse new` writes: every value as it was given, whatever YAML makes of it, and all or nothing of it."""

import json
import math
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from checks.contract import a_pain_is_declared, licences_are_named, terms_allow_training_on_outputs
from checks.gate import Gate
from orchestration import scaffold
from orchestration.scaffold import Answers, Beside, recipe_text, write_recipe
from orchestration.suggestions import Suggestion
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import parse_recipe, read_recipe
from tests.checks.hand_made import FAIL, PASS, told
from tests.command import stillhouse
from tests.small import questions

VALUES = {
    "task": "Give a text the right one of its labels.", "owner": "team:mine", "teacher": "package://some/model",
    "revision": "0.1.0", "fingerprint": "0" * 64, "data": "rows.csv", "text": "body", "label": "queue", "key": "mine",
}  # fmt: skip
SUGGESTED = Suggestion(
    golden_share=0.3, validation_share=0.1, golden_rows=30, metric="accuracy", margin=0.04, provable=0.02,
    majority_share=0.25, minimum_accuracy=0.5, slices=(), classes=2, thin_classes=(),
)  # fmt: skip


def written_text(values: dict[str, str | float], **changes: Any) -> str:
    known: dict[str, Any] = {
        "answers": Answers(), "suggested": SUGGESTED, "max_tokens": 64, "seen": ["all of 100 rows are used"],
        "rows": 100, "labels": 2,
    }  # fmt: skip
    return recipe_text(values, [], **{**known, **changes})


ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@example("a: b.csv", "no", "[red] #3")
@example("two\nlines.csv", "1e3", "'\"$key ${text}")
@example("\x00\x1b[2J.csv", "\u2028", "---\nx: 1")
def test_each_value_reads_back_as_it_was_given(data: str, text: str, label: str) -> None:
    written = written_text({**VALUES, "data": data, "text": text, "label": label})
    found = parse_recipe(written.encode(), Path("/nowhere/mine/defs.yaml")).recipe.data
    assert Path(found.source).name == Path(data).name and (found.text, found.label) == (text, label)


@pytest.mark.parametrize("name", ["no", "y", "null", "e1"])
def test_a_name_that_yaml_takes_for_something_else_is_a_name(tmp_path: Path, home: Home, name: str) -> None:
    data = tmp_path / "[urgent] a: b #3.csv"
    questions(90).write_csv(data)
    written = write_recipe(tmp_path / "recipes", name, data=str(data), text="question", label="service")
    recipe = read_recipe(written.path).recipe
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


def parsed(text: str) -> Recipe:
    return parse_recipe(text.encode(), Path("/nowhere/mine/defs.yaml")).recipe


@pytest.mark.parametrize(
    ("gate", "answers"),
    [
        (a_pain_is_declared, Answers(pain=("latency",))),
        (licences_are_named, Answers(licence="our own: #1")),
        (terms_allow_training_on_outputs, Answers(outputs_may_train=True)),
    ],
)
def test_what_only_a_person_can_say_stays_open_and_its_gate_asks(gate: Gate, answers: Answers) -> None:
    assert told(gate, recipe=parsed(written_text(VALUES)))[0] is FAIL
    assert told(gate, recipe=parsed(written_text(VALUES, answers=answers)))[0] is PASS
    assert len(Answers().open) == 3 and len(answers.open) == 2


def test_what_is_open_is_marked_with_its_question() -> None:
    lines = written_text(VALUES).splitlines()
    marked = [line for line in lines if "# OPEN: " in line]
    assert [line.split(":")[0].strip() for line in marked] == ["pain", "training_on_outputs", "licence"]


def test_slices_and_numbers_that_follow_from_the_rows_are_written() -> None:
    spec = SliceSpec(name="a or #b", column="label", values=("a: 1", "#b"), critical=False)
    made = SUGGESTED.__class__(**{**vars(SUGGESTED), "slices": (spec,), "metric": "macro_f1", "margin": 0.055})
    recipe = parsed(written_text(VALUES, suggested=made))
    assert (recipe.slices, recipe.bar.metric, recipe.bar.margin) == ((spec,), "macro_f1", 0.055)
    assert recipe.kept_columns == (), "a slice of classes asks for no further column"
    assert recipe.shortest_reading == recipe.teacher.training.max_tokens == 64


def test_each_student_has_a_control_of_its_shape() -> None:
    students = parsed(written_text(VALUES)).students
    shapes = {
        learns: {(each.layers, each.feed_forward) for each in students if each.learns_from == learns}
        for learns in ("teacher", "labels")
    }
    assert shapes["teacher"] == shapes["labels"] and len(shapes["teacher"]) == 2


def test_rows_that_are_left_out_are_counted_by_reason(tmp_path: Path, home: Home) -> None:
    rows = questions(90)
    more = [rows, rows[:5], rows[7:8].with_columns(question=pl.lit(" "))]
    pl.concat(more).write_csv(tmp_path / "rows.csv")
    ended = stillhouse(
        "new", "mine", "--data", str(tmp_path / "rows.csv"), "--text", "question", "--label", "service",
        recipes=tmp_path / "recipes",
    )  # fmt: skip
    first = ended.stdout.splitlines()[0]
    assert first.startswith(("6 of 96 rows are left out: 5 duplicate text, 1 blank text", "7 of 96", "8 of 96"))
    assert first in " ".join((tmp_path / "recipes" / "mine" / "defs.yaml").read_text().split())
    assert "stillhouse run mine" in ended.stdout and "open  pain: what hurts" in ended.stdout


def seen_by_new(folder: Path, rows: pl.DataFrame, label: str) -> str:
    rows.write_csv(folder / "rows.csv")
    options = ("--data", str(folder / "rows.csv"), "--text", "question", "--label", label)
    ended = stillhouse("new", "mine", *options, recipes=folder / "recipes")
    assert ended.returncode == 0, ended.stderr
    written = (folder / "recipes" / "mine" / "defs.yaml").read_text()
    lines = [line for line in ended.stdout.splitlines() if not line.startswith(("wrote", "open", "Answer"))]
    assert all(f"# {line}." in written for line in lines)
    return "\n".join(lines)


def test_labels_of_a_handful_of_rows_are_told(tmp_path: Path, home: Home) -> None:
    """As in a file of a thousand classes with three rows each."""
    rows = questions(240).with_columns(service=pl.format("c{}", pl.int_range(pl.len()) // 3))
    assert "80 of 80 labels have too few rows to be learned or judged, such as 'c" in seen_by_new(
        tmp_path, rows, "service"
    )


def test_several_labels_in_a_cell_are_told(tmp_path: Path, home: Home) -> None:
    third = pl.int_range(pl.len()) % 3
    lists = pl.when(third == 0).then(pl.lit("['billing', 'urgent']")).when(third == 1).then(pl.lit("['repair']"))
    rows = questions(120).with_columns(service=lists.otherwise(pl.lit("['urgent', 'repair', 'billing']")))
    assert "hold several classes, such as " in seen_by_new(tmp_path, rows, "service")


def test_labels_that_a_gate_will_ask_about_and_those_that_mean_none_are_told(tmp_path: Path, home: Home) -> None:
    place = pl.int_range(pl.len())
    label = pl.when(place % 4 == 0).then(pl.lit("card_lost")).when(place % 4 == 1).then(pl.lit("Card lost"))
    rows = questions(120).with_columns(service=label.when(place % 4 == 2).then(pl.lit("nan")).otherwise(pl.lit("x")))
    said = seen_by_new(tmp_path, rows, "service")
    assert "one class? Card lost and card_lost: `data.labels` says so" in said
    assert "labels of 30 rows are nan, which many programs write where there is no label" in said
    assert '`data.labels: {"nan": ""}`' in said


def test_rows_that_are_all_left_out_are_told_with_the_reason(tmp_path: Path, home: Home) -> None:
    """Regression: it was said that none of 0 rows has a label."""
    questions(90).with_columns(question=pl.lit("the same text")).write_csv(tmp_path / "rows.csv")
    with pytest.raises(StillhouseError, match="every row is left out: 90 conflicting labels"):
        write_recipe(tmp_path / "recipes", "mine", data=str(tmp_path / "rows.csv"), text="question", label="service")


def test_several_columns_of_labels_are_told(tmp_path: Path, home: Home) -> None:
    place = pl.int_range(pl.len())
    rows = questions(120).with_columns(billing=place % 2, urgent=place % 3 % 2, repair=place % 5 % 2)
    said = "urgent, repair say one of two things of each row, as billing does: several labels a row? This recipe"
    assert said in seen_by_new(tmp_path, rows, "billing")


def unlabelled_and_audited(folder: Path) -> tuple[str, ...]:
    """Options of `new` for questions without labels, beside other ones that people labelled."""
    questions(400).select("question").write_csv(folder / "rows.csv")
    questions(300, skip=380).rename({"service": "queue"}).write_csv(folder / "audited.csv")
    return ("--data", str(folder / "rows.csv"), "--text", "question", "--label", "queue")


def test_rows_that_people_labelled_in_a_file_of_their_own_judge_what_was_answered_elsewhere(
    tmp_path: Path, home: Home
) -> None:
    options = unlabelled_and_audited(tmp_path)
    asked = {"messages": [{"role": "user", "content": "Who ?"}, {"role": "assistant", "content": "HUM"}]}
    (tmp_path / "answers.jsonl").write_text(json.dumps(asked) + "\n")
    files = ("--golden", str(tmp_path / "audited.csv"), "--answers", str(tmp_path / "answers.jsonl"))
    ended = stillhouse("new", "mine", *options, *files, recipes=tmp_path / "recipes")
    assert ended.returncode == 0, ended.stderr
    recipe = read_recipe(tmp_path / "recipes" / "mine" / "defs.yaml").recipe
    data, split = recipe.data, recipe.split
    assert (data.label, data.golden, data.golden_label) == (None, str(tmp_path / "audited.csv"), "queue")
    assert (split.golden_share, split.validation_share) == (0.7, 0.3)
    assert (recipe.teacher.kind, recipe.teacher.answers.format) == ("stored", "chat")
    assert recipe.base is not None and {each.learns_from for each in recipe.students} == {"teacher"}
    (said,) = (line for line in ended.stdout.splitlines() if "golden rows of audited.csv" in line)
    golden = int(said.split()[0])
    # 400 golden rows are needed for 3 points (rows_needed_for), and 7 in 10 of the file are golden.
    assert 190 < golden < 230 and said.endswith(f"let people label about {math.ceil((400 - golden) / 0.7)} rows more")
    assert "open  teacher.licence: the terms" in ended.stdout


def test_with_labels_in_both_files_an_encoder_is_trained_on_one_and_judged_by_the_other(
    tmp_path: Path, home: Home
) -> None:
    questions(400).write_csv(tmp_path / "rows.csv")
    questions(300, skip=380).write_csv(tmp_path / "audited.csv")
    written = write_recipe(
        tmp_path / "recipes", "mine", data=str(tmp_path / "rows.csv"), text="question", label="service",
        beside=Beside(golden=str(tmp_path / "audited.csv")),
    )  # fmt: skip
    recipe = read_recipe(written.path).recipe
    assert (recipe.data.label, recipe.data.golden_label) == ("service", None) and recipe.data.golden is not None
    assert recipe.teacher.kind == "encoder" and len(recipe.students) == 4


@pytest.mark.parametrize(
    ("golden", "answers", "says"),
    [
        ("", "answers.jsonl", "answers of a model are never truth"),
        ("audited.csv", "", "the teacher of a new recipe is trained on labels"),
        ("rows.csv", "answers.jsonl", "one file is to train and to judge"),
    ],
)
def test_a_file_without_labels_needs_answers_and_rows_that_people_labelled(
    tmp_path: Path, home: Home, golden: str, answers: str, says: str
) -> None:
    options = unlabelled_and_audited(tmp_path)
    files = [("--golden", golden), ("--answers", answers)]
    named = [each for option, name in files if name for each in (option, str(tmp_path / name))]
    ended = stillhouse("new", "mine", *options, *named, recipes=tmp_path / "recipes")
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and says in line and not (tmp_path / "recipes").exists()
    assert ("about 572 rows labelled by people" in line) == (golden == "")
