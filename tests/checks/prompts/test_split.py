"""Whether what is trained on and what is judged by are apart: verdict and sentence of each gate."""

import polars as pl

from checks.prompts.split import (
    no_golden_text_is_inside_a_training_text,
    no_group_is_on_two_sides,
    no_near_duplicate_is_on_two_sides,
    no_text_is_on_both_sides_of_a_split,
)
from stillhouse.stages.names import PROMPTS
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, ask, recipe
from tests.checks.prompts.prompt_sets import base, prompts, rows
from tests.checks.prompts.test_fields import EXTRACTION
from tests.checks.prompts.test_numbers import OF_NUMBERS
from tests.faults.bench import Fault
from tests.faults.plants import MARCH, column
from tests.faults.prompts import (
    as_they_are,
    careless,
    finds_no_pairs,
    finds_nothing_inside,
    forgets_groups,
    keeps_copies,
    no_look_beside_the_base,
    paraphrased,
    with_golden_texts_inside,
)


def test_a_text_is_there_once_also_beside_the_base_batch() -> None:
    gate = no_text_is_on_both_sides_of_a_split
    once = rows(["who ?", "what ?"], ["train", "golden"])
    assert answer_of(gate, prompts(once)) == (PASS, "0 texts are there more than once")
    assert answer_of(gate, prompts(rows(["who ?", "Who ?"]))) == (FAIL, "1 texts are there more than once")
    later = prompts(rows(["what ?"]), batch="later")
    found = ask(gate, later, made_from=base(once))
    assert (found.verdict, found.evidence["texts"][0]["rows"]) == (FAIL, 2)
    assert answer_of(gate, prompts(once), made_from=base(once))[0] is PASS, (
        "the base batch is held against itself alone"
    )


LONG = "which of the seven famous rivers of the old country flows through the largest city in the north"


def test_a_near_duplicate_may_not_be_held_out_from_its_like() -> None:
    gate = no_near_duplicate_is_on_two_sides
    texts = [f"{LONG} ?", f"{LONG} !", "an altogether different question about music and dance"]
    for split, verdict, pairs in (
        (["train", "golden", "golden"], FAIL, 1),
        (["train", "validation", "train"], FAIL, 1),
        (["golden", "validation", "train"], PASS, 0),
        (["train", "train", "golden"], PASS, 0),
    ):
        found = ask(gate, prompts(rows(texts, split)))
        assert (found.verdict, found.sentence) == (verdict, f"{pairs} pairs of nearly equal texts are on two sides")
        assert len(found.evidence["pairs"]) == pairs
    later = prompts(rows([texts[1]], "train"), batch="later")
    assert answer_of(gate, later, made_from=base(rows([texts[0]], "golden")))[0] is FAIL


def test_of_pairs_both_query_and_document_have_to_be_alike() -> None:
    """As where rows are left out: else one document of two queries would close it, and nothing would open it."""
    ranked = recipe(**OF_NUMBERS, data__query="query", data__format=None, data__pattern=None, stress=None)
    texts = [f"who [SEP] {LONG}", f"where [SEP] {LONG}", f"Who? [SEP] {LONG} !"]
    for rest, verdict in ((texts[1:2], PASS), (texts[1:], FAIL)):
        looked_at = prompts(rows([texts[0], *rest], ["golden", *["train"] * len(rest)]))
        assert answer_of(no_near_duplicate_is_on_two_sides, looked_at, recipe=ranked)[0] is verdict


def test_of_records_two_letters_of_one_template_are_apart_where_their_values_are() -> None:
    """A label that is hidden now was known when rows were left out: hiding it makes no leak."""
    ask_for = "Dear Sir or Madam, please be so kind as to pay the amount due to {} within a week."
    texts = [ask_for.format(name) for name in ("Acme", "Apex")]
    places, both = '{"who":[16,1]}', (no_near_duplicate_is_on_two_sides, no_golden_text_is_inside_a_training_text)
    for label, hidden, verdict in (
        ([places, places], False, PASS),
        ([places, None], False, FAIL),
        ([places, None], True, PASS),
    ):
        read = rows(texts, ["golden", "train"], label=label, label_hidden=pl.Series([False, hidden]).to_list())
        for gate in both:
            assert answer_of(gate, prompts(read), recipe=EXTRACTION)[0] is verdict
    twice, otherwise = [texts[0], texts[0].replace("week", "weak")], [places, '{"who":[15,2]}']
    taken_otherwise = prompts(rows(twice, ["golden", "train"], label=otherwise))
    assert answer_of(no_near_duplicate_is_on_two_sides, taken_otherwise, recipe=EXTRACTION)[0] is FAIL
    same = rows([texts[0], texts[0].replace("week", "month")], ["golden", "train"], label=[places] * 2)
    for gate in both:
        assert answer_of(gate, prompts(same), recipe=EXTRACTION)[0] is FAIL


def test_a_golden_text_may_not_stand_inside_a_training_text() -> None:
    gate = no_golden_text_is_inside_a_training_text
    texts = [LONG, f"somebody asked me yesterday {LONG} and why"]
    found = ask(gate, prompts(rows(texts, ["golden", "train"])))
    assert (found.verdict, found.sentence) == (FAIL, "1 golden texts are inside training texts")
    assert found.evidence["texts"] == [{"golden": texts[0], "training": texts[1]}]
    for split in (["train", "golden"], ["golden", "validation"]):
        expected = FAIL if split == ["train", "golden"] else PASS  # thirteen words in a row are shared either way
        assert answer_of(gate, prompts(rows(texts, split)))[0] is expected


CHINESE = "我昨天在你们网站上订购的打印机到现在还没有发货请尽快处理"


def test_a_golden_text_without_blanks_is_looked_for_by_its_characters() -> None:
    found = answer_of(
        no_golden_text_is_inside_a_training_text, prompts(rows([CHINESE, f"转发 {CHINESE}。谢谢"], ["golden", "train"]))
    )
    assert found == (FAIL, "1 golden texts are inside training texts")


def test_golden_texts_that_cannot_be_looked_for_prove_nothing() -> None:
    """Regression: a text of one long word passed as one that stands in no other."""
    gate = no_golden_text_is_inside_a_training_text
    short = rows(["where is my order ?", "a train"], ["golden", "train"])
    verdict, sentence = answer_of(gate, prompts(short))
    assert verdict is INCONCLUSIVE and "none of 1 golden texts has eight words" in sentence
    assert answer_of(gate, prompts(rows(["a train"], "train")))[0] is INCONCLUSIVE
    some = pl.concat([short, rows([LONG], "golden")])
    assert answer_of(gate, prompts(some)) == (
        PASS,
        "0 golden texts are inside training texts; 1 of 2 are too short to be looked for",
    )


def test_texts_that_cannot_be_compared_prove_nothing() -> None:
    gate = no_near_duplicate_is_on_two_sides
    marks = rows(["?!", "!!", "..."], ["golden", "train", "train"])
    verdict, sentence = answer_of(gate, prompts(marks))
    assert verdict is INCONCLUSIVE and "none of 3 texts has a letter, digit or symbol" in sentence
    verdict, sentence = answer_of(gate, prompts(pl.concat([marks, rows([CHINESE], "train")])))
    assert verdict is PASS and sentence.endswith("3 texts have no letter, digit or symbol to compare")
    almost = rows([CHINESE, CHINESE + "吧"], ["golden", "train"])
    assert answer_of(gate, prompts(almost)) == (FAIL, "1 pairs of nearly equal texts are on two sides")


def test_a_group_stays_on_one_side() -> None:
    gate, by_kind = no_group_is_on_two_sides, recipe(data__group="kind")
    two = rows(["who ?", "what ?", "why ?"], ["train", "golden", "golden"], kind=["a", "b", "b"])
    assert answer_of(gate, prompts(two)) == (PASS, "the recipe names no group")
    assert answer_of(gate, prompts(two), recipe=by_kind) == (PASS, "0 groups are on more than one side")
    both = prompts(two.with_columns(kind=pl.lit("a")))
    assert answer_of(gate, both, recipe=by_kind) == (FAIL, "1 groups are on more than one side")


FAULTS = [
    Fault(
        "cleaning keeps copies", PROMPTS, "no_text_is_on_both_sides_of_a_split",
        lambda bench: (
            bench.patch("stillhouse.data.prompt_set:near_duplicate_pairs", finds_no_pairs),
            careless("clean", keeps_copies, as_they_are)(bench),
        )[1],
        "more than once", also=("every_id_is_there_once",),
    ),
    Fault(
        "questions are there again in nearly the same words", PROMPTS, "no_near_duplicate_is_on_two_sides",
        careless("near_duplicate_pairs", finds_no_pairs, paraphrased), "pairs of nearly equal texts",
    ),
    Fault(
        "golden questions stand inside training texts", PROMPTS, "no_golden_text_is_inside_a_training_text",
        careless("ngram_overlap", finds_nothing_inside, with_golden_texts_inside), "are inside training texts",
    ),
    Fault(
        "a writer is on two sides of the split", PROMPTS, "no_group_is_on_two_sides",
        careless(
            "assign_splits", forgets_groups, column("writer", "nobody", "anna", 10), data__group="writer",
        ),
        "groups are on more than one side",
    ),
    Fault(
        "a dropped file holds golden questions", PROMPTS, "no_text_is_on_both_sides_of_a_split",
        no_look_beside_the_base, "more than once", batch=MARCH,
        also=("no_near_duplicate_is_on_two_sides", "no_golden_text_is_inside_a_training_text"),
    ),
]  # fmt: skip
