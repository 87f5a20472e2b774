"""The evaluation in words: each thing the bar asks, whether it holds, and one sentence that says why.

Belongs here: turning a measured result into a claim with a sentence a reader outside the team understands.
Does not: measuring or testing (measures/, slices/, statistics/), what the budget asks (budget_claims.py).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field

from stillhouse.base import Record
from stillhouse.evaluation.measures.behaviour import BehaviourResult
from stillhouse.evaluation.measures.stress import StressResult
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.evaluation.slices.fairness import FEWEST_ROWS, FairnessResult
from stillhouse.statistics.accuracy_test import NonInferiority
from stillhouse.statistics.calibration_test import CalibrationTest
from stillhouse.statistics.floors import FloorTest
from stillhouse.statistics.gap import GapTest
from stillhouse.statistics.metric_test import FEWEST_GROUPS, MetricTest
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import percent, points

NAMED = 5
"""Small groups that a sentence names; the report lists all."""

UNREALISTIC = 20
"""Beyond this many times the rows at hand, the exact number helps nobody."""

Group = Literal["quality", "slices", "fairness", "budget"]


class ClaimKind(StrEnum):
    """What is asked; of a slice and the like its name stands beside it, see `Claim.subject`."""

    NON_INFERIORITY = "non_inferiority"
    FLOOR = "floor"
    CALIBRATION = "calibration"
    SLICE = "slice"
    SLICE_FLOOR = "slice_floor"
    SLICE_GAP = "slice_gap"
    FIELD = "field"
    FIELD_FLOOR = "field_floor"
    FAIRNESS = "fairness"
    BEHAVIOUR = "behaviour"
    STRESS = "stress"
    CHAMPION = "champion"
    CHAMPION_SLICE = "champion_slice"
    CHAMPION_FIELD = "champion_field"
    LATENCY_RATIO = "latency_ratio"
    LATENCY_RATIO_WALL = "latency_ratio_wall"
    LATENCY_MS = "latency_ms"
    SIZE_RATIO = "size_ratio"
    SIZE_MB = "size_mb"
    COST = "cost"
    SAME_ANSWERS = "same_answers"
    PRECISION_ORDER = "precision_order"


_BEFORE_SUBJECT = "/"


def named(kind: ClaimKind, subject: str | None = None) -> str:
    """The name of a claim of a kind, about a slice, field, column, behavioural test or perturbation if about one."""
    return kind.value if subject is None else f"{kind.value}{_BEFORE_SUBJECT}{subject}"


class Claim(Record):
    """One thing the bar asks of a model."""

    name: str = Field(description="Stable, as `named` writes it: its kind, and after a slash what it is about.")
    group: Group
    verdict: Verdict
    sentence: str
    binding: bool = Field(description="Whether the overall verdict depends on it.")

    @property
    def kind(self) -> ClaimKind:
        """What is asked."""
        return ClaimKind(self.name.partition(_BEFORE_SUBJECT)[0])

    @property
    def subject(self) -> str | None:
        """The slice, field, column, behavioural test or perturbation that it is about; None where about all rows."""
        _, slash, subject = self.name.partition(_BEFORE_SUBJECT)
        return subject if slash else None


def quality_claims(result: NonInferiority | MetricTest, floor: FloorTest | None, accuracy: float) -> list[Claim]:
    """What the bar asks of all golden rows together."""
    subject = result.metric_in_words if isinstance(result, MetricTest) else "accuracy"
    claims = [_non_inferiority(named(ClaimKind.NON_INFERIORITY), "quality", subject, result, binding=True)]
    if floor is not None:
        claims.append(
            _floor(named(ClaimKind.FLOOR), "quality", "accuracy", floor, accuracy, rows=result.rows, binding=True)
        )
    return claims


def calibration_claims(result: CalibrationTest | None) -> list[Claim]:
    """What the bar asks of the model's confidence; it binds."""
    if result is None:
        return []
    sentence = _calibration(result)
    return [
        Claim(
            name=named(ClaimKind.CALIBRATION), group="quality", verdict=result.verdict, sentence=sentence, binding=True
        )
    ]


def slice_claims(slices: Sequence[SliceResult]) -> list[Claim]:
    """What the bar asks of each slice and field; only critical ones bind."""
    claims = []
    for result in slices:
        kind, of_floor = (
            (ClaimKind.FIELD, ClaimKind.FIELD_FLOOR) if result.is_field else (ClaimKind.SLICE, ClaimKind.SLICE_FLOOR)
        )
        name, subject = named(kind, result.name), _subject(result)
        if result.non_inferiority is None:
            claims.append(_empty_slice(name, result))
            continue
        claims.append(_non_inferiority(name, "slices", subject, result.non_inferiority, binding=result.critical))
        if result.floor is not None and result.student_accuracy is not None:
            claims.append(
                _floor(
                    named(of_floor, result.name),
                    "slices",
                    subject,
                    result.floor,
                    result.student_accuracy,
                    rows=result.rows,
                    binding=result.critical,
                )
            )
    return claims


def champion_claims(result: NonInferiority | MetricTest, slices: Sequence[SliceResult], champion: str) -> list[Claim]:
    """What is asked of a student that wants to replace another: to be no worse on all rows and on critical parts.

    Args:
        result: of all golden rows, with the champion in the teacher's place.
        slices: the critical slices and fields, likewise.
        champion: what sentences call the one that serves.
    """
    words = {"reference": champion, "equal": "as good as the champion"}
    subject = result.metric_in_words if isinstance(result, MetricTest) else "accuracy"
    claims = [_non_inferiority(named(ClaimKind.CHAMPION), "quality", subject, result, binding=True, **words)]
    for each in slices:
        name = named(ClaimKind.CHAMPION_FIELD if each.is_field else ClaimKind.CHAMPION_SLICE, each.name)
        claims.append(
            _empty_slice(name, each)
            if each.non_inferiority is None
            else _non_inferiority(name, "slices", _subject(each), each.non_inferiority, binding=True, **words)
        )
    return claims


def slice_gap_claims(result: GapTest | None) -> list[Claim]:
    """What the bar asks of the critical slices among themselves; it binds."""
    if result is None:
        return []
    empty = f"no golden row is in {' and '.join(map(repr, result.too_few_rows))}" if result.too_few_rows else ""
    sentence = _gap(result, "critical slices", unknown=empty, two="two critical slices")
    return [
        Claim(name=named(ClaimKind.SLICE_GAP), group="slices", verdict=result.verdict, sentence=sentence, binding=True)
    ]


def behaviour_claims(results: Sequence[BehaviourResult]) -> list[Claim]:
    """What the recipe's behavioural tests ask; only critical ones bind."""
    return [
        Claim(
            name=named(ClaimKind.BEHAVIOUR, result.name),
            group="quality",
            verdict=result.verdict,
            sentence=_behaviour(result),
            binding=result.critical,
        )
        for result in results
    ]


def stress_claims(results: Sequence[StressResult]) -> list[Claim]:
    """What a limit on the drop under stress asks; it binds, and without a limit nothing is asked."""
    return [_stress(result, result.drop_at_most) for result in results if result.drop_at_most is not None]


def fairness_claims(results: Sequence[FairnessResult]) -> list[Claim]:
    """What is asked of the groups of each sensitive column that has a limit; it binds."""
    return [
        Claim(
            name=named(ClaimKind.FAIRNESS, result.column),
            group="fairness",
            verdict=result.test.verdict,
            sentence=_gap(result.test, f"groups of '{result.column}'", unknown=_small_groups(result), two="two groups"),
            binding=True,
        )
        for result in results
        if result.test is not None
    ]


def overall(claims: Sequence[Claim]) -> Verdict:
    """The verdict of all binding claims together; no binding claim proves nothing."""
    return Verdict.worst(claim.verdict for claim in claims if claim.binding)


def _subject(result: SliceResult) -> str:
    """What is compared, as sentences name it."""
    return f"accuracy {'of' if result.is_field else 'on'} '{result.name}'"


def _empty_slice(name: str, result: SliceResult) -> Claim:
    sentence = f"no golden row is in the slice '{result.name}', so nothing is known about it"
    return Claim(name=name, group="slices", verdict=Verdict.INCONCLUSIVE, sentence=sentence, binding=result.critical)


def _non_inferiority(
    name: str,
    group: Group,
    subject: str,
    result: NonInferiority | MetricTest,
    *,
    binding: bool,
    reference: str = "the teacher",
    equal: str = "as good as the teacher",
) -> Claim:
    within = f"within {points(result.margin)} points of {reference}"
    drop = points(result.drop, against=result.margin)
    upper = points(result.drop_upper_bound, against=result.margin)
    confidence = f"{100 * (1 - result.alpha):.4g}% bound"
    if result.verdict is Verdict.PASS:
        sentence = f"{subject} {within}: drop {drop}, {confidence} {upper}"
    elif result.verdict is Verdict.FAIL and result.drop_lower_bound >= result.margin:
        lower = points(result.drop_lower_bound, against=result.margin)
        sentence = f"{subject} not {within}: drop {drop}, and with {confidence} at least {lower}"
    elif result.verdict is Verdict.FAIL:
        sentence = (
            f"{subject} not {within}: drop {drop}, {confidence} {upper}, on {result.rows:,} rows, "
            f"enough to have passed a student {equal}"
        )
    else:
        sentence = (
            f"cannot tell whether {subject} is {within}: drop {drop}, {confidence} {upper} on "
            f"{result.rows:,} rows{_hindrance(result)}"
        )
    return Claim(name=name, group=group, verdict=result.verdict, sentence=sentence, binding=binding)


def _hindrance(result: NonInferiority | MetricTest) -> str:
    """What is in the way of a verdict, and what would settle it."""
    needed = f"; {_rows_needed(result.rows_needed, result.rows)}"
    if not isinstance(result, MetricTest):
        return needed
    if result.rows_that_count == 0 and result.metric_class is not None:
        return f", none of them of class '{result.metric_class}'"
    if result.rows_that_count == 0 and result.metric == "field_f1":
        return ", none of which has a value"
    if result.has_too_few_groups:
        of_class = f", those of class '{result.metric_class}'" if result.metric_class else ""
        return f"{of_class}{_too_few_groups(result.groups)}"
    return f"{'' if result.groups is None else f' in {result.groups:,} groups'}{needed}"


def _too_few_groups(groups: int | None) -> str:
    """Empty where there are enough, or rows are independent."""
    if groups is None or groups >= FEWEST_GROUPS:
        return ""
    return f" in only {groups} groups; at least {FEWEST_GROUPS} groups are needed"


def _floor(
    name: str, group: Group, subject: str, result: FloorTest, accuracy: float, *, rows: int, binding: bool
) -> Claim:
    floor = f"the floor of {percent(result.floor)}"
    measured = percent(accuracy, against=result.floor)
    lower = percent(result.lower_bound, against=result.floor)
    if result.verdict is Verdict.PASS:
        sentence = f"{subject} holds {floor}: {measured}, lower bound {lower}"
    elif result.verdict is Verdict.FAIL:
        sentence = f"{subject} is under {floor}: {measured} on {rows:,} rows"
    else:
        sentence = (
            f"cannot tell whether {subject} holds {floor}: {measured}, lower bound {lower} on {rows:,} rows"
            f"{_too_few_groups(result.groups) or f'; {_rows_needed(result.rows_needed, rows)}'}"
        )
    return Claim(name=name, group=group, verdict=result.verdict, sentence=sentence, binding=binding)


def _behaviour(result: BehaviourResult) -> str:
    named = f"behaviour '{result.name}'"
    if result.failures is None:
        return f"cannot tell whether {named} holds: the model cannot be asked new texts"
    allowed = f", at most {percent(result.failures_at_most)} allowed" if result.failures_at_most else ""
    share = f"{result.failures:,} of {result.cases:,} cases failed{allowed}"
    if result.verdict is Verdict.PASS:
        return f"{named} holds: {share}"
    first = result.examples[0]
    return (
        f"{named} fails: {share}; '{first.variant or first.text}' was answered {first.answered}, not {first.expected}"
    )


def _stress(result: StressResult, limit: float) -> Claim:
    name, subject = named(ClaimKind.STRESS, result.perturbation), f"accuracy {result.in_words}"
    if result.test is None:
        within = f"within {points(limit)} points of that on clean text"
        sentence = f"cannot tell whether {subject} is {within}: the model cannot be asked new texts"
        return Claim(name=name, group="quality", verdict=Verdict.INCONCLUSIVE, sentence=sentence, binding=True)
    if not result.texts_changed:
        sentence = f"cannot tell whether {subject} is as on clean text: it changes none of {result.rows:,} texts"
        return Claim(name=name, group="quality", verdict=Verdict.INCONCLUSIVE, sentence=sentence, binding=True)
    claim = _non_inferiority(
        name,
        "quality",
        subject,
        result.test,
        binding=True,
        reference="that on clean text",
        equal="unaffected by it",
    )
    if claim.verdict is not Verdict.INCONCLUSIVE or result.rows == result.golden_rows:
        return claim
    more = (
        f"{claim.sentence}; only {result.rows:,} of {result.golden_rows:,} golden rows were asked (stress.rows_at_most)"
    )
    return claim.model_copy(update={"sentence": more})


def _calibration(result: CalibrationTest) -> str:
    within = f"within {points(result.limit)} points of accuracy"
    error = f"calibration error {points(result.error, against=result.limit)}"
    confidence = f"{100 * (1 - result.alpha):.4g}% bound"
    upper = points(result.upper_bound, against=result.limit)
    if result.verdict is Verdict.PASS:
        return f"confidence {within}: {error}, {confidence} {upper}"
    if result.verdict is Verdict.FAIL:
        lower = points(result.lower_bound, against=result.limit)
        return f"confidence not {within}: {error}, and with {confidence} at least {lower}"
    why = _too_few_groups(result.groups) or f"; {_rows_needed(result.rows_needed, result.rows)}"
    lower = points(result.lower_bound, against=result.limit)
    return (
        f"cannot tell whether confidence is {within}: {error}, bounds {lower} and {upper} on {result.rows:,} rows{why}"
    )


def _small_groups(result: FairnessResult) -> str:
    """The groups that are too small to be compared, the largest of them by name."""
    small = [f"'{each.group}' ({each.rows:,})" for each in result.groups if not each.compared]
    if not small:
        return ""
    rest = f" and {len(small) - NAMED:,} more" if len(small) > NAMED else ""
    return f"fewer than {FEWEST_ROWS} golden rows are in {', '.join(small[:NAMED])}{rest}"


def _in_few_groups(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    named = ", ".join(map(repr, names[:NAMED]))
    return f"the rows of {named}{rest} are in fewer than {FEWEST_GROUPS} groups of rows that belong together"


def _gap(result: GapTest, subject: str, *, unknown: str, two: str) -> str:
    """Say how far apart parts are; `unknown` tells why nothing is known of some, `two` what a comparison takes."""
    unknown = "; ".join(each for each in (unknown, _in_few_groups(result.too_few_groups)) if each)
    within = f"within {points(result.limit)} points of each other"
    measured = result.measured
    if measured is None:
        why = unknown or f"that takes {two}"
        return f"cannot tell whether the {subject} are {within}: {why}"
    best = f"'{measured.best}' {percent(measured.best_accuracy)}"
    worst = f"'{measured.worst}' {percent(measured.worst_accuracy)}"
    gap = f"{best}, {worst}, gap {points(measured.gap, against=result.limit)}"
    confidence = f"{100 * (1 - result.alpha):.4g}% bound"
    upper = f"{confidence} {points(measured.upper_bound, against=result.limit)}"
    if result.verdict is Verdict.PASS:
        return f"{subject} {within}: {gap}, {upper}"
    if result.verdict is Verdict.FAIL and measured.lower_bound > result.limit:
        lower = points(measured.lower_bound, against=result.limit)
        return f"{subject} not {within}: {gap}, and with {confidence} at least {lower}"
    if result.verdict is Verdict.FAIL:
        return f"{subject} not {within}: {gap}, {upper}, on rows enough to have passed equal ones"
    one, other = measured.least_certain
    needed = measured.rows_needed
    settled = "" if needed is None else f"; about {needed:,} rows in each would settle it"
    why = unknown or f"{upper} between '{one}' and '{other}'{settled}"
    return f"cannot tell whether the {subject} are {within}: {gap}, {why}"


def _rows_needed(needed: int | None, rows: int) -> str:
    if needed is None or needed > UNREALISTIC * rows:
        return f"more than {UNREALISTIC} times the rows would be needed to settle it"
    return f"about {needed:,} rows would settle it, {needed - rows:,} more"
