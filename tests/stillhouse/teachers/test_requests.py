"""What a batch API is sent: one request for each prompt, and a text is asked as it is, whatever stands in it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.recipe.asking import AskSpec, SoftLabels, SoftLabelsSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.teachers.requests import asking_of, body_of, request_lines
from tests.stillhouse.teachers.answered import recipe


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
