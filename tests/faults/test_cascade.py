"""What is asked of every fault of a cascade, and what there is without one."""

import json
from datetime import UTC, datetime

import pytest

from orchestration.auditing import audit_recipe
from orchestration.champion_status import champion_status
from orchestration.economics import roi
from orchestration.quarantine import quarantine_slice
from stillhouse.errors import StillhouseError
from stillhouse.release.bundle import ReleaseRecord, bundle_problems
from stillhouse.release.cascade import CASCADE as FILE
from stillhouse.release.cascade import Cascade
from stillhouse.stages.cascade import ROWS, CascadeFacts
from stillhouse.stages.names import CASCADE, CHAMPION, PROMPTS, RELEASE, TEACHER
from tests.faults.asked import test_a_fault_closes_its_gate_and_is_diagnosed
from tests.faults.bench import NAME
from tests.faults.cascade import BOTH, with_a_cascade
from tests.faults.conftest import OpenBench
from tests.faults.gathered import faults_of

__all__ = ["test_a_fault_closes_its_gate_and_is_diagnosed"]

FAULTS = faults_of(CASCADE, before=RELEASE)


def test_a_release_carries_the_threshold_that_its_gates_let_through(open_bench: OpenBench) -> None:
    with open_bench(True) as bench:
        prices = {
            "calls_per_month": 1e6, "teacher_usd_per_1000_calls": 1.0, "engineering_hours": 1,
            "engineering_usd_per_hour": 100,
        }  # fmt: skip
        file = with_a_cascade(bench, economics=prices)
        bench.must_run(file, CASCADE, RELEASE, CHAMPION)
        assert {state.state for state in bench.states(file, CASCADE, None)} == {"passed"}
        made, release = bench.newest(CASCADE), bench.newest(RELEASE)
        written = (release.folder / FILE).read_bytes()
        assert written == (made.folder / FILE).read_bytes()
        assert release.facts(ReleaseRecord).cascade == made.digest and bundle_problems(release.folder) == []
        cascade, facts = Cascade.model_validate_json(written), made.facts(CascadeFacts)
        assert cascade.teacher.artifact == bench.newest(TEACHER).digest
        assert cascade.golden_share == facts.golden_share < 1 and facts.threshold is not None
        rows, prompts = made.frame(ROWS), bench.newest(PROMPTS).frame("prompts")
        assert rows.height == facts.calibration_rows == cascade.rule.threshold.rows
        assert set(rows.join(prompts, on="prompt_id")["split"]) == {"validation"}
        assert (bench.place.home.reports / f"{NAME}.cascade.html").is_file()
        assert json.loads((release.folder / "recipe.json").read_text())["cascade"]["margin"] == 0.05
        paid = roi(bench.place.builds, file).actual
        assert paid is not None
        both = paid.student_usd_per_1000_calls + facts.golden_share * 1.0
        assert paid.cascade_usd_per_1000_calls == pytest.approx(both)
        again = bench.run(file, CASCADE)
        assert again.success and bench.newest(CASCADE).digest == made.digest


def test_a_person_hands_a_slice_to_the_teacher_behind_the_champion(open_bench: OpenBench) -> None:
    until = datetime.now(UTC).date()
    signed = {"by": "Ann", "reason": "Firms are taken for people.", "until": until}
    with open_bench(True) as bench:
        file = with_a_cascade(bench, {**BOTH, "request_columns": ["kind"]})
        bench.must_run(file, CASCADE, RELEASE, CHAMPION)
        given = quarantine_slice(bench.place.builds, file, "people", to_teacher=True, **signed)
        assert (given.column, given.instead) == ("kind", None) and "HUM:gr" in given.values
        assert given.in_words == f"people is answered by the teacher until {until}"
        champion = champion_status(bench.place.builds, NAME)
        assert champion is not None and champion.quarantine == (given.in_words,)
        assert audit_recipe(bench.place.home, NAME).problems == ()
        assert quarantine_slice(bench.place.builds, file, "label=HUM", to_teacher=True, **signed).labels == ("HUM",)
        with pytest.raises(StillhouseError, match="there is no such slice"):
            quarantine_slice(bench.place.builds, file, "nobody", to_teacher=True, **signed)
