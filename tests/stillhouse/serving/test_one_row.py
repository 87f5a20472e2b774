"""One row of logits is read as the task reads many, to the last bit."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.arrays import Float32Array
from stillhouse.serving.one_row import read_row
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.tasks.task import Task


def as_the_task_has_it(task: Task, logits: Float32Array, temperature: float) -> tuple[str, float]:
    confidence = task.confidence(logits, temperature)
    assert confidence is not None
    (answer,) = task.written(task.answers(logits))
    return answer, float(confidence[0])


def bits(said: tuple[str, float | None]) -> tuple[str, bytes]:
    assert said[1] is not None
    return said[0], struct.pack("d", said[1])


def task_of(outputs: int) -> SingleLabel:
    return SingleLabel(tuple(f"class {number}" for number in range(outputs)))


@given(
    values=st.lists(st.floats(-80, 80, width=32), min_size=2, max_size=300),
    temperature=st.floats(0.05, 20),
    many=st.integers(1, 9),
)
def test_every_row_is_read_as_the_task_reads_it(values: list[float], temperature: float, many: int) -> None:
    logits = np.array(
        [values * many], np.float32
    )  # each value several times: of equal ones the first class is answered
    task = task_of(logits.shape[1])
    assert bits(read_row(task, logits, temperature)) == bits(as_the_task_has_it(task, logits, temperature))


@pytest.mark.parametrize("outputs", [2, 6, 9, 17, 129, 1000])
def test_rows_as_models_give_them_are_read_as_the_task_reads_them(outputs: int) -> None:
    """Most sums of exponentials round otherwise in another order, which a few drawn values need not show."""
    task, rng = task_of(outputs), np.random.default_rng(outputs)
    for logits in rng.normal(0, 4, (200, 1, outputs)).astype(np.float32):
        assert bits(read_row(task, logits, 1.37)) == bits(as_the_task_has_it(task, logits, 1.37))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("values", [[0.0, np.nan, 1.0], [np.nan, 2.0, 1.0], [np.inf, 1.0, np.inf], [1.0, -np.inf, 0.0]])
def test_what_is_no_number_is_left_to_the_task(values: list[float]) -> None:
    task, logits = task_of(3), np.array([values], np.float32)
    assert bits(read_row(task, logits, 2.0)) == bits(as_the_task_has_it(task, logits, 2.0))


def test_an_answer_that_has_no_probability_has_none_here() -> None:
    class Score:
        def answers(self, logits: Float32Array) -> Float32Array:
            return logits[:, 0]

        def written(self, answers: Float32Array) -> list[str]:
            return [f"{answer:.1f}" for answer in answers]

        def confidence(self, logits: Float32Array, temperature: float) -> None:
            return None

    assert read_row(Score(), np.array([[4.25]], np.float32), 1.0) == ("4.2", None)  # type: ignore[arg-type]
