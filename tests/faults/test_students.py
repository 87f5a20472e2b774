"""What is asked of every fault of trained and exported students."""

from stillhouse.stages.names import CANDIDATES, EVALUATION
from tests.faults.asked import test_a_fault_closes_its_gate_and_is_diagnosed
from tests.faults.gathered import faults_of

__all__ = ["test_a_fault_closes_its_gate_and_is_diagnosed"]

FAULTS = faults_of(CANDIDATES, before=EVALUATION)
