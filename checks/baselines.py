"""Gates on the baselines: is a student needed at all?"""

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, passed_if
from stillhouse.data.declared_labels import CLASSES_SHOWN
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.lost_classes import clearing_options, lost_classes
from stillhouse.recipe.data import SETS
from stillhouse.stages.baselines import BaselinesFacts, options_of


@gate("an option that was not measured may be the one that is enough")
def every_option_was_measured(context: GateContext) -> Finding:
    """Quality, size and latency of each; quality, latency and price of what is behind a server."""
    evaluations = read_evaluations(context.artifact.folder)
    complete = [each.name for each in evaluations if each.latency is not None or each.hosted is not None]
    missing = [name for name in options_of(context.recipe) if name not in complete]
    detail = f"not measured: {', '.join(missing)}" if missing else f"measured: {', '.join(complete)}"
    return none_of(len(missing), detail)


@gate("a bar that a model clears without finding a class lets every student lose it, too", about_classes=True)
def the_bar_notices_a_lost_class(context: GateContext) -> Finding:
    """Closed where each option that clears the bar finds less than half of what the teacher finds of some class."""
    keeping, losing = clearing_options(read_evaluations(context.artifact.folder))
    if keeping or not losing:
        names = ", ".join(each.name for each in keeping)
        return passed_if(True, f"every class is found by {names}" if keeping else "no option clears the bar")
    detail = [f"{each.name} finds {'; '.join(map(str, lost_classes(each)[:CLASSES_SHOWN]))}" for each in losing]
    advice = (
        "Give the label a critical slice with a floor"
        if context.recipe.data.answer in SETS
        else "Set `bar.metric: macro_f1`, in which each class weighs the same, or give the class a critical slice with "
        "a floor"
    )
    return passed_if(False, f"the bar is cleared without a class: {'. '.join(detail)}. {advice}")


@gate(
    "if something that exists already clears the bar, a student is one more model to maintain for nothing",
    closes_as="take the baseline",
    remedy="take it and stop, which is success",
    shows_options=True,
)
def no_baseline_clears_the_bar(context: GateContext) -> Finding:
    """Closed means: take that baseline and stop, which is success; open where the recipe names one to be released."""
    evaluations = read_evaluations(context.artifact.folder)
    keeping, losing = clearing_options(evaluations)
    clearing = [evaluation.name for evaluation in keeping or losing]
    if not clearing:
        best = max(evaluations, key=lambda evaluation: evaluation.score.quality)
        return none_of(0, f"the best misses: {best.summary}")
    named = [student.name for student in context.recipe.students if student.learns_from == "nothing"]
    if named:
        return passed_if(
            True,
            f"{_listed(clearing)} the bar, and the recipe names {', '.join(named)}, which learns from nothing: "
            "the smallest candidate that clears the bar is released, and that may be a baseline",
        )
    how = _how_to_release(context, clearing, [each.name for each in keeping or losing if each.hosted is not None])
    return none_of(len(clearing), f"take the baseline: {_listed(clearing)} the bar. {how}")


def _listed(names: list[str]) -> str:
    *before, last = names
    return f"{', '.join(before)} and {last} clear" if before else f"{last} clears"


def _how_to_release(context: GateContext, clearing: list[str], hosted: list[str]) -> str:
    """What to put into the recipe, and what has no such form."""
    as_students = context.artifact.facts(BaselinesFacts).as_students
    forms = [form for option, form in as_students.items() if option in clearing]
    others = [name for name in clearing if name not in as_students and name not in hosted]
    detail = []
    if forms:
        detail.append(f"To release it through the same gates, put {' or '.join(forms)} among the recipe's students")
    if others:
        detail.append(f"Stillhouse does not release {' or '.join(others)}: fit it where it is used")
    if hosted:
        detail.append(f"{' or '.join(hosted)} needs no release: ask its server as it was asked here")
    return ". ".join(detail)


GATES = gates_of_module(__name__)
