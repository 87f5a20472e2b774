"""What is shown of a gate, and what it lets through."""

from stillhouse.records.gate_status import GateStatus
from stillhouse.records.manifest import ReliedOn
from stillhouse.statistics.verdicts import Verdict


def test_the_status_of_a_finding_and_what_it_lets_through() -> None:
    found = [GateStatus.of(verdict) for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)]
    assert found == ["passed", "failed", "inconclusive"]
    assert {status for status in GateStatus if status.is_open} == {"passed", "waived"}
    assert {status for status in GateStatus if status.was_decided} == {"failed", "inconclusive"}


def test_a_manifest_keeps_the_word_that_people_see() -> None:
    written = {"asset": "r/source", "gate": "a_gate", "state": "waived", "run_id": "run"}
    relied_on = ReliedOn.model_validate(written)
    assert relied_on.state is GateStatus.WAIVED
    assert relied_on.model_dump(mode="json") == written
