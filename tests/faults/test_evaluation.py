"""What is asked of every fault of evaluation.py."""

from tests.faults.asked import test_a_fault_closes_its_gate_and_is_diagnosed, test_advice_is_given_and_closes_nothing
from tests.faults.evaluation import FAULTS

__all__ = ["FAULTS", "test_a_fault_closes_its_gate_and_is_diagnosed", "test_advice_is_given_and_closes_nothing"]
