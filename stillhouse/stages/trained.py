"""What teacher and students have in common: a training that becomes part of the record.

Belongs here: that.
Does not: training (stillhouse/models/training.py).
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

from stillhouse.stages.facts import EpochFacts, TrainingFacts

if TYPE_CHECKING:
    from stillhouse.models.training import TrainingReport


def training_facts(report: "TrainingReport") -> TrainingFacts:
    """What of a training report is part of the record: all but from where a killed run went on."""
    return TrainingFacts(
        epochs=tuple(EpochFacts(**asdict(epoch)) for epoch in report.epochs),
        examples=report.examples,
        steps=report.steps,
        weights_digest=report.weights_digest,
        examples_per_second=report.examples_per_second,
        seconds=report.seconds,
    )
