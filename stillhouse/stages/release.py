"""The release: the chosen student with everything that is needed to defend it, in one folder.

Belongs here: which artifacts go into the bundle.
Does not: its layout and verification (stillhouse/release/bundle.py), who serves it (champion.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.recipe.data import ProvenanceSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Plan
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import WaiverRules, valid_waivers
from stillhouse.records.ledger import Ledger
from stillhouse.release.bundle import ReleaseRecord, WaivedGate, write_bundle
from stillhouse.release.card import CARD, CardRecipe, CardReport, model_card
from stillhouse.release.cascade import CASCADE, cascade_in
from stillhouse.release.probe import PROBE, Probe, probe_of
from stillhouse.stages.facts import PromptFacts, TeacherFacts, TransferSetFacts
from stillhouse.stages.names import MODEL, SELECTION
from stillhouse.stages.selection import SelectionFacts
from stillhouse.tasks import task_in

if TYPE_CHECKING:
    from stillhouse.models.predictor import OnnxClassifier


@dataclass(frozen=True)
class Evidence:
    """What a release is made of.

    Args:
        contract: the frozen recipe.
        prompts: the prompt set of the base batch.
        teacher: the fine-tuned teacher.
        transfer_set: what the students learned from.
        selection: the choice, with the report.
        exported: the export of each student in each precision, by the name of that form.
        cascade: the threshold from which it answers alone; None where it answers everything.
    """

    contract: Artifact
    prompts: Artifact
    teacher: Artifact
    transfer_set: Artifact
    selection: Artifact
    exported: Mapping[str, Artifact]
    cascade: Artifact | None = None

    @property
    def artifacts(self) -> list[Artifact]:
        """All of them."""
        named = [self.contract, self.prompts, self.teacher, self.transfer_set, self.selection]
        return [*named, *self.exported.values(), *([] if self.cascade is None else [self.cascade])]


def plan(file: RecipeFile, evidence: Evidence, ledger: Ledger) -> Plan[ReleaseRecord]:
    """Bundle the chosen student as it ships with contract, evaluation and the digest of everything that made it.

    Args:
        file: the recipe.
        evidence: what the bundle is made of.
        ledger: with the waivers that the way to it relied on.

    Raises:
        StillhouseError: if no student was chosen.
    """
    winner, spec = evidence.selection.facts(SelectionFacts).winner, file.recipe.weights
    if winner is None:
        raise StillhouseError(
            "no student was selected",
            where=f"{file.name}/{SELECTION}",
            expected="a student that clears the bar",
            do=f"See `stillhouse report {file.name}` for what each one missed.",
        )
    student, teacher = evidence.exported[winner], evidence.teacher.facts(TeacherFacts)
    cascade = None if evidence.cascade is None else cascade_in(evidence.cascade.folder)
    record = ReleaseRecord(
        recipe=file.name,
        student=winner,
        base_source=spec.source,
        base_revision=spec.revision,
        base_fingerprint=teacher.base_fingerprint,
        licence=spec.licence,
        precision=file.recipe.form(winner).precision,
        export=student.digest,
        teacher=evidence.teacher.digest,
        teacher_fingerprint=teacher.fingerprint,
        contract=evidence.contract.digest,
        prompts=evidence.prompts.digest,
        golden=evidence.prompts.facts(PromptFacts).golden_digest,
        transfer_set=evidence.transfer_set.digest,
        selection=evidence.selection.digest,
        cascade=None if evidence.cascade is None else evidence.cascade.digest,
        answers=None if cascade is None else cascade.answers_with(student.digest),
        row_kinds=evidence.transfer_set.facts(TransferSetFacts).row_kinds,
        waived=_waived(file, evidence.artifacts, ledger),
    )

    def build(folder: Path) -> ReleaseRecord:
        from stillhouse.models.predictor import OnnxClassifier
        from stillhouse.models.tokenization import load_tokenizer

        shipped, truncation = OnnxClassifier(student.folder / MODEL), load_tokenizer(student.folder / MODEL).truncation
        assert truncation is not None, "a tokenizer that was loaded for a model cuts texts"
        card = model_card(
            CardRecipe.model_validate_json((evidence.contract.folder / "recipe.json").read_bytes()),
            CardReport.model_validate_json((evidence.selection.folder / "report.json").read_bytes()),
            record,
            shipped.labels,
            max_tokens=truncation["max_length"],
        )
        probe = _probe(file, evidence.prompts, shipped)
        write_bundle(
            folder,
            record,
            model=student.folder / MODEL,
            evidence=[
                evidence.contract.folder / "recipe.json",
                evidence.selection.folder / "report.json",
                *([] if evidence.cascade is None else [evidence.cascade.folder / CASCADE]),
            ],
            head=ledger.head(),
            written={PROBE: probe.model_dump_json(indent=1), CARD: card},
        )
        return record

    return Plan(build, {"record": record.model_dump(mode="json")})


MAY_TRAVEL = ("public", "internal")
"""Privacy classes of golden texts that go with a release to wherever it serves; they are redacted in any case."""
_ASKED = 256


def texts_that_may_travel(provenance: ProvenanceSpec, prompts: pl.DataFrame) -> list[str]:
    """Golden texts that may be shown wherever the release goes: each class once, then each again, and so on.

    Args:
        provenance: says of which privacy class a row is.
        prompts: `prompt_id`, `text`, `label`, `split`, and the column of privacy classes where there is one.
    """
    column = provenance.privacy_column
    travels = pl.lit(provenance.privacy_class in MAY_TRAVEL) if column is None else pl.col(column).is_in(MAY_TRAVEL)
    golden = prompts.filter((pl.col("split") == "golden") & travels).sort("prompt_id")
    return golden.sort(pl.int_range(pl.len()).over("label"), maintain_order=True)["text"].to_list()


def _probe(file: RecipeFile, prompts: Artifact, shipped: "OnnxClassifier") -> Probe:
    """What the model that ships says to golden texts; to the names of the classes where none may travel."""
    task = task_in(file.recipe.data, shipped.labels)
    texts = texts_that_may_travel(file.recipe.data.provenance, prompts.frame("prompts"))[:_ASKED] or [*task.names]
    return probe_of(texts, shipped.logits(texts), task)


def _waived(file: RecipeFile, artifacts: Sequence[Artifact], ledger: Ledger) -> tuple[WaivedGate, ...]:
    """The waivers that what goes into the bundle relied on."""
    recipe = file.name
    relied_on = (gate for item in artifacts for gate in item.relied_on)
    relied = {(gate.asset, gate.gate) for gate in relied_on if gate.state is GateStatus.WAIVED}
    # Whether a gate may be waived at all was asked when the inputs were read; these gates were found waived.
    counting = valid_waivers(ledger, recipe, WaiverRules.of(file.recipe, unwaivable=()))
    newest = {asset: ledger.newest(recipe, "materialization", subject=asset) for asset, _ in relied}
    waivers = [
        counting.of(asset, gate, made.body["digest"]) for asset, gate in sorted(relied) if (made := newest[asset])
    ]
    return tuple(
        WaivedGate(gate=w.gate, by=w.by, reason=w.reason, until=w.until.isoformat(), content=w.content)
        for w in waivers
        if w is not None
    )
