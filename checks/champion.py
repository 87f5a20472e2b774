"""Gates on the champion: does the ledger point where it should?"""

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, passed_if
from stillhouse.records.deployments import desired
from stillhouse.release.bundle import bundle_problems
from stillhouse.stages.facts import ChampionFacts


@gate("the ledger and the champion asset must name the same release")
def the_ledger_names_this_release(context: GateContext) -> Finding:
    """The newest promotion is of the release that the asset names; another one is offered or waits for who is."""
    deployed, facts = desired(context.builds.ledger, context.file.name), context.artifact.facts(ChampionFacts)
    serves = None if deployed is None else deployed.champion.release
    sentence = f"promoted {serves[:12] if serves else 'nothing'}, champion {facts.release[:12]}"
    if facts.offered is None or serves != facts.release:
        return passed_if(serves == facts.release, sentence)
    challenger = None if deployed is None else deployed.challenger
    if challenger is None:
        return passed_if(False, f"{sentence}; {facts.offered[:12]} is not on its way to take over")
    is_it = challenger.deployed.release == facts.offered
    way = f"{challenger.deployed.release[:12]} is in {challenger.stage}"
    return passed_if(True, f"{sentence}; {way}{'' if is_it else f', {facts.offered[:12]} waits for it'}")


@gate("what serves has to be what was released, byte for byte")
def the_serving_bundle_is_whole(context: GateContext) -> Finding:
    """Opened by digest from the store and verified."""
    problems = bundle_problems(context.made_from("release").folder)
    return none_of(len(problems), "; ".join(problems) if problems else "every file is there and as listed")


GATES = gates_of_module(__name__)
