"""Rows that people labelled, in a file of their own: they judge, and nothing of the source does or comes near them."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from stillhouse.data.golden_file import read_golden_file
from stillhouse.data.near_duplicates import near_duplicate_pairs
from stillhouse.data.prompt_set import PromptSet, base_prompt_set, later_prompt_set
from stillhouse.data.splits import assign_splits
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from tests.small import questions, small_recipe
from tests.stillhouse.data.short_rows import ANCHORS, frame, rows_of

AUDITED = [(text, label) for text, label, _ in questions(60, skip=2000).rows() if label != "ABBR"]
WORDS_OF_A_LONG_ONE = "which of the many rivers of this largest of all planets was named first by a king"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> RecipeFile:
    return recipe_with(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def recipe(file: RecipeFile) -> Recipe:
    return file.recipe


def recipe_with(folder: Path, golden_share: float = 0.7, validation_share: float = 0.3, **changes: Any) -> RecipeFile:
    split = {"key": "small", "golden_share": golden_share, "validation_share": validation_share}
    said = {"data__golden": str(folder / "audited.csv"), "data__hidden_label_share": 0.0, "split": split}
    return small_recipe(folder, rows=60, **{**said, **changes})


def base(
    recipe: Recipe, source: list[tuple[str, str | None]], audited: list[tuple[str, str | None]] = AUDITED
) -> PromptSet:
    rows = pl.concat([frame([*ANCHORS, *source]), frame(audited, "golden")])
    return base_prompt_set(rows, recipe, where="rows")


@pytest.mark.long
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(rows_of, rows_of, rows_of)
def test_rows_of_the_file_judge_and_rows_of_the_source_train_whatever_they_are(
    recipe: Recipe, source: list[tuple[str, str | None]], audited: list[tuple[str, str | None]],
    later: list[tuple[str, str | None]],
) -> None:  # fmt: skip
    made = base(recipe, source, [*AUDITED, *audited])
    assert made.prompts.height + made.rejects.height == len(source) + len(ANCHORS) + len(AUDITED) + len(audited)
    assert set(made.prompts.filter(pl.col("batch") == "golden")["split"]) == {"golden", "validation"}
    assert set(made.prompts.filter(pl.col("batch") == "base")["split"]) == {"train"}
    added = later_prompt_set(frame(later, "may"), made.prompts, recipe)
    assert added.prompts.height + added.rejects.height == len(later)
    both = pl.concat([made.prompts, added.prompts])
    assert near_duplicate_pairs(both["text"]).is_empty() and both["prompt_id"].is_unique().all()


def test_what_people_said_of_a_text_stands_against_the_source(recipe: Recipe) -> None:
    source = [("who was the first king", "x"), ("where is the largest river", "y"), ("one more of them", "x")]
    audited = [("Who was the first king", "y"), ("where is the largest river", "y"), ("name a planet", "x")]
    made = base(recipe, source, [*AUDITED, *audited])
    asked = made.prompts.filter(pl.col("text").str.contains("(?i)first king|largest river$"))
    assert asked.select("text", "label", "batch").rows() == [(text, label, "golden") for text, label in audited[:2]]
    assert sorted(made.rejects.select("text", "batch", "reason").rows()) == [
        ("where is the largest river", "base", "duplicate text"),
        ("who was the first king", "base", "conflicting labels"),
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("which of the many rivers of the largest of all planets was named first by a king", "near duplicate"),
        (f"Please tell me in a few kind words by tomorrow: {WORDS_OF_A_LONG_ONE} Thank you.", "contains a golden text"),
    ],
)
def test_a_text_of_the_source_that_gives_a_golden_one_away_is_not_trained_on(
    tmp_path: Path, text: str, reason: str
) -> None:
    nearly_all_golden = recipe_with(tmp_path, 0.999, 0.001).recipe
    made = base(nearly_all_golden, [(text, None)], [*AUDITED, (WORDS_OF_A_LONG_ONE, "x")])
    assert made.prompts.filter(pl.col("text") == WORDS_OF_A_LONG_ONE)["split"].to_list() == ["golden"]
    assert made.rejects.select("text", "batch", "reason").rows() == [(text, "base", reason)]


@pytest.mark.long
def test_a_group_of_the_file_is_held_out_of_the_source(tmp_path: Path) -> None:
    grouped = recipe_with(tmp_path, data__group="writer").recipe
    source = frame([*ANCHORS, ("one of anna", None), ("one of bert", None)])
    writers = ["c", "d", "e", "f", "anna", "bert"]
    rows = pl.concat(
        [
            source.with_columns(pl.Series("writer", writers)),
            frame([*AUDITED, ("another of anna", "x")], "golden").with_columns(writer=pl.lit("anna")),
        ]
    )
    made = base_prompt_set(rows, grouped, where="rows")
    assert made.rejects.rows() == [("one of anna", "base", "group is held out", None)]


def test_a_golden_row_without_a_label_judges_nothing_and_is_not_trained_on(recipe: Recipe) -> None:
    made = base(recipe, [], [*AUDITED, ("nobody said what this is", None)])
    assert made.rejects.rows() == [("nobody said what this is", "golden", "no label in the golden file", None)]
    assert "nobody said what this is" not in made.prompts["text"]


@pytest.mark.long
def test_what_golden_and_validation_share_leave_of_the_file_trains(tmp_path: Path) -> None:
    made = base(recipe_with(tmp_path, 0.4, 0.2).recipe, []).prompts.filter(pl.col("batch") == "golden")
    assert set(made["split"]) == {"golden", "validation", "train"} and made["label"].null_count() == 0


def test_a_source_without_labels_is_read_and_split(tmp_path: Path) -> None:
    questions(60).select("question", "kind").write_csv(tmp_path / "questions.csv")
    elsewhere = recipe_with(tmp_path).recipe
    data = elsewhere.data.model_copy(update={"label": None, "golden_label": "queue"})
    unlabelled = elsewhere.model_copy(update={"data": data})
    made = base(unlabelled, [(f"text number {name}", None) for name in ("one", "two", "three")])
    assert made.prompts.filter(pl.col("split") == "train").height == 7
    assert set(made.prompts.filter(pl.col("split") != "train")["label"]) <= {label for _, label in AUDITED}


def test_the_file_is_read_as_the_source_is_with_columns_of_its_own(tmp_path: Path) -> None:
    changes = {"data__separator": ";", "data__golden_text": "body", "data__golden_label": "queue"}
    file = recipe_with(tmp_path, **changes, data__labels={"hum": "HUM"}, slices=[])
    (tmp_path / "audited.csv").write_text("queue;body\nhum;Who is it ?\n;What is it ?\n")
    read = read_golden_file(file)
    assert read.rows.rows() == [("Who is it ?", "HUM", "golden"), ("What is it ?", None, "golden")]


def test_with_another_ending_it_is_read_by_that(tmp_path: Path) -> None:
    file = recipe_with(tmp_path, data__format="csv", data__golden=str(tmp_path / "audited.ndjson"), slices=[])
    (tmp_path / "audited.ndjson").write_text('{"question": "Who is it ?", "service": "HUM"}\n')
    assert read_golden_file(file).rows.rows() == [("Who is it ?", "HUM", "golden")]


@pytest.mark.long
@pytest.mark.parametrize(
    ("header", "changes", "says"),
    [
        ("body,service,kind", {}, "there is no column 'question', which `data.text` of the recipe names"),
        ("question,queue,kind", {}, "there is no column 'service', which `data.label` of the recipe names"),
        (
            "question,service,kind",
            {"data__golden_label": "queue"},
            "there is no column 'queue', which `data.golden_label` of the recipe names",
        ),
        ("question,service", {}, "there is no column 'kind', which `slices.0.column` of the recipe names"),
    ],
)
def test_a_column_that_it_lacks_is_named_with_the_line_of_the_file(
    tmp_path: Path, header: str, changes: dict[str, str], says: str
) -> None:
    file = recipe_with(tmp_path, **changes)
    (tmp_path / "audited.csv").write_text(f"{header}\na,b,c\n")
    with pytest.raises(StillhouseError) as refused:
        read_golden_file(file)
    assert says in str(refused.value) and str(refused.value).startswith(file.where("data", "golden"))


def test_shares_that_are_1_together_leave_nothing_to_train_on() -> None:
    rows = pl.DataFrame({"prompt_id": [f"{n}" for n in range(500)], "label": ["x"] * 500})
    sided = assign_splits(rows, golden_share=0.6, validation_share=0.4, key="k").prompts["split"]
    assert set(sided) == {"golden", "validation"} and 270 < (sided == "golden").sum() < 330
