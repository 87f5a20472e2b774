"""What the teacher says about every prompt, labelled or not.

Belongs here: asking for it, and what is shown of it.
Does not: capture and storage (stillhouse/teachers/signal.py), which rows are fit to learn from (transfer_set.py).
"""

from pathlib import Path

import dagster as dg
import polars as pl

from assets.stage import Shown, Work, markdown_table, stage_asset, table_metadata
from assets.teacher import MODEL
from stillhouse.home import Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.stages.names import BASELINES, PROMPTS, TEACHER, TEACHER_SIGNAL
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.review import draw_review, write_review
from stillhouse.teachers.signal import signal_store


def teacher_signal(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    review = file.recipe.teacher.review

    @stage_asset(
        file,
        TEACHER_SIGNAL,
        inputs={"prompts": PROMPTS, "teacher": TEACHER, "baselines": BASELINES},
        kinds={"pytorch", "parquet"},
    )
    def captured_signal(work: Work, prompts: Artifact, teacher: Artifact, baselines: Artifact) -> Shown:
        """The teacher's logits and pooled state for every prompt; only rows it was never asked before are computed."""
        asked = prompts.frame("prompts").sort("prompt_id").select("prompt_id", "text")
        fingerprint = teacher.facts["fingerprint"]
        signal = signal_store(work.workshop)
        with work.workshop.one_heavy_task():
            capture = signal.capture(asked, teacher.folder / MODEL, fingerprint)

        def build(folder: Path) -> Facts:
            answers = signal.read(asked["prompt_id"].to_list(), fingerprint)
            answers.write_parquet(folder / "signal.parquet")
            if review is not None:
                unlabelled = prompts.frame("prompts").filter(pl.col("label").is_null()).select("prompt_id", "text")
                sample = with_answers(unlabelled.join(answers, on="prompt_id"), teacher.facts["labels"])
                sample = sample.sort("prompt_id").select("prompt_id", "text", "answer", confidence="certainty")
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
        answers = with_answers(rows, teacher.facts["labels"])["answer"].value_counts(sort=True)
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
