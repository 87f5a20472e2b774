"""A probe notices a model that answers otherwise, and is no lottery where a model is in two minds."""

import numpy as np
import pytest

from stillhouse.release.probe import TEXTS, TOLERANCE, Probe, probe_of, probe_problems
from stillhouse.tasks.single_label import SingleLabel

TASK = SingleLabel(("a", "b", "c"))
LOGITS = np.array([[3.0, 1.0, 0.0], [1.0, 1.0 + TOLERANCE, 0.0], [0.0, 0.0, 2.0]], np.float32)
NAMED = ["first", "a tie", "third"]


@pytest.fixture
def probe() -> Probe:
    return probe_of(NAMED, LOGITS, TASK)


def problems(probe: Probe, moved: float, place: tuple[int, int] = (0, 1)) -> list[str]:
    logits = LOGITS.copy()
    logits[place] += moved
    said = dict(zip(NAMED, logits, strict=True))
    return probe_problems(probe, lambda text: said[text][None], TASK)


def test_what_a_rounding_could_turn_is_not_asked(probe: Probe) -> None:
    assert probe.texts == ("first", "third") and probe.labels == ("a", "c")
    assert len(probe_of(["x"] * 200, np.tile(LOGITS[:1], (200, 1)), TASK).texts) == TEXTS


@pytest.mark.parametrize(("moved", "said"), [(0.0, 0), (0.9 * TOLERANCE, 0), (1.1 * TOLERANCE, 1), (2.5, 2)])
def test_a_logit_may_move_within_the_tolerance_and_no_answer_at_all(probe: Probe, moved: float, said: int) -> None:
    assert len(problems(probe, moved)) == said


def test_a_number_that_is_none_is_beyond_any_tolerance(probe: Probe) -> None:
    assert any("a logit differs" in line for line in problems(probe, float("nan")))


def test_it_is_read_back_as_it_was_written(probe: Probe) -> None:
    assert Probe.model_validate_json(probe.model_dump_json()) == probe
    assert problems(Probe.model_validate_json(probe.model_dump_json()), 0.0) == []
