"""Two servers, a daemon, a Postgres and an S3 API: `make test-production`.

The tests are steps on the way of one installation and run in order.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from stillhouse.records.replicas import replicas as heard_of
from tests.end_to_end.rounds import nothing_goes, until
from tests.end_to_end.server import dagster_dev
from tests.postgres import PG_CTL
from tests.production.installation import (
    RECIPE,
    Production,
    production,
    serves,
    share_secret,
    waited,
)
from tests.s3 import IS_INSTALLED
from tests.stillhouse.serving.server import Running as Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PG_CTL is None, reason="needs Debian's postgresql"),
    pytest.mark.skipif(not IS_INSTALLED, reason="needs the packages of the group `production`"),
]
TEXT = "Who wrote Faust ?"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with production(tmp_path_factory.mktemp("production")) as place:
        yield place


@pytest.fixture(scope="module")
def servers(place: Production) -> Iterator[list[Server]]:
    """Both servers."""
    with ExitStack() as running:
        first = running.enter_context(place.replicas[0].started())
        share_secret(place.replicas)
        yield [first, running.enter_context(place.replicas[1].started())]


def test_the_main_way_leaves_nothing_of_it_on_this_machine(place: Production) -> None:
    assert not list(place.home.root.rglob("ledger.db")) and not list(place.home.dagster.rglob("*.db"))
    assert place.instance.get_runs(limit=1), "Dagster has them, on the Postgres of deploy/dagster.postgres.yaml"
    assert not (place.home.root / "artifacts").exists()
    seen = place.command("status", RECIPE, "--verify")
    assert (seen.returncode, " 0 problems" in seen.stdout) == (0, True), seen


def test_both_servers_answer_alike_and_know_each_others_answers(place: Production, servers: list[Server]) -> None:
    first, second = (server.ask(RECIPE, text=TEXT) for server in servers)
    said = ("label", "confidence", "release", "deployment")
    assert [first[name] for name in said] == [second[name] for name in said]
    assert first["deployment"] == place.deployment()
    truth = {"id": first["id"], "truth": first["label"]}
    assert servers[1].tell(RECIPE, **truth) == 202, "of an answer that the other one gave"
    known = {each.replica: each.deployment for each in heard_of(place.home.ledger_url, RECIPE)}
    assert known == {"one": place.deployment(), "two": place.deployment()}


def test_a_file_in_the_bucket_becomes_a_champion_that_both_serve(place: Production, servers: list[Server]) -> None:
    before = place.deployment()
    with dagster_dev(place.folder, place.file, place.home) as server:
        place.drop_new_rows("monday.csv")
        until(place, lambda: place.deployment() != before, "no other champion")
        for each in servers:
            waited(serves(each, place.deployment()), "a server does not follow")
        until(place, nothing_goes(place), "a run does not end")
        for run in place.rounds():
            assert run.is_success or server.finished(run.run_id) == "SUCCESS", server.failures(run.run_id)
    place.assert_every_row_is_in_one_batch()
    assert {each.ask(RECIPE, text=TEXT)["deployment"] for each in servers} == {place.deployment()}
