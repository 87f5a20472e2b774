"""What a batch API is sent, so that a teacher elsewhere answers the prompts of a recipe.

Belongs here: one request for each prompt, in the lines that OpenAI's batch API, `vllm run-batch` and their like read.
Does not: which prompts have no answer yet (orchestration/asking.py), reading the replies (stored_answers.py).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import AskSpec

TEXT, LABELS, TASK = "{text}", "{labels}", "{task}"
PLAIN_PROMPT = f"{TASK}\n\nAnswer with one of these labels and nothing else:\n{LABELS}\n\nText:\n{TEXT}"
"""What a teacher is asked where the recipe names no prompt of its own."""


def request_lines(file: RecipeFile, spec: AskSpec, prompts: pl.DataFrame, labels: Sequence[str]) -> Iterator[str]:
    """Write a line for each prompt, whose `custom_id` is the prompt's id.

    Args:
        file: the recipe.
        spec: what it says of asking.
        prompts: `prompt_id` and `text`.
        labels: those that may be answered.

    Raises:
        StillhouseError: if the file of the prompt cannot be read, or has no place for the text.
    """
    template = _template(file, spec)
    fixed = {LABELS: "\n".join(labels), TASK: file.recipe.task}
    before, *after = (_filled(part, fixed) for part in template.split(TEXT))
    for prompt_id, text in prompts.select("prompt_id", "text").iter_rows():
        # Split first, so that a text which holds {labels} is asked as it is.
        content = text.join([before, *after])
        body = {"model": spec.model, "messages": [{"role": "user", "content": content}], **spec.settings}
        request = {"custom_id": prompt_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        yield json.dumps(request, ensure_ascii=False)


def _filled(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(name, value)
    return part


def _template(file: RecipeFile, spec: AskSpec) -> str:
    if spec.prompt is None:
        return PLAIN_PROMPT
    where, path = file.where("teacher", "ask", "prompt"), Path(file.located(spec.prompt))
    try:
        template = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise StillhouseError(
            f"the prompt cannot be read: {error}", where=where, expected="a text file in UTF-8", do="Correct the path."
        ) from error
    if TEXT not in template:
        raise StillhouseError(
            f"the prompt has no {TEXT}",
            where=f"{where}: {path}",
            expected=f"{TEXT} where each text is to stand; {LABELS} and {TASK} are filled in, too",
            do="Add it.",
        )
    return template
