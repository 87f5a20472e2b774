"""Gates where answers are records: those about classes say that they measure nothing, the others look at records."""

from typing import Any

import polars as pl
import pytest

from checks.candidates import the_student_beats_the_majority_class
from checks.gate import RECORDS, Gate
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
from stillhouse.recipe.record import RecordSpec
from stillhouse.stages.facts import CandidateFacts
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact, stored_recipe
from tests.checks.prompts.prompt_sets import base, prompts, rows

FIELDS: dict[str, Any] = {"who": {"kind": "verbatim", "words_at_most": 1}}
OF_RECORDS: dict[str, Any] = {
    "data__answer": "fields", "data__fields": FIELDS, "behaviour": [], "sensitive": [], "slices": [], "stress": None,
    "data__wrong_labels_at_most": 0.05,
}  # fmt: skip
EXTRACTION = stored_recipe(**OF_RECORDS)


def labelled(*places: int | None, split: str = "train", **columns: Any) -> pl.DataFrame:
    labels = [None if place is None else f'{{"who":[{place},1]}}' for place in places]
    return rows([f"t {number}" for number in range(len(labels))], split, label=labels, **columns)


@pytest.mark.parametrize(
    "gate",
    [classes_have_enough_rows, labels_have_one_spelling_each, labels_name_one_class_each, no_batch_brings_a_new_label,
     nothing_in_a_text_gives_its_label_away, every_golden_label_is_in_the_source],
)  # fmt: skip
def test_a_gate_on_classes_measures_nothing_of_records_and_says_so(gate: Gate) -> None:
    read = labelled(*range(60))
    made_from = {"source": artifact(frames={"rows": read}, stage="source"), **base(read)}
    with_file = stored_recipe(**OF_RECORDS, data__golden="audited.csv")
    assert answer_of(gate, prompts(read), recipe=with_file, made_from=made_from) == (PASS, RECORDS)


def test_different_records_are_labelled() -> None:
    read = artifact(frames={"rows": labelled(1, 2, 1, None)}, stage="source")
    said = "3 labelled rows of 2 different records"
    assert answer_of(two_classes_are_labelled, read, recipe=EXTRACTION) == (PASS, said)
    read = artifact(frames={"rows": labelled(1, 1)}, stage="source")
    assert answer_of(two_classes_are_labelled, read, recipe=EXTRACTION)[0] is FAIL


def test_a_batch_of_other_records_is_no_other_mix_of_labels() -> None:
    first = labelled(*[1, 2] * 300)
    later = rows([f"u {number}" for number in range(600)], "train", label=['{"who":[5,1]}'] * 600, batch="b1")
    gate = the_batch_is_like_the_base
    assert answer_of(gate, prompts(later, batch="b1"), recipe=EXTRACTION, made_from=base(first))[0] is PASS


@pytest.mark.parametrize(("right", "verdict"), [(7, PASS), (6, FAIL)])
def test_a_student_of_records_has_to_beat_the_best_single_record(right: int, verdict: object) -> None:
    """Six of ten validation rows have the same one."""
    known = labelled(*[0] * 6, 1, 2, 3, 4, split="validation")
    made = CandidateFacts(
        answer="fields", labels=(), record=RecordSpec(fields=FIELDS, words=8), learns_from="teacher", layers=(0,),
        vocabulary=None, parameters=None, validation_rows=10, validation_right=right,
    )  # fmt: skip
    found, said = answer_of(
        the_student_beats_the_majority_class, artifact(made), recipe=EXTRACTION,
        made_from={"prompts": [artifact(frames={"prompts": known}, stage="prompts")]},
    )  # fmt: skip
    assert found is verdict and "best single record 0.600" in said
