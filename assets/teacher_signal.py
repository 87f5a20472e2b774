"""The asset of what the teacher says about every prompt.

Belongs here: its declaration, and what is shown of it.
Does not: asking the teacher (stillhouse/stages/teacher_signal.py).
"""

import dagster as dg
import polars as pl

from assets.stage import StageContext, StageOutput, stage_asset
from assets.tables import table, table_metadata
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact
from stillhouse.stages import teacher_signal as stage
from stillhouse.stages.facts import SignalFacts
from stillhouse.stages.names import BASELINES, PROMPTS, TEACHER, TEACHER_SIGNAL
from stillhouse.summaries import teacher as summary
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.review import write_review
from stillhouse.teachers.signal import signal_store


def define(file: RecipeFile) -> dg.AssetsDefinition:
    """Define the asset."""

    @stage_asset(
        file,
        TEACHER_SIGNAL,
        inputs={"prompts": PROMPTS, "baselines": BASELINES},
        beside={"teacher": TEACHER},
        kinds={"pytorch", "parquet"},
    )
    def captured_signal(
        context: StageContext, prompts: Artifact, teacher: Artifact, baselines: Artifact
    ) -> StageOutput:
        """The teacher's logits and pooled state for every prompt; only rows it was never asked before are computed."""
        signal = signal_store(context.builds)
        capture = stage.capture(file.recipe, prompts, teacher, context.builds)
        artifact = context.make(stage.plan(file.recipe, prompts, teacher, signal))
        _lay_out_for_review(context, artifact)
        rows, facts = artifact.frame("signal"), artifact.facts(SignalFacts)
        took = signal.latencies_ms(stage.asked(prompts)["prompt_id"].to_list(), facts.fingerprint)["latency_ms"]
        answers = with_answers(rows, facts.task)["answer"].value_counts(sort=True)
        unanswered = summary.unanswered(rows)
        return StageOutput(
            artifact,
            {
                **table_metadata(rows.with_columns(pl.col("embedding").list.len().alias("embedding")), sample=5),
                "teacher_rows_computed": capture.computed,
                "teacher_rows_already_stored": capture.already_stored,
                "teacher_tokens_computed": capture.tokens,
                "teacher_seconds": capture.seconds,
                "teacher_ms_per_prompt_median": took.median(),
                "answers": table(answers.to_dicts()),
                **summary.took(rows),
                **({"unanswered": table(unanswered)} if unanswered else {}),
            },
        )

    return captured_signal


def _lay_out_for_review(context: StageContext, artifact: Artifact) -> None:
    """Put the sample where a person finds it, unless it lies there, maybe with what somebody has said of it."""
    if context.file.recipe.teacher.review is None:
        return
    path = stage.review_path(context.builds.home, context.file.name, artifact)
    if not path.exists():
        write_review(artifact.frame("review"), path)
