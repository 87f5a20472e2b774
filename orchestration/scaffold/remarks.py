"""What is remarkable about somebody's rows, a sentence each.

Belongs here: rows that are left out, texts that no model reads whole, labels that are few, alike, or several.
Does not: what a recipe should say for them (suggestions.py), closing anything (checks/prompts/).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from orchestration.scaffold.files import Reading, columns_of
from orchestration.scaffold.records import is_object
from orchestration.scaffold.suggestions import MARGINS, Suggestion, rows_to_label
from orchestration.scaffold.template import scalar
from stillhouse.data.declared_labels import CLASSES_SHOWN
from stillhouse.data.dialect import plain_name
from stillhouse.data.prompt_set import PromptSet
from stillhouse.data.quoting import quoted
from stillhouse.data.rejects import RejectReason, count_reasons
from stillhouse.data.several_labels import columns_like, several_in_a_cell
from stillhouse.data.sources import RowColumns, SourceRead, read_rows
from stillhouse.data.spellings import alike, shown
from stillhouse.recipe.data import ScoreSpec, TaskKind
from stillhouse.recipe.limits import GateLimits
from stillhouse.recipe.record import FieldSpec, RecordSpec
from stillhouse.stages.facts import CoverageFacts
from stillhouse.tasks import one_name_a_row
from stillhouse.tasks.numbers import number_in, written_number
from stillhouse.wording import points

_NO_LABEL = frozenset({"na", "n/a", "#n/a", "nan", "<na>", "none", "null", "nil", "-", "--", "?", "\\n"})

FEWEST_NUMBERS = 3
"""Two may be yes and no."""
REASONS_SHOWN = 3
OF_NO_SUCH_TEACHER = (
    "`answer: fields` in `data` takes such records out of texts, where the teacher is an encoder, a file of answers or "
    "a server (docs/own-rows.md#a-record-out-of-a-text)"
)

SETS_ARE_LEARNED = (
    "some rows have several labels: a model learns which of them apply, and is right where it gives the whole set "
    "(data.answer: multi_label)"
)


def left_out(read: SourceRead, made: PromptSet) -> str:
    """How many rows are left out, and why."""
    reasons = count_reasons(pl.concat([read.rejects, made.rejects]))
    lost, records = int(reasons["rows"].sum()), read.rows.height + read.rejects.height
    if not lost:
        return f"all of {records:,} rows are used"
    why = ", ".join(f"{rows:,} {reason}" for reason, rows in reasons.iter_rows())
    return f"{lost:,} of {records:,} rows are left out: {why}"


def unread(coverage: CoverageFacts) -> Iterator[str]:
    """What models will not see of the rows, with what to change where that is much."""
    limits = GateLimits()
    much = coverage.cut_share > limits.cut_texts_at_most
    yield coverage.length_sentence + (f". {coverage.length_remedy}" if much else "")
    much = coverage.unknown_share > limits.unknown_pieces_at_most
    yield coverage.unknown_sentence + (f". {coverage.unknown_remedy}" if much else "")


def thin_classes(suggested: Suggestion) -> Iterator[str]:
    """Classes that have too few rows, of which a gate says more."""
    few = suggested.thin_classes
    if few:
        yield (
            f"{len(few):,} of {suggested.classes:,} labels have too few rows to be learned or judged, such as "
            f"{few[0]}: add rows, or let several labels be one by `data.labels`"
        )


def spellings(made: PromptSet, answer: TaskKind) -> Iterator[str]:
    """Labels that a gate will ask about, and those that other programs write where there is none."""
    counts = dict(one_name_a_row(answer, made.prompts.select("label"))["label"].value_counts().iter_rows())
    found = [" and ".join(map(shown, each)) for each in alike(counts, {})]
    if found:
        yield f"one class? {'; '.join(found[:CLASSES_SHOWN])}: `data.labels` says so, or that they are two"
    none = [label for label in sorted(counts) if label.casefold() in _NO_LABEL]
    if none:
        rows = sum(counts[label] for label in none)
        yield (
            f"labels of {rows:,} rows are {', '.join(map(quoted, none))}, which many programs write where there is no "
            f'label. Here it is a class; if it is none, map it to nothing: `data.labels: {{{scalar(none[0])}: ""}}`'
        )


def several_labels(
    uri: str, reading: Reading, text: str, label: str, made: PromptSet, *, no_record: str | None
) -> Iterator[str]:
    """Rows that have several labels each, in one cell or in a column for each, or a record of several fields.

    Args:
        uri: of the rows.
        reading: how they are read.
        text: their text column.
        label: their label column.
        made: the prompt set of them.
        no_record: why labels that are objects are not learned as records; None where they are none.
    """
    labels = made.prompts["label"].drop_nulls()
    if no_record is not None:
        records = sum(map(is_object, labels))
        yield f"labels of {records:,} rows are JSON objects, learned here as classes: {no_record}"
        return
    found = several_in_a_cell(dict(labels.value_counts().iter_rows()))
    if found is not None:
        yield found.sentence
    if labels.n_unique() == 2:
        how = reading.format_of_rows
        # A name that differs from one of ours in what cannot be seen is read as that one, and one without any is none.
        ours = {"", "text", "label", "batch", plain_name(text), plain_name(label)}
        others = [name for name in columns_of(uri, label, how) if plain_name(name) not in ours]
        columns = columns_like(read_rows(uri, RowColumns(text, label, others), how).rows, others)
        if columns:
            names = ", ".join(map(quoted, columns[:CLASSES_SHOWN]))
            yield (
                f"{names} say one of two things of each row, as {quoted(label)} does: several labels a row? This "
                f"recipe learns {quoted(label)} alone; make one for each of the others, too"
            )


def learned_as_records(read: SourceRead, made: PromptSet, record: RecordSpec) -> str:
    """That labels are learned as records, of how many rows they can be, and why of the others not."""
    unread = read.rejects.filter(pl.col("reason") == RejectReason.NO_RECORD.value)["detail"].str.replace(
        r"^row \d+: ", ""
    )
    lost = made.rejects.filter(pl.col("reason") == RejectReason.NO_SUCH_VALUE.value)["detail"]
    long = made.rejects.filter(pl.col("reason") == RejectReason.TOO_MANY_WORDS.value)["reason"]
    why = Counter([*unread, *lost, *long])
    labelled = int(read.rows["label"].count()) + len(unread)
    kinds = ", ".join(f"{quoted(name)} ({_in_words(field)})" for name, field in record.fields.items())
    said = (
        f"labels are JSON objects, learned as records of {kinds}: values of {labelled - why.total():,} of {labelled:,} "
        "labelled rows can be taken out of their texts"
    )
    if not why:
        return said
    reasons = ", ".join(f"{rows:,} because {reason}" for reason, rows in why.most_common(REASONS_SHOWN))
    return f"{said}; not {reasons}{', and others' if len(why) > REASONS_SHOWN else ''}"


def _in_words(field: FieldSpec) -> str:
    if field.kind == "choice":
        return f"one of {len(field.of)} values"
    return "words of the text" if field.kind == "verbatim" else f"a {field.kind} of the text"


def learned_as_numbers(made: PromptSet, score: ScoreSpec) -> str:
    """That labels are learned as numbers, and how near is right until a person says otherwise."""
    different = made.prompts["label"].drop_nulls().n_unique()
    lowest, highest, within = map(written_number, (score.lowest, score.highest, score.tolerance))
    return (
        f"labels are {different:,} different numbers from {lowest} to {highest}, "
        f"learned as numbers: an answer counts as right within {within} of the label, until you say in data.score how "
        "near is right. If they are names of classes, leave data.answer and data.score out"
    )


def numbers(made: PromptSet, answer: TaskKind) -> Iterator[str]:
    """Labels that are numbers, of which more than two may be a scale."""
    labels = made.prompts["label"].drop_nulls().unique()
    found = sorted(value for label in labels if (value := number_in(label)) is not None)
    if answer == "single_label" and len(found) == len(labels) >= FEWEST_NUMBERS:
        low, high, near = (written_number(each) for each in (found[0], found[-1], (found[-1] - found[0]) / 10))
        yield (
            f"labels are numbers from {low} to {high}, learned here as classes, of which none is nearer to another: "
            f"`answer: score` and `score: {{lowest: {low}, highest: {high}, tolerance: {near}}}` in `data` learn them "
            "as numbers"
        )


def how_much_it_proves(suggested: Suggestion, golden: str) -> str:
    """What the golden file can show, and how many rows more would show the smallest usual margin."""
    shown = "nothing" if suggested.provable is None else f"that it holds {points(suggested.provable)} points"
    more = rows_to_label(suggested.golden_rows)
    advice = f"; for {points(MARGINS[0])} points let people label about {more:,} rows more" if more else ""
    return (
        f"{suggested.golden_rows:,} golden rows of {Path(golden).name} show of a student as good as its teacher {shown}"
        f"{advice}"
    )
