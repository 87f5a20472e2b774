"""The three declarations a recipe embeds."""

import subprocess
import sys

import pytest
from pydantic import BaseModel, ValidationError

from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec


@pytest.mark.parametrize("spec", [BarSpec, BudgetSpec, SliceSpec])
def test_every_field_is_described(spec: type[BaseModel]) -> None:
    assert all(field.description for field in spec.model_fields.values())


@pytest.mark.parametrize(
    "values",
    [{"margin": 0}, {"margin": 1}, {"margin": 3}, {"margin": 0.03, "alpha": 0.5}, {"margin": 0.03, "floor": 1.2},
     {"margin": 0.03, "metric": "bleu"}, {"margin": 0.03, "marign": 0.02}, {"margin": float("nan")}, {}],
)  # fmt: skip
def test_a_bar_outside_its_bounds_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        BarSpec.model_validate(values)


@pytest.mark.parametrize(
    "values", [{"metric": "recall"}, {"metric": "macro_f1", "metric_class": "fraud"}, {"metric_class": "fraud"}]
)
def test_a_class_goes_with_recall_and_only_with_it(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="metric_class goes with metric: recall, and only with it"):
        BarSpec.model_validate({"margin": 0.03, **values})


def test_each_metric_has_a_name_for_sentences() -> None:
    bars = [BarSpec(margin=0.03), BarSpec(margin=0.03, metric="macro_f1"),
            BarSpec(margin=0.03, metric="recall", metric_class="fraud")]  # fmt: skip
    assert [bar.metric_in_words for bar in bars] == ["accuracy", "macro F1", "recall of 'fraud'"]


def test_a_slice_without_values_and_a_budget_of_nothing_are_refused() -> None:
    with pytest.raises(ValidationError):
        SliceSpec(name="x", column="c", values=(), critical=True)
    with pytest.raises(ValidationError):
        BudgetSpec(latency_ratio_at_least=0, size_ratio_at_least=8)


def test_specs_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        BarSpec(margin=0.03).margin = 0.5  # type: ignore[misc]


@pytest.mark.long
def test_the_bar_loads_without_numbers_or_frameworks() -> None:
    """The contract embeds it, and the contract must load in every process."""
    program = (
        "import sys, stillhouse.recipe.bar\n"
        "heavy = {'numpy', 'polars', 'scipy', 'sklearn', 'torch', 'matplotlib', 'dagster'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.long
def test_the_harness_and_report_load_without_heavy_libraries() -> None:
    program = (
        "import sys, stillhouse.report.document, stillhouse.evaluation.baselines.fitted\n"
        "heavy = {'scipy', 'sklearn', 'torch', 'matplotlib', 'jinja2', 'dagster'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
