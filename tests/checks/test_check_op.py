"""What the check op of a stage shows of each finding, enters into the ledger, and ends with where a gate is closed."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

import checks.check_op
import checks.gate
from checks.check_op import stage_checks
from checks.gate import Finding, Gate, GateContext, StageGates, none_of, passed_if
from orchestration.runs import QUIET
from stillhouse.records.governance import Waiver, WaiverRules, waive
from stillhouse.records.ledger import Ledger
from tests.checks.hand_made import INCONCLUSIVE, artifact, context

MADE = datetime(2026, 3, 5, 7, 9, tzinfo=UTC)


@pytest.fixture
def asked(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GateContext:
    for module in (checks.gate, checks.check_op):
        monkeypatch.setattr(module, "gate_code", lambda stage: f"code of {stage}")
    monkeypatch.setattr(checks.gate, "lock_digest", lambda: "packages")
    return context(artifact(inputs={}), ledger=ledger, home=SimpleNamespace(reports=tmp_path))


def run_checks(monkeypatch: pytest.MonkeyPatch, asked: GateContext, *gates: Gate, batch: str | None) -> Any:
    """Let Dagster run the check op of a stage on an artifact, and give its evaluations by name."""
    looked_at, stage = asked.artifact, "prompts" if batch else "contract"
    newest = SimpleNamespace(digest=looked_at.digest, manifest="identity", run_id="made-in-here", at=MADE)
    monkeypatch.setattr(checks.check_op, "require_materialization", lambda ledger, key, of: newest)
    looked_at.identity, looked_at.batch, looked_at.address = (
        "identity",
        batch,
        f"small/{stage}" + f"[{batch}]" * bool(batch),
    )
    there = asked.builds
    builds = SimpleNamespace(
        ledger=there.ledger, home=there.home, device=there.device, artifact=lambda digest, manifest: looked_at
    )
    definition = stage_checks(asked.file, stage, StageGates(gates))
    job = dg.Definitions(
        assets=[dg.AssetSpec(["small", stage])],
        asset_checks=[definition],
        jobs=[dg.define_asset_job("look", dg.AssetSelection.checks(definition))],
        resources={"builds": dg.ResourceDefinition.hardcoded_resource(builds)},
    ).resolve_job_def("look")
    with dg.DagsterInstance.ephemeral() as instance:
        if batch:
            instance.add_dynamic_partitions("batches_of_small", [batch, "b2"])
        ended = job.execute_in_process(
            instance=instance,
            run_config=QUIET,
            raise_on_error=False,
            tags={"dagster/partition": batch} if batch else {},
        )
    return ended, {each.check_name: each for each in ended.get_asset_check_evaluations()}


def test_a_check_shows_what_was_found_and_enters_the_verdict(
    monkeypatch: pytest.MonkeyPatch, asked: GateContext, ledger: Ledger
) -> None:
    table = Gate("it_shows", "r", lambda c: passed_if(False, "three", rows=[{"n": 1}], file=Path("/a"), n=3, none=[]))
    told_batches = Gate("it_counts", "r", lambda c: passed_if(c.batches == ("base", "b2"), "batches"), blocking=False)
    ended, shown = run_checks(monkeypatch, asked, table, told_batches, batch="base")
    assert not ended.success
    failed, passed = shown["it_shows"], shown["it_counts"]
    assert (failed.passed, failed.severity, failed.description) == (False, dg.AssetCheckSeverity.ERROR, "three")
    assert (passed.passed, passed.severity) == (True, dg.AssetCheckSeverity.WARN)
    values = {name: value.value for name, value in failed.metadata.items()}
    assert (values["state"], values["because"]) == ("failed", "r")
    assert values["looked_at"] == f"the materialization of 5 March 2026, 07:09 UTC by run made-in-, content {'d' * 12}"
    assert (values["file"], values["n"], values["none"]) == ("/a", 3, [])
    assert "| n |" in values["rows"] and isinstance(failed.metadata["rows"], dg.MarkdownMetadataValue)
    (verdict,) = ledger.entries("small", "verdict", gate="it_shows")
    assert {**verdict.body, "code": "", "circumstances": "", "run_id": ""} == {
        "asset": "small/prompts[base]", "digest": "d" * 64, "manifest": "identity", "gate": "it_shows",
        "state": "failed", "sentence": "three", "observed": None, "limit": None, "waived": None,
        "code": "", "circumstances": "", "run_id": "",
    }  # fmt: skip
    assert verdict.body["run_id"] == ended.run_id and verdict.body["circumstances"] == asked.circumstances
    assert verdict.body["code"] == "code of prompts"


def test_the_step_of_a_closed_gate_says_what_was_found_and_what_to_do_above_the_stack(
    monkeypatch: pytest.MonkeyPatch, asked: GateContext
) -> None:
    """Regression: the run said "1 blocking asset check failed" and a name; what was found was four clicks away."""
    fails = Gate("it_fails", "r", lambda c: passed_if(False, "3 of 4 rows are gone"))
    unsure = Gate("it_is_unsure", "r", lambda c: Finding(INCONCLUSIVE, "nobody was asked"))
    advice = Gate("it_advises", "r", lambda c: passed_if(False, "rather not"), blocking=False)
    result = Gate("no_need", "r", lambda c: passed_if(False, "TF-IDF is enough"), closes_as="take the baseline")
    ended, shown = run_checks(monkeypatch, asked, fails, unsure, advice, result, batch=None)
    (failure,) = [event.step_failure_data for event in ended.all_events if event.is_step_failure]
    lines = (failure.user_failure_data.description or "").splitlines()
    again = "To go on, fix the cause and materialize small/contract with its checks again; `stillhouse diagnose small`"
    assert lines[0].startswith(f"gate small/contract:it_fails is failed: 3 of 4 rows are gone. {again}")
    assert lines[1].startswith(f"gate small/contract:it_is_unsure is inconclusive: nobody was asked. {again}")
    assert lines[2].startswith("gate small/contract:no_need is failed: TF-IDF is enough. To go on, take the baseline, ")
    assert len(lines) == 3, "advice closes nothing"
    assert "gate small/contract:it_fails is failed: 3 of 4" in failure.error.message, (
        "what the run shows above the stack"
    )
    assert len(shown) == 4, "every finding is shown before the step ends"
    values = {name: value.value for name, value in shown["it_fails"].metadata.items()}
    assert values["found"] == "3 of 4 rows are gone" and values["do"].startswith("fix the cause and materialize")


def test_what_is_inconclusive_says_so_first(monkeypatch: pytest.MonkeyPatch, asked: GateContext) -> None:
    unsure = Gate("it_is_unsure", "r", lambda c: Finding(INCONCLUSIVE, "too few rows"))
    _, shown = run_checks(monkeypatch, asked, unsure, batch=None)
    assert shown["it_is_unsure"].description == "inconclusive: too few rows"


def test_a_measured_number_and_its_limit_are_numbers_in_the_metadata(
    monkeypatch: pytest.MonkeyPatch, asked: GateContext, ledger: Ledger
) -> None:
    measured = Gate("it_measures", "r", lambda c: passed_if(True, "s", observed=3, limit=0.5))
    nothing = Gate("it_is_empty", "r", lambda c: none_of(0, "s"))
    endless = Gate("it_is_endless", "r", lambda c: passed_if(True, "s", observed=float("nan"), limit=1))
    blocks = Gate("it_blocks", "r", lambda c: passed_if(True, "fine"))
    _, shown = run_checks(monkeypatch, asked, measured, nothing, endless, blocks, batch=None)
    numbers = {
        name: {each: check.metadata[each] for each in ("observed", "limit") if each in check.metadata}
        for name, check in shown.items()
    }
    assert numbers == {
        "it_measures": {"observed": dg.FloatMetadataValue(3.0), "limit": dg.FloatMetadataValue(0.5)},
        "it_is_empty": {"observed": dg.FloatMetadataValue(0.0), "limit": dg.FloatMetadataValue(0.0)},
        "it_is_endless": {"limit": dg.FloatMetadataValue(1.0)},
        "it_blocks": {},
    }
    (verdict,) = ledger.entries("small", "verdict", gate="it_measures")
    assert (verdict.body["observed"], verdict.body["limit"]) == (3.0, 0.5)


def test_a_waived_gate_stays_red_and_warns(monkeypatch: pytest.MonkeyPatch, asked: GateContext, ledger: Ledger) -> None:
    day = ledger.now().date()
    wanted = Waiver("small/contract:it_fails", "Ada", "it is known and harmless", day, "d" * 64)
    waive(ledger, "small", wanted, WaiverRules(frozenset(), 30))
    fails = Gate("it_fails", "r", lambda c: passed_if(False, "no"))
    ended, shown = run_checks(monkeypatch, asked, fails, batch=None)
    found = shown["it_fails"]
    assert ended.success and not found.passed and found.severity == dg.AssetCheckSeverity.WARN
    said = f"waived by Ada until {day} because it is known and harmless"
    assert found.description == f"{said}: no"
    assert ledger.entries("small", "verdict")[0].body["waived"] == said
    unwaivable = Gate("it_fails", "r", lambda c: passed_if(False, "no"), waivable=False)
    ended, shown = run_checks(monkeypatch, asked, unwaivable, batch=None)
    assert not ended.success and shown["it_fails"].description == "no"
