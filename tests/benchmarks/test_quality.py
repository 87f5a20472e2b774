"""What is said of the rounds of `make bench-quality`, by hand numbers, and that its recipes are ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import quality
from benchmarks.calibration_difference import Answers, CalibrationDifference, calibration_difference
from benchmarks.clinc150 import SOURCE
from benchmarks.quality import (
    CONTROL,
    DATA,
    STUDENT,
    TEACHER,
    Round,
    broken,
    calibration_in_words,
    kept_round,
    one_round,
    summary,
)
from benchmarks.recipes import recipe_like
from stillhouse.recipe.reading import RecipeFile
from stillhouse.statistics.verdicts import Verdict
from tests.small import small_recipe

pytestmark = pytest.mark.slow

GOOD = Round(
    teacher=0.9, student=0.88, control=0.8, teacher_ece=0.04, student_ece=0.03, control_ece=0.05,
    smaller=7.5, p=0.001, golden=1000, labelled=300, rows=3000,
)  # fmt: skip


def compared(verdict: Verdict) -> CalibrationDifference:
    return CalibrationDifference(
        margin=0.03, first=0.04, second=0.03, difference=0.01, lower=-0.01, upper=0.03, by_round=(0.0, 0.02),
        verdict=verdict,
    )  # fmt: skip


NOT_WORSE = {TEACHER: compared(Verdict.PASS), "control": compared(Verdict.PASS)}


def test_a_summary_has_means_but_the_largest_p_and_the_smallest_ratios() -> None:
    found = summary([GOOD, replace(GOOD, student=0.9, smaller=8.0, p=0.01)], NOT_WORSE)
    assert found["retention"] == pytest.approx((0.88 / 0.9 + 1) / 2, abs=1e-4)
    assert found["retention_smallest"] == pytest.approx(0.88 / 0.9, abs=1e-4)
    assert (found["smaller"], found["p"], found["rounds"]) == (7.5, 0.01, 2)
    assert found["gain"] == pytest.approx(0.09)
    assert found["calibration_against"]["control"] == {
        "difference": 0.01, "lower": -0.01, "upper": 0.03, "by_round": [0.0, 0.02], "verdict": "pass",
    }  # fmt: skip
    assert broken(found) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"student": 0.87}, "keeps 96.7%"),
        ({"smaller": 6.9}, "6.9 times smaller"),
        ({"p": 0.05}, "p = 0.05"),
    ],
)
def test_each_promise_can_be_broken(change: dict[str, float], said: str) -> None:
    (found,) = broken(summary([replace(GOOD, **change)], NOT_WORSE))
    assert said in found


@pytest.mark.parametrize("other", NOT_WORSE)
def test_a_worse_calibration_breaks_a_promise_and_want_of_evidence_is_said(other: str) -> None:
    worse = summary([GOOD], {**NOT_WORSE, other: compared(Verdict.FAIL)})
    (found,) = broken(worse)
    assert found.startswith(f"calibrated worse than the {other}: 1.0 points, -1.0 to 3.0, margin 3")
    unclear = summary([GOOD], {**NOT_WORSE, other: compared(Verdict.INCONCLUSIVE)})
    assert broken(unclear) == []
    assert dict(calibration_in_words(unclear))[Verdict.INCONCLUSIVE].startswith("not enough evidence that it is")
    assert f"than the {other}" in dict(calibration_in_words(unclear))[Verdict.INCONCLUSIVE]


def test_the_plain_error_of_a_round_decides_nothing() -> None:
    assert broken(summary([replace(GOOD, student_ece=0.2)], NOT_WORSE)) == []


@pytest.mark.parametrize("name", DATA)
def test_its_recipes_have_a_control_of_the_students_shape_and_as_many_steps(name: str, tmp_path: Path) -> None:
    if name == "clinc150" and not SOURCE.is_dir():
        pytest.skip("CLINC150 is neither beside the checkout nor where CLINC150 says")
    template, changes = DATA[name](tmp_path, 1)
    recipe = recipe_like(template, tmp_path / "recipes", name, changes).recipe
    student, control = recipe.students
    assert (student.name, control.name) == (STUDENT, CONTROL)
    assert recipe.shape_of(student) == recipe.shape_of(control) and control.learns_from == "labels"
    assert student.training is not None and control.training is not None
    shown = (each.epochs * share for each, share in ((student.training, 1), (control.training, 0.1)))
    assert len({round(each, 6) for each in shown}) == 1, "passes over the rows, of which it has a tenth"
    assert {each.training.seed for each in recipe.students if each.training} == {1}
    assert recipe.data.hidden_label_share == 0.9


def test_a_round_judges_teacher_student_and_control_on_the_same_golden_rows(tmp_path: Path) -> None:
    learning = {"epochs": 4, "learning_rate": 1e-3, "max_tokens": 32}
    file = small_recipe(
        tmp_path, rows=600, data__hidden_label_share=0.5,
        students=[
            {"name": STUDENT, "layers": [0], "training": learning},
            {"name": CONTROL, "layers": [0], "learns_from": "labels", "training": {**learning, "loss": "labels"}},
        ],
    )  # fmt: skip
    found, said = one_round(file, tmp_path / "checkpoints")
    assert found.labelled == pytest.approx(0.5 * found.rows, rel=0.2)
    assert found.golden == pytest.approx(0.35 * 600, rel=0.2)
    assert min(found.teacher, found.student, found.control) > 0.3, "all learn more than what is most frequent"
    assert len({found.teacher, found.student, found.control}) == 3 and 0 < found.p < 1
    assert found.smaller > 4
    assert all(0 < each < 0.5 for each in (found.teacher_ece, found.student_ece, found.control_ece))
    assert {*said.logits} == {TEACHER, STUDENT, CONTROL} and said.golden.sum() == found.golden
    for name, accuracy in ((TEACHER, found.teacher), (STUDENT, found.student), (CONTROL, found.control)):
        right = said.logits[name].argmax(axis=1) == said.targets
        assert right[said.golden].mean() == pytest.approx(accuracy)
    assert len(set(said.rows)) == len(said.rows) > found.golden, "validation rows, too"
    errors = calibration_difference([said], STUDENT, CONTROL, margin=0.03, draws=20)
    assert errors.lower < errors.difference < errors.upper


def test_a_round_that_has_ended_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.arange(12.0).reshape(6, 2)
    rows, golden = np.array(["a", "b", "c", "d", "e", "f"]), np.arange(6) > 1
    said = Answers(rows, golden, np.array([0, 1, 1, 0, 1, 0]), {TEACHER: logits, STUDENT: logits + 1})

    def made(file: RecipeFile, checkpoints: Path) -> tuple[Round, Answers]:
        checkpoints.mkdir(parents=True)
        return GOOD, said

    monkeypatch.setattr(quality, "one_round", made)
    kept_round(tmp_path, "trec", 0)
    monkeypatch.setattr(quality, "one_round", lambda file, checkpoints: pytest.fail("made again"))
    again, read = kept_round(tmp_path, "trec", 0)
    assert again == GOOD and not (tmp_path / "checkpoints" / "trec_0").exists()
    assert read.rows.tolist() == said.rows.tolist() and read.golden.tolist() == said.golden.tolist()
    assert {name: each.tolist() for name, each in read.logits.items()} == {
        name: each.tolist() for name, each in said.logits.items()
    }
    (tmp_path / "trec_0.npz").unlink()
    monkeypatch.setattr(quality, "one_round", made)
    assert kept_round(tmp_path, "trec", 0)[0] == GOOD, "a round of an earlier version has no answers beside it"
