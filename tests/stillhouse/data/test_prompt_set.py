"""The prompt set of a batch: nothing is lost, nothing leaks, and a golden row stays where it is."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from stillhouse.data.near_duplicates import near_duplicate_pairs
from stillhouse.data.prompt_set import PromptSet, base_prompt_set, later_prompt_set
from stillhouse.recipe.contract import Recipe
from tests.small import questions, small_recipe
from tests.stillhouse.data.short_rows import ANCHORS, frame, rows_of


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder: Path = tmp_path_factory.mktemp("recipe")
    return small_recipe(folder, data__hidden_label_share=0.0).recipe


def base(recipe: Recipe, rows: list[tuple[str, str | None]]) -> PromptSet:
    return base_prompt_set(frame([*ANCHORS, *rows]), recipe, where="rows")


@pytest.mark.long
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(rows_of, rows_of)
def test_in_is_prompts_plus_rejects_and_no_pair_of_texts_is_nearly_one(
    recipe: Recipe, first: list[tuple[str, str | None]], later: list[tuple[str, str | None]]
) -> None:
    made = base(recipe, first)
    assert made.prompts.height + made.rejects.height == len(first) + len(ANCHORS)
    added = later_prompt_set(frame(later, "may"), made.prompts, recipe)
    assert added.prompts.height + added.rejects.height == len(later)
    assert set(added.prompts["split"]) <= {"train"}
    assert near_duplicate_pairs(pl.concat([made.prompts["text"], added.prompts["text"]])).is_empty()
    assert pl.concat([made.prompts["prompt_id"], added.prompts["prompt_id"]]).is_unique().all()


@pytest.mark.long
def test_a_golden_row_stays_golden_as_the_base_grows(recipe: Recipe) -> None:
    rows = questions(400).rename({"question": "text", "service": "label"}).select("text", "label").rows()
    before, after = base(recipe, rows[:200]).prompts, base(recipe, rows).prompts
    golden = before.filter(pl.col("split") == "golden")["prompt_id"].to_list()
    assert golden and set(golden) <= set(after.filter(pl.col("split") == "golden")["prompt_id"])


def test_personal_data_is_out_of_prompts_and_rejects(recipe: Recipe) -> None:
    hidden = "wr\u200bite to ann@example.org"
    made = base(recipe, [(hidden, "x"), ("call +1 415 555 2671 or ann@example.org now", "y"), (hidden, "y")])
    everything = "\n".join([*made.prompts["text"], *made.rejects["text"]])
    assert "example.org" not in everything and "555" not in everything
    assert made.redacted == {"email": 3, "phone": 1}


@pytest.mark.parametrize("name", ["place", "index"])
def test_a_column_of_the_users_may_be_called_as_one_of_ours_is_on_the_way(recipe: Recipe, name: str) -> None:
    """Regression: a slice by `place` ended in an error of polars."""
    rows = frame([*ANCHORS]).with_columns(pl.lit("north").alias(name))
    assert base_prompt_set(rows, recipe, where="rows").prompts[name].unique().to_list() == ["north"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "label", "reason"),
    [
        ("ALPHA  alpha one", "x", "duplicate text"),
        ("alpha alpha one", "y", "conflicting labels"),
        ("the fourth delta of all these rivers", "y", "near duplicate"),
    ],
)
def test_a_later_row_that_the_base_has_is_rejected_with_the_reason(
    recipe: Recipe, text: str, label: str, reason: str
) -> None:
    added = later_prompt_set(frame([(text, label), ("epsilon five", "x")], "may"), base(recipe, []).prompts, recipe)
    assert added.rejects["reason"].to_list() == [reason]
    assert added.prompts["text"].to_list() == ["epsilon five"]


def test_a_later_row_that_holds_a_golden_text_is_rejected(recipe: Recipe) -> None:
    rows = [(text, label) for text, label, _ in questions(300).rows() if len(text.split()) >= 9]
    made = base(recipe, rows)
    golden = made.prompts.filter((pl.col("split") == "golden") & (pl.col("text").str.len_chars() > 40))["text"][0]
    padded = (
        f"Please tell me in a few kind words, because I would really like to know it by tomorrow: {golden} Thank you."
    )
    added = later_prompt_set(frame([(padded, None)], "may"), made.prompts, recipe)
    assert added.rejects["reason"].to_list() == ["contains a golden text"]


def test_a_family_of_many_alike_texts_leaves_one(recipe: Recipe) -> None:
    rows = [(f"what is the status of my order number {number} please", "x") for number in range(100, 160)]
    made = base(recipe, rows)
    left = made.prompts.filter(pl.col("text").str.contains("order number")).height
    assert near_duplicate_pairs(made.prompts["text"]).is_empty() and left < 20


def test_a_labelled_row_is_kept_before_its_unlabelled_near_duplicate(recipe: Recipe) -> None:
    made = base(recipe, [("who named the largest river", None), ("who named the largest rivers", "x")])
    assert "who named the largest rivers" in made.prompts["text"].to_list()
    assert made.rejects.rows() == [("who named the largest river", "base", "near duplicate", None)]


def test_a_real_row_is_kept_before_a_synthetic_copy_and_its_near_duplicate(recipe: Recipe) -> None:
    written = [
        ("who named the largest rivers", "x", "synthetic"), ("who named the largest river", "x", "real"),
        ("where is Rome ?", "y", "synthetic"), ("Where is Rome ?", "y", "real"),
    ]  # fmt: skip
    rows = frame([(text, label) for text, label, _ in written]).with_columns(
        row_kind=pl.Series([k for *_, k in written])
    )
    others = frame([(f"{word} {word[::-1]}", "xy"[len(word) % 2]) for word in ("one", "four", "seven", "eleven")])
    made = base_prompt_set(pl.concat([rows, others.with_columns(row_kind=pl.lit("real"))]), recipe, where="rows.csv")
    assert set(made.prompts["row_kind"]) == {"real"} and made.rejects.height == 2


@pytest.mark.long
@pytest.mark.parametrize("side", ["golden", "validation"])
def test_a_training_text_that_holds_a_held_out_text_is_rejected(recipe: Recipe, side: str) -> None:
    """Regression: golden texts alone were looked for, so validation rows could be known from training."""
    rows = questions(600).rename({"question": "text", "service": "label"}).select("text", "label").rows()
    alone = base(recipe, rows).prompts
    long = alone.filter(pl.col("text").str.count_matches(r"\w+") > 10)
    held_out, others = (long.filter(at)["text"] for at in (pl.col("split") == side, pl.col("split") == "train"))
    around = [f"{others[2 * n]} {text} {others[2 * n + 1]}" for n, text in enumerate(held_out[:20])]
    made = base(recipe, [*rows, *((text, "HUM") for text in around)])
    kept = made.prompts.filter(pl.col("split") == "train")["text"]
    rejected = made.rejects.filter(pl.col("reason") == f"contains a {side} text")["text"]
    assert not set(kept) & set(around) and len(set(rejected) & set(around)) > 3
    later = later_prompt_set(frame([(text, "HUM") for text in around], "may"), alone, recipe)
    assert later.prompts.is_empty() and set(later.rejects["reason"]) <= {f"contains a {side} text", "near duplicate"}
