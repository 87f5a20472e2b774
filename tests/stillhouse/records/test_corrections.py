"""What people say was paid counts wherever a sum is asked for, and takes nothing from the books."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stillhouse.economics import Book
from stillhouse.errors import StillhouseError
from stillhouse.recipe.refresh import RefreshSpec
from stillhouse.records.corrections import Correction, bounds_of_month, correct, corrected_usd, corrections
from stillhouse.records.ledger import Ledger, OvertakenError
from stillhouse.records.rounds import compute_usd, computed_usd, held_back
from stillhouse.teachers.calls import CallLog, CapReachedError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Watch:
    """A clock that a test sets."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Watch:
    return Watch()


@pytest.fixture
def ledger(tmp_path: Path, clock: Watch) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=clock)


def give(
    ledger: Ledger, usd: float, *, book: Book = Book.ANSWERS, month: str = "2026-11", booked: float = 10.0
) -> Correction:
    return correct(
        ledger, "small", book=book, month=month, usd=usd, booked=booked, by="Ada Lovelace", reason="invoice 117"
    )


def test_corrections_add_up_by_book_month_and_recipe(ledger: Ledger) -> None:
    give(ledger, -2.0), give(ledger, 0.5), give(ledger, 4.0, month="2026-10"), give(ledger, 8.0, book=Book.SERVING)
    correct(ledger, "other", book=Book.ANSWERS, month="2026-11", usd=16.0, booked=0.0, by="Ada", reason="invoice 118")
    assert corrected_usd(ledger, "small", Book.ANSWERS) == 2.5
    assert corrected_usd(ledger, "small", Book.ANSWERS, month="2026-11") == -1.5
    assert corrected_usd(ledger, "small", Book.SERVING, month="2026-11") == 8.0
    assert corrected_usd(ledger, "small", Book.COMPUTE) == 0.0
    first = corrections(ledger, "small")[0]
    assert (first.by, first.reason, first.month) == ("Ada Lovelace", "invoice 117", "2026-11")
    assert first.sentence == "answers of 2026-11: -2 USD by Ada Lovelace, because invoice 117"
    assert ledger.entries("small", "correction")[0].body["account"]


@pytest.mark.parametrize("usd", [-10.5, 0.0, float("nan"), float("inf"), float("-inf"), 1e308, 1.001e9])
def test_no_less_than_nothing_is_left_and_no_more_is_added_than_anybody_has(ledger: Ledger, usd: float) -> None:
    with pytest.raises(StillhouseError, match=r"10\.0000 USD are booked for answers of 2026-11") as refused:
        give(ledger, usd)
    assert "--usd" in refused.value.where and not ledger.entries("small", "correction")


def test_what_was_taken_off_cannot_be_taken_off_again(ledger: Ledger) -> None:
    give(ledger, -10.0)
    with pytest.raises(StillhouseError, match=r"0\.0000 USD are booked"):
        give(ledger, -0.01)
    give(ledger, 10.0)
    give(ledger, -10.0)


@pytest.mark.parametrize("month", ["2026-13", "2026-00", "2026-1", "11-2026", "", "2026-11-01", "\u0662026-11"])
def test_a_month_that_is_none_is_refused(ledger: Ledger, month: str) -> None:
    with pytest.raises(StillhouseError, match="that is not a month"):
        give(ledger, 1.0, month=month)


def test_a_month_that_has_not_begun_and_nobodys_word_are_refused(ledger: Ledger) -> None:
    with pytest.raises(StillhouseError, match="2026-12 has not begun"):
        give(ledger, 1.0, month="2026-12")
    for by, reason in (("", "invoice"), ("Ada", " ")):
        with pytest.raises(StillhouseError):
            correct(ledger, "small", book=Book.ANSWERS, month="2026-11", usd=1, booked=0, by=by, reason=reason)
    assert not ledger.entries("small", "correction")


def test_of_two_who_correct_at_once_one_is_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    append = ledger.append_all
    monkeypatch.setattr(ledger, "append_all", lambda *how, **more: (give_first(), append(*how, **more))[1])

    def give_first() -> None:
        monkeypatch.setattr(ledger, "append_all", append)
        give(ledger, -8.0)

    with pytest.raises(OvertakenError):
        give(ledger, -8.0)
    assert corrected_usd(ledger, "small", Book.ANSWERS) == -8.0


def test_what_is_added_counts_at_the_end_of_its_month_or_when_it_was_given(ledger: Ledger) -> None:
    give(ledger, 1.0), give(ledger, 2.0, month="2026-10")
    of_days = [corrected_usd(ledger, "small", Book.ANSWERS, since=NOW - timedelta(days=days)) for days in (0, 10, 20)]
    assert of_days == [1.0, 1.0, 3.0]
    assert bounds_of_month("2026-12")[1] == datetime(2027, 1, 1, tzinfo=UTC)


def test_what_is_taken_off_counts_with_all_that_it_is_taken_off_from(ledger: Ledger, clock: Watch) -> None:
    clock.now = datetime(2026, 11, 2, tzinfo=UTC)
    ledger.append("materialization", "small", {"asset": "small/teacher", "digest": "d", "cost_usd": 100.0})
    clock.now = NOW
    give(ledger, -90.0, book=Book.COMPUTE, booked=100.0)
    first, later = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)
    assert [compute_usd(ledger, "small", since) for since in (first, later)] == [10.0, 0.0]
    give(ledger, 90.0, book=Book.COMPUTE, booked=100.0)
    assert [compute_usd(ledger, "small", since) for since in (first, later)] == [100.0, 0.0], "it was taken back"


def test_a_cap_counts_what_was_corrected_and_the_log_stays_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    log, alone = (CallLog(tmp_path / "calls.db", each) for each in (ledger, None))
    call = log.reserve("a", "small", usd=0.75, usd_at_most=1.0)
    with pytest.raises(CapReachedError):
        log.reserve("b", "small", usd=0.5, usd_at_most=1.0)
    month = f"{datetime.now(UTC):%Y-%m}"
    late = Ledger(ledger.url)
    given = correct(
        late,
        "small",
        book=Book.ANSWERS,
        month=month,
        usd=-0.5,
        booked=0.75,
        by="Ada",
        reason="a batch costs half the price",
    )
    assert (log.spent("small"), alone.spent("small")) == (0.25, 0.75)
    assert log.spent("small", since=datetime.fromisoformat(given.at)) == 0.0, "what was paid before is not counted"
    log.reserve("b", "small", usd=0.5, usd_at_most=1.0)
    correct(
        late,
        "small",
        book=Book.ANSWERS,
        month=month,
        usd=0.25,
        booked=1.25,
        by="Ada",
        reason="the tax that was left out",
    )
    with pytest.raises(CapReachedError, match=r"1\.0000 USD are spent or reserved"):
        log.reserve("c", "small", usd=0.125, usd_at_most=1.0)
    log.settle(call, usd=0.0, reply=None)
    assert log.spent("small") == alone.spent("small") - 0.25 == 0.25
    assert log.booked_between("small", *bounds_of_month(month)) == 0.5 and log.booked_between("small", NOW, NOW) == 0


def test_a_monthly_limit_on_rounds_counts_what_was_corrected(ledger: Ledger, clock: Watch) -> None:
    clock.now = NOW - timedelta(days=5)
    ledger.append("materialization", "small", {"asset": "small/teacher", "digest": "d", "cost_usd": 3.0})
    clock.now = NOW
    refresh = RefreshSpec(cron="0 6 * * 1", usd_per_month=4.0)
    assert held_back(ledger, "small", refresh) is None
    give(ledger, 2.0, book=Book.COMPUTE, booked=3.0)
    since = NOW - timedelta(days=30)
    assert (compute_usd(ledger, "small", since), computed_usd(ledger, "small", since)) == (5.0, 3.0)
    assert "5 USD spent in 30 days" in (held_back(ledger, "small", refresh) or "")
    clock.now = NOW + timedelta(days=31)
    assert held_back(ledger, "small", refresh) is None
