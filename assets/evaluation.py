"""The asset of the golden harness's verdict on every exported student.

Belongs here: its declaration, and what is shown of it.
Does not: judging (stillhouse/stages/evaluation.py).
"""

import dagster as dg

from assets import pictures
from assets.found import note_weak_slices
from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import evaluation_table
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.report.figures.confusion import confusion
from stillhouse.report.figures.slices import slice_bars
from stillhouse.stages import evaluation as stage
from stillhouse.stages.bench import Bench
from stillhouse.stages.names import BASELINES, EVALUATION, PROMPTS, TEACHER, TEACHER_SIGNAL, export
from stillhouse.stages.serving_device import serving_device


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""
    recipe = file.recipe
    exports = {f"export_{form.name}": export(form.name) for form in recipe.forms}

    @stage_asset(
        file,
        EVALUATION,
        inputs=exports,
        beside={"prompts": PROMPTS, "teacher": TEACHER, "signal": TEACHER_SIGNAL, "baselines": BASELINES},
        kinds={"numpy"},
        measures=True,
    )
    def judged_students(
        context: StageContext,
        prompts: Artifact,
        teacher: Artifact,
        signal: Artifact,
        baselines: Artifact,
        **exported: Artifact,
    ) -> StageOutput:
        """Every exported student on the frozen golden set: quality, slices, fidelity, calibration, latency and size."""
        known_mb = stage.teacher_mb(baselines, context.builds.device.machine)
        bench = Bench(
            recipe,
            context.builds,
            prompts,
            teacher,
            teacher_mb=known_mb,
            meter=context.meter,
            served_on=serving_device(file, context.builds),
        )
        by_form = {form.name: exported[f"export_{form.name}"] for form in recipe.forms}
        artifact = context.make(stage.plan(recipe, bench, by_form, context.reader))
        evaluations = read_evaluations(artifact.folder)
        note_weak_slices(context, artifact, evaluations, prompts)
        shown = {
            "students": evaluation_table(evaluations),
            "teacher_accuracy": evaluations[0].teacher.accuracy,
            "golden_rows": evaluations[0].golden_rows,
            **{f"accuracy_{e.name}": e.score.accuracy for e in evaluations},
        }
        for judged in evaluations:
            slices, mistakes = f"slices_{judged.name}", f"confusion_{judged.name}"
            if judged.slices:
                shown[slices] = pictures.picture(context, artifact, slices, slice_bars, judged.slices)
            shown[mistakes] = pictures.picture(context, artifact, mistakes, confusion, judged)
        return StageOutput(artifact, shown)

    return judged_students
