"""What the line of a recipe says of the servers that are up; the rest of it is in test_rollback.py, test_events.py."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestration.fleet import fleet
from orchestration.tables.fleet import fleet_tables, next_lines
from stillhouse.base import Record
from stillhouse.live.findings import Action, FoundKind, LiveFinding
from stillhouse.live.segments import TrafficStore
from stillhouse.live.state import WatchBook
from stillhouse.live.watch import begin
from stillhouse.records.builds import BuildRequest
from stillhouse.records.replicas import AWAY_AFTER, Heartbeat
from stillhouse.stages.live_report import LiveFacts, MaturedTruth, WatchedShare
from stillhouse.stages.names import LIVE_REPORT, TRAFFIC
from stillhouse.stages.traffic import TrafficFacts
from stillhouse.statistics.live_agreement import LiveAgreement
from tests.conftest import Place, a_place
from tests.heartbeats import beat_ago
from tests.promotions import seen, serve
from tests.small import small_recipe
from tests.stillhouse.live.made import reference, terms


def heard(
    place: Place,
    replica: str,
    deployment: int | None,
    *,
    refused: int | None = None,
    ago: float = 0.0,
    clock_ahead: float = 0.0,
    memory_mb: float | None = None,
    held_mb: float | None = None,
) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=clock_ahead - ago)).isoformat(timespec="milliseconds")
    said = Heartbeat(replica, "small", deployment, "r", refused, at, memory_mb, held_mb)
    beat_ago(place.home.ledger_url, said, ago=ago)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as place:
        yield place


def test_the_fleet_names_the_servers_that_are_behind_and_forgets_those_that_are_away(place: Place) -> None:
    file = small_recipe(place.folder, rows=20)
    (line,) = fleet(place.instance, place.builds, [file]).recipes.values()
    assert (line.servers, line.behind) == (0, ())
    serve(place.builds.ledger, "a" * 64, recipe="small")
    wanted = seen(place.builds.ledger, "small").number
    heard(place, "one", wanted)
    heard(place, "two", wanted - 1)
    heard(place, "three", None)
    heard(place, "four", wanted - 1, refused=wanted)
    heard(place, "five", wanted - 1, ago=AWAY_AFTER.total_seconds() + 1)
    shown = fleet(place.instance, place.builds, [file])
    assert shown.recipes["small"].servers == 4
    assert shown.recipes["small"].behind == (
        f"four cannot serve deployment {wanted}; its log says why",
        f"three serves nothing yet, and deployment {wanted} is wanted",
        f"two serves deployment {wanted - 1}, and deployment {wanted} is wanted",
    )
    assert f"small: {shown.recipes['small'].behind[0]}" in [*next_lines(shown)]


@pytest.mark.parametrize(
    ("clock_ahead", "said"), [(-7_200.0, "(7,199|7,200|7,201) s behind"), (300.0, "(299|300|301) s ahead")]
)
def test_a_server_whose_clock_is_off_is_up_and_named_and_its_memory_counts(
    place: Place, clock_ahead: float, said: str
) -> None:
    file = small_recipe(place.folder, rows=20, traffic={}, watch={"memory_mb_at_most": 300})
    serve(place.builds.ledger, "a" * 64, recipe="small")
    number = seen(place.builds.ledger, "small").number
    heard(place, "one", number, clock_ahead=2.0, memory_mb=250.0, held_mb=250.0)
    heard(place, "two", number, clock_ahead=clock_ahead, memory_mb=350.0, held_mb=350.0)
    shown = fleet(place.instance, place.builds, [file])
    line = shown.recipes["small"]
    assert (line.servers, line.behind) == (2, ()) and "two 350 MB" in (line.over_memory or "")
    (clock,) = line.clocks
    assert re.match(f"the clock of two is {said}", clock) and f"small: {clock}" in [*next_lines(shown)]
    heard(place, "two", number, clock_ahead=clock_ahead, held_mb=350.0, ago=AWAY_AFTER.total_seconds() + 1)
    line = fleet(place.instance, place.builds, [file]).recipes["small"]
    assert (line.servers, line.clocks, line.over_memory) == (1, (), None), "it has ended, whatever its clock showed"


def test_the_fleet_shows_what_each_server_holds_and_says_who_holds_too_much(place: Place) -> None:
    file = small_recipe(place.folder, rows=20, traffic={}, watch={"memory_mb_at_most": 300})
    serve(place.builds.ledger, "a" * 64, recipe="small")
    number = seen(place.builds.ledger, "small").number
    heard(place, "one", number, memory_mb=350.0, held_mb=290.0)
    heard(place, "two", number)
    heard(place, "gone", number, memory_mb=900.0, held_mb=900.0, ago=AWAY_AFTER.total_seconds() + 1)
    line = fleet(place.instance, place.builds, [file]).recipes["small"]
    assert (line.memory_mb, line.over_memory) == ({"one": 350.0}, None), "more for a moment is not too much"
    heard(place, "two", number, memory_mb=310.0, held_mb=305.0)
    shown = fleet(place.instance, place.builds, [file])
    said = "1 of 2 servers hold too much memory: two 305 MB through 12 heartbeats in a row; at most 300 MB"
    assert shown.recipes["small"].over_memory == said and f"small: {said}" in [*next_lines(shown)]
    unlimited = small_recipe(place.folder, rows=20, traffic={}, watch={})
    assert fleet(place.instance, place.builds, [unlimited]).recipes["small"].over_memory is None


CHAMPION = "a" * 64
AGREEMENT = LiveAgreement(
    requests=900, asked=60, alpha=0.05, label_free=0.95, debiased=0.931, half_width=0.022, gap=0.02, gap_half_width=0.02
)


def counted(place: Place, stage: str, back: int, facts: Record) -> None:
    """A day that was summed up, so many days ago."""
    day = (datetime.now(UTC) - timedelta(days=back)).date().isoformat()
    order = BuildRequest("small", stage, "run", "v", {"day": day, "of": facts.model_dump(mode="json")}, batch=day)

    def build(folder: Path) -> Record:
        (folder / "answers.parquet").touch()
        return facts

    place.builds.make(order, build)


def traffic(answers: int, thinned: int) -> TrafficFacts:
    return TrafficFacts(
        day="a day", answers=answers, texts=0, feedback=0, received=answers, stored=answers, dropped=0, lost=0,
        thinned=thinned, replicas=1,
    )  # fmt: skip


def report(release: str, agreement: LiveAgreement | None, from_teacher: int) -> LiveFacts:
    share = WatchedShare(
        name="fallback rises", kind="fallback", falls=False, events=from_teacher, rows=100, limit=0.3, reference=0.1
    )  # fmt: skip
    return LiveFacts(
        day="a day", release=release, student="one", since="2026-01-01", answers=100, of_others=0, agreement=agreement,
        agreement_limit=None, silent=0, teacher=None, truth_limit=None, shares=(share,), latency_ms=None,
        truth=MaturedTruth(selection="unknown", matured=0, known=0, right=0, low=0.0, high=1.0), origin="golden",
    )  # fmt: skip


def found(place: Place, key: str, at: float) -> None:
    """Something that the watch has found."""
    book, release = WatchBook(place.builds.ledger.url, "small"), CHAMPION
    finding = LiveFinding(
        key=key, kind=FoundKind.INPUTS, watch="label", release=release, deployment=1, at=at, sentence="drift",
        evidence=None, action=Action.ASK_MORE, because="so",
    )  # fmt: skip
    state = begin(terms(), reference(release), since=at, at=at, before=None)
    assert book.write(book.read(), state, [finding])


def test_the_fleet_says_how_each_recipe_does_on_live_answers_and_against_its_limits_and_reads_no_row(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {
        "traffic": {}, "watch": {"false_alarms_per_year": 6},
        "refresh": {"cron": "0 3 * * 1", "rounds_per_month": 8, "usd_per_month": 20},
    }  # fmt: skip
    file, ledger = small_recipe(place.folder, rows=20, **changes), place.builds.ledger
    serve(ledger, CHAMPION, recipe="small")
    (nothing,) = fleet(place.instance, place.builds, [file]).recipes.values()
    assert (nothing.requests_a_day, nothing.agreement, nothing.fallback_share, nothing.alarms) == (None, None, None, 0)
    counted(place, TRAFFIC, 1, traffic(900, 300))
    counted(place, TRAFFIC, 2, traffic(5, 0))
    counted(place, LIVE_REPORT, 0, report(CHAMPION, None, 12))
    counted(place, LIVE_REPORT, 1, report("b" * 64, AGREEMENT.model_copy(update={"debiased": 0.5}), 50))
    counted(place, LIVE_REPORT, 2, report(CHAMPION, AGREEMENT, 30))
    ledger.append(
        "materialization", "small",
        {"asset": "small/teacher", "digest": "d" * 64, "manifest": "m", "run_id": "r", "cost_usd": 6.0},
    )  # fmt: skip
    for back, key in ((1, "one"), (40, "two")):
        at = (datetime.now(UTC) - timedelta(days=back)).timestamp()
        found(place, key, at)

    def no_rows(*_: object) -> None:
        raise AssertionError("a row of traffic was read")

    for name in ("frame", "whole", "segments", "read", "tallies"):
        monkeypatch.setattr(TrafficStore, name, no_rows)
    shown = fleet(place.instance, place.builds, [file])
    line = shown.recipes["small"]
    assert line.requests_a_day == 1_200, "of the newest day, with those that were thinned"
    assert line.agreement == AGREEMENT, "of the champion, of the newest day that has it"
    assert line.fallback_share == 0.12, "of the newest day"
    assert (line.alarms, line.false_alarms_a_month) == (1, pytest.approx(6 * 30 / 365))
    assert (line.rounds_at_most, line.usd, line.usd_at_most) == (8, 6.0, 20)
    console = Console(width=120, file=StringIO())
    for table in fleet_tables(shown):
        console.print(table)
    assert isinstance(console.file, StringIO)
    first, second = (each for each in console.file.getvalue().splitlines() if each.startswith("small"))
    for said in (f"one {CHAMPION[:12]}", "1,200", "93±2 %", "12%", "1 (0.5)"):
        assert said in first, said
    assert "0/8" in second and "6/20" in second
