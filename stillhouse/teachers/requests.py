"""What a teacher elsewhere is asked.

Belongs here: what is sent for a text, which part of a reply is its answer, and one request for each prompt in the lines
that OpenAI's batch API, `vllm run-batch` and their like read.
Does not: what all of it is kept as (asked.py), the prompt around a text (prompting.py), how fields of a record are
described (asked_records.py), which prompts have no answer yet (orchestration/asking.py), making calls (endpoint.py),
reading the replies of a batch (batch_api.py, and stored_answers.py of a stored teacher).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.recipe.answers import AnswersSpec
from stillhouse.recipe.asking import LABEL, LONGEST, NUMBER, SET_OF_LABELS, AskSpec, SoftLabels
from stillhouse.recipe.data import NUMBERS, RECORDS, SEPARATOR, SETS, DataSpec, TaskKind
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.tasks.numbers import written_number
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.asked_records import (
    PROMPT_FOR_A_RECORD,
    PROMPT_FOR_A_RECORD_AND_A_REASON,
    forms_of,
    in_words,
)
from stillhouse.teachers.prompting import FIELDS, LABELS, TASK, TEXT, filled_in, template_of
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
_A_LIST = "a JSON list of those of these labels that apply, [] where none does"
PROMPT_FOR_A_SET = f"{TASK}\n\nAnswer with {_A_LIST}, and nothing else:\n{LABELS}\n\nText:\n{TEXT}"
"""The same where an answer is a set of labels."""
PROMPT_FOR_A_SET_AND_A_REASON = (
    f"{TASK}\n\nSay in one sentence why, and answer with {_A_LIST}:\n{LABELS}\n\nText:\n{TEXT}"
)
"""The same where it is also asked why."""
PROMPT_FOR_A_NUMBER = f"{TASK}\n\nAnswer with {LABELS} and nothing else.\n\nText:\n{TEXT}"
"""The same where an answer is a number, of which `{labels}` says from which to which it may be."""
PROMPT_FOR_A_NUMBER_AND_A_REASON = f"{TASK}\n\nSay in one sentence why, and answer with {LABELS}.\n\nText:\n{TEXT}"
"""The same where it is also asked why."""
_PAIR = f"Query and document, with {SEPARATOR} between them:"


def body_of(asking: Asking, text: str) -> dict[str, Any]:
    """What is sent for one text."""
    content = asking.template.replace(TEXT, text)
    body = {"model": asking.model, "messages": [{"role": "user", "content": content}], **asking.settings}
    if asking.codes:
        return {**body, "logprobs": True, "top_logprobs": ALTERNATIVES}
    return {**body, "response_format": _form_of(asking)} if asking.choices else body


def answer_in(content: str, asking: Asking) -> str | None:
    """The part of a reply that should be a label, a list of them or a record; None where the pattern finds none.

    A number is read out of JSON as it is out of words, so the whole reply is that part (stored.py).
    """
    if asking.record is not None:  # in its own spelling: signs that are no part of a label may be one of a word
        return taken(" ".join(content.split()), asking.answer_pattern, "answer") or None
    if asking.choices and asking.answer not in NUMBERS:  # some answer with the label alone all the same
        said = _in_json(content, _called(asking.answer))
        if asking.answer in SETS and isinstance(said, list):
            return json.dumps([one_spelling(each) if isinstance(each, str) else each for each in said])
        return _text(said) or one_spelling(content)
    return taken(one_spelling(content), asking.answer_pattern, "answer") or None


def rationale_in(content: str, asking: Asking) -> str | None:
    """What a reply says of why it is so; None where it says nothing of it."""
    if asking.rationale is not None:
        return _text(_in_json(content, asking.rationale)) or None
    return taken(one_spelling(content), asking.rationale_pattern, "rationale") or None


def asking_of(file: RecipeFile, labels: Sequence[str]) -> Asking:
    """What the recipe's teacher is asked.

    Args:
        file: the recipe, which says how to ask.
        labels: those that may be answered; of records nobody asks for them.

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
        labels: those that may be answered; of records nobody asks for them.

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
    data = file.recipe.data
    record = data.record
    rationale = None if why is None else why.rationale
    shown, place = (in_words(record), FIELDS) if record is not None else (_shown(data, codes, labels), LABELS)
    plain = _plain_prompt(data.answer, by_letter=bool(codes), why=rationale is not None)
    if data.query is not None:
        plain = plain.replace("Text:", _PAIR)
    template = template_of(file, part, spec.prompt) or plain
    return Asking(
        spec.model,
        filled_in(template, file.recipe.task, shown, place),
        settings,
        answer_pattern,
        data.labels,
        revision,
        codes,
        soft.samples if soft and soft.by is SoftLabels.SAMPLES else 1,
        tuple(record.fields if record else labels) if spec.structured else (),
        rationale,
        None if why is None else why.rationale_pattern,
        data.answer,
        record,
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


def _shown(data: DataSpec, codes: Mapping[str, str], labels: Sequence[str]) -> list[str]:
    """What stands in a prompt where it says which answers there are."""
    if data.score is not None:
        return [f"a number from {written_number(data.score.lowest)} to {written_number(data.score.highest)}"]
    return [f"{code}: {label}" for code, label in codes.items()] if codes else list(labels)


def _plain_prompt(answer: TaskKind, *, by_letter: bool, why: bool) -> str:
    if answer in RECORDS:
        return PROMPT_FOR_A_RECORD_AND_A_REASON if why else PROMPT_FOR_A_RECORD
    if answer in NUMBERS:
        return PROMPT_FOR_A_NUMBER_AND_A_REASON if why else PROMPT_FOR_A_NUMBER
    if answer in SETS:
        return PROMPT_FOR_A_SET_AND_A_REASON if why else PROMPT_FOR_A_SET
    return PROMPT_FOR_A_LETTER if by_letter else PROMPT_FOR_A_REASON if why else PLAIN_PROMPT


def _called(answer: TaskKind) -> str:
    """What an answer is called in JSON."""
    return SET_OF_LABELS if answer in SETS else LABEL


def _form_of(asking: Asking) -> dict[str, Any]:
    """The form of an answer that is one of some labels, a list of them, a number or a record, as servers are held to
    one."""
    if asking.record is not None:
        said = forms_of(asking.record)
    elif asking.answer in NUMBERS:  # from which to which it may be the prompt says: few servers know `minimum`
        said = {NUMBER: {"type": "number"}}
    else:
        label = {"type": "string", "enum": list(asking.choices)}
        # One that is named twice counts once: few servers know `uniqueItems`.
        said = {_called(asking.answer): {"type": "array", "items": label} if asking.answer in SETS else label}
    # Why comes first, so that the answer follows from it.
    why = {} if asking.rationale is None else {asking.rationale: {"type": "string"}}
    properties = {**why, **said}
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _in_json(content: str, name: str) -> object:
    """What a reply that is a JSON object says under a name; None where it says nothing, or is none."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return said.get(name) if isinstance(said, dict) else None


def _text(said: object) -> str | None:
    return one_spelling(said) if isinstance(said, str) else None
