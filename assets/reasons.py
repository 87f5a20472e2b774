"""Why each student that learns from the teacher is as good as it is, and what to change in one that misses the bar.

Belongs here: asking trained students about rows that they know and rows that they do not, and the short trainings.
Does not: what the answers mean (stillhouse/evaluation/), showing them to people (selection.py).
"""

import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl

from assets.baselines import read_evaluations
from assets.candidates import cut_from, examples_of
from assets.stage import Shown, Work, markdown_table, picture, stage_asset
from assets.teacher import MODEL, label_ids
from stillhouse import progress
from stillhouse.digests import digest_of
from stillhouse.error_analysis.capacity import overfit_one_batch
from stillhouse.error_analysis.data_scaling import RowsCurve, rows_curve
from stillhouse.error_analysis.generalisation import Counts, Generalisation, Share, generalisation
from stillhouse.error_analysis.rules import Made, Reasons, conclude, facts_of
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.measures.fidelity import row_divergence
from stillhouse.recipe.contract import Recipe, StudentSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.builds import Artifact, Facts
from stillhouse.stages.names import EVALUATION, PROMPTS, REASONS, TEACHER, TRANSFER_SET, candidate, export
from stillhouse.teachers.answers import logits_of
from stillhouse.teachers.signal import signal_store

ROWS_ASKED = 1000
"""Training rows that a student is asked again: they tell its share of faithful answers to a point and a half."""

PARTS = (4, 2)
"""A quarter and a half of the rows; the candidate itself learned from all. A doubling is what the decision is about."""

_Answers = npt.NDArray[np.float64]


def reasons(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    learners = learners_of(file.recipe)
    inputs = {f"candidate_{student.name}": candidate(student.name) for student in learners}
    inputs |= {f"export_{student.name}": export(student.name) for student in learners}

    @stage_asset(
        file,
        REASONS,
        inputs={
            "evaluation": EVALUATION,
            "prompts": PROMPTS,
            "teacher": TEACHER,
            "transfer_set": TRANSFER_SET,
            **inputs,
        },
        kinds={"pytorch"},
    )
    def examined_students(
        work: Work, evaluation: Artifact, prompts: Artifact, teacher: Artifact, transfer_set: Artifact, **made: Artifact
    ) -> Shown:
        """How each student does on rows it knows and rows it does not; of one that misses, the reason and what next."""
        validation = prompts.frame("prompts").filter(pl.col("split") == "validation").sort("prompt_id")
        judged = {each.name: each for each in read_evaluations(evaluation)}

        def build(folder: Path) -> Facts:
            with work.workshop.one_heavy_task():
                signal = signal_store(work.workshop)
                signal.capture(validation, teacher.folder / MODEL, teacher.facts["fingerprint"])
                answers = signal.read(validation["prompt_id"].to_list(), teacher.facts["fingerprint"])
                answered = validation.join(answers, on="prompt_id", maintain_order="left")
                found = []
                for number, student in enumerate(learners):
                    progress.step("reasons", number, len(learners), student.name)
                    trained, shipped = (made[f"{kind}_{student.name}"] for kind in ("candidate", "export"))
                    examined = Examination(student, teacher, transfer_set, trained, shipped, answered)
                    found.append(examined.reasons(judged[student.name]))
            (folder / "reasons.json").write_text(json.dumps([each.model_dump(mode="json") for each in found]))
            return {"causes": {each.student: each.conclusion and each.conclusion.cause for each in found}}

        artifact = work.make(
            build,
            depends_on={
                "evaluation": evaluation.digest,
                "teacher": teacher.digest,
                "transfer_set": transfer_set.digest,
                "validation": digest_of(validation.select("prompt_id", "label").rows()),
                "students": {name: item.digest for name, item in made.items()},
            },
            config={student.name: student.model_dump(mode="json") for student in learners},
        )
        return Shown(artifact, _shown(work, artifact))

    return examined_students


def learners_of(recipe: Recipe) -> list[StudentSpec]:
    """The students that copy the teacher; of the others nobody asks why they do not."""
    return [student for student in recipe.students if student.learns_from == "teacher"]


def read_reasons(artifact: Artifact) -> dict[str, Reasons]:
    """Read the reasons in an artifact, by student."""
    found = [Reasons.model_validate(item) for item in json.loads((artifact.folder / "reasons.json").read_text())]
    return {each.student: each for each in found}


@dataclass(frozen=True)
class Examination:
    """One student and what it is asked about; golden rows are not among it.

    Args:
        student: as the recipe has it.
        teacher: which it was cut from.
        transfer_set: what it learned from.
        trained: the candidate.
        shipped: its export.
        validation: validation rows with the teacher's logits.
    """

    student: StudentSpec
    teacher: Artifact
    transfer_set: Artifact
    trained: Artifact
    shipped: Artifact
    validation: pl.DataFrame

    @property
    def training(self) -> TrainingConfig:
        """How it was trained; a student that learns has it."""
        assert self.student.training is not None
        return self.student.training

    def reasons(self, evaluation: Evaluation) -> Reasons:
        """Ask what is always asked; train a little only where how it was made may be why it misses."""
        from stillhouse.models.network import read_config

        made = Made(
            layers=len(self.student.layers),
            teacher_layers=read_config(self.teacher.folder / MODEL)["num_hidden_layers"],
            feed_forward=self.student.feed_forward,
            epochs=self.training.epochs,
            dropout=self.training.dropout,
            rows=self.trained.facts["training"]["examples"],
        )
        general = self._generalisation(evaluation)
        capacity = curve = None
        if facts_of(evaluation, made, general).training_is_asked:
            with tempfile.TemporaryDirectory() as scratch:
                start = Path(scratch) / "start"
                cut_from(self.teacher, self.student, self._rows["text"], start)
                capacity = overfit_one_batch(start, self._rows, self.training)
                curve = self._rows_curve(start)
        return Reasons(
            student=self.student.name,
            candidate=self.trained.digest,
            made=made,
            generalisation=general,
            capacity=capacity,
            more_rows=curve,
            conclusion=conclude(facts_of(evaluation, made, general, capacity, curve)),
        )

    @cached_property
    def _rows(self) -> pl.DataFrame:
        """Rows it learned from, by prompt id, which is a hash of the text: the first of them are a sample."""
        return self.transfer_set.frame("transfer_set").sort("prompt_id")

    @cached_property
    def _labels(self) -> list[str]:
        labels: list[str] = self.teacher.facts["labels"]
        return labels

    @cached_property
    def _truth(self) -> npt.NDArray[np.int64]:
        return label_ids(self.validation["label"], self._labels)

    @cached_property
    def _teacher_says(self) -> _Answers:
        return logits_of(self.validation).astype(np.float64)

    @cached_property
    def _student_says(self) -> _Answers:
        return _asked(self.trained.folder / MODEL, self.validation)

    def _generalisation(self, evaluation: Evaluation) -> Generalisation:
        from stillhouse.models.predictor import OnnxClassifier

        rows = self._rows.head(ROWS_ASKED)
        said, truth = _asked(self.trained.folder / MODEL, rows).argmax(1), label_ids(rows["label"], self._labels)
        teacher, student = self._teacher_says.argmax(1), self._student_says.argmax(1)
        shipped = OnnxClassifier(self.shipped.folder / MODEL).logits(self.validation["text"].to_list()).argmax(1)
        golden = evaluation.golden_rows
        return generalisation(
            Counts(
                training_agreement=_share(said == logits_of(rows).argmax(1)),
                training_accuracy=_share((said == truth)[truth >= 0]),
                validation_agreement=_share(student == teacher),
                comparable_agreement=_share((student == teacher)[teacher == self._truth]),
                validation_accuracy=_share(shipped == self._truth),
                golden_accuracy=Share(hits=round(evaluation.subject.accuracy * golden), rows=golden),
            )
        )

    def _rows_curve(self, start: Path) -> RowsCurve:
        """Train the same student in the same way on parts of the rows, each part within the next."""
        from stillhouse.models.training import train

        numbers, answers = [], []
        for number in (self._rows.height // part for part in PARTS):
            out = start.with_name(f"of_{number}")
            examples = examples_of(self.student, self._rows.head(number), self.validation, self._labels)
            train(start, out, examples, self.training)
            numbers.append(number)
            answers.append(_asked(out, self.validation))
        return rows_curve(
            [*numbers, self._rows.height],
            [row_divergence(self._teacher_says, said) for said in (*answers, self._student_says)],
            [float((said.argmax(1) == self._truth).mean()) for said in (*answers, self._student_says)],
        )


def _asked(model: Path, rows: pl.DataFrame) -> _Answers:
    from stillhouse.models.predictor import TorchClassifier

    return TorchClassifier(model).logits(rows["text"].to_list()).astype(np.float64)


def _share(hits: npt.NDArray[np.bool_]) -> Share:
    return Share(hits=int(hits.sum()), rows=len(hits))


def _shown(work: Work, artifact: Artifact) -> dict[str, Any]:
    found = read_reasons(artifact)
    table = [
        {
            "student": name,
            "generalises": str(each.generalisation.branch),
            "on training rows": str(each.generalisation.counts.training_agreement),
            "on new rows": str(each.generalisation.counts.comparable_agreement),
            "reason": str(each.conclusion.cause) if each.conclusion else "clears the bar",
            "next": each.conclusion.change if each.conclusion else "",
        }
        for name, each in found.items()
    ]
    shown: dict[str, Any] = {"students": dg.MetadataValue.md(markdown_table(table))}
    for name, each in found.items():
        if each.conclusion is not None:
            shown[f"why_{name}"] = each.conclusion.sentence
        if each.more_rows is not None:
            shown[f"by_rows_{name}"] = picture(work, artifact, f"by_rows_{name}", _drawing(each.more_rows))
    return shown


def _drawing(curve: RowsCurve) -> Any:
    def draw() -> bytes:
        from stillhouse.report import plots

        return plots.curve_by_rows(curve)

    return draw
