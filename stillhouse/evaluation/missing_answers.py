"""A verdict where some answers never came, which are missing evidence and no wrong answers.

Belongs here: what is known of a model whichever way they would have been.
Does not: which answers are missing (stillhouse/stages/alternatives.py), measuring (harness.py).
"""

from stillhouse.evaluation.claims import Claim, ClaimKind, overall
from stillhouse.evaluation.harness import Evaluation
from stillhouse.statistics.verdicts import Verdict

_OF_PARTS = (ClaimKind.SLICE_GAP, ClaimKind.FAIRNESS)
"""Where two parts of the golden rows are held against each other: these are furthest apart where the missing answers of
one part are right and those of the other wrong, so that all wrong and all right are not the extremes."""


def whichever_they_are(if_wrong: Evaluation, if_right: Evaluation, *, rows: int) -> Evaluation:
    """Decide what the missing answers do not decide: what is asked passes, or fails, if it does so either way.

    That two parts are near each other is not shown as long as any answer is missing.

    Args:
        if_wrong: of the model with each missing answer counted as a wrong one; its figures are kept.
        if_right: the same with each counted as a right one.
        rows: how many are missing.
    """
    pairs = zip(if_wrong.claims, if_right.claims, strict=True)
    claims = tuple(_either_way(*pair, rows) for pair in pairs)
    return if_wrong.model_copy(update={"claims": claims, "verdict": overall(claims)})


def _either_way(if_wrong: Claim, if_right: Claim, rows: int) -> Claim:
    depends_on_which = if_wrong.verdict is Verdict.PASS and if_wrong.kind in _OF_PARTS
    if if_wrong.verdict is if_right.verdict and not depends_on_which:
        return if_wrong
    sentence = (
        f"cannot tell before its server answers the {rows:,} golden rows that it turned away: with these counted as "
        f"wrong, {if_wrong.sentence}; as right, {if_right.sentence}"
    )
    return if_wrong.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "sentence": sentence})
