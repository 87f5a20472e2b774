"""The champion: the release that serves.

The ledger's newest promotion is the one pointer to it; it is written in one transaction, after the release is whole.
A witness outside the state remembers each promotion. One that cannot be reached stops no promotion: the run says so,
the audit says so, and the next run tries again.

Belongs here: promoting a release or offering it beside the champion, refusing one that may not serve, and naming the
release that serves.
Does not: making a release (release.py), what a promotion or an offer writes (stillhouse/records/promotion.py,
rollouts.py), serving it.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.records.champions import answers_of, export_of, line_of_champions, promoted, rival_of
from stillhouse.records.deployments import DeployedRelease, Deployment, desired
from stillhouse.records.promotion import Promotion, promote
from stillhouse.records.promotion import refuse as refuse_by_decision
from stillhouse.records.rollouts import Offer, offer
from stillhouse.records.witness import Witness
from stillhouse.release.bundle import ReleaseRecord
from stillhouse.stages.facts import ChampionFacts
from stillhouse.stages.names import RELEASE, SELECTION
from stillhouse.stages.selection import SelectionFacts


@dataclass(frozen=True)
class Decided:
    """What a round decided about a release that may serve.

    Args:
        became: its promotion; or its offer, if it has to show itself beside the champion first.
        serves: the champion that serves on meanwhile; None where the release itself serves.
    """

    became: Promotion | Offer
    serves: DeployedRelease | None


def decide(file: RecipeFile, release: Artifact, builds: BuildStore, run_id: str) -> Decided:
    """Promote a release, or begin its way beside the champion, which serves on.

    Args:
        file: the recipe.
        release: of this round, behind its gates.
        builds: with the ledger.
        run_id: the run that decides.

    Raises:
        StillhouseError: if it was withdrawn, a person holds the champion, or it met another one than serves.
    """
    ledger, seen = builds.ledger, desired(builds.ledger, file.name)
    _refuse(file, release, builds, seen)
    answers_by, offered = release.facts(ReleaseRecord).answers_by, deployed(release)
    if seen is not None and _rolls_out(file, release, builds):
        way = offer(
            ledger, file.name, offered, seen=seen, export=answers_by, run_id=run_id, relied_on=release.relied_on
        )  # fmt: skip
        return Decided(way, seen.champion)
    promotion = promote(
        ledger, Witness.from_environment(), file.name, offered,
        seen=seen, export=answers_by, run_id=run_id, relied_on=release.relied_on,
    )  # fmt: skip
    return Decided(promotion, None)


def plan(release: Artifact, serves: DeployedRelease | None = None) -> Plan[ChampionFacts]:
    """Say which release serves: for a round, and for a person who goes back to an older one.

    Args:
        release: that was decided upon.
        serves: the release that serves, where that is another one as long as this one is on its way.
    """
    champion = serves or deployed(release)
    waits = champion.release != release.digest
    named = ChampionFacts(
        student=champion.student, release=champion.release, offered=release.digest if waits else None
    )  # fmt: skip

    def build(folder: Path) -> ChampionFacts:
        (folder / "champion.json").write_text(named.model_dump_json(exclude_none=True))
        return named

    return Plan(build, {"release": release.digest, **({"serves": named.release} if waits else {})})


def _rolls_out(file: RecipeFile, release: Artifact, builds: BuildStore) -> bool:
    """Whether a release has to show itself beside the champion first.

    Not where the recipe asks for no rollout, for the first release of all, and where callers are answered by what
    answers them already. The same model with another cascade, or without one, answers them otherwise.
    """
    line = promoted(builds.ledger, file.name)
    if file.recipe.rollout is None or not line:
        return False
    return answers_of(builds.store, line[0]) != release.facts(ReleaseRecord).answers_by


def deployed(release: Artifact) -> DeployedRelease:
    """A release as a deployment names it."""
    return DeployedRelease(
        release=release.digest, manifest=release.identity, student=release.facts(ReleaseRecord).student
    )


def _refuse(file: RecipeFile, release: Artifact, builds: BuildStore, seen: Deployment | None) -> None:
    """Raise if a round may not put a release in the place of the champion of this moment.

    Raises:
        StillhouseError: if it was withdrawn, a person holds the champion, or it met another one than serves.
    """
    refuse_by_decision(
        builds.ledger, file.name, release.digest, seen=seen, export=release.facts(ReleaseRecord).answers_by
    )  # fmt: skip
    _refuse_what_met_another_champion(file, release, builds)


def _refuse_what_met_another_champion(file: RecipeFile, release: Artifact, builds: BuildStore) -> None:
    """Between the selection and now somebody may have gone back to another release."""
    ledger, name = builds.ledger, file.name
    line = line_of_champions(promoted(ledger, name))
    rival = rival_of(line, release.facts(ReleaseRecord).export, partial(export_of, builds.store))
    (selection,) = builds.inputs_of(release, SELECTION)
    met = selection.facts(SelectionFacts).against_champion.release
    if rival is not None and rival.release != met:
        raise StillhouseError(
            f"it was compared with {met[:12] if met else 'no champion'}, and {rival.release[:12]} serves by now",
            where=f"{name}/{RELEASE}",
            expected="a student that met the champion which it would replace",
            do=f"`stillhouse run {name}` compares them.",
        )
