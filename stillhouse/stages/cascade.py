"""The chosen student with its teacher behind it: from what confidence on it may answer by itself, and what both hold.

Belongs here: which rows calibrate, which slices are protected, judging the cascade as one more model.
Does not: the search for a threshold (stillhouse/statistics/fixed_sequence.py), the decision about one text
(stillhouse/release/cascade.py), the golden harness (stillhouse/evaluation/).

The threshold is found on validation rows. They have fitted one number of the student, its temperature, which changes no
answer and no order of a text's classes; nothing else was chosen by them. Golden rows judge, and choose nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray
from stillhouse.base import Record
from stillhouse.economics import amount
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import Evaluation, evaluate, read_evaluations, write_evaluations
from stillhouse.evaluation.models import EvaluatedModel, ModelKind, align
from stillhouse.evaluation.slices.declared import slice_masks, slice_table
from stillhouse.live.columns import each_as_sent
from stillhouse.recipe.bar import BudgetSpec, SliceSpec, Terms
from stillhouse.recipe.cascade import CascadeSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Plan
from stillhouse.release.cascade import CASCADE, LABEL, Cascade, ProtectedSlice, Rule, TeacherOnCall, protects
from stillhouse.report.context import ReportContext
from stillhouse.report.document import report_html
from stillhouse.stages.bench import Bench, Reader
from stillhouse.stages.facts import EvaluationFacts, TeacherFacts
from stillhouse.stages.names import MODEL
from stillhouse.stages.selection import SelectionFacts
from stillhouse.statistics.fixed_sequence import cascade_threshold
from stillhouse.statistics.verdicts import Verdict
from stillhouse.students.examples import labelled_rows
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import logits_of
from stillhouse.teachers.asked import LabelPrompt
from stillhouse.wording import percent, points

ROWS, GOLDEN = "rows", "golden"
"""Tables of the artifact: what student and teacher said to the rows that calibrated, and to those that judged."""


SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Of the calibration rows, at which it is shown what the teacher is worth."""


class SweepPoint(Record):
    """What student and teacher do together where the teacher answers another share, on the calibration rows."""

    to_teacher: float = Field(description="Share of the rows that the teacher answers.")
    threshold: float | None = Field(description="Confidence from which the student answers; null where it never does.")
    accuracy: float
    usd_per_1000_calls: float | None = Field(description="Of both; null where prices are not known.")


class CascadeFacts(Record):
    """A student with its teacher behind it, measured."""

    student: str
    export: str = Field(description="Digest of the student as it ships.")
    threshold: float | None = Field(description="Null where none was proven: the teacher answers always.")
    calibration_rows: int
    unanswered_rows: int = Field(description="Labelled validation rows that the teacher gave no answer to, left out.")
    calibration_share: float = Field(description="Of these rows the share that goes to the teacher.")
    golden_rows: int
    golden_to_teacher: int = Field(description="Golden rows that go to the teacher.")
    protected: tuple[str, ...]
    failing: tuple[str, ...] = Field(
        description="Slices that the calibration rows show to fail, and that no server can tell."
    )
    teacher_usd_per_1000_calls: float | None = Field(description="Null where it is not known.")
    cascade_usd_per_1000_calls: float | None = Field(description="The student's, and the teacher's at its share.")
    sweep: tuple[SweepPoint, ...] = Field(
        (), description="What other shares would give: measured on the rows that calibrate, and proven of none."
    )

    @property
    def golden_share(self) -> float:
        """Share of the golden rows that goes to the teacher."""
        return self.golden_to_teacher / self.golden_rows

    @property
    def cost(self) -> str:
        """What 1,000 calls cost, in words; empty where that is not known."""
        both, alone = self.cascade_usd_per_1000_calls, self.teacher_usd_per_1000_calls
        return "" if both is None or alone is None else f"{amount(both)} USD, {amount(alone)} with the teacher alone"

    @property
    def sentence(self) -> str:
        """What a person should know of it, in one line."""
        if self.threshold is None:
            found = f"no threshold was proven by {self.calibration_rows:,} rows, and the teacher answers always"
        else:
            found = f"the student answers from a confidence of {self.threshold:.3f} on, found by "
            found += f"{self.calibration_rows:,} rows"
        return f"{found}; the teacher answers {percent(self.golden_share)} of {self.golden_rows:,} golden rows"


@dataclass(frozen=True)
class Both:
    """What student and teacher say to the same rows, shape (n,) each or (n, outputs).

    Args:
        rows: `prompt_id`, `label`, and the columns of slices.
        student: its logits.
        teacher: likewise.
        temperatures: of student and teacher.
        task: what an answer is.
        request_columns: those that callers send.
    """

    rows: pl.DataFrame
    student: npt.NDArray[Any]
    teacher: npt.NDArray[Any]
    temperatures: tuple[float, float]
    task: Task
    request_columns: tuple[str, ...] = ()

    @property
    def confidence(self) -> FloatArray:
        """The student's, as it is served."""
        found = self.task.confidence(self.student, self.temperatures[0])
        assert found is not None, "a recipe with a cascade has answers with a probability"
        return found

    @property
    def labels(self) -> list[str]:
        """What the student answers."""
        return self.task.written(self.task.answers(self.student))

    @property
    def right(self) -> tuple[BoolArray, BoolArray]:
        """Where the student is right, and where the teacher is."""
        targets = self.task.targets(self.rows["label"])
        return self.task.right(self.student, targets), self.task.right(self.teacher, targets)

    @property
    def columns(self) -> list[dict[str, str]]:
        """What a caller would say of each row."""
        return each_as_sent(self.rows, self.request_columns)

    def protected(self, slices: Sequence[ProtectedSlice]) -> BoolArray:
        """Which rows the teacher answers, however sure the student is."""
        each = zip(self.labels, self.columns, strict=True)
        return np.array([protects(slices, *row) is not None for row in each], np.bool_)

    def handed_on(self, rule: Rule) -> BoolArray:
        """Which rows the teacher answers, by the decision that a server makes of each."""
        each = zip(self.labels, self.confidence.tolist(), self.columns, strict=True)
        return np.array([rule.hands_on(*row) is not None for row in each], np.bool_)

    def outputs(self, handed_on: BoolArray) -> FloatArray:
        """Of each row the outputs of who answers it, each at its own temperature."""
        student, teacher = (
            np.asarray(logits, np.float64) / temperature
            for logits, temperature in zip((self.student, self.teacher), self.temperatures, strict=True)
        )
        return np.where(handed_on[:, None], teacher, student)

    def table(self, rule: Rule) -> pl.DataFrame:
        """A row for each: how sure the student is, who is right, who answers."""
        student, teacher = self.right
        return pl.DataFrame(
            {
                "prompt_id": self.rows["prompt_id"],
                "answer": self.labels,
                "confidence": self.confidence,
                "student_right": student,
                "teacher_right": teacher,
                "protected": self.protected(rule.protected),
                "to_teacher": self.handed_on(rule),
            }
        )


@dataclass(frozen=True)
class Chosen:
    """The student that was chosen, and what it was judged to be.

    Args:
        name: of its form.
        export: as it ships.
        evaluation: of all students.
    """

    name: str
    export: Artifact
    evaluation: Artifact

    @property
    def judged(self) -> Evaluation:
        """The verdict on it alone."""
        return next(each for each in read_evaluations(self.evaluation.folder) if each.name == self.name)


def plan(file: RecipeFile, bench: Bench, chosen: Chosen, reader: Reader) -> Plan[CascadeFacts]:
    """Find the threshold on validation rows and judge the cascade on golden ones.

    Args:
        file: the recipe, which has a cascade.
        bench: golden rows and teacher, whose answers were captured.
        chosen: the student.
        reader: who judges.

    Raises:
        StillhouseError: when it is built, if no validation row has a label and an answer of the teacher.
    """
    recipe, spec = file.recipe, spec_of(file.recipe)

    def build(folder: Path) -> CascadeFacts:
        bench.log_golden_read(reader)
        with bench.builds.one_heavy_task():
            calibrating, golden, unanswered = _asked(bench, chosen.export)
        rule, failing = calibrated(recipe, calibrating)
        to_teacher = golden.handed_on(rule)
        share = float(to_teacher.mean())
        cascade = Cascade(rule=rule, golden_share=share, teacher=_on_call(bench.teacher))
        judged = _judged(bench, chosen, golden, rule, to_teacher)
        teacher_usd, student_usd = _usd(bench.teacher, chosen.judged)
        facts = CascadeFacts(
            student=chosen.name,
            export=chosen.export.digest,
            threshold=rule.threshold.threshold,
            calibration_rows=calibrating.rows.height,
            unanswered_rows=unanswered,
            calibration_share=rule.threshold.handed_on,
            golden_rows=golden.rows.height,
            golden_to_teacher=int(to_teacher.sum()),
            protected=tuple(each.name for each in rule.protected),
            failing=failing,
            teacher_usd_per_1000_calls=teacher_usd,
            cascade_usd_per_1000_calls=None
            if teacher_usd is None or student_usd is None
            else student_usd + share * teacher_usd,
            sweep=swept(calibrating, rule.protected, teacher_usd, student_usd),
        )
        (folder / CASCADE).write_text(cascade.model_dump_json(indent=1))
        write_evaluations(folder, [judged])
        calibrating.table(rule).write_parquet(folder / f"{ROWS}.parquet")
        golden.table(rule).write_parquet(folder / f"{GOLDEN}.parquet")
        page = report_html(
            judged,
            ReportContext(others=[chosen.judged], gives=recipe.teacher.gives, limits=recipe.limits),
            title=f"{file.name}: {chosen.name} with the teacher behind it",
            task=recipe.task,
            facts=_on_the_page(spec, rule, facts),
        )
        (folder / "report.html").write_text(page)
        return facts

    return Plan(
        build,
        {
            **bench.depends_on(),
            **bench.asked_again(pl.concat([bench.golden, _calibrating(bench)], how="diagonal")),
            "prompts": bench.prompts.digest,
            "export": chosen.export.digest,
            "evaluation": chosen.evaluation.digest,
            "repeated_mistakes_at_most": recipe.limits.repeated_mistakes_at_most,
        },
        config={"cascade": spec.model_dump(mode="json")},
    )


def swept(
    both: Both, protected: Sequence[ProtectedSlice], teacher_usd: float | None, student_usd: float | None
) -> tuple[SweepPoint, ...]:
    """What it would give, and cost, to ask the teacher about more or fewer of the rows.

    Args:
        both: what student and teacher say to the calibration rows.
        protected: slices that the teacher always answers.
        teacher_usd: of 1,000 calls; None where it is not known.
        student_usd: likewise.
    """
    student, teacher = both.right
    always = both.protected(protected)
    confidence = np.where(always, -1.0, both.confidence)
    order = np.argsort(confidence, kind="stable")
    by_teacher = np.concatenate([[0], np.cumsum(teacher[order])])
    by_student = np.concatenate([[0], np.cumsum(student[order])])
    ordered, rows = confidence[order], len(order)
    points: dict[int, SweepPoint] = {}
    for share in SHARES:
        wanted = max(math.floor(share * rows), int(always.sum()))
        threshold = None if wanted == rows else float(ordered[wanted])
        # Rows that are as sure as each other are answered alike.
        asked = rows if threshold is None else int(np.searchsorted(ordered, threshold))
        right = by_teacher[asked] + by_student[rows] - by_student[asked]
        of_rows = asked / rows
        usd = None if teacher_usd is None or student_usd is None else student_usd + of_rows * teacher_usd
        points[asked] = SweepPoint(
            to_teacher=of_rows, threshold=threshold, accuracy=float(right) / rows, usd_per_1000_calls=usd
        )
    return tuple(points.values())


def winner_of(selection: Artifact) -> str:
    """The student that was chosen; behind the selection's gates there is one."""
    winner = selection.facts(SelectionFacts).winner
    assert winner is not None
    return winner


def spec_of(recipe: Recipe) -> CascadeSpec:
    """What the recipe says of its cascade; a recipe that says nothing has no such stage."""
    assert recipe.cascade is not None
    return recipe.cascade


def calibrated(recipe: Recipe, both: Both) -> tuple[Rule, tuple[str, ...]]:
    """Find out which slices the teacher always answers, and from what confidence on the student answers elsewhere.

    A slice that these very rows protect is chosen by the rows that find the threshold, so that the chance of delta is
    promised for those that the recipe names alone; what holds beside it is what golden rows show.

    Args:
        recipe: with the cascade.
        both: what student and teacher say to the calibration rows.

    Returns:
        By what is decided, and the slices that fail and that no server can tell.
    """
    spec = spec_of(recipe)
    failing = _failing_slices(recipe, both)
    known = {LABEL, *spec.request_columns}
    protected = tuple(
        ProtectedSlice(
            name=each.name,
            column=each.column,
            values=each.values,
            declared=each.name in spec.protect,
            of_sets=recipe.gives_sets and each.column == LABEL,
        )
        for each in recipe.slices
        if each.name in spec.protect or (each.name in failing and each.column in known)
    )
    student, teacher = both.right
    confidence = np.where(both.protected(protected), 0.0, both.confidence)  # below every threshold: never answered
    found = cascade_threshold(confidence, teacher, student, margin=spec.margin, delta=spec.delta)
    cannot = tuple(name for name in failing if name not in {each.name for each in protected})
    return Rule(threshold=found, protected=protected), cannot


def _failing_slices(recipe: Recipe, both: Both) -> list[str]:
    """Slices on which the calibration rows show that the student alone loses its margin or more."""
    student, teacher = both.right
    masks = slice_masks(both.rows, recipe.slices, are_sets=recipe.gives_sets)
    bar = recipe.bar
    table = slice_table(recipe.slices, masks, teacher, student, margin=bar.margin, alpha=bar.alpha)
    return [each.name for each in table if each.non_inferiority_verdict is Verdict.FAIL]


def _asked(bench: Bench, export: Artifact) -> tuple[Both, Both, int]:
    """What student and teacher say to the rows that calibrate and to golden ones, and to how many of the first the
    teacher says nothing."""
    from stillhouse.models.predictor import OnnxClassifier

    student = OnnxClassifier(export.folder / MODEL)
    facts = bench.teacher.facts(TeacherFacts)
    temperatures = (student.temperature, facts.temperature)
    known = _calibrating(bench)
    said = bench.signal.read(known["prompt_id"].to_list(), facts.fingerprint).filter(pl.col("failure").is_null())
    rows = known.join(said.select("prompt_id", "logits"), on="prompt_id", how="inner", maintain_order="left")
    if rows.is_empty():
        raise StillhouseError(
            "no labelled validation row has an answer of the teacher",
            where=f"{bench.teacher.address.partition('/')[0]}: cascade",
            expected="rows by which the threshold can be found: 300 and more prove a margin of one point",
            do="Raise split.validation_share, or leave `cascade` out.",
        )
    teacher = align(bench.teacher_as_asked, bench.golden, bench.task)

    def both(of: pl.DataFrame, taught: npt.NDArray[Any]) -> Both:
        logits = student.logits(of["text"].to_list())
        return Both(of, logits, taught, temperatures, bench.task, spec_of(bench.recipe).request_columns)

    return both(rows.drop("logits"), logits_of(rows)), both(bench.golden, teacher), known.height - rows.height


def _calibrating(bench: Bench) -> pl.DataFrame:
    return labelled_rows(bench.prompts.frame("prompts")).filter(pl.col("split") == "validation")


def _on_call(teacher: Artifact) -> TeacherOnCall:
    facts = teacher.facts(TeacherFacts)
    asked = None if facts.said is None else facts.said.asking
    assert not isinstance(asked, LabelPrompt), "a recipe whose teacher is a language model here has no cascade"
    return TeacherOnCall(
        kind=facts.kind,
        artifact=teacher.digest,
        fingerprint=facts.fingerprint,
        answer=facts.answer,
        labels=facts.labels,
        temperature=facts.temperature,
        accuracy=None if facts.said is None else facts.said.accuracy,
        asking=asked,
    )


def _judged(bench: Bench, chosen: Chosen, golden: Both, rule: Rule, to_teacher: BoolArray) -> Evaluation:
    """The cascade as one more model of the harness."""
    teacher, student = bench.evaluated_teacher, chosen.judged
    outputs = dict(zip(golden.rows["prompt_id"], golden.outputs(to_teacher).tolist(), strict=True))
    model = EvaluatedModel(
        f"{chosen.name} with the teacher",
        ModelKind.STUDENT,
        outputs,
        student.size_bytes + (teacher.size_bytes or 0),
        digest=chosen.evaluation.facts(EvaluationFacts).judged[chosen.name],
        note=f"the teacher answers {percent(float(to_teacher.mean()))} of the golden rows",
    )
    return evaluate(model, teacher, bench.golden, terms_of(bench.recipe, rule), task=bench.task)


def terms_of(recipe: Recipe, rule: Rule) -> Terms:
    """What a cascade has to prove.

    Its own margin, in accuracy, and the slices at theirs. A slice that callers name and that is protected is left out:
    the teacher answers all of it, so that there is nothing to lose. Budget, behaviour and stress are asked of the
    student alone, which has proven them before.
    """
    spec, bar = spec_of(recipe), recipe.bar
    by_construction = {each.name for each in rule.protected if each.column != LABEL}
    return Terms(
        bar=bar.model_copy(update={"margin": spec.margin, "metric": "accuracy", "metric_class": None}),
        budget=BudgetSpec(),
        slices=tuple(_with_its_margin(each, bar.margin) for each in recipe.slices if each.name not in by_construction),
        sensitive=recipe.sensitive,
    )


def _with_its_margin(spec: SliceSpec, margin: float) -> SliceSpec:
    return spec if spec.margin is not None else spec.model_copy(update={"margin": margin})


def _usd(teacher: Artifact, student: Evaluation) -> tuple[float | None, float | None]:
    """What 1,000 calls of the teacher cost, and of the student; None where that is not known."""
    facts, cost = teacher.facts(TeacherFacts), student.running_cost
    if facts.said is not None:
        return facts.usd_per_1000_answers, student.usd_per_1000_calls
    return None if cost is None else cost.teacher_usd_per_1000_calls, student.usd_per_1000_calls


def _on_the_page(spec: CascadeSpec, rule: Rule, facts: CascadeFacts) -> list[tuple[str, str]]:
    found = rule.threshold
    lines = [
        ("threshold", facts.sentence),
        (
            "bound",
            f"the chance that they lose {points(spec.margin)} points or more is at most {percent(spec.delta)}; of the "
            f"{found.rows:,} rows {found.lost} that the student answers only the teacher got right, and {found.won} "
            "only the student",
        ),
        ("always the teacher", ", ".join(facts.protected) or "no slice"),
    ]
    at_shares = (f"{percent(each.accuracy)} at {percent(each.to_teacher)}" for each in facts.sweep)
    lines.append(("accuracy by what the teacher answers, on these rows", ", ".join(at_shares)))
    if facts.failing:
        lines.append(("fails, and no server can tell which texts", ", ".join(facts.failing)))
    return [*lines, ("1,000 calls", facts.cost)] if facts.cost else lines
