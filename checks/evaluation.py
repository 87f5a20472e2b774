"""Gates on the evaluation: was everything judged, on the right rows, as it will ship?

Whether a student is good enough is asked of the selection.
"""

from checks.gate import Finding, Subject, found, gate, gates_of_module
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.models import SubjectKind
from stillhouse.evaluation.slices.fairness import ModelGaps
from stillhouse.records.golden_set_usage import GoldenRead, golden_reads
from stillhouse.stages.facts import EvaluationFacts, PromptFacts
from stillhouse.stages.names import EVALUATION
from stillhouse.wording import points


@gate("a student that was left out, or judged in another form than it ships, was not judged")
def every_student_was_judged_as_it_ships(subject: Subject) -> Finding:
    """The digest of each judged artifact is that of the export it was made from."""
    inputs, judged = subject.artifact.manifest.inputs, subject.artifact.facts(EvaluationFacts).judged
    exported = {s.name: inputs[f"{subject.file.name}/exports/{s.name}"].digest for s in subject.recipe.students}
    wrong = sorted(name for name in exported if judged.get(name) != exported[name])
    return found(not wrong, f"not judged as exported: {', '.join(wrong)}" if wrong else f"{len(judged)} exports judged")


@gate("numbers on other rows than the frozen ones compare with nothing")
def the_golden_set_is_the_frozen_one(subject: Subject) -> Finding:
    """The rows that each student and baseline was judged by have the digest that the prompt set locked."""
    prompts = subject.made_from("prompts").facts(PromptFacts)
    locked = prompts.golden_digest
    evaluations = read_evaluations(subject.artifact.folder) + read_evaluations(subject.made_from("baselines").folder)
    others = {e.name: e for e in evaluations if e.golden_digest != locked}
    held = f"{prompts.golden:,} rows locked as {locked[:12]}"
    if not others:
        return found(True, f"{held}; all {len(evaluations)} models were judged by them")
    judged = ", ".join(f"{name} by {e.golden_rows:,} rows, {e.golden_digest[:12]}" for name, e in others.items())
    return found(False, f"{held}; judged by other rows: {judged}")


@gate("a declared slice without a verdict is a slice that nobody looked at")
def every_declared_slice_has_a_verdict(subject: Subject) -> Finding:
    """INCONCLUSIVE is a verdict."""
    declared = {item.name for item in subject.recipe.slices}
    missing = {e.name: sorted(declared - {s.name for s in e.slices}) for e in read_evaluations(subject.artifact.folder)}
    holes = [f"{name}: {', '.join(slices)}" for name, slices in missing.items() if slices]
    return found(not holes, "; ".join(holes) if holes else f"{len(declared)} slices judged for each student")


@gate("a student that serves some people worse is found out by them, unless somebody looks by group first")
def every_sensitive_column_has_a_report(subject: Subject) -> Finding:
    """Each column that the recipe names, for every student; how far groups may be apart is part of the bar."""
    declared = [item.column for item in subject.recipe.sensitive]
    if not declared:
        return found(True, "the recipe names no sensitive column")
    evaluations = read_evaluations(subject.artifact.folder)
    missing = {e.name: [c for c in declared if c not in {r.column for r in e.fairness}] for e in evaluations}
    holes = [f"{name}: {', '.join(columns)}" for name, columns in missing.items() if columns]
    gaps = [
        {
            "student": e.name,
            "column": r.column,
            "groups": len(r.groups),
            "gap": _gap(r.student),
            "teacher": _gap(r.teacher),
        }
        for e in evaluations
        for r in e.fairness
    ]
    told = f"not reported: {'; '.join(holes)}" if holes else f"reported by {', '.join(declared)} for each student"
    return found(not holes, told, gaps_in_accuracy=gaps)


def _gap(measured: ModelGaps) -> str:
    return "too few rows" if measured.accuracy is None else f"{points(measured.accuracy.gap)} points"


@gate("a budget that was never measured is always kept")
def latency_was_measured(subject: Subject) -> Finding:
    """For each student, against the teacher, in one run."""
    unmeasured = [e.name for e in read_evaluations(subject.artifact.folder) if e.latency is None]
    return found(
        not unmeasured, f"not measured: {', '.join(unmeasured)}" if unmeasured else "measured for every student"
    )


@gate(
    "a student copies what its teacher gets wrong, and agreement looks best where nobody asks who is right",
    blocking=False,
)
def few_mistakes_of_the_teacher_are_repeated(subject: Subject) -> Finding:
    """Golden rows on which a student gives the teacher's own wrong answer, as a share of all golden rows."""
    students = [e for e in read_evaluations(subject.artifact.folder) if e.subject.kind is SubjectKind.STUDENT]
    warnings = [f"{e.name} {e.fidelity.warning}" for e in students if e.fidelity.warning]
    return found(not warnings, "; ".join(warnings) if warnings else "less than one row in ten for each student")


@gate(
    "an exam that is sat again until it is passed is no exam",
    waivable=False,
)
def golden_rounds_are_within_the_limit(subject: Subject) -> Finding:
    """Rounds judged by golden rows of this split key, where the recipe sets a limit; a round that crashed had begun."""
    limit, rounds = subject.recipe.split.golden_rounds_at_most, _rounds(subject)
    if limit is None:
        return found(True, "the recipe sets no limit")
    told = f"{len(rounds)} of at most {limit} rounds judged by golden rows of key {_split_key(subject)!r}"
    if len(rounds) <= limit:
        return found(True, told)
    when = ", ".join(map(str, rounds))
    return found(False, f"{told}: {when}; another split key is a fresh golden set, and nothing else is")


@gate("every round that is judged by the same rows chooses a little of their luck", blocking=False)
def the_golden_set_was_not_used_before(subject: Subject) -> Finding:
    """Rounds of candidates that were judged by these golden rows, from the ledger's log of who read them."""
    rounds = _rounds(subject)
    if len(rounds) <= 1:
        return found(True, "first use")
    used = f"not clean: {len(rounds)} rounds were judged by these rows since {rounds[0].date}"
    return found(False, f"{used}; another split key is a fresh set")


def _rounds(subject: Subject) -> list[GoldenRead]:
    """Every round of candidates that was judged by golden rows of this split key."""
    golden = subject.made_from("prompts").facts(PromptFacts).golden_digest
    return golden_reads(
        subject.workshop.ledger, subject.file.name, golden=golden, split_key=_split_key(subject), reader=EVALUATION
    )


def _split_key(subject: Subject) -> str:
    """The key that made the golden rows golden, as their own manifest has it."""
    return str(subject.made_from("prompts").manifest.config["split"]["key"])


@gate("a slice that nobody declared is one that no average and no slice test will ever show", blocking=False)
def no_hidden_slice_was_found(subject: Subject) -> Finding:
    """Looked for in one half of the golden rows and confirmed in the other, for each student that is no control."""
    judged = [e for e in read_evaluations(subject.artifact.folder) if e.subject.kind is not SubjectKind.CONTROL]
    found_in = [
        f"{e.name} loses {points(slice_.confirmed_drop)} points where {slice_.description}, "
        f"{points(slice_.rest_drop)} elsewhere"
        for e in judged
        for slice_ in e.discovered
    ]
    told = f"{'; '.join(found_in)}: declare it as a slice, or find out why" if found_in else "none was found"
    return found(not found_in, told)


GATES = gates_of_module(__name__)
