"""The rows that a student loses against its teacher, with their texts.

Belongs here: which lost rows a report shows, and what of them.
Does not: which disagreements are the worst (fidelity.py).
"""

import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.evaluation.measures.fidelity import Fidelity
from stillhouse.tasks import as_people_read_it
from stillhouse.tasks.task import Task


class Regression(Record):
    """A golden row the teacher got right and this model did not, with its text."""

    prompt_id: str
    text: str
    label: str
    predicted: str
    confidence: float | None = Field(
        description="The model's probability for its wrong answer, as served; null where answers have none."
    )
    divergence: float = Field(description="KL(teacher || model) of this row, in nats, at temperature 1.")


def regressions(alike: Fidelity, golden: pl.DataFrame, task: Task) -> tuple[Regression, ...]:
    """The lost rows among the worst disagreements.

    Args:
        alike: how model and teacher agree.
        golden: `prompt_id`, and `text` where there are texts.
        task: what an answer is.
    """
    lost = [row for row in alike.worst if row.lost]
    wanted = golden.filter(pl.col("prompt_id").is_in([row.prompt_id for row in lost]))
    texts = dict(wanted.select("prompt_id", "text").iter_rows()) if "text" in golden.columns else {}
    return tuple(
        Regression(
            prompt_id=row.prompt_id,
            text=texts.get(row.prompt_id, ""),
            label=as_people_read_it(task, row.label, texts.get(row.prompt_id, "")),
            predicted=as_people_read_it(task, row.student_label, texts.get(row.prompt_id, "")),
            confidence=row.student_confidence,
            divergence=row.divergence,
        )
        for row in lost
    )
