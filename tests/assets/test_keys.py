"""Keys of the UI and addresses of the ledger lead to each other, and what was written under an old key is found."""

from dataclasses import replace

import dagster as dg

from assets.keys import address_of, group_of, key_at, key_of, keys_of_events, stage_of
from assets.materializations import Materialization, newest_materialization, other_event_in_dagster
from checks.gate_states import gate_states
from orchestration.diagnosis import _evidence
from stillhouse.digests import digest_of
from stillhouse.records.builds import BuildStore
from stillhouse.records.governance import valid_waivers
from stillhouse.stages.names import stage_names
from tests.checks.hand_made import DEMO
from tests.conftest import RULES


def test_every_stage_has_a_key_of_its_own_and_its_address_stays_as_it_was() -> None:
    for stage in stage_names(DEMO):
        key = key_of("r", stage)
        assert stage_of(key) == stage and address_of(key) == f"r/{stage}" and key_at(f"r/{stage}") == key
    assert key_of("r", "candidates/small").path == ["r", "candidate_small"]
    assert key_of("r", "exports/small").path == ["r", "export_small"]
    assert address_of(key_of("r", "prompts"), "base") == "r/prompts[base]"


def test_a_key_of_an_earlier_version_is_of_the_same_stage() -> None:
    former = dg.AssetKey(["r", "candidates", "small"])
    assert stage_of(former) == "candidates/small" and address_of(former) == "r/candidates/small"
    assert keys_of_events(key_of("r", "candidates/small")) == [key_of("r", "candidates/small"), former]
    assert keys_of_events(key_of("r", "teacher")) == [key_of("r", "teacher")]


def test_a_later_stage_without_a_room_of_its_own_is_in_that_of_the_stage_before() -> None:
    assert [group_of("r", stage) for stage in ("contract", "baselines", "exports/x", "selection", "champion")] == [
        "r_data", "r_teacher", "r_students", "r_verdict", "r_release",
    ]  # fmt: skip


def test_what_an_installation_wrote_under_the_old_key_goes_on_to_count(
    builds: BuildStore, instance: dg.DagsterInstance
) -> None:
    """An upgrade must leave an installation as it was: its ledger decides by address, and its old events are found."""
    former, key, digest = dg.AssetKey(["r", "exports", "x"]), key_of("r", "exports/x"), digest_of("content")
    made = {"asset": "r/exports/x", "digest": digest, "manifest": digest_of("m"), "run_id": "run-1"}
    builds.ledger.append("materialization", "r", made)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(former, metadata={"digest": digest, "manifest": digest_of("m")})
    )
    newest = newest_materialization(builds.ledger, key)
    assert isinstance(newest, Materialization) and (newest.digest, newest.address) == (digest, "r/exports/x")
    assert other_event_in_dagster(instance, key, None, newest) is None
    again = replace(newest, manifest=digest_of("found again"))
    said = other_event_in_dagster(instance, key, None, again)
    assert said is not None and f"names manifest {newest.manifest[:12]} of the same content" in said
    assert f"the ledger says manifest {again.manifest[:12]}" in said

    said = {"asset": "r/exports/x", "digest": digest, "manifest": digest_of("m"), "gate": "only_onnx_and_json_ship"}
    builds.ledger.append("verdict", "r", {**said, "state": "failed", "sentence": "a pickle", "code": "0", "run_id": ""})
    states = gate_states(builds.ledger, valid_waivers(builds.ledger, "r", RULES), key, newest)
    (state,) = [each for each in states if each.name == "only_onnx_and_json_ship"]
    assert (state.asset, state.state) == ("r/exports/x", "stale"), "found, and looked at by other code"
    evidence = {"files": "a.pkl", "state": "failed"}
    check = dg.AssetCheckEvaluation(
        asset_key=former, check_name=state.name, passed=False, metadata=evidence, blocking=True
    )
    instance.report_runless_asset_event(check)
    assert _evidence(instance, key, None, state) == ["files: a.pkl"]
