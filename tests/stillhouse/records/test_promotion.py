"""Who changes who serves: what each writes, what each is refused, and that of two at once one wins."""

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stillhouse.records.ledger
from stillhouse.errors import StillhouseError
from stillhouse.records.champions import promoted, withdrawal_of
from stillhouse.records.deployments import Deployment, desired
from stillhouse.records.ledger import Ledger, OvertakenError
from stillhouse.records.promotion import bring_in, go_back, hold, resume
from tests.postgres import PG_CTL, postgres
from tests.promotions import back, model_of, named, seen, serve

BY, WHY = "Ann Lee <ann@example.org>", "it answers in the wrong language"


def kinds(ledger: Ledger) -> list[str]:
    return [entry.kind for entry in ledger.entries("r")]


def test_nothing_is_desired_before_the_first_promotion_and_then_what_was_promoted(ledger: Ledger) -> None:
    assert desired(ledger, "r") is None
    serve(ledger, "a1")
    first = seen(ledger)
    assert (first.number, first.champion, first.hold, first.because) == (2, named("a1"), None, "round")
    serve(ledger, "b1")
    assert (seen(ledger).number, seen(ledger).champion) == (4, named("b1"))
    assert ledger.entries("r", "deployment")[-1].body["replaces"] == 2
    assert desired(ledger, "other") is None


def test_a_promotion_of_an_earlier_version_serves_without_a_deployment(ledger: Ledger) -> None:
    ledger.append("promotion", "r", {"digest": "a1", "manifest": "ma1", "student": "one"})
    assert (seen(ledger).number, seen(ledger).champion) == (1, named("a1"))
    serve(ledger, "b1")
    ledger.append("promotion", "r", {"digest": "c1", "manifest": "mc1", "student": "one"})
    assert seen(ledger).champion == named("c1"), "it was written after the newest deployment"


def test_going_back_to_the_same_model_is_refused_and_leaves_no_entry(ledger: Ledger) -> None:
    serve(ledger, "a1"), serve(ledger, "a2")
    before = kinds(ledger)
    with pytest.raises(StillhouseError, match="holds the very model that serves"):
        back(ledger, "a1", by=BY, reason=WHY)
    assert kinds(ledger) == before


@pytest.mark.parametrize(("by", "reason"), [("", WHY), (BY, "no")])
def test_nobody_decides_without_name_and_reason(ledger: Ledger, by: str, reason: str) -> None:
    serve(ledger, "a1"), serve(ledger, "b1")
    before, now = kinds(ledger), seen(ledger)
    with pytest.raises(StillhouseError):
        go_back(ledger, "r", now, named("a1"), exports=("b", "a"), by=by, reason=reason)
    with pytest.raises(StillhouseError):
        bring_in(ledger, "r", now, named("c1"), export="c", by=by, reason=reason)
    with pytest.raises(StillhouseError):
        hold(ledger, "r", by=by, reason=reason)
    assert kinds(ledger) == before


def test_all_entries_are_written_or_none(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(ledger, "a1"), serve(ledger, "b1")
    before = kinds(ledger)
    real, written = stillhouse.records.ledger._next_entry, []

    def dies_at_the_third(*about: object) -> object:
        written.append(about)
        if len(written) == 3:
            raise KeyboardInterrupt
        return real(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(stillhouse.records.ledger, "_next_entry", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        back(ledger, "a1", by=BY, reason=WHY)
    assert kinds(ledger) == before and seen(ledger).champion == named("b1")


def test_a_round_brings_in_neither_what_was_withdrawn_nor_anything_while_a_person_holds(ledger: Ledger) -> None:
    serve(ledger, "a1"), serve(ledger, "b1")
    back(ledger, "a1", by=BY, reason=WHY)
    with pytest.raises(StillhouseError, match=r"b2 was withdrawn .* `stillhouse promote r b2 "):
        serve(ledger, "b2")
    hold(ledger, "r", by=BY, reason="month-end close")
    assert serve(ledger, "a1").release == "a1", "what serves already changes nothing"
    with pytest.raises(StillhouseError, match=f"{BY} holds a1 since .*: month-end close.*`stillhouse resume r "):
        serve(ledger, "c1")
    resume(ledger, "r", by=BY, reason="the month is closed")
    assert serve(ledger, "c1").release == "c1"


def test_a_person_decides_while_somebody_holds_and_the_hold_stays(ledger: Ledger) -> None:
    serve(ledger, "a1"), serve(ledger, "b1")
    hold(ledger, "r", by=BY, reason="month-end close")
    back(ledger, "a1", by="Bob", reason="it is rude to callers")
    bring_in(ledger, "r", seen(ledger), named("c1"), export="c", by="Bob", reason="asked for by the board")
    now = seen(ledger)
    assert now.champion == named("c1") and now.hold is not None and now.hold.by == BY


def test_a_hold_is_held_once_and_ended_once(ledger: Ledger) -> None:
    with pytest.raises(StillhouseError, match="no champion yet"):
        hold(ledger, "r", by=BY, reason=WHY)
    serve(ledger, "a1")
    with pytest.raises(StillhouseError, match="nobody holds it"):
        resume(ledger, "r", by=BY, reason=WHY)
    hold(ledger, "r", by=BY, reason=WHY)
    with pytest.raises(StillhouseError, match=f"{BY} holds it since"):
        hold(ledger, "r", by="Bob", reason=WHY)
    assert resume(ledger, "r", by="Bob", reason=WHY).body["by"] == "Bob"


def test_who_saw_an_older_deployment_is_refused_and_writes_nothing(ledger: Ledger) -> None:
    serve(ledger, "a1")
    old = seen(ledger)
    serve(ledger, "b1")
    before = kinds(ledger)
    with pytest.raises(OvertakenError, match="ledger entry 4 was written meanwhile"):
        bring_in(ledger, "r", old, named("c1"), export="c", by=BY, reason=WHY)
    with pytest.raises(OvertakenError, match="expected no promotion or deployment yet"):
        bring_in(ledger, "r", None, named("c1"), export="c", by=BY, reason=WHY)
    assert kinds(ledger) == before


actions = st.lists(
    st.tuples(st.sampled_from(["round", "back", "in", "hold", "resume"]), st.sampled_from("abc")), max_size=12
)


@pytest.mark.long
@given(actions)
@settings(max_examples=40)
def test_whatever_is_done_one_release_serves_that_no_withdrawal_names_and_the_deployment_is_the_promotion(
    tmp_path_factory: pytest.TempPathFactory, done: list[tuple[str, str]]
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('any') / 'ledger.db'}")
    for what, letter in done:
        release, now = f"{letter}1", desired(ledger, "r")
        try:
            if what == "round":
                serve(ledger, release)
            elif what == "back" and now is not None:
                back(ledger, release, by=BY, reason=WHY)
            elif what == "in":
                bring_in(ledger, "r", now, named(release), export=letter, by=BY, reason=WHY)
            elif what == "hold":
                hold(ledger, "r", by=BY, reason=WHY)
            elif what == "resume":
                resume(ledger, "r", by=BY, reason=WHY)
        except StillhouseError:
            assert desired(ledger, "r") == now, "what is refused changes nothing"
            continue
        after = desired(ledger, "r")
        if after is None:
            assert what == "back"
            continue
        serving = promoted(ledger, "r")[0]
        assert after.champion == named(serving.release)
        assert withdrawal_of(ledger, "r", release=serving.release, export=model_of(serving.release)) is None
        if now is not None and now.hold is not None and what == "round":
            assert after.champion == now.champion
    assert ledger.problems() == []


def race(url: str, rounds: int) -> list[int]:
    """Two who saw the same deployment write at once, many times: how many won each time."""
    ledgers, winners = [Ledger(url), Ledger(url)], []
    serve(ledgers[0], "a1")
    for number in range(rounds):
        now, ready, won = seen(ledgers[0]), threading.Barrier(2), []

        def write(ledger: Ledger, release: str, now: Deployment, ready: threading.Barrier, won: list[str]) -> None:
            ready.wait()
            try:
                bring_in(ledger, "r", now, named(release), export=release, by=BY, reason=WHY)
            except OvertakenError:
                return
            won.append(release)

        writers = [
            threading.Thread(target=write, args=(ledger, f"{letter}{number}", now, ready, won))
            for ledger, letter in zip(ledgers, "xy", strict=True)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert [seen(ledgers[0]).champion] == [named(release) for release in won]
        winners.append(len(won))
    assert ledgers[0].problems() == []
    return winners


@pytest.mark.long
def test_of_two_who_write_at_once_one_wins_each_time(tmp_path: Path) -> None:
    assert race(f"sqlite:///{tmp_path / 'ledger.db'}", 200) == [1] * 200


@pytest.mark.slow
@pytest.mark.long
def test_of_two_who_write_at_once_one_wins_each_time_on_postgres() -> None:
    if PG_CTL is None:
        pytest.skip("needs Debian's postgresql")
    with postgres() as url:
        assert race(url, 200) == [1] * 200
