"""A teacher is timed where its callers have it, and on a machine without that nothing is computed."""

from pathlib import Path

import pytest
import torch

from stillhouse.device import CPU, Device
from stillhouse.errors import MachineError
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.records.builds import BuildStore
from stillhouse.stages.baselines import BaselinesFacts
from stillhouse.stages.serving_device import serving_device
from tests.conftest import a_place, failures
from tests.small import small_recipe

pytestmark = pytest.mark.long

CARD = "NVIDIA H200"
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def test_the_device_that_the_installation_computes_on_is_taken_if_it_is_of_the_kind(
    tmp_path: Path, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu, on_a_gpu = small_recipe(tmp_path, rows=60), small_recipe(tmp_path, budget__teacher_serves_on="cuda")
    monkeypatch.setattr("stillhouse.stages.serving_device.device_of", lambda kind: Device(f"{kind}:0"))
    assert serving_device(on_a_gpu, builds) == Device("cuda:0")
    monkeypatch.setattr(BuildStore, "device", Device("cuda:3"))
    assert serving_device(on_a_gpu, builds) == Device("cuda:3")
    assert serving_device(on_a_cpu, builds) == CPU, "what it is trained on says nothing of what serves it"


@without_gpu
def test_a_machine_without_it_makes_no_contract_and_judges_nothing(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        file = small_recipe(place.folder, budget__teacher_serves_on="cuda")
        with pytest.raises(MachineError, match=r"defs.yaml:\d+: budget.teacher_serves_on: .* finds no cuda here"):
            serving_device(file, place.builds)
        (refused,) = failures(place.run(file, "contract"))
        assert "budget.teacher_serves_on: the teacher serves on cuda" in refused
        with monkeypatch.context() as elsewhere:  # where a GPU is, all before the first measurement is made
            elsewhere.setattr("stillhouse.stages.serving_device.device_of", lambda kind: Device(f"{kind}:0"))
            ended = place.run(file, "contract", "source", "prompts", "teacher")
            assert ended.success, failures(ended)
        (refused,) = failures(place.run(file, "baselines"))
        assert "budget.teacher_serves_on: the teacher serves on cuda" in refused
        assert not place.builds.ledger.entries(file.name, "golden_read"), "nobody was judged"


def test_manifest_and_evaluation_name_the_card(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillhouse.stages.serving_device.device_of", lambda kind: Device(f"{kind}:0"))
    monkeypatch.setattr(Device, "card", CARD)
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        for on, named in (("cuda", CARD), ("cpu", None)):
            file = small_recipe(place.folder, budget__teacher_serves_on=on)
            ended = place.run(file, "contract", "source", "prompts", "teacher", "baselines")
            assert ended.success, failures(ended)
            made = place.newest("baselines")
            assert made.facts(BaselinesFacts).teacher_timed_on == named
            assert ("teacher_timed_on" in made.manifest.facts) == (named is not None)
            for each in read_evaluations(made.folder):
                assert each.latency is not None and each.latency.teacher_device == named
                said = next(claim.sentence for claim in each.claims if claim.name == "latency_ratio")
                assert (f"the teacher on {CARD}, by wall time" in said) == (named is not None)
