"""Whether all of a batch arrived and something can be learned from it: both sides of each limit."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from checks.source import (
    every_record_is_a_row_or_a_reject,
    few_texts_are_garbled,
    nearly_every_line_was_readable,
    nearly_every_row_has_provenance,
    no_row_is_above_its_privacy_class,
    no_row_is_dated_in_the_future,
    record_count_matches_the_parsed_rows,
    two_classes_are_labelled,
)
from stillhouse.stages.names import PROMPTS, SOURCE
from stillhouse.stages.source import SourceFacts
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, measured, recipe
from tests.faults.bench import Fault
from tests.faults.contract_and_source import (
    RIGHTS,
    gzip_cut,
    lines_with_a_comma_too_many,
    lost_while_reading,
    mojibake,
    no_file,
    parquet_cut,
    secret_row_through,
    stray_quotes,
    swallowed_by_the_parser,
)
from tests.faults.plants import MARCH, as_bytes, column, cut_in_a_quote, dropped, on


def rejects(*reasons: str) -> pl.DataFrame:
    texts = {"text": ["t"] * len(reasons), "reason": list(reasons)}
    return pl.DataFrame(texts, schema={"text": pl.String, "reason": pl.String})


def source(
    rows: dict[str, Any],
    *reasons: str,
    batch: str = "base",
    records: int = 100,
    unreadable: int = 0,
    quarantined: int = 0,
    counted: int | None = None,
) -> Any:
    frame = pl.DataFrame(rows)
    read = {"records": records, "counted": counted, "unreadable": unreadable, "quarantined": quarantined}
    facts = SourceFacts(rows=frame.height, marks={}, **read)
    return artifact(facts, {"rows": frame, "rejects": rejects(*reasons)}, stage="source", batch=batch)


def test_every_record_is_a_row_or_a_reject() -> None:
    gate, rows = every_record_is_a_row_or_a_reject, {"text": ["t"] * 3}
    assert answer_of(gate, source(rows, "a", "b", records=5)) == (PASS, "5 records = 3 rows + 2 rejects")
    for records in (4, 6):
        assert answer_of(gate, source(rows, "a", "b", records=records))[0] is FAIL


def test_records_are_counted_by_another_than_the_parser() -> None:
    gate, rows = record_count_matches_the_parsed_rows, {"text": ["t"]}
    assert answer_of(gate, source(rows, counted=100)) == (PASS, "100 records were parsed, and 100 are in the file")
    for counted in (99, 101):
        found = ask(gate, source(rows, counted=counted))
        assert (found.verdict, found.observed, found.limit) == (FAIL, 100, counted)
        assert found.sentence == (
            f"100 records were parsed, and {counted} are in the file; see `quoting`, `separator` and `format` in the "
            "recipe"
        )
    assert answer_of(gate, source(rows)) == (INCONCLUSIVE, "the records were not counted; 100 were parsed")


def test_a_hundredth_of_the_lines_may_be_unreadable() -> None:
    gate, rows = nearly_every_line_was_readable, {"text": ["t"]}
    found = ask(gate, source(rows, "unreadable", unreadable=1))
    assert (found.verdict, found.sentence) == (PASS, "1 of 100 lines unreadable (1.0%), limit 1%")
    assert found.evidence["unreadable"] == [{"text": "t", "reason": "unreadable"}]
    assert (found.observed, found.limit) == (0.01, 0.01)
    assert measured(every_record_is_a_row_or_a_reject, source(rows, "a", records=5)) == (2, 5)
    assert answer_of(gate, source(rows, unreadable=6))[0] is FAIL
    few = answer_of(gate, source(rows, unreadable=2))
    assert few == (INCONCLUSIVE, "2 of 100 lines unreadable (2.0%), limit 1%; so few rows prove nothing")


def test_a_hundredth_of_the_texts_may_be_garbled() -> None:
    gate = few_texts_are_garbled
    bad = "na\u00c3\u00afve"
    found = ask(gate, source({"text": [bad, *["t"] * 99, None]}))
    said = "1 of 100 texts look garbled (1.0%), limit 1%; see `encoding` in the recipe"
    assert (found.verdict, found.sentence) == (PASS, said)
    assert found.evidence["garbled"] == [{"text": bad}]
    assert answer_of(gate, source({"text": [bad, *["t"] * 98]}))[0] is INCONCLUSIVE
    assert answer_of(gate, source({"text": [*[bad] * 6, *["t"] * 94]}))[0] is FAIL
    none_at_all = source({"text": pl.Series([], dtype=pl.String)})
    assert answer_of(gate, none_at_all)[0] is PASS, "no text is garbled where there is none"


@pytest.mark.parametrize(
    ("labels", "batch", "verdict", "sentence"),
    [
        (["a", "b", None], "base", PASS, "2 labelled rows of 2 classes"),
        (["a", "a", None], "base", FAIL, "2 labelled rows of 1 classes"),
        (["a", None, None], "later", PASS, "1 labelled rows; a later batch needs none"),
    ],
)
def test_the_base_batch_needs_two_classes(labels: list[Any], batch: str, verdict: object, sentence: str) -> None:
    assert answer_of(two_classes_are_labelled, source({"label": labels}, batch=batch)) == (verdict, sentence)


def test_a_fifth_of_the_readable_rows_may_lack_provenance() -> None:
    gate, rows = nearly_every_row_has_provenance, {"text": ["t"]}
    found = ask(gate, source(rows, "no date", "no rights", "no date", unreadable=50, quarantined=10))
    assert (found.verdict, found.sentence) == (PASS, "10 of 50 rows quarantined (20%), limit 20%")
    assert found.evidence["reasons"] == [{"reason": "no date", "rows": 2}, {"reason": "no rights", "rows": 1}]
    assert answer_of(gate, source(rows, unreadable=50, quarantined=11))[0] is INCONCLUSIVE
    assert answer_of(gate, source(rows, unreadable=50, quarantined=20))[0] is FAIL
    nothing = source({"text": pl.Series([], dtype=pl.String)}, unreadable=100)
    assert answer_of(gate, nothing) == (FAIL, "0 of 0 rows quarantined, so none is left"), "no row is left at all"
    one = source({"text": ["t"]}, unreadable=99, quarantined=0)
    assert answer_of(gate, one)[0] is PASS


def test_no_row_of_a_class_that_the_teacher_may_not_see_goes_on() -> None:
    gate = no_row_is_above_its_privacy_class
    assert answer_of(gate, source({"privacy_class": ["public", "internal"]})) == (PASS, "all public, internal")
    found = answer_of(gate, source({"privacy_class": ["public", "secret", "secret", *"fedcba"]}))
    assert found == (FAIL, "8 rows of class a, b, c, d, e"), "five are named"


def test_a_row_may_be_of_tomorrow_and_no_later() -> None:
    now = datetime.now(UTC)
    dated = source({
        "text": ["a", "b", "c"],
        "day": [(now + timedelta(days=days)).date().isoformat() for days in (-1, 1, 3)],
    })  # fmt: skip
    found = ask(no_row_is_dated_in_the_future, dated, recipe=recipe(data__provenance__date_column="day"))
    assert (found.verdict, found.sentence) == (FAIL, "1 rows are dated after today")
    assert [row["text"] for row in found.evidence["late"]] == ["c"]
    assert answer_of(no_row_is_dated_in_the_future, dated) == (PASS, "the recipe names no date column")
    early = source({"text": ["a"], "day": ["2020-01-01"]})
    assert (
        answer_of(no_row_is_dated_in_the_future, early, recipe=recipe(data__provenance__date_column="day"))[0] is PASS
    )


FAULTS = [
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
        "a dropped file is cut", SOURCE, None, dropped(cut_in_a_quote), "not readable as csv", batch=MARCH,
    ),
]  # fmt: skip
