"""What a first recipe should say, from rows whose answer is known."""

import polars as pl
import pytest

from orchestration.scaffold.suggestions import margin, shares, suggest
from stillhouse.data.prompt_set import PromptSet
from stillhouse.data.rejects import no_rejects
from stillhouse.evaluation.baselines.confusable import confusable_classes
from stillhouse.statistics.accuracy_test import rows_needed_for


def made(**sizes: int) -> PromptSet:
    """So many rows of each class."""
    rows = [
        (f"{name} {number}", f"{name * 3} {number * 7919}", name) for name in sizes for number in range(sizes[name])
    ]
    prompts = pl.DataFrame(rows, schema=["prompt_id", "text", "label"], orient="row").with_columns(batch=pl.lit("base"))
    return PromptSet(prompts, no_rejects(), {})


@pytest.mark.parametrize(
    ("labelled", "golden", "validation"),
    [(100, 40, 10), (3_000, 1_200, 300), (5_000, 1_500, 500), (12_000, 2_400, 1_200), (1_000_000, 3_000, 1_500)],
)
def test_golden_rows_are_as_many_as_are_enough(labelled: int, golden: int, validation: int) -> None:
    shares_of = shares(labelled)
    assert [round(share * labelled) for share in shares_of] == [golden, validation]


def test_the_margin_is_what_the_rows_can_show_of_a_student_that_loses_two_points() -> None:
    assert margin(0.0147) == 0.035  # 3.47 points, rounded up to half a point
    assert margin(0.005) == 0.03, "nobody's student loses nothing"
    assert margin(0.2) == margin(None) == 0.1
    assert margin(0.02) == 0.04, "no half point more for a rounding error"
    # Such a student is shown to hold it: its distance from the margin is what the rows can show.
    assert rows_needed_for(0.035 - 0.02, 0.05, 0.05) <= 1_500


def test_a_mix_of_one_large_class_is_compared_by_macro_f1() -> None:
    skewed, even = suggest(made(a=620, b=380), key="k"), suggest(made(a=550, b=450), key="k")
    assert (skewed.metric, even.metric) == ("macro_f1", "accuracy")
    assert skewed.majority_share == 0.62 and skewed.minimum_accuracy == 0.74  # 0.62 + 0.38 / 3
    assert skewed.minimum_accuracy > skewed.majority_share
    assert suggest(made(a=900, b=100), key="k").margin > even.margin, "the rare class decides, and has few rows"


def test_many_even_classes_still_ask_for_half_of_the_answers() -> None:
    assert suggest(made(**{name: 60 for name in "abcdefghij"}), key="k").minimum_accuracy == 0.5


def test_labels_to_learn_from_are_counted_without_those_that_judge() -> None:
    few, many = suggest(made(a=16, b=16, c=16), key="k"), suggest(made(a=60, b=60, c=60), key="k")
    assert few.labels_a_class == pytest.approx(16 * 0.5, abs=2) and few.has_few_labels  # 0.4 judge, 0.1 validate
    assert many.labels_a_class == pytest.approx(60 * 0.5, abs=5) and not many.has_few_labels


def test_a_rare_class_is_a_slice_where_it_has_rows_to_be_judged() -> None:
    found = suggest(made(a=800, b=600, c=120, d=20), key="k").slices
    assert [(each.values, each.column, each.critical) for each in found] == [(("c",), "label", False)]


def test_classes_that_are_taken_for_each_other_are_found() -> None:
    texts = [f"my card {number} {'lost' if number % 2 else 'gone'}" for number in range(80)]
    labels = ["lost" if number % 4 < 2 else "stolen" for number in range(80)]
    texts += [f"the weather of {number} is fine" for number in range(40)]
    labels += ["weather"] * 40
    assert confusable_classes(texts, labels, by_characters=False) == [("lost", "stolen")]
    assert confusable_classes(texts[:80], labels[:80], by_characters=False) == [], "two classes are the whole task"
