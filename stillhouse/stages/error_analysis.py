"""Why each student that learns from the teacher is as good as it is, and what to change in one that misses the bar.

Belongs here: asking trained students about rows that they know and rows that they do not, and the short trainings.
Does not: what the answers mean (stillhouse/error_analysis/), showing them to people (selection.py).
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse import progress
from stillhouse.arrays import BoolArray, FloatArray
from stillhouse.base import Record
from stillhouse.device import Device
from stillhouse.digests import digest_of
from stillhouse.error_analysis.capacity import overfit_one_batch
from stillhouse.error_analysis.data_scaling import RowsCurve, rows_curve
from stillhouse.error_analysis.generalisation import TEACHER, Counts, Generalisation, Share, generalisation
from stillhouse.error_analysis.rules import ErrorAnalysis, Made, conclude, facts_of, write_analyses
from stillhouse.evaluation.harness import Evaluation, read_evaluations
from stillhouse.evaluation.precisions import standing_for
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.students import StudentSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.asking import teacher_of
from stillhouse.stages.facts import CandidateFacts, TeacherFacts
from stillhouse.stages.names import MODEL, candidate, export
from stillhouse.students.examples import examples_of, learned_from, validation_rows
from stillhouse.students.pruning import cut_from
from stillhouse.tasks.task import Targets, Task
from stillhouse.teachers.answers import logits_of
from stillhouse.teachers.signal import signal_store

ROWS_ASKED = 1000
"""Training rows that a student is asked again: they tell its share of faithful answers to a point and a half."""

PARTS = (4, 2)
"""A quarter and a half of the rows; the candidate itself learned from all. A doubling is what the decision is about."""


class ErrorAnalysisFacts(Record):
    """Why students miss the bar."""

    causes: dict[str, str | None] = Field(description="By student; null where it clears the bar.")


def plan(
    recipe: Recipe,
    evaluation: Artifact,
    prompts: Artifact,
    teacher: Artifact,
    transfer_set: Artifact,
    made: Mapping[str, Artifact],
    builds: BuildStore,
) -> Plan[ErrorAnalysisFacts]:
    """Ask how each student does on rows that it knows and rows that it does not; of one that misses, why.

    Args:
        recipe: with the students.
        evaluation: the verdicts.
        prompts: the prompt set of the base batch, whose validation rows are asked.
        teacher: the fine-tuned teacher.
        transfer_set: what the students learned from.
        made: candidate and exports of each student that learns from the teacher, by stage.
        builds: keeps the teacher's answers.
    """
    validation, learners = validation_rows(prompts.frame("prompts")), learners_of(recipe)
    fingerprint = teacher.facts(TeacherFacts).fingerprint
    judged = {each.name: each for each in read_evaluations(evaluation.folder)}

    def build(folder: Path) -> ErrorAnalysisFacts:
        with builds.one_heavy_task():
            signal = signal_store(builds)
            signal.capture(validation, teacher_of(teacher, recipe.teacher, builds))
            answers = signal.read(validation["prompt_id"].to_list(), fingerprint).filter(pl.col("failure").is_null())
            answered = validation.join(answers.drop("failure"), on="prompt_id", maintain_order="left")
            found = []
            for number, student in enumerate(learners):
                progress.step("error_analysis", number, len(learners), student.name)
                evaluation_of_it = standing_for(student, judged)
                trained, shipped = made[candidate(student.name)], made[export(evaluation_of_it.name)]
                parent = None if student.parent is None else made[candidate(student.parent)]
                examined = Examination(
                    recipe.with_layers_named(student),
                    teacher,
                    parent,
                    transfer_set,
                    trained,
                    shipped,
                    answered,
                    builds.device,
                    None if parent is None else standing_for(recipe.student(str(student.parent)), judged),
                )
                found.append(examined.analysis(evaluation_of_it))
        write_analyses(folder, found)
        return ErrorAnalysisFacts(causes={each.student: each.conclusion and each.conclusion.cause for each in found})

    return Plan(
        build,
        {
            "evaluation": evaluation.digest,
            "teacher": teacher.digest,
            "transfer_set": transfer_set.digest,
            "validation": digest_of(validation.select("prompt_id", "label").rows()),
            **teacher.facts(TeacherFacts).particulars,
            "students": {stage: item.digest for stage, item in made.items()},
        },
        config={student.name: student.model_dump(mode="json") for student in learners},
    )


def learners_of(recipe: Recipe) -> list[StudentSpec]:
    """The students that copy the teacher; of the others nobody asks why they do not."""
    return [student for student in recipe.students if student.copies]


@dataclass(frozen=True)
class Examination:
    """One student and what it is asked about; golden rows are not among it.

    Args:
        student: as the recipe has it, with its layers named.
        teacher: which it was cut from, unless it has a parent.
        parent: the student that it was cut from instead; None where that is the teacher.
        transfer_set: what it learned from.
        trained: the candidate.
        shipped: its export, in the precision that stands for it.
        validation: validation rows with the teacher's logits.
        device: where a model is asked, and trained a little.
        judged_parent: the parent as it was judged.
    """

    student: StudentSpec
    teacher: Artifact
    parent: Artifact | None
    transfer_set: Artifact
    trained: Artifact
    shipped: Artifact
    validation: pl.DataFrame
    device: Device
    judged_parent: Evaluation | None = None

    @property
    def training(self) -> TrainingConfig:
        """How it was trained; a student that learns has it."""
        assert self.student.training is not None
        return self.student.training

    @property
    def _copied_parent(self) -> Path | None:
        """The model of the parent whose answers it learned; None of one that learned the teacher's."""
        is_of_parent = self.parent is not None and self.student.learns_from == "parent"
        return self.parent.folder / MODEL if is_of_parent and self.parent is not None else None

    @property
    def _learned_from(self) -> str:
        return TEACHER if self._copied_parent is None else f"its parent {self.student.parent}"

    @property
    def _rows_learned_from(self) -> int:
        training = self.trained.facts(CandidateFacts).training
        assert training is not None
        return training.examples

    def analysis(self, evaluation: Evaluation) -> ErrorAnalysis:
        """Ask what is always asked; train a little only where how it was made may be why it misses."""
        from stillhouse.models.network import read_sizes

        made = Made(
            layers=len(self.student.layers),
            teacher_layers=read_sizes(self.teacher.folder / MODEL).layers,
            feed_forward=self.student.feed_forward,
            epochs=self.training.epochs,
            dropout=self.training.dropout,
            rows=self._rows_learned_from,
            learned_from=self._learned_from,
        )
        general = self._generalisation(evaluation)
        parent = None if self._copied_parent is None else self.judged_parent
        capacity = curve = None
        if facts_of(evaluation, made, general, parent=parent).training_is_asked:
            with tempfile.TemporaryDirectory() as scratch:
                start = Path(scratch) / "start"
                cut_from(self._larger, self.student, self._rows["text"], start)
                capacity = overfit_one_batch(start, self._taught, self.training, self._task, self.device)
                curve = self._rows_curve(start)
        return ErrorAnalysis(
            student=evaluation.name,
            candidate=self.trained.digest,
            made=made,
            generalisation=general,
            capacity=capacity,
            more_rows=curve,
            conclusion=conclude(facts_of(evaluation, made, general, capacity, curve, parent)),
        )

    @cached_property
    def _rows(self) -> pl.DataFrame:
        """Rows it learned from, by prompt id, which is a hash of the text: the first of them are a sample."""
        return self.transfer_set.frame("transfer_set").sort("prompt_id")

    @property
    def _larger(self) -> Path:
        return (self.teacher if self.parent is None else self.parent).folder / MODEL

    @cached_property
    def _taught(self) -> pl.DataFrame:
        """The same rows with the answers that it copied."""
        parent = None if self.parent is None else self.parent.folder / MODEL
        return learned_from(self.student, self._rows, self.teacher.folder / MODEL, parent, self.device)

    @cached_property
    def _task(self) -> Task:
        return self.teacher.facts(TeacherFacts).task

    @cached_property
    def _truth(self) -> Targets:
        return self._task.targets(self.validation["label"])

    @cached_property
    def _teacher_says(self) -> FloatArray:
        return logits_of(self.validation).astype(np.float64)

    @cached_property
    def _copied(self) -> FloatArray:
        """What it was to say of the validation rows: what the teacher does, or its parent."""
        parent = self._copied_parent
        return self._teacher_says if parent is None else _asked(parent, self.validation, self.device)

    @cached_property
    def _student_says(self) -> FloatArray:
        return _asked(self.trained.folder / MODEL, self.validation, self.device)

    def _generalisation(self, evaluation: Evaluation) -> Generalisation:
        from stillhouse.models.predictor import OnnxClassifier

        rows, task, parent = self._rows.head(ROWS_ASKED), self._task, self._copied_parent
        taught = logits_of(rows) if parent is None else _asked(parent, rows, self.device)
        predictions, truth = _asked(self.trained.folder / MODEL, rows, self.device), task.targets(rows["label"])
        faithful = task.agree(self._student_says, self._copied)
        shipped = OnnxClassifier(self.shipped.folder / MODEL).logits(self.validation["text"].to_list())
        golden = evaluation.golden_rows
        return generalisation(
            Counts(
                training_agreement=_share(task.agree(predictions, taught)),
                training_accuracy=_share(task.right(predictions, truth)[task.known(truth)]),
                validation_agreement=_share(faithful),
                comparable_agreement=_share(faithful[task.right(self._teacher_says, self._truth)]),
                validation_accuracy=_share(task.right(shipped, self._truth)),
                golden_accuracy=Share(hits=round(evaluation.score.accuracy * golden), rows=golden),
            ),
            learned_from=self._learned_from,
        )

    def _rows_curve(self, start: Path) -> RowsCurve:
        """Train the same student in the same way on parts of the rows, each part within the next."""
        from stillhouse.models.training import train

        numbers, answers = [], []
        for number in (self._rows.height // part for part in PARTS):
            out = start.with_name(f"of_{number}")
            examples = examples_of(self.student, self._taught.head(number), self.validation, self._task)
            train(start, out, examples, self.training, device=self.device)
            numbers.append(number)
            answers.append(_asked(out, self.validation, self.device))
        return rows_curve(
            [*numbers, self._rows.height],
            [self._task.divergence(self._copied, logits) for logits in (*answers, self._student_says)],
            [float(self._task.right(logits, self._truth).mean()) for logits in (*answers, self._student_says)],
            learned_from=self._learned_from,
        )


def _asked(model: Path, rows: pl.DataFrame, device: Device) -> FloatArray:
    from stillhouse.models.predictor import TorchClassifier

    return TorchClassifier(model, device).logits(rows["text"].to_list()).astype(np.float64)


def _share(hits: BoolArray) -> Share:
    return Share(hits=int(hits.sum()), rows=len(hits))
