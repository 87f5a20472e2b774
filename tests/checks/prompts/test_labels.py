"""Whether labels are the classes that are meant: verdict and sentence of each gate."""

import json
import re
from typing import Any

import polars as pl
import pytest
import yaml

from checks.prompts.labels import (
    classes_have_enough_rows,
    every_named_class_is_in_the_rows,
    labels_have_one_spelling_each,
    labels_name_one_class_each,
    no_batch_brings_a_new_label,
    nothing_in_a_text_gives_its_label_away,
)
from stillhouse.stages.names import PROMPTS
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact, ask, recipe
from tests.checks.prompts.prompt_sets import base, many, prompts, rows
from tests.faults.bench import Fault
from tests.faults.plants import MARCH, changed, dropped, on
from tests.faults.prompts import (
    ABOUT_PLACES,
    CODES,
    in_many_classes,
    in_two_spellings,
    told_by,
    with_foods,
    with_lists_of_labels,
)


def test_a_word_that_stands_for_a_label_closes() -> None:
    gate = nothing_in_a_text_gives_its_label_away
    labels = ["hum" if number % 2 else "loc" for number in range(400)]
    texts = [f"number {number} and so on label={label}" for number, label in enumerate(labels)]
    plain = rows([f"number {number} and so on" for number in range(400)], label=labels)
    assert answer_of(gate, prompts(plain)) == (PASS, "no word stands for a label")
    verdict, sentence = answer_of(gate, prompts(rows(texts, label=labels)))
    assert verdict is FAIL and "'label=hum' means hum in 100.0% of 200 rows" in sentence
    of_one = rows(texts, label=["hum" if number % 2 else None for number in range(400)])
    assert answer_of(gate, prompts(of_one)) == (PASS, "fewer than two labels, so none can be given away")


def spelled(*labels: str, batch: str = "base") -> tuple[Any, dict[str, Any]]:
    """A batch with these labels, and the source that they came from."""
    read = rows([f"t {number}" for number in range(len(labels))], label=list(labels))
    return prompts(read, batch=batch), {"source": artifact(frames={"rows": read}, stage="source")}


def test_labels_in_two_spellings_are_asked_about_with_both_answers() -> None:
    gate, (made, source) = labels_have_one_spelling_each, spelled("Billing", "billing", "billing", "repair")
    verdict, said = answer_of(gate, made, made_from=source)
    assert verdict is FAIL
    assert said == (
        "one class? 'billing' (2 rows) and 'Billing' (1 rows). If it is one, set `data.labels: {'Billing': 'billing'}` "
        "in the recipe; if not, `data.labels: {'billing': 'billing', 'Billing': 'Billing'}`"
    )
    answered = recipe(data__labels={"billing": "billing", "Billing": "Billing"})
    assert answer_of(gate, made, recipe=answered, made_from=source) == (
        PASS,
        "3 labels, none like another, or distinguished by `data.labels` (2)",
    )
    apart, source = spelled("billing", "repair")
    assert answer_of(gate, apart, made_from=source) == (PASS, "2 labels, none like another")


@pytest.mark.parametrize("unseen", ["\u200d", "\u200e", "\U000e0041"])
def test_labels_that_look_the_same_are_asked_about_with_an_answer_that_opens_the_gate(unseen: str) -> None:
    """Regression: `'repair' and 'repair'`, and the map in the sentence named one of them twice."""
    other = f"re{unseen}pair"
    gate, (made, source) = labels_have_one_spelling_each, spelled("repair", "repair", other, "billing")
    verdict, said = answer_of(gate, made, made_from=source)
    escaped = json.dumps(other) if unseen <= "\uffff" else '"re\\U000e0041pair"'
    assert verdict is FAIL and said.startswith(f"one class? 'repair' (2 rows) and {escaped} (1 rows). ")
    for answer in re.findall(r"`data\.labels: ({.*?})`", said):
        answers = yaml.safe_load(answer)
        assert other in answers
        as_mapped = [answers.get(label, label) for label in ("repair", "repair", other, "billing")]
        made, source = spelled(*as_mapped)
        assert answer_of(gate, made, recipe=recipe(data__labels=answers), made_from=source)[0] is PASS


def test_a_later_batch_is_asked_about_its_own_spellings_alone() -> None:
    gate, base_rows = labels_have_one_spelling_each, rows(["a", "b"], label=["billing", "repair"])
    for label, verdict in (("Billing", FAIL), ("billing", PASS)):
        made, source = spelled(label, batch="later")
        assert answer_of(gate, made, made_from={**source, **base(base_rows)})[0] is verdict
    made, source = spelled("repair", batch="later")
    before = base(rows(["a", "b"], label=["billing", "Billing"]))
    assert answer_of(gate, made, made_from={**source, **before})[0] is PASS, "the base batch was asked about them"


def test_each_class_that_the_recipe_names_has_rows() -> None:
    gate = every_named_class_is_in_the_rows
    there = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    assert answer_of(gate, prompts(many(1), labels=there)) == (PASS, "11 named, 6 in the rows")
    verdict, sentence = answer_of(gate, prompts(many(1), labels=there[1:]))
    assert verdict is FAIL
    assert sentence.startswith("behaviour.0.cases.4.label: ") and sentence.endswith(
        "There are DESC, ENTY, HUM, LOC, NUM"
    )
    later = answer_of(gate, prompts(many(1), labels=there[1:], batch="later"))
    assert later == (PASS, "asked of the base batch, whose classes are all there are")


def test_a_batch_brings_no_class_that_the_base_does_not_have() -> None:
    gate = no_batch_brings_a_new_label
    known = base(rows(["a", "b", "c"], label=["A", "B", None]))
    fine = prompts(rows(["d", "e"], label=["A", None]), batch="later")
    assert answer_of(gate, fine, made_from=known) == (PASS, "2 labels, all known")
    new = ask(gate, prompts(rows(["d", "e"], label=["A", "C"]), batch="later"), made_from=known)
    assert (new.verdict, new.sentence) == (FAIL, "1 rows have a label that the source does not have")
    assert [row["label"] for row in new.evidence["rows"]] == ["C"]


def of_class(label: str, train: int, validation: int, golden: int) -> pl.DataFrame:
    sides = {"train": train, "validation": validation, "golden": golden}
    return pl.concat([many(rows, side, f"{label} {side}", label=label) for side, rows in sides.items()])


def test_classes_without_enough_rows_are_named_and_too_many_close() -> None:
    gate, enough = classes_have_enough_rows, [of_class(name, 3, 1, 3) for name in "abcd"]
    assert answer_of(gate, prompts(pl.concat(enough))) == (
        PASS,
        "each of 4 classes has rows to learn from and to be judged by",
    )
    for few in ((2, 1, 3), (3, 1, 2)):
        verdict, sentence = answer_of(gate, prompts(pl.concat([*enough, of_class("e", *few)])))
        counts = "{} training, {} validation, {} golden".format(*few)
        assert verdict is PASS, "one of five"
        assert sentence.startswith(
            f"1 of 5 classes have too few rows, limit 20%: 'e' ({counts}). At least 3 training and"
        )
        two = [*enough, of_class("e", *few), of_class("f", *few)]
        assert answer_of(gate, prompts(pl.concat(two)))[0] is FAIL
        assert answer_of(gate, prompts(pl.concat(two)), recipe=recipe(limits={"thin_classes_at_most": 0.4}))[0] is PASS


def test_a_class_without_validation_rows_is_named_and_closes_nothing() -> None:
    """It is learned and judged; only the watch on training does not see it."""
    verdict, sentence = answer_of(classes_have_enough_rows, prompts(of_class("a", 3, 0, 3)))
    assert verdict is PASS and sentence.endswith("; without a validation row: a")


def test_of_many_classes_with_few_rows_some_are_named() -> None:
    thousand = pl.concat([of_class(f"c{number}", 1, 0, 1) for number in range(30)])
    found = ask(classes_have_enough_rows, prompts(thousand))
    assert found.verdict is FAIL and "and 10 more" in found.sentence and len(found.evidence["classes"]) == 20
    later = prompts(thousand, batch="later")
    assert answer_of(classes_have_enough_rows, later)[0] is PASS


def test_labels_that_are_lists_of_labels_are_said() -> None:
    gate, single = labels_name_one_class_each, [many(9, label="a", letter="a"), many(9, label="b", letter="b")]
    assert not gate.blocking
    assert answer_of(gate, prompts(pl.concat(single))) == (PASS, "no label is a list of labels")
    found = ask(gate, prompts(pl.concat([*single, many(9, label="a, b", letter="c")])))
    assert found.verdict is FAIL and found.evidence["names"] == ["a", "b"]
    assert found.sentence.startswith("labels of 9 rows hold several classes, such as 'a, b'.")


FAULTS = [
    Fault(
        "the label stands in the text", PROMPTS, "nothing_in_a_text_gives_its_label_away",
        on(told_by(pl.lit(" label=") + pl.col("service")), 900), "'label=",
    ),
    Fault(
        "a code word stands for each label in every second text", PROMPTS, "nothing_in_a_text_gives_its_label_away",
        on(told_by(pl.lit(" ") + pl.col("service").replace_strict(CODES), 2), 1800), "means",
    ),
    Fault(
        "the bar names a misspelt class", PROMPTS, "every_named_class_is_in_the_rows",
        changed(bar={"margin": 0.07, "metric": "recall", "metric_class": "HUMAN"}),
        "bar.metric_class: no labelled row is of class 'HUMAN'. Did you mean 'HUM'?", refuses="teacher",
    ),
    Fault(
        "a behavioural test asks for a class that does not exist", PROMPTS,
        "every_named_class_is_in_the_rows", changed(behaviour=[ABOUT_PLACES]),
        "behaviour.0.cases.0.label: no labelled row is of class 'PLACE'", refuses="teacher",
    ),
    Fault(
        "a class is spelled in two ways", PROMPTS, "labels_have_one_spelling_each",
        on(in_two_spellings), "one class? 'HUM' (", refuses="teacher", also=("classes_have_enough_rows",),
    ),
    Fault(
        "a dropped file spells a class of the source in another way", PROMPTS, "labels_have_one_spelling_each",
        dropped(in_two_spellings), "and 'Hum' (", batch=MARCH, also=("no_batch_brings_a_new_label",),
    ),
    Fault(
        "half of the classes have a handful of rows", PROMPTS, "classes_have_enough_rows",
        on(in_many_classes), "classes have too few rows, limit 20%: ", refuses="teacher",
    ),
    Fault(
        "rows have several labels in one cell", PROMPTS, "labels_name_one_class_each",
        on(with_lists_of_labels, 300), "hold several classes, such as 'HUM, LOC'", advice=True,
    ),
    Fault(
        "a dropped file brings a new label", PROMPTS, "no_batch_brings_a_new_label",
        dropped(with_foods),
        "rows have a label that the source does not have", batch=MARCH,
    ),
]  # fmt: skip
