"""Gates on the selection: is there a student that may replace the teacher?"""

from checks.gate import Finding, GateContext, gate, gates_of_module, passed_if
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.measures.seeds import ONE_SEED
from stillhouse.evaluation.models import ModelKind
from stillhouse.report.reading import read_report
from stillhouse.stages.selection import SelectionFacts
from stillhouse.statistics.verdicts import Verdict


@gate("a student that is not shown to hold the bar may miss it: not enough evidence is not a pass")
def a_student_clears_the_bar(context: GateContext) -> Finding:
    """Quality at the margin, every critical slice, every floor, size and latency, all on the artifact that ships."""
    evaluations = read_evaluations(context.made_from("evaluation").folder)
    winner = context.artifact.facts(SelectionFacts).winner
    chosen = [e for e in evaluations if e.name == winner]
    asked = chosen or [e for e in evaluations if e.score.kind is not ModelKind.CONTROL]
    sentence = " ".join(e.summary for e in asked)
    clears = any(e.verdict is Verdict.PASS for e in chosen)
    undecided = any(e.verdict is Verdict.INCONCLUSIVE for e in asked)
    verdict = Verdict.PASS if clears else Verdict.INCONCLUSIVE if undecided else Verdict.FAIL
    tests = [e.metric_test or e.non_inferiority for e in asked]  # of several that miss, the one that comes nearest
    nearest = min(tests, key=lambda test: test.drop_upper_bound, default=None)
    return Finding(
        verdict,
        sentence,
        observed=None if nearest is None else nearest.drop_upper_bound,
        limit=None if nearest is None else nearest.margin,
    )


@gate("a control, or a model that the recipe does not name, must not be released by mistake")
def the_chosen_student_is_no_control(context: GateContext) -> Finding:
    """The recipe names it, and it learns from the teacher or, to be taken as it is, from nothing."""
    winner = context.artifact.facts(SelectionFacts).winner
    candidates = [form.name for form in context.recipe.forms if form.student.learns_from != "labels"]
    named = ", ".join(candidates)
    if winner is None:
        return passed_if(False, "no student was chosen: a_student_clears_the_bar says why")
    return passed_if(winner in candidates, f"chosen: {winner}; candidates that are not controls: {named}")


@gate(
    "of a weaker teacher or an unlucky round comes a student that clears the bar and is worse than the one that serves"
)
def the_challenger_is_not_worse_than_the_champion(context: GateContext) -> Finding:
    """Both asked the same golden rows, within the champion's margin on all of them and on every critical slice."""
    against = context.artifact.facts(SelectionFacts).against_champion
    claims = [f"{claim.verdict}: {claim.sentence}" for claim in against.claims]
    test = against.test
    return Finding(
        against.verdict,
        against.sentence,
        {"claims": claims} if claims else {},
        observed=None if test is None else test.drop_upper_bound,
        limit=None if test is None else test.margin,
    )


@gate("if labels alone do as well, the teacher's signal was not worth its price", blocking=False)
def distillation_was_worth_it(context: GateContext) -> Finding:
    """The chosen student against the same one trained on the labels alone, by rows and, where there are, by seeds."""
    report = read_report(context.artifact.folder)
    if report.student.kind is ModelKind.BASELINE:
        return passed_if(
            True, f"{report.student.name} learned from nothing: nothing was distilled that had to be worth it"
        )
    comparison = report.comparison
    if comparison is None:
        return Finding(
            Verdict.INCONCLUSIVE, "the recipe has no control of the same layers that learns from labels alone"
        )
    return Finding(comparison.verdict, comparison.sentence, observed=comparison.gain)


@gate("a student that holds the bar by the luck of its seed may not hold it when it is trained again", blocking=False)
def all_seeds_are_within_the_margin(context: GateContext) -> Finding:
    """The student of the report, for each seed it was trained with: no measured drop is the margin or more."""
    report = read_report(context.artifact.folder)
    name, spread = report.student.name, report.seeds
    if spread is None:
        return Finding(Verdict.INCONCLUSIVE, f"{name} was {ONE_SEED}; name more_seeds in the recipe to see")
    worst = max(score.drop for score in spread.scores)
    return passed_if(not spread.warning, f"{name}, {spread.sentence}", observed=worst, limit=spread.margin)


GATES = gates_of_module(__name__)
