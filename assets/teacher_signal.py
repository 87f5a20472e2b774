"""What the teacher says about every prompt, labelled or not.

Belongs here: asking for it, and what is shown of it.
Does not: capture and storage (stillhouse/teachers/signal.py), which rows are fit to learn from (transfer_set.py).
"""

from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from assets.keys import BASELINES, PROMPTS, TEACHER, TEACHER_SIGNAL
from assets.stage import Shown, Work, markdown_table, stage_asset, table_metadata
from assets.teacher import MODEL
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Artifact, Facts


def teacher_signal(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(
        file,
        TEACHER_SIGNAL,
        inputs={"prompts": PROMPTS, "teacher": TEACHER, "baselines": BASELINES},
        code=("teachers/signal", "students/predictor", "students/network", "students/tokens"),
        kinds={"pytorch", "parquet"},
    )
    def captured_signal(work: Work, prompts: Artifact, teacher: Artifact, baselines: Artifact) -> Shown:
        """The teacher's logits and pooled state for every prompt; only rows it was never asked before are computed."""
        asked = prompts.frame("prompts").sort("prompt_id").select("prompt_id", "text")
        fingerprint = teacher.facts["fingerprint"]
        signal = work.workshop.signal
        with work.workshop.one_heavy_task():
            capture = signal.capture(asked, teacher.folder / MODEL, fingerprint)

        def build(folder: Path) -> Facts:
            signal.read(asked["prompt_id"].to_list(), fingerprint).write_parquet(folder / "signal.parquet")
            return {"fingerprint": fingerprint, "labels": teacher.facts["labels"], "rows": asked.height}

        artifact = work.make(build, depends_on={"prompts": prompts.digest, "fingerprint": fingerprint})
        rows = artifact.frame("signal")
        took = signal.latencies_ms(asked["prompt_id"].to_list(), fingerprint)["latency_ms"]
        answers = answered_labels(rows, teacher.facts["labels"]).value_counts(sort=True)
        return Shown(
            artifact,
            {
                **table_metadata(rows.with_columns(pl.col("embedding").list.len().alias("embedding")), sample=5),
                "teacher_rows_computed": capture.computed,
                "teacher_rows_already_stored": capture.already_stored,
                "teacher_tokens_computed": capture.tokens,
                "teacher_seconds": capture.seconds,
                "teacher_ms_per_prompt_median": took.median(),
                "answers": dg.MetadataValue.md(markdown_table(answers.to_dicts())),
            },
        )

    return captured_signal


def logits_of(rows: pl.DataFrame) -> "np.typing.NDArray[np.float32]":
    """Stack the logits of signal rows, shape (rows, classes)."""
    return np.array(rows["logits"].to_list(), dtype=np.float32)


def answered_labels(rows: pl.DataFrame, labels: list[str]) -> pl.Series:
    """The label that the teacher gives to each signal row."""
    return pl.Series("answer", [labels[place] for place in logits_of(rows).argmax(1)], dtype=pl.String)
