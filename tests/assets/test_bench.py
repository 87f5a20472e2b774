"""What a judgement depends on, and which rows it takes as one piece of evidence."""

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from assets.bench import Bench
from stillhouse.home import CHECKOUT
from stillhouse.recipe import Recipe, read_recipe

DEMO = CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"
GOLDEN = pl.DataFrame(
    {"prompt_id": ["p1", "p2"], "text": ["a", "b"], "label": ["x", "y"], "kind": ["k", "k"], "customer": ["c", "d"],
     "split": ["golden", "golden"]}
)  # fmt: skip


def recipe(group: str | None) -> Recipe:
    demo = read_recipe(DEMO).recipe
    return demo.model_copy(update={"data": demo.data.model_copy(update={"group": group}), "slices": ()})


def bench(group: str | None, golden: pl.DataFrame = GOLDEN) -> Bench:
    prompts: Any = SimpleNamespace(frame=lambda name: golden)
    teacher: Any = SimpleNamespace(digest="teacher")
    nowhere: Any = None
    return Bench(recipe(group), nowhere, prompts, teacher)


@pytest.mark.parametrize(("group", "groups"), [(None, None), ("customer", "customer"), ("not kept", None)])
def test_rows_are_grouped_by_the_column_of_the_recipe_where_golden_rows_have_it(group, groups) -> None:
    assert bench(group).groups == groups


def test_a_row_that_changes_its_group_or_groups_that_begin_to_count_are_judged_again() -> None:
    moved = GOLDEN.with_columns(customer=pl.lit("c"))
    assert bench("customer").depends_on() != bench("customer", moved).depends_on()
    assert bench("customer").depends_on() != bench(None).depends_on()
    assert bench("customer").depends_on() == bench("customer", GOLDEN.clone()).depends_on()
