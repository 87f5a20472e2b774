"""What a person looks for on the page of the champion: how good it is, since when, and what it came from.

Belongs here: reading that from the ledger and from the release that serves.
Does not: promoting (stillhouse/stages/champion.py), how a round ended (orchestration/outcomes.py).
"""

from typing import Any

import dagster as dg

from assets.links import report_of
from stillhouse.errors import StillhouseError
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import Served, promoted
from stillhouse.report.reading import ReadReport, read_report
from stillhouse.stages.facts import TransferSetFacts
from stillhouse.stages.names import SELECTION, TRANSFER_SET
from stillhouse.wording import MEGABYTE

DIGITS = 4


def champion_page(builds: BuildStore, recipe: str) -> dict[str, Any]:
    """Metadata of the release that serves; its report is put where the next round does not write over it.

    What cannot be read any more is said and stops nobody from serving: the gate on the bundle and the audit decide.

    Args:
        builds: with ledger and releases.
        recipe: whose champion, which there has to be.
    """
    serving, since, before = _line(promoted(builds.ledger, recipe))
    who = {
        "student": serving.student,
        "release": serving.release[:12],  # as commands print and take it; a whole one is cut by the edge of the table
        "serves_since": since,
        "served_before": before.deployed.in_words if before else "nothing",
    }
    if serving.decided_by is not None:
        how = "brought_back" if serving.because == "rollback" else "promoted"
        who[how] = f"by {serving.decided_by}: {serving.reason}"
    try:
        return {**who, **_evidence(builds, recipe, serving)}
    except (StillhouseError, LookupError, ValueError, OSError) as error:
        return {**who, "problem": f"its evidence cannot be read: {' '.join(str(error).split())}"}


def _evidence(builds: BuildStore, recipe: str, serving: Served) -> dict[str, Any]:
    release = builds.artifact(serving.release, serving.manifest)
    (selection,), (transfer_set,) = (builds.inputs_of(release, stage) for stage in (SELECTION, TRANSFER_SET))
    return {
        **_measured(read_report(selection.folder)),
        **report_of(selection, f"{recipe}.champion.html", builds.home.reports),
        "batches": ", ".join(transfer_set.facts(TransferSetFacts).batches),
    }


def _line(promotions: list[Served]) -> tuple[Served, str, Served | None]:
    """Who serves, since when without a break, and who served before; a release may be promoted again where it is."""
    serving, since = promotions[0], promotions[0].since
    for each in promotions[1:]:
        if each.release != serving.release:
            return serving, since, each
        since = each.since
    return serving, since, None


def _measured(report: ReadReport) -> dict[str, Any]:
    """Of a report the numbers that a person asks for first."""
    size = report.student.size_bytes
    numbers = {
        "accuracy": report.student.accuracy,
        "teacher_accuracy": report.teacher.accuracy,
        "drop": report.test.drop,
        "drop_at_most": report.test.drop_upper_bound,
        "margin": report.test.margin,
        "size_mb": None if size is None else size / MEGABYTE,
        "times_smaller": report.size_ratio,
        "times_faster": report.latency_ratio,
        # By which `times_faster` is counted, too.
        "ms_per_text": None if report.latency is None else report.latency.student_ms,
    }
    return {
        **{name: dg.MetadataValue.float(round(value, DIGITS)) for name, value in numbers.items() if value is not None},
        "verdict": report.verdict.value,
        "in_short": report.summary,
    }
