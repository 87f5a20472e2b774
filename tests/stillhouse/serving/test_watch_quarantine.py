"""A critical slice that the watch finds weak is answered by somebody else: whole releases, their ledger and a server.

Golden rows and live answers are made by hand; those of a real round are in tests/orchestration/test_weak_live_slice.py.
"""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
import time_machine

import orchestration.watch
import orchestration.watch_quarantine
from orchestration.quarantine import quarantine_slice
from orchestration.watch import look
from orchestration.watch_findings import hand_on
from stillhouse.live.findings import BY, Action, FoundKind, LiveFinding
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore, day_at, sealed
from stillhouse.live.slices import slices_of
from stillhouse.live.state import WatchBook
from stillhouse.live.watch import TeacherHealth
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import DeployedRelease, Quarantine, serving_now
from stillhouse.records.events import EventKind, pending
from stillhouse.records.promotion import hold
from stillhouse.records.rollouts import counting
from tests.small import small_recipe
from tests.stillhouse.live.made import by_label, put, reference, rows
from tests.stillhouse.serving.cascades import cascade
from tests.stillhouse.serving.conftest import RECIPE, Served
from tests.stillhouse.serving.test_cascade import behind

pytestmark = pytest.mark.long

TEXT = "who is the king ?"


def recipe(folder: Path, label: str = "place", *, critical: bool = True, **watch: Any) -> RecipeFile:
    slices = [{"name": "weak", "column": "label", "values": [label], "critical": critical}]
    return small_recipe(
        folder, name=RECIPE, rows=60, slices=slices, bar={"margin": 0.1},
        traffic={"feedback": "complete", "matures_after_days": 0}, watch={"ask_teacher": 0.0, **watch},
    )  # fmt: skip


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Of which release how many of 200 golden rows of the slice are wrong; 24 of those that are not named."""
    wrong: dict[str, int] = {}

    def reference_of(builds: object, file: RecipeFile, release: DeployedRelease) -> object:
        counted = [
            by_label("any", 200).model_copy(update={"slice": each, "wrong": wrong.get(release.release, 24)})
            for each in slices_of(file.recipe)
        ]
        return reference(release.release, counted)

    monkeypatch.setattr(orchestration.watch, "reference_of", reference_of)
    monkeypatch.setattr(orchestration.watch_quarantine, "reference_of", reference_of)
    return wrong


def fell(served: Served, file: RecipeFile, *, days_old: float = 1.0, label: str = "place", first: int = 1) -> float:
    """A day on which half of the answers of the label were wrong; when it can be looked at."""
    builds, now = served.installation.builds, datetime.now(UTC).timestamp()
    release = serving_now(builds.ledger, RECIPE).champion.release
    at = now + (days_old - 1) * SECONDS_A_DAY
    look(builds, file, at=at)
    frame = rows(3000, at=at, first=first, release=release).with_columns(
        label=pl.col("label").replace({"place": label})
    )
    store = TrafficStore(builds.home.artifacts, RECIPE)
    put(store, frame)
    is_wrong = (pl.col("label") == label) & (pl.col("number") % 2 == 0)
    truth = pl.when(is_wrong).then(pl.lit("another")).otherwise("label").alias("truth")
    said = frame.select("replica", pl.col("number") + 10_000, "id", "at", truth, pl.lit(None, pl.String).alias("by"))
    store.put(day_at(at), "feedback", sealed(said))
    return at + SECONDS_A_DAY


def weak(served: Served, file: RecipeFile, at: float) -> list[LiveFinding]:
    """What a look finds of slices; that a label was renamed drifts, too."""
    found = look(served.installation.builds, file, at=at).findings
    return [each for each in found if each.kind is FoundKind.WEAK_SLICE]


def taken(served: Served) -> tuple[Quarantine, ...]:
    return serving_now(served.installation.builds.ledger, RECIPE).quarantine


def entries(served: Served) -> int:
    return len(served.installation.builds.ledger.entries(RECIPE, "deployment"))


@pytest.fixture
def young(served: Served, tmp_path: Path, golden: dict[str, int]) -> tuple[RecipeFile, str, str]:
    """Two releases of other models, and a slice of what the newer one says to a text; both digests."""
    first = serving_now(served.installation.builds.ledger, RECIPE).champion.release
    second = served.installation.promote(1)
    ((label, _),) = served.installation.expected(1, [TEXT])
    return recipe(tmp_path, label, baseline_days=28), first, second.digest


def test_while_the_release_is_young_the_one_before_answers_a_critical_slice_that_is_weak(
    served: Served, young: tuple[RecipeFile, str, str]
) -> None:
    file, first, second = young
    builds, (label,) = served.installation.builds, young[0].recipe.slices[0].values
    served.follower.look()
    assert served.predict(text=TEXT).json()["release"] == second
    at = fell(served, file, label=label)
    (finding,) = weak(served, file, at)
    assert (finding.kind, finding.action) == (FoundKind.WEAK_SLICE, Action.QUARANTINE)
    until = builds.ledger.now().date() + timedelta(days=14)
    (given,) = taken(served)
    assert (given.slice, given.by, given.reason, given.until) == ("weak", BY, finding.sentence, until)
    assert given.instead is not None and given.instead.release == first
    assert finding.because.endswith(f"; {given.in_words}") and finding.asks is not None, "and rows are asked for"
    served.follower.look()
    assert served.predict(text=TEXT).json()["release"] == first
    assert serving_now(builds.ledger, RECIPE).champion.release == second
    hand_on(builds, file)
    (event,) = (each for each in pending(builds.ledger, RECIPE) if each.kind is EventKind.WEAK_SLICE)
    assert event.facts["action"] == Action.QUARANTINE.value and event.facts["rows_needed"] == finding.asks.rows_needed
    assert finding.is_for_people
    assert weak(served, file, at + 60) == [] and entries(served) == 1, "once"


def test_a_person_ends_it_and_the_watch_does_not_take_it_again_under_this_release(
    served: Served, young: tuple[RecipeFile, str, str]
) -> None:
    file, *_ = young
    builds, (label,) = served.installation.builds, file.recipe.slices[0].values
    at = fell(served, file, label=label)
    look(builds, file, at=at)
    today = builds.ledger.now().date()
    quarantine_slice(builds, file, "weak", by="Ann Lee", reason="It was the feedback.", until=today)
    assert counting(serving_now(builds.ledger, RECIPE), today + timedelta(days=1)) == ()
    before = entries(served)
    with sa.create_engine(builds.ledger.url).begin() as connection:  # the watch begins again and finds the same
        connection.execute(sa.text("DELETE FROM watch_states"))
    (finding,) = weak(served, file, at + 60)
    assert finding.action is Action.ASK_FOR_ROWS and "by the word of Ann Lee" in finding.because
    assert entries(served) == before


def test_once_its_days_are_over_it_is_not_renewed_for_the_same_release(
    served: Served, young: tuple[RecipeFile, str, str]
) -> None:
    file, *_ = young
    builds, (label,) = served.installation.builds, file.recipe.slices[0].values
    at = fell(served, file, label=label)
    (finding,) = weak(served, file, at)
    (given,) = taken(served)
    before = entries(served)
    with sa.create_engine(builds.ledger.url).begin() as connection:
        connection.execute(sa.text("DELETE FROM watch_states"))
    with time_machine.travel(datetime.combine(given.until + timedelta(days=1), datetime.min.time(), UTC)):
        (again,) = weak(served, file, at + 60)
    assert (finding.action, again.action) == (Action.QUARANTINE, Action.ASK_FOR_ROWS)
    assert "once under this release" in again.because and entries(served) == before


def test_a_look_that_was_killed_after_the_ledger_was_written_names_that_entry(
    served: Served, young: tuple[RecipeFile, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, *_ = young
    builds, (label,) = served.installation.builds, file.recipe.slices[0].values
    at = fell(served, file, label=label)
    real = WatchBook.write

    def killed(self: WatchBook, read: Any, state: Any, findings: Any) -> bool:
        if findings:
            raise KeyboardInterrupt
        return real(self, read, state, findings)

    monkeypatch.setattr(WatchBook, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        look(builds, file, at=at)
    (given,) = taken(served)
    monkeypatch.setattr(WatchBook, "write", real)
    (finding,) = weak(served, file, at + 60)
    (entry,) = builds.ledger.entries(RECIPE, "deployment")
    assert finding.action is Action.QUARANTINE
    assert finding.because.endswith(f"by ledger entry {entry.sequence} {given.in_words}")
    assert finding in WatchBook(builds.ledger.url, RECIPE).findings()


def test_of_two_watches_at_once_one_takes_it(served: Served, young: tuple[RecipeFile, str, str]) -> None:
    file, *_ = young
    builds, (label,) = served.installation.builds, file.recipe.slices[0].values
    at, start = fell(served, file, label=label), threading.Barrier(2)

    def looks() -> None:
        start.wait()
        look(builds, file, at=at)

    threads = [threading.Thread(target=looks) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    (finding,) = (each for each in WatchBook(builds.ledger.url, RECIPE).findings() if each.asks is not None)
    assert finding.action is Action.QUARANTINE and entries(served) == 1


def test_a_rollout_that_goes_on_at_the_same_moment_does_not_keep_the_slice(
    served: Served, young: tuple[RecipeFile, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, *_ = young
    builds, (label,) = served.installation.builds, file.recipe.slices[0].values
    at, real = fell(served, file, label=label), orchestration.watch_quarantine.quarantine_slice

    def overtaken(*given: Any, **how: Any) -> Quarantine:
        monkeypatch.setattr(orchestration.watch_quarantine, "quarantine_slice", real)
        today = builds.ledger.now().date()
        quarantine_slice(builds, file, "length=900-", by="Ann Lee", reason="It is slow on long ones.", until=today)
        return real(*given, **how)

    monkeypatch.setattr(orchestration.watch_quarantine, "quarantine_slice", overtaken)
    (finding,) = weak(served, file, at)
    assert finding.action is Action.QUARANTINE
    assert [each.slice for each in taken(served)] == ["length=900-", "weak"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"blame_days": 0}, "what has changed is the world; no teacher is behind champion"),
        ({"quarantine_days": 0}, "does not name `weak_slice`"),
        ({"critical": False}, "does not name `weak_slice`"),
    ],
)
def test_where_nobody_else_can_answer_or_the_recipe_wants_nobody_the_champion_does(
    served: Served, tmp_path: Path, golden: dict[str, int], how: dict[str, Any], why: str
) -> None:
    served.installation.promote(1)
    file = recipe(tmp_path, **how)
    (finding,) = weak(served, file, fell(served, file))
    assert finding.action is Action.ASK_FOR_ROWS and finding.asks is not None
    assert why in finding.because and taken(served) == ()


def test_the_first_release_of_all_has_nobody_before_it(served: Served, tmp_path: Path, golden: dict[str, int]) -> None:
    file = recipe(tmp_path)
    (finding,) = weak(served, file, fell(served, file))
    assert "nothing served before the champion" in finding.because and taken(served) == ()


def test_who_holds_the_champion_decides_about_its_slices(served: Served, young: tuple[RecipeFile, str, str]) -> None:
    file, *_ = young
    builds, (label,) = served.installation.builds, file.recipe.slices[0].values
    hold(builds.ledger, RECIPE, by="Ann Lee", reason="The month is closed.")
    (finding,) = weak(served, file, fell(served, file, label=label))
    assert "Ann Lee holds the champion" in finding.because and taken(served) == ()


def test_one_that_was_not_good_there_either_does_not_answer_instead(
    served: Served, young: tuple[RecipeFile, str, str], golden: dict[str, int]
) -> None:
    file, first, _ = young
    (label,) = file.recipe.slices[0].values
    golden[first] = 100
    (finding,) = weak(served, file, fell(served, file, label=label))
    assert "was not good there on golden rows either" in finding.because and taken(served) == ()


def test_one_that_was_found_weak_there_while_it_served_does_not_answer_instead(
    served: Served, tmp_path: Path, golden: dict[str, int]
) -> None:
    builds, file = served.installation.builds, recipe(tmp_path)
    look(builds, file, at=fell(served, file))
    served.installation.promote(1)
    found = weak(served, file, fell(served, file, days_old=2, first=5001))
    assert "was found weak there, too" in found[-1].because and taken(served) == ()


@pytest.mark.parametrize(
    ("as_recorded", "is_taken"), [(True, True), (None, True), (False, False)], ids=["well", "unknown", "changed"]
)
def test_of_an_old_release_the_teacher_behind_it_answers_if_it_is_what_it_was(
    served: Served, tmp_path: Path, golden: dict[str, int], as_recorded: bool | None, is_taken: bool
) -> None:
    ((label, _),) = served.installation.expected(1, [TEXT])
    asked = behind(served, cascade(0.0))
    builds, file = served.installation.builds, recipe(tmp_path, label, blame_days=0)
    at = fell(served, file, label=label)
    book = WatchBook(builds.ledger.url, RECIPE)
    read = book.read()
    assert read.state is not None
    health = TeacherHealth(at=at, day=0, as_recorded=as_recorded, sentence="as said")
    book.write(read, read.state.model_copy(update={"teacher": health}), [])
    (finding,) = weak(served, file, at)
    served.follower.look()
    assert served.predict(text=TEXT).json()["source"] == ("teacher" if is_taken else "student")
    assert len(asked.texts) == is_taken
    if is_taken:
        (given,) = taken(served)
        assert (finding.action, given.instead) == (Action.QUARANTINE, None)
    else:
        assert "the teacher does not answer as recorded" in finding.because and taken(served) == ()


def test_a_recipe_that_does_not_say_for_how_many_days_has_the_digest_that_it_had(tmp_path: Path) -> None:
    plain, same, other = (
        recipe(tmp_path, **more).recipe for more in ({}, {"quarantine_days": 14}, {"quarantine_days": 3})
    )
    assert "quarantine_days" not in plain.model_dump_json()
    assert plain.digest == same.digest != other.digest
