"""Which gates belong to which stage.

Belongs here: the one table, and looking a stage up in it.
Does not: the gates (one module per stage).
"""

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
from stillhouse.stages import names


def gates_of(stage: str) -> StageGates:
    """Gates of a stage, such as `prompts` or `candidates/small`; every candidate has the same, and every export."""
    return GATES[stage.split("/")[0]]


GATES: dict[str, StageGates] = {
    names.CONTRACT: contract.GATES,
    names.SOURCE: source.GATES,
    names.PROMPTS: prompts.GATES,
    names.TEACHER: teacher.GATES,
    names.BASELINES: baselines.GATES,
    names.TEACHER_SIGNAL: teacher_signal.GATES,
    names.TRANSFER_SET: transfer_set.GATES,
    "candidates": candidates.GATES,
    "exports": exports.GATES,
    names.EVALUATION: evaluation.GATES,
    names.REASONS: reasons.GATES,
    names.SELECTION: selection.GATES,
    names.RELEASE: release.GATES,
    names.CHAMPION: champion.GATES,
}
