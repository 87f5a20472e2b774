"""What a teacher elsewhere is asked.

Belongs here: what is sent for a text, which part of a reply is its answer, and one request for each prompt in the lines
that OpenAI's batch API, `vllm run-batch` and their like read.
Does not: the record of what is asked (asked.py), the prompt around a text (prompting.py), which prompts have no answer
yet (orchestration/asking.py), making calls (endpoint.py), reading the replies of a batch (batch_api.py, and
stored_answers.py of a stored teacher).
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.recipe.answers import AnswersSpec
from stillhouse.recipe.asking import LABEL, LONGEST, AskSpec, SoftLabels
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.prompting import LABELS, TASK, TEXT, filled_in, template_of
from stillhouse.teachers.soft_labels import ALTERNATIVES, codes_of
from stillhouse.teachers.stored import one_spelling, taken

PLAIN_PROMPT = f"{TASK}\n\nAnswer with one of these labels and nothing else:\n{LABELS}\n\nText:\n{TEXT}"
"""What a teacher is asked where the recipe names no prompt of its own."""
PROMPT_FOR_A_REASON = (
    f"{TASK}\n\nSay in one sentence why, and answer with one of these labels:\n{LABELS}\n\nText:\n{TEXT}"
)
"""The same where it is also asked why."""
PROMPT_FOR_A_LETTER = (
    f"{TASK}\n\nAnswer with the letter of one of these labels and nothing else:\n{LABELS}\n\nText:\n{TEXT}"
)
"""The same where a letter is asked."""


def body_of(asking: Asking, text: str) -> dict[str, Any]:
    """What is sent for one text."""
    content = asking.template.replace(TEXT, text)
    body = {"model": asking.model, "messages": [{"role": "user", "content": content}], **asking.settings}
    if asking.codes:
        return {**body, "logprobs": True, "top_logprobs": ALTERNATIVES}
    return {**body, "response_format": _one_of(asking.choices, asking.rationale)} if asking.choices else body


def answer_in(content: str, asking: Asking) -> str | None:
    """The part of a reply that should be a label; None where the pattern does not find one."""
    if asking.choices:  # some answer with the label alone all the same
        return _said_in_json(content, LABEL) or one_spelling(content)
    return taken(one_spelling(content), asking.answer_pattern, "answer") or None


def rationale_in(content: str, asking: Asking) -> str | None:
    """What a reply says of why it is so; None where it says nothing of it."""
    if asking.rationale is not None:
        return _said_in_json(content, asking.rationale) or None
    return taken(one_spelling(content), asking.rationale_pattern, "rationale") or None


def asking_of(file: RecipeFile, labels: Sequence[str]) -> Asking:
    """What the recipe's teacher is asked.

    Args:
        file: the recipe, which says how to ask.
        labels: those that may be answered.

    Raises:
        StillhouseError: if the file of the prompt cannot be read, or has no place for the text.
    """
    teacher = file.recipe.teacher
    assert teacher.ask is not None
    # Where a file of answers says why is in none of its requests.
    why = teacher.answers if teacher.kind is TeacherKind.ENDPOINT else None
    return _asking(
        file, ("teacher", "ask"), teacher.ask, labels, teacher.answers.answer_pattern, teacher.revision, why
    )  # fmt: skip


def asking_of_alternative(file: RecipeFile, index: int, labels: Sequence[str]) -> Asking:
    """What one of the teacher's alternatives is asked.

    Args:
        file: the recipe.
        index: of the alternative among them.
        labels: those that may be answered.

    Raises:
        StillhouseError: likewise.
    """
    spec = file.recipe.teacher.alternatives[index]
    # The time of an answer is a server's own, so at another one all is asked again.
    revision = spec.revision if spec.source is None else f"{spec.revision} at {spec.source}"
    return _asking(file, ("teacher", "alternatives", index), spec, labels, spec.answer_pattern, revision)


def _asking(
    file: RecipeFile, part: Sequence[str | int], spec: AskSpec, labels: Sequence[str], answer_pattern: str | None,
    revision: str, why: AnswersSpec | None = None,
) -> Asking:  # fmt: skip
    soft, settings = spec.soft_labels, dict(spec.settings)
    codes = codes_of(labels) if soft and soft.by is SoftLabels.LOGPROBS else {}
    if len(codes) > ALTERNATIVES:
        raise StillhouseError(
            f"{len(labels)} labels, and a server tells the probabilities of {ALTERNATIVES} tokens",
            where=file.where(*part, "soft_labels"),
            expected=f"at most {ALTERNATIVES} labels where by is logprobs",
            do="Set `by: samples`, or leave soft_labels out.",
        )
    if codes:
        settings |= {name: 1 for name in LONGEST if name in settings}  # a letter is one token
    shown = [f"{code}: {label}" for code, label in codes.items()] if codes else labels
    rationale = None if why is None else why.rationale
    plain = PROMPT_FOR_A_LETTER if codes else PLAIN_PROMPT if rationale is None else PROMPT_FOR_A_REASON
    return Asking(
        spec.model,
        filled_in(template_of(file, part, spec.prompt) or plain, file.recipe.task, shown),
        settings,
        answer_pattern,
        file.recipe.data.labels,
        revision,
        codes,
        soft.samples if soft and soft.by is SoftLabels.SAMPLES else 1,
        tuple(labels) if spec.structured else (),
        rationale,
        None if why is None else why.rationale_pattern,
    )


def request_lines(asking: Asking, prompts: pl.DataFrame) -> Iterator[str]:
    """Write a line for each prompt, whose `custom_id` is the prompt's id.

    Args:
        asking: what is asked.
        prompts: `prompt_id` and `text`.
    """
    for prompt_id, text in prompts.select("prompt_id", "text").iter_rows():
        yield request_line(prompt_id, body_of(asking, text))


def request_line(custom_id: str, body: dict[str, Any]) -> str:
    """A request as a line of a batch."""
    request = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(request, ensure_ascii=False)


def _one_of(labels: Sequence[str], rationale: str | None) -> dict[str, Any]:
    """The form of an answer that is one of some labels, as servers are held to one."""
    # Why comes first, so that the label follows from it.
    why = {} if rationale is None else {rationale: {"type": "string"}}
    properties = {**why, LABEL: {"type": "string", "enum": list(labels)}}
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _said_in_json(content: str, name: str) -> str | None:
    try:
        said = json.loads(content)
    except ValueError:
        return None
    found = said.get(name) if isinstance(said, dict) else None
    return one_spelling(found) if isinstance(found, str) else None
