"""The table of measures and the record that it fills name the same things."""

from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.measured import MEASURES

GIVEN = {"golden_digest", "golden_rows", "classes", "terms"}
OF_COST = {"latency", "footprint", "running_cost", "hosted", "size_ratio"}
OF_CLAIMS = {"claims", "verdict"}


def test_each_field_of_an_evaluation_is_filled_once() -> None:
    """A field that has a default would stay empty, and nobody be told."""
    measured = [measure.field for measure in MEASURES]
    assert sorted([*measured, *GIVEN, *OF_COST, *OF_CLAIMS]) == sorted(Evaluation.model_fields)
