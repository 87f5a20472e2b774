"""Gates on the baselines: is a student needed at all?"""

from assets.baselines import read_evaluations
from checks.gate import Finding, StageGates, Subject, found, gate
from stillhouse.evaluation.statistics import Verdict

EXPECTED = 4


@gate("a do-nothing option that was not measured is the one that would have been enough")
def every_option_was_measured(subject: Subject) -> Finding:
    """Quality, size and latency of each."""
    evaluations = read_evaluations(subject.artifact)
    complete = [evaluation.name for evaluation in evaluations if evaluation.latency is not None]
    return found(len(complete) == EXPECTED, f"measured: {', '.join(complete)}")


@gate("if something that exists already clears the bar, a student is one more model to look after for nothing")
def no_baseline_clears_the_bar(subject: Subject) -> Finding:
    """Closed means: take that baseline and stop, which is success."""
    evaluations = read_evaluations(subject.artifact)
    clearing = [evaluation.name for evaluation in evaluations if evaluation.verdict is Verdict.PASS]
    best = max(evaluations, key=lambda evaluation: evaluation.subject.accuracy)
    return found(
        not clearing,
        f"take the baseline: {clearing[0]} clears the bar" if clearing else f"the best misses: {best.summary}",
    )


GATES = StageGates((every_option_was_measured, no_baseline_clears_the_bar))
