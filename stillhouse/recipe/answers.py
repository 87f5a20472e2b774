"""What a recipe says of how a teacher's stored answers are read.

Belongs here: the format of their file, and where in it text and answer are.
Does not: reading them (stillhouse/teachers/), asking for more (asking.py).
"""

import re
from enum import StrEnum

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stillhouse.recipe.fields import Part


class AnswersFormat(StrEnum):
    """What a file of stored answers looks like."""

    TABLE = "table"
    CHAT = "chat"
    BATCH = "batch"


class AnswersSpec(Part):
    """How what a teacher elsewhere said is read."""

    format: AnswersFormat = Field(
        AnswersFormat.TABLE,
        description="table = a column with the text and one with the answer; chat = one conversation a line, under "
        "`messages`, whose last message is the answer; batch = what a batch API wrote, one reply a line",
    )
    text: str | None = Field(
        None,
        description="column or path of the text that was asked: `text` of a table, messages.-2.content of a chat, "
        "body.messages.-1.content of the requests of a batch, when left out",
    )
    query: str | None = Field(
        None,
        exclude_if=lambda named: named is None,  # so that a recipe without the field keeps its digest
        description="of a table, where data.query is set: column or path of the query that the text was a document of; "
        "the text is both, with [SEP] between them, when left out",
    )
    answer: str | None = Field(
        None,
        description="column or path of the answer: `answer`, messages.-1.content, or "
        "response.body.choices.0.message.content, when left out",
    )
    text_pattern: str | None = Field(
        None,
        description="regular expression with a group `text`, where what was asked has a template around it; with a "
        "group `query`, too, where data.query is set and the template has both",
    )
    answer_pattern: str | None = Field(
        None, description="regular expression with a group `answer`, where a label has more around it"
    )
    rationale: str | None = Field(
        None,
        exclude_if=lambda named: named is None,  # so that a recipe without the field keeps its digest
        description="column or path of why the teacher answered so, where it was asked to say; the answer's, where "
        "rationale_pattern takes it out of that. An endpoint that is held to JSON is asked for it under this name. "
        "Students match it by embedding losses, and no others",
    )
    rationale_pattern: str | None = Field(
        None,
        exclude_if=lambda named: named is None,
        description="regular expression with a group `rationale`, where it has more around it",
    )
    probabilities: str | None = Field(
        None,
        exclude_if=lambda named: named is None,
        description="of a table or a chat: column or path of an object from labels to their probabilities, such as "
        '{"billing": 0.9, "access": 0.1}, or of the JSON of one; labels that are not named share what is left. The '
        "answers alone are read when left out",
    )
    usage: str | None = Field(
        None,
        exclude_if=lambda named: named is None,
        description="column or path of an object that counts the tokens of the call, or of the JSON of one, such as "
        '{"prompt_tokens": 51, "completion_tokens": 3}: `response.body.usage` of a batch; they are kept beside the '
        "answer. Not read when left out",
    )
    requests: str | None = Field(
        None,
        description="the file that was sent to the batch API, joined by custom_id; when left out, `stillhouse ask` "
        "wrote it, and its ids are those of the prompts",
    )

    @field_validator("text_pattern", "answer_pattern", "rationale_pattern")
    @classmethod
    def _it_has_the_group(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        return with_its_group(pattern, info)

    @model_validator(mode="after")
    def _requests_are_those_of_a_batch(self) -> "AnswersSpec":
        if self.requests is not None and self.format is not AnswersFormat.BATCH:
            raise ValueError("requests: must be left out where format is not batch")
        if self.format is AnswersFormat.BATCH and self.requests is None and (self.text or self.text_pattern):
            raise ValueError("text, text_pattern: are of `requests`, which is not named")
        return self

    @model_validator(mode="after")
    def _a_query_is_beside_the_text(self) -> "AnswersSpec":
        if self.query is None:
            return self
        if self.format is not AnswersFormat.TABLE:
            raise ValueError("query: must be left out where format is not table: text_pattern takes it out of a prompt")
        if self.query in (self.text_path, self.answer_path):
            raise ValueError("query: another column than those of text and answer")
        if takes_queries(self.text_pattern):
            raise ValueError("query: must be left out where text_pattern takes it out of the text")
        return self

    @model_validator(mode="after")
    def _probabilities_are_beside_the_answer(self) -> "AnswersSpec":
        if self.probabilities is None:
            return self
        if self.format is AnswersFormat.BATCH:
            raise ValueError("probabilities: must be left out where format is batch, whose replies hold none by label")
        if self.probabilities in (self.text_path, self.answer_path):
            raise ValueError("probabilities: another column than those of text and answer")
        return self

    @model_validator(mode="after")
    def _usage_is_beside_the_answer(self) -> "AnswersSpec":
        if self.usage is not None and self.usage in (self.text_path, self.answer_path):
            raise ValueError("usage: another column than those of text and answer")
        return self

    @property
    def names_queries(self) -> bool:
        """Whether it is said where the query of a text is."""
        return self.query is not None or takes_queries(self.text_pattern)

    @property
    def text_path(self) -> str:
        """Where the text is; of a batch in its requests."""
        return self.text or _TEXT_PATHS[self.format]

    @property
    def answer_path(self) -> str:
        """Where the answer is."""
        return self.answer or _ANSWER_PATHS[self.format]

    @property
    def rationale_path(self) -> str | None:
        """Where it is said why; None where it is not read."""
        return self.rationale or (None if self.rationale_pattern is None else self.answer_path)


_TEXT_PATHS = {
    AnswersFormat.TABLE: "text",
    AnswersFormat.CHAT: "messages.-2.content",
    AnswersFormat.BATCH: "body.messages.-1.content",
}
_ANSWER_PATHS = {
    AnswersFormat.TABLE: "answer",
    AnswersFormat.CHAT: "messages.-1.content",
    AnswersFormat.BATCH: "response.body.choices.0.message.content",
}


def takes_queries(pattern: str | None) -> bool:
    """Whether a pattern takes a query out of a prompt, beside its document."""
    return pattern is not None and "query" in re.compile(pattern).groupindex


def with_its_group(pattern: str | None, info: ValidationInfo) -> str | None:
    """A pattern that takes something out of a text, which is the group that its field is named after."""
    group = str(info.field_name).removesuffix("_pattern")
    try:
        groups = {} if pattern is None else re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if pattern is not None and group not in groups:
        raise ValueError(f"it has no group (?P<{group}>...)")
    return pattern
