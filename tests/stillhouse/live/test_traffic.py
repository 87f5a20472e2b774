"""What was kept of answers: counted, joined with what turned out to be true, expired and erased."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from stillhouse.data.cleaning import prompt_ids
from stillhouse.live.columns import KeptColumns
from stillhouse.live.segments import Erasure, Tally, TrafficStore, columns_of, day_at, sealed
from stillhouse.live.traffic import Erased, answers, arithmetic, erase, erase_again, expire, overdue, the_answer
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.serving.requests import Feedback
from stillhouse.serving.spool import SpoolLimits, TrafficLog
from tests.stillhouse.serving.killed import DAY, QUICK, served

A_DAY = 86_400.0
FIRST, SECOND = "2024-10-04", "2024-10-05"


@pytest.fixture
def store(tmp_path: Path) -> TrafficStore:
    return TrafficStore(str(tmp_path / "store"), "small")


def _nothing_was_said(ids: Sequence[str]) -> None:
    """Where no teacher was asked."""


BY_POST = KeptColumns({"channel": frozenset({"post"})})


def keep(
    tmp_path: Path, store: TrafficStore, *rows: object, replica: str = "r1", columns: KeptColumns | None = None
) -> None:
    log = TrafficLog(tmp_path / replica, replica, store, keep_texts=True, columns=columns, limits=QUICK)
    for row in rows:
        log.put(row)  # type: ignore[arg-type]
    log.close()


def said(id: str, truth: str, at: float) -> Feedback:
    return Feedback(id, at, "small", truth, None)


def texts_of(store: TrafficStore) -> list[str]:
    return [id for day in store.days() for id in store.frame(day, "texts")["id"]]


def test_the_latest_feedback_counts_whenever_and_wherever_it_came(tmp_path: Path, store: TrafficStore) -> None:
    keep(
        tmp_path, store, served("a"), served("b"), said("a", "location", DAY + 9), said("a", "person", DAY + 2 * A_DAY)
    )
    keep(tmp_path, store, said("a", "number", DAY + A_DAY), said("stranger", "number", DAY), replica="r2")
    found = answers(store, [FIRST], at=DAY + 3 * A_DAY, matures_after_days=7)
    assert found.select("id", "truth", "matured").rows() == [("a", "person", False), ("b", None, False)]


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(st.permutations([(0, "location"), (1, "person"), (2, "number"), (2, "number")]), st.integers(1, 3))
def test_feedback_is_idempotent_and_its_order_of_arrival_decides_nothing(
    tmp_path_factory: pytest.TempPathFactory, order: list[tuple[int, str]], files: int
) -> None:
    store = TrafficStore(str(tmp_path_factory.mktemp("store")), "small")
    answer = columns_of(
        "requests",
        "r1",
        [
            (
                1,
                "a",
                DAY,
                "r",
                1,
                "student",
                "x",
                0.5,
                False,
                200,
                1.0,
                3,
                2,
                None,
                "champion",
                None,
                None,
                None,
                1.0,
                None,
            )
        ],
    )
    store.put(FIRST, "requests", sealed(answer))
    for number in range(files):
        rows = [(number * 10 + place, "a", DAY + at, truth, None) for place, (at, truth) in enumerate(order)]
        store.put(FIRST, "feedback", sealed(columns_of("feedback", "r1", rows)))
    assert answers(store, [FIRST], at=DAY, matures_after_days=0)["truth"].to_list() == ["number"]


def test_an_answer_matures_when_its_time_has_passed(tmp_path: Path, store: TrafficStore) -> None:
    keep(tmp_path, store, served("a"), served("b", at=DAY + A_DAY))
    found = answers(store, [FIRST, SECOND], at=DAY + 7 * A_DAY, matures_after_days=7)
    assert found["matured"].to_list() == [True, False]
    assert answers(store, [], at=DAY, matures_after_days=7).is_empty()


def test_rows_that_add_up_have_no_problem(tmp_path: Path, store: TrafficStore) -> None:
    keep(tmp_path, store, served("a"), said("a", "location", DAY))
    (replica,) = arithmetic(store, FIRST)
    assert (replica.requests, replica.feedback, replica.texts, replica.problems) == (1, 1, 1, [])


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"received": 3}, "r1 received 3 rows and accounts for 2"),
        ({"stored": 3, "received": 3}, "1 rows of r1 are in its spool"),
        ({"requests": 2, "stored": 3, "received": 3}, "r1 sealed 2 rows of answers and 1 are there"),
        ({"texts": 0}, "r1 sealed 0 texts and 1 are there"),
        ({"final": False}, "r1 has said nothing since"),
        ({"uncounted": True}, "the machine of r1 went down"),
    ],
)
def test_rows_that_do_not_add_up_are_said(
    tmp_path: Path, store: TrafficStore, change: dict[str, object], says: str
) -> None:
    keep(tmp_path, store, served("a"), said("a", "location", DAY))
    (tally,) = store.tallies(FIRST)
    store.publish(Tally.model_validate({**tally.model_dump(), **change}))
    assert any(says in problem for problem in arithmetic(store, FIRST)[0].problems)


def test_a_row_that_is_there_twice_and_one_without_a_tally_are_said(tmp_path: Path, store: TrafficStore) -> None:
    keep(tmp_path, store, served("a"))
    frame = store.frame(FIRST, "requests")
    store.put(FIRST, "requests", sealed(frame, replaces="another"))
    store.put(FIRST, "requests", sealed(frame.with_columns(replica=pl.lit("r2"))))
    first, second = arithmetic(store, FIRST)
    assert "1 rows of r1 are there twice" in first.problems
    assert second.problems == ["r2 has rows and no tally"]


def test_texts_go_first_and_the_rest_later(tmp_path: Path, store: TrafficStore) -> None:
    keep(tmp_path, store, served("a"), served("b", at=DAY + 10 * A_DAY))
    spec = TrafficSpec(days=30, text_days=7)
    assert overdue(store, spec, date(2024, 10, 11)) == []
    assert overdue(store, spec, date(2024, 10, 12)) == [(FIRST, "texts")]
    expire(store, spec, date(2024, 10, 12))
    assert texts_of(store) == ["b"]
    assert overdue(store, spec, date(2024, 10, 12)) == []
    assert arithmetic(store, FIRST)[0].problems == []
    expire(store, spec, date(2024, 11, 4))
    assert store.days() == ["2024-10-14"]


@pytest.mark.long
def test_an_erasure_takes_the_texts_of_one_caller_and_the_key(tmp_path: Path, store: TrafficStore) -> None:
    rows = [served("a", key="k1"), served("b", key="k2"), served("c", key="k1", at=DAY + A_DAY), served("d")]
    rows = [replace(each, columns={"channel": "post", "customer": "k1"}) for each in rows]
    keep(tmp_path, store, *rows, served("later", key="k1", at=DAY + 2 * A_DAY), columns=BY_POST)
    asked = Erasure(key="k1", at=DAY + 1.5 * A_DAY)
    assert erase(store, asked, _nothing_was_said) == Erased(texts=2, keys=2)
    assert texts_of(store) == ["b", "d", "later"]
    assert [key for day in store.days() for key in store.frame(day, "requests")["key"]] == [
        None,
        "k2",
        None,
        None,
        "k1",
    ]
    sent = [each for day in store.days() for each in store.frame(day, "requests")["columns"]]
    assert sent == ['{"channel":"post"}'] * 4 + ["{}"], "words of the recipe name nobody"
    assert all(replica.problems == [] for day in store.days() for replica in arithmetic(store, day))
    assert erase_again(store, store.erasures(), _nothing_was_said) == Erased(0, 0)


def test_what_a_teacher_said_of_a_text_goes_with_the_last_one_who_asked_it(tmp_path: Path, store: TrafficStore) -> None:
    keep(tmp_path, store, served("a", text="Who ?"), served("b", text="who ?"), served("c", text="Where ?"))
    forgotten: list[str] = []
    erase(store, Erasure(id="a", at=DAY), forgotten.extend)
    assert forgotten == [], "b has asked it, too"
    erase(store, Erasure(id="b", at=DAY), forgotten.extend)
    assert forgotten == prompt_ids(pl.Series(["who ?"])).to_list()


def test_an_erasure_by_id_takes_one_text(tmp_path: Path, store: TrafficStore) -> None:
    keep(tmp_path, store, served("a", key="k1"), served("b", key="k1"))
    assert erase(store, Erasure(id="a", at=DAY), _nothing_was_said) == Erased(texts=1, keys=0)
    assert texts_of(store) == ["b"]


def test_an_erasure_reaches_what_a_server_has_in_its_spool(tmp_path: Path, store: TrafficStore) -> None:
    slow = SpoolLimits(write_seconds=0.002, seal_seconds=3600)
    log = TrafficLog(tmp_path / "r1", "r1", store, keep_texts=True, limits=slow)
    for row in (served("a", key="k1"), served("b"), served("c")):
        log.put(row)
    erase(store, Erasure(key="k1", at=DAY), _nothing_was_said)
    erase(store, Erasure(id="c", at=DAY), _nothing_was_said)
    log.close()
    assert texts_of(store) == ["b"]
    assert store.frame(FIRST, "requests")["key"].to_list() == [None, None, None]


def test_killed_between_writing_and_removing_nobody_reads_what_was_erased(
    tmp_path: Path, store: TrafficStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, store, served("a"), served("b"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(store, "remove", killed)
        erase(store, Erasure(id="a", at=DAY), _nothing_was_said)
    assert len(store.segments(FIRST, "texts")) == 2
    assert texts_of(store) == ["b"]
    erase_again(store, store.erasures(), _nothing_was_said)
    assert len(store.segments(FIRST, "texts")) == 1


def test_an_answer_is_found_by_its_id_on_the_day_it_came_or_beside(tmp_path: Path, store: TrafficStore) -> None:
    keep(tmp_path, store, served("a"))
    for issued_at in (DAY, DAY + A_DAY, DAY - 1):
        found = the_answer(store, "a", issued_at=issued_at)
        assert found is not None
        assert (found.deployment, found.release) == (3, "r" * 64)
    assert the_answer(store, "b", issued_at=DAY) is None


def test_a_day_is_one_of_utc() -> None:
    assert [day_at(seconds) for seconds in (0, A_DAY - 0.001, A_DAY, DAY)] == ["1970-01-01"] * 2 + ["1970-01-02", FIRST]


def test_a_tally_that_cannot_be_read_is_named(tmp_path: Path, store: TrafficStore) -> None:
    keep(tmp_path, store, served("a"))
    path = tmp_path / "store" / "traffic" / "small" / FIRST / "tallies" / "r1.json"
    path.write_text(json.dumps({"replica": "r1"}))
    with pytest.raises(Exception, match="it is no tally"):
        store.tallies(FIRST)


@pytest.mark.parametrize(("days", "matures"), [(7, 7), (5, 7)])
def test_answers_that_are_gone_before_their_feedback_counts_are_a_mistake(days: int, matures: int) -> None:
    """Regression: no truth ever counted, and nobody said so."""
    with pytest.raises(ValidationError, match=f"must be shorter than days, which is {days}"):
        TrafficSpec(days=days, text_days=0, matures_after_days=matures)
    assert TrafficSpec(days=8, text_days=0).matures_after_days == 7


def test_a_limit_on_bytes_is_none_unless_it_is_said() -> None:
    assert "bytes_at_most" not in TrafficSpec().model_dump(), "else another digest"
    assert TrafficSpec(bytes_at_most=1_000_000).model_dump()["bytes_at_most"] == 1_000_000
    with pytest.raises(ValidationError, match="greater than or equal to 1000000"):
        TrafficSpec(bytes_at_most=999_999)
