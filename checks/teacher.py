"""Gates on the teacher: is it the model we think it is, and is it worth copying?"""

from datetime import UTC, date, datetime

from assets.cron import ticks
from checks.gate import Finding, GateContext, gate, gates_of_module, passed_if
from checks.members import worst_of
from checks.pinning import are_the_pinned_weights
from stillhouse.errors import StillhouseError
from stillhouse.models.weights import fingerprint_of, verify_weights
from stillhouse.recipe.teacher import TeacherKind, teacher_part
from stillhouse.stages.asking import teacher_of, teachers_of
from stillhouse.stages.facts import SaidFacts, TeacherFacts
from stillhouse.stages.names import MEMBERS, MODEL
from stillhouse.statistics.proportions import wilson_interval
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.forgetting import FEWEST, NEAREST
from stillhouse.teachers.teacher import Teacher


@gate("a file that runs code when it is loaded, or was cut short on the way, must not become anybody's teacher")
def weights_are_whole_and_safe(context: GateContext) -> Finding:
    """Verified again as published: safetensors only, shapes as in the config, every weight finite."""
    record = verify_weights(context.artifact.folder / MODEL)
    teacher = context.recipe.teacher
    for name in teacher.networks if teacher.members else ():
        verify_weights(context.artifact.folder / MEMBERS / name / MODEL)
    return passed_if(True, f"{record.parameters:,} finite weights in {record.tensors} tensors, no pickle")


@gate("what the teacher said can only be kept under the name of the teacher that said it")
def the_fingerprint_is_its_own(context: GateContext) -> Finding:
    """The fingerprint on record is that of the published weights or answers."""
    facts = context.artifact.facts(TeacherFacts)
    if facts.said is None and not context.recipe.teacher.members:
        now = fingerprint_of(context.artifact.folder / MODEL)
    else:
        teacher = teacher_of(context.artifact, context.recipe.teacher, context.builds)
        teacher.verify()
        now = teacher.fingerprint
    recorded = facts.fingerprint
    return passed_if(now == recorded, f"recorded {recorded[:12]}, computed {now[:12]}")


@gate("weights that were exchanged after the contract was looked at would be trained on all the same")
def the_teacher_began_with_pinned_weights(context: GateContext) -> Finding:
    """The weights that were really trained on, held against the pin again."""
    facts = context.artifact.facts(TeacherFacts)
    found: dict[str, str | None] = {context.recipe.part_of_weights: facts.base_fingerprint}
    for name, each in facts.by_member.items():
        if each.language_model is not None:
            found[teacher_part(name)] = each.language_model.fingerprint
        elif each.said is None:
            found[teacher_part(name)] = each.base_fingerprint
    return are_the_pinned_weights(context, found)


@gate("a student's ceiling is its teacher; a weak one is found out before the bulk of its answers is paid for")
def teacher_accuracy_reaches_the_minimum(context: GateContext) -> Finding:
    """Accuracy on validation rows; the 95 % interval must reach the minimum, and the estimate must hold it."""
    facts = context.artifact.facts(TeacherFacts)
    right, rows = facts.validation_right, facts.validation_rows
    minimum = context.recipe.teacher.minimum_accuracy
    if rows == 0:
        return Finding(Verdict.INCONCLUSIVE, "there are no labelled validation rows to measure it on")
    low, high = wilson_interval(right, rows)
    for name, spec in context.recipe.teacher.members.items():
        alone = facts.members[name].validation_accuracy
        if alone < spec.minimum_accuracy:
            return passed_if(
                False,
                f"member {name}: accuracy {alone:.3f} on {rows:,} validation rows, minimum {spec.minimum_accuracy:.3f}",
                observed=alone,
                limit=spec.minimum_accuracy,
            )
    return passed_if(
        right / rows >= minimum,
        f"accuracy {right / rows:.3f} on {rows:,} validation rows ({low:.3f} to {high:.3f}), minimum {minimum:.3f}",
        observed=right / rows,
        limit=minimum,
    )


@gate("an encoder that is fine-tuned for one task can lose what it is used for elsewhere")
def neighbours_are_kept_by_fine_tuning(context: GateContext) -> Finding:
    """Of an encoder that is to stay of use: texts whose nearest one before is near still; the interval decides."""
    asked, found = context.recipe.teacher.neighbours_kept_at_least, context.artifact.facts(TeacherFacts).neighbours
    if asked is None:
        return passed_if(True, "asked where teacher.neighbours_kept_at_least says how many")
    if found is None:
        return Finding(Verdict.INCONCLUSIVE, "the teacher was made before this was asked: materialize it again")
    if found.texts < FEWEST:
        return Finding(Verdict.INCONCLUSIVE, f"{found.texts} texts are too few to say; at least {FEWEST} are needed")
    share, (low, high) = found.kept / found.texts, wilson_interval(found.kept, found.texts)
    sentence = (
        f"{share:.0%} of {found.texts:,} texts ({low:.0%} to {high:.0%}) have their nearest text among the {NEAREST} "
        f"nearest after fine-tuning, at least {asked:.0%} asked"
    )
    verdict = Verdict.PASS if low >= asked else Verdict.FAIL if high < asked else Verdict.INCONCLUSIVE
    advice = "" if verdict is Verdict.PASS else ": train for fewer epochs, or at a lower learning_rate"
    return Finding(verdict, sentence + advice, observed=share, limit=asked)


@gate("answers that cannot be read are paid for like those that can")
def the_pilots_answers_can_be_read(context: GateContext) -> Finding:
    """Of a model behind a server, before the rest is asked: how many validation rows have no answer that counts."""
    limit = context.recipe.limits.unanswered_prompts_at_most
    advice = (
        "write a prompt that makes it give words of the text as they are"
        if context.recipe.gives_records
        else "write a prompt that makes it name a label"
    )
    findings = {
        name: _few_are_without_an_answer(said, limit, advice) for name, said in _said_by_servers(context).items()
    }
    return worst_of(findings or {"": passed_if(True, "asked of models behind a server")})


def _said_by_servers(context: GateContext) -> dict[str, SaidFacts]:
    """What the pilot said of each member that is behind a server, or of the teacher itself: these have a price."""
    members = context.artifact.facts(TeacherFacts).by_member.items()
    return {name: each.said for name, each in members if each.said is not None and each.said.usd_a_prompt is not None}


def _few_are_without_an_answer(said: SaidFacts, limit: float, advice: str) -> Finding:
    silent = sum(said.failures.values())
    reasons = ", ".join(f"{texts:,} {reason}" for reason, texts in said.failures.items())
    share = silent / max(said.texts, 1)
    return passed_if(
        share <= limit,
        f"{silent:,} of {said.texts:,} texts have no answer that counts{f' ({reasons})' if reasons else ''}: "
        f"{share:.1%}, limit {limit:.0%}" + ("" if share <= limit else f"; {advice}"),
        observed=share,
        limit=limit,
    )


@gate("what a model answers that is shut down before the next round can never be asked again", daily=True)
def the_model_outlives_the_next_round(context: GateContext) -> Finding:
    """Of a model behind a server, whose server may say on which day it ends; asking that costs nothing."""
    servers = _said_by_servers(context)
    if not servers:
        return passed_if(True, "asked of models behind a server")
    opened, cron = teachers_of(context.artifact, context.recipe.teacher, context.builds), context.recipe.refresh.cron
    return worst_of({name: _ends_later(opened[name], cron) for name in servers})


def _ends_later(teacher: Teacher, cron: str) -> Finding:
    assert isinstance(teacher, EndpointTeacher), "nobody else is paid"
    model = teacher.asking.model
    try:
        said = teacher.shut_down_on()
    except StillhouseError as error:
        return Finding(Verdict.INCONCLUSIVE, f"it is not known when {model} ends: {error.what}")
    if said is None:
        return passed_if(True, f"its server names no day on which {model} ends")
    try:
        day = date.fromisoformat(said[:10])
    except ValueError:
        return Finding(Verdict.INCONCLUSIVE, f"its server says that {model} ends on {said[:30]!r}, which is not a day")
    following = next(ticks(cron, since=now().timestamp())).date()
    advice = "" if day > following else ": choose one that stays, or have all answered now and keep them (kind: stored)"
    return passed_if(day > following, f"{model} ends on {day}, and the next round is on {following}{advice}")


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


@gate("probabilities of labels say nothing where the teacher would rather have written something else")
def probability_is_on_the_labels(context: GateContext) -> Finding:
    """Of a teacher whose log-probabilities are taught: how much of them was on labels, or on their letters."""
    masses = {
        name: (said.label_mass, each.kind)
        for name, each in context.artifact.facts(TeacherFacts).by_member.items()
        if (said := each.said) is not None and said.label_mass is not None
    }
    if not masses:
        return passed_if(True, "asked of teachers whose log-probabilities are taught")
    least = min(masses, key=lambda name: masses[name][0])
    (mass, kind), limit = masses[least], context.recipe.limits.label_mass_at_least
    what = "letters of the labels"
    advice = "set soft_labels to samples, or write a prompt that makes it answer with a letter"
    if kind is TeacherKind.CAUSAL_LM:
        what, advice = "labels", "give labels the `words` that it would write, or a prompt with an example of each"
    return passed_if(
        mass >= limit,
        f"{f'member {least}: ' if least else ''}{mass:.0%} of the probability is on the {what}, at least {limit:.0%} "
        f"asked: below that, {advice}",
        observed=mass,
        limit=limit,
    )


GATES = gates_of_module(__name__)
