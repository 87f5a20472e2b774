"""Which gates belong to which stage.

Belongs here: the one table, and looking a stage up in it.
Does not: the gates (one module per stage).
"""

from assets import keys
from checks import (
    baselines,
    candidates,
    champion,
    contract,
    evaluation,
    exports,
    prompts,
    reasons,
    release,
    selection,
    source,
    teacher,
    teacher_signal,
    transfer_set,
)
from checks.gate import StageGates


def gates_of(stage: str) -> StageGates:
    """Gates of a stage, such as `prompts` or `candidates/small`; every candidate has the same, and every export."""
    return GATES[stage.split("/")[0]]


GATES: dict[str, StageGates] = {
    keys.CONTRACT: contract.GATES,
    keys.SOURCE: source.GATES,
    keys.PROMPTS: prompts.GATES,
    keys.TEACHER: teacher.GATES,
    keys.BASELINES: baselines.GATES,
    keys.TEACHER_SIGNAL: teacher_signal.GATES,
    keys.TRANSFER_SET: transfer_set.GATES,
    "candidates": candidates.GATES,
    "exports": exports.GATES,
    keys.EVALUATION: evaluation.GATES,
    keys.REASONS: reasons.GATES,
    keys.SELECTION: selection.GATES,
    keys.RELEASE: release.GATES,
    keys.CHAMPION: champion.GATES,
}
