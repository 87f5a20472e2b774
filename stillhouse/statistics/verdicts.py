"""The three answers that any test of the bar can give.

Belongs here: what every test in this folder shares. Does not: a test.
"""

from collections.abc import Iterable
from enum import StrEnum

POWER = 0.8
"""Power assumed wherever a sample size is quoted: the usual 80 %."""


class Verdict(StrEnum):
    """The three answers of a test. Only PASS opens anything."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @staticmethod
    def worst(verdicts: "Iterable[Verdict]") -> "Verdict":
        """One verdict for many: FAIL beats INCONCLUSIVE beats PASS; no verdicts at all is INCONCLUSIVE."""
        seen = set(verdicts)
        if Verdict.FAIL in seen:
            return Verdict.FAIL
        return Verdict.PASS if seen == {Verdict.PASS} else Verdict.INCONCLUSIVE


def check_alpha(alpha: float) -> None:
    """Refuse an error rate outside (0, 0.5)."""
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha must be in (0, 0.5), not {alpha}")


def check_margin(margin: float) -> None:
    """Refuse a margin outside (0, 1)."""
    if not 0.0 < margin < 1.0:
        raise ValueError(f"margin must be a fraction in (0, 1), not {margin}")
