"""A first recipe for a newcomer's own rows.

Belongs here: the way from a file of rows to `defs.yaml`, all or nothing.
Does not: each step of it (the modules beside), the fields and their rules (stillhouse/recipe/), which read back what is
written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl

from orchestration.scaffold.files import (
    NOTHING_SAID,
    Reading,
    address,
    advice_as_options,
    answers_in,
    as_seen_from,
    lines_of,
    looked_at,
    require_utf8,
)
from orchestration.scaffold.open_questions import (
    LICENCE_OF_WEIGHTS,
    NOTHING_ANSWERED,
    TERMS_OF_ANSWERS,
    AnsweredQuestions,
)
from orchestration.scaffold.records import are_objects, record_of
from orchestration.scaffold.remarks import (
    OF_NO_SUCH_TEACHER,
    SETS_ARE_LEARNED,
    how_much_it_proves,
    learned_as_numbers,
    learned_as_records,
    left_out,
    numbers,
    several_labels,
    spellings,
    thin_classes,
    unread,
)
from orchestration.scaffold.scale import scale_of
from orchestration.scaffold.server import TeacherServer
from orchestration.scaffold.suggestions import MARGINS, first_split, rows_to_label, split_of_a_golden_file, suggest
from orchestration.scaffold.template import listed, recipe_text
from orchestration.scaffold.weights import Weights, as_labels_call_it, base_in, packaged, teacher_in
from stillhouse.data.dropped import read_like_the_source
from stillhouse.data.prompt_set import PromptSet, split_golden_file, split_rows
from stillhouse.data.several_labels import are_sets
from stillhouse.data.sources import RowColumns, SourceRead, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.recipe.data import GOLDEN_FILE, SETS, DataSpec, ScoreSpec, TaskKind
from stillhouse.recipe.reading import addresses_begin_at, parse_recipe, require_recipe_name
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.stages.facts import CoverageFacts
from stillhouse.stages.prompts import ENCODER_CONFIG, TOKENIZER, coverage
from stillhouse.tasks import label_names
from stillhouse.tasks.numbers import written_number
from stillhouse.wording import points

FEWEST_ROWS = 60
RENAME = "teacher.rename"
"""The field that stays open where outputs of a classifier have names of their own."""
MOST_TOKENS = 512
"""What a training may have at most (`training.max_tokens`), however many positions an encoder has."""


@dataclass(frozen=True)
class FilesBeside:
    """What there is beside the file of rows; nothing where there is that file alone.

    Args:
        golden: path or URI of a file of rows that people have labelled and that judge.
        stored: path or URI of a file of what a teacher answered elsewhere.
        server: a teacher that is asked over the network.
        teacher: weights that are copied: of an encoder, a classifier or a language model.
        base: weights of the encoder that students are cut from, where the teacher has no layers for them.
    """

    golden: str | None = None
    stored: str | None = None
    server: TeacherServer | None = None
    teacher: str | None = None
    base: str | None = None


NOTHING_BESIDE = FilesBeside()


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


def write_recipe(
    folder: Path,
    name: str,
    *,
    data: str,
    text: str,
    label: str,
    said: Reading = NOTHING_SAID,
    answers: AnsweredQuestions = NOTHING_ANSWERED,
    beside: FilesBeside = NOTHING_BESIDE,
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
        require_utf8(given)
    uri = address(data)
    golden, stored = beside.golden and address(beside.golden), beside.stored and address(beside.stored)
    server = beside.server
    _require_one_teacher(stored, server, beside.teacher)
    teacher = teacher_in(address(beside.teacher)) if beside.teacher else None
    is_elsewhere = bool(stored or server)
    has_layers = not is_elsewhere and (teacher is None or teacher.kind is not TeacherKind.CAUSAL_LM)
    _require_use_of_a_base(beside.base, has_layers=has_layers)
    cut_from = base_in(address(beside.base)) if beside.base else (has_layers and teacher) or packaged()
    answers = replace(answers, teacher_may_see=(answers.teacher_may_see or ()) if server else None)
    is_trained = has_layers and cut_from.kind is TeacherKind.ENCODER
    rows = _read_and_split(
        name, uri, text, label, said, golden=golden, is_trained=is_trained, is_elsewhere=is_elsewhere,
        gives_numbers=has_layers and cut_from.gives_numbers, licence=answers.licence,
    )  # fmt: skip
    taught, answer, score, read, made = rows.taught, rows.label.answer, rows.label.score, rows.read, rows.made
    labels = label_names(answer, made.prompts["label"])
    cut_from, remark = as_labels_call_it(cut_from, labels, answer, taught=taught)
    suggested = suggest(
        made, key=name, answer=answer, score=score, golden_file=golden is not None, labels_are_taught=taught
    )
    texts = made.prompts["text"].to_list()
    read_by_models = _coverage(cut_from.folder, texts)
    root = addresses_begin_at(path)
    values: dict[str, str | float] = {
        "task": f"Give a text of {Path(uri).name} {_what_is_given(labels, rows.label)}.",
        "owner": f"team:{name}",
        "data": as_seen_from(root, uri),
        "text": text,
        "label": label,
        "key": name,
    }
    seen = (
        left_out(read, made),
        *([] if remark is None else [remark]),
        *unread(read_by_models),
        *thin_classes(suggested),
        *spellings(made, answer),
        *numbers(made, answer),
        *([] if golden is None else [how_much_it_proves(suggested, golden)]),
        *([SETS_ARE_LEARNED] if answer in SETS else []),
        *([] if score is None else [learned_as_numbers(made, score)]),
        *([] if rows.label.record is None else [learned_as_records(read, made, rows.label.record)]),
        *(
            several_labels(uri, rows.reading, text, label, made, no_record=rows.label.no_record)
            if taught and answer == "single_label"
            else []
        ),
    )
    content = recipe_text(
        values,
        lines_of(rows.reading),
        answers=answers,
        suggested=suggested,
        max_tokens=read_by_models.max_tokens,
        seen=seen,
        rows=made.prompts.height,
        labels=labels,
        answer=answer,
        score=score,
        record=rows.label.record,
        cut_from=_as_the_recipe_names(cut_from, root),
        language_model=None if has_layers or teacher is None else _as_the_recipe_names(teacher, root),
        taught=taught,
        golden=golden and as_seen_from(root, golden),
        stored=stored and as_seen_from(root, stored),
        answers_read=answers_in(stored, text, label) if stored else None,
        server=server,
    ).encode()
    parse_recipe(content, path)  # what is written here must be readable there, or nothing is put in place
    write_atomically(path, content)
    return Written(path, seen, {**answers.open, **_open_of(cut_from, None if has_layers else teacher, is_elsewhere)})


@dataclass(frozen=True)
class _Label:
    """What a label of the rows is.

    Args:
        answer: its kind.
        score: what is said of numbers; None where labels are none.
        record: what is said of records; likewise.
        no_record: why labels that are JSON objects are not learned as records; None where they are, or are none.
    """

    answer: TaskKind = "single_label"
    score: ScoreSpec | None = None
    record: RecordSpec | None = None
    no_record: str | None = None


@dataclass(frozen=True)
class _Rows:
    """What was read, and how it is divided.

    Args:
        reading: how the file is read.
        taught: whether rows to train on have labels.
        label: what a label is.
        read: all rows.
        made: those that are left after cleaning, by split.
    """

    reading: Reading
    taught: bool
    label: _Label
    read: SourceRead
    made: PromptSet


def _read_and_split(
    name: str,
    uri: str,
    text: str,
    label: str,
    said: Reading,
    *,
    golden: str | None,
    is_trained: bool,
    is_elsewhere: bool,
    gives_numbers: bool,
    licence: str,
) -> _Rows:
    """Read a file of rows, see what a label of them is, and split them as a first recipe does."""
    may_lack = [] if golden is None and is_trained else [label]
    with advice_as_options():
        reading = looked_at(uri, said, [text] if may_lack else [text, label])
        columns = RowColumns(text, label, optional=may_lack, objects=[label], lists=[label])
        read = read_rows(uri, columns, reading.format_of_rows)
    _require_that_most_are_read(uri, read)
    taught = bool(read.rows["label"].count())
    _require_a_teacher_and_a_judge(uri, taught=taught, golden=golden, is_trained=is_trained)
    with advice_as_options():
        beside_them = [] if golden is None else [_rows_of_golden(golden, text, label, reading)]
        found = _label_of(
            pl.concat([read.rows, *beside_them]),
            is_trained=is_trained,
            is_elsewhere=is_elsewhere,
            gives_numbers=gives_numbers,
        )
        answer, score, record = found.answer, found.score, found.record
        columns = replace(columns, objects=[], lists=[])  # what is neither a set nor a record is no list and no object
        if answer != "single_label":
            read = read_rows(uri, columns, reading.format_of_rows, answer=answer, score=score, record=record)
        elif read.rows["label"].str.contains(r"^[\[{]").any():
            read = _read_as_texts(uri, columns, reading, found.no_record)
    _require_that_most_are_read(uri, read)
    said_of_rows = DataSpec(
        source=uri,
        text=text,
        label=label if taught else None,
        golden=golden,
        golden_label=None if taught else label,
        answer=answer,
        score=score,
        fields=None if record is None else record.fields,
        words_at_most=None if record is None else record.words,
        licence=licence,
        **asdict(reading),
    )
    if golden is None:
        made = split_rows(read.rows, said_of_rows, first_split(name), where=uri)
    else:
        with advice_as_options():
            audited = read_like_the_source(said_of_rows, golden, RowColumns(text, label), batch=GOLDEN_FILE)
        read = SourceRead(pl.concat([read.rows, audited.rows]), pl.concat([read.rejects, audited.rejects]))
        made = split_golden_file(read.rows, said_of_rows, split_of_a_golden_file(name), where=golden)
    labelled = made.prompts["label"].count()
    if labelled < FEWEST_ROWS:
        raise StillhouseError(
            f"only {labelled} labelled rows are left after cleaning ({left_out(read, made)})",
            where=uri,
            expected=f"at least {FEWEST_ROWS}, some to teach with and some to judge by",
            do="Label more rows.",
        )
    return _Rows(reading, taught, found, read, made)


def _label_of(rows: pl.DataFrame, *, is_trained: bool, is_elsewhere: bool, gives_numbers: bool) -> _Label:
    """What a label of some rows is, by what their cells look like and by who is to answer with it."""
    labels = rows["label"].drop_nulls()
    counts = dict(labels.value_counts().iter_rows())
    if are_objects(labels.to_list()):
        record = record_of(rows) if is_trained or is_elsewhere else OF_NO_SUCH_TEACHER
        return _Label(no_record=record) if isinstance(record, str) else _Label("fields", record=record)
    if are_sets(counts):
        return _Label("multi_label")
    may_be_numbers = is_trained or is_elsewhere or gives_numbers
    score = scale_of(counts, taught_numbers=gives_numbers) if may_be_numbers else None
    return _Label() if score is None else _Label("score", score)


def _read_as_texts(uri: str, columns: RowColumns, reading: Reading, no_record: str | None) -> SourceRead:
    """Read rows whose labels have to be texts; of JSON objects that are none it is said why they are no records."""
    try:
        return read_rows(uri, columns, reading.format_of_rows)
    except StillhouseError as error:
        if no_record is None:
            raise
        raise StillhouseError(
            f"labels are JSON objects, which are learned as records or not at all: {no_record}",
            where=uri,
            expected="records of a few values that are in their texts, or labels that are texts",
            do=error.do,
        ) from error


def _what_is_given(labels: Sequence[str], label: _Label) -> str:
    """What the task is, for a sentence."""
    if label.score is not None:
        return f"a number from {written_number(label.score.lowest)} to {written_number(label.score.highest)}"
    if label.record is not None:
        return f"the record of its {listed([*label.record.fields])}"
    if label.answer in SETS:
        return f"those of its {len(labels)} labels that apply"
    return f"the right one of its {len(labels)} labels"


def _rows_of_golden(golden: str, text: str, label: str, reading: Reading) -> pl.DataFrame:
    """Rows of a golden file, before it is known what a label is."""
    said = DataSpec(source=golden, text=text, label=label, licence="", **asdict(reading))
    columns = RowColumns(text, label, objects=[label], lists=[label])
    return read_like_the_source(said, golden, columns, batch=GOLDEN_FILE).rows


def _as_the_recipe_names(weights: Weights, root: Path) -> Weights:
    """Weights whose address begins where those of the recipe do."""
    return replace(weights, source=as_seen_from(root, weights.source))


def _open_of(cut_from: Weights, beside: Weights | None, is_elsewhere: bool) -> dict[str, str]:
    """What only a person can say of the teacher and of the weights that students are cut from."""
    found = {"teacher.licence": TERMS_OF_ANSWERS} if is_elsewhere else {}
    for part, weights in (("teacher", beside), ("base" if beside or is_elsewhere else "teacher", cut_from)):
        if weights is not None and not weights.licence:
            found[f"{part}.licence"] = LICENCE_OF_WEIGHTS
    if cut_from.unnamed and cut_from.kind is TeacherKind.CLASSIFIER:
        found[RENAME] = f"what the rows call its outputs {listed(cut_from.unnamed)}"
    return found


def _coverage(encoder: Path, texts: list[str]) -> CoverageFacts:
    """What the encoder reads of the texts; with as many tokens as let nearly all in whole, as far as may be."""
    found = coverage(encoder / TOKENIZER, encoder / ENCODER_CONFIG, texts, None)
    if found.max_tokens <= MOST_TOKENS:
        return found
    return coverage(encoder / TOKENIZER, encoder / ENCODER_CONFIG, texts, MOST_TOKENS)


def _require_that_most_are_read(uri: str, read: SourceRead) -> None:
    """Refuse rows of which most could not be read: whatever the rest look like says nothing of the file."""
    if read.rejects.height <= read.rows.height:
        return
    reason, detail = read.rejects.select("reason", "detail").row(0)
    records = read.rows.height + read.rejects.height
    raise StillhouseError(
        f"{read.rejects.height:,} of {records:,} records cannot be read; the first: {reason} ({detail})",
        where=uri,
        expected="records of which most can be read",
        do="Say how it is written by --format, --separator, --quoting or --encoding, or correct the file.",
    )


def _require_one_teacher(stored: str | None, server: TeacherServer | None, teacher: str | None) -> None:
    named = {"--answers": stored, "--endpoint": server and server.url, "--teacher": teacher}
    given = [f"{option} {value}" for option, value in named.items() if value]
    if len(given) > 1:
        raise StillhouseError(
            f"{len(given)} teachers are named, where a first recipe has one",
            where=", ".join(given),
            expected="one of them",
            do="Leave the others out; an ensemble may have several (docs/teachers.md).",
        )


def _require_use_of_a_base(base: str | None, *, has_layers: bool) -> None:
    if base and has_layers:
        raise StillhouseError(
            "students of an encoder or a classifier are cut from it",
            where=f"--base {base}",
            expected="it beside --answers, --endpoint, or a language model by --teacher",
            do="Leave it out, or name it by --teacher.",
        )


def _require_a_teacher_and_a_judge(uri: str, *, taught: bool, golden: str | None, is_trained: bool) -> None:
    """Refuse rows without labels where nobody has answered them, or where no person has said what is right."""
    if golden == uri:
        raise StillhouseError(
            "one file is to train and to judge",
            where=uri,
            expected="another file by --golden",
            do="Leave --golden out: some of the labelled rows of a file are kept to judge by themselves.",
        )
    if taught or (golden and not is_trained):
        return
    if is_trained:
        raise StillhouseError(
            "no row has a label, and an encoder becomes a teacher by labels",
            where=uri,
            expected="labels, or a teacher that answers these texts already",
            do="Name a file of its answers by --answers, a server by --endpoint, or a classifier or language model by "
            "--teacher.",
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
