"""What people do with the traffic log: erase, and go from an answer to the rows behind it."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import pytest
from typer.testing import CliRunner

import orchestration.auditing
from orchestration.auditing import audit_request
from orchestration.cli import app
from orchestration.runs import lock_of_days
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.segments import TrafficStore
from stillhouse.recipe.reading import RecipeFile, read_recipe
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import desired
from stillhouse.records.locks import recipes_locked
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.requests import ServedRequest
from stillhouse.serving.traffic_logs import log_of
from tests.small import small_recipe
from tests.stillhouse.chain import Chain, OurGates
from tests.stillhouse.serving.killed import served

KEEP = {"traffic": {"days": 90}}


@pytest.fixture
def chain(home: Home, monkeypatch: pytest.MonkeyPatch) -> Chain:
    monkeypatch.setattr(orchestration.auditing, "gates_of", lambda stage: OurGates())
    chain = Chain(BuildStore(home))
    chain.promote(chain.release())
    return chain


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecipeFile:
    small_recipe(tmp_path, rows=100, name="r", **KEEP)
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    return read_recipe(tmp_path / "recipes" / "r" / "defs.yaml")


def answered(home: Home, file: RecipeFile, **changes: object) -> ServedRequest:
    """An answer of the champion, sealed."""
    deployment = desired(BuildStore(home).ledger, "r")
    number, release = (0, "r" * 64) if deployment is None else (deployment.number, deployment.champion.release)
    id = RequestIds.of(home.serving).issue()
    said = {"release": release, "deployment": number, **changes}
    row = replace(served(id, at=time.time()), **said)  # type: ignore[arg-type]
    log = log_of(home, file, "r1")
    log.put(row)
    log.close()
    return row


def test_an_answer_leads_to_the_release_that_gave_it_and_to_its_rows(
    chain: Chain, home: Home, file: RecipeFile
) -> None:
    row = answered(home, file)
    found = audit_request(home, "r", row.id)
    assert (found.ok, found.problems, found.release, found.replica) == (True, (), row.release, "r1")
    assert {link.asset for link in found.audit.chain} >= {"r/release", "r/contract", "r/source[base]"}


def test_an_answer_of_an_earlier_release_leads_to_that_one(chain: Chain, home: Home, file: RecipeFile) -> None:
    row = answered(home, file)
    chain.promote(chain.release("another model"))
    found = audit_request(home, "r", row.id)
    assert found.audit.promotion is not None
    assert (found.ok, found.audit.promotion.release) == (True, row.release)
    assert found.audit.chain[0].asset == "r/release"


def test_answers_that_never_expire_are_said(home: Home, file: RecipeFile, tmp_path: Path) -> None:
    """Regression: with `traffic:` taken out of a recipe its texts stayed for good, whatever `text_days` had said."""

    def said(*more: str) -> str:
        return CliRunner().invoke(app, ["status", "r", *more], env={"COLUMNS": "300"}).stdout

    answered(home, file)
    assert json.loads(said("--json"))["recipes"]["r"]["kept_traffic"] is None
    small_recipe(tmp_path, rows=100, name="r")
    line = json.loads(said("--json"))["recipes"]["r"]["kept_traffic"]
    assert line.startswith("answers from ") and line.endswith(f"or remove {home.artifacts}/traffic/r")
    assert line in said()
    rmtree(Path(home.artifacts) / "traffic" / "r")
    assert json.loads(said("--json"))["recipes"]["r"]["kept_traffic"] is None


def test_an_answer_by_a_release_that_should_not_have_served_is_a_problem(
    chain: Chain, home: Home, file: RecipeFile
) -> None:
    row = answered(home, file, release="f" * 64)
    found = audit_request(home, "r", row.id)
    assert "and ffffffffffff answered" in found.problems[0]
    assert "release ffffffffffff was never promoted" in found.audit.problems
    assert not found.ok
    unknown = answered(home, file, deployment=10_000)
    assert "the ledger has no deployment" in audit_request(home, "r", unknown.id).problems[0]


def test_an_id_that_nobody_issued_and_one_of_which_nothing_is_kept_are_refused(home: Home, file: RecipeFile) -> None:
    with pytest.raises(StillhouseError, match="there is no secret of servers here"):
        audit_request(home, "r", "A" * 28)
    assert not home.serving.exists(), "who only looks makes none"
    RequestIds.of(home.serving)
    with pytest.raises(StillhouseError, match="no server of this installation issued this id"):
        audit_request(home, "r", "A" * 28)
    with pytest.raises(StillhouseError, match="no answer with this id is kept"):
        audit_request(home, "r", RequestIds.of(home.serving).issue())


def test_the_command_prints_the_way(chain: Chain, home: Home, file: RecipeFile) -> None:
    row = answered(home, file)
    ended = CliRunner().invoke(app, ["audit", "r", "--request", row.id])
    assert ended.exit_code == 0
    assert row.id in ended.output and "r/release" in ended.output
    shown = json.loads(CliRunner().invoke(app, ["audit", "r", "--request", row.id, "--json"]).output)
    assert shown["audit"]["ok"] is True
    with pytest.raises(StillhouseError, match="both are given"):
        CliRunner().invoke(app, ["audit", "r", "--request", row.id, "--head", "0"], catch_exceptions=False)


@pytest.mark.parametrize("edited", [None, "attributes: ["])
def test_answers_of_a_recipe_that_is_gone_are_audited_and_erased(
    chain: Chain, home: Home, file: RecipeFile, edited: str | None
) -> None:
    """Regression: of a recipe that was renamed nobody could audit what served, or erase a text that was kept of it."""
    row = answered(home, file, key=RequestIds.of(home.serving).keyed("customer 4711"))
    file.path.unlink()
    if edited is not None:
        file.path.write_text(edited)
    for asked in ([], ["--request", row.id]):
        assert CliRunner().invoke(app, ["audit", "r", *asked], catch_exceptions=False).exit_code == 0
    erased = CliRunner().invoke(app, ["erase", "r", "--key", "customer 4711"], catch_exceptions=False)
    assert "1 text erased, and the key in 1 answer" in erased.output
    with pytest.raises(StillhouseError, match="no recipe of this name"):
        CliRunner().invoke(app, ["audit", "other"], catch_exceptions=False)


def test_erasing_leaves_a_count_in_the_ledger_and_neither_key_nor_id(home: Home, file: RecipeFile) -> None:
    key = "customer 4711"
    kept, gone = answered(home, file), answered(home, file, key=RequestIds.of(home.serving).keyed(key))
    ended = CliRunner().invoke(app, ["erase", "r", "--key", key], catch_exceptions=False)
    assert "1 text erased, and the key in 1 answer" in " ".join(ended.output.split())
    store = TrafficStore(home.artifacts, "r")
    assert [id for day in store.days() for id in store.frame(day, "texts")["id"]] == [kept.id]
    CliRunner().invoke(app, ["erase", "r", "--id", kept.id], catch_exceptions=False)
    first, second = BuildStore(home).ledger.entries("r", "erasure")
    assert {name: first.body[name] for name in ("by", "texts", "keys")} == {"by": "key", "texts": 1, "keys": 1}
    assert {name: second.body[name] for name in ("by", "texts", "keys")} == {"by": "id", "texts": 1, "keys": 0}
    for secret in (key, str(gone.key), gone.id, kept.id):
        assert secret not in json.dumps([first.body, second.body])


def test_a_caller_who_cannot_be_known_here_is_not_said_to_be_erased(home: Home, file: RecipeFile) -> None:
    """With another secret the stand-in of a key is another: whoever looks for it finds nothing, and all is still there.

    So on a machine to which the secret was not copied, and for what was answered before it was made anew.
    """
    key, secret = "customer 4711", home.serving / "secret"
    command = ["erase", "r", "--key", key]
    with pytest.raises(StillhouseError, match="there is no secret of servers here"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    answered(home, file, key=RequestIds.of(home.serving).keyed(key))
    kept = secret.read_bytes()
    secret.unlink()
    answered(home, file, key=RequestIds.of(home.serving).keyed(key))
    ended = CliRunner().invoke(app, command, catch_exceptions=False)
    said = " ".join(ended.output.split())
    assert ended.exit_code == 1 and "1 text erased, and the key in 1 answer" in said
    assert "1 answers with a key were given under another secret" in said
    secret.write_bytes(kept)
    ended = CliRunner().invoke(app, command, catch_exceptions=False)
    assert ended.exit_code == 0 and "1 text erased, and the key in 1 answer" in ended.output
    assert "another secret" not in CliRunner().invoke(app, command, catch_exceptions=False).output


def test_of_one_answer_it_is_said_what_was_found(home: Home, file: RecipeFile) -> None:
    """A mistyped id is refused: whoever is told of 0 texts believes that there is none."""

    def said(id: str) -> str:
        ended = CliRunner().invoke(app, ["erase", "r", "--id", id], catch_exceptions=False)
        assert ended.exit_code == 0
        return " ".join(ended.output.split()).partition(";")[0]

    row = answered(home, file)
    mistyped = row.id[:-1] + ("A" if row.id[-1] != "A" else "B")
    with pytest.raises(StillhouseError, match="no answer with this id is kept of r, and no server"):
        said(mistyped)
    assert BuildStore(home).ledger.entries("r", "erasure") == []
    assert said(row.id) == "1 text erased"
    assert said(row.id) == "0 texts erased: the answer is kept without one"
    elsewhere = RequestIds.of(home.serving).issue()
    assert said(elsewhere) == "0 texts erased: no answer with this id is kept of r", "a server may have it still"


def test_an_answer_that_is_kept_is_erased_whatever_secret_its_id_was_made_with(home: Home, file: RecipeFile) -> None:
    row = answered(home, file)
    (home.serving / "secret").unlink()
    ended = CliRunner().invoke(app, ["erase", "r", "--id", row.id], catch_exceptions=False)
    assert ended.exit_code == 0 and ended.output.startswith("1 text erased;")


def test_an_erasure_waits_for_whoever_rewrites_the_same_files(home: Home, file: RecipeFile) -> None:
    answered(home, file, key=RequestIds.of(home.serving).keyed("customer 4711"))
    arguments = ["erase", "r", "--key", "customer 4711"]
    ledger = BuildStore(home).ledger
    with recipes_locked(home, [lock_of_days("r")], by="another erasure", waiting=lambda *_: None):
        other = threading.Thread(target=CliRunner().invoke, args=(app, arguments))
        other.start()
        other.join(1.0)
        assert other.is_alive() and ledger.entries("r", "erasure") == []
    other.join(60)
    (entry,) = ledger.entries("r", "erasure")
    assert entry.body["texts"] == 1


@pytest.mark.parametrize("options", [(), ("--key", "a", "--id", "b")])
def test_erasing_needs_one_of_key_and_id(home: Home, file: RecipeFile, options: tuple[str, ...]) -> None:
    with pytest.raises(StillhouseError, match="--key, --id"):
        CliRunner().invoke(app, ["erase", "r", *options], catch_exceptions=False)


@pytest.mark.parametrize("id", ["", "x", "A" * 28, "../../x"])
def test_an_id_that_is_misspelt_is_not_said_to_be_erased(home: Home, file: RecipeFile, id: str) -> None:
    """Regression: of an id that no answer can have it was said that servers erase it before they seal it."""
    command = ["erase", "r", "--id", id]
    with pytest.raises(StillhouseError, match=r"no secret of servers here|no server of this installation issued it"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    answered(home, file)
    with pytest.raises(StillhouseError, match=r"no secret of servers here|no server of this installation issued it"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    erasures = TrafficStore(home.artifacts, "r").erasures()
    assert erasures == [] and BuildStore(home).ledger.entries("r", "erasure") == []


def test_an_empty_key_is_refused(home: Home, file: RecipeFile) -> None:
    with pytest.raises(StillhouseError, match="--key: it is empty"):
        CliRunner().invoke(app, ["erase", "r", "--key", ""], catch_exceptions=False)
