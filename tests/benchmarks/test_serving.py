"""What the benchmark of serving holds each answer and each rollback to, by hand and with the real server."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest

from benchmarks import serving
from benchmarks.recipes import demo_recipe
from benchmarks.serving import Answered, Size, Swapped, deployments_of, faults_of, late, swap_under_load, wrong
from stillhouse.home import Home
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import DeployedRelease, Deployment

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def deployment(number: int, release: str) -> Deployment:
    champion = DeployedRelease(release=release, manifest="m", student="one")
    return Deployment(number, AT.isoformat(), champion, None, "rollback")


DEPLOYMENTS = {number: deployment(number, release) for number, release in ((3, "a"), (6, "b"), (9, "a"))}


def answered(number: int, release: str, after: float = 1.0) -> Answered:
    return Answered(number, release, AT.timestamp() + after)


def test_an_answer_is_of_the_release_that_its_deployment_names() -> None:
    assert wrong([answered(3, "a"), answered(6, "b"), answered(9, "a")], DEPLOYMENTS) == []
    assert wrong([answered(3, "a"), answered(6, "a")], DEPLOYMENTS) == [
        "an answer of a names deployment 6, which is of b"
    ]


def test_an_answer_by_a_deployment_that_there_is_not_is_wrong() -> None:
    found = wrong([answered(3, "a"), answered(7, "a"), answered(7, "b")], DEPLOYMENTS)
    assert found == ["an answer names deployment 7, which the ledger does not have"] * 2


def test_a_rollback_has_to_be_answered_by_in_time() -> None:
    answers = [answered(3, "a"), answered(6, "b", 60.0), answered(9, "a", 2.5), answered(9, "a", 1.9)]
    assert late(answers, DEPLOYMENTS, [9]) == [], "answers come by several connections, in no order"
    assert late(answers[:3], DEPLOYMENTS, [9]) == ["rollback 9 was answered by after 2.50 s, limit 2 s"]
    assert late(answers[:2], DEPLOYMENTS, [9]) == ["rollback 9 was never answered by"]


def test_a_failed_request_a_wrong_answer_and_a_late_rollback_are_faults() -> None:
    swapped = Swapped([answered(3, "a"), answered(6, "a")], ["OSError()"], [9], [1.0])
    assert [line.split()[0] for line in faults_of(swapped, DEPLOYMENTS)] == ["OSError()", "an", "rollback"]
    assert faults_of(Swapped([answered(3, "a"), answered(9, "a")], back=[9]), DEPLOYMENTS) == []


@pytest.mark.slow
def test_a_real_server_is_swapped_and_rolled_back_under_load_without_a_wrong_answer(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo_recipe(tmp_path / "recipes", serving.RECIPE, {})
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    assert os.environ["STILLHOUSE_HOME"] == str(home.root)
    builds = BuildStore(home)
    first, second = (serving._release(builds, tmp_path, seed) for seed in (1, 2))
    serving.bring(builds, first)
    swapped = swap_under_load(builds, first, second, Size(swaps=4, swapped_under=200))
    deployments = deployments_of(builds)
    assert len(swapped.answers) >= 200 and swapped.failed == []
    assert wrong(swapped.answers, deployments) == []
    assert len(swapped.back) == 2 and {each.deployment for each in swapped.answers} >= {*swapped.back}
    assert [deployments[number].because for number in swapped.back] == ["rollback"] * 2
    serving.tell(swapped, deployments, ["a fault"])
    assert "4 swaps: 0 failed" in (said := capsys.readouterr().out) and said.endswith("a fault\nfaults: 1\n")


TINY = Size(turns=2, requests=10, peers=(), swaps=2, swapped_under=50, seconds_between_swaps=0.2, waited_seconds=30.0)
"""On a machine that tests are busy on, a rollback is waited for longer than it may take."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the models are kept from one run to the next. A benchmark changes the environment as its own process."""
    with mock.patch.dict(os.environ):
        yield tmp_path_factory.mktemp("serving")


@pytest.mark.slow
def test_the_whole_run_ends_well_and_says_what_a_request_costs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serving.main(folder, replace(TINY, rolled_back_seconds=30.0)) == 0
    *said, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert isinstance(found.pop("overhead_cpu_ms_p50"), float)
    assert found == {"over_fastapi": None, "over_litserve": None, "over_bentoml": None}
    assert "2 turns of 10 requests" in "\n".join(said) and "2 swaps: 0 failed" in "\n".join(said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"rolled_back_seconds": 0.0}, "s, limit 0 s"),
        ({"request_seconds": 1e-6, "swaps": 0}, "TimeoutError("),
    ],
    ids=["a rollback that is answered by late", "requests that take too long"],
)
def test_the_whole_run_ends_badly_by(
    broken: dict[str, float], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serving.main(folder, replace(TINY, **broken)) == 1
    said = capsys.readouterr().out
    assert "faults: " in said and says in said
