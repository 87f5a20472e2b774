"""The report as `report.json` has it: plain values."""

from typing import Any

from stillhouse.evaluation.harness import Evaluation
from stillhouse.report.context import ReportContext
from stillhouse.report.reading import ReadReport
from stillhouse.report.record import Report, report_of

SCORE: dict[str, Any] = {
    "name": "s", "kind": "student", "accuracy": 0.9, "accuracy_interval": [0.88, 0.92], "size_bytes": 1_000_000,
    "note": "",
}  # fmt: skip
REPORT: dict[str, Any] = {
    "verdict": "pass", "summary": "It holds.", "teacher": SCORE, "student": SCORE, "agreement": 0.9,
    "non_inferiority": {"drop": 0.0, "drop_upper_bound": 0.01, "margin": 0.03}, "metric_test": None,
    "latency": None, "latency_ratio": None, "size_ratio": 2.0, "footprint": None, "running_cost": None, "claims": [],
    "others": [], "selection": None, "comparison": None, "error_analysis": {},
}  # fmt: skip
"""A report with no more than is read of one."""


def report_json(evaluation: Evaluation, **about: Any) -> dict[str, Any]:
    """What `report_of` makes, which has to be read back as the same record, and by those who read a part of it."""
    made = report_of(evaluation, ReportContext(**about))
    assert Report.model_validate_json(made.model_dump_json()) == made
    ReadReport.model_validate_json(made.model_dump_json())
    return made.model_dump(mode="json")
