"""Gates on the reasons: does each student that misses have one, and is it about the student that was judged?"""

from checks.gate import Finding, Subject, found, gate, gates_of_module
from stillhouse.error_analysis.generalisation import Branch
from stillhouse.error_analysis.rules import read_reasons
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.stages.facts import EvaluationFacts
from stillhouse.stages.names import candidate, export
from stillhouse.stages.reasons import learners_of


@gate("a miss without a reason is not the last word: the next round would change something and hope")
def every_miss_has_a_reason(subject: Subject) -> Finding:
    """Each student that learns from the teacher and does not clear the bar has a conclusion with one change to try."""
    reasons = read_reasons(subject.artifact.folder)
    learners = {student.name for student in learners_of(subject.recipe)}
    judged = [
        e for e in read_evaluations(subject.made_from("evaluation").folder) if e.name in learners and e.open_claims
    ]
    without = [e.name for e in judged if e.name not in reasons or reasons[e.name].conclusion is None]
    if without:
        return found(False, f"misses the bar, and nobody knows why: {', '.join(without)}")
    told = "; ".join(f"{e.name}: {c.cause}" for e in judged if (c := reasons[e.name].conclusion) is not None)
    return found(True, told or "no student misses the bar")


@gate("the reason of another model explains nothing")
def reasons_are_of_the_judged_students(subject: Subject) -> Finding:
    """Each student was asked as the very weights that the judged export was made from, and none was left out."""
    reasons, name = read_reasons(subject.artifact.folder), subject.file.name
    judged = subject.made_from("evaluation").facts(EvaluationFacts).judged
    wrong = []
    for student in learners_of(subject.recipe):
        exported = subject.made_from(export(student.name))
        asked = reasons[student.name].candidate if student.name in reasons else None
        trained = exported.manifest.inputs[f"{name}/{candidate(student.name)}"].digest
        if (judged.get(student.name), asked) != (exported.digest, trained):
            wrong.append(student.name)
    return found(not wrong, f"not as judged: {', '.join(wrong)}" if wrong else f"{len(reasons)} students asked")


@gate("rows that are held out and known all the same make every number about a student too good", blocking=False)
def no_leak_is_suspected(subject: Subject) -> Finding:
    """No student does better on validation rows than on golden ones, or than on its own rows, beyond chance."""
    reasons = read_reasons(subject.artifact.folder).values()
    leaks = [f"{r.student}: {r.generalisation.sentence}" for r in reasons if r.generalisation.branch is Branch.LEAK]
    return found(not leaks, "; ".join(leaks) if leaks else f"none in {len(reasons)} students")


GATES = gates_of_module(__name__)
