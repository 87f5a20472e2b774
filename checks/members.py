"""What gates on a teacher share that may be several: one finding of what was found of each.

Belongs here: putting findings together. Does not: any gate.
"""

from collections.abc import Mapping
from dataclasses import replace

from checks.gate import Finding
from stillhouse.statistics.verdicts import Verdict


def worst_of(findings: Mapping[str, Finding]) -> Finding:
    """The worst verdict, in the words of those that have it; the numbers are those that come nearest to their limit.

    Args:
        findings: at least one, by the name of a member of an ensemble; of the one teacher without a name.
    """
    verdict = Verdict.worst(found.verdict for found in findings.values())
    decide = {name: found for name, found in findings.items() if found.verdict is verdict}
    said = [f"member {name}: {found.sentence}" if name else found.sentence for name, found in decide.items()]
    nearest = max(decide.values(), key=lambda found: (found.observed or 0.0) / (found.limit or 1.0))
    return replace(nearest, sentence="; ".join(said))
