"""Which action follows from a finding, by what is known at that moment."""

from dataclasses import replace

import pytest

from stillhouse.live.findings import Action, Circumstances, FoundKind, action_on
from stillhouse.recipe.watch import WatchSpec

YOUNG = Circumstances(2.0, True, held_by=None, was_brought_back=False, has_earlier=True)
SPEC = WatchSpec()


@pytest.mark.parametrize(
    ("kind", "changes", "action"),
    [
        (FoundKind.INPUTS, {}, Action.ASK_MORE),
        (FoundKind.FALLBACK, {}, Action.ROUND),
        (FoundKind.TEACHER, {}, Action.PERSON),
        (FoundKind.AGREEMENT, {}, Action.ROLL_BACK),
        (FoundKind.AGREEMENT, {"age_days": 14.0}, Action.ROUND),
        (FoundKind.AGREEMENT, {"teacher_answers_as_recorded": None}, Action.ROUND),
        (FoundKind.TRUTH, {}, Action.ROLL_BACK),
        (FoundKind.TRUTH, {"teacher_answers_as_recorded": None}, Action.ROLL_BACK),
        (FoundKind.TRUTH, {"age_days": 90.0}, Action.ROUND),
        (FoundKind.ERRORS, {}, Action.ROLL_BACK),
        (FoundKind.ERRORS, {"age_days": 90.0}, Action.ROLL_BACK),
        (FoundKind.LATENCY, {"held_by": "Ann Lee"}, Action.PERSON),
        (FoundKind.LATENCY, {"was_brought_back": True}, Action.PERSON),
        (FoundKind.ERRORS, {"has_earlier": False}, Action.PERSON),
    ],
)
def test_what_follows(kind: FoundKind, changes: dict[str, object], action: Action) -> None:
    found, because = action_on(kind, SPEC, replace(YOUNG, **changes))  # type: ignore[arg-type]
    assert found is action and because
