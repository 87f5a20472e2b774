"""What `make bench-soft-labels` makes of a teacher's probabilities, by hand numbers, and a round on a tiny model."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.soft_labels import TEACHER, one_round, signals
from stillhouse.tasks.single_label import SingleLabel
from tests.small import small_recipe

TASK = SingleLabel(("a", "b", "c"))


def test_each_kind_of_asking_brings_what_it_can_of_the_same_answers() -> None:
    probabilities = np.tile([0.7, 0.2, 0.1], (4_000, 1))
    found = {name: np.exp(each) for name, each in signals(np.log(probabilities), TASK, 0.8, seed=0).items()}
    assert found["logprobs"] == pytest.approx(probabilities)
    assert found["none"] == pytest.approx(np.tile([0.8, 0.1, 0.1], (4_000, 1))), "the answer, right in 80 of 100"
    assert found["certain"][0] == pytest.approx([1, 0, 0], abs=1e-5)
    # An answer of five is worth 0.8 for its own label and 0.1 for each other one, so a label's mean is 0.1 + 0.7 p.
    assert found["samples"].mean(axis=0) == pytest.approx([0.59, 0.24, 0.17], abs=0.01)
    assert found["samples"].sum(axis=1) == pytest.approx(np.ones(4_000))
    alike = (found["samples"].max(axis=1) > 0.79).mean()
    assert alike == pytest.approx(0.7**5 + 0.2**5 + 0.1**5, abs=0.02), "five answers that are the same"


@pytest.mark.slow
def test_a_round_judges_the_teacher_and_a_student_by_each_signal(tmp_path: Path) -> None:
    learning = {"epochs": 4, "learning_rate": 1e-3, "max_tokens": 32, "loss": "kl"}
    students = [{"name": name, "layers": [0], "training": learning} for name in ("logprobs", "samples", "none")]
    file = small_recipe(tmp_path, rows=600, data__hidden_label_share=0.5, students=students)
    found = one_round(file, tmp_path / "round", seed=1)
    assert [*found] == [TEACHER, "logprobs", "samples", "none"]
    assert min(each["accuracy"] for each in found.values()) > 0.3, "all learn more than what is most frequent"
    assert len({each["brier"] for each in found.values()}) == 4
    assert all(0 < each["calibration_error"] < 0.5 for each in found.values())
