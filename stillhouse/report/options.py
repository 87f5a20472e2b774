"""What one could do instead of a model, and what stands between an option and the bar, in words.

Belongs here: the order of the options, and the words for claims and kinds that page and record have in common.
Does not: the page (document.py), the record (record.py).
"""

from collections.abc import Sequence

from stillhouse.evaluation.claims import Claim, ClaimKind
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.models import ModelKind
from stillhouse.statistics.verdicts import Verdict

CLAIM_NAMES: dict[ClaimKind, str] = {
    ClaimKind.NON_INFERIORITY: "quality",
    ClaimKind.LATENCY_RATIO: "latency ratio",
    ClaimKind.LATENCY_RATIO_WALL: "latency ratio by wall time",
    ClaimKind.LATENCY_MS: "latency",
    ClaimKind.SIZE_RATIO: "size ratio",
    ClaimKind.SIZE_MB: "size",
    ClaimKind.COST: "price of a call",
    ClaimKind.SAME_ANSWERS: "answers kept",
    ClaimKind.PRECISION_ORDER: "precisions before it",
    ClaimKind.FLOOR: "accuracy floor",
    ClaimKind.CALIBRATION: "calibration",
    ClaimKind.SLICE: "slice '{}'",
    ClaimKind.SLICE_FLOOR: "floor of '{}'",
    ClaimKind.SLICE_GAP: "gap between slices",
    ClaimKind.FIELD: "field '{}'",
    ClaimKind.FIELD_FLOOR: "floor of field '{}'",
    ClaimKind.BEHAVIOUR: "behaviour '{}'",
    ClaimKind.STRESS: "stress by '{}'",
    ClaimKind.FAIRNESS: "fairness by '{}'",
    ClaimKind.CHAMPION: "quality beside the champion",
    ClaimKind.CHAMPION_SLICE: "slice '{}' beside the champion",
    ClaimKind.CHAMPION_FIELD: "field '{}' beside the champion",
}

KIND_NAMES = {
    ModelKind.BASELINE: "baseline",
    ModelKind.CONTROL: "fine-tuned on gold labels",
    ModelKind.STUDENT: "distilled student",
}
"""What a row of the table of options is called; the rows are in this order, and otherwise in the order they come in."""


def in_order_of_options(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """What one could do, from doing nothing to distilling: baselines as they come, controls, students."""
    order = list(KIND_NAMES)
    return sorted(evaluations, key=lambda each: order.index(each.score.kind))


def ruled_out(evaluation: Evaluation) -> str:
    """What stands between a model and the bar, in words, saying so when only the budget does.

    Args:
        evaluation: of any model.

    Returns:
        The gravest reason in full and the names of the others; empty when nothing stands in the way.
    """
    gravest = evaluation.gravest
    if not gravest:
        return ""
    if evaluation.misses_only_the_budget:
        failed = any(claim.verdict is Verdict.FAIL for claim in gravest)
        budget = "rules it out" if failed else "is not shown to hold"
        return f"holds the quality, but the budget {budget}: {'; '.join(claim.sentence for claim in gravest)}"
    others = ", ".join(claim_name(claim) for claim in gravest[1:5])
    more = f", {len(gravest) - 5} more" if len(gravest) > 5 else ""
    return f"{gravest[0].sentence}{f'. Also: {others}{more}' if others else ''}"


def claim_name(claim: Claim) -> str:
    """What a claim is about, in a word or two."""
    return CLAIM_NAMES[claim.kind].format(claim.subject)
