"""Faults in what is declared, and in the rows as they come.

Belongs here: how each is planted.
Does not: what is asked of it (test_faults.py).
"""

import gzip
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from stillhouse.data.provenance import Traced
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import CONTRACT, PROMPTS, SOURCE
from tests.faults.bench import Bench, Fault, rows
from tests.faults.plants import (
    FEW,
    MARCH,
    NOBODY,
    QUESTION,
    as_bytes,
    beside_a_golden_file,
    changed,
    column,
    cut_in_a_quote,
    dropped,
    every,
    on,
    with_exchanged_weights,
    with_text,
)


def no_file(bench: Bench) -> RecipeFile:
    return bench.recipe(rows(FEW), data__source=str(bench.place.folder / "rows.csw"))


# The contract


def moved_bar(bench: Bench) -> RecipeFile:
    return bench.recipe(bar={"margin": 0.2})


def edited_after_freezing(bench: Bench) -> RecipeFile:
    bench.must_run(bench.recipe(rows(FEW)), CONTRACT)
    return bench.recipe(rows(FEW), bar={"margin": 0.2})


def pickle_as_teacher(bench: Bench) -> RecipeFile:
    folder = copy_of_teacher(bench)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    return bench.recipe(rows(FEW), teacher__source=str(folder))


def cut_teacher(bench: Bench) -> RecipeFile:
    folder = copy_of_teacher(bench)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return bench.recipe(rows(FEW), teacher__source=str(folder))


def copy_of_teacher(bench: Bench) -> Path:
    return Path(shutil.copytree(bench.finished / "teacher", bench.place.folder / "of_its_own"))


A_WEEK_FOR_A_THOUSAND_CALLS = {
    "calls_per_month": 1000, "teacher_usd_per_1000_calls": 5, "engineering_hours": 40, "engineering_usd_per_hour": 80,
}  # fmt: skip


UNKNOWN_WITHOUT_WEIGHTS = ("the_weights_are_the_pinned_ones", "training_fits_into_memory")


CONTRACT_FAULTS = [
    Fault("no pain is declared", CONTRACT, "a_pain_is_declared", changed(pain=[]), "do not distil", refuses=SOURCE),
    Fault(
        "a thousand calls a month are to pay for a week of work", CONTRACT, "the_student_pays_for_itself",
        changed(pain=["cost"], economics=A_WEEK_FOR_A_THOUSAND_CALLS), "do not fund", refuses=SOURCE,
    ),
    Fault(
        "the teacher's terms are unknown", CONTRACT, "terms_allow_training_on_outputs",
        changed(teacher__training_on_outputs="unknown"), "is unknown",
    ),
    Fault(
        "the teacher's terms forbid it", CONTRACT, "terms_allow_training_on_outputs",
        changed(teacher__training_on_outputs="forbidden"), "is forbidden",
    ),
    Fault("the rows' licence is not named", CONTRACT, "licences_are_named", changed(data__licence="TBD"), "data"),
    Fault(
        "the bar was changed in the recipe after it was frozen", CONTRACT, "the_bar_is_frozen",
        edited_after_freezing, "was changed since", look_only=True,
    ),
    Fault(
        "training does not fit into memory", CONTRACT, "training_fits_into_memory",
        changed(budget__training_memory_gb_at_most=0.01), "0.0 GB allowed",
    ),
    Fault(
        "a pickle lies beside the teacher's weights", CONTRACT, "the_teachers_weights_are_safe",
        pickle_as_teacher, "can run code when it is loaded (pickle)", also=UNKNOWN_WITHOUT_WEIGHTS, refuses=SOURCE,
    ),
    Fault(
        "the teacher's weights are cut", CONTRACT, "the_teachers_weights_are_safe", cut_teacher, "truncated or corrupt",
        also=UNKNOWN_WITHOUT_WEIGHTS,
    ),
    Fault(
        "the recipe pins other weights", CONTRACT, "the_weights_are_the_pinned_ones",
        changed(teacher__fingerprint=NOBODY), "the recipe pins weights 000000000000, but", refuses=SOURCE,
    ),
]  # fmt: skip


MOVED_BAR = Fault(
    "the bar was moved after a student was trained", CONTRACT, "a_moved_bar_has_a_name_and_a_reason",
    moved_bar, "put the old one back", refuses=SOURCE,
)  # fmt: skip


# The source


def mojibake(frame: pl.DataFrame) -> pl.DataFrame:
    """Spanish written as UTF-8, which the recipe says is Latin-1."""
    return with_text(pl.lit("¿Quién descubrió España en vez de : ") + QUESTION, every(10))(frame)


def parquet_cut(bench: Bench) -> RecipeFile:
    buffer = io.BytesIO()
    rows(FEW).write_parquet(buffer)
    return cut_file(bench, "rows.parquet", buffer.getvalue())


def gzip_cut(bench: Bench) -> RecipeFile:
    return cut_file(bench, "rows.csv.gz", gzip.compress(as_bytes(rows(FEW)), mtime=0))


def cut_file(bench: Bench, name: str, content: bytes) -> RecipeFile:
    path = bench.place.folder / name
    path.write_bytes(content[: len(content) // 2])
    return bench.recipe(rows(FEW), data__source=str(path))


def lines_with_a_comma_too_many(frame: pl.DataFrame) -> bytes:
    head, *lines = as_bytes(frame).splitlines(keepends=True)
    return head + b"".join(b"one, two, three, four\n" + line if n % 30 == 0 else line for n, line in enumerate(lines))


def stray_quotes(frame: pl.DataFrame) -> bytes:
    """A quote before the question of the fifth row, and one after that of the fifteenth."""
    plain = frame.filter(~QUESTION.str.contains('[",]'))
    row = pl.int_range(pl.len())
    spoilt = pl.when(row == 5).then(pl.lit('"') + QUESTION).when(row == 15).then(QUESTION + '"').otherwise("question")
    return plain.with_columns(spoilt.alias("question")).write_csv(quote_style="never").encode()


def swallowed_by_the_parser(bench: Bench) -> RecipeFile:
    bench.patch("stillhouse.data.delimited:_refuse_rows_in_a_field", lambda real: lambda *_: None)
    return bench.recipe(stray_quotes(rows(FEW)))


RIGHTS = {"rights_column": "rights", "rights_allowed": ["CC-BY-4.0"]}


PRIVACY = {"privacy_column": "privacy"}


def secret_row_through(bench: Bench) -> RecipeFile:
    def careless(real: Any) -> Any:
        # The class is written down and never compared with what the teacher may see.
        return lambda read, spec: real(
            read, spec.model_copy(update={"teacher_may_see": ("public", "internal", "personal", "secret")})
        )

    bench.patch("stillhouse.stages.source:with_provenance", careless)
    return bench.recipe(column("privacy", "public", "secret", 50)(rows(FEW)), data__provenance=PRIVACY)


def lost_while_reading(bench: Bench) -> RecipeFile:
    def losing(real: Any) -> Any:
        def traced(read: pl.DataFrame, spec: Any) -> Traced:
            whole = real(read, spec)
            return replace(whole, rows=whole.rows[:-5])

        return traced

    bench.patch("stillhouse.stages.source:with_provenance", losing)
    return bench.recipe(rows(FEW))


SOURCE_FAULTS = [
    Fault(
        "UTF-8 is read as Latin-1", SOURCE, "few_texts_are_garbled",
        on(mojibake, data__encoding="latin-1"), "look garbled", refuses=PROMPTS,
    ),
    Fault(
        "Latin-1 is read as UTF-8", SOURCE, None,
        on(lambda frame: as_bytes(frame).replace(b"Who", "Wh\u00f6".encode("latin-1"), 1)), "is not utf-8",
    ),
    Fault("a csv is cut inside a quoted field", SOURCE, None, on(cut_in_a_quote), "not readable as csv"),
    Fault("a stray quote makes one text of several rows", SOURCE, None, on(stray_quotes), "rows by themselves"),
    Fault(
        "a parser makes one text of several rows", SOURCE, "record_count_matches_the_parsed_rows",
        swallowed_by_the_parser, "are in the file; see `quoting`", refuses=PROMPTS,
    ),
    Fault("a gzip file is cut", SOURCE, None, gzip_cut, "cannot be read"),
    Fault("a parquet file is cut", SOURCE, None, parquet_cut, "cannot be read"),
    Fault("the file is missing", SOURCE, None, no_file, "no such file"),
    Fault("the file is empty", SOURCE, None, on(lambda _: b""), "the file is empty"),
    Fault(
        "the label column has another name", SOURCE, None,
        on(lambda frame: frame.rename({"service": "servise"})), "there is no column 'service'",
    ),
    Fault(
        "one line in thirty is unreadable", SOURCE, "nearly_every_line_was_readable",
        on(lines_with_a_comma_too_many), "lines unreadable",
    ),
    Fault(
        "there is one class only", SOURCE, "two_classes_are_labelled",
        on(lambda frame: frame.with_columns(service=pl.lit("HUM"))), "of 1 classes",
    ),
    Fault(
        "every third row has no rights", SOURCE, "nearly_every_row_has_provenance",
        on(column("rights", "CC-BY-4.0", None, 3), data__provenance=RIGHTS), "quarantined",
    ),
    Fault(
        "a secret row got through", SOURCE, "no_row_is_above_its_privacy_class", secret_row_through, "of class secret",
    ),
    Fault(
        "a row is dated in the future", SOURCE, "no_row_is_dated_in_the_future",
        on(column("day", "2024-02-29", "2199-01-01", 100), data__provenance={"date_column": "day"}), "after today",
    ),
    Fault(
        "rows are lost while reading", SOURCE, "every_record_is_a_row_or_a_reject", lost_while_reading, "150 records",
    ),
    Fault(
        "a third of the golden file has no label", SOURCE, "nearly_every_golden_row_can_judge",
        beside_a_golden_file(lambda frame: frame.with_columns(service=pl.when(~every(3)).then("service"))),
        "67 of 200 rows of the golden file cannot judge (67 without a label): 33.5%, limit 20%", refuses=PROMPTS,
    ),
    Fault(
        "a dropped file is cut", SOURCE, None, dropped(cut_in_a_quote), "not readable as csv", batch=MARCH,
    ),
]  # fmt: skip


EXCHANGED_WEIGHTS = Fault(
    "the teacher's weights were exchanged since the first round", CONTRACT, "the_weights_are_the_pinned_ones",
    with_exchanged_weights, "trusted since their first use on", refuses=SOURCE,
)  # fmt: skip


FAULTS = [
    *(replace(fault, finished=False) for fault in (*CONTRACT_FAULTS, *SOURCE_FAULTS)),
    MOVED_BAR,
    EXCHANGED_WEIGHTS,
]
