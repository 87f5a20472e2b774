"""What a recipe says of a record that is taken out of a text: its fields, and what each may hold.

Belongs here: the fields, and how far into a text their values may be.
Does not: reading a record, and finding its values in a text (stillhouse/tasks/records.py).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from stillhouse.recipe.fields import ONE_SPELLING, FieldError, Part

OUTPUTS_AT_MOST = 4096
"""Of a network: it has one for each run of words that a field may be, and a signal keeps all of them for each row."""
WORDS_AT_MOST = 64
_WORDS_OF_A_VALUE, MOST_WORDS_OF_A_VALUE = 4, 16
_TOKENS_OF_A_WORD = 8
"""Most words are one to three tokens; one of a language that the tokenizer does not know has more."""
_TOKENS_OF_A_NUMBER = 24
"""Of a number or a date in its one spelling, a token for each character."""
_TOKENS_AROUND_A_FIELD, _TOKENS_AROUND_A_RECORD = 8, 16
"""Quotes, colon, comma and the indent of a line; braces, and a fence around them."""

DecimalSign = Literal["point", "comma"]
DateOrder = Literal["day_first", "month_first"]
OneSpelling = Annotated[str, StringConstraints(min_length=1, pattern=ONE_SPELLING)]


class FieldSpec(Part):
    """One field of a record."""

    kind: Literal["verbatim", "number", "date", "choice"] = Field(
        description="verbatim: words that follow each other in the text; number: a number of the text, however it is "
        "written there and in the label; date: a date of the text, likewise; choice: one of a fixed set of values, "
        "which need not be in the text"
    )
    of: tuple[OneSpelling, ...] = Field((), description="of a choice: its values")
    optional: bool = Field(False, description="a record may be without it; where it is not, such a record is no label")
    words_at_most: int = Field(
        _WORDS_OF_A_VALUE,
        ge=1,
        le=MOST_WORDS_OF_A_VALUE,
        description="of what is in the text: words that it has at most",
    )
    decimal: DecimalSign | None = Field(
        None,
        exclude_if=lambda sign: sign is None,  # so that a recipe without the field keeps its digest
        description="of a number: whether 1,931 and 1.931 are to be read with a decimal `point` or a decimal `comma`; "
        "when left out neither is a number, and a row whose value is written so is left out",
    )

    order: DateOrder | None = Field(
        None,
        exclude_if=lambda order: order is None,  # likewise
        description="of a date: whether 11/12/2026 is to be read `day_first` or `month_first`; when left out it is no "
        "date, and a row whose value is written so is left out",
    )

    @property
    def reads(self) -> bool:
        """Whether its value is read, so that label and text may write it in different ways."""
        return self.kind in ("number", "date")

    @property
    def points(self) -> bool:
        """Whether its value is at a place of the text."""
        return self.kind != "choice"

    @model_validator(mode="after")
    def _a_choice_has_values_and_nothing_else_has(self) -> "FieldSpec":
        if self.decimal is not None and self.kind != "number":
            raise FieldError(f"must be left out where kind is {self.kind}: it says how numbers are read", "decimal")
        if self.order is not None and self.kind != "date":
            raise FieldError(f"must be left out where kind is {self.kind}: it says how dates are read", "order")
        if self.points:
            if self.of:
                raise FieldError(f"must be left out where kind is {self.kind}: the value is what the text says", "of")
            return self
        if len({value.casefold() for value in self.of}) < max(2, len(self.of)):
            raise FieldError("must name at least two values, which differ in more than their case", "of")
        if self.words_at_most != _WORDS_OF_A_VALUE:
            raise FieldError("must be left out where kind is choice", "words_at_most")
        return self

    @property
    def tokens_at_most(self) -> int:
        """That a language model needs to write its value, whatever its tokenizer makes of it."""
        if self.kind == "choice":
            return max(len(value.encode()) for value in self.of)
        return _TOKENS_OF_A_NUMBER if self.reads else _TOKENS_OF_A_WORD * self.words_at_most

    def outputs(self, words: int) -> int:
        """How many answers there are to it, that there is none among them.

        Args:
            words: that are read of a text.
        """
        answers = len(self.of) if self.kind == "choice" else words * self.words_at_most
        return answers + self.optional


class RecordSpec(Part):
    """The fields of a record in the order of their names, and how much of a text is read."""

    fields: dict[OneSpelling, FieldSpec] = Field(min_length=1)
    words: int = Field(ge=2, le=512, description="of a text")

    @field_validator("fields")
    @classmethod
    def _they_have_one_order(cls, fields: dict[str, FieldSpec]) -> dict[str, FieldSpec]:
        """Outputs go by it, and a JSON file may have been sorted."""
        return dict(sorted(fields.items()))

    @model_validator(mode="after")
    def _a_text_has_room_for_each_value(self) -> "RecordSpec":
        for name, field in self.fields.items():
            if field.points and field.words_at_most > self.words:
                raise ValueError(
                    f"{name} may have {field.words_at_most} words, and {self.words} are read of a text: let it have "
                    "fewer (its words_at_most), or read more (data.words_at_most)"
                )
        return self

    @model_validator(mode="after")
    def _the_answers_can_be_counted(self) -> "RecordSpec":
        outputs = [each.outputs(self.words) for each in self.fields.values()]
        if sum(outputs) > OUTPUTS_AT_MOST:
            raise ValueError(
                f"there are {sum(outputs):,} runs of words and values to choose among, and may be {OUTPUTS_AT_MOST:,}: "
                "let fields have fewer words (words_at_most of each), or read fewer of a text (data.words_at_most)"
            )
        different = 1
        for each in outputs:
            different *= each
        if different >= 1 << 62:
            raise ValueError(
                f"there are {different:.0e} different records, and may be {1 << 62:.0e}: leave fields out, or let them "
                "have fewer words (words_at_most of each)"
            )
        return self

    @property
    def tokens_at_most(self) -> int:
        """That a language model needs to write one as a JSON object: names and signs, a token for each byte, and
        values."""
        return _TOKENS_AROUND_A_RECORD + sum(
            len(name.encode()) + _TOKENS_AROUND_A_FIELD + field.tokens_at_most for name, field in self.fields.items()
        )

    @classmethod
    def in_recipe(cls, written: Mapping[str, Any]) -> "RecordSpec | None":
        """What a recipe of a release says of its records, from its recipe.json; None where answers are none."""
        fields = written["data"].get("fields")
        if fields is None:
            return None
        return cls(fields=fields, words=written["data"].get("words_at_most") or WORDS_AT_MOST)
