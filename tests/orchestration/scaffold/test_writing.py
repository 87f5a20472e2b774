"""What `stillhouse new` writes: all or nothing, for rows with or without a golden file and answers."""

import json
import math
import os
from pathlib import Path

import polars as pl
import pytest
import yaml

from orchestration.recipe_check import check
from orchestration.scaffold import weights
from orchestration.scaffold.writing import FilesBeside, write_recipe
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.reading import Recipes, read_recipe
from tests.command import stillhouse
from tests.small import questions


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
    monkeypatch.setattr(weights, "fingerprint_of", lambda folder: "no fingerprint")
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


def test_where_most_records_cannot_be_read_that_is_said_and_nothing_of_the_rest(tmp_path: Path, home: Home) -> None:
    """Regression: of 200 objects with commas between them one was read, and told to have one label only."""
    objects = [json.dumps({"question": text, "service": "x"}) for text in questions(90)["question"]]
    (tmp_path / "rows.jsonl").write_text(",\n".join(objects))
    with pytest.raises(StillhouseError, match=r"89 of 90 records cannot be read; the first: .*\(line 1\)"):
        write_recipe(tmp_path / "recipes", "mine", data=str(tmp_path / "rows.jsonl"), text="question", label="service")


def test_rows_that_are_all_left_out_are_said_with_the_reason(tmp_path: Path, home: Home) -> None:
    """Regression: it was said that none of 0 rows has a label."""
    questions(90).with_columns(question=pl.lit("the same text")).write_csv(tmp_path / "rows.csv")
    with pytest.raises(StillhouseError, match="every row is left out: 90 conflicting labels"):
        write_recipe(tmp_path / "recipes", "mine", data=str(tmp_path / "rows.csv"), text="question", label="service")


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


@pytest.mark.parametrize(
    ("columns", "text", "answer"),
    [
        (("text", "answer"), None, None),
        (("question", "queue", "id"), "question", "queue"),
        (("text", "queue"), None, "queue"),
        (("prompt", "answer"), "prompt", None),
        (("id", "text", "question", "answer"), None, None),
    ],
)
def test_a_file_of_answers_is_read_by_the_columns_that_it_has(
    tmp_path: Path, home: Home, columns: tuple[str, ...], text: str | None, answer: str | None
) -> None:
    """Regression: where they were not called `text` and `answer`, `check` refused the recipe that `new` had written."""
    options = unlabelled_and_audited(tmp_path)
    answered = {name: questions(400)["service" if name in ("answer", "queue") else "question"] for name in columns}
    pl.DataFrame(answered).write_csv(tmp_path / "answers.csv")
    files = ("--golden", str(tmp_path / "audited.csv"), "--answers", str(tmp_path / "answers.csv"))
    ended = stillhouse("new", "mine", *options, *files, "--pain", "latency", recipes=tmp_path / "recipes")
    assert ended.returncode == 0, ended.stderr
    path = tmp_path / "recipes" / "mine" / "defs.yaml"
    answers = read_recipe(path).recipe.teacher.answers
    assert (answers.text, answers.answer) == (text, answer)
    document = yaml.safe_load(path.read_text())
    document["attributes"]["teacher"] |= {"licence": "its terms", "training_on_outputs": "allowed"}
    document["attributes"]["data"]["licence"] = "ours"
    path.write_text(yaml.safe_dump(document))
    assert check(Recipes((read_recipe(path),), ())).all_is_well


@pytest.mark.parametrize(
    ("columns", "missing"), [(("id", "prompt", "reply"), "the texts"), (("text", "id", "reply"), "the answers")]
)
def test_a_file_of_answers_whose_columns_nobody_can_know_is_refused(
    tmp_path: Path, home: Home, columns: tuple[str, ...], missing: str
) -> None:
    options = unlabelled_and_audited(tmp_path)
    pl.DataFrame({name: ["a", "b"] for name in columns}).write_csv(tmp_path / "answers.csv")
    files = ("--golden", str(tmp_path / "audited.csv"), "--answers", str(tmp_path / "answers.csv"))
    ended = stillhouse("new", "mine", *options, *files, recipes=tmp_path / "recipes")
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and f"has {missing}" in line and "'reply'" in line
    assert not (tmp_path / "recipes").exists()


SERVER = ("--endpoint", "http://127.0.0.1:9/v1", "--model", "large-2026", "--usd-in", "0.2", "--usd-out", "0.6")


def test_a_server_is_copied_by_unlabelled_rows_that_a_golden_file_judges(tmp_path: Path, home: Home) -> None:
    options = (*unlabelled_and_audited(tmp_path), "--golden", str(tmp_path / "audited.csv"))
    whole = (*SERVER, "--usd-at-most", "25", "--api-key-env", "TEACHER_KEY")
    ended = stillhouse("new", "mine", *options, *whole, recipes=tmp_path / "recipes")
    assert ended.returncode == 0, ended.stderr
    recipe = read_recipe(tmp_path / "recipes" / "mine" / "defs.yaml").recipe
    teacher, endpoint = recipe.teacher, recipe.teacher.endpoint
    assert (teacher.kind, teacher.source) == ("endpoint", "http://127.0.0.1:9/v1") and endpoint is not None
    assert teacher.ask is not None and teacher.ask.model == "large-2026" and endpoint.api_key_env == "TEACHER_KEY"
    assert (endpoint.usd_per_million_in, endpoint.usd_per_million_out, endpoint.usd_at_most) == (0.2, 0.6, 25)
    assert (recipe.data.label, recipe.data.golden_label) == (None, "queue") and recipe.base is not None
    assert {each.learns_from for each in recipe.students} == {"teacher"}
    assert recipe.data.provenance.teacher_may_see == (), "nothing leaves before somebody has said what may"
    assert "open  teacher_may_see: which privacy classes" in ended.stdout
    assert "open  teacher.licence: the terms" in ended.stdout
    said = stillhouse(
        "new", "other", *options, *whole, "--teacher-may-see", "internal, public", recipes=tmp_path / "recipes"
    )
    assert "teacher_may_see" not in said.stdout
    other = read_recipe(tmp_path / "recipes" / "other" / "defs.yaml").recipe
    assert other.data.provenance.teacher_may_see == ("internal", "public")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (SERVER, "of a teacher behind a server --usd-at-most is not said"),
        (("--usd-at-most", "5"), "of a teacher behind a server --endpoint, --model, --usd-in, --usd-out is not said"),
        ((*SERVER, "--usd-at-most", "5", "--answers", "answers.jsonl"), "2 teachers are named"),
        ((*SERVER, "--usd-at-most", "0"), "teacher.endpoint.usd_at_most: Input should be greater than 0"),
        (
            ("--endpoint", "models/large", *SERVER[2:], "--usd-at-most", "5"),
            "source: of an endpoint the address of its server",
        ),
    ],
)
def test_what_a_server_may_cost_has_to_be_said(tmp_path: Path, home: Home, more: tuple[str, ...], says: str) -> None:
    """No price is assumed: a cap that is reckoned at 0 USD a token would never end anything."""
    options = (*unlabelled_and_audited(tmp_path), "--golden", str(tmp_path / "audited.csv"))
    ended = stillhouse("new", "mine", *options, *more, recipes=tmp_path / "recipes")
    assert ended.returncode == 2 and says in ended.stderr, ended.stderr
    assert not (tmp_path / "recipes" / "mine" / "defs.yaml").exists()


def test_with_labels_in_both_files_an_encoder_is_trained_on_one_and_judged_by_the_other(
    tmp_path: Path, home: Home
) -> None:
    questions(400).write_csv(tmp_path / "rows.csv")
    questions(300, skip=380).write_csv(tmp_path / "audited.csv")
    written = write_recipe(
        tmp_path / "recipes", "mine", data=str(tmp_path / "rows.csv"), text="question", label="service",
        beside=FilesBeside(golden=str(tmp_path / "audited.csv")),
    )  # fmt: skip
    recipe = read_recipe(written.path).recipe
    assert (recipe.data.label, recipe.data.golden_label) == ("service", None) and recipe.data.golden is not None
    assert recipe.teacher.kind == "encoder" and len(recipe.students) == 4


@pytest.mark.parametrize(
    ("golden", "answers", "says"),
    [
        ("", "answers.jsonl", "answers of a model are never truth"),
        ("audited.csv", "", "an encoder becomes a teacher by labels"),
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
