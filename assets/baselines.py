"""The asset of what there is to take without training a student.

Belongs here: its declaration, and what is shown of it.
Does not: judging the options (stillhouse/stages/baselines.py).
"""

import dagster as dg

from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import evaluation_table
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import baselines as stage
from stillhouse.stages.bench import Bench
from stillhouse.stages.names import BASELINES, PROMPTS, TEACHER


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(
        file, BASELINES, inputs={"teacher": TEACHER}, beside={"prompts": PROMPTS}, kinds={"scikitlearn", "onnx"}
    )
    def judged_baselines(context: StageContext, prompts: Artifact, teacher: Artifact) -> StageOutput:
        """Majority class, TF-IDF, a probe on the untuned encoder, the teacher as static embeddings, in int8, pruned."""
        bench = Bench(file.recipe, context.builds, prompts, teacher)
        with context.builds.one_heavy_task():
            capture = bench.capture_golden()
        artifact = context.make(stage.plan(file, bench, context.reader))
        return StageOutput(
            artifact,
            {
                "baselines": evaluation_table(read_evaluations(artifact.folder)),
                "teacher_rows_computed": capture.computed,
            },
        )

    return judged_baselines
