"""The month begins as it has to, and its parts say what they have to; `make month` plays all of it."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tests.month import page
from tests.month.callers import MIX, RARE, Callers
from tests.month.chronicle import Line, chronicle
from tests.month.play import installation, play
from tests.month.story import AS_WRITTEN, DAYS, MONTH
from tests.month.world import FIRST_DAY, day_of

pytestmark = pytest.mark.slow


def test_the_first_day_is_as_it_was_written(tmp_path: Path, shared: Path) -> None:
    with installation(tmp_path, 60, seeded=shared) as world:
        assert next(play(world)) == 1
        lines = chronicle(world.place.builds, world.file)
    came = [f"{day_of(line.at)} {line.what}" for line in lines]
    assert came == [line for line in AS_WRITTEN if int(line.split()[0]) <= 1]
    assert world.answers.keys() == {"200"} and world.answers.total() > 50
    assert not world.daemon.broken and not world.degraded


def test_who_asks_what_follows_from_the_day_alone_and_from_its_mix() -> None:
    callers = Callers(2_000)
    day = [*callers.on(3, {RARE: 0.4})]
    assert day == [*callers.on(3, {RARE: 0.4})] != [*callers.on(4, {RARE: 0.4})]
    shares = {name: many / len(day) for name, many in Counter(each.truth for each in day).items()}
    assert shares[RARE] == pytest.approx(0.4, abs=0.05)
    assert shares["LOC"] == pytest.approx(MIX["LOC"] * 0.6 / (1 - MIX[RARE]), abs=0.05)
    assert [each.moment for each in day] == sorted(each.moment for each in day) and day[-1].moment < 86_400


def test_the_page_has_a_row_for_each_day_on_which_anything_happens() -> None:
    at = FIRST_DAY + timedelta(days=1, hours=9)
    lines = [Line(at, "rows arrive", "new file | a"), Line(at, "a round ends: kept", "of 12 rows (drawn by key 5)")]
    rows = page.table(lines).splitlines()[2:]
    assert rows[0] == "| 2 |  | rows arrive (new file / a); a round ends: kept |"
    assert len(rows) == len(MONTH) + 1 and all(1 <= day <= DAYS for day in MONTH)


def test_what_was_written_down_is_in_the_order_of_the_days() -> None:
    days = [int(line.split()[0]) for line in AS_WRITTEN]
    assert days == sorted(days) and days[-1] <= DAYS
