"""What the budget asks, in words: speed, size and, of a model behind a server, price.

Belongs here: turning measured time, bytes and cost into claims, see claims.py.
Does not: measuring them (measures/latency.py, hosted.py), what is asked of answers (claims.py).
"""

from stillhouse.economics import amount
from stillhouse.evaluation.claims import Claim, ClaimKind, named
from stillhouse.evaluation.hosted import Hosted
from stillhouse.evaluation.measures.latency import LatencyComparison
from stillhouse.recipe.bar import BudgetSpec
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import MEGABYTE, number


def budget_claims(
    budget: BudgetSpec,
    latency: LatencyComparison | None,
    *,
    size_bytes: int | None,
    teacher_bytes: int | None,
    hosted: Hosted | None,
) -> list[Claim]:
    """What the budget asks; all of it binds but the ratio of wall times, which is reported."""
    if hosted is not None:
        return _claims_of_a_server(budget, hosted)
    assert size_bytes is not None, "only a model behind a server is without a size"
    claims = []
    if budget.latency_ratio_at_least is not None:
        claims.append(_latency_ratio(budget, budget.latency_ratio_at_least, latency))
        if latency is not None and latency.devices is None:
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


def _latency_ratio(budget: BudgetSpec, asked: float, latency: LatencyComparison | None) -> Claim:
    """Decided on CPU time, which other processes do not change; on wall time where the teacher serves on a GPU."""
    kind = ClaimKind.LATENCY_RATIO
    if latency is None or latency.cpu is None:
        return _not_measured(kind, latency)
    if (latency.devices is None) != (budget.teacher_serves_on == "cpu"):
        where = f"{budget.teacher_serves_on}, where it serves"
        return _inconclusive(kind, f"the teacher was not timed on {where}, so the budget is not shown to hold")
    bounds = latency.ratio_bounds
    if bounds is None and latency.devices is None:
        return _not_measured(kind, latency)
    faster = _faster_in_cpu_time(asked, latency) if latency.devices is None else _faster_across(asked, latency)
    if bounds is None:
        return _inconclusive(
            kind, f"cannot tell whether it is fast enough: {faster}{_waited(latency)}; rerun on an idle machine"
        )
    low, high = bounds
    sentence = f"{'only ' if high < asked else ''}{faster}"
    if low < asked <= high:
        rerun = "an idle machine" if latency.machine_was_busy else "a machine that no other one shares"
        return _inconclusive(
            kind,
            f"cannot tell whether it is fast enough: {sentence}; raise budget.latency_rounds (it is "
            f"{budget.latency_rounds}) or rerun on {rerun}",
        )
    return _budget(kind, low >= asked, sentence)


def _faster_in_cpu_time(asked: float, latency: LatencyComparison) -> str:
    """Both on one thread of the same CPU."""
    cpu = latency.cpu
    assert cpu is not None and cpu.ratio is not None
    return (
        f"{_times(cpu.ratio, asked)} times faster than the teacher in CPU time "
        f"({_interval(cpu.ratio_low, cpu.ratio_high, latency)}), at least {number(asked)} asked; {_by_wall(latency)}"
    )


def _faster_across(asked: float, latency: LatencyComparison) -> str:
    """The student on a thread and the teacher on a GPU, each by its name."""
    assert latency.devices is not None and latency.ratio is not None
    students, teachers = latency.devices
    return (
        f"{_times(latency.ratio, asked)} times faster on {students} than the teacher on {teachers}, by wall time "
        f"({_interval(latency.ratio_low, latency.ratio_high, latency)}), at least {number(asked)} asked"
    )


def _interval(low: float | None, high: float | None, latency: LatencyComparison) -> str:
    """The interval of the deciding ratio, and the wider one that is allowed for."""
    assert low is not None and high is not None
    bounds = latency.ratio_bounds
    allowing = _allowing_for(latency) if bounds is not None else ""
    allowed = f", {number(bounds[0])} to {number(bounds[1])} {allowing}" if bounds is not None and allowing else ""
    return f"95% interval {number(low)} to {number(high)}{allowed}"


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
    if measured > asked and latency.machine_was_busy:  # to wait makes an answer late, and none quick
        sentence = f"cannot tell whether it is fast enough: {sentence}; rerun on an idle machine"
        return _inconclusive(ClaimKind.LATENCY_MS, sentence)
    return _budget(ClaimKind.LATENCY_MS, measured <= asked, sentence)


def _size_ratio(asked: float, teacher_bytes: int | None, size_bytes: int) -> Claim:
    if teacher_bytes is None:
        sentence = "the size of the teacher is not known, so the budget is not shown to hold"
        return _inconclusive(ClaimKind.SIZE_RATIO, sentence)
    ratio = teacher_bytes / size_bytes
    only = "" if ratio >= asked else "only "
    sentence = f"{only}{_times(ratio, asked)} times smaller than the teacher, at least {number(asked)} asked"
    return _budget(ClaimKind.SIZE_RATIO, ratio >= asked, sentence)


def _budget(kind: ClaimKind, passed: bool, sentence: str) -> Claim:
    verdict = Verdict.PASS if passed else Verdict.FAIL
    return Claim(name=named(kind), group="budget", verdict=verdict, sentence=sentence, binding=True)


def _not_measured(kind: ClaimKind, latency: LatencyComparison | None) -> Claim:
    what = "latency" if latency is None else "CPU time"
    return _inconclusive(kind, f"{what} was not measured beside the teacher, so the budget is not shown to hold")


def _inconclusive(kind: ClaimKind, sentence: str) -> Claim:
    return Claim(name=named(kind), group="budget", verdict=Verdict.INCONCLUSIVE, sentence=sentence, binding=True)


def _times(ratio: float, asked: float) -> str:
    return number(ratio) if number(ratio) != number(asked) else f"{ratio:.4g}"
