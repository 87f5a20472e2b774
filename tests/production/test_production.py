"""Two servers, a daemon, a Postgres and an S3 API: `make test-production`.

The tests are steps on the way of one installation and run in order.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module

import pytest

from stillhouse.home import CHECKOUT
from stillhouse.live.segments import TrafficStore
from stillhouse.records.replicas import replicas as heard_of
from tests.end_to_end.rounds import nothing_goes, until
from tests.end_to_end.server import dagster_dev
from tests.postgres import PG_CTL
from tests.production.installation import (
    RECIPE,
    Production,
    metric,
    production,
    read,
    serves,
    share_secret,
    waited,
    who_serves,
)
from tests.s3 import BUCKET, IS_INSTALLED
from tests.stillhouse.serving.server import Running as Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PG_CTL is None, reason="needs Debian's postgresql"),
    pytest.mark.skipif(not IS_INSTALLED, reason="needs the packages of the group `production`"),
]
TEXT = "Who wrote Faust ?"
SHORT_SECONDS = 30.0
"""The drop folder is looked at every five seconds, and a server hears of it every ten."""
BY = ("--by", "Ann Lee", "--reason", "a drill of going back")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with production(tmp_path_factory.mktemp("production")) as place:
        yield place


@pytest.fixture(scope="module")
def servers(place: Production) -> Iterator[list[Server]]:
    """Both servers; one that a test has ended is started again by it."""
    with ExitStack() as running:
        first = running.enter_context(place.replicas[0].started())
        share_secret(place.replicas)
        yield [first, running.enter_context(place.replicas[1].started())]


def since_a_look(server: Server) -> float:
    return metric(server, "stillhouse_rounds_look_age_seconds")


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
        for each in servers:
            waited(lambda each=each: since_a_look(each) < SHORT_SECONDS, "it has not heard of the daemon's looks")
    for each in servers:
        waited(lambda each=each: since_a_look(each) > SHORT_SECONDS, "it does not show that the daemon has ended")
    place.assert_every_row_is_in_one_batch()
    assert {each.ask(RECIPE, text=TEXT)["deployment"] for each in servers} == {place.deployment()}


def test_a_rollback_is_followed_by_both(place: Production, servers: list[Server]) -> None:
    before = who_serves(servers[0])
    said = place.command("rollback", RECIPE, *BY)
    assert said.returncode == 0, said
    for each in servers:
        waited(serves(each, place.deployment()), "a server does not follow")
        assert who_serves(each)["release"] != before["release"]


def test_a_server_without_its_ledger_serves_on_says_so_and_follows_later(
    place: Production, servers: list[Server]
) -> None:
    away, before = place.replicas[1], who_serves(servers[1])
    away.ledger.cut()
    said = place.command("promote", RECIPE, place.newest("release").digest, *BY)
    assert said.returncode == 0, said
    waited(serves(servers[0], place.deployment()), "the other server does not follow")
    waited(lambda: "the ledger has not answered" in read(servers[1], "/readyz")[1], "it does not say so")
    assert read(servers[1], "/readyz")[0] == 200 and metric(servers[1], "stillhouse_ledger_age_seconds") > 10
    assert servers[1].ask(RECIPE, text=TEXT)["release"] == before["release"]
    away.ledger.join()
    waited(serves(servers[1], place.deployment()), "it does not follow after healing")
    assert read(servers[1], "/readyz") == (200, "ready\n")


def test_one_that_is_killed_without_ledger_and_store_begins_with_what_it_served_last(
    place: Production, servers: list[Server]
) -> None:
    away, before = place.replicas[1], who_serves(servers[1])
    away.ledger.cut()
    away.store.cut()
    servers[1].kill()
    with away.started() as again:
        assert who_serves(again) == before and again.ask(RECIPE, text=TEXT)["release"] == before["release"]
        said = place.command("rollback", RECIPE, *BY)
        assert said.returncode == 0, said
        away.ledger.join()
        waited(serves(again, place.deployment()), "it does not go back: the release is in its cache")
        away.store.join()


def test_rows_of_traffic_wait_for_the_store_and_none_is_lost(place: Production) -> None:
    """The second server has ended after its first life was killed; what neither could send is sent by the third."""
    away = place.replicas[1]
    away.store.cut()
    with away.started() as server:
        assert server.ask(RECIPE, text=TEXT)["label"]
    with away.started() as server:
        waited(lambda: metric(server, "stillhouse_log_troubled") == 1, "it does not say that rows wait")
        status, text = read(server, "/readyz")
        assert status == 200 and "rows of traffic wait on this disk" in text
        away.store.join()
        waited(lambda: metric(server, "stillhouse_log_troubled") == 0, "rows are not sent after healing")
    kept = TrafficStore(place.home.artifacts, RECIPE)
    of_two = {day: tally for day in kept.days() for tally in kept.tallies(day) if tally.replica == "two"}
    assert of_two and sum(tally.lost for tally in of_two.values()) <= 2
    for day, tally in of_two.items():
        assert tally.unsealed == 0
        assert kept.frame(day, "requests").filter(replica="two").height == tally.requests


def test_the_bucket_takes_the_rules_of_what_may_expire(place: Production) -> None:
    rules = json.loads((CHECKOUT / "deploy" / "s3" / "lifecycle.json").read_text())
    bucket = import_module("boto3").client("s3")
    bucket.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=rules)
    found = bucket.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert [rule["ID"] for rule in found] == [rule["ID"] for rule in rules["Rules"]]


def test_a_store_that_is_away_is_said_in_one_line(place: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = place.command("status", RECIPE, "--verify")
    assert said.returncode != 0 and "Traceback" not in said.stderr, said


def test_all_of_it_holds_at_the_end(place: Production) -> None:
    said = place.command("audit", RECIPE)
    assert said.returncode == 0, said
