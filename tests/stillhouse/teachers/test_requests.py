"""What a batch API is sent: one request for each prompt, and a text is asked as it is, whatever stands in it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter

from stillhouse.errors import StillhouseError
from stillhouse.recipe.answers import AnswersSpec
from stillhouse.recipe.asking import AskSpec, SoftLabels, SoftLabelsSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.requests import answer_in, asking_of, body_of, rationale_in, request_lines
from tests.stillhouse.teachers.answered import recipe
from tests.stillhouse.teachers.test_stored_numbers import PAIRS
from tests.stillhouse.teachers.test_stored_numbers import recipe as recipe_of_numbers


def asked(file: RecipeFile, *texts: str, **spec: Any) -> list[dict[str, Any]]:
    prompts = pl.DataFrame({"prompt_id": [f"p{number}" for number in range(len(texts))], "text": list(texts)})
    teacher = file.recipe.teacher.model_copy(update={"ask": AskSpec(model="large", **spec)})
    file = replace(file, recipe=file.recipe.model_copy(update={"teacher": teacher}))
    return [json.loads(line) for line in request_lines(asking_of(file, ["billing", "access"]), prompts)]


def test_without_a_prompt_of_its_own_a_recipe_asks_plainly(tmp_path: Path) -> None:
    file = recipe(tmp_path)
    (request,) = asked(file, "Wo ist meine Rechnung?", settings={"temperature": 0, "max_tokens": 5})
    content = request["body"].pop("messages")[0]["content"]
    assert content.startswith(file.recipe.task) and content.endswith("\nWo ist meine Rechnung?")
    assert "\nbilling\naccess\n" in content
    assert request == {
        "custom_id": "p0", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": "large", "temperature": 0, "max_tokens": 5},
    }  # fmt: skip


def test_a_text_is_asked_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text("{task} {labels}: {text} again: {text}")
    odd = "what is {labels} and {task}, or\n{text}?"
    (request,) = asked(recipe(tmp_path), odd, prompt=str(tmp_path / "prompt.md"))
    (message,) = request["body"]["messages"]
    assert message["content"].count(odd) == 2 and message["content"].endswith(f"billing\naccess: {odd} again: {odd}")


@pytest.mark.long
@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read"), (b"\xff", "cannot be read"), (b"Hi", "{text}")]
)
def test_a_prompt_that_asks_nothing_is_refused_in_the_recipes_line(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "prompt.md").write_bytes(content)
    with pytest.raises(StillhouseError) as refused:
        asked(recipe(tmp_path), "a", prompt=str(tmp_path / "prompt.md"))
    assert says in refused.value.what and "defs.yaml:" in refused.value.where


def test_letters_are_asked_for_as_many_labels_as_a_server_tells_of(tmp_path: Path) -> None:
    file, soft = recipe(tmp_path), SoftLabelsSpec(by=SoftLabels.LOGPROBS)
    spec = AskSpec(model="m", settings={"max_tokens": 9}, soft_labels=soft)
    teacher = file.recipe.teacher.model_copy(update={"ask": spec})
    file = replace(file, recipe=file.recipe.model_copy(update={"teacher": teacher}))
    labels = [f"label {place}" for place in range(21)]
    body = body_of(asking_of(file, labels[:20]), "a text")
    assert (body["logprobs"], body["top_logprobs"], body["max_tokens"]) == (True, 20, 1)
    asked = body["messages"][0]["content"]
    assert (
        "the letter of one of these labels" in asked and "A: label 0\nB: label 1\n" in asked and "T: label 19" in asked
    )
    with pytest.raises(StillhouseError, match=r"21 labels, and a server tells .* of 20 tokens; .*by: samples"):
        asking_of(file, labels)


def of_sets(file: RecipeFile, *, why: str | None = None, **spec: Any) -> Asking:
    """What an endpoint is asked by a recipe of sets of labels."""
    changes = {
        "kind": TeacherKind.ENDPOINT,
        "ask": AskSpec(model="large", **spec),
        "answers": AnswersSpec(rationale=why),
    }
    teacher = file.recipe.teacher.model_copy(update=changes)
    data = file.recipe.data.model_copy(update={"answer": "multi_label"})
    file = replace(file, recipe=file.recipe.model_copy(update={"teacher": teacher, "data": data}))
    return asking_of(file, ["billing", "access"])


def test_a_set_is_asked_for_as_a_list_of_labels(tmp_path: Path) -> None:
    body = body_of(of_sets(recipe(tmp_path)), "Wo ist meine Rechnung?")
    asked = body["messages"][0]["content"]
    assert "a JSON list of those of these labels that apply, [] where none does" in asked
    assert "\nbilling\naccess\n" in asked and "response_format" not in body


def test_the_form_of_a_set_is_an_array_of_the_labels_after_why(tmp_path: Path) -> None:
    asking = of_sets(recipe(tmp_path), structured=True, why="why")
    schema = body_of(asking, "a text")["response_format"]["json_schema"]["schema"]
    assert schema == {
        "type": "object", "required": ["why", "labels"], "additionalProperties": False,
        "properties": {
            "why": {"type": "string"},
            "labels": {"type": "array", "items": {"type": "string", "enum": ["billing", "access"]}},
        },
    }  # fmt: skip
    assert [*schema["properties"]] == ["why", "labels"], "so that the labels follow from it"
    assert "Say in one sentence why, and answer with a JSON list" in asking.template
    said = '{"why": "It says [sic] invoice.", "labels": ["billing", "Access "]}'
    assert (answer_in(said, asking), rationale_in(said, asking)) == ('["billing", "Access"]', "It says [sic] invoice.")


def of_numbers(folder: Path, **spec: Any) -> Asking:
    """What a file of answers is filled by, of a recipe of numbers, or an endpoint is asked."""
    return asking_of(numbers(folder, **spec), ("score",))


def numbers(folder: Path, *, data: dict[str, Any] | None = None, **spec: Any) -> RecipeFile:
    file = recipe_of_numbers(folder, data=data)
    teacher = file.recipe.teacher.model_copy(update={"ask": AskSpec(model="large", **spec)})
    return replace(file, recipe=file.recipe.model_copy(update={"teacher": teacher}))


def test_a_number_is_asked_for_with_its_ends_and_of_pairs_it_is_said_what_they_are(tmp_path: Path) -> None:
    for name, data, around in (("one", None, "Text:\nkings"), ("two", PAIRS, "Query and document, with [SEP] between")):
        (tmp_path / name).mkdir()
        body = body_of(asking_of(numbers(tmp_path / name, data=data), ("score",)), "kings")
        (message,) = body["messages"]
        assert "\n\nAnswer with a number from 0 to 3 and nothing else.\n\n" in message["content"]
        assert around in message["content"] and "response_format" not in body


def test_a_prompt_of_its_own_is_told_the_ends_and_a_pattern_takes_the_number_out(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text("{task} Give {labels}: {text}")
    asking = of_numbers(tmp_path, prompt=str(tmp_path / "prompt.md"))
    assert asking.template.endswith("Give a number from 0 to 3: {text}")
    taken = replace(asking, answer_pattern=r"grade (?P<answer>\S+) of")
    assert answer_in("I give it grade\n2 of 3", taken) == "2" and answer_in("2", taken) is None


def test_what_is_asked_of_one_label_is_what_it_was_before_there_were_sets(tmp_path: Path) -> None:
    """Every reply that is in a log, and every teacher that was made, is found by these digests."""
    asking = Asking("large", "Queue of: {text}", {"temperature": 0, "max_tokens": 4}, None, {}, "October")
    assert asking.digest == "dd8585a4f4086a101e2a3d14ff99a67bf0238e4d22b0afdba305079810d64803"
    of_a_set = replace(asking, answer="multi_label")
    assert of_a_set.digest != asking.digest
    kept = TypeAdapter(Asking)
    assert "answer" not in kept.dump_python(asking)
    assert kept.validate_json(kept.dump_json(of_a_set)).digest == of_a_set.digest


@pytest.mark.parametrize(
    "said", ["[" * 100_000, '{"label": ' * 100_000, '{"label": "\\ud83d"}', '{"label": ["billing"]}']
)
def test_a_reply_that_is_hostile_says_nothing_and_ends_nothing(tmp_path: Path, said: str) -> None:
    """Regression: brackets that never end, and half of a character, ended the run with what was paid for."""
    one = replace(of_sets(recipe(tmp_path), structured=True), answer="single_label")
    for asking in (one, replace(one, answer="multi_label")):
        found = answer_in(said, asking)
        assert found not in ("billing", '["billing"]') and pl.Series([found]).dtype == pl.String, "it can be kept"
