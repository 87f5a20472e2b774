"""What the command line adds to an audit: the gates there are, what Dagster shows, and the bytes of what is current."""

import json
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

import orchestration.auditing
from orchestration.auditing import audit_recipe, champion_that_dagster_shows
from orchestration.cli import app
from orchestration.instance import initialise
from stillhouse.home import Home
from stillhouse.records.builds import BuildStore
from stillhouse.records.keys import Keys
from tests.conftest import Run
from tests.small import small_recipe
from tests.stillhouse.chain import Chain, OurGates


@pytest.fixture
def chain(home: Home, monkeypatch: pytest.MonkeyPatch) -> Chain:
    """A promoted release of the recipe `r`, whose stages have two gates each."""
    monkeypatch.setattr(orchestration.auditing, "gates_of", lambda stage: OurGates())
    chain = Chain(BuildStore(home))
    chain.promote(chain.release())
    return chain


@pytest.mark.experiment("A38")
def test_an_audit_needs_nothing_from_dagster(chain: Chain, home: Home) -> None:
    assert champion_that_dagster_shows(home, "r") is None and audit_recipe(home, "r").problems == ()
    with initialise(home):
        assert audit_recipe(home, "r").problems == ()


@pytest.mark.experiment("A33")
def test_a_champion_that_only_dagster_shows_is_found(chain: Chain, home: Home) -> None:
    champion = audit_recipe(home, "r").chain[0]
    with initialise(home) as instance:
        for digest, ok in ((champion.digest, True), ("0" * 64, False)):
            event = dg.AssetMaterialization(dg.AssetKey(["r", "champion"]), metadata={"digest": digest})
            instance.report_runless_asset_event(event)
            assert audit_recipe(home, "r").ok is ok
        assert "Dagster shows 000000000000" in audit_recipe(home, "r").problems[0]


def test_an_event_without_our_facts_is_passed_by(chain: Chain, home: Home) -> None:
    with initialise(home) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey(["r", "champion"])))
    assert audit_recipe(home, "r").problems == ()


def test_gates_that_a_release_was_never_asked_are_problems(
    chain: Chain, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("STILLHOUSE_HOME", str(home.root))
    problems = audit_recipe(home, "r").problems
    assert any("r/release: the ledger has no verdict on" in line and "the_bundle_is_whole" in line for line in problems)


@pytest.mark.experiment("A14")
def test_status_says_that_it_hashed_nothing_and_verify_hashes(
    home: Home, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small_recipe(tmp_path, rows=50)
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    assert run(file, "contract").success
    made = BuildStore(home).ledger.newest("small", "materialization", subject="small/contract")
    assert made is not None
    recipe = Path(home.artifacts) / made.body["digest"] / "files" / "recipe.json"

    plain = CliRunner().invoke(app, ["status", "small"])
    assert "no artifact was hashed" in " ".join(plain.stdout.split())
    whole = json.loads(CliRunner().invoke(app, ["status", "small", "--verify", "--json"]).stdout)
    assert whole["recipes"]["small"]["verified"] == {"artifacts": 1, "problems": []}
    recipe.chmod(0o644)
    recipe.write_bytes(recipe.read_bytes().replace(b"{", b"["))
    altered = CliRunner().invoke(app, ["status", "small", "--verify"])
    assert altered.exit_code == 1 and "small/contract: " in altered.stdout and "was altered" in altered.stdout


def test_the_command_audits_prints_the_head_and_compares_one(
    chain: Chain, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_recipe(tmp_path, name="r", rows=50)
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    shown = CliRunner().invoke(app, ["audit", "r"])
    head = audit_recipe(home, "r").head
    assert shown.exit_code == 0 and head in shown.stdout and "not proven: no entry is signed" in shown.stdout
    assert CliRunner().invoke(app, ["audit", "r", "--head", head]).exit_code == 0
    gone = CliRunner().invoke(app, ["audit", "r", "--head", "0" * 64, "--json"])
    assert gone.exit_code == 1
    said = json.loads(gone.stdout)
    assert said["ok"] is False and "what was written down is gone" in said["problems"][0]
    assert said["chain"][1].keys() >= {
        "asset", "digest", "manifest", "run_id", "created_at", "inputs", "external_inputs", "relied_on", "verified",
    }  # fmt: skip


def test_keys_init_makes_a_key_once(home: Home) -> None:
    made = CliRunner().invoke(app, ["keys", "init"])
    assert made.exit_code == 0
    (fingerprint,) = Keys.from_environment().trusted().keys
    assert fingerprint in made.stdout
    assert CliRunner().invoke(app, ["keys", "init"]).exit_code != 0
