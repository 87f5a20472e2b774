"""A verdict where some answers never came, which are missing evidence and no wrong answers.

Belongs here: what is known of a model whichever way they would have been.
Does not: which answers are missing (stillhouse/stages/alternatives.py), measuring (harness.py).
"""

from stillhouse.evaluation.claims import Claim, overall
from stillhouse.evaluation.harness import Evaluation
from stillhouse.statistics.verdicts import Verdict


def whichever_they_are(if_wrong: Evaluation, if_right: Evaluation, *, rows: int) -> Evaluation:
    """Decide what the missing answers do not decide: what is asked passes, or fails, if it does so either way.

    Args:
        if_wrong: of the model with each missing answer counted as a wrong one; its figures are kept.
        if_right: the same with each counted as a right one.
        rows: how many are missing.
    """
    pairs = zip(if_wrong.claims, if_right.claims, strict=True)
    claims = tuple(_either_way(*pair, rows) for pair in pairs)
    return if_wrong.model_copy(update={"claims": claims, "verdict": overall(claims)})


def _either_way(if_wrong: Claim, if_right: Claim, rows: int) -> Claim:
    if if_wrong.verdict is if_right.verdict:
        return if_wrong
    sentence = (
        f"cannot tell before its server answers the {rows:,} golden rows that it turned away: with these counted as "
        f"wrong, {if_wrong.sentence}; as right, {if_right.sentence}"
    )
    return if_wrong.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "sentence": sentence})
