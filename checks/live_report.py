"""Gates on a day of live answers: is the champion still what it was judged to be?

All of them are advice: a report stops nothing. What changes who serves is an alarm, whose false ones have a yearly
budget (stillhouse/live/watch.py); these gates say of one day what can be said of one day.
"""

from checks.gate import Finding, GateContext, gate, gates_of_module, share_at_most
from stillhouse.live.feedback import SampledTruth
from stillhouse.live.watches import WatchKind
from stillhouse.stages.live_reference import watch_of
from stillhouse.stages.live_report import KeptAnswers, LiveFacts, MaturedTruth, WatchedShare
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.statistics.verdicts import Verdict
from stillhouse.wording import percent


def _facts(context: GateContext) -> LiveFacts:
    return context.artifact.facts(LiveFacts)


def _changed(facts: LiveFacts) -> bool:
    return facts.teacher is not None and facts.teacher.as_recorded is False


def _share(facts: LiveFacts, kind: WatchKind) -> WatchedShare | None:
    return next((each for each in facts.shares if each.kind == kind), None)


def _in_words(share: WatchedShare) -> str:
    return f"{share.subject} {share.seen}, {share.allowed}"


@gate("a student that no longer says what its teacher would cannot stand in for it", blocking=False)
def agreement_holds(context: GateContext) -> Finding:
    """Debiased agreement with the teacher, by the answers that it was asked about."""
    facts = _facts(context)
    found, limit = facts.agreement, facts.agreement_limit
    if facts.answers == 0 or limit is None:
        why = "there are no answers" if facts.answers == 0 else "the teacher is not asked about live answers"
        return Finding(Verdict.PASS, why)
    if _changed(facts):
        return Finding(Verdict.INCONCLUSIVE, "the teacher has changed, so that agreement with it says nothing")
    if found is None or not found.asked:
        return Finding(Verdict.INCONCLUSIVE, f"the teacher was asked about none of {facts.answers:,} answers")
    silent, drawn = facts.silent, facts.silent + found.asked
    if silent / drawn > context.recipe.limits.unanswered_prompts_at_most:
        missing = f"the teacher gave no answer to {silent:,} of {drawn:,} texts that it was asked about"
        return Finding(Verdict.INCONCLUSIVE, f"{missing}, so that agreement on the others says too little")
    low, high = found.debiased - found.half_width, found.debiased + found.half_width
    sentence = (
        f"{found.debiased:.1%} agreement ({low:.1%} to {high:.1%}, {found.asked:,} of {found.requests:,} asked), "
        f"limit {limit:.1%}"
    )
    verdict = Verdict.FAIL if high < limit else Verdict.PASS if low >= limit else Verdict.INCONCLUSIVE
    return Finding(verdict, sentence, observed=found.debiased, limit=limit)


@gate("confidence that promises more than the teacher confirms hides the next fall", blocking=False)
def label_free_and_debiased_agree(context: GateContext) -> Finding:
    """What confidence promises, or golden rows of numbers, against what the teacher's answers correct it to."""
    facts, limit = _facts(context), watch_of(context.file).agreement_tolerance
    found = facts.agreement
    if found is None or not found.asked or _changed(facts):
        return Finding(Verdict.PASS, "there is nothing to hold confidence against")
    apart = abs(found.gap) - found.gap_half_width
    promised = "golden rows promise" if context.recipe.gives_numbers else "confidence promises"
    return Finding(
        Verdict.FAIL if apart > limit else Verdict.PASS,
        f"{promised} {found.label_free:.1%}, the teacher confirms {found.debiased:.1%}: they differ by "
        f"{found.gap:+.1%} ± {found.gap_half_width:.1%}, limit {limit:.1%}",
        observed=max(apart, 0.0),
        limit=limit,
    )


@gate("on questions unlike the golden rows nobody has measured whether the student is right", blocking=False)
def inputs_look_like_the_reference(context: GateContext) -> Finding:
    """Share of each label or bin of numbers, each length, and unsure answers, at an error rate over all together."""
    shares = [each for each in _facts(context).shares if WatchKind(each.kind).is_of_inputs]
    # Of a two-sided interval one side counts, and the shares have the chance together.
    alpha = 2 * context.recipe.limits.input_alarm_chance / max(len(shares), 1)
    beyond = [each for each in shares if wilson_interval(each.events, each.rows, alpha)[0] > each.limit]
    nearest = max(shares, key=lambda each: each.share - each.limit, default=None)
    said = "; ".join(map(_in_words, beyond[:5]))
    within = "" if nearest is None else f", nearest to its limit {_in_words(nearest)}"
    return Finding(
        Verdict.FAIL if beyond else Verdict.PASS,
        said or f"{len(shares)} shares are within their limits{within}",
        {"beyond": [each.name for each in beyond]},
        observed=len(beyond),
        limit=0,
    )


@gate("each answer of the teacher is paid for, and the student was to spare them", blocking=False)
def fallback_is_inside_its_budget(context: GateContext) -> Finding:
    """Answers of the teacher, and of the student in its place."""
    found = _share(_facts(context), WatchKind.FALLBACK)
    if found is None:
        return Finding(Verdict.PASS, "there is no cascade, and the recipe sets no limit on answers of the teacher")
    said = f"{found.events:,} of {found.rows:,} answers come from the teacher or stand in for it"
    return share_at_most(found.events, found.rows, found.limit, said)


@gate("a caller whose request fails has no answer at all", blocking=False)
def errors_are_inside_their_budget(context: GateContext) -> Finding:
    """Requests on which the model failed."""
    found = _share(_facts(context), WatchKind.ERRORS)
    assert found is not None, "errors are always watched"
    return share_at_most(found.events, found.rows, found.limit, f"{found.events:,} of {found.rows:,} requests failed")


@gate("an answer that comes too late is not used", blocking=False)
def latency_is_inside_its_objective(context: GateContext) -> Finding:
    """Answers that took longer than the recipe allows, without the network."""
    facts, spec = _facts(context), watch_of(context.file)
    found = _share(facts, WatchKind.LATENCY)
    assert found is not None, "latency is always watched"
    median = "" if facts.latency_ms is None else f", the median {facts.latency_ms[0]:.2g} ms"
    said = f"{found.events:,} of {found.rows:,} answers took longer than {spec.latency_ms:g} ms{median}"
    return share_at_most(found.events, found.rows, found.limit, said)


@gate("a machine that runs out of memory ends the server, and whoever asks it meanwhile has no answer", blocking=False)
def memory_is_inside_its_limit(context: GateContext) -> Finding:
    """What the process of a server held through two minutes, of the server that held most."""
    held = _facts(context).memory
    if held is None:
        return Finding(Verdict.PASS, "no server has said what it held for two minutes")
    said = f"{held.most_mb:,.0f} MB were held by the server that held most"
    if held.limit_mb is None:
        return Finding(Verdict.PASS, f"{said}, and the recipe sets no limit", observed=held.most_mb)
    verdict = Verdict.FAIL if held.most_mb > held.limit_mb else Verdict.PASS
    return Finding(verdict, f"{said}, at most {held.limit_mb:,.0f} MB", observed=held.most_mb, limit=held.limit_mb)


_SAID_BY = {"unknown": "callers who chose to give feedback", "sample": "a sample"}
"""Reports of earlier versions say `sample` of whatever a caller took for one."""


@gate("only what turned out to be true shows whether answers are right, whatever both models say", blocking=False)
def matured_truth_holds(context: GateContext) -> Finding:
    """Accuracy by feedback, which decides where it comes for every answer, or for those for which it was asked."""
    facts = _facts(context)
    truth, limit = facts.truth, facts.truth_limit
    if truth.sample is not None:
        return _by_sample(truth, truth.sample, limit)
    if not truth.known:
        return Finding(Verdict.PASS, f"no truth is known of {truth.matured:,} mature answers")
    share = truth.right / truth.known
    said = (
        f"{share:.1%} right ({truth.low:.1%} to {truth.high:.1%}) of {truth.known:,} with a truth, of "
        f"{truth.matured:,} mature ones"
    )
    if limit is None:
        chosen = _SAID_BY.get(truth.selection, truth.selection)
        return Finding(Verdict.PASS, f"{said}; said by {chosen}, which decides nothing", observed=share)
    verdict = Verdict.FAIL if truth.high < limit else Verdict.PASS if share >= limit else Verdict.INCONCLUSIVE
    return Finding(verdict, f"{said}, limit {limit:.1%}", observed=share, limit=limit)


def _by_sample(truth: MaturedTruth, sample: SampledTruth, limit: float | None) -> Finding:
    """By the truths that were asked for; what others said is shown, and decides nothing."""
    unasked = max(truth.known - sample.returned, 0)
    beside = f"; {unasked:,} that nobody asked for decide nothing" if unasked else ""
    if not sample.wanted:
        return Finding(Verdict.PASS, f"truth was asked for of none of {truth.matured:,} mature answers{beside}")
    if not sample.is_enough or sample.right is None:
        return Finding(Verdict.INCONCLUSIVE, f"{sample.in_words}{beside}")
    said = f"{sample.right:.1%} right ({sample.low:.1%} to {sample.high:.1%}); {sample.in_words}{beside}"
    if limit is None:
        return Finding(Verdict.PASS, f"{said}; there are no golden rows with labels to set a limit by")
    verdict = Verdict.FAIL if sample.high < limit else Verdict.PASS if sample.right >= limit else Verdict.INCONCLUSIVE
    return Finding(verdict, f"{said}, limit {limit:.1%}", observed=sample.right, limit=limit)


@gate("a cascade is allowed its student's mistakes only as far as both together keep their margin", blocking=False)
def the_cascade_holds_its_margin_live(context: GateContext) -> Finding:
    """What the student keeps and gets wrong, by the teacher's answers and by feedback, as shares of all requests."""
    facts = _facts(context)
    kept = facts.cascade
    if kept is None:
        return Finding(Verdict.PASS, "no student is held to the margin of a cascade")
    by_teacher, by_truth = _differing(kept, changed=_changed(facts)), _wrong(kept)
    found = [each for each in (by_teacher, by_truth) if each is not None]
    verdicts = {each.verdict for each in found}
    verdict = Verdict.FAIL if Verdict.FAIL in verdicts else Verdict.PASS
    if verdict is Verdict.PASS and Verdict.INCONCLUSIVE in verdicts:
        verdict = Verdict.INCONCLUSIVE
    shown = next((each for each in found if each.verdict is verdict), None)
    said = "; ".join(each.sentence for each in found) or "nothing is known yet of what the student keeps"
    return Finding(
        verdict,
        f"{said}; {kept.limits}",
        observed=None if shown is None else shown.observed,
        limit=None if shown is None else shown.limit,
    )


def _differing(kept: KeptAnswers, *, changed: bool) -> Finding | None:
    found, limit = kept.agreement, kept.differ_limit
    if limit is None or found is None or not found.asked or changed:
        return None
    said = f"of {found.requests:,} requests the student keeps {{}} from a teacher that disagrees"
    return _beyond(1 - found.debiased, found.half_width, found.half_width, limit, said)


def _wrong(kept: KeptAnswers) -> Finding | None:
    truth, limit = kept.truth, kept.wrong_limit
    if limit is None:
        return None
    if truth.sample is None:
        right, low, high = truth.right / max(truth.known, 1), truth.low, truth.high
        known = truth.known > 0
    else:
        right, low, high = truth.sample.right or 0.0, truth.sample.low, truth.sample.high
        known = truth.sample.is_enough and truth.sample.right is not None
    if not known:
        return None
    said = f"of {truth.known:,} requests with a truth it keeps {{}} and is wrong"
    return _beyond(1 - right, high - right, right - low, limit, said)


def _beyond(share: float, below: float, above: float, limit: float, said: str) -> Finding:
    """A share whose interval goes so far below and above it."""
    low, high = share - below, share + above
    verdict = Verdict.FAIL if low > limit else Verdict.PASS if share <= limit else Verdict.INCONCLUSIVE
    counted = f"{percent(share, against=limit)} ({percent(max(low, 0.0))} to {percent(min(high, 1.0))})"
    return Finding(verdict, f"{said.format(counted)}, at most {percent(limit)}", observed=share, limit=limit)


@gate("once the teacher itself has changed, agreement with it says nothing about the student", blocking=False)
def the_teacher_answers_as_recorded(context: GateContext) -> Finding:
    """Its canary prompts, asked again when the day was reported on."""
    facts = _facts(context)
    if facts.teacher is None:
        return Finding(Verdict.PASS, "the teacher is not asked about live answers")
    verdicts = {True: Verdict.PASS, False: Verdict.FAIL, None: Verdict.INCONCLUSIVE}
    return Finding(verdicts[facts.teacher.as_recorded], facts.teacher.sentence)


GATES = gates_of_module(__name__)
