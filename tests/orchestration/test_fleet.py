"""What the line of a recipe says of the servers that are up; the rest of it is in test_rollback.py, test_events.py."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.fleet import fleet
from orchestration.tables import next_lines
from stillhouse.records.replicas import AWAY_AFTER, Heartbeat
from tests.conftest import Place, a_place
from tests.heartbeats import beat_ago
from tests.promotions import seen, serve
from tests.small import small_recipe


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
