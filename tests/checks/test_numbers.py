"""Gates on teacher, student and export where answers are numbers."""

import json
from pathlib import Path

import polars as pl
import pytest

from checks.baselines import the_bar_notices_a_lost_class
from checks.candidates import the_student_beats_the_majority_class
from checks.exports import confidence_was_calibrated, only_onnx_and_json_ship
from checks.gate import NUMBERS
from checks.teacher_signal import few_labels_look_wrong, the_teacher_is_right_on_labelled_rows
from checks.transfer_set import no_class_loses_more_than_its_share
from stillhouse.recipe.data import ScoreSpec
from stillhouse.stages.facts import CandidateFacts, SignalFacts
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact
from tests.checks.prompts.prompt_sets import rows
from tests.checks.prompts.test_numbers import SCORES

STARS = ScoreSpec(lowest=1, highest=5, tolerance=0.5)
ABOUT = {"answer": "score", "labels": ("score",), "score": STARS}


def validation(*labels: str) -> pl.DataFrame:
    return rows([f"t {number}" for number in range(len(labels))], "validation", label=list(labels))


@pytest.mark.parametrize(
    "gate",
    [few_labels_look_wrong, no_class_loses_more_than_its_share, the_bar_notices_a_lost_class,
     confidence_was_calibrated],
)  # fmt: skip
def test_a_gate_on_classes_or_confidence_measures_nothing_of_numbers_and_says_so(gate: object) -> None:
    assert answer_of(gate, artifact(), recipe=SCORES) == (PASS, NUMBERS)  # type: ignore[arg-type]


def test_a_teacher_is_right_where_its_number_is_near_enough() -> None:
    """Answers of 4, 4, 1 and nothing to 4.3, 5, 1 and 2: the second and the last are wrong."""
    known = validation("4.3", "5", "1", "2")
    logits = pl.Series([[0.5], [0.5], [-1.0], None])
    said = known.select("prompt_id", failure=pl.Series([None, None, None, "the answer is empty"]), logits=logits)
    facts = SignalFacts(fingerprint="f", rows=4, **ABOUT)  # type: ignore[arg-type]
    verdict, sentence = answer_of(
        the_teacher_is_right_on_labelled_rows, artifact(facts, {"signal": said}), recipe=SCORES,
        made_from={"prompts": artifact(frames={"prompts": known})},
    )  # fmt: skip
    assert verdict is FAIL and sentence.startswith("0.500 of 4 rows right")


@pytest.mark.parametrize(("right", "verdict"), [(3, PASS), (2, FAIL)])
def test_a_student_has_to_beat_the_best_single_number(right: int, verdict: object) -> None:
    """Of 1, 3, 3.4 and 5 the answer 3 is near enough to two."""
    facts = CandidateFacts(
        learns_from="nothing", layers=(0,), vocabulary=None, parameters=1, validation_rows=4, validation_right=right,
        **ABOUT,  # type: ignore[arg-type]
    )  # fmt: skip
    found, sentence = answer_of(
        the_student_beats_the_majority_class, artifact(facts), recipe=SCORES,
        made_from={"prompts": artifact(frames={"prompts": validation("1", "3", "3.4", "5")})},
    )  # fmt: skip
    assert found is verdict and sentence == f"validation accuracy {right / 4:.3f}, best single number 0.500"


def test_one_output_is_enough_of_a_number(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.onnx", "tokenizer.json"):
        (tmp_path / "model" / name).write_text(json.dumps({"id2label": {"0": "score"}}))
    made = artifact(folder=tmp_path)
    assert answer_of(only_onnx_and_json_ship, made, recipe=SCORES)[0] is PASS
    assert answer_of(only_onnx_and_json_ship, made)[0] is FAIL, "of one class nothing can be told apart"
