"""Gates on the contract: may this distillation be begun at all?"""

import json
from collections.abc import Sequence

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, passed_if
from checks.moved_bar import bar_of_the_newest_candidate
from checks.pinning import are_the_pinned_weights
from stillhouse.economics import Decision, forecast
from stillhouse.models.fitting import unfit
from stillhouse.models.memory import memory_gb
from stillhouse.names import same_person
from stillhouse.recipe.differences import Difference, differences
from stillhouse.recipe.teacher import TeacherSpec, teacher_part
from stillhouse.records.governance import amendment_to, sign_off_of
from stillhouse.stages.contract import bar_of
from stillhouse.stages.facts import ContractFacts
from stillhouse.statistics.verdicts import Verdict

NO_NEED = "do not distil"
FIELDS_SHOWN = 5


@gate(
    "without a problem in production a student is only one more model to maintain",
    closes_as=NO_NEED,
    remedy="keep the teacher and stop, which is a result; or say in `pain` what hurts",
)
def a_pain_is_declared(context: GateContext) -> Finding:
    """Closed means: do not distil, which is a result."""
    pain = context.recipe.pain
    return passed_if(
        bool(pain),
        ", ".join(pain)
        if pain
        else "no pain is declared: keep the teacher, do not distil. If something hurts, say in `pain` whether it is "
        "cost, latency, stability or specialisation",
    )


@gate(
    "a student that never earns back its cost should not be built",
    closes_as=NO_NEED,
    remedy="keep the teacher and stop, which is a result; or correct prices and volume in `economics`",
)
def the_student_pays_for_itself(context: GateContext) -> Finding:
    """Forecast from the recipe's prices and volume, where it names them; `stillhouse roi` has what was spent."""
    recipe = context.recipe
    if recipe.economics is None:
        return passed_if(True, "`pain` does not name cost, and the recipe names no prices")
    expected = forecast(recipe.economics, recipe.budget, machine_usd_per_hour=recipe.machine_usd_per_hour)
    return passed_if(
        expected.decision is Decision.FUND,
        expected.sentence,
        observed=expected.payback_months,
        limit=recipe.economics.payback_months_at_most,
        forecast=expected.model_dump(mode="json"),
    )


@gate(
    "a student trained on outputs that may not be used for training cannot be used either",
    waivable=False,
)
def terms_allow_training_on_outputs(context: GateContext) -> Finding:
    """Unknown counts as no."""
    teacher = context.recipe.teacher
    closed = {name: each for name, each in teacher.by_member.items() if each.training_on_outputs != "allowed"}
    return passed_if(
        not closed,
        "; ".join(_what_terms_say(each, teacher_part(name)) for name, each in (closed or {"": teacher}).items()),
        licence=teacher.licence,
    )


def _what_terms_say(teacher: TeacherSpec, part: str) -> str:
    said = teacher.training_on_outputs
    advice = f". Read its licence and terms, then say in `{part}.training_on_outputs` what they allow"
    return f"the recipe says that training on the outputs of {teacher.source} is {said}" + (
        advice if said == "unknown" else ""
    )


@gate("nobody can comply with a licence that is not written down")
def licences_are_named(context: GateContext) -> Finding:
    """Of the teacher's weights and of the rows."""
    recipe = context.recipe
    licences = {"teacher": recipe.teacher.licence, "data": recipe.data.licence}
    if recipe.base is not None:
        licences["base"] = recipe.base.licence
    licences |= {f"teacher.ensemble.members.{name}": each.licence for name, each in recipe.teacher.members.items()}
    unnamed = [name for name, text in licences.items() if _names_nothing(text)]
    return none_of(
        len(unnamed),
        f"unnamed: {', '.join(unnamed)}. Say in {' and '.join(f'`{name}.licence`' for name in unnamed)} under which "
        "right it may be used"
        if unnamed
        else "teacher and data have one",
        **licences,
    )


_NO_NAMES = frozenset(
    {"fixme", "n/a", "na", "nil", "none", "not known", "null", "tba", "tbc", "tbd", "todo", "unknown"}
)
"""What people write where they have to write something."""


def _names_nothing(text: str) -> bool:
    said = text.strip().strip("<>[]().:!").lower()
    return said in _NO_NAMES or not any(sign.isalpha() for sign in said)


@gate(
    "where the stakes are high, the author of a recipe must not start its trainings on their own word",
    waivable=False,
    remedy="ask somebody who is not the author to read the contract and to approve the training",
)
def another_person_has_approved_the_training(context: GateContext) -> Finding:
    """Where the recipe's stakes are high: a sign-off of this very contract by a person who is not the author."""
    recipe, name, digest = context.recipe, context.file.name, context.artifact.digest
    if recipe.stakes == "low":
        return passed_if(True, "the stakes are low: no sign-off is asked for")
    signed = sign_off_of(context.builds.ledger, name, digest)
    if signed is None:
        before = context.builds.ledger.newest(name, "sign_off")
        since = "" if before is None else f" (only {before.body['contract'][:12]}, before the recipe was changed)"
        how = f"read it, then `stillhouse approve {name} --training --by NAME --reason WHY` and look again"
        return Finding(Verdict.INCONCLUSIVE, f"nobody has signed off contract {digest[:12]} yet{since}: {how}")
    own = same_person(str(recipe.author), signed.by)
    detail = f"signed off by {signed.by}{', its author' if own else ''}: {signed.reason}"
    return passed_if(not own, detail, signed_by=signed.by)


@gate("a bar that is not the recipe's own was frozen for another student")
def the_bar_is_frozen(context: GateContext) -> Finding:
    """The artifact holds the very bar, budget and slices that the recipe holds now."""
    frozen, now = context.artifact.facts(ContractFacts).bar, bar_of(context.recipe)
    if frozen == now:
        return passed_if(True, "the frozen bar is that of the recipe", margin=context.recipe.bar.margin)
    moved = differences(frozen, now)
    return passed_if(
        False,
        f"the recipe's bar was changed since this contract was frozen: {_listed(moved)}; materialize contract again",
        moved=_sentences(moved),
    )


@gate("a bar that is moved after a result proves nothing unless a named person takes responsibility")
def a_moved_bar_has_a_name_and_a_reason(context: GateContext) -> Finding:
    """Once a candidate was trained under one bar, another one needs an amendment that names who and why."""
    facts = context.artifact.facts(ContractFacts)
    bar, judged_by = facts.bar_digest, bar_of_the_newest_candidate(context.builds, context.file.name)
    if judged_by is None or judged_by.digest == bar:
        return passed_if(True, "no candidate was trained under another bar")
    moved = differences(judged_by.terms, facts.bar)
    amendment = amendment_to(context.builds.ledger, context.file.name, bar)
    if amendment is not None:
        detail = f"changed by {amendment.by}: {amendment.reason}"
        return passed_if(True, detail, signed_by=amendment.by, moved=_sentences(moved))
    return passed_if(
        False,
        f"a candidate was trained under bar {judged_by.digest[:12]} and the recipe now has {bar[:12]}: "
        f"{_listed(moved)}; put the old one back, or `stillhouse amend {context.file.name} --by NAME --reason WHY`",
        moved=_sentences(moved),
    )


@gate(
    "a file that runs code when it is loaded, or was cut short on the way, must not become anybody's teacher",
    waivable=False,
)
def the_teachers_weights_are_safe(context: GateContext) -> Finding:
    """What it begins with: safetensors only, no remote code, shapes as in the config, every weight finite."""
    facts = context.artifact.facts(ContractFacts)
    problem = next((each.problem for each in (facts.weights, *facts.beside_weights.values()) if each.problem), None)
    return passed_if(problem is None, problem or "safetensors only, whole and finite")


@gate("weights exchanged under the same name and revision are another teacher, which nobody approved")
def the_weights_are_the_pinned_ones(context: GateContext) -> Finding:
    """Those of the recipe's `teacher.fingerprint`; without one those of the first round, trusted on first use."""
    facts = context.artifact.facts(ContractFacts)
    found = {context.recipe.part_of_weights: facts.weights.fingerprint}
    found |= {teacher_part(name): each.fingerprint for name, each in facts.beside_weights.items()}
    return are_the_pinned_weights(context, found)


@gate("a student that cannot be cut is found out after its teacher was paid for, and texts that lose their end never")
def the_weights_have_what_the_recipe_asks(context: GateContext) -> Finding:
    """Of each config.json that the contract took in: layers and units of students, and positions for max_tokens."""
    kept, found = context.artifact.manifest.external_inputs, list[str]()
    for part, spec in context.recipe.all_weights.items():
        digest = kept.get(f"{spec.address}/config.json")
        if digest is None:
            return Finding(
                Verdict.INCONCLUSIVE, f"the weights of {part} were refused, so it is not known how large they are"
            )
        config = json.loads(context.builds.store.kept(digest).read_text("utf-8"))
        found += [str(each) for each in unfit(context.file, part, config)]
    return none_of(len(found), " ".join(found) or "layers, units and positions that the recipe asks for are there")


@gate("running out of memory is cheaper to find now than an hour into the training")
def training_fits_into_memory(context: GateContext) -> Finding:
    """An estimate for a model as large as the teacher, with the most texts and tokens of any training of the recipe.

    Of a model that is asked and not trained, its weights and what it keeps of the texts that it reads at once. Held
    against `budget.training_memory_gb_at_most`, else what is free of the GPU that trains, else the machine's memory.
    """
    facts = context.artifact.facts(ContractFacts)
    taken_in = [facts.weights, *facts.beside_weights.values()]
    needed = max((each.training_gb for each in taken_in if each.training_gb is not None), default=None)
    if needed is None or any(each.training_gb is None for each in taken_in):
        return Finding(Verdict.INCONCLUSIVE, "the weights were refused, so there is nothing to estimate from")
    allowed, device = context.recipe.budget.training_memory_gb_at_most, context.builds.device
    limit = memory_gb(device) if allowed is None else allowed
    what = f"free on {device.name}" if allowed is None and device.kind == "cuda" else "allowed"
    return passed_if(
        needed <= limit, f"about {needed:.1f} GB needed, {limit:.1f} GB {what}", observed=needed, limit=limit
    )


def _sentences(moved: Sequence[Difference]) -> list[str]:
    return [each.sentence for each in moved]


def _listed(moved: Sequence[Difference]) -> str:
    if not moved:
        return "the order of its parts"
    more = len(moved) - FIELDS_SHOWN
    return ", ".join(_sentences(moved[:FIELDS_SHOWN])) + (f", and {more} more fields" if more > 0 else "")


GATES = gates_of_module(__name__)
