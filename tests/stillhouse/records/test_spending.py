"""Money for calls is taken before them, by all servers from one limit, and is never more than it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stillhouse.records.spending import month_now, reserve, settle, spent
from tests.postgres import PG_CTL, postgres

MONTH = "2026-11"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def take(url: str, usd: float, *, recipe: str = "small", month: str = MONTH) -> float | None:
    return reserve(url, recipe, month, usd=usd, usd_at_most=1.0)


def test_a_call_takes_the_most_that_it_can_cost_and_gives_the_rest_back(url: str) -> None:
    assert spent(url, "small", MONTH) == 0.0
    assert take(url, 0.25) == 0.25
    settle(url, "small", MONTH, reserved=0.25, cost=0.125)
    assert spent(url, "small", MONTH) == 0.125
    assert take(url, 0.875) == 1.0


def test_a_call_that_could_go_beyond_the_limit_takes_nothing(url: str) -> None:
    assert take(url, 0.75) == 0.75
    assert take(url, 0.5) is None and spent(url, "small", MONTH) == 0.75, "and what a killed server took stays taken"
    assert take(url, 0.25) == 1.0


def test_each_month_and_each_recipe_has_its_own(url: str) -> None:
    assert take(url, 1.0) == 1.0 and take(url, 0.1) is None
    assert take(url, 1.0, month="2026-12") == 1.0 and take(url, 1.0, recipe="other") == 1.0
    assert len(month_now()) == 7


def race(url: str) -> None:
    """Sixteen servers want the last four fourths of a dollar."""
    begin = threading.Barrier(16)

    def ask(_: int) -> float | None:
        begin.wait()
        return take(url, 0.25)

    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(ask, range(16)))
    assert sorted(each for each in taken if each is not None) == [0.25, 0.5, 0.75, 1.0]
    assert spent(url, "small", MONTH) == 1.0


def test_of_servers_that_want_the_last_cent_as_many_get_one_as_there_are(url: str) -> None:
    race(url)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(PG_CTL is None, reason="there is no Postgres on this machine")
def test_so_it_is_on_postgres() -> None:
    with postgres() as url:
        race(url)
