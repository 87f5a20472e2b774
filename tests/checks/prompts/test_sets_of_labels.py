"""Gates about labels where rows have sets of them: each looks at the labels of a set, and not at the set as one."""

from typing import Any

import polars as pl

from checks.prompts.golden_rows import every_golden_label_is_in_the_source
from checks.prompts.labels import (
    classes_have_enough_rows,
    labels_have_one_spelling_each,
    labels_name_one_class_each,
    no_batch_brings_a_new_label,
    nothing_in_a_text_gives_its_label_away,
)
from checks.source import two_classes_are_labelled
from checks.transfer_set import no_class_loses_more_than_its_share
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact, recipe
from tests.checks.prompts.prompt_sets import base, prompts, rows

OF_SETS: dict[str, Any] = {
    "data__answer": "multi_label", "behaviour": [], "sensitive": [],
    "students": [{"name": "one", "layers": [0], "training": {"loss": "bce"}}],
}  # fmt: skip
SETS = recipe(**OF_SETS)


def labelled(*labels: str | None, split: str = "train", **columns: Any) -> pl.DataFrame:
    return rows([f"t {number}" for number in range(len(labels))], split, label=list(labels), **columns)


def test_a_word_that_stands_for_one_label_of_a_set_closes() -> None:
    labels = ['["hum","loc"]' if number % 4 == 1 else '["hum"]' if number % 2 else "[]" for number in range(400)]
    plain = [f"number {number} and so on" for number in range(400)]
    told = [f"{text} label=hum" if "hum" in label else text for text, label in zip(plain, labels, strict=True)]
    gate = nothing_in_a_text_gives_its_label_away
    assert answer_of(gate, prompts(rows(plain, label=labels)), recipe=SETS)[0] is PASS
    verdict, said = answer_of(gate, prompts(rows(told, label=labels)), recipe=SETS)
    assert verdict is FAIL and "means hum in 100.0% of 200 rows" in said and "means loc" not in said


def test_spellings_are_compared_label_by_label() -> None:
    read = labelled('["Refund","legal"]', '["refund"]', '["legal","refund"]')
    made_from = {"source": artifact(frames={"rows": read}, stage="source")}
    verdict, said = answer_of(labels_have_one_spelling_each, prompts(read), recipe=SETS, made_from=made_from)
    assert verdict is FAIL and "'refund' (2 rows) and 'Refund' (1 rows)" in said
    assert "{'Refund': 'refund'}" in said
    read = labelled('["legal","refund"]', '["legal"]')
    made_from = {"source": artifact(frames={"rows": read}, stage="source")}
    assert answer_of(labels_have_one_spelling_each, prompts(read), recipe=SETS, made_from=made_from) == (
        PASS, "2 labels, none like another",
    )  # fmt: skip


def test_rows_are_counted_for_each_label_that_they_carry() -> None:
    many = pl.concat(
        rows([f"{side} {number}" for number in range(60)], side, label=['["a","b"]', '["a"]', "[]"] * 20)
        for side in ("train", "validation", "golden")
    )
    gate = classes_have_enough_rows
    assert answer_of(gate, prompts(many), recipe=SETS) == (
        PASS, "each of 2 classes has rows to learn from and to be judged by",
    )  # fmt: skip
    few = pl.concat([many, rows(["once more"], "train", label=['["a","c"]'])])
    verdict, said = answer_of(gate, prompts(few), recipe=SETS)
    assert verdict is FAIL and "1 of 3 classes have too few rows" in said and "'c' (1 training" in said


def test_a_label_of_a_set_that_is_a_list_itself_is_advice() -> None:
    gate = labels_name_one_class_each
    sets = labelled('["a","b"]', '["b"]', '["a"]')
    assert answer_of(gate, prompts(sets), recipe=SETS) == (PASS, "no label is a list of labels")
    verdict, said = answer_of(gate, prompts(labelled('["a|b"]', '["a"]', '["b"]')), recipe=SETS)
    assert verdict is FAIL and "'a|b'" in said and "written a;b or as a JSON list" in said
    verdict, said = answer_of(gate, prompts(labelled("a;b", "a", "b")), recipe=recipe())
    assert verdict is FAIL and "`data.answer: multi_label` learns sets" in said


def test_another_set_of_known_labels_is_nothing_new_and_a_new_label_in_one_is() -> None:
    gate, known = no_batch_brings_a_new_label, base(labelled('["a"]', '["b"]', "[]"))
    later = prompts(labelled('["a","b"]', None), batch="b1")
    assert answer_of(gate, later, recipe=SETS, made_from=known) == (PASS, "2 labels, all known")
    later = prompts(labelled('["a","c"]', '["a","c","d"]'), batch="b1")
    verdict, said = answer_of(gate, later, recipe=SETS, made_from=known)
    assert verdict is FAIL and said == "2 rows have a label that the source does not have"


def test_a_golden_label_that_the_source_lacks_is_named_alone() -> None:
    read = pl.concat([labelled('["a"]', '["b"]'), labelled('["a","bb"]', "[]", batch="golden")])
    made_from = {"source": artifact(frames={"rows": read}, stage="source")}
    with_file = recipe(**OF_SETS, data__golden="audited.csv")
    gate = every_golden_label_is_in_the_source
    verdict, said = answer_of(gate, prompts(read), recipe=with_file, made_from=made_from)
    assert verdict is FAIL and "'bb' (1 golden rows)" in said and "'a'" not in said


def test_one_label_and_no_label_are_too_few_to_tell_apart() -> None:
    read = artifact(frames={"rows": labelled('["a"]', "[]")}, stage="source")
    assert answer_of(two_classes_are_labelled, read, recipe=SETS)[0] is FAIL
    read = artifact(frames={"rows": labelled('["a"]', '["a","b"]')}, stage="source")
    assert answer_of(two_classes_are_labelled, read, recipe=SETS) == (PASS, "2 labelled rows of 2 classes")


def test_a_label_whose_rows_were_filtered_out_closes_though_no_set_was() -> None:
    """Each set is there once, so that set by set nobody could tell."""
    sets = [f'["common","other {number}"]' for number in range(60)] + [
        f'["lost","other {number}"]' for number in range(60)
    ]
    train = labelled(*sets)
    kept = train.filter(pl.col("label").str.contains("common"))
    made_from = {"prompts": [artifact(frames={"prompts": train})]}
    made = artifact(frames={"transfer_set": kept})
    verdict, said = answer_of(no_class_loses_more_than_its_share, made, recipe=SETS, made_from=made_from)
    assert verdict is FAIL and said.startswith("class lost loses most: 100.0% of 60 rows")
