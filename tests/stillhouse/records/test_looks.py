"""The last look of each kind is remembered, also when several look at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from stillhouse.records.looks import LookKind, last_looks, looked
from tests.postgres import PG_CTL, postgres

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def test_nobody_has_looked_at_what_nobody_has_looked_at(tmp_path: Path) -> None:
    looked(url(tmp_path), "other", LookKind.ROUNDS, AT)
    assert last_looks(url(tmp_path), "small") == {}


def test_the_last_look_of_each_kind_counts_whatever_zone_it_was_said_in(tmp_path: Path) -> None:
    eastern = timezone(timedelta(hours=5))
    looked(url(tmp_path), "small", LookKind.WATCH, AT)
    looked(url(tmp_path), "small", LookKind.ROUNDS, AT)
    looked(url(tmp_path), "small", LookKind.ROUNDS, (AT + timedelta(minutes=3)).astimezone(eastern))
    assert last_looks(url(tmp_path), "small") == {LookKind.WATCH: AT, LookKind.ROUNDS: AT + timedelta(minutes=3)}


@pytest.mark.long
@pytest.mark.parametrize("on_postgres", [False, True])
def test_of_several_first_looks_at_once_none_fails(on_postgres: bool, tmp_path: Path) -> None:
    if on_postgres and PG_CTL is None:
        pytest.skip("needs Debian's postgresql")
    with postgres() if on_postgres else nullcontext(url(tmp_path)) as there:
        last_looks(there, "small")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: looked(there, "small", LookKind.ROUNDS, AT), range(16)))
        assert last_looks(there, "small") == {LookKind.ROUNDS: AT}
