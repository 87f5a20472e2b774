"""Gates on a release: is the bundle whole, and does it stand on its own?"""

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, passed_if
from stillhouse.data.quoting import quoted
from stillhouse.names import same_person
from stillhouse.records.champions import promoted, withdrawal_of
from stillhouse.records.deployments import desired
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import approval_of
from stillhouse.records.manifest import asset_and_batch
from stillhouse.release.bundle import ReleaseRecord, bundle_problems
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.names import MODEL
from stillhouse.statistics.verdicts import Verdict


@gate("an auditor needs every part of the bundle")
def the_bundle_is_whole(context: GateContext) -> Finding:
    """Verified as anybody could, with nothing but the folder."""
    problems = bundle_problems(context.artifact.folder)
    return none_of(len(problems), "; ".join(problems) if problems else "every file is there and as listed")


@gate("an audit can only follow a release that names what it was made from")
def the_release_names_its_inputs(context: GateContext) -> Finding:
    """The digests in its record are those of its inputs."""
    record = context.artifact.facts(ReleaseRecord)
    inputs = {
        asset_and_batch(name)[0].split("/", 1)[1]: item.digest
        for name, item in context.artifact.manifest.inputs.items()
    }
    named = {name: getattr(record, name) for name in ("contract", "prompts", "teacher", "transfer_set", "selection")}
    named[f"exports/{record.student}"] = record.export
    if record.cascade is not None:
        named["cascade"] = record.cascade
    wrong = sorted(name for name, digest in named.items() if inputs.get(name) != digest)
    return none_of(len(wrong), f"not its inputs: {', '.join(wrong)}" if wrong else f"{len(named)} digests agree")


@gate("a bundle that cannot be loaded should fail here and not at its first caller")
def the_bundle_loads_and_predicts(context: GateContext) -> Finding:
    """Loaded from the bundle, as a server would, and asked one golden question."""
    from stillhouse.models.predictor import OnnxClassifier

    text = context.made_from("prompts").frame("prompts")["text"][0]
    model = OnnxClassifier(context.artifact.folder / MODEL)
    task = context.made_from("teacher").facts(TeacherFacts).task
    if tuple(model.labels) != task.names:
        return passed_if(
            False, f"it answers {quoted(', '.join(model.labels))}, and the teacher {quoted(', '.join(task.names))}"
        )
    (answer,) = task.written(task.answers(model.logits([text])))
    return passed_if(True, f"{quoted(text)!r} is answered {quoted(answer)!r}")


@gate(
    "a release that a person took out of service must not come back by schedule",
    waivable=False,
)
def the_release_was_not_withdrawn(context: GateContext) -> Finding:
    """Neither this release nor one that answers callers alike was withdrawn, or a person has brought it back since."""
    ledger, name, artifact = context.builds.ledger, context.file.name, context.artifact
    withdrawn = withdrawal_of(ledger, name, release=artifact.digest, export=artifact.facts(ReleaseRecord).answers_by)
    if withdrawn is None:
        return passed_if(True, "it was not withdrawn")
    serves = promoted(ledger, name)[0]
    same = "" if withdrawn.release == artifact.digest else f", as {withdrawn.release[:12]}"
    return passed_if(
        False,
        f"{artifact.digest[:12]} was withdrawn{same} on {withdrawn.at[:10]} by {withdrawn.by}: {withdrawn.reason}; "
        f"champion {serves.deployed.in_words} serves since then. "
        f"`stillhouse promote {name} {artifact.digest[:12]} --by NAME --reason WHY` would bring it back",
        signed_by=withdrawn.by,
    )


@gate("where a person holds the champion, no round may replace it", waivable=False)
def the_champion_is_not_held(context: GateContext) -> Finding:
    """Nobody holds the champion, or it is the very release that serves."""
    name, digest = context.file.name, context.artifact.digest
    deployed = desired(context.builds.ledger, name)
    if deployed is None or deployed.hold is None:
        return passed_if(True, "nobody holds the champion")
    hold, serving = deployed.hold, deployed.champion
    held = f"{hold.by} holds champion {serving.in_words} since {hold.since[:10]}: {hold.reason}"
    if serving.release == digest:
        return passed_if(True, f"{held}; this is the very release", signed_by=hold.by)
    return passed_if(
        False,
        f"{held}. `stillhouse resume {name} --by NAME --reason WHY` lets rounds replace it, "
        f"`stillhouse promote {name} {digest[:12]} --by NAME --reason WHY` brings this one in",
        signed_by=hold.by,
    )


@gate("where the stakes are high, the author of a recipe must not approve its release", waivable=False)
def another_person_has_approved_it(context: GateContext) -> Finding:
    """Where the recipe's stakes are high: an approval of this very release by a person who is not the author."""
    recipe, name = context.recipe, context.file.name
    if recipe.stakes == "low":
        return passed_if(True, "the stakes are low: no approval is asked for")
    approval = approval_of(context.builds.ledger, name, context.artifact.digest)
    if approval is None:
        how = f"read the report, then `stillhouse approve {name} --by NAME --reason WHY` and look again"
        return Finding(Verdict.INCONCLUSIVE, f"nobody has approved {context.artifact.digest[:12]} yet: {how}")
    own = same_person(str(recipe.author), approval.by)
    detail = f"approved by {approval.by}{', its author' if own else ''}: {approval.reason}"
    return passed_if(not own, detail, signed_by=approval.by)


@gate("whoever uses a release must see what was waived on the way")
def the_release_lists_its_waivers(context: GateContext) -> Finding:
    """Every waiver that any part of it relied on is in its record."""
    record = context.artifact.facts(ReleaseRecord)
    relied = {f"{g.asset}:{g.gate}" for g in context.artifact.manifest.relied_on if g.state is GateStatus.WAIVED}
    missing = sorted(relied - {waiver.gate for waiver in record.waived})
    return none_of(
        len(missing), f"not listed: {', '.join(missing)}" if missing else f"{len(relied)} waivers, all listed"
    )


GATES = gates_of_module(__name__)
