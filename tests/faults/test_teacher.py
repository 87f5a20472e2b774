"""What is asked of every fault from the teacher to what may be learned from it."""

from stillhouse.stages.names import CANDIDATES, TEACHER
from tests.faults.asked import test_a_fault_closes_its_gate_and_is_diagnosed, test_advice_is_given_and_closes_nothing
from tests.faults.gathered import faults_of

__all__ = ["test_a_fault_closes_its_gate_and_is_diagnosed", "test_advice_is_given_and_closes_nothing"]

FAULTS = faults_of(TEACHER, before=CANDIDATES)
