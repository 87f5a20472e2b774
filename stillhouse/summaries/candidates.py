"""What is shown of a student in training.

Belongs here: its numbers.
Does not: making it (stillhouse/stages/candidates.py).
"""

from stillhouse.stages.facts import CandidateFacts


def numbers(facts: CandidateFacts) -> dict[str, float | None]:
    """What it learned from, how good it is, and of one that was trained how that went."""
    training, vocabulary = facts.training, facts.vocabulary
    shown = {
        "rows_learned_from": training.examples if training else 0,
        "validation_accuracy": facts.validation_accuracy,
        "vocabulary_kept": None if vocabulary is None else vocabulary.kept,
    }
    if training is None:
        return shown
    return {
        **shown,
        "train_loss": training.epochs[-1].train_loss,
        "examples_per_second": training.examples_per_second,
    }
