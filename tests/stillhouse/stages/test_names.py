"""What stages are called, now and in what version 0.1.0 wrote."""

import pytest

from checks.stages import gates_of
from stillhouse.stages.names import KINDS, kind_of


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("prompts", "prompts"), ("candidates/five_layers", "candidates"), ("reasons", "error_analysis")],
)
def test_a_stage_is_of_a_kind_that_there_is(stage: str, kind: str) -> None:
    """The audit of a champion of version 0.1.0 asks for the gates of the stage that was called `reasons` then."""
    assert kind_of(stage) == kind and kind in KINDS
    assert gates_of(stage).names(blocking=True)
