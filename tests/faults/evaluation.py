"""Faults of the evaluation, the reasons and the selection, in a copy of a finished installation.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from orchestration.resources import RESOURCES
from stillhouse.evaluation.harness import Evaluation
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.selection import Selection
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.bench import JudgedModel
from stillhouse.stages.names import BASELINES, ERROR_ANALYSIS, EVALUATION, MODEL, PROMPTS, RELEASE, SELECTION
from stillhouse.students.seeds import SEEDS
from tests.faults.bench import Bench, Plant, stages_of
from tests.faults.plants import (
    NOBODY,
    patched,
    shuffled,
)
from tests.faults.students import TWICE


def judged_with(target: str, put: Callable[[Any], Any]) -> Plant:
    """Make the evaluation again with one function replaced."""

    def plant(bench: Bench) -> RecipeFile:
        return patched(target, put)(bench)

    return plant


def untimed(bench: Bench) -> RecipeFile:
    """Make the evaluation again with a meter that times nothing."""
    meter = replace(RESOURCES["meter"], latencies=lambda teacher, models, *about, **how: dict.fromkeys(models))
    bench.monkeypatch.setitem(RESOURCES, "meter", meter)
    bench.build_again()
    return bench.recipe()


def other_golden(edit: Callable[[pl.DataFrame], pl.DataFrame]) -> Plant:
    """The evaluation reads golden rows of its own."""
    return judged_with(
        "stillhouse.stages.bench:Bench.golden", lambda real: property(lambda bench: edit(real.func(bench)))
    )


def some_relabelled(golden: pl.DataFrame) -> pl.DataFrame:
    first = pl.int_range(pl.len()) < 3
    return golden.with_columns(pl.when(first).then(pl.lit("ABBR")).otherwise("label").alias("label"))


def exchanged(real: Any) -> Any:
    """Golden rows, ten of which are training rows: as many as were locked."""

    def golden(bench: Any) -> pl.DataFrame:
        rows = bench.prompts.frame("prompts")
        training = rows.filter((pl.col("split") == "train") & pl.col("label").is_not_null())
        return pl.concat([real.func(bench)[10:], training.sort("prompt_id").head(10)]).sort("prompt_id")

    return property(golden)


def everybody_judged_by_another_split(bench: Bench) -> RecipeFile:
    with bench.building_again():
        bench.patch("stillhouse.stages.bench:Bench.golden", exchanged)
        bench.must_run(bench.recipe(), BASELINES)
    stages = stages_of(bench.recipe())
    bench.must_run(bench.recipe(), *stages[stages.index(BASELINES) + 1 : stages.index(EVALUATION)])
    return patched("stillhouse.stages.bench:Bench.golden", exchanged)(bench)


def wrong_together(real: Any) -> Any:
    """A third of the golden rows has another truth than either model gives."""

    def compare(teacher: np.ndarray, student: np.ndarray, labels: np.ndarray, **how: Any) -> Any:
        third = np.arange(len(labels)) % 3 == 0
        return real(teacher, student, np.where(third, (teacher.argmax(axis=1) + 1) % teacher.shape[1], labels), **how)

    return compare


def forgets_a_slice(real: Any) -> Any:
    return lambda subject, teacher, golden, terms, **how: real(
        subject, teacher, golden, terms.model_copy(update={"slices": terms.slices[1:]}), **how
    )


def fails_where_nobody_looked(real: Any) -> Any:
    """The answers to questions with 'How' are those of other classes; no declared slice is of these."""

    def evaluated(
        subject: EvaluatedModel, teacher: EvaluatedModel, golden: pl.DataFrame, *rest: Any, **how: Any
    ) -> Evaluation:
        asked = set(golden.filter(pl.col("text").str.starts_with("How "))["prompt_id"])
        outputs = {
            prompt_id: [*logits[1:], logits[0]] if prompt_id in asked else logits
            for prompt_id, logits in dict(subject.outputs).items()
        }
        return real(replace(subject, outputs=outputs), teacher, golden, *rest, **how)

    return evaluated


def one_shot_used_twice(bench: Bench) -> RecipeFile:
    """The evaluation that is found again is no second use; the one that is then made anew is."""
    one_shot = bench.amended(split__golden_rounds_at_most=1)
    stages = stages_of(one_shot)
    bench.must_run(one_shot, *stages[: stages.index(EVALUATION) + 1])
    bench.build_again()
    return one_shot


def fails_by_post(real: Any) -> Any:
    """The answers are the teacher's, but to the few who write by post they are those of other classes."""

    def evaluated(
        subject: EvaluatedModel, teacher: EvaluatedModel, golden: pl.DataFrame, *rest: Any, **how: Any
    ) -> Evaluation:
        by_post = set(golden.filter(pl.col("channel") == "post")["prompt_id"])
        outputs = {
            prompt_id: [*logits[1:], logits[0]] if prompt_id in by_post else logits
            for prompt_id, logits in pl.DataFrame(teacher.outputs).select("prompt_id", "logits").iter_rows()
        }
        return real(replace(subject, outputs=outputs), teacher, golden, *rest, **how)

    return evaluated


def worse_by_post(bench: Bench) -> RecipeFile:
    with bench.building_again():
        file = judged_with("stillhouse.stages.bench:evaluate", fails_by_post)(bench)
        bench.must_run(file, EVALUATION, ERROR_ANALYSIS)
    return file


def of_another_artifact(real: Any) -> Any:
    return lambda *about, **more: real(*about, **{**more, "digest": NOBODY})


def noise(bench: Bench) -> RecipeFile:
    """A student that answers at random."""
    with bench.building_again():
        bench.patch(
            "stillhouse.models.predictor:OnnxClassifier.logits",
            lambda real: lambda model, texts, **how: shuffled(real(model, texts, **how)),
        )
        bench.must_run(bench.recipe(), EVALUATION, ERROR_ANALYSIS)
    return bench.recipe()


def judged_at_random(bench: Bench) -> RecipeFile:
    """The export that is judged answers at random, though what was trained does not."""
    with bench.building_again():
        bench.patch("stillhouse.stages.bench:Bench.judge", answers_at_random)
        bench.must_run(bench.recipe(), EVALUATION)
    return bench.recipe()


def probed(shown: Callable[[list[str], set[str]], list[bool]], **bar: Any) -> Plant:
    """Students that answer some texts by another class than they know, under a bar that has the probe for it."""

    def plant(bench: Bench) -> RecipeFile:
        file = bench.amended(**bar)
        golden = set(bench.newest(PROMPTS).frame("prompts").filter(pl.col("split") == "golden")["text"])

        def put(real: Any) -> Any:
            def logits(model: Any, texts: list[str], **how: Any) -> np.ndarray:
                broken = np.array(shown(texts, golden))
                said = real(model, texts, **how)
                return np.where(broken[:, None], np.roll(said, 1, axis=1), said)

            return logits

        bench.up_to(EVALUATION, **bar)
        bench.patch("stillhouse.models.predictor:OnnxClassifier.logits", put)
        bench.must_run(file, EVALUATION, ERROR_ANALYSIS)
        return file

    return plant


LOWER_CASE = {
    "name": "small letters", "kind": "invariance", "critical": True,
    "cases": [{"text": "Where is the harbour ?", "variants": ["where is the harbour ?"]}],
}  # fmt: skip


def serves_certainties(real: Any) -> Any:
    def evaluated(subject: EvaluatedModel, *rest: Any, **how: Any) -> Evaluation:
        is_student = subject.kind is ModelKind.STUDENT
        return real(replace(subject, temperature=0.1) if is_student else subject, *rest, **how)

    return evaluated


def too_sure_of_itself(bench: Bench) -> RecipeFile:
    """A student whose every answer is a confidence, which loses nothing else, under a limit on just that."""
    limited = {"margin": 0.07, "calibration_error_at_most": 0.1}
    bench.amended(bar=limited)
    bench.patch("stillhouse.stages.bench:evaluate", serves_certainties)
    return bench.up_to(SELECTION, bar=limited)


def answers_at_random(real: Any) -> Any:
    def at_random(model: JudgedModel) -> JudgedModel:
        logits = shuffled(np.array(list(dict(model.evaluated.outputs).values())))
        outputs = dict(zip(dict(model.evaluated.outputs), logits.tolist(), strict=True))
        return replace(model, evaluated=replace(model.evaluated, outputs=outputs))

    return lambda bench, models: real(bench, [at_random(model) for model in models])


def of_another_candidate(real: Any) -> Any:
    return lambda *about: real(*about).model_copy(update={"candidate": NOBODY})


def not_one_reason(bench: Bench) -> RecipeFile:
    bench.patch("stillhouse.stages.error_analysis:conclude", lambda real: lambda facts: None)
    bench.patch(
        "stillhouse.stages.error_analysis:Examination._rows_curve", lambda real: lambda examination, start: None
    )
    return judged_at_random(bench)


def chooses_the_control(_: Any) -> Any:
    chosen = Selection(winner="one_labels", winner_kind=None, next_smaller=None, reason="It is small.")
    return lambda evaluations: chosen


def control_as_student(real: Any) -> Any:
    """The evaluations, in which each student that learned from labels says that it is a distilled one."""

    def read(folder: Path) -> list[Evaluation]:
        control = {"kind": ModelKind.STUDENT}
        return [
            each.model_copy(update={"score": each.score.model_copy(update=control)})
            if each.score.kind is ModelKind.CONTROL else each
            for each in real(folder)
        ]  # fmt: skip

    return read


def control_chosen(bench: Bench) -> RecipeFile:
    bench.patch("stillhouse.stages.selection:read_evaluations", control_as_student)
    return patched("stillhouse.stages.selection:smallest_that_clears", chooses_the_control)(bench)


def without_control(bench: Bench) -> RecipeFile:
    file = bench.recipe()
    return bench.up_to(SELECTION, students=[s.model_dump() for s in file.recipe.students if s.name == "one"])


def a_further_seed_is_unlucky(bench: Bench) -> RecipeFile:
    """The student that ships is as it was; trained with another seed it would answer at random."""

    def put(real: Any) -> Any:
        def logits(model: Any, texts: Any, **how: Any) -> Any:
            said = real(model, texts, **how)
            return shuffled(said) if model.folder.parent.name == SEEDS else said

        return logits

    file = bench.up_to(EVALUATION, **TWICE)
    bench.patch("stillhouse.models.predictor:OnnxClassifier.logits", put)
    bench.must_run(file, EVALUATION, ERROR_ANALYSIS)
    return file


def against_the_champion(bench: Bench) -> RecipeFile:
    """The chosen student, which serves here already, has to meet itself."""
    return patched("stillhouse.stages.selection:rival_of", lambda real: lambda line, *about: line[0])(bench)


def worse_than_the_champion(bench: Bench) -> RecipeFile:
    """The champion answers as it was judged, and the challenger at random."""
    champion = bench.newest(RELEASE).folder / MODEL

    def put(real: Any) -> Any:
        def logits(model: Any, texts: list[str], **how: Any) -> np.ndarray:
            said = real(model, texts, **how)
            return said if model.folder == champion else shuffled(said)

        return logits

    bench.patch("stillhouse.models.predictor:OnnxClassifier.logits", put)
    return against_the_champion(bench)


def lost_champion(bench: Bench) -> RecipeFile:
    (bench.newest(RELEASE).folder / MODEL / "model.onnx").unlink()
    return against_the_champion(bench)
