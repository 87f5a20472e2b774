"""Gates on the champion: does the ledger point where it should?"""

from checks.gate import Finding, GateContext, gate, gates_of_module, none_of, passed_if
from stillhouse.release.bundle import bundle_problems
from stillhouse.stages.facts import ChampionFacts


@gate("the ledger and the champion asset must name the same release")
def the_ledger_names_this_release(context: GateContext) -> Finding:
    """The newest promotion is of the release that the asset names."""
    promoted = context.builds.ledger.champion(context.file.name)
    digest = context.artifact.facts(ChampionFacts).release
    return passed_if(
        promoted is not None and promoted["digest"] == digest,
        f"promoted {promoted['digest'][:12] if promoted else 'nothing'}, champion {digest[:12]}",
    )


@gate("what serves has to be what was released, byte for byte")
def the_serving_bundle_is_whole(context: GateContext) -> Finding:
    """Opened by digest from the store and verified."""
    problems = bundle_problems(context.made_from("release").folder)
    return none_of(len(problems), "; ".join(problems) if problems else "every file is there and as listed")


GATES = gates_of_module(__name__)
