"""A gate as it is shown: what it found, or why that does not count.

Belongs here: the six words that people see and the ledger keeps.
Does not: deciding which one holds (checks/gate_states.py).
"""

from enum import StrEnum

from stillhouse.statistics.verdicts import Verdict


class GateStatus(StrEnum):
    """What is shown of a gate."""

    PASSED = "passed"
    WAIVED = "waived"
    """failed or inconclusive, and a named person lets it pass until a day"""
    MISSING = "missing"
    """never looked at"""
    STALE = "stale"
    """it looked at an older materialization, or its code was changed since"""
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"

    @classmethod
    def of(cls, verdict: Verdict) -> "GateStatus":
        """The status of a gate that found this, no waiver counted."""
        return {Verdict.PASS: cls.PASSED, Verdict.FAIL: cls.FAILED, Verdict.INCONCLUSIVE: cls.INCONCLUSIVE}[verdict]

    @property
    def is_open(self) -> bool:
        """Whether it lets anything through."""
        return self in (GateStatus.PASSED, GateStatus.WAIVED)

    @property
    def was_decided(self) -> bool:
        """Whether it looked at what is there now and found it wanting, so that looking again finds the same."""
        return self in (GateStatus.FAILED, GateStatus.INCONCLUSIVE)
