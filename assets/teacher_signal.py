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
from stillhouse.home import Home
from stillhouse.recipe import RecipeFile
from stillhouse.teachers.review import draw_review, write_review
from stillhouse.workshop import Artifact, Facts


def teacher_signal(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    review = file.recipe.teacher.review

    @stage_asset(
        file,
        TEACHER_SIGNAL,
        inputs={"prompts": PROMPTS, "teacher": TEACHER, "baselines": BASELINES},
        code=("teachers/signal", "teachers/review", "students/predictor", "students/network", "students/tokens"),
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
            answers = signal.read(asked["prompt_id"].to_list(), fingerprint)
            answers.write_parquet(folder / "signal.parquet")
            if review is not None:
                unlabelled = prompts.frame("prompts").filter(pl.col("label").is_null()).select("prompt_id", "text")
                sample = _answered(unlabelled, answers, teacher.facts["labels"])
                draw_review(sample, size=review.size, key=file.recipe.split.key).write_parquet(
                    folder / "review.parquet"
                )
            return {"fingerprint": fingerprint, "labels": teacher.facts["labels"], "rows": asked.height}

        artifact = work.make(
            build,
            depends_on={"prompts": prompts.digest, "fingerprint": fingerprint},
            config={"review": review.model_dump(mode="json") if review else None},
        )
        if review is not None:
            path = review_path(work.workshop.home, file.name, artifact)
            if not path.exists():
                write_review(artifact.frame("review"), path)
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


def review_path(home: Home, recipe: str, artifact: Artifact) -> Path:
    """Where the sample of a batch waits for a person; named by content, so that an old verdict is about old answers."""
    return home.reports / "reviews" / f"{recipe}-{artifact.batch}-{artifact.digest[:12]}.csv"


def _answered(prompts: pl.DataFrame, answers: pl.DataFrame, labels: list[str]) -> pl.DataFrame:
    """Prompts with the teacher's answer and its probability."""
    rows = prompts.join(answers, on="prompt_id", how="inner").sort("prompt_id")
    if rows.is_empty():
        return rows.select("prompt_id", "text", answer=pl.lit(""), confidence=pl.lit(0.0))
    logits = logits_of(rows).astype(np.float64)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    confidence = pl.Series("confidence", weights.max(axis=1) / weights.sum(axis=1))
    return rows.select("prompt_id", "text").with_columns(answered_labels(rows, labels), confidence)


def logits_of(rows: pl.DataFrame) -> "np.typing.NDArray[np.float32]":
    """Stack the logits of signal rows, shape (rows, classes)."""
    return np.array(rows["logits"].to_list(), dtype=np.float32)


def answered_labels(rows: pl.DataFrame, labels: list[str]) -> pl.Series:
    """The label that the teacher gives to each signal row."""
    return pl.Series("answer", [labels[place] for place in logits_of(rows).argmax(1)], dtype=pl.String)
