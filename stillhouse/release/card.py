"""The model card: what a released model is for, how good it is, where it comes from, and the lines that load it.

Belongs here: filling the card's template, and what it tells of a recipe and a report that are kept.
Does not: what else is in a bundle (bundle.py) or in a folder that is handed over (standalone.py).
"""

import functools
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from stillhouse.recipe.data import SEPARATOR, SETS, AnswerSpec, ScoreSpec, TaskKind, answer_spec_in
from stillhouse.recipe.record import FieldSpec
from stillhouse.release.bundle import ReleaseRecord
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import MEGABYTE, number, percent

if TYPE_CHECKING:
    from jinja2 import Template

CARD = "README.md"


class _OnCard(BaseModel):
    """A part of what is kept; what the card does not show is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CardTeacher(_OnCard):
    """Where the teacher comes from."""

    source: str | None = None
    revision: str = ""
    licence: str = ""
    training: dict[str, object] | None = None


class CardData(_OnCard):
    """Where the rows come from."""

    source: str
    licence: str
    answer: TaskKind = "single_label"  # 0.1.0 knew no other
    score: ScoreSpec | None = None
    query: str | None = None
    fields: dict[str, FieldSpec] | None = None
    words_at_most: int | None = None

    @property
    def details(self) -> AnswerSpec | None:
        """What is said of numbers or records; None where answers are labels."""
        return answer_spec_in({"data": self.model_dump()})


class CardRecipe(_OnCard):
    """What a card reads of a recipe.json."""

    task: str
    data: CardData
    teacher: CardTeacher
    base: dict[str, object] | None = None


class CardScore(_OnCard):
    """How good a model is by itself."""

    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float | None
    size_bytes: int | None


class CardClaim(_OnCard):
    """What the bar asks of it."""

    binding: bool
    verdict: Verdict
    sentence: str


class CardSlice(_OnCard):
    """How good both are on a slice, or a field."""

    name: str
    is_field: bool = False
    rows: int
    teacher_accuracy: float | None
    student_accuracy: float | None
    verdict: Verdict
    critical: bool


class CardClass(_OnCard):
    """How well a class is found."""

    label: str
    rows: int
    precision: float | None
    recall: float | None


class CardNumbers(_OnCard):
    """How far from the right numbers both are."""

    mean_error: float
    teacher_mean_error: float


class CardRanking(_OnCard):
    """How well both rank."""

    at: int
    queries: int
    ndcg: float
    teacher_ndcg: float


class CardField(_OnCard):
    """How often a field is right."""

    name: str
    accuracy: float
    teacher_accuracy: float


class CardFields(_OnCard):
    """How records are right field by field."""

    micro_f1: float
    teacher_micro_f1: float
    fields: tuple[CardField, ...]


class CardReport(_OnCard):
    """What a card reads of a report.json."""

    golden_rows: int
    teacher: CardScore
    student: CardScore
    claims: tuple[CardClaim, ...]
    slices: tuple[CardSlice, ...]
    per_class: tuple[CardClass, ...] | None
    of_numbers: CardNumbers | None = None
    of_ranking: CardRanking | None = None
    of_fields: CardFields | None = None


def model_card(
    recipe: CardRecipe,
    report: CardReport,
    record: ReleaseRecord,
    labels: Sequence[str],
    *,
    max_tokens: int,
    exported_from: str | None = None,
) -> str:
    """Write the card, as Markdown.

    Args:
        recipe: of recipe.json.
        report: of report.json.
        record: what the release resolves to.
        labels: all that the model answers.
        max_tokens: after which it cuts a text.
        exported_from: digest of the release, for the folder that runs without Stillhouse; None for the bundle itself,
            whose digest covers the card.
    """
    return _template().render(
        record=record,
        release=exported_from,
        labels=labels,
        gives_sets=recipe.data.answer in SETS,
        numbers=recipe.data.score,
        pairs=recipe.data.query is not None,
        text="a text" if recipe.data.query is None else f"a query {SEPARATOR} a document",
        fields=recipe.data.fields,
        recipe=recipe,
        report=report,
        max_tokens=max_tokens,
        megabyte=MEGABYTE,
    )


@functools.cache
def _template() -> "Template":
    """The card, compiled once in a process."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters |= {"percent": percent, "number": number, "share": _share, "cell": _cell}
    return environment.from_string(files("stillhouse.release").joinpath("model_card.md.j2").read_text("utf-8"))


def _share(of_rows: float | None) -> str:
    """A share of rows; of none there is none, as where a slice is empty and somebody has waived that."""
    return "no rows" if of_rows is None else percent(of_rows)


def _cell(text: str) -> str:
    """A text of somebody else's as one cell of a table: no line breaks, nothing that Markdown or HTML obeys."""
    escaped = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in r"\`*_[]|#" else letter for letter in escaped)
