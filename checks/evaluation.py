"""Gates on the evaluation: was everything judged, on the right rows, as it will ship?

Whether a student is good enough is asked of the selection.
"""

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, passed_if
from checks.golden_set_usage import rounds_judged, within_the_limit
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.models import ModelKind
from stillhouse.evaluation.slices.fairness import ModelGaps
from stillhouse.stages.facts import EvaluationFacts, PromptFacts
from stillhouse.stages.names import EVALUATION
from stillhouse.wording import points


@gate("a student that was left out, or judged in another form than it ships, was not judged")
def every_student_was_judged_as_it_ships(context: GateContext) -> Finding:
    """The digest of each judged artifact is that of the export it was made from."""
    inputs, judged = context.artifact.manifest.inputs, context.artifact.facts(EvaluationFacts).judged
    exported = {f.name: inputs[f"{context.file.name}/exports/{f.name}"].digest for f in context.recipe.forms}
    wrong = sorted(name for name in exported if judged.get(name) != exported[name])
    return none_of(
        len(wrong), f"not judged as exported: {', '.join(wrong)}" if wrong else f"{len(judged)} exports judged"
    )


@gate("numbers on other rows than the frozen ones cannot be compared")
def the_golden_set_is_the_frozen_one(context: GateContext) -> Finding:
    """The rows that each student and baseline was judged by have the digest that the prompt set locked."""
    prompts = context.made_from("prompts").facts(PromptFacts)
    locked = prompts.golden_digest
    evaluations = read_evaluations(context.artifact.folder) + read_evaluations(context.made_from("baselines").folder)
    others = {e.name: e for e in evaluations if e.golden_digest != locked}
    held = f"{prompts.golden:,} rows locked as {locked[:12]}"
    if not others:
        return none_of(0, f"{held}; all {len(evaluations)} models were judged by them")
    judged = ", ".join(f"{name} by {e.golden_rows:,} rows, {e.golden_digest[:12]}" for name, e in others.items())
    return none_of(len(others), f"{held}; judged by other rows: {judged}")


@gate("a declared slice or field without a verdict is one that nobody looked at")
def every_declared_slice_has_a_verdict(context: GateContext) -> Finding:
    """INCONCLUSIVE is a verdict."""
    fields = context.recipe.bar.fields
    declared = {*fields, *(item.name for item in context.recipe.slices)}
    missing = {e.name: sorted(declared - {s.name for s in e.slices}) for e in read_evaluations(context.artifact.folder)}
    holes = [f"{name}: {', '.join(slices)}" for name, slices in missing.items() if slices]
    what = "slices and fields" if fields else "slices"
    return none_of(len(holes), "; ".join(holes) if holes else f"{len(declared)} {what} judged for each student")


@gate("a student that serves some groups of people worse should be found here and not by them")
def every_sensitive_column_has_a_report(context: GateContext) -> Finding:
    """Each column that the recipe names, for every student; how far groups may be apart is part of the bar."""
    declared = [item.column for item in context.recipe.sensitive]
    if not declared:
        return passed_if(True, "the recipe names no sensitive column")
    evaluations = read_evaluations(context.artifact.folder)
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
    detail = f"not reported: {'; '.join(holes)}" if holes else f"reported by {', '.join(declared)} for each student"
    return none_of(len(holes), detail, gaps_in_accuracy=gaps)


def _gap(measured: ModelGaps) -> str:
    return "too few rows" if measured.accuracy is None else f"{points(measured.accuracy.gap)} points"


@gate("a budget that was never measured proves nothing")
def latency_was_measured(context: GateContext) -> Finding:
    """For each student, against the teacher, in one run."""
    unmeasured = [e.name for e in read_evaluations(context.artifact.folder) if e.latency is None]
    return none_of(
        len(unmeasured), f"not measured: {', '.join(unmeasured)}" if unmeasured else "measured for every student"
    )


@gate(
    "a student copies what its teacher gets wrong, and agreement looks best where nobody asks who is right",
    blocking=False,
)
def few_mistakes_of_the_teacher_are_repeated(context: GateContext) -> Finding:
    """Golden rows on which a student gives the teacher's own wrong answer, as a share of all golden rows."""
    students = [e for e in read_evaluations(context.artifact.folder) if e.score.kind is ModelKind.STUDENT]
    limit = context.recipe.limits.repeated_mistakes_at_most
    warnings = [f"{e.name} {warning}" for e in students if (warning := e.fidelity.warning(limit))]
    said = "; ".join(warnings) if warnings else f"at most {limit:.0%} of the rows for each student"
    most = max((e.fidelity.repeated_share for e in students), default=None)
    return passed_if(not warnings, said, observed=most, limit=limit)


@gate(
    "golden rows that judge round after round until one passes prove nothing",
    waivable=False,
)
def golden_rounds_are_within_the_limit(context: GateContext) -> Finding:
    """Rounds judged by golden rows of this split key, where the recipe sets a limit; a round that crashed had begun."""
    return within_the_limit(context, EVALUATION)


@gate("each further round that the same rows judge overfits them a little", blocking=False)
def the_golden_set_was_not_used_before(context: GateContext) -> Finding:
    """Rounds of candidates that were judged by these golden rows, from the ledger's log of who read them."""
    rounds = rounds_judged(context, EVALUATION)
    said = "first use"
    if len(rounds) > 1:
        used = f"not clean: {len(rounds)} rounds were judged by these rows since {rounds[0].date}"
        said = f"{used}; another split key is a fresh set"
    return passed_if(len(rounds) <= 1, said, observed=len(rounds), limit=1)


@gate("a slice that nobody declared is one that no average and no slice test will ever show", blocking=False)
def no_hidden_slice_was_found(context: GateContext) -> Finding:
    """Looked for in one half of the golden rows and confirmed in the other, for each student that is no control."""
    judged = [e for e in read_evaluations(context.artifact.folder) if e.score.kind is not ModelKind.CONTROL]
    found_in = [
        f"{e.name} loses {points(slice_.confirmed_drop)} points where {slice_.description}, "
        f"{points(slice_.rest_drop)} elsewhere"
        for e in judged
        for slice_ in e.discovered
    ]
    detail = f"{'; '.join(found_in)}: declare it as a slice, or find out why" if found_in else "none was found"
    return none_of(len(found_in), detail)


GATES = gates_of_module(__name__)
