"""One student in several precisions: what is asked of each beside the bar, and which of them stands for the student.

Belongs here: that a precision keeps the answers, that more precisions are no further chances, what the report says of
them.
Does not: making them (models/precisions.py), the bar (harness.py), the choice among all models (selection.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stillhouse.evaluation.claims import Claim, ClaimKind, named, overall
from stillhouse.evaluation.harness import Evaluation
from stillhouse.recipe.students import StudentSpec
from stillhouse.statistics.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    """How many answers of the trained weights a precision gives as well.

    Args:
        agreement: share of the texts.
        texts: validation texts that both were asked.
    """

    agreement: float
    texts: int


def judged_in_order(
    student: StudentSpec, judged: Sequence[Evaluation], kept: Sequence[KeptAnswers], *, agreement_at_least: float
) -> list[Evaluation]:
    """Ask each precision of one student what is asked beside the bar, where it has more than one.

    Two claims are added, and both bind. It keeps the answers of the trained weights: where there is one precision, a
    gate closes on that; one of several must not stop the others. And the precisions that the recipe names before it
    hold the quality: hypotheses that are tested in an order which was fixed beforehand, each only if all before it were
    rejected, keep their common error rate at that of one test (Maurer, Hothorn and Lehmacher 1995, Biometrie in der
    chemisch-pharmazeutischen Industrie 6:3; Westfall and Krishen 2001, Journal of Statistical Planning and Inference
    99:25). So a student that is at the margin slips through in any of its precisions no more often than in one.

    Args:
        student: with its precisions.
        judged: its evaluations, in their order.
        kept: how many answers each keeps, likewise.
        agreement_at_least: share that has to be kept.

    Returns:
        The evaluations with their claims; as they are of a student in one precision.
    """
    if len(judged) == 1:
        return list(judged)
    asked: list[Evaluation] = []
    for index, (evaluation, of_it) in enumerate(zip(judged, kept, strict=True)):
        claims = [*evaluation.claims, _keeps_the_answers(of_it, agreement_at_least)]
        if index:
            claims.append(_comes_after(student.precisions[index - 1], holds_quality(asked[-1])))
        asked.append(evaluation.model_copy(update={"claims": tuple(claims), "verdict": overall(claims)}))
    return asked


def holds_quality(evaluation: Evaluation) -> Verdict:
    """The verdict of all binding claims but those on the budget."""
    return overall([claim for claim in evaluation.claims if claim.group != "budget"])


def standing_for(student: StudentSpec, judged: Mapping[str, Evaluation]) -> Evaluation:
    """The precision in which a student is looked at as a whole: why it misses, how near it comes.

    Args:
        student: with its precisions.
        judged: evaluations by name, those of its forms among them.

    Returns:
        The smallest that clears the bar; where none does, the last that holds the quality, since only the budget is in
        its way; where none does that either, the first, which has lost least.
    """
    forms = [judged[form.name] for form in student.forms]
    clears = [each for each in forms if each.verdict is Verdict.PASS]
    if clears:
        return min(clears, key=lambda each: each.size_bytes)
    return next((each for each in reversed(forms) if holds_quality(each) is Verdict.PASS), forms[0])


def _keeps_the_answers(kept: KeptAnswers, at_least: float) -> Claim:
    holds = kept.agreement >= at_least
    share = f"{kept.agreement:.3f}" if holds else f"only {kept.agreement:.3f}"
    return Claim(
        name=named(ClaimKind.SAME_ANSWERS),
        group="quality",
        verdict=Verdict.PASS if holds else Verdict.FAIL,
        sentence=f"{share} of the answers to {kept.texts:,} validation texts are those of the trained weights, at "
        f"least {at_least:g} asked",
        binding=True,
    )


def _comes_after(before: str, verdict: Verdict) -> Claim:
    said = {
        Verdict.PASS: f"the quality holds in {before}, which the recipe names before it",
        Verdict.FAIL: f"the quality does not hold in {before}, which the recipe names before it",
        Verdict.INCONCLUSIVE: f"the quality is not shown to hold in {before}, which the recipe names before it",
    }
    # A form that is not looked at has not failed: nothing is known of it.
    decided = Verdict.PASS if verdict is Verdict.PASS else Verdict.INCONCLUSIVE
    name = named(ClaimKind.PRECISION_ORDER)
    return Claim(name=name, group="quality", verdict=decided, sentence=said[verdict], binding=True)
