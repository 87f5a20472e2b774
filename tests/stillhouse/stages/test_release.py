"""Which golden texts go with a release to wherever it serves."""

import polars as pl

from stillhouse.recipe.data import ProvenanceSpec
from stillhouse.stages.release import texts_that_may_travel

PROMPTS = pl.DataFrame(
    {
        "prompt_id": ["5", "4", "3", "2", "1", "0"],
        "text": ["five", "four", "three", "two", "one", "zero"],
        "label": ["a", "b", "a", "a", "a", "b"],
        "split": ["golden", "golden", "golden", "golden", "golden", "train"],
        "class": ["public", "internal", "personal", "public", "internal", "public"],
    }
)


def test_rows_above_internal_stay_where_they_are() -> None:
    of_a_column = ProvenanceSpec(privacy_column="class", teacher_may_see=("public", "internal", "personal"))
    assert set(texts_that_may_travel(of_a_column, PROMPTS)) == {"five", "four", "two", "one"}
    personal = ProvenanceSpec(privacy_class="personal", teacher_may_see=("personal",))
    assert texts_that_may_travel(personal, PROMPTS) == []


def test_every_class_comes_before_any_comes_again() -> None:
    assert texts_that_may_travel(ProvenanceSpec(), PROMPTS) == ["one", "four", "two", "three", "five"]
