"""What is shown of why students are as good as they are.

Belongs here: one row of each student.
Does not: finding out (stillhouse/stages/error_analysis.py).
"""

from collections.abc import Mapping

from stillhouse.error_analysis.rules import ErrorAnalysis


def students(found: Mapping[str, ErrorAnalysis]) -> list[dict[str, str]]:
    """Whether each student generalises, why it misses the bar, and what next.

    Args:
        found: what was found of each student, by name.
    """
    return [
        {
            "student": name,
            "generalises": str(each.generalisation.regime),
            "on training rows": str(each.generalisation.counts.training_agreement),
            "on new rows": str(each.generalisation.counts.comparable_agreement),
            "reason": str(each.conclusion.cause) if each.conclusion else "clears the bar",
            "next": each.conclusion.change if each.conclusion else "",
        }
        for name, each in found.items()
    ]
