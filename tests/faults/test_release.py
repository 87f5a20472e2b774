"""What is asked of every fault of the release and the champion."""

from stillhouse.stages.names import RELEASE, TRAFFIC
from tests.faults.asked import test_a_fault_closes_its_gate_and_is_diagnosed
from tests.faults.gathered import faults_of

__all__ = ["test_a_fault_closes_its_gate_and_is_diagnosed"]

FAULTS = faults_of(RELEASE, before=TRAFFIC)
