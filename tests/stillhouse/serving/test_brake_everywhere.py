"""A challenger that most servers ask no more is withdrawn: servers in this process, their heartbeats and a rollout."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

import stillhouse.serving.desired
from orchestration.rollout import move
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.serving import ServingSpec
from stillhouse.records.deployments import Challenger, entry_of, serving_now
from stillhouse.records.events import EventKind, pending
from stillhouse.records.replicas import replicas
from stillhouse.serving.app import Server
from stillhouse.serving.breaker import FAILURES_IN_A_ROW
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.tokens import Access, Tokens
from tests.small import small_recipe
from tests.stillhouse.serving.conftest import RECIPE, Installation
from tests.stillhouse.serving.test_routing import challenger_of, deployed

pytestmark = pytest.mark.long

BAD = "a text that breaks it"


@dataclass
class Replica:
    follower: Follower
    client: TestClient

    def asked(self, times: int, text: str) -> None:
        """Callers of the challenger ask, each once; it answers nine of ten."""
        for number in range(times):
            body = {"text": text, "key": f"caller {number}"}
            assert self.client.post(f"/v1/{RECIPE}/predict", json=body).status_code == 200
        self.follower.look()


@contextmanager
def servers(installation: Installation, *names: str) -> Iterator[list[Replica]]:
    home, found = installation.builds.home, list[Replica]()
    with ExitStack() as stack:
        for name in names:
            slot, tokens = Slot(RECIPE, ServingSpec()), Tokens(home.serving)
            follower = Follower(installation.builds, {RECIPE: slot}, tokens, name)
            server = Server({RECIPE: slot}, RequestIds.of(home.serving), Access(tokens, "127.0.0.1"))
            found.append(Replica(follower, stack.enter_context(TestClient(server, base_url="http://127.0.0.1:8080"))))
            follower.look()
        yield found


@pytest.fixture
def file(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecipeFile:
    """A challenger that most callers ask and that raises on one text; servers speak at each look."""
    champion, other = installation.release(0), installation.release(1)
    installation.promote(0)
    kind, body = entry_of(deployed(champion), "stage", seen=None, hold=None, challenger=challenger_of(other, share=0.9))
    installation.builds.ledger.append(kind, RECIPE, body)
    monkeypatch.setattr(stillhouse.serving.desired, "HEARTBEAT_SECONDS", 0.0)
    real = LoadedRelease.say

    def raises(self: LoadedRelease, clean: str) -> object:
        if self.release == other.digest and clean == BAD:
            raise ValueError(clean)
        return real(self, clean)

    monkeypatch.setattr(LoadedRelease, "say", raises)
    return small_recipe(tmp_path, name=RECIPE, rows=60, traffic={}, rollout={})


def challenger(installation: Installation) -> Challenger | None:
    return serving_now(installation.builds.ledger, RECIPE).challenger


def test_on_one_of_three_servers_it_is_said_and_on_two_the_release_is_withdrawn(
    installation: Installation, file: RecipeFile
) -> None:
    builds = installation.builds
    with servers(installation, "one", "two", "three") as (one, two, three):
        assert "answers 90% of the callers: 100 more callers" in move(builds, file).sentence
        one.asked(3 * FAILURES_IN_A_ROW, BAD)
        two.asked(20, "who is the king ?")
        step = move(builds, file)
        assert "answers 90% of the callers, asked on 2 of 3 servers: 100 more callers" in step.sentence
        assert challenger(installation) is not None
        two.asked(3 * FAILURES_IN_A_ROW, BAD)
        step = move(builds, file)
        why = "it failed so often that 2 of 3 servers ask it no more: one, two"
        assert f"is withdrawn: {why}" in step.sentence and challenger(installation) is None
        three.follower.look()
        said = three.client.post(f"/v1/{RECIPE}/predict", json={"text": BAD, "key": "caller 1"}).json()
        assert said["degraded"] is False, "the champion answers everybody"
    ledger = builds.ledger
    withdrawal = ledger.newest(RECIPE, "withdrawal")
    assert withdrawal is not None and (withdrawal.body["by"], withdrawal.body["reason"]) == ("rollout", why)
    evidence = ledger.entries(RECIPE, "deployment")[-1].body["evidence"]
    assert evidence["stopped"] == {"servers": ["one", "two"], "alive": 3}
    (event,) = pending(ledger, RECIPE)
    assert event.kind is EventKind.SERVICE
    assert [each.challenger_stopped for each in replicas(ledger.url, RECIPE)] == [True, None, True]


def test_servers_that_ask_it_and_a_table_of_an_earlier_version_hold_nothing_up(
    installation: Installation, file: RecipeFile
) -> None:
    engine = sa.create_engine(installation.builds.ledger.url)
    with engine.begin() as connection:  # as an earlier version has it
        connection.execute(
            sa.text(
                "CREATE TABLE replicas (replica VARCHAR(200), recipe VARCHAR(200), deployment INTEGER, "
                "release VARCHAR(64), refused INTEGER, seen_at VARCHAR(40) NOT NULL, PRIMARY KEY (replica, recipe))"
            )
        )
        connection.execute(
            sa.text("INSERT INTO replicas VALUES ('old', :recipe, 1, 'r', NULL, '2026-01-01T00:00:00+00:00')"),
            {"recipe": RECIPE},
        )
    with servers(installation, "one", "two") as (one, _):
        one.asked(20, "who is the king ?")
        sentence = move(installation.builds, file).sentence
        assert "answers 90% of the callers: 100 more callers" in sentence
    stopped = {each.replica: each.challenger_stopped for each in replicas(installation.builds.ledger.url, RECIPE)}
    assert stopped == {"old": None, "one": False, "two": False}
