"""The champion: the release that serves.

The ledger's newest promotion is the one pointer to it; it is written in one transaction, after the release is whole.
A witness outside the state then remembers it. One that cannot be reached stops no promotion: the run says so, the audit
says so, and the next run tries again.

Belongs here: promoting a release whose gates are open.
Does not: making one (release.py), serving it.
"""

import json
from functools import partial
from pathlib import Path

import dagster as dg

from assets.stage import Shown, Work, stage_asset
from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.records.champions import export_of, line_of_champions, promoted, rival_of, withdrawal_of
from stillhouse.records.promotion import promote
from stillhouse.records.witness import Witness
from stillhouse.stages.names import CHAMPION, RELEASE, SELECTION


def champion(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(file, CHAMPION, inputs={"release": RELEASE}, kinds={"onnx"})
    def promoted_release(work: Work, release: Artifact) -> Shown:
        """The release that serves; it changes only when every gate on the way to a new release is open."""
        _refuse_what_was_withdrawn(work, release)
        _refuse_what_met_another_champion(work, release)
        student = release.facts["student"]
        artifact = names_as_champion(work, release)
        promotion = promote(
            work.workshop.ledger,
            Witness.from_environment(),
            file.name,
            release=release.digest,
            manifest=release.identity,
            student=student,
            run_id=work.run_id,
            relied_on=release.relied_on,
        )
        progress.step("the witness", 1, 1, promotion.witness)
        return Shown(
            artifact,
            {
                "student": student,
                "release": release.digest,
                "changed": promotion.changed,
                "witness": promotion.witness,
            },
        )

    return promoted_release


def names_as_champion(work: Work, release: Artifact) -> Artifact:
    """Make the artifact that says which release serves: for a round, and for a person who goes back to an older one."""
    named = {"student": release.facts["student"], "release": release.digest}

    def build(folder: Path) -> Facts:
        (folder / "champion.json").write_text(json.dumps({"release": named["release"], "student": named["student"]}))
        return named

    return work.make(build, depends_on={"release": release.digest})


def _refuse_what_was_withdrawn(work: Work, release: Artifact) -> None:
    """The gate on the release says the same; it may have looked before the release was withdrawn."""
    ledger, name = work.workshop.ledger, work.file.name
    withdrawn = withdrawal_of(ledger, name, release=release.digest, export=release.facts["export"])
    if withdrawn is not None:
        raise StillhouseError(
            f"{release.digest[:12]} was withdrawn on {withdrawn.at[:10]} by {withdrawn.by}: {withdrawn.reason}",
            where=f"{name}/{RELEASE}",
            expected="a release that was not withdrawn",
            do=f"`stillhouse rollback {name} {release.digest[:12]} --by NAME --reason WHY` brings it back.",
        )


def _refuse_what_met_another_champion(work: Work, release: Artifact) -> None:
    """Between the selection and now somebody may have gone back to another release."""
    ledger, name = work.workshop.ledger, work.file.name
    line = line_of_champions(promoted(ledger, name))
    rival = rival_of(line, release.facts["export"], partial(export_of, work.workshop.store))
    (selection,) = work.workshop.inputs_of(release, SELECTION)
    met = selection.facts["against_champion"]["release"]
    if rival is not None and rival.release != met:
        raise StillhouseError(
            f"it was compared with {met[:12] if met else 'no champion'}, and {rival.release[:12]} serves by now",
            where=f"{name}/{RELEASE}",
            expected="a student that met the champion which it would replace",
            do=f"`stillhouse run {name}` compares them.",
        )
