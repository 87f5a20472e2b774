"""The evaluation in words: each thing the bar asks, whether it holds, and one sentence that says why.

Belongs here: turning a measured result into a claim with a sentence a reader outside the team understands.
Does not: measuring or testing (measures/, slices/, statistics/).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field

from stillhouse.base import Record
from stillhouse.economics import amount
from stillhouse.evaluation.hosted import Hosted
from stillhouse.evaluation.measures.behaviour import BehaviourResult
from stillhouse.evaluation.measures.latency import LatencyComparison
from stillhouse.evaluation.measures.stress import StressResult
from stillhouse.evaluation.slices.declared import SliceResult
from stillhouse.evaluation.slices.fairness import FEWEST_ROWS, FairnessResult
from stillhouse.recipe.bar import BudgetSpec
from stillhouse.statistics.accuracy_test import NonInferiority
from stillhouse.statistics.calibration_test import CalibrationTest
from stillhouse.statistics.floors import FloorTest
from stillhouse.statistics.gap import GapTest
from stillhouse.statistics.metric_test import FEWEST_GROUPS, MetricTest
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import MEGABYTE, number, percent, points

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
    FAIRNESS = "fairness"
    BEHAVIOUR = "behaviour"
    STRESS = "stress"
    CHAMPION = "champion"
    CHAMPION_SLICE = "champion_slice"
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
    """The name of a claim of a kind, about a slice, column, behavioural test or perturbation where it is about one."""
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
        """The slice, column, behavioural test or perturbation that it is about; None where it is about all rows."""
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
    """What the bar asks of each slice; only critical slices bind."""
    claims = []
    for result in slices:
        subject = f"accuracy on '{result.name}'"
        if result.non_inferiority is None:
            claims.append(_empty_slice(named(ClaimKind.SLICE, result.name), result))
            continue
        claims.append(
            _non_inferiority(
                named(ClaimKind.SLICE, result.name), "slices", subject, result.non_inferiority, binding=result.critical
            )
        )
        if result.floor is not None and result.student_accuracy is not None:
            claims.append(
                _floor(
                    named(ClaimKind.SLICE_FLOOR, result.name),
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
    """What is asked of a student that wants to replace another: to be no worse on all rows and on critical slices.

    Args:
        result: of all golden rows, with the champion in the teacher's place.
        slices: the critical ones, likewise.
        champion: what sentences call the one that serves.
    """
    words = {"reference": champion, "equal": "as good as the champion"}
    subject = result.metric_in_words if isinstance(result, MetricTest) else "accuracy"
    claims = [_non_inferiority(named(ClaimKind.CHAMPION), "quality", subject, result, binding=True, **words)]
    for each in slices:
        name, of_slice = named(ClaimKind.CHAMPION_SLICE, each.name), f"accuracy on '{each.name}'"
        claims.append(
            _empty_slice(name, each)
            if each.non_inferiority is None
            else _non_inferiority(name, "slices", of_slice, each.non_inferiority, binding=True, **words)
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


def budget_claims(
    budget: BudgetSpec,
    latency: LatencyComparison | None,
    *,
    size_bytes: int | None,
    teacher_bytes: int | None,
    hosted: Hosted | None = None,
) -> list[Claim]:
    """What the budget asks; all of it binds but the ratio of wall times, which is reported."""
    if hosted is not None:
        return _claims_of_a_server(budget, hosted)
    assert size_bytes is not None, "only a model behind a server is without a size"
    claims = []
    if budget.latency_ratio_at_least is not None:
        claims.append(_latency_ratio(budget.latency_ratio_at_least, budget.latency_rounds, latency))
        if latency is not None:
            claims.append(_latency_ratio_wall(budget.latency_ratio_at_least, latency))
    if budget.latency_ms_at_most is not None:
        claims.append(_latency_ms(budget.latency_ms_at_most, latency))
    if budget.size_ratio_at_least is not None:
        claims.append(_size_ratio(budget.size_ratio_at_least, teacher_bytes, size_bytes))
    if budget.size_mb_at_most is not None:
        size, most = size_bytes / MEGABYTE, budget.size_mb_at_most
        claims.append(
            _budget(ClaimKind.SIZE_MB, size <= most, f"{_times(size, most)} MB, at most {number(most)} asked")
        )
    return claims


def _claims_of_a_server(budget: BudgetSpec, hosted: Hosted) -> list[Claim]:
    """What the budget asks of a model behind a server: its price beside the teacher's, and what calls took."""
    usd, teacher = amount(hosted.usd_per_1000_calls), amount(hosted.teacher_usd_per_1000_calls)
    not_dearer = hosted.usd_per_1000_calls <= hosted.teacher_usd_per_1000_calls
    sentence = f"{usd} USD for 1,000 calls, {'the teacher' if not_dearer else 'more than the teacher,'} {teacher}"
    claims = [_budget(ClaimKind.COST, not_dearer, sentence)]
    if budget.latency_ms_at_most is not None:
        asked = budget.latency_ms_at_most
        how = f"its server was asked {hosted.calls_at_once} at a time" if hosted.calls_at_once > 1 else "one by one"
        sentence = f"95% of answers within {hosted.ms_p95:.3g} ms, {how}, at most {number(asked)} ms asked"
        claims.append(_budget(ClaimKind.LATENCY_MS, hosted.ms_p95 <= asked, sentence))
    ratios = {
        ClaimKind.LATENCY_RATIO: budget.latency_ratio_at_least,
        ClaimKind.SIZE_RATIO: budget.size_ratio_at_least,
    }
    unknown = [kind for kind, asked_ratio in ratios.items() if asked_ratio is not None]
    unknown += [ClaimKind.SIZE_MB] if budget.size_mb_at_most is not None else []
    return claims + [
        Claim(
            name=named(kind),
            group="budget",
            verdict=Verdict.INCONCLUSIVE,
            sentence=f"it is behind a server, where budget.{kind}_at_"
            f"{'most' if kind is ClaimKind.SIZE_MB else 'least'} cannot be measured",
            binding=True,
        )
        for kind in unknown
    ]


def overall(claims: Sequence[Claim]) -> Verdict:
    """The verdict of all binding claims together; no binding claim proves nothing."""
    return Verdict.worst(claim.verdict for claim in claims if claim.binding)


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
    if result.rows_that_count == 0:
        return f", none of them of class '{result.metric_class}'"
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
    why = f"; {_rows_needed(result.rows_needed, result.rows)}"
    if result.has_too_few_groups:
        why = f" in only {result.groups} groups; at least {FEWEST_GROUPS} groups are needed"
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


def _gap(result: GapTest, subject: str, *, unknown: str, two: str) -> str:
    """Say how far apart parts are; `unknown` tells why nothing is known of some, `two` what a comparison takes."""
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


def _latency_ratio(asked: float, rounds: int, latency: LatencyComparison | None) -> Claim:
    """Decided on CPU time, which other processes do not change; the sentence has wall time too."""
    if latency is None or latency.cpu is None or latency.ratio_bounds is None:
        return _not_measured(ClaimKind.LATENCY_RATIO, latency)
    cpu, (low, high) = latency.cpu, latency.ratio_bounds
    assert cpu.ratio is not None and cpu.ratio_low is not None and cpu.ratio_high is not None
    only = "only " if high < asked else ""
    allowed = f", {number(low)} to {number(high)} {_allowing_for(latency)}" if _allowing_for(latency) else ""
    sentence = (
        f"{only}{_times(cpu.ratio, asked)} times faster than the teacher in CPU time (95% interval "
        f"{number(cpu.ratio_low)} to {number(cpu.ratio_high)}{allowed}), at least {number(asked)} asked; "
        f"{_by_wall(latency)}"
    )
    if low < asked <= high:
        return Claim(
            name=named(ClaimKind.LATENCY_RATIO),
            group="budget",
            verdict=Verdict.INCONCLUSIVE,
            sentence=f"cannot tell whether it is fast enough: {sentence}; raise budget.latency_rounds (it is {rounds}) "
            f"or rerun on {'an idle machine' if latency.machine_was_busy else 'a machine that no other one shares'}",
            binding=True,
        )
    return _budget(ClaimKind.LATENCY_RATIO, low >= asked, sentence)


def _allowing_for(latency: LatencyComparison) -> str:
    """What makes the bounds wider than the interval; empty when nothing does."""
    if latency.machine_was_busy:
        return "allowing for the load"
    return "" if latency.device.shared_host is False else "allowing for neighbours on the host"


def _latency_ratio_wall(asked: float, latency: LatencyComparison) -> Claim:
    """Reported only: the ratio a caller sees, which nothing is known of when the machine was busy."""
    sentence, verdict = _by_wall(latency), Verdict.INCONCLUSIVE
    if latency.caveat is not None or latency.ratio_low is None or latency.ratio_high is None:
        sentence = f"cannot tell how much faster it is by wall time: {sentence}"
    elif latency.ratio_low >= asked:
        verdict = Verdict.PASS
    elif latency.ratio_high < asked:
        verdict = Verdict.FAIL
    return Claim(
        name=named(ClaimKind.LATENCY_RATIO_WALL), group="budget", verdict=verdict, sentence=sentence, binding=False
    )


def _by_wall(latency: LatencyComparison) -> str:
    if latency.ratio is None or latency.ratio_low is None or latency.ratio_high is None:
        return "the teacher was not timed"
    interval = f"{number(latency.ratio_low)} to {number(latency.ratio_high)}"
    return f"by wall time {number(latency.ratio)} times ({interval}){_waited(latency)}"


def _waited(latency: LatencyComparison) -> str:
    """Why wall time proves nothing; empty when it does."""
    if latency.cpu is None:
        return ", measured without CPU time"
    share = f"{100 * latency.cpu.waiting_share:.0f}% of the time"
    return f", on a busy machine, where models waited {share} for a processor" if latency.machine_was_busy else ""


def _latency_ms(asked: float, latency: LatencyComparison | None) -> Claim:
    if latency is None or latency.cpu is None:
        return _not_measured(ClaimKind.LATENCY_MS, latency)
    measured = latency.student_ms_p95
    sentence = f"95% of answers within {measured:.3g} ms, at most {number(asked)} ms asked{_waited(latency)}"
    if latency.machine_was_busy:
        return Claim(
            name=named(ClaimKind.LATENCY_MS),
            group="budget",
            verdict=Verdict.INCONCLUSIVE,
            sentence=f"cannot tell whether it is fast enough: {sentence}; rerun on an idle machine",
            binding=True,
        )
    return _budget(ClaimKind.LATENCY_MS, measured <= asked, sentence)


def _size_ratio(asked: float, teacher_bytes: int | None, size_bytes: int) -> Claim:
    if teacher_bytes is None:
        sentence = "the size of the teacher is not known, so the budget is not shown to hold"
        return Claim(
            name=named(ClaimKind.SIZE_RATIO),
            group="budget",
            verdict=Verdict.INCONCLUSIVE,
            sentence=sentence,
            binding=True,
        )
    ratio = teacher_bytes / size_bytes
    only = "" if ratio >= asked else "only "
    sentence = f"{only}{_times(ratio, asked)} times smaller than the teacher, at least {number(asked)} asked"
    return _budget(ClaimKind.SIZE_RATIO, ratio >= asked, sentence)


def _budget(kind: ClaimKind, passed: bool, sentence: str) -> Claim:
    verdict = Verdict.PASS if passed else Verdict.FAIL
    return Claim(name=named(kind), group="budget", verdict=verdict, sentence=sentence, binding=True)


def _not_measured(kind: ClaimKind, latency: LatencyComparison | None) -> Claim:
    what = "latency" if latency is None else "CPU time"
    sentence = f"{what} was not measured beside the teacher, so the budget is not shown to hold"
    return Claim(name=named(kind), group="budget", verdict=Verdict.INCONCLUSIVE, sentence=sentence, binding=True)


def _rows_needed(needed: int | None, rows: int) -> str:
    if needed is None or needed > UNREALISTIC * rows:
        return f"more than {UNREALISTIC} times the rows would be needed to settle it"
    return f"about {needed:,} rows would settle it, {needed - rows:,} more"


def _times(ratio: float, asked: float) -> str:
    return number(ratio) if number(ratio) != number(asked) else f"{ratio:.4g}"
