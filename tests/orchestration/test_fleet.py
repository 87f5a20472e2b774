"""What the line of a recipe says of the servers that are up; the rest of it is in test_rollback.py, test_events.py."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.fleet import AWAY_AFTER, fleet
from orchestration.tables import next_lines
from stillhouse.records.replicas import Heartbeat, beat
from tests.conftest import Place, a_place
from tests.promotions import seen, serve
from tests.small import small_recipe


def heard(place: Place, replica: str, deployment: int | None, *, refused: int | None = None, ago: float = 0.0) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(timespec="milliseconds")
    beat(place.home.ledger_url, Heartbeat(replica, "small", deployment, "r", refused, at))


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
