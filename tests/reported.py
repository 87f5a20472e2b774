"""The report as `report.json` has it: plain values."""

from typing import Any

from stillhouse.evaluation.harness import Evaluation
from stillhouse.report.beside import Beside
from stillhouse.report.record import Report, report_of


def report_json(evaluation: Evaluation, **about: Any) -> dict[str, Any]:
    """What `report_of` makes, which has to be read back as the same record."""
    made = report_of(evaluation, Beside(**about))
    assert Report.model_validate_json(made.model_dump_json()) == made
    return made.model_dump(mode="json")
