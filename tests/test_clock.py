"""No day ends while a test runs."""

from datetime import UTC, datetime, timedelta

import time_machine

from tests.clock import SECONDS_OF_A_TEST, midday, seconds_to_wait

MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC)


def test_a_test_that_would_begin_shortly_before_midnight_begins_after_it() -> None:
    for before in (0.001, 1.0, SECONDS_OF_A_TEST - 1):
        begins = MIDNIGHT - timedelta(seconds=before)
        assert begins + timedelta(seconds=seconds_to_wait(begins)) == MIDNIGHT
    for after in (-SECONDS_OF_A_TEST, 0.0, 1.0, 43_200.0):
        assert seconds_to_wait(MIDNIGHT + timedelta(seconds=after)) == 0.0


def test_at_midday_the_day_goes_on_for_hours_and_what_was_made_before_is_older() -> None:
    with time_machine.travel(MIDNIGHT - timedelta(seconds=1), tick=True):
        before = datetime.now(UTC)
        with midday():
            began = datetime.now(UTC)
            assert (began.date(), began.hour) == (MIDNIGHT.date(), 12) and before < began < datetime.now(UTC)
        assert datetime.now(UTC) - before < timedelta(hours=1)
