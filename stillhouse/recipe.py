"""The contract of a distillation: one page of typed YAML, refused at the door when it is wrong.

Belongs here: a recipe's fields, the rules between them, and reading one with errors that name file, line and field.
Does not: turning a recipe into assets (orchestration/component.py), and rules that need the data (assets/contract.py).
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from stillhouse.addresses import holds_credentials, without_credentials
from stillhouse.data.drift import DIVERGENCE_LIMIT
from stillhouse.data.limits import Limits
from stillhouse.digests import digest_of
from stillhouse.economics import EconomicsSpec
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.bar import BarSpec, BehaviourSpec, BudgetSpec, SensitiveSpec, SliceSpec, StressSpec, Terms
from stillhouse.models.training import TrainingConfig

UNWAIVABLE = (
    "terms_allow_training_on_outputs",
    "the_teachers_weights_are_safe",
    "no_personal_data_is_left",
    "kept_and_rejected_are_all_that_came_in",
    "no_golden_or_validation_row_is_inside",
    "no_more_rounds_were_judged_than_the_recipe_allows",
    "the_release_was_not_withdrawn",
)
COMPONENT_TYPE = "orchestration.component.DistillationRecipe"

Share = Annotated[float, Field(ge=0, lt=1)]
Sentence = Annotated[str, Field(min_length=10)]
# Of recipes and students. A name becomes part of asset keys, file names, addresses and commands.
_NAME = "[a-z][a-z0-9_]{0,59}"
Name = Annotated[str, Field(pattern=f"^{_NAME}$")]


class _Part(BaseModel):
    # Pydantic's own message would quote what was written, which may be an address with a password in it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _no_credentials(cls, value: Any) -> Any:
        """A recipe is hashed, logged and shipped with every release, so a secret in it could never be taken back."""
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and holds_credentials(text):
                raise ValueError(
                    f"a password, key or signature is in {without_credentials(text)!r}, and a recipe ships with every "
                    "release; leave it out and give it by the environment or fsspec's configuration "
                    "(docs/architecture.md, What goes out)"
                )
        return value


class ReviewSpec(_Part):
    """How large a sample of the teacher's answers a person judges, and how many of them may be wrong."""

    size: int = Field(200, ge=20, description="answers in a sample, half of them at random and half the least certain")
    defect_limit: float = Field(0.1, gt=0, lt=1, description="share of wrong answers that is shown not to be exceeded")


class TeacherSpec(_Part):
    """The model that is copied, and why it deserves it."""

    source: str = Field(
        description="where its weights are: package://<import name>/<folder>, hf://<org>/<name>, or a local folder"
    )
    revision: str = Field(description="version of the source; for hf:// the commit, since a branch or a tag can move")
    fingerprint: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of its weights, config and tokenizer before training, as `stillhouse new` writes it; when "
        "left out, those of the first round are trusted and later rounds are held to them",
    )
    licence: str = Field(description="SPDX identifier of the weights' licence")
    training_on_outputs: Literal["allowed", "forbidden", "unknown"] = Field(
        description="do licence and terms allow training another model on its outputs? unknown counts as no"
    )
    reason: Sentence = Field(description="why this teacher deserves to be copied")
    minimum_accuracy: float = Field(
        gt=0, le=1, description="accuracy on the labelled validation rows below which it is not worth copying"
    )
    training: TrainingConfig = Field(description="how it is fine-tuned on the labelled rows")
    review: ReviewSpec | None = Field(
        None, description="a person judges a sample of the answers to unlabelled rows; none when left out"
    )

    @field_validator("revision")
    @classmethod
    def _a_branch_is_no_pin(cls, revision: str, info: ValidationInfo) -> str:
        if str(info.data.get("source")).startswith("hf://") and not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError(
                f"{revision!r} is no commit of 40 hexadecimal digits: a branch or a tag can move to other weights; "
                "copy the commit from the repository's history"
            )
        return revision

    @property
    def address(self) -> str:
        """Source and revision in one word, as records of what came from outside have it."""
        return f"{self.source}@{self.revision}"


class ProvenanceSpec(_Part):
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
    kind_column: str | None = Field(None, description="column that says `real` or `synthetic`")
    synthetic_share_at_most: float = Field(0.5, ge=0, le=1, description="largest share of synthetic rows to train on")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that have to travel with every row."""
        named = (self.date_column, self.rights_column, self.privacy_column, self.kind_column)
        return tuple(name for name in named if name is not None)


class DataSpec(_Part):
    """The rows, and which of their columns mean what."""

    source: str = Field(
        description="a local path, any address that fsspec opens (s3://, hf://; csv, parquet, ndjson, each also as .gz "
        "but for parquet), or package://<import name>/<file>"
    )
    format: Literal["csv", "parquet", "ndjson", "lines"] | None = Field(
        None, description="format of the source; by its ending when left out; lines = one pattern for each line"
    )
    encoding: str = Field("utf-8", description="text encoding of csv, ndjson and lines")
    pattern: str | None = Field(
        None, description="regular expression for format lines; its named groups are the columns"
    )
    text: str = Field(description="column with the input text")
    label: str = Field(description="column with the label; null means unlabelled")
    group: str | None = Field(
        None,
        description="column whose equal values must never be split apart; the bar, slices and floors then resample "
        "whole groups, and need at least 20 of them in the golden rows each is about",
    )
    licence: str = Field(description="licence or rights under which the rows may be used for training")
    provenance: ProvenanceSpec = Field(
        ProvenanceSpec(), description="where rows come from, and which of them the teacher may see"
    )
    traffic: str | None = Field(
        None, description="a recent sample of what production asks, in the source's format: the rows must look like it"
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

    @model_validator(mode="after")
    def _a_pattern_goes_with_lines(self) -> "DataSpec":
        if (self.format == "lines") != (self.pattern is not None):
            raise ValueError("pattern goes with format: lines, and only with it")
        if self.pattern is not None:
            groups = re.compile(self.pattern).groupindex
            for column in (self.text, self.label):
                if column not in groups:
                    raise ValueError(f"pattern has no group named {column!r}; it has {', '.join(groups) or 'none'}")
        return self


class SplitSpec(_Part):
    """The rule that sends a row to training, validation or the golden set, for good."""

    key: str = Field(min_length=1, description="key of the hash that decides; changing it makes a new golden set")
    golden_share: float = Field(gt=0, lt=1, description="share of the labelled rows that only evaluation ever sees")
    validation_share: float = Field(gt=0, lt=1, description="share that calibrates and watches training")
    golden_rounds_at_most: int | None = Field(
        None,
        ge=1,
        description="how many rounds of candidates the golden rows of one key may judge, a crashed one counted: 1 = "
        "one shot, null = any number, with advice from the second on; part of the bar",
    )

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> "SplitSpec":
        if self.golden_share + self.validation_share >= 1:
            raise ValueError("golden_share and validation_share leave nothing to train on")
        return self


class StudentSpec(_Part):
    """One candidate: which layers of the teacher it keeps and how it learns."""

    name: Name = Field(description="short name, also the last part of its asset key")
    layers: Annotated[tuple[int, ...], Field(min_length=1)] = Field(
        description="indices of the teacher's encoder layers to start from, in order"
    )
    feed_forward: int | None = Field(
        None, gt=0, description="hidden units to keep in each feed-forward block; all of the teacher's when left out"
    )
    trim_vocabulary: bool = Field(True, description="drop the word pieces that the task's texts never use")
    learns_from: Literal["teacher", "labels", "nothing"] = Field(
        "teacher",
        description="teacher = the signal on every training row, and labels where known; "
        "labels = the known labels alone: the control that shows what distillation was worth, never released; "
        "nothing = the layers as they are, not trained: a baseline that can be released",
    )
    training: TrainingConfig | None = Field(
        None, description="how it is trained; to be given unless it learns from nothing, and then left out"
    )
    more_seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (),
        description="further seeds with which it is trained again, to see how much of its score is luck; "
        "what ships is the one of training.seed",
    )

    @model_validator(mode="after")
    def _training_goes_with_learning(self) -> "StudentSpec":
        if self.learns_from == "nothing" and (self.training is not None or self.more_seeds):
            raise ValueError("training, more_seeds: must be left out where learns_from is nothing: nothing is trained")
        if self.learns_from != "nothing" and self.training is None:
            raise ValueError(f"training: must be given where learns_from is {self.learns_from}")
        return self

    @model_validator(mode="after")
    def _each_seed_is_another(self) -> "StudentSpec":
        if self.training is not None and len({self.training.seed, *self.more_seeds}) <= len(self.more_seeds):
            raise ValueError(
                f"more_seeds: each has to differ from the others and from training.seed, {self.training.seed}"
            )
        return self


class RefreshSpec(_Part):
    """When the next round starts without anybody asking."""

    cron: str = Field(description="cron line of the scheduled refresh, in UTC")
    watch_seconds: int = Field(30, ge=5, description="how often the drop folder is looked at")
    train_on_open_batches: bool = Field(
        False, description="train on the batches whose gates are open; otherwise one closed batch stops training"
    )


class Recipe(_Part):
    """Everything that is decided before a model exists."""

    task: Sentence = Field(description="what the model does, in one sentence")
    pain: tuple[Literal["cost", "latency", "stability", "specialisation"], ...] = Field(
        description="what hurts with the teacher in production; with none the run ends well: do not distil"
    )
    owners: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="e-mail addresses or team:<name>")
    author: str | None = Field(None, description="who wrote this recipe and so cannot approve its releases")
    stakes: Literal["low", "high"] = Field(
        "low", description="high: a release needs the approval of a named person who is not the author"
    )
    unwaivable: tuple[str, ...] = Field(UNWAIVABLE, description="gates that nobody can waive")
    waiver_days_at_most: int = Field(
        30, ge=1, le=366, description="how many days a waiver counts after it was given, whatever its last day says"
    )
    teacher: TeacherSpec
    data: DataSpec
    split: SplitSpec
    slices: tuple[SliceSpec, ...] = Field((), description="parts of the golden set that are judged on their own")
    sensitive: tuple[SensitiveSpec, ...] = Field(
        (), description="columns that say which group of people a row is of: each student is reported by group"
    )
    bar: BarSpec = Field(description="what a student must hold to replace its teacher; frozen before a model exists")
    budget: BudgetSpec = Field(description="size, latency and cost that a student must fit; part of the bar")
    behaviour: tuple[BehaviourSpec, ...] = Field(
        (), description="behavioural tests: what a student must be able to do, case by case; part of the bar"
    )
    stress: StressSpec | None = Field(
        None,
        description="golden texts made harder, and what that may cost; no stress test when left out; part of the bar",
    )
    students: Annotated[tuple[StudentSpec, ...], Field(min_length=1)] = Field(
        description="candidates; the smallest that clears the bar is released"
    )
    economics: EconomicsSpec | None = Field(
        None, description="whether a student pays for itself; to be filled in where cost is a pain"
    )
    machine_usd_per_hour: float = Field(0.10, ge=0, description="price of the machine that trains and serves")
    refresh: RefreshSpec

    @model_validator(mode="after")
    def _names_are_unique_and_someone_may_win(self) -> "Recipe":
        for what, names in (("slices", self.slices), ("behaviour", self.behaviour), ("students", self.students)):
            twice = [name for name, count in Counter(item.name for item in names).items() if count > 1]
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} is named twice")
        sensitive = [item.column for item in self.sensitive]
        if len(set(sensitive)) < len(sensitive):
            raise ValueError("sensitive: a column is named twice")
        if {self.data.text, self.data.label} & set(sensitive):
            raise ValueError("sensitive: neither text nor label says which group of people a row is of")
        without_use = set(self.data.allow_missing_columns) - {self.data.label, *self.kept_columns}
        if without_use:
            raise ValueError(
                f"data.allow_missing_columns: {', '.join(map(repr, sorted(without_use)))} is neither the label nor a "
                "further column that this recipe names"
            )
        if self.stakes == "high" and self.author is None:
            raise ValueError("author: must be named where the stakes are high, because the author cannot approve")
        if "cost" in self.pain and self.economics is None:
            raise ValueError("economics: must be filled in where cost is a pain, else nobody knows what would be saved")
        if all(student.learns_from == "labels" for student in self.students):
            raise ValueError("students: all learn from labels alone and are controls, so none could be released")
        return self

    @property
    def digest(self) -> str:
        """Digest of the whole contract, and so of the bar that it freezes."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def terms(self) -> Terms:
        """All that a student has to prove."""
        return Terms(
            bar=self.bar,
            budget=self.budget,
            slices=self.slices,
            sensitive=self.sensitive,
            behaviour=self.behaviour,
            stress=self.stress,
        )

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """Columns beside text and label that have to travel with every row."""
        wanted = [item.column for item in self.slices] + ([self.data.group] if self.data.group else [])
        wanted += self.data.provenance.columns
        wanted += [item.column for item in self.sensitive]
        return tuple(sorted({column for column in wanted if column not in (self.data.text, self.data.label)}))

    def field_naming(self, column: str) -> tuple[str | int, ...]:
        """Find the field of the recipe that names a column of the rows.

        Raises:
            KeyError: if none does.
        """
        for name in ("text", "label", "group"):
            if getattr(self.data, name) == column:
                return "data", name
        for name in ("date_column", "rights_column", "privacy_column", "kind_column"):
            if getattr(self.data.provenance, name) == column:
                return "data", "provenance", name
        columns = {
            "slices": [item.column for item in self.slices],
            "sensitive": [item.column for item in self.sensitive],
        }
        found = next((part for part, named in columns.items() if column in named), None)
        if found is None:
            raise KeyError(column)
        return found, columns[found].index(column), "column"

    @property
    def judged_columns(self) -> tuple[str, ...]:
        """Columns by which golden rows are judged beside their labels: of slices, groups of people, groups of rows."""
        named = {item.column for item in self.slices} | {item.column for item in self.sensitive}
        return tuple(sorted(named | ({self.data.group} if self.data.group else set())))

    def student(self, name: str) -> StudentSpec:
        """Look a candidate up by name."""
        return next(student for student in self.students if student.name == name)


def require_recipe_name(name: str, where: str) -> str:
    """Return the name if a recipe may have it.

    Args:
        name: what was typed, or the name of a folder.
        where: names the place it came from, for the error.

    Raises:
        StillhouseError: if it has anything but lower-case letters, digits and underscores, or is too long.
    """
    if re.fullmatch(_NAME, name) is None:
        raise StillhouseError(
            f"{_short(name)} cannot be the name of a recipe",
            where=where,
            expected="a lower-case letter, then up to 59 lower-case letters, digits and underscores",
            do="Choose another name; see `stillhouse list` for those that exist.",
        )
    return name


@dataclass(frozen=True)
class RecipeFile:
    """A recipe, the name it goes by and the file that says so.

    Raises:
        StillhouseError: if the name is not fit for a recipe, whoever reads the file.
    """

    name: str
    path: Path
    recipe: Recipe

    def __post_init__(self) -> None:
        require_recipe_name(self.name, str(self.path))

    def where(self, *field: str | int) -> str:
        """Name the file, line and field of a part of the recipe, for an error message."""
        return _where(self.path, yaml.compose(self.path.read_text()), ("attributes", *field))


def read_recipe(path: Path) -> RecipeFile:
    """Read one recipe file.

    Args:
        path: a `defs.yaml`; the name of its folder is the name of the recipe.

    Raises:
        StillhouseError: one line for each mistake, naming file, line and field.
    """
    if not path.is_file():
        raise StillhouseError("no such recipe", where=str(path), expected="a defs.yaml", do="See `stillhouse list`.")
    try:
        tree = yaml.compose(path.read_text(encoding="utf-8"))
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise StillhouseError(
            f"not readable as YAML ({getattr(error, 'problem', None) or error})",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
            expected="UTF-8 YAML",
            do="Mend the line and run again.",
        ) from error
    is_recipe = isinstance(document, dict) and document.get("type") == COMPONENT_TYPE and "attributes" in document
    if tree is None or not is_recipe:
        raise StillhouseError(
            "this is not a recipe",
            where=f"{path}:1",
            expected=f"`type: {COMPONENT_TYPE}` and `attributes:`",
            do="`stillhouse new NAME --data FILE --text COLUMN --label COLUMN` writes one.",
        )
    try:
        recipe = Recipe.model_validate(document["attributes"])
    except ValidationError as error:
        raise invalid_recipe(path, tree, error) from error
    return RecipeFile(path.parent.name, path, recipe)


def recipes_in(folder: Path) -> list[RecipeFile]:
    """Read every recipe that is a folder with a `defs.yaml` in `folder`, by name."""
    return [read_recipe(path) for path in sorted(folder.glob("*/defs.yaml"))]


class InvalidRecipeError(StillhouseError):
    """One or more mistakes in a recipe, each told in a line of its own."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        Exception.__init__(self, "\n".join(lines))


def invalid_recipe(path: Path, tree: yaml.Node, error: ValidationError) -> InvalidRecipeError:
    """Translate what pydantic found into lines that name file, line and field."""
    lines = []
    for problem in error.errors():
        message = _MESSAGES.get(problem["type"], problem["msg"]).removeprefix("Value error, ")
        given = "" if problem["type"] in ("missing", "value_error") else f", not {_short(problem['input'])}"
        lines.append(f"{_where(path, tree, ('attributes', *problem['loc']))}: {message}{given}.")
    return InvalidRecipeError(lines)


_MESSAGES = {
    "missing": "this field is missing and has no default",
    "extra_forbidden": "no field of this name exists; see `stillhouse schema` for those that do",
}


def _short(value: Any) -> str:
    text = without_credentials(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _where(path: Path, tree: yaml.Node | None, field: tuple[str | int, ...]) -> str:
    """Name file, line and field; a file that was emptied since it was read is shown at its first line."""
    line = 1 if tree is None else [*_walk(tree, field)][-1].start_mark.line + 1
    shown = ".".join(str(part) for part in field if part != "attributes")
    return f"{path}:{line}: {shown or 'recipe'}"


def _walk(node: yaml.Node, field: tuple[str | int, ...]) -> Iterator[yaml.Node]:
    """Follow `field` down the YAML as far as it goes; an absent field is shown at the block it is missing from."""
    yield node
    for part in field:
        if isinstance(node, yaml.MappingNode):
            found = {key.value: (key, value) for key, value in node.value}.get(str(part))
            if found is None:
                return
            key, node = found
            yield key
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            yield node
        else:
            return
