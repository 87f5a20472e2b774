"""The asset of what there is to take without training a student.

Belongs here: its declaration, and what is shown of it.
Does not: judging the options (stillhouse/stages/baselines.py).
"""

import dagster as dg

from assets.stage import Shown, Work, evaluation_row, markdown_table, stage_asset
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import baselines as stage
from stillhouse.stages.bench import Bench
from stillhouse.stages.names import BASELINES, PROMPTS, TEACHER


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(file, BASELINES, inputs={"prompts": PROMPTS, "teacher": TEACHER}, kinds={"scikitlearn", "onnx"})
    def judged_baselines(work: Work, prompts: Artifact, teacher: Artifact) -> Shown:
        """Majority class, TF-IDF, a probe on the untuned encoder, the teacher as static embeddings, in int8, pruned."""
        bench = Bench(file.recipe, work.workshop, prompts, teacher)
        with work.workshop.one_heavy_task():
            capture = bench.capture_golden()
        artifact = work.make(stage.plan(file.recipe, bench, work.reader))
        table = [evaluation_row(evaluation) for evaluation in read_evaluations(artifact.folder)]
        return Shown(
            artifact,
            {"baselines": dg.MetadataValue.md(markdown_table(table)), "teacher_rows_computed": capture.computed},
        )

    return judged_baselines
