"""What the teacher says about every prompt, labelled or not.

Belongs here: which prompts it is asked, and the sample that waits for a person.
Does not: capture and storage (stillhouse/teachers/signal.py), which rows are fit to learn from (transfer_set.py).
"""

from pathlib import Path

import polars as pl

from stillhouse.home import Home
from stillhouse.recipe.contract import Recipe
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages import asking
from stillhouse.stages.facts import SignalFacts, TeacherFacts
from stillhouse.tasks import as_people_read_it
from stillhouse.teachers.answers import with_answers
from stillhouse.teachers.review import draw_review
from stillhouse.teachers.signal import CaptureReport, SignalStore


def capture(recipe: Recipe, prompts: Artifact, teacher: Artifact, builds: BuildStore) -> CaptureReport:
    """Ask the teacher whatever prompts of a batch it was never asked."""
    return asking.capture(asked(prompts), teacher, recipe.teacher, builds)


def asked(prompts: Artifact) -> pl.DataFrame:
    """Ids and texts of a batch, in a fixed order."""
    return prompts.frame("prompts").sort("prompt_id").select("prompt_id", "text")


def plan(recipe: Recipe, prompts: Artifact, teacher: Artifact, signal: SignalStore) -> Plan[SignalFacts]:
    """Keep what the teacher said about the prompts of a batch.

    Args:
        recipe: says how large a sample a person reviews.
        prompts: the prompt set of the batch.
        teacher: which was asked.
        signal: where its answers are, after they were captured.
    """
    review, facts = recipe.teacher.review, teacher.facts(TeacherFacts)

    def build(folder: Path) -> SignalFacts:
        rows = asked(prompts)
        answers = signal.read(rows["prompt_id"].to_list(), facts.fingerprint)
        answers.write_parquet(folder / "signal.parquet")
        if review is not None:
            unlabelled = prompts.frame("prompts").filter(pl.col("label").is_null()).select("prompt_id", "text")
            answered = answers.filter(pl.col("failure").is_null())
            sample = with_answers(unlabelled.join(answered, on="prompt_id"), facts.task).sort("prompt_id")
            said = zip(sample["answer"], sample["text"], strict=True)
            shown = [as_people_read_it(facts.task, answer, text) for answer, text in said]
            sample = sample.select("prompt_id", "text", pl.Series("answer", shown, dtype=pl.String), "confidence")
            draw_review(sample, size=review.size, key=recipe.split.key).write_parquet(folder / "review.parquet")
        return SignalFacts(
            fingerprint=facts.fingerprint,
            answer=facts.answer,
            labels=facts.labels,
            score=facts.score,
            record=facts.record,
            rows=rows.height,
            observed=facts.said and facts.said.observed,
        )

    return Plan(
        build,
        {
            "prompts": prompts.digest,
            "fingerprint": facts.fingerprint,
            **facts.particulars,
            **signal.asked_again(asked(prompts)["prompt_id"].to_list(), facts.fingerprint),
        },
        config={"review": review.model_dump(mode="json") if review else None},
    )


def review_path(home: Home, recipe: str, artifact: Artifact) -> Path:
    """Where the sample of a batch waits for a person; named by content, so that an old verdict is about old answers."""
    return home.reports / "reviews" / f"{recipe}-{artifact.batch}-{artifact.digest[:12]}.csv"
