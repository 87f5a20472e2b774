"""Whether a day of traffic is of known releases, adds up, names nobody, and is kept no longer than allowed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from checks.traffic import (
    every_answer_names_a_known_release,
    no_personal_data_is_left,
    nothing_was_lost_unseen,
    retention_holds,
)
from stillhouse.live.segments import TrafficStore, columns_of, sealed
from stillhouse.records.ledger import Ledger
from stillhouse.stages.names import TRAFFIC
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact, ask, recipe
from tests.faults.bench import Fault
from tests.faults.traffic import (
    SAYS_WHERE,
    SAYS_WHO,
    keeps_texts_where_none_may_be,
    of_a_release_that_nobody_promoted,
    of_a_replica_that_vanished,
    stays_for_ever,
    written_otherwise,
)
from tests.promotions import named, seen, serve

DAY = "2026-11-27"
KEY = "0123456789abcdef" * 2


def counted(**changes: int) -> Any:
    counts = {"received": 9, "stored": 6, "dropped": 2, "lost": 1, "thinned": 0}
    return SimpleNamespace(day=DAY, **{**counts, **changes})


def day(answers: Mapping[str, int], problems: tuple[list[str], ...] = ([],), **counts: int) -> Any:
    """The summary of a day with so many answers of each release, and the problems of each replica."""
    frames = {
        "answers": pl.DataFrame({"release": list(answers), "rows": list(answers.values())}),
        "replicas": pl.DataFrame({"problems": problems}, schema={"problems": pl.List(pl.String)}),
    }
    return artifact(counted(**counts), frames, stage="traffic", batch=DAY)


def test_an_answer_has_to_be_of_a_release_that_was_promoted_or_deployed(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    serve(ledger, "a1", recipe="small")
    body = {"champion": named("b1").model_dump(), "hold": None, "because": "rollback", "replaces": 1}
    ledger.append("deployment", "small", body)
    assert seen(ledger, "small").champion.release == "b1"
    known = answer_of(every_answer_names_a_known_release, day({"a1": 5, "b1": 1_000}), ledger=ledger)
    assert known == (PASS, "1,005 answers of 2 releases, each of which the ledger knows")
    finding = ask(every_answer_names_a_known_release, day({"a1": 5, "c1": 2, "d1": 3}), ledger=ledger)
    assert finding.verdict is FAIL and finding.observed == 5
    assert finding.sentence == "5 answers of 2 releases that the ledger does not know"


def test_what_a_replica_cannot_account_for_is_named_after_the_counts() -> None:
    counts = "9 received, 6 stored, 2 dropped, 1 lost"
    assert answer_of(nothing_was_lost_unseen, day({}, ([], []))) == (PASS, counts)
    finding = ask(nothing_was_lost_unseen, day({}, (["r1 received 3 rows"], ["r2 is away", "r2 has rows twice"])))
    assert (finding.verdict, finding.observed) == (FAIL, 3)
    assert finding.sentence == f"{counts}; r1 received 3 rows; r2 is away; r2 has rows twice"
    many = [f"problem {number}" for number in range(30)]
    finding = ask(nothing_was_lost_unseen, day({}, (many,)))
    assert finding.observed == 30 and finding.sentence.endswith("problem 4")


@pytest.fixture
def artifacts(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(artifacts: str) -> TrafficStore:
    return TrafficStore(artifacts, "small")


def installed(artifacts: str, **changes: Any) -> dict[str, Any]:
    """An installation, and a recipe that keeps traffic in it."""
    keeps = {"days": 90, "text_days": 14, **changes}
    return {"recipe": recipe(traffic=keeps), "home": SimpleNamespace(artifacts=artifacts)}


def keep(store: TrafficStore, day: str = DAY, **row: Any) -> None:
    """One answer, its text and its feedback."""
    text, truth, by, key = (row.get(name) for name in ("text", "truth", "by", "key"))
    answer = (1, "a", 0.0, "r", 1, "student", "x", 0.5, False, 200, 1.0, 3, 2, key, "champion", None, None, None, 1.0)
    answer = (*answer, row.get("columns"))
    store.put(day, "requests", sealed(columns_of("requests", "r1", [answer])))
    store.put(day, "texts", sealed(columns_of("texts", "r1", [(1, "a", text or "a question")])))
    store.put(day, "feedback", sealed(columns_of("feedback", "r1", [(2, "a", 0.0, truth or "x", by)])))


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({"text": "mail jane.doe@example.org"}, "1 texts"),
        ({"truth": "mail jane.doe@example.org"}, "1 truths"),
        ({"by": "jane.doe@example.org"}, "1 names of who says so"),
        ({"key": "jane.doe"}, "1 keys"),
        ({"columns": '{"kind":"jane.doe@example.org"}'}, "1 values that callers sent"),
        ({"key": KEY + "0"}, "1 keys"),
    ],
)
def test_personal_data_is_found_in_each_column_that_people_fill(
    store: TrafficStore, artifacts: str, row: dict[str, str], where: str
) -> None:
    keep(store, **{"by": "desk", "key": KEY, **row})
    verdict = answer_of(no_personal_data_is_left, day({}), **installed(artifacts))
    assert verdict == (FAIL, f"personal data is in {where}")


def test_what_names_nobody_was_looked_at_and_is_counted(store: TrafficStore, artifacts: str) -> None:
    keep(store, key=KEY)
    verdict = answer_of(no_personal_data_is_left, day({}), **installed(artifacts))
    assert verdict == (PASS, "none is in 3 texts, truths and keys")


def test_a_word_of_the_recipe_that_callers_send_is_no_personal_data(store: TrafficStore, artifacts: str) -> None:
    number = {"name": "one_customer", "column": "kind", "values": ["+49 30 901820"], "critical": False}
    keep(store, key=KEY, columns='{"kind":"+49 30 901820","other":null}')
    found = installed(artifacts)
    assert answer_of(no_personal_data_is_left, day({}), **found)[0] is FAIL
    found["recipe"] = recipe(traffic={"days": 90, "text_days": 14}, slices=[number])
    assert answer_of(no_personal_data_is_left, day({}), **found)[0] is PASS


def ago(days: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=days)).isoformat()


def test_files_are_kept_as_long_as_the_recipe_says_and_no_day_longer(store: TrafficStore, artifacts: str) -> None:
    keep(store, ago(14))
    assert answer_of(retention_holds, day({}), **installed(artifacts)) == (
        PASS,
        "answers are kept for 90 days, texts for 14",
    )
    keep(store, ago(15))
    verdict = answer_of(retention_holds, day({}), **installed(artifacts))
    assert verdict == (FAIL, f"kept for longer than the recipe allows: texts of {ago(15)}")
    keep(store, ago(91))
    finding = ask(retention_holds, day({}), **installed(artifacts))
    assert finding.observed == 4  # those texts, and all three files of the day that should be gone


def test_texts_of_any_age_are_too_many_where_the_recipe_keeps_none(store: TrafficStore, artifacts: str) -> None:
    keep(store, ago(1))
    verdict = answer_of(retention_holds, day({}), **installed(artifacts, keep_texts=False))
    assert verdict == (FAIL, f"kept for longer than the recipe allows: texts of {ago(1)}")
    (segment,) = store.segments(ago(1), "texts")
    store.remove(segment)
    verdict = answer_of(retention_holds, day({}), **installed(artifacts, keep_texts=False))
    assert verdict == (PASS, "answers are kept for 90 days, texts for 0")


def test_a_log_that_takes_more_bytes_than_it_may_is_kept_for_too_long(store: TrafficStore, artifacts: str) -> None:
    keep(store, ago(1))
    taken = store.taken(ago(1)).size
    fits = answer_of(retention_holds, day({}), **installed(artifacts, bytes_at_most=1_000_000))
    assert fits == (PASS, "answers are kept for 90 days, texts for 14")
    (store._root / ago(1) / "requests" / "more.parquet").write_bytes(bytes(1_000_000))
    verdict = answer_of(retention_holds, day({}), **installed(artifacts, bytes_at_most=1_000_000))
    said = f"they take {1_000_000 + taken:,} bytes, and the recipe allows 1,000,000"
    assert verdict == (FAIL, f"answers are kept for 90 days, texts for 14; {said}")


def test_answers_that_a_full_log_let_go_are_named_and_close_nothing() -> None:
    assert answer_of(nothing_was_lost_unseen, day({}, ([],), thinned=4)) == (
        PASS,
        "9 received, 6 stored, 2 dropped, 1 lost, 4 thinned",
    )


FAULTS = [
    Fault(
        "answers of a release that nobody promoted", TRAFFIC, "every_answer_names_a_known_release",
        of_a_release_that_nobody_promoted, "2 answers of 1 releases that the ledger does not know",
    ),
    Fault(
        "an answer that was taken out of its file", TRAFFIC, "nothing_was_lost_unseen",
        written_otherwise("requests", lambda frame: frame.head(1)), "r1 sealed 2 rows of answers and 1 are there",
    ),
    Fault(
        "a replica that vanished with its disk", TRAFFIC, "nothing_was_lost_unseen",
        of_a_replica_that_vanished, "r2 has said nothing since",
    ),
    Fault(
        "a text that was not redacted", TRAFFIC, "no_personal_data_is_left",
        written_otherwise("texts", lambda frame: frame.with_columns(SAYS_WHERE)), "personal data is in 2 texts",
    ),
    Fault(
        "a caller's key as it came", TRAFFIC, "no_personal_data_is_left",
        written_otherwise("requests", lambda frame: frame.with_columns(key=pl.lit("jane.doe"))),
        "personal data is in 2 keys",
    ),
    Fault(
        "what a caller sent in a column, as it came", TRAFFIC, "no_personal_data_is_left",
        written_otherwise("requests", lambda frame: frame.with_columns(SAYS_WHO)),
        "personal data is in 1 values that callers sent",
    ),
    Fault(
        "texts that nobody removes", TRAFFIC, "retention_holds", stays_for_ever,
        "kept for longer than the recipe allows: texts of",
    ),
    Fault(
        "texts where the recipe keeps none", TRAFFIC, "retention_holds", keeps_texts_where_none_may_be,
        "kept for longer than the recipe allows: texts of",
    ),
]  # fmt: skip
