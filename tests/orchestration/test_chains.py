"""A chain from the teacher over a middle student to a small one, beside the small one that was taught at once."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from orchestration.auditing import audit_recipe
from orchestration.diagnosis import diagnose
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.device import CPU
from stillhouse.evaluation.comparison import read_ablations, read_comparison
from stillhouse.models.predictor import TorchClassifier
from stillhouse.stages.names import EVALUATION, MODEL, candidate
from stillhouse.students.examples import taught_by
from tests.conftest import a_place
from tests.small import small_recipe

pytestmark = pytest.mark.slow

LEARNING = {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}
STUDENTS = [
    {"name": "chained", "parent": "middle", "layers": [1], "learns_from": "parent", "training": LEARNING},
    {"name": "middle", "layers": [0, 1], "feed_forward": 192, "training": LEARNING},
    {"name": "direct", "layers": [1], "feed_forward": 192, "training": {**LEARNING, "epochs": 1}},
    {
        "name": "labels_only", "layers": [1], "feed_forward": 192, "learns_from": "labels",
        "training": {**LEARNING, "epochs": 2, "loss": "labels"},
    },
]  # fmt: skip


def test_from_the_teacher_over_a_middle_student_to_a_small_one_that_is_released(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared) as place:
        file = small_recipe(place.folder, students=STUDENTS, limits={"int8_agreement_at_least": 0.9})
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, [gate.sentence for gate in outcome.closed]

        middle, small = place.newest(candidate("middle")), place.newest(candidate("chained"))
        assert small.manifest.inputs["small/candidates/middle"].digest == middle.digest
        assert "small/candidates/chained" not in middle.manifest.inputs
        assert "small/candidates/middle" not in place.newest(candidate("direct")).manifest.inputs

        # What it learned is what the middle one says, and not what the teacher does.
        rows = place.newest("transfer_set").frame("transfer_set").head(40)
        said = np.array(taught_by(middle.folder / MODEL, rows, CPU)["logits"].to_list(), np.float32)
        np.testing.assert_allclose(
            said, TorchClassifier(middle.folder / MODEL).logits(rows["text"].to_list()), atol=1e-5
        )
        assert np.abs(said - np.array(rows["logits"].to_list())).max() > 0.1
        weights = load_file(small.folder / MODEL / "model.safetensors")
        width = {tensor.shape[0] for name, tensor in weights.items() if name.endswith("intermediate.dense.weight")}
        assert width == {192}, "as its parent was cut"
        assert len(weights) == len(load_file(place.newest(candidate("direct")).folder / MODEL / "model.safetensors"))

        (chain,) = read_ablations(place.newest(EVALUATION).folder)
        assert (chain.student, chain.control, chain.against) == ("chained", "direct", "direct")
        assert "a student between" in chain.sentence and "the one that the teacher taught at once" in chain.sentence
        control = read_comparison(place.newest(EVALUATION).folder, "chained")
        assert control is not None and (control.control, control.against) == ("labels_only", "labels")
        report = json.loads((place.newest("selection").folder / "report.json").read_text())
        assert report["student"]["name"] == "chained" and report["student"]["note"].startswith(
            "layers 1 of middle, from"
        )
        assert [each["sentence"] for each in report["ablations"]] == [chain.sentence]
        page = (place.newest("selection").folder / "report.html").read_text()
        assert chain.sentence[1:20] in page

        audit = audit_recipe(place.home, "small")
        assert audit.ok, audit.problems
        assert "small/candidates/middle" in {link.asset for link in audit.chain}, "each parent is on the way back"
        assert diagnose(place.instance, place.builds, file).stage is None


def test_a_middle_student_that_is_not_worth_it_stops_the_small_one(tmp_path: Path, shared: Path) -> None:
    """Its gates stand before what is cut from it, as a teacher's do."""
    with a_place(tmp_path, seeded=shared) as place:
        lazy = {**LEARNING, "epochs": 2, "learning_rate": 1e-7}  # its loss does not fall
        students = [{**STUDENTS[0]}, {**STUDENTS[1], "training": lazy}]
        file = small_recipe(place.folder, students=students)
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert {gate.asset for gate in outcome.closed} == {"small/candidates/middle"}
        assert place.builds.ledger.champion("small") is None
        made = [entry.body["asset"] for entry in place.builds.ledger.entries("small", "materialization")]
        assert "small/candidates/middle" in made and "small/candidates/chained" not in made


def test_a_parent_answers_in_the_place_of_the_teacher_and_changes_nothing_else(tmp_path: Path) -> None:
    from stillhouse.teachers.classifier import build_classifier
    from tests.small import small_teacher

    build_classifier(small_teacher(tmp_path / "bert"), ["a", "b"], tmp_path / "parent", seed=0)
    rows = pl.DataFrame(
        {"prompt_id": ["1", "2"], "text": ["Who was he ?", "How many ?"], "label": ["a", None],
         "logits": [[9.0, 0.0], [0.0, 9.0]], "embedding": [[1.0], [1.0]]},
        schema_overrides={"logits": pl.List(pl.Float32), "embedding": pl.List(pl.Float32)},
    )  # fmt: skip
    said = taught_by(tmp_path / "parent", rows, CPU)
    assert said.schema == rows.schema and said.drop("logits", "embedding").equals(rows.drop("logits", "embedding"))
    parent = TorchClassifier(tmp_path / "parent")
    answers = parent.answer(rows["text"].to_list())
    assert torch.allclose(torch.tensor(said["logits"].to_list()), torch.tensor(answers.logits), atol=1e-6)
    assert torch.allclose(torch.tensor(said["embedding"].to_list()), torch.tensor(answers.embeddings), atol=1e-6)
