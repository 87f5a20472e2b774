"""Which action follows from a finding, by what is known at that moment."""

from dataclasses import replace

import pytest

from orchestration.watch_findings import EVENT_OF
from stillhouse.live.findings import STARTED_BY, Action, Circumstances, FoundKind, action_on
from stillhouse.recipe.watch import WatchSpec

YOUNG = Circumstances(
    2.0, True, held_by=None, was_brought_back=False, has_earlier=True, starts=("agreement", "fallback")
)
SPEC = WatchSpec()


@pytest.mark.parametrize(
    ("kind", "changes", "action"),
    [
        (FoundKind.INPUTS, {}, Action.ASK_MORE),
        (FoundKind.FALLBACK, {}, Action.ROUND),
        (FoundKind.FALLBACK, {"starts": ("agreement",)}, Action.ROUND_BY_HAND),
        (FoundKind.TEACHER, {}, Action.PERSON),
        (FoundKind.AGREEMENT, {}, Action.ROLL_BACK),
        (FoundKind.AGREEMENT, {"age_days": 14.0}, Action.ROUND),
        (FoundKind.AGREEMENT, {"teacher_answers_as_recorded": None}, Action.ROUND),
        (FoundKind.AGREEMENT, {"teacher_answers_as_recorded": None, "starts": ()}, Action.ROUND_BY_HAND),
        (FoundKind.CASCADE_AGREEMENT, {}, Action.ROLL_BACK),
        (FoundKind.CASCADE_AGREEMENT, {"age_days": 14.0}, Action.ROUND),
        (FoundKind.CASCADE_AGREEMENT, {"teacher_answers_as_recorded": None}, Action.ROUND),
        (FoundKind.CASCADE_AGREEMENT, {"age_days": 14.0, "starts": ("fallback",)}, Action.ROUND_BY_HAND),
        (FoundKind.CASCADE_TRUTH, {"teacher_answers_as_recorded": None}, Action.ROLL_BACK),
        (FoundKind.CASCADE_TRUTH, {"age_days": 90.0}, Action.ROUND),
        (FoundKind.TRUTH, {}, Action.ROLL_BACK),
        (FoundKind.TRUTH, {"teacher_answers_as_recorded": None}, Action.ROLL_BACK),
        (FoundKind.TRUTH, {"age_days": 90.0}, Action.ROUND),
        (FoundKind.TRUTH, {"age_days": 90.0, "starts": ("fallback", "labels")}, Action.ROUND_BY_HAND),
        (FoundKind.ERRORS, {}, Action.ROLL_BACK),
        (FoundKind.ERRORS, {"age_days": 90.0}, Action.ROLL_BACK),
        (FoundKind.LATENCY, {"held_by": "Ann Lee"}, Action.PERSON),
        (FoundKind.MEMORY, {}, Action.ROLL_BACK),
        (FoundKind.MEMORY, {"age_days": 90.0}, Action.ROLL_BACK),
        (FoundKind.MEMORY, {"held_by": "Ann Lee"}, Action.PERSON),
        (FoundKind.LATENCY, {"was_brought_back": True}, Action.PERSON),
        (FoundKind.ERRORS, {"has_earlier": False}, Action.PERSON),
    ],
)
def test_what_follows(kind: FoundKind, changes: dict[str, object], action: Action) -> None:
    found, because = action_on(kind, SPEC, replace(YOUNG, **changes))  # type: ignore[arg-type]
    assert found is action and because


def test_it_is_said_whether_the_round_starts_by_itself() -> None:
    old = replace(YOUNG, age_days=90.0)
    assert action_on(FoundKind.AGREEMENT, SPEC, old)[1].endswith("; it starts when the limits of `refresh` allow")
    nothing = action_on(FoundKind.TRUTH, SPEC, replace(old, starts=()))[1]
    assert nothing.endswith("; `refresh.start` does not name `agreement`")


def test_what_starts_a_round_is_the_event_that_the_finding_is_noted_as() -> None:
    assert {kind: EVENT_OF[kind].value for kind in STARTED_BY} == STARTED_BY
