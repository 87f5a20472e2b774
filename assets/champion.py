"""The champion: the release that serves.

The ledger's newest promotion is the one pointer to it; it is written in one transaction, after the release is whole.
A witness outside the state then remembers it. One that cannot be reached stops no promotion: the run says so, the audit
says so, and the next run tries again.

Belongs here: promoting a release whose gates are open.
Does not: making one (release.py), serving it.
"""

import json
from pathlib import Path

import dagster as dg

from assets.keys import CHAMPION, RELEASE
from assets.stage import Shown, Work, stage_asset
from stillhouse import progress
from stillhouse.promotion import promote
from stillhouse.recipe import RecipeFile
from stillhouse.witness import Witness
from stillhouse.workshop import Artifact, Facts


def champion(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(file, CHAMPION, inputs={"release": RELEASE}, kinds={"onnx"})
    def promoted_release(work: Work, release: Artifact) -> Shown:
        """The release that serves; it changes only when every gate on the way to a new release is open."""
        student = release.facts["student"]

        def build(folder: Path) -> Facts:
            (folder / "champion.json").write_text(json.dumps({"release": release.digest, "student": student}))
            return {"student": student, "release": release.digest}

        artifact = work.make(build, depends_on={"release": release.digest})
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
