"""Owners are told how a round ended, by a real HTTP endpoint here; what cannot be told is said and stops nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.notices import look_and_send, notices_sensor, standing_of
from orchestration.notices import notify_owners as notify
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.contract import Recipe
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import EventKind, note
from stillhouse.records.governance import Waiver, WaiverRules, waive
from stillhouse.records.outbox import Notice, Tone
from stillhouse.records.promotion import hold
from tests.orchestration.ended import GATE, LOG, a_round, closed
from tests.promotions import serve
from tests.small import small_recipe

NOTICE = Notice("small: closed", "the licence does not say", Tone.LOOK)


def notify_owners(builds: BuildStore, recipe: str, key: str = "closed") -> list[str]:
    return notify(builds.ledger, recipe, "round", key, NOTICE)


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of an endpoint of this machine, and what it was sent; it refuses what comes to /refuses."""
    sent: list[dict[str, Any]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            refuses = self.path.startswith("/refuses")
            if not refuses:
                sent.append(content)
            self.send_response(500 if refuses else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{server.server_port}", sent
        server.shutdown()


@pytest.fixture
def recipes(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    return tmp_path


def test_owners_hear_how_the_round_ended(
    recipes: Path, hook: tuple[str, list[dict[str, Any]]], instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    address, sent = hook
    small_recipe(recipes, rows=60, notify=[f"{address}/hook"])
    LOG.clear()
    run = a_round(instance, builds, closed())
    (said,) = sent
    assert (said["title"], said["type"]) == ("small: closed", "warning")
    assert said["message"].splitlines() == [
        f"{GATE} is failed: the licence does not say",
        "Started because: a new batch",
        f"Run {run.run_id[:8]}; `stillhouse diagnose small` says more.",
    ]
    assert LOG == []


def test_an_address_with_a_secret_stays_in_a_variable(
    recipes: Path, hook: tuple[str, list[dict[str, Any]]], builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, sent = hook
    small_recipe(recipes, rows=60, notify=["${OWNERS_HOOK}"])
    assert notify_owners(builds, "small") == [
        "notify.0 of the recipe was not notified: the variable OWNERS_HOOK is not set"
    ]
    monkeypatch.setenv("OWNERS_HOOK", f"{address}/a-secret-in-the-path")
    assert notify_owners(builds, "small", "closed again") == []
    assert [each["message"] for each in sent] == [NOTICE.text]


def test_what_cannot_be_sent_is_said_without_the_address_and_the_others_are_sent(
    recipes: Path, hook: tuple[str, list[dict[str, Any]]], instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    address, sent = hook
    small_recipe(recipes, rows=60, notify=[f"{address}/refuses", "nonsense://host", f"{address}/hook"])
    LOG.clear()
    a_round(instance, builds, closed())
    assert [line.split(": ", 1)[1] for line in LOG] == [
        "the service did not take it; it is tried again", "it is not an address that apprise knows",
    ]  # fmt: skip
    assert not any("127.0.0.1" in line for line in LOG) and len(sent) == 1
    assert builds.ledger.newest("small", "round") is not None


def test_where_no_address_is_named_or_the_recipe_lies_elsewhere_nobody_is_notified(
    recipes: Path, builds: BuildStore
) -> None:
    small_recipe(recipes, rows=60)
    assert notify_owners(builds, "small") == notify_owners(builds, "another") == []
    (recipes / "recipes" / "small" / "defs.yaml").write_text("a: b: c")
    (line,) = notify_owners(builds, "small")
    assert "cannot be read" in line


def test_another_address_is_no_other_contract_and_none_ships(tmp_path: Path) -> None:
    silent, said = (
        small_recipe(tmp_path, rows=60).recipe,
        small_recipe(tmp_path, rows=60, notify=["json://host"]).recipe,
    )
    assert said.notify == ("json://host",) and said.digest == silent.digest
    assert "json://host" not in said.model_dump_json() and isinstance(said, Recipe)


@pytest.mark.parametrize("address", ["json://me:word@host/", "ops@example.com", "$HOOK", ""])
def test_an_address_with_a_password_or_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(StillhouseError, match="notify"):
        small_recipe(tmp_path, rows=60, notify=[address])


def test_the_same_end_of_a_round_is_sent_once_and_what_was_not_taken_by_the_sensor(
    recipes: Path,
    hook: tuple[str, list[dict[str, Any]]],
    instance: dg.DagsterInstance,
    builds: BuildStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, sent = hook
    small_recipe(recipes, rows=60, notify=["${OWNERS_HOOK}"])
    monkeypatch.setenv("OWNERS_HOOK", f"{address}/refuses")
    a_round(instance, builds, closed())
    assert not sent
    monkeypatch.setenv("OWNERS_HOOK", f"{address}/hook")
    assert look(instance) == "everything that was due was sent" and not sent, "not before two minutes"
    with in_the_future(monkeypatch, timedelta(minutes=3)):
        look(instance)
        assert [each["title"] for each in sent] == ["small: closed"]
        a_round(instance, builds, closed())
        look(instance)
    assert len(sent) == 1
    with in_the_future(monkeypatch, timedelta(days=3, minutes=4)):
        look(instance)
    assert len(sent) == 2 and sent[1]["message"].splitlines()[-1] == f"So since {datetime.now(UTC):%Y-%m-%d}."


def test_what_stands_out_between_rounds_is_sent_once(
    recipes: Path, hook: tuple[str, list[dict[str, Any]]], builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, sent = hook
    file, ledger = small_recipe(recipes, rows=60, notify=[f"{address}/hook"]), builds.ledger
    serve(ledger, "a1", recipe="small")
    made = {"asset": "small/champion", "digest": "c" * 64, "manifest": "m", "run_id": "r"}
    ledger.append("materialization", "small", made)
    hold(ledger, "small", by="Ada", reason="The month is being closed.")
    waiver = Waiver(
        "small/champion:a_gate", "Ada", "It is looked at.", (datetime.now(UTC) + timedelta(days=12)).date(), "c" * 64
    )
    waive(ledger, "small", waiver, WaiverRules.of(file.recipe, unwaivable=()))
    for days, titles in {
        6: [],
        7.1: ["small: the champion is held"],
        9.1: ["small: overdue", "small: a waiver ends on"],
        9.2: [],
    }.items():
        sent.clear()
        with in_the_future(monkeypatch, timedelta(days=days)):
            assert look_and_send(builds, file) == []
        assert [each["title"][: len(title)] for each, title in zip(sent, titles, strict=True)] == titles


def test_the_owner_of_a_play_hears_once_a_week_and_of_a_risk_from_its_day_on(
    recipes: Path, hook: tuple[str, list[dict[str, Any]]], builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, sent = hook
    play = {"name": "drift", "on": ["agreement"], "owner": "team:a", "do": "label 200 rows", "cadence": "weekly"}
    monday = datetime(2026, 1, 1, tzinfo=UTC)  # weeks are counted from 1970-01-01, a Thursday as this day is
    risk = {"name": "terms", "what": "the licence of the rows ends", "owner": "team:b", "review": "2026-01-10"}
    file = small_recipe(recipes, rows=60, notify=[f"{address}/hook"], plays=[play], risks=[risk])
    ledger = builds.ledger

    def said(days: float) -> list[str]:
        sent.clear()
        with in_the_future(monkeypatch, monday - datetime.now(UTC) + timedelta(days=days)):
            assert look_and_send(builds, file) == []
        return [each["title"] for each in sent]

    assert said(0.1) == []
    note(ledger, "small", EventKind.INPUTS, "a", "drifted", at=monday + timedelta(days=0.2))
    assert said(0.3) == []
    note(ledger, "small", EventKind.AGREEMENT, "a", "agreement 0.86", at=monday + timedelta(days=0.4))
    assert said(0.5) == ["small: play 'drift'"]
    assert sent[0]["message"].splitlines()[:2] == ["team:a: label 200 rows", "agreement: agreement 0.86"]
    note(ledger, "small", EventKind.AGREEMENT, "b", "agreement 0.84", at=monday + timedelta(days=5))
    assert said(6) == []
    note(ledger, "small", EventKind.AGREEMENT, "c", "agreement 0.82", at=monday + timedelta(days=8))
    assert said(8.1) == ["small: play 'drift'"]
    assert said(9.1) == ["small: a risk is to be looked at"] and "by 2026-01-10 by team:b" in sent[0]["message"]
    assert said(9.2) == []


def test_who_owns_a_play_or_a_risk_is_sent_its_notices_and_nobody_else(
    recipes: Path, hook: tuple[str, list[dict[str, Any]]], builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each address of the endpoint is known by a field that apprise adds to what it posts there."""
    address, sent = hook
    of_a, of_b, of_all = (f"{address}/hook?:whose={who}" for who in ("a", "b", "all"))
    play = {"name": "drift", "on": ["agreement"], "do": "label 200 rows", "cadence": "weekly"}
    risk = {"name": "terms", "what": "the licence of the rows ends", "review": "2026-01-10"}
    said_of = {
        "plays": [{**play, "owner": "team:a"}, {**play, "name": "other", "owner": "team:c"}],
        "risks": [{**risk, "owner": "team:b"}, {**risk, "name": "loss", "owner": "team:c"}],
    }
    ledger = builds.ledger
    note(ledger, "small", EventKind.AGREEMENT, "a", "agreement 0.86", at=datetime.now(UTC))

    def heard(**changes: Any) -> set[tuple[str, str]]:
        sent.clear()
        assert look_and_send(builds, small_recipe(recipes, rows=60, **said_of, **changes)) == []
        return {(each["whose"], each["title"].removeprefix("small: ")) for each in sent}

    looked_at = "a risk is to be looked at"
    assert heard(owner_notify={"team:a": [of_a], "team:b": [of_b]}) == {("a", "play 'drift'"), ("b", looked_at)}
    assert heard(notify=[of_all], owner_notify={"team:a": [of_a], "team:b": [of_b]}) == {
        ("all", "play 'other'"), ("all", looked_at),
    }, "owners without an address are reached by notify, and what was sent is not sent again"  # fmt: skip
    assert heard(notify=[of_all], owner_notify={"team:b": [of_a]}) == {("a", looked_at), ("all", "play 'drift'")}
    with in_the_future(monkeypatch, timedelta(days=3, minutes=5)):
        reminded = heard(notify=[of_all, of_b], owner_notify={"team:b": [of_a]})
    assert {each for each in reminded if each[0] != "all"} >= {("a", looked_at)}
    assert [each["message"] for each in sent if each["whose"] == "b" and "by team:b" in each["message"]] == [], (
        "who is no longer the owner's address is not reminded"
    )


def test_an_owners_address_that_takes_nothing_is_named_by_its_field(
    recipes: Path, hook: tuple[str, list[dict[str, Any]]], builds: BuildStore
) -> None:
    address, sent = hook
    risk = {"name": "terms", "what": "the licence of the rows ends", "owner": "team:b", "review": "2026-01-10"}
    refuses = {"team:b": [f"{address}/refuses", "${NOWHERE_SET}"]}
    file = small_recipe(recipes, rows=60, risks=[risk], owner_notify=refuses)
    assert look_and_send(builds, file) == [
        "owner_notify.team:b.0 of the recipe was not notified: the service did not take it; it is tried again",
        "owner_notify.team:b.1 of the recipe was not notified: the variable NOWHERE_SET is not set",
    ]
    assert not sent


RISK = {"name": "terms", "what": "the licence of the rows ends", "owner": "team:b", "review": "2026-01-10"}


@pytest.mark.parametrize(
    ("addresses", "says"),
    [
        ({"team:x": ["json://host"]}, "team:x owns no play and no risk: team:b"),
        ({"team:b": ["json://me:word@host/"]}, "a password, key or signature is in"),
        ({"team:b": ["ops@example.com"]}, "owner_notify"),
        ({"team:b": []}, "owner_notify"),
    ],
)
def test_an_owners_address_is_held_to_the_same_rules(
    tmp_path: Path, addresses: dict[str, list[str]], says: str
) -> None:
    with pytest.raises(StillhouseError, match=says) as refused:
        small_recipe(tmp_path, rows=60, risks=[RISK], owner_notify=addresses)
    assert "word" not in str(refused.value).replace("password", "")


def test_an_owners_address_is_no_other_contract_and_does_not_ship(tmp_path: Path) -> None:
    silent = small_recipe(tmp_path, rows=60, risks=[RISK]).recipe
    said = small_recipe(tmp_path, rows=60, risks=[RISK], owner_notify={"team:b": ["json://host"]}).recipe
    assert said.notified("team:b") == ("json://host",) and said.digest == silent.digest
    assert "json://host" not in said.model_dump_json()


def test_that_the_rounds_of_the_month_are_used_up_is_sent_once_something_waits_for_one(
    recipes: Path, hook: tuple[str, list[dict[str, Any]]], instance: dg.DagsterInstance, builds: BuildStore
) -> None:
    address, sent = hook
    refresh = {"cron": "0 3 * * 1", "start": ["agreement"], "rounds_per_month": 1, "usd_per_month": 5}
    file = small_recipe(recipes, rows=60, notify=[f"{address}/hook"], refresh=refresh)
    a_round(instance, builds, closed())
    sent.clear()
    assert look_and_send(builds, file) == [] and sent == [], "as long as nothing waits that is as it should be"
    note(builds.ledger, "small", EventKind.INPUTS, "a", "inputs drifted")
    assert look_and_send(builds, file) == [] and sent == [], "which no round is wanted for"
    note(builds.ledger, "small", EventKind.AGREEMENT, "a", "agreement 0.86")
    for _ in range(2):
        assert look_and_send(builds, file) == []
    (said,) = sent
    assert said["title"] == "small: no round may start by itself"
    assert "1 rounds in 30 days, and refresh.rounds_per_month is 1" in said["message"]
    assert said["message"].splitlines()[-1] == "What waits: agreement 0.86"
    # With rounds left, money alone may hold it back.
    computed = {"asset": "small/teacher", "digest": "d" * 64, "manifest": "m", "run_id": "r", "cost_usd": 6.0}
    builds.ledger.append("materialization", "small", computed)
    file = small_recipe(recipes, rows=60, notify=[f"{address}/hook"], refresh={**refresh, "rounds_per_month": 9})
    ((_, (_, notice)),) = (each for each in standing_of(builds, file) if each[0] == "standing:budget")
    assert "6 USD spent in 30 days, and refresh.usd_per_month is 5" in notice.text


@contextmanager
def in_the_future(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> Iterator[None]:
    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + by

    with monkeypatch.context() as patches:
        patches.setattr("orchestration.notices.datetime", Later)
        yield


def look(instance: dg.DagsterInstance) -> str:
    answer = notices_sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)
