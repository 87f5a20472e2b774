"""The asset of what there is to take without training a student.

Belongs here: its declaration, and what is shown of it.
Does not: judging the options (stillhouse/stages/baselines.py).
"""

from typing import Any

import dagster as dg

from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import evaluation_table
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.files import write_atomically
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.report.options_page import page_to_take, path_of_page
from stillhouse.stages import baselines as stage
from stillhouse.stages.alternatives import asked_alternatives
from stillhouse.stages.bench import Bench
from stillhouse.stages.names import BASELINES, PROMPTS, TEACHER
from stillhouse.stages.serving_device import serving_device
from stillhouse.stages.stressed import require_that_they_fit


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(
        file,
        BASELINES,
        inputs={"teacher": TEACHER},
        beside={"prompts": PROMPTS},
        kinds={"scikitlearn", "onnx"},
        measures=True,
    )
    def judged_baselines(context: StageContext, prompts: Artifact, teacher: Artifact) -> StageOutput:
        """Majority class, TF-IDF, a probe on the untuned encoder, the teacher as static embeddings, in int8, pruned."""
        served_on = serving_device(file, context.builds)
        bench = Bench(file.recipe, context.builds, prompts, teacher, meter=context.meter, served_on=served_on)
        require_that_they_fit(file, teacher, prompts.frame("prompts"), context.builds)
        capture = bench.capture_golden()
        # Asked before what was judged is looked for: texts that a server turned away are asked by each run.
        instead = list(asked_alternatives(file, bench))
        artifact = context.make(stage.plan(file, bench, context.reader, instead))
        evaluations = read_evaluations(artifact.folder)
        shown: dict[str, Any] = {
            "baselines": evaluation_table(evaluations),
            "teacher_rows_computed": capture.computed,
        }
        page = page_to_take(evaluations, title=file.name, task=file.recipe.task, gives=file.recipe.teacher.gives)
        if page is not None:
            path = path_of_page(context.builds.home, file.name)
            write_atomically(path, page.encode())
            shown["report"] = dg.MetadataValue.path(str(path))
        return StageOutput(artifact, shown)

    return judged_baselines
