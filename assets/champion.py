"""The champion: the release that serves.

The ledger's newest promotion is the one pointer to it; it is written in one transaction, after the release is whole.

Belongs here: promoting a release whose gates are open.
Does not: making one (release.py), serving it.
"""

import json
from pathlib import Path

import dagster as dg

from assets.keys import CHAMPION, RELEASE
from assets.stage import Shown, Work, stage_asset
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Artifact, Facts


def champion(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(file, CHAMPION, inputs={"release": RELEASE}, kinds={"onnx"})
    def promoted_release(work: Work, release: Artifact) -> Shown:
        """The release that serves; it changes only when every gate on the way to a new release is open."""
        serving = {"digest": release.digest, "manifest": release.identity, "student": release.facts["student"]}

        def build(folder: Path) -> Facts:
            (folder / "champion.json").write_text(
                json.dumps({"release": release.digest, "student": serving["student"]})
            )
            return {"student": serving["student"], "release": release.digest}

        artifact = work.make(build, depends_on={"release": release.digest})
        ledger = work.workshop.ledger
        before = ledger.champion(file.name)
        if before is None or before["digest"] != release.digest:
            ledger.append("promotion", file.name, {**serving, "before": before["digest"] if before else None})
        return Shown(
            artifact,
            {
                "student": serving["student"],
                "release": release.digest,
                "changed": before is None or before["digest"] != release.digest,
            },
        )

    return promoted_release
