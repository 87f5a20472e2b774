"""One request's way: what may be asked, which release answers, and what is said.

Belongs here: the form of a question and of an answer, and the way from one to the other.
Does not: HTTP (app.py), the model (loaded.py), which deployment is wanted (desired.py).

Nothing of what a caller sends is quoted in an error: neither a value nor the name of a field.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, NamedTuple, NotRequired, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    with_config,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic reads Python's own from 3.12 on

from stillhouse.base import Record
from stillhouse.recipe.data import LARGEST_NUMBER
from stillhouse.serving.loaded import LoadedRelease, Said
from stillhouse.serving.refused import RefusedError
from stillhouse.serving.routing import Arm, ServedChallenger, Taken
from stillhouse.tasks.label_sets import written_set
from stillhouse.tasks.numbers import written_number

KEY_CHARACTERS = 200
VALUE_CHARACTERS = 200
TRUTH_CHARACTERS = 10_000
"""A set may have many labels."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers from now on; a server replaces it as one reference, so that no request sees half of two.

    Args:
        deployment: its number in the ledger.
        at: when it was decided, ISO 8601, UTC.
        champion: the release that answers.
        challenger: the release that answers a share of the callers, if one does.
        taken: parts of the requests that the champion does not answer.
        with_challenger: whether a challenger is to be loaded, also where it could not be.
    """

    deployment: int
    at: str
    champion: LoadedRelease
    challenger: ServedChallenger | None = None
    taken: tuple[Taken, ...] = ()
    with_challenger: bool = False

    @property
    def may_ask_a_teacher(self) -> bool:
        """Whether some answer may be that of a teacher, which has to be waited for."""
        if self.champion.teacher is not None:
            return True
        if self.challenger is not None and self.challenger.release.teacher is not None:
            return True
        return any(each.instead is not None and each.instead.teacher is not None for each in self.taken)

    @property
    def who_answer(self) -> tuple[LoadedRelease, ...]:
        """All releases that answer somebody, the champion first; what one of them can say can be true."""
        challengers = () if self.challenger is None else (self.challenger.release,)
        instead = (each.instead for each in self.taken if each.instead is not None)
        return (self.champion, *challengers, *instead)

    def arm(self, key: str) -> Arm:
        """Whose a caller is; the one place where this is decided.

        Args:
            key: what stays the same for the caller; of one that gives none the id of the request.
        """
        return "challenger" if self.challenger is not None and self.challenger.answers(key) else "champion"

    def say(
        self, arm: Arm, clean: str, columns: Mapping[str, str], at: float, failed: Callable[[Exception], None]
    ) -> "Given":
        """Answer a text that has its one spelling.

        A challenger that raises, and an earlier champion that does, leave the answer to the champion: a caller sees
        none of it. What is taken from the champion is taken from it there, too.

        Args:
            arm: whose the caller is.
            clean: the text.
            columns: what the caller says of it.
            at: when the request came, in seconds since 1970.
            failed: takes what was raised.
        """
        if arm == "challenger" and self.challenger is not None:
            try:
                said = self.challenger.release.say(clean)
            except Exception as error:  # whatever it is, the caller is answered
                self.challenger.breaker.failed()
                failed(error)
            else:
                self.challenger.breaker.answered()
                return Given(said, self.challenger.release, "challenger")
        said = self.champion.say(clean)
        meant = self._taken_of(said, clean, columns, at) if self.taken else None
        if meant is None:
            return Given(said, self.champion, arm, degraded=arm == "challenger")
        whose: Arm = "instead" if arm == "champion" else arm
        if meant.is_the_teachers:
            return Given(said, self.champion, whose, degraded=arm == "challenger", to_teacher=True)
        if meant.instead is not None:
            try:
                return Given(meant.instead.say(clean), meant.instead, whose, degraded=arm == "challenger")
            except Exception as error:
                failed(error)
        return Given(said, self.champion, whose, degraded=True)

    def _taken_of(self, said: Said, clean: str, columns: Mapping[str, str], at: float) -> Taken | None:
        is_set = self.champion.gives_sets
        return next(
            (each for each in self.taken if each.holds(said.label, len(clean), columns, at, is_set=is_set)), None
        )


class Given(NamedTuple):
    """An answer, and who gave it.

    Attributes:
        said: the answer.
        release: that gave it.
        arm: whose the request was.
        degraded: whether another release should have answered.
        to_teacher: whether its teacher is to answer, however sure the student is.
    """

    said: Said
    release: LoadedRelease
    arm: Arm
    degraded: bool = False
    to_teacher: bool = False


_SENT = ConfigDict(extra="forbid", hide_input_in_errors=True)
"""Of what callers send: no field but those it names, and no error that quotes it."""


def _as_rows_have_them(columns: dict[str, str]) -> dict[str, str]:
    """Without the blanks around a value, and without blank values: a row of the source has none of them either."""
    stripped = {column: value.strip() for column, value in columns.items()}
    return {column: value for column, value in stripped.items() if value}


_ONE_OF_THE_TWO: dict[str, JsonValue] = {
    "oneOf": [  # as `read_question` has it: the other one may be left out or null
        {"required": ["text"], "properties": {"text": {"type": "string"}}},
        {"required": ["texts"], "properties": {"texts": {"type": "array"}}},
    ]
}


@with_config(_SENT | ConfigDict(json_schema_extra=_ONE_OF_THE_TWO))
class Question(TypedDict, total=False):
    """A text, or several."""

    # A plain dict: to make an object of each question takes four times as long, which every request would pay.
    text: Annotated[str | None, Field(description="one text")]
    texts: Annotated[tuple[str, ...] | None, Field(min_length=1, description="several, each answered by itself")]
    key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=KEY_CHARACTERS,
            description="what stays the same for one user, such as a customer number; only an HMAC of it is kept",
        ),
    ]
    columns: Annotated[
        dict[Annotated[str, Field(max_length=60)], Annotated[str, Field(max_length=VALUE_CHARACTERS)]],
        Field(
            max_length=20,
            description="what is known of the texts beside them, by column, where the recipe asks for it",
        ),
        AfterValidator(_as_rows_have_them),
    ]
    deadline_ms: Annotated[
        float | None,
        Field(gt=0, description="from the request's arrival; what has not been begun by then is not answered"),
    ]


def texts_of(question: Question) -> tuple[str, ...]:
    """All texts of a question."""
    text = question.get("text")
    return question.get("texts") or () if text is None else (text,)


RecordWithNumbers = dict[str, StrictStr | StrictInt | StrictFloat | None]
"""An object as it was sent; only what serves knows in which fields a number may be (loaded.py)."""


class Truth(BaseModel):
    """What turned out to be true of an answer."""

    model_config = _SENT | ConfigDict(frozen=True)

    id: str = Field(max_length=100, description="of the answer")
    truth: Annotated[str, Field(max_length=TRUTH_CHARACTERS)] | SkipJsonSchema[RecordWithNumbers] = Field(
        description="the label that is right; of a set of labels its one text, as an answer has it, or a list of them; "
        "of a number its one text likewise, or the number; of a record its one text, or the object",
    )
    # No free text: what is said here is kept, and read by people.
    by: Annotated[str, Field(pattern=r"^[a-z0-9_.:-]{1,60}$")] | None = Field(
        None, description="which system or desk says so: lower-case letters, digits and _.:-"
    )

    @field_validator("truth", mode="before")
    @classmethod
    def _as_answers_are_written(cls, truth: object) -> object:
        if isinstance(truth, list) and all(isinstance(name, str) for name in truth):
            return written_set(cast(list[str], truth))
        if isinstance(truth, int | float) and not isinstance(truth, bool) and abs(truth) <= LARGEST_NUMBER:
            return written_number(truth)
        if isinstance(truth, dict) and all(value is None or isinstance(value, str) for value in truth.values()):
            return json.dumps(truth)
        return truth

    @field_validator("truth")
    @classmethod
    def _no_object_is_longer(cls, truth: str | RecordWithNumbers) -> str | RecordWithNumbers:
        if not isinstance(truth, str) and len(json.dumps(truth)) > TRUTH_CHARACTERS:
            raise PydanticCustomError("string_too_long", "it is too long")
        return truth


class Answer(TypedDict):
    """What is said of one text."""

    id: Annotated[str, Field(description="by which feedback names it")]
    label: Annotated[
        str,
        Field(
            description="the answer; a set of labels as one text, a JSON list of them, sorted; a number as a text; a "
            "record as a JSON object"
        ),
    ]
    labels: NotRequired[
        Annotated[
            tuple[str, ...],
            Field(description="those of a set of labels, sorted; left out where an answer is one label"),
        ]
    ]
    record: NotRequired[
        Annotated[
            dict[str, str | float | None],
            Field(description="of a record the same as an object: the value of each field, null where it has none"),
        ]
    ]
    confidence: Annotated[
        float | None, Field(description="calibrated probability that the label is right; null where there is none")
    ]
    source: Literal["student", "teacher"]
    release: Annotated[str, Field(description="digest of the release that answered")]
    deployment: Annotated[int, Field(description="number in the ledger of what was decided to serve")]
    degraded: Annotated[bool, Field(description="whether another release, or the teacher, should have answered")]
    feedback_wanted: NotRequired[
        Annotated[
            bool,
            Field(description="whether feedback on this answer is asked for; left out where the recipe draws none"),
        ]
    ]


class Answers(TypedDict):
    """What is said of several texts, in the order asked."""

    answers: list[Answer]


class WhoServes(Record):
    """What answers for a recipe."""

    recipe: str
    student: str
    release: str
    deployment: int
    since: str
    labels: tuple[str, ...]
    lowest: float | None = Field(
        None, exclude_if=lambda end: end is None, description="where answers are numbers, no number is below"
    )
    highest: float | None = Field(None, exclude_if=lambda end: end is None, description="likewise, and none above")
    threshold: float | None
    to_teacher: tuple[str, ...]
    challenger: str | None
    share: float
    quarantine: tuple[str, ...]


def read_question(body: bytes, *, texts_at_most: int) -> Question:
    """Read what was sent to be answered.

    Raises:
        RefusedError: if it is no question, or has more texts.
    """
    question = _QUESTION.read(body)
    if (question.get("text") is None) == (question.get("texts") is None):
        raise RefusedError(422, "body: either text or texts has to be given", _QUESTION.expected)
    number = len(texts_of(question))
    if number > texts_at_most:
        raise RefusedError(422, f"{number} texts", f"at most {texts_at_most} in one request")
    return question


def read_truth(body: bytes) -> Truth:
    """Read what was sent as true.

    Raises:
        RefusedError: if it is not such a record.
    """
    return _TRUTH.read(body)


Sent = TypeVar("Sent")


class _Form(Generic[Sent]):
    """How something that callers send is read.

    Args:
        record: what is made of it.
        expected: the same for people.
    """

    def __init__(self, record: type[Sent], expected: str) -> None:
        self._validator, self._fields = TypeAdapter(record).validator, frozenset(record.__annotations__)
        self.expected = expected

    def read(self, body: bytes) -> Sent:
        """Read a body.

        Raises:
            RefusedError: if it is no such record.
        """
        try:
            return cast(Sent, self._validator.validate_json(body))
        except ValidationError as error:
            # The names of our own fields and our own words for a kind of mistake; what was sent is in neither.
            found = error.errors(include_url=False, include_context=False, include_input=False)
            places = (each["loc"][0] if each["loc"] and each["loc"][0] in self._fields else "body" for each in found)
            mistakes = (_MISTAKES.get(each["type"], each["type"]) for each in found)
            named = sorted({f"{place}: {mistake}" for place, mistake in zip(places, mistakes, strict=True)})
            raise RefusedError(422, "; ".join(named), self.expected) from None


_QUESTION = _Form(Question, '{"text": "..."} or {"texts": ["..."]}, and if wanted "key", "columns" and "deadline_ms"')
_TRUTH = _Form(Truth, '{"id": "...", "truth": "...", "by": "..."}, of which "by" may be left out')


_MISTAKES = {
    "json_invalid": "it is not JSON",
    "model_type": "it is not a JSON object",
    "dict_type": "it is not a JSON object",
    "extra_forbidden": "it has a field that is none of those expected",
    "missing": "it is missing",
    "string_type": "it is not text",
    "string_too_short": "it is empty",
    "too_short": "it is empty",
    "string_too_long": "it is too long",
    "too_long": "it is too long",
    "string_pattern_mismatch": "it has characters that are not allowed there",
    "int_type": "it is not a number",
    "float_type": "it is not a number",
    "float_parsing": "it is not a number",
    "greater_than": "it is too small",
}
"""What pydantic calls a mistake, in words; a kind that is not among these keeps its name."""
