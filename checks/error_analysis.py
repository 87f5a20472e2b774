"""Gates on the analyses: does each student that misses have one, and is it about the student that was judged?"""

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of
from stillhouse.error_analysis.generalisation import FitRegime
from stillhouse.error_analysis.rules import read_analyses
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.precisions import standing_for
from stillhouse.stages.error_analysis import learners_of
from stillhouse.stages.facts import EvaluationFacts
from stillhouse.stages.names import candidate, export


@gate("without a reason for the miss the next round can only guess what to change")
def every_miss_has_a_reason(context: GateContext) -> Finding:
    """Each student that learns from the teacher and does not clear the bar has a conclusion with one change to try."""
    analyses = read_analyses(context.artifact.folder)
    by_name = {each.name: each for each in read_evaluations(context.made_from("evaluation").folder)}
    standing = [standing_for(student, by_name) for student in learners_of(context.recipe)]
    judged = [e for e in standing if e.open_claims]
    without = [e.name for e in judged if e.name not in analyses or analyses[e.name].conclusion is None]
    if without:
        return none_of(len(without), f"misses the bar, and nobody knows why: {', '.join(without)}")
    detail = "; ".join(f"{e.name}: {c.cause}" for e in judged if (c := analyses[e.name].conclusion) is not None)
    return none_of(0, detail or "no student misses the bar")


@gate("an analysis of another model explains nothing")
def the_analysis_is_of_the_judged_students(context: GateContext) -> Finding:
    """Each student was asked as the very weights that the judged export was made from, and none was left out."""
    analyses, name = read_analyses(context.artifact.folder), context.file.name
    evaluation = context.made_from("evaluation")
    judged, by_name = evaluation.facts(EvaluationFacts).judged, {e.name: e for e in read_evaluations(evaluation.folder)}
    wrong = []
    for student in learners_of(context.recipe):
        form = standing_for(student, by_name).name
        exported = context.made_from(export(form))
        asked = analyses[form].candidate if form in analyses else None
        trained = exported.manifest.inputs[f"{name}/{candidate(student.name)}"].digest
        if (judged.get(form), asked) != (exported.digest, trained):
            wrong.append(student.name)
    return none_of(len(wrong), f"not as judged: {', '.join(wrong)}" if wrong else f"{len(analyses)} students asked")


@gate("held-out rows that are known from training make every number about a student too good", blocking=False)
def no_leak_is_suspected(context: GateContext) -> Finding:
    """No student does better on validation rows than on golden ones, or than on its own rows, beyond chance."""
    analyses = read_analyses(context.artifact.folder).values()
    leaks = [f"{r.student}: {r.generalisation.sentence}" for r in analyses if r.generalisation.regime is FitRegime.LEAK]
    return none_of(
        len(leaks),
        f"{'; '.join(leaks)}. Look for what validation rows share with training rows, such as a customer, a thread or "
        "a template, and name its column in `data.group`; until then trust the golden figure alone"
        if leaks
        else f"none in {len(analyses)} students",
    )


GATES = gates_of_module(__name__)
