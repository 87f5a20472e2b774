"""The release: the chosen student with everything that is needed to defend it, in one folder.

Belongs here: which artifacts go into the bundle.
Does not: its layout and verification (stillhouse/release/bundle.py), who serves it (champion.py).
"""

from pathlib import Path

import dagster as dg

from assets.stage import Shown, Work, stage_asset
from assets.teacher import MODEL
from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.records.governance import WaiverRules, valid_waivers
from stillhouse.release.bundle import ReleaseRecord, WaivedGate, write_bundle
from stillhouse.stages.names import CONTRACT, PROMPTS, RELEASE, SELECTION, TEACHER, TRANSFER_SET, export


def release(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    recipe = file.recipe
    exports = {f"export_{student.name}": export(student.name) for student in recipe.students}

    @stage_asset(
        file,
        RELEASE,
        inputs={
            "contract": CONTRACT,
            "prompts": PROMPTS,
            "teacher": TEACHER,
            "transfer_set": TRANSFER_SET,
            "selection": SELECTION,
            **exports,
        },
        kinds={"onnx"},
    )
    def published_bundle(
        work: Work,
        contract: Artifact,
        prompts: Artifact,
        teacher: Artifact,
        transfer_set: Artifact,
        selection: Artifact,
        **exported: Artifact,
    ) -> Shown:
        """The chosen student as it ships, with contract, evaluation and the digest of everything that made it."""
        winner = selection.facts["winner"]
        if winner is None:
            raise StillhouseError(
                "no student was selected",
                where=f"{file.name}/selection",
                expected="a student that clears the bar",
                do=f"See `stillhouse report {file.name}` for what each one missed.",
            )
        student = exported[f"export_{winner}"]
        record = ReleaseRecord(
            recipe=file.name,
            student=winner,
            base_source=recipe.teacher.source,
            base_revision=recipe.teacher.revision,
            base_fingerprint=teacher.facts["base_fingerprint"],
            licence=recipe.teacher.licence,
            precision="int8",
            export=student.digest,
            teacher=teacher.digest,
            teacher_fingerprint=teacher.facts["fingerprint"],
            contract=contract.digest,
            prompts=prompts.digest,
            golden=prompts.facts["golden_digest"],
            transfer_set=transfer_set.digest,
            selection=selection.digest,
            row_kinds=transfer_set.facts["row_kinds"],
            waived=_waived(work),
        )

        def build(folder: Path) -> Facts:
            write_bundle(
                folder,
                record,
                model=student.folder / MODEL,
                evidence=[contract.folder / "recipe.json", selection.folder / "report.json"],
                head=work.workshop.ledger.head(),
            )
            return record.model_dump(mode="json")

        artifact = work.make(build, depends_on={"record": record.model_dump(mode="json")})
        return Shown(
            artifact,
            {
                "student": winner,
                "against_the_champion": selection.facts["against_champion"]["sentence"],
                **{f"{n}_digest": getattr(record, n) for n in ("export", "teacher")},
            },
        )

    return published_bundle


def _waived(work: Work) -> tuple[WaivedGate, ...]:
    """The waivers that what goes into the bundle relied on."""
    ledger, recipe = work.workshop.ledger, work.file.name
    relied = {(gate.asset, gate.gate) for item in work.inputs for gate in item.relied_on if gate.state == "waived"}
    counting = valid_waivers(ledger, recipe, WaiverRules.of(work.file.recipe))
    newest = {asset: ledger.newest(recipe, "materialization", subject=asset) for asset, _ in relied}
    waivers = [
        counting.of(asset, gate, made.body["digest"]) for asset, gate in sorted(relied) if (made := newest[asset])
    ]
    return tuple(
        WaivedGate(gate=w.gate, by=w.by, reason=w.reason, until=w.until.isoformat(), content=w.content)
        for w in waivers
        if w is not None
    )
