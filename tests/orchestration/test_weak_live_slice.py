"""A critical slice that has failed is answered by the release before: real rounds, the watch without Dagster, a server.

The tests are steps on the way of one recipe and run in order. What else can happen is in
tests/stillhouse/serving/test_watch_quarantine.py.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from orchestration.auditing import audit_recipe
from orchestration.watch import look
from stillhouse.live.findings import BY, Action, FoundKind
from stillhouse.live.segments import SECONDS_A_DAY
from stillhouse.live.state import WatchBook
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import serving_now
from stillhouse.records.rollouts import counting
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.tokens import Access, Tokens
from tests.conftest import Place
from tests.faults.live_report import TRAFFIC, answers, keep
from tests.small import small_recipe, students_after
from tests.steps import command, release_of, within_a_day

pytestmark = pytest.mark.slow

RELEASES: dict[str, str] = {}
SLICE = {"name": "places", "column": "label", "values": ["LOC"], "critical": True, "margin": 0.6}


def recipe(place: Place, epochs: int) -> RecipeFile:
    """Students that differ in how much they learned, under a bar that any of them clears."""
    return small_recipe(
        place.folder, students=students_after(epochs), bar={"margin": 0.6, "champion_margin": 0.3}, slices=[SLICE],
        traffic=TRAFFIC, watch={"ask_teacher": 0.0, "latency_ms": 1000.0, "agreement_tolerance": 0.3},
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("weak"), seeded=shared) as place:
        RELEASES["first"], RELEASES["second"] = (release_of(place, recipe(place, epochs)) for epochs in (4, 6))
        yield place


def test_the_watch_has_the_release_before_answer_what_the_champion_gets_wrong(place: Place) -> None:
    file = recipe(place, 6)
    assert not look(place.builds, file, at=time.time() - 60).findings
    day = answers(place.builds)
    wrong = pl.when(pl.col("label") == "LOC").then(pl.lit("HUM")).otherwise("truth").alias("truth")
    keep(place.builds, day.with_columns(wrong))
    places = day.filter(pl.col("label") == "LOC")["text"].to_list()
    others = day.filter(pl.col("label") != "LOC")["text"].to_list()
    found = look(place.builds, file, at=time.time() + SECONDS_A_DAY)
    assert [(each.kind, each.action) for each in found.findings] == [(FoundKind.WEAK_SLICE, Action.QUARANTINE)]
    serves = serving_now(place.builds.ledger, "small")
    (given,) = serves.quarantine
    assert (given.slice, given.labels, given.by, given.reason) == ("places", ("LOC",), BY, found.findings[0].sentence)
    assert given.instead is not None and given.instead.release == RELEASES["first"]
    assert serves.champion.release == RELEASES["second"]
    slot, tokens = Slot("small", file.recipe.serving), Tokens(place.home.serving)
    Follower(place.builds, {"small": slot}, tokens, "one").look()
    server = Server({"small": slot}, RequestIds.of(place.home.serving), Access(tokens, "127.0.0.1"))
    with TestClient(server, base_url="http://127.0.0.1:8080") as client:

        def by_whom(texts: list[str]) -> set[str]:
            return {client.post("/v1/small/predict", json={"text": each}).json()["release"] for each in texts}

        assert by_whom(places) == {RELEASES["first"]} and by_whom(others[:50]) == {RELEASES["second"]}


def test_status_says_it_and_the_audit_is_green(place: Place) -> None:
    shown = " ".join(command("status", "small").output.split())
    assert f"places is answered by one {RELEASES['first'][:12]} until" in shown
    assert audit_recipe(place.home, "small").problems == ()


def test_a_person_ends_it_with_this_day_and_it_is_not_begun_again(place: Place) -> None:
    today = place.builds.ledger.now().date()
    signed = ["--by", "Ann Lee <ann@example.org>", "--reason", "the feedback of that day was wrong"]
    assert command("quarantine", "small", "places", *signed, "--until", str(today)).exit_code == 0
    serves = serving_now(place.builds.ledger, "small")
    assert counting(serves, today + timedelta(days=1)) == ()
    assert command("watch", "small", "--once").exit_code == 0
    assert serving_now(place.builds.ledger, "small") == serves
    assert len(WatchBook(place.builds.ledger.url, "small").findings()) == 1
