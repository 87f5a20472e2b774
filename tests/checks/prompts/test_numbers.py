"""Gates where answers are numbers: those about classes say that they measure nothing, the others look at numbers."""

from typing import Any

import polars as pl
import pytest

from checks.gate import NUMBERS, Gate
from checks.prompts.golden_rows import every_golden_label_is_in_the_source
from checks.prompts.labels import (
    classes_have_enough_rows,
    labels_have_one_spelling_each,
    labels_name_one_class_each,
    no_batch_brings_a_new_label,
    nothing_in_a_text_gives_its_label_away,
)
from checks.prompts.mix import the_batch_is_like_the_base
from checks.source import two_classes_are_labelled
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact, recipe
from tests.checks.prompts.prompt_sets import base, prompts, rows

OF_NUMBERS: dict[str, Any] = {
    "data__answer": "score", "data__score": {"lowest": 1, "highest": 5, "tolerance": 0.5}, "behaviour": [],
    "sensitive": [], "slices": [], "data__wrong_labels_at_most": 0.05,
    "students": [{"name": "one", "layers": [0], "training": {"loss": "logit_mse"}}],
}  # fmt: skip
SCORES = recipe(**OF_NUMBERS)


def labelled(*labels: str | None, split: str = "train", **columns: Any) -> pl.DataFrame:
    return rows([f"t {number}" for number in range(len(labels))], split, label=list(labels), **columns)


@pytest.mark.parametrize(
    "gate",
    [classes_have_enough_rows, labels_have_one_spelling_each, labels_name_one_class_each, no_batch_brings_a_new_label,
     nothing_in_a_text_gives_its_label_away, every_golden_label_is_in_the_source],
)  # fmt: skip
def test_a_gate_on_classes_measures_nothing_of_numbers_and_says_so(gate: Gate) -> None:
    """Each number is there once, and half of them nowhere in the base: as classes they would close all of these."""
    read = labelled(*(f"{number / 100:g}" for number in range(100, 500)))
    made_from = {"source": artifact(frames={"rows": read}, stage="source"), **base(read)}
    with_file = recipe(**OF_NUMBERS, data__golden="audited.csv")
    assert answer_of(gate, prompts(read), recipe=with_file, made_from=made_from) == (PASS, NUMBERS)


def test_different_numbers_are_labelled() -> None:
    read = artifact(frames={"rows": labelled("1", "2.5", "1", None)}, stage="source")
    assert answer_of(two_classes_are_labelled, read, recipe=SCORES) == (PASS, "3 labelled rows of 2 different numbers")
    read = artifact(frames={"rows": labelled("1", "1")}, stage="source")
    assert answer_of(two_classes_are_labelled, read, recipe=SCORES)[0] is FAIL


def test_a_batch_of_other_numbers_is_no_other_mix_of_labels() -> None:
    first = labelled(*["1", "2"] * 300)
    later = rows([f"u {number}" for number in range(600)], "train", label=["4.5", "5"] * 300, batch="b1")
    gate = the_batch_is_like_the_base
    assert answer_of(gate, prompts(later, batch="b1"), recipe=SCORES, made_from=base(first))[0] is PASS
    assert answer_of(gate, prompts(later, batch="b1"), recipe=recipe(), made_from=base(first))[0] is FAIL
