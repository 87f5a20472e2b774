"""The page of the champion: the numbers that a person asks for first, and who served before."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg

from assets.champion_page import champion_page
from stillhouse.errors import StillhouseError
from stillhouse.records.ledger import Ledger
from tests import reported

TEST = {"drop": 0.0213456, "drop_upper_bound": 0.0355555, "margin": 0.04}
REPORT = {
    **reported.REPORT, "summary": "five_layers clears the bar", "teacher": {**reported.SCORE, "accuracy": 0.9345},
    "size_ratio": 13.25, "student": {**reported.SCORE, "accuracy": 0.91318, "size_bytes": 6_812_345},
    "latency_ratio": 12.94, "non_inferiority": TEST,
    "latency": {
        "teacher_ms_p50": 9.0, "student_ms_p50": 0.9, "ratio": 10.0,
        "cpu": {"teacher_ms": 8.0, "student_ms": 0.81234, "ratio": 9.8},
    },
}  # fmt: skip


def promote(ledger: Ledger, student: str, release: str, **more: str) -> str:
    body = {"digest": release * 32, "manifest": release, "student": student, **more}
    return ledger.append("promotion", "small", body).at


def builds(ledger: Ledger, folder: Path, report: dict[str, Any]) -> Any:
    """An installation in which every release was made from one selection and one transfer set."""
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "report.html").write_text("<h1>of the champion</h1>")
    facts = SimpleNamespace(batches=("base", "march"))
    made_from = {
        "selection": [SimpleNamespace(folder=folder)],
        "transfer_set": [SimpleNamespace(facts=lambda kind: facts)],
    }
    home = SimpleNamespace(reports=folder / "reports")
    return SimpleNamespace(
        ledger=ledger, home=home, artifact=lambda *named: named, inputs_of=lambda release, stage: made_from[stage]
    )


def values(page: dict[str, Any]) -> dict[str, Any]:
    return {name: item.value if isinstance(item, dg.MetadataValue) else item for name, item in page.items()}


def test_the_page_says_how_good_it_is_since_when_and_what_served_before(ledger: Ledger, tmp_path: Path) -> None:
    promote(ledger, "two_layers", "aa")
    since = promote(ledger, "five_layers", "bb")
    promote(ledger, "five_layers", "bb")  # again, by the gates of a newer version
    page = values(champion_page(builds(ledger, tmp_path, REPORT), "small"))
    assert page == {
        "student": "five_layers", "release": "bb" * 6, "serves_since": since,
        "served_before": f"two_layers {'aa' * 6}", "accuracy": 0.9132, "teacher_accuracy": 0.9345, "drop": 0.0213,
        "drop_at_most": 0.0356, "margin": 0.04, "size_mb": 6.8123, "times_smaller": 13.25, "times_faster": 12.94,
        "ms_per_text": 0.8123, "verdict": "pass", "in_short": "five_layers clears the bar",
        "report": "/stillhouse/reports/small.champion.html",
        "report_file": str(tmp_path / "reports" / "small.champion.html"), "batches": "base, march",
    }  # fmt: skip
    assert (tmp_path / "reports" / "small.champion.html").read_text() == "<h1>of the champion</h1>"


def test_the_metric_that_binds_is_shown_and_what_was_not_measured_is_left_out(ledger: Ledger, tmp_path: Path) -> None:
    promote(ledger, "one", "aa", because="rollback", by="Ada", reason="the new one is slow")
    f1 = {"drop": 0.01, "drop_upper_bound": 0.03, "margin": 0.05}
    report = {**REPORT, "metric_test": f1, "latency": None, "latency_ratio": None}
    page = values(champion_page(builds(ledger, tmp_path, report), "small"))
    assert (page["drop"], page["drop_at_most"], page["margin"]) == (0.01, 0.03, 0.05)
    assert "times_faster" not in page and "ms_per_text" not in page
    assert (page["served_before"], page["brought_back"]) == ("nothing", "by Ada: the new one is slow")


def test_evidence_that_is_gone_is_said_and_stops_nobody(ledger: Ledger, tmp_path: Path) -> None:
    promote(ledger, "one", "aa")
    installation = builds(ledger, tmp_path, REPORT)

    def gone(*named: str) -> None:
        raise StillhouseError("it is gone", where="artifacts", expected="a bundle", do="Run again.")

    installation.artifact = gone
    page = champion_page(installation, "small")
    assert page["student"] == "one" and "it is gone" in page["problem"] and "accuracy" not in page
    assert "problem" in champion_page(builds(ledger, tmp_path, {}), "small"), "a report of another version"
