"""What a recipe says of its rows.

Belongs here: where rows come from, which column means what, who may see them, how they are split.
Does not: reading rows (stillhouse/data/).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, field_validator, model_validator

from stillhouse.recipe.fields import CSV_SEPARATOR, FieldError, Part, Share
from stillhouse.recipe.record import WORDS_AT_MOST, FieldSpec, OneSpelling, RecordSpec

TaskKind = Literal["single_label", "multi_label", "score", "fields"]
"""What an answer can be: see stillhouse/tasks/."""

SETS: frozenset[TaskKind] = frozenset({"multi_label"})
"""Kinds of answers that are sets of labels, each written as one text (stillhouse/tasks/label_sets.py)."""

NUMBERS: frozenset[TaskKind] = frozenset({"score"})
"""Kinds of answers that are numbers, each written as one text (stillhouse/tasks/numbers.py)."""

RECORDS: frozenset[TaskKind] = frozenset({"fields"})
"""Kinds of answers that are records, each written as one text (stillhouse/tasks/records.py)."""

DIVERGENCE_LIMIT = 0.02
"""Bits from which a shift matters: a value that falls from 50 % to 33 %, from 20 % to 8 % or from 4 % to none gives
about 0.02, one that falls from 40 % to 10 % gives 0.091. Chance alone reaches it below 190 observed rows of 6 labels
and below 770 of 50."""

SEPARATOR = "[SEP]"
"""Between a query and a document in the one text that models read (stillhouse/data/pairs.py)."""

LIVE = "live"
"""In the place of a file of traffic: what servers keep. A file of that name is `./live`."""

GOLDEN_FILE = "golden"
"""What rows of a golden file have in the column `batch`, where those of the source have `base`."""


_DIVERSITY, _GENERATIONS = 0.7, 1

T = TypeVar("T")


def a_tab_by_name(separator: T) -> T | str:
    """Let `tab` and the two characters `\\t` be a tab.

    A tab cannot be seen, and is spelled in another way by YAML in single quotes and by a shell.
    """
    return "\t" if separator in ("tab", r"\t") else separator


LEAST_SPAN, LARGEST_NUMBER = 0.001, 1e9
"""Of numbers as labels: with six digits after the point less could not be told apart, and more not be held."""
Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER, allow_inf_nan=False)]

Separator = Annotated[str, BeforeValidator(a_tab_by_name), StringConstraints(pattern=CSV_SEPARATOR)]


def _is_not_said(value: object) -> bool:
    """Whether a field stays out of the contract: those that are younger than a contract must not change its digest."""
    return value is None


class ProvenanceSpec(Part):
    """Where each row comes from and who may see it; a row without what is asked for here goes no further."""

    privacy_class: Literal["public", "internal", "personal", "secret"] = Field(
        "internal", description="privacy class of all rows, where no column tells it"
    )
    teacher_may_see: tuple[str, ...] = Field(
        ("public", "internal"), description="privacy classes whose rows may be shown to the teacher"
    )
    date_column: str | None = Field(
        None, description="column with the date of a row, ISO 8601; undated rows are kept out"
    )
    rights_column: str | None = Field(None, description="column with the right under which a row may be used")
    rights_allowed: tuple[str, ...] = Field(
        (), description="values of rights_column that allow training; no other does"
    )
    privacy_column: str | None = Field(None, description="column with the privacy class of a row")
    kind_column: str | None = Field(
        None, description="column that says `real` or `synthetic`; no synthetic row judges or validates"
    )
    synthetic_share_at_most: float = Field(0.5, ge=0, le=1, description="largest share of synthetic rows to train on")
    synthetic_diversity_at_least: float = Field(
        _DIVERSITY,
        ge=0,
        le=1,
        exclude_if=lambda least: least == _DIVERSITY,
        description="least share that the synthetic rows of any generation have of the different pairs of words which "
        "as many words of real rows have",
    )
    generation_column: str | None = Field(
        None,
        exclude_if=_is_not_said,
        description="column with how many models lie between a row and people: 0 or nothing of a real row, 1 of a "
        "synthetic one that was written after real rows, 2 after rows of generation 1, and so on",
    )
    generations_at_most: int = Field(
        _GENERATIONS,
        ge=1,
        exclude_if=lambda most: most == _GENERATIONS,
        description="rows of later generations are kept out",
    )

    @property
    def columns_by_field(self) -> dict[str, str]:
        """The columns that have to travel with every row, by the fields that name them."""
        named = {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_column")}
        return {name: column for name, column in named.items() if column is not None}

    @model_validator(mode="after")
    def _generations_are_of_synthetic_rows(self) -> "ProvenanceSpec":
        if self.generation_column is not None and self.kind_column is None:
            raise ValueError("generation_column: kind_column has to say which rows are synthetic")
        return self


class Limits(Part):
    """What one file of rows may take, so that a damaged or hostile file cannot take the machine's memory."""

    file_mb_at_most: float = Field(
        2_000, gt=0, description="size of a file once it is unpacked; all of its rows are in memory at one time"
    )
    line_characters_at_most: int = Field(
        10_000_000,
        gt=0,
        description="length of a line, or of a csv record of several lines; a line has to be in memory whole, and an "
        "open quote makes one record of all that follows",
    )
    unpacked_ratio_at_most: float = Field(
        100,
        gt=1,
        description="how many times its own size a packed file may give, asked from 16 MB on; text gives 3 to 30, and "
        "a file made to fill a memory up to 1,000",
    )


class ScoreSpec(Part):
    """Which numbers are labels, and how near to one an answer has to be.

    Both ends are said, since a batch or a few golden rows need not have them, and a model learns stars as it learns
    prices once both lie between the same two numbers.
    """

    lowest: Number = Field(description="the least that a label may be; a row with less is left out, with the reason")
    highest: Number = Field(description="the most that a label may be, likewise")
    tolerance: float = Field(
        gt=0, allow_inf_nan=False, description="how far from the label an answer may be and counts as right"
    )

    @model_validator(mode="after")
    def _a_label_can_be_either_end(self) -> "ScoreSpec":
        """Labels have six digits after the point; the nearest to an end with more may lie beyond it."""
        for name, value in (("lowest", self.lowest), ("highest", self.highest)):
            if round(value, 6) != value:
                raise FieldError("must have at most six digits after the point, as labels have", name)
        return self

    @model_validator(mode="after")
    def _there_is_room_for_an_answer_to_be_wrong(self) -> "ScoreSpec":
        if self.highest - self.lowest < LEAST_SPAN:
            raise FieldError(f"must be at least {LEAST_SPAN:g} above lowest", "highest")
        if self.tolerance >= (self.highest - self.lowest) / 2:
            raise FieldError(
                "must be less than half of what lies between lowest and highest: else one answer is right everywhere",
                "tolerance",
            )
        return self

    @classmethod
    def in_recipe(cls, written: Mapping[str, Any]) -> "ScoreSpec | None":
        """What a recipe of a release says of its numbers, from its recipe.json; None where its answers are labels."""
        score = written["data"].get("score")
        return None if score is None else cls.model_validate(score)


AnswerSpec = ScoreSpec | RecordSpec
"""What a recipe says of answers that are no labels."""


def answer_spec_in(recipe: Mapping[str, Any]) -> AnswerSpec | None:
    """What a recipe of a release says of its numbers or records, from its recipe.json; None where it has labels."""
    return ScoreSpec.in_recipe(recipe) or RecordSpec.in_recipe(recipe)


def particulars_of(score: ScoreSpec | None, record: RecordSpec | None) -> dict[str, Any]:
    """What a digest has of them; nothing where answers are labels."""
    said = {"score": score, "record": record}
    return {name: each.model_dump(mode="json") for name, each in said.items() if each is not None}


class DataSpec(Part):
    """The rows, and which of their columns mean what."""

    source: str = Field(
        description="a local path, any address that fsspec opens (s3://, hf://), or package://<import name>/<file>; "
        "csv, parquet, ndjson, JSON or xlsx, also packed by gzip, zstd or zip"
    )
    format: Literal["csv", "parquet", "ndjson", "json", "xlsx", "lines"] | None = Field(
        None, description="format of the source; by its ending when left out; lines = one pattern for each line"
    )
    encoding: str = Field(
        "utf-8", description="text encoding of csv, JSON and lines, where no mark at the beginning says another"
    )
    separator: Separator | None = Field(
        None, description="character between the fields of csv; a comma, or a tab for .tsv, when left out"
    )
    quoting: Literal["none", "double", "single", "escaped"] | None = Field(
        None,
        description="quotes around fields of csv, which a second one makes text, or in escaped ones a backslash; with "
        "none a quote is text and each line a row; when left out, none where the separator is a tab and double "
        "elsewhere",
    )
    columns: tuple[str, ...] = Field(
        (), description="names of the columns of a csv source without a header, in the order of the fields"
    )
    pattern: str | None = Field(
        None, description="regular expression for format lines; its named groups are the columns"
    )
    text: str = Field(description="column with the input text; in JSON and parquet also a path, such as ticket.body")
    query: str | None = Field(
        None,
        exclude_if=_is_not_said,
        description="column with the query that the text is a document of, where answer is score: a model reads both, "
        "and ranks the documents of a query",
    )
    label: str | None = Field(
        description="column with the label; an empty value means unlabelled. null where no row of the source has one, "
        "for teachers that learn from no label: then golden names the file that has labels"
    )
    golden: str | None = Field(
        None,
        exclude_if=_is_not_said,
        description="file of labelled rows that judge, apart from the source, whose rows then only train: read as the "
        "source is where it has its ending, and under the same licence; `split` says of its rows which are golden, "
        "which validate, and what is left trains",
    )
    golden_text: str | None = Field(
        None, exclude_if=_is_not_said, description="column of the golden file with the text; as `text` when left out"
    )
    golden_label: str | None = Field(
        None, exclude_if=_is_not_said, description="column of the golden file with the label; as `label` when left out"
    )
    answer: TaskKind = Field(
        "single_label",
        description="what a label is: one of a fixed set of classes (single_label), or any number of a fixed set of "
        "labels (multi_label), in a cell as a;b or a JSON list, of which [] says that none applies; or a number "
        "(score); or a few values that are taken out of the text, as a JSON object (fields)",
    )
    score: ScoreSpec | None = Field(
        None,
        exclude_if=_is_not_said,
        description="where answer is score, between which numbers a label lies, and how near an answer has to be",
    )
    fields: dict[OneSpelling, FieldSpec] | None = Field(
        None,
        exclude_if=_is_not_said,
        description="where answer is fields, what each of them may hold, by name: words of the text ({kind: verbatim, "
        "words_at_most: 4}), a number or a date of it ({kind: number, decimal: point}, {kind: date, order: "
        "day_first}), or one of a few values ({kind: choice, of: [EUR, USD]}); a record may be without one that is "
        "`optional: true`",
    )
    words_at_most: int | None = Field(
        None,
        ge=2,
        le=512,
        exclude_if=_is_not_said,
        description=f"where answer is fields, words that are read of a text, {WORDS_AT_MOST} when left out; a row with "
        "more is left out, with the reason",
    )
    labels: dict[str, str] = Field(
        {},
        description="from a spelling of a label to its class, such as {'Billing': 'billing'}; two that look like one "
        "class and are two are mapped to themselves, and one that means there is no label to nothing: {'nan': ''}",
    )
    group: str | None = Field(
        None,
        description="column whose equal values must never be split apart; the bar, slices, floors, gaps and "
        "stress then resample whole groups, and need at least 20 of them in the golden rows each is about",
    )
    licence: str = Field(description="licence or rights under which the rows may be used for training")
    provenance: ProvenanceSpec = Field(
        ProvenanceSpec(), description="where rows come from, and which of them the teacher may see"
    )
    traffic: str | None = Field(
        None,
        description="what production asks, which the rows must look like: the file of a recent sample, in the source's "
        "format; or `live`, the last whole days that servers of this installation have kept (limits.traffic_days)",
    )
    drift_limit: float = Field(
        DIVERGENCE_LIMIT,
        gt=0,
        le=1,
        description="Jensen-Shannon divergence in bits up to which two mixes of labels, slices or lengths are alike",
    )
    drop_folder: str | None = Field(
        None,
        description="folder or fsspec prefix where new files of rows arrive; the installation's inbox when left out",
    )
    limits: Limits = Field(Limits(), description="what one file of rows may cost to read")
    allow_missing_columns: tuple[str, ...] = Field(
        (),
        description="columns that a dropped file may lack, such as the label; any other column that this recipe names "
        "has to be in every file, or the file is left out and named",
    )
    max_characters: int = Field(20_000, gt=0, description="longer texts are rejected, with the reason kept")
    wrong_labels_at_most: Share = Field(
        0.05,
        description="share of known labels that may look wrong to the teacher; more where the task is hard to judge",
    )
    hidden_label_share: Share = Field(
        0.0, description="share of the training labels that is hidden, to show what the teacher's signal is worth"
    )

    @model_validator(mode="before")
    @classmethod
    def _documents_of_a_query_are_a_group(cls, said: Any) -> Any:
        if isinstance(said, dict) and said.get("query") is not None and said.get("group") is None:
            return {**said, "group": said["query"]}
        return said

    @field_validator("labels")
    @classmethod
    def _a_class_is_mapped_to_itself(cls, labels: dict[str, str]) -> dict[str, str]:
        for spelling, name in labels.items():
            if labels.get(name, name) != name:
                raise ValueError(f"{spelling!r} is mapped to {name!r}, which is mapped to {labels[name]!r}")
        return labels

    @model_validator(mode="after")
    def _a_pattern_goes_with_lines(self) -> "DataSpec":
        if (self.format == "lines") != (self.pattern is not None):
            raise ValueError("pattern goes with format: lines, and only with it")
        if self.pattern is not None:
            groups = re.compile(self.pattern).groupindex
            for column in (self.text, self.query, self.label):
                if column is not None and column not in groups:
                    raise ValueError(f"pattern has no group named {column!r}; it has {', '.join(groups) or 'none'}")
        return self

    @model_validator(mode="after")
    def _a_golden_file_has_the_labels_that_the_source_lacks(self) -> "DataSpec":
        if self.golden is None:
            if self.label is None:
                raise FieldError(
                    "must name a column, or data.golden a file of rows that people have labelled: without a label "
                    "nothing can be judged",
                    "label",
                )
            for name in ("golden_text", "golden_label"):
                if getattr(self, name) is not None:
                    raise FieldError("must be left out where data.golden names no file", name)
        elif self.golden == self.source:
            raise FieldError("must be another file than data.source, whose rows are trained on", "golden")
        elif self.label is None and self.golden_label is None:
            raise FieldError("data.golden_label must name its column with the label where data.label is null", "golden")
        return self

    @model_validator(mode="after")
    def _numbers_lie_between_two_others(self) -> "DataSpec":
        if self.query is not None and self.answer not in NUMBERS:
            raise FieldError(
                f"must be left out where answer is {self.answer}: documents are ranked by a number", "query"
            )
        if self.query is not None and self.query in (self.text, self.label, self.golden_text, self.golden_label):
            raise FieldError("must be another column than those with document and label: a model reads it", "query")
        if self.answer not in NUMBERS:
            if self.score is not None:
                raise FieldError(f"must be left out where answer is {self.answer}", "score")
            return self
        if self.score is None:
            raise FieldError(
                "score must say {lowest, highest, tolerance} where answer is score: between which numbers a label "
                "lies, and how near to it an answer is right",
                "answer",
            )
        for name, why in (
            ("labels", "numbers have one spelling already"),
            ("wrong_labels_at_most", "nobody looks for numbers that look wrong"),
        ):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise FieldError(f"must be left out where answer is score: {why}", name)
        return self

    @model_validator(mode="after")
    def _records_have_fields(self) -> "DataSpec":
        if self.answer not in RECORDS:
            for name in ("fields", "words_at_most"):
                if getattr(self, name) is not None:
                    raise FieldError(f"must be left out where answer is {self.answer}", name)
            return self
        if not self.fields:
            raise FieldError("fields must say what a record holds where answer is fields", "answer")
        try:
            self.record  # noqa: B018  (the rules between its parts)
        except ValidationError as error:
            raise FieldError(str(error.errors()[0]["ctx"]["error"]), "fields") from error
        for name, why in (
            ("labels", "a choice names its own values"),
            ("wrong_labels_at_most", "nobody looks for records that look wrong"),
        ):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise FieldError(f"must be left out where answer is fields: {why}", name)
        return self

    @property
    def tolerance(self) -> float | None:
        """How far apart two numbers may be that count as one; None where answers are labels."""
        return None if self.score is None else self.score.tolerance

    @property
    def record(self) -> RecordSpec | None:
        """What is taken out of a text; None where answers are no records."""
        if self.fields is None:
            return None
        return RecordSpec(fields=self.fields, words=self.words_at_most or WORDS_AT_MOST)

    @property
    def details(self) -> "AnswerSpec | None":
        """What the recipe says of its numbers or records; None where answers are labels."""
        return self.score or self.record

    @property
    def particulars(self) -> dict[str, Any]:
        """What the content of a stage depends on that asks when answers are right; nothing where they are labels."""
        return particulars_of(self.score, self.record)

    @property
    def traffic_is_live(self) -> bool:
        """Whether rows are held against what servers keep, and not against a file."""
        return self.traffic == LIVE

    @property
    def traffic_file(self) -> str | None:
        """The file of a sample of traffic, if there is one."""
        return None if self.traffic_is_live else self.traffic

    @property
    def label_column(self) -> str:
        """What the column with the labels is called: in the source, or else in the golden file."""
        column = self.label or self.golden_label
        assert column is not None, "a rule between them"
        return column

    @property
    def names_the_labels(self) -> tuple[str, str]:
        """The field of the recipe that says where the labels are by which a model is judged."""
        return ("data", "label") if self.golden is None else ("data", "golden")


class SplitSpec(Part):
    """The rule that sends a row to training, validation or the golden set, for good."""

    key: str = Field(min_length=1, description="key of the hash that decides; changing it makes a new golden set")
    golden_share: float = Field(
        gt=0,
        lt=1,
        description="share of the labelled rows that only evaluation ever sees; with data.golden, of the rows of that "
        "file, and then this and validation_share may be 1 together",
    )
    validation_share: float = Field(gt=0, lt=1, description="share that calibrates and watches training")
    golden_rounds_at_most: int | None = Field(
        None,
        ge=1,
        description="how many rounds of candidates the golden rows of one key may judge, a crashed one counted: 1 = "
        "one shot, null = any number, with advice from the second on; part of the bar",
    )

    @model_validator(mode="after")
    def _no_row_is_on_two_sides(self) -> "SplitSpec":
        if self.golden_share + self.validation_share > 1:
            raise ValueError("golden_share and validation_share are more than 1, and leave nothing to train on")
        return self
