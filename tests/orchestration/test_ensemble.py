"""The whole way with tiny teachers that answer together."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.auditing import audit_recipe
from orchestration.recipe_check import check
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.data.rejects import RejectReason
from stillhouse.evaluation.harness import read_members
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import Recipes
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import MODEL
from tests.conftest import a_place
from tests.small import questions, small_recipe, small_teacher

pytestmark = pytest.mark.slow

SERVICES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
WRONG = dict(zip(SERVICES, [*SERVICES[1:], SERVICES[0]], strict=True))


def write_replies(path: Path) -> None:
    """What somebody's large model answered: each twelfth answer is wrong."""
    rows = questions(1200).with_row_index()
    answers = [
        WRONG[service] if number % 12 == 0 else service for number, service in rows.select("index", "service").rows()
    ]
    rows.select(pl.col("question").alias("text"), pl.Series("answer", answers)).write_csv(path)


def test_two_encoders_and_stored_answers_are_copied_into_one_student(tmp_path: Path, shared: Path) -> None:
    with a_place(tmp_path, seeded=shared, baselines=False) as place:
        said = {
            "revision": "test", "licence": "Apache-2.0", "training_on_outputs": "allowed",
            "reason": "It answers today.", "minimum_accuracy": 0.5,
        }  # fmt: skip
        learning = {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}
        members: dict[str, Any] = {
            name: {
                **said, "source": str(small_teacher(place.folder / name)),
                "training": {**learning, "epochs": epochs, "loss": "labels", "seed": epochs},
            }
            for name, epochs in (("short", 3), ("long", 5))
        }  # fmt: skip
        write_replies(place.folder / "replies.csv")
        members["large"] = {**said, "kind": "stored", "source": str(place.folder / "replies.csv")}
        teacher = {
            "kind": "ensemble", "ensemble": {"members": members, "agree_at_least": 0.6},
            "reason": "Three see more than one.", "minimum_accuracy": 0.5,
        }  # fmt: skip
        further = [{"loss": "labels", "weight": 0.5, "first_weight": 0.0}]
        students = [
            {"name": "one", "layers": [0, 1], "training": {**learning, "loss": "kl", "mixture": further}},
            {"name": "weighed", "layers": [0, 1], "weigh_by_agreement": True, "training": {**learning, "loss": "kl"}},
            {"name": "labels", "layers": [0, 1], "learns_from": "labels", "training": {**learning, "loss": "labels"}},
        ]
        file = small_recipe(
            place.folder, teacher=teacher, students=students, bar={"margin": 0.16},
            base={"source": str(small_teacher(place.folder / "base")), "revision": "test", "licence": "Apache-2.0"},
            budget={"latency_ms_at_most": 1000, "size_mb_at_most": 20},
        )  # fmt: skip
        assert check(Recipes((file,), ())).all_is_well
        outcome = distil(file, place.home, Terminal(quiet=True))
        assert outcome.succeeded, (outcome.closed, outcome.errors)

        facts = place.newest("teacher").facts(TeacherFacts)
        fingerprints = {each.fingerprint for each in facts.members.values()}
        assert len(fingerprints | {facts.fingerprint}) == 4
        signal = place.newest("teacher_signal", "base").frame("signal")
        assert {0, 1, 2} <= {round(3 * each) for each in signal["disagreement"]} and signal[
            "failure"
        ].null_count() == signal.height
        rejects = place.newest("transfer_set").frame("rejects")
        left_out = rejects.filter(pl.col("reason") == RejectReason.MEMBERS_DISAGREE)
        assert 0 < left_out.height <= signal.filter(pl.col("disagreement") > 0.4).height
        evaluation = place.newest("evaluation")
        alone = {each.name: each for each in read_members(evaluation.folder)}
        assert set(alone) == {"short", "long", "large"} and all(each.calibration is not None for each in alone.values())
        report = (place.newest("selection").folder / "report.html").read_text()
        assert "One teacher against many" in report and ">short</span>" in report
        assert audit_recipe(place.home, "small").ok
        released = OnnxClassifier(place.newest("release").folder / MODEL)
        texts = ["Who was the first king of Denmark ?", "How many rivers are there ?"]
        assert [released.labels[place] for place in released.logits(texts).argmax(axis=1)] == ["HUM", "NUM"]
