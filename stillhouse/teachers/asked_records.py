"""How a teacher elsewhere is asked for a record: its fields in words, and the form that a server is held to.

Belongs here: what is said of a field, so that an answer is a record of the text that was asked.
Does not: the request around it (requests.py), which answers are such records (stillhouse/tasks/records.py).
"""

import json
from typing import Any

from stillhouse.recipe.record import FieldSpec, RecordSpec
from stillhouse.teachers.prompting import FIELDS, TASK, TEXT

PROMPT_FOR_A_RECORD = (
    f"{TASK}\n\nAnswer with a JSON object of these fields, and nothing else:\n{FIELDS}\n\nText:\n{TEXT}"
)
"""What a teacher is asked where the recipe names no prompt of its own."""
PROMPT_FOR_A_RECORD_AND_A_REASON = (
    f"{TASK}\n\nSay in one sentence why, and answer with these fields:\n{FIELDS}\n\nText:\n{TEXT}"
)
"""The same where it is also asked why."""


def in_words(record: RecordSpec) -> list[str]:
    """A line for each field: its name in quotes, and what may stand there."""
    return [f"{_quoted(name)}: {_value_in_words(field)}" for name, field in record.fields.items()]


def forms_of(record: RecordSpec) -> dict[str, dict[str, Any]]:
    """The JSON schema of each field, by name; one without a value is null, since strict schemas ask for every name."""
    return {name: _form_of(field) for name, field in record.fields.items()}


def _value_in_words(field: FieldSpec) -> str:
    if field.kind == "choice":
        said = f"one of {', '.join(map(_quoted, field.of))}"
    elif field.kind == "number":  # of JSON, which has one reading, whatever the text writes
        said = "a number of the text, as a number of JSON without unit or sign of money, such as 1931.5"
    elif field.kind == "date":
        said = 'a date of the text, as year, month and day, such as "2026-11-30"'
    else:
        said = _words_of_the_text(field)
    return f"{said}, or null where the text says none" if field.optional else said


def _words_of_the_text(field: FieldSpec) -> str:
    if field.words_at_most == 1:
        return "one word of the text, exactly as it is written there"
    return (
        f"words that follow each other in the text, exactly as they are written there and at most "
        f"{field.words_at_most}, where a sign such as a comma counts as a word"
    )


def _form_of(field: FieldSpec) -> dict[str, Any]:
    kind = "number" if field.kind == "number" else "string"
    form: dict[str, Any] = {"type": [kind, "null"] if field.optional else kind}
    if field.kind == "choice":
        form["enum"] = [*field.of, *([None] if field.optional else [])]
    return form


def _quoted(said: str) -> str:
    return json.dumps(said, ensure_ascii=False)
