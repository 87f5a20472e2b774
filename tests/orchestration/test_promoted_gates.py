"""Which gates of a release a person who promotes it relies on: all that there are, as they stand on this day."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from checks.stages import gates_of
from orchestration.promotable import _open_today, _refuse_closed_gates
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import ANSWERED_BY_A_PERSON
from stillhouse.records.governance import Waiver, waive
from stillhouse.stages.names import RELEASE
from tests.conftest import RULES
from tests.small import small_recipe

GATES = gates_of(RELEASE).names(blocking=True)
DIGEST = "d" * 64
NAMED: Any = SimpleNamespace(asset="small/release", digest=DIGEST)
TARGET: Any = SimpleNamespace(release=DIGEST)
WAIVED = "the_bundle_loads_and_predicts"


@pytest.fixture
def file(tmp_path: Path) -> RecipeFile:
    return small_recipe(tmp_path, rows=60)


def judged(builds: BuildStore, *gates: str, **states: str) -> None:
    for gate in gates:
        body = {
            "asset": NAMED.asset, "digest": DIGEST, "gate": gate, "state": states.get(gate, "passed"),
            "waived": f"waived by somebody: {gate}", "run_id": "r",
        }  # fmt: skip
        builds.ledger.append("verdict", "small", body)


def refusal(builds: BuildStore, file: RecipeFile) -> str:
    with pytest.raises(StillhouseError) as caught:
        _refuse_closed_gates("small", TARGET, _open_today(builds, file, NAMED))
    return caught.value.what


def test_a_release_whose_gates_have_all_passed_may_serve(builds: BuildStore, file: RecipeFile) -> None:
    judged(builds, *GATES)
    _refuse_closed_gates("small", TARGET, _open_today(builds, file, NAMED))


def test_a_gate_that_nobody_looked_at_is_closed(builds: BuildStore, file: RecipeFile) -> None:
    """Where one breaks, or the run is killed at it, nothing is entered for those that come after it."""
    judged(builds, *GATES[:2])
    left = set(GATES[2:]) - set(ANSWERED_BY_A_PERSON)
    assert left and refusal(builds, file) == f"nobody looked at {', '.join(sorted(left))}"


def test_a_waiver_opens_a_gate_as_long_as_it_counts(
    builds: BuildStore, file: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(builds, *GATES, **{WAIVED: "failed"})
    assert refusal(builds, file) == f"{WAIVED} was closed", "though the verdict says that somebody has waived it"
    now = builds.ledger.now()
    waiver = Waiver(f"small/release:{WAIVED}", "Ann Lee", "they are on holiday", now.date(), DIGEST)
    waive(builds.ledger, "small", waiver, RULES)
    _refuse_closed_gates("small", TARGET, _open_today(builds, file, NAMED))
    monkeypatch.setattr(type(builds.ledger), "now", lambda _: now + timedelta(days=2))
    assert refusal(builds, file) == f"{WAIVED} was closed"
