"""The champion: the release that serves.

The ledger's newest promotion is the one pointer to it; it is written in one transaction, after the release is whole.

Belongs here: naming the release that serves, and refusing one that may not.
Does not: making a release (release.py), writing the promotion (stillhouse/records/promotion.py), serving it.
"""

import json
from functools import partial
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.records.champions import export_of, line_of_champions, promoted, rival_of, withdrawal_of
from stillhouse.release.bundle import ReleaseRecord
from stillhouse.stages.facts import ChampionFacts
from stillhouse.stages.names import RELEASE, SELECTION
from stillhouse.stages.selection import SelectionFacts


def plan(release: Artifact) -> Plan[ChampionFacts]:
    """Say which release serves: for a round, and for a person who goes back to an older one."""
    named = ChampionFacts(student=release.facts(ReleaseRecord).student, release=release.digest)

    def build(folder: Path) -> ChampionFacts:
        (folder / "champion.json").write_text(json.dumps({"release": named.release, "student": named.student}))
        return named

    return Plan(build, {"release": release.digest})


def refuse(file: RecipeFile, release: Artifact, builds: BuildStore) -> None:
    """Raise if a release may not replace the champion of this moment.

    Raises:
        StillhouseError: if it was withdrawn, or met another champion than the one that serves.
    """
    _refuse_what_was_withdrawn(file, release, builds)
    _refuse_what_met_another_champion(file, release, builds)


def _refuse_what_was_withdrawn(file: RecipeFile, release: Artifact, builds: BuildStore) -> None:
    """The gate on the release says the same; it may have looked before the release was withdrawn."""
    ledger, name = builds.ledger, file.name
    withdrawn = withdrawal_of(ledger, name, release=release.digest, export=release.facts(ReleaseRecord).export)
    if withdrawn is not None:
        raise StillhouseError(
            f"{release.digest[:12]} was withdrawn on {withdrawn.at[:10]} by {withdrawn.by}: {withdrawn.reason}",
            where=f"{name}/{RELEASE}",
            expected="a release that was not withdrawn",
            do=f"`stillhouse rollback {name} {release.digest[:12]} --by NAME --reason WHY` brings it back.",
        )


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
