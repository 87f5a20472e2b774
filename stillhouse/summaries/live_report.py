"""What is shown of a day of live answers.

Belongs here: its numbers, which the UI draws over the days, its shares as rows, and the day in one line.
Does not: drawing the report up (stillhouse/stages/live_report.py), alarms (stillhouse/live/watch.py).
"""

from stillhouse.stages.live_report import KeptAnswers, LiveFacts, MaturedTruth
from stillhouse.wording import percent

_LATENCY = ("latency_ms_p50", "latency_ms_p95", "latency_ms_p99")


def headline(facts: LiveFacts) -> str:
    """The day in one line."""
    agreement = facts.agreement
    answers = f"{facts.answers:,} answers{thinned(facts)}"
    if facts.of_another_secret:
        answers += f", {facts.of_another_secret:,} of them not to be compared: they were kept under another secret"
    if agreement is None:
        return f"{answers}, none that the teacher could be asked about"
    said = f"{percent(agreement.debiased)} agreement (± {percent(agreement.half_width)}, {agreement.asked:,} asked)"
    return f"{answers}, {said}"


def thinned(facts: LiveFacts) -> str:
    """Which part of the day's answers these are; empty where they are all of them."""
    return "" if facts.kept_share == 1 else f" ({percent(facts.kept_share)} of the day's: the log was full)"


def by_weekday(facts: LiveFacts) -> str:
    """Which limits differ by weekday, and whose are shown; empty where none do."""
    shares = {each.subject: each.weekday for each in facts.shares if each.weekday is not None}
    if not shares:
        return ""
    (weekday,) = {*shares.values()}
    return f"{', '.join(sorted(shares))}: limits differ by weekday (UTC), and these are of {weekday}s"


def numbers(facts: LiveFacts) -> dict[str, float | str]:
    """Single numbers, as far as they are known, and what they are about."""
    agreement, truth, took = facts.agreement, facts.truth, facts.latency_ms
    agreed = {} if agreement is None else {
        "agreement_label_free": agreement.label_free,
        "agreement_debiased": agreement.debiased,
        "agreement_half_width": agreement.half_width,
        "gap": agreement.gap,
        "asked": agreement.asked,
    }  # fmt: skip
    return {
        "answers": facts.answers,
        "answers_of_other_releases": facts.of_others,
        **({} if facts.kept_share == 1 else {"kept_share": facts.kept_share}),
        **agreed,
        **({} if facts.of_another_secret == 0 else {"answers_of_another_secret": facts.of_another_secret}),
        "matured_truths": truth.known,
        **_accuracy(truth),
        **_kept(facts.cascade),
        **({} if took is None else dict(zip(_LATENCY, took, strict=True))),
        **({} if facts.memory is None else {"memory_mb": facts.memory.most_mb}),
        "release": facts.release,
        "student": facts.student,
        "selection_of_truth": truth.selection,
        "reference": facts.origin,
        **({"by_weekday": by_weekday(facts)} if by_weekday(facts) else {}),
        "teacher": "its canary was not asked yet" if facts.teacher is None else facts.teacher.sentence,
    }


def _kept(kept: KeptAnswers | None) -> dict[str, float]:
    """What the student of a cascade keeps and gets wrong, as shares of all requests."""
    if kept is None:
        return {}
    by_teacher = {} if kept.agreement is None else {"kept_and_differs": 1 - kept.agreement.debiased}
    right = _accuracy(kept.truth).get("accuracy_matured")
    return {**by_teacher, **({} if right is None else {"kept_and_wrong": 1 - right}), "cascade_margin": kept.margin}


def _accuracy(truth: MaturedTruth) -> dict[str, float]:
    """By all feedback, or by what was asked for where some was drawn, with what of it is missing."""
    if truth.sample is None:
        return {"accuracy_matured": truth.right / truth.known} if truth.known else {}
    of_sample: dict[str, float] = {"truths_wanted": truth.sample.wanted, "truths_missing": truth.sample.missing}
    return of_sample if truth.sample.right is None else {**of_sample, "accuracy_matured": truth.sample.right}


def watched(facts: LiveFacts) -> list[dict[str, object]]:
    """What is watched, beside its limit and what is usual."""
    return [
        {"watched": each.subject, "share": each.seen, "limit": each.allowed, "reference": each.usual, "rows": each.rows}
        for each in facts.shares
    ]
