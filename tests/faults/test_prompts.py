"""What is asked of every fault of the prompt set."""

from stillhouse.stages.names import PROMPTS, TEACHER
from tests.faults.asked import test_a_fault_closes_its_gate_and_is_diagnosed, test_advice_is_given_and_closes_nothing
from tests.faults.gathered import faults_of

__all__ = ["test_a_fault_closes_its_gate_and_is_diagnosed", "test_advice_is_given_and_closes_nothing"]

FAULTS = faults_of(PROMPTS, before=TEACHER)
