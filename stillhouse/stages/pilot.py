"""A server is asked the validation rows before anything else: what it is worth, and what the rest will cost.

Belongs here: asking them, and refusing before the rest what would end in the middle of it.
Does not: making calls (stillhouse/teachers/endpoint.py), what the teacher's stage keeps of it (teacher.py).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from stillhouse.errors import StillhouseError
from stillhouse.recipe.asking import EndpointSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.tasks.alike import alike
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Task
from stillhouse.teachers.columns import RATIONALE
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.replies import Replies
from stillhouse.teachers.stored import Failure, StoredTeacher
from stillhouse.teachers.teacher import share_as_taught

MOST_REFUSED = 0.5
"""Share of the pilot's texts from which it is not the texts that a server refuses."""


@dataclass(frozen=True)
class Pilot:
    """What a server said to the validation rows.

    Args:
        validation: the rows.
        replies: to each.
        costs: USD of each.
        task: what an answer is.
    """

    validation: pl.DataFrame
    replies: Replies
    costs: list[float]
    task: Task

    @cached_property
    def answers(self) -> pl.DataFrame:
        """See `Replies.answers`."""
        return self.replies.answers

    @cached_property
    def measured(self) -> tuple[StoredTeacher, int]:
        """The answers with the share of them that is right, and the number of those."""
        return measured(self.validation, self.answers, self.task)

    @property
    def without_rationale(self) -> int | None:
        """Replies that do not say why; None where it is not asked."""
        return self.answers[RATIONALE].null_count() if RATIONALE in self.answers.columns else None

    @property
    def usd_a_prompt(self) -> float:
        """What an answer costs on average."""
        return sum(self.costs) / max(len(self.costs), 1)

    def usd_at_most(self, prompts: float) -> float:
        """What so many prompts more are expected to cost, by the upper 95 % bound of the mean."""
        rows, mean = len(self.costs), self.usd_a_prompt
        error = math.sqrt(sum((each - mean) ** 2 for each in self.costs) / max(rows - 1, 1) / max(rows, 1))
        return prompts * (mean + 1.645 * error)


def pilot_of(teacher: EndpointTeacher, rows: pl.DataFrame, where: str) -> Pilot:
    """Ask the validation rows alone.

    Args:
        teacher: who is asked.
        rows: labelled rows with their `split`.
        where: names the part of the recipe that says what is asked.

    Raises:
        StillhouseError: if the server refuses most of them, or says of none why, where it is asked.
    """
    validation = rows.filter(pl.col("split") == "validation")
    asked = validation.select("prompt_id", "text")
    replies = teacher.replies(asked)
    pilot = Pilot(validation, replies, teacher.costs(replies, asked), teacher.task)
    require_that_most_are_answered(pilot.answers, f"{where}: {teacher.url}")
    if pilot.answers.height and pilot.without_rationale == pilot.answers.height:
        # Students would match the states of the texts instead, and nobody would see it.
        raise StillhouseError(
            f"none of {pilot.answers.height:,} replies says why",
            where=f"{where}: {teacher.url}",
            expected="a rationale in at least one reply",
            do="Look at what it replies, at the prompt, at `max_tokens` of `settings`, and at `answers.rationale` or "
            "`answers.rationale_pattern`. No other text was sent.",
        )
    return pilot


def require_that_most_are_answered(answers: pl.DataFrame, where: str) -> None:
    """Refuse a server that refuses, which the next run asks again.

    Args:
        answers: see `Replies.answers`.
        where: names the part of the recipe that says what is asked, and the server.

    Raises:
        StillhouseError: if the server refused most of them.
    """
    refused = answers.filter(pl.col("failure").is_in([Failure.REFUSED.value, Failure.TURNED_AWAY.value])).height
    if refused > MOST_REFUSED * answers.height:
        raise StillhouseError(
            f"the server refused {refused:,} of the first {answers.height:,} texts",
            where=where,
            expected="an answer to nearly all of them",
            do="Look at the server's own log, and at `settings` and the prompt. No other text was sent.",
        )


def require_that_it_fits(
    file: RecipeFile, endpoint: EndpointSpec, *, prompts: float, expected: float, spent: float
) -> None:
    """Refuse before it is asked what would end in the middle of it.

    Args:
        file: the recipe.
        endpoint: with its cap.
        prompts: that are still to be asked.
        expected: USD that they may cost.
        spent: USD that are spent.

    Raises:
        StillhouseError: if it is more than the cap.
    """
    cap = endpoint.usd_at_most
    if spent + expected > cap:
        raise StillhouseError(
            f"{math.ceil(prompts):,} prompts more are expected to cost up to {expected:.4f} USD, and {spent:.4f} are "
            "spent",
            where=file.where("teacher", "endpoint", "usd_at_most"),
            expected=f"at most {cap:g} USD",
            do="Raise usd_at_most, ask for fewer rows, or write a shorter prompt. The pilot's answers are kept.",
        )


def failures_of(answers: pl.DataFrame) -> dict[str, int]:
    """How many answers do not count, by reason."""
    return dict(answers["failure"].drop_nulls().value_counts(sort=True).iter_rows())


def measured(rows: pl.DataFrame, answers: pl.DataFrame, task: Task) -> tuple[StoredTeacher, int]:
    """Answers with the share of validation rows on which they are right, and the number of those."""
    validation = rows.filter(pl.col("split") == "validation").join(answers, on="prompt_id", how="left")
    answered = validation["answer"].drop_nulls().len()
    tolerance = task.tolerance if isinstance(task, NumericScore) else None
    right = int(validation.select(alike(pl.col("answer"), pl.col("label"), tolerance).sum()).item())
    return StoredTeacher(answers, share_as_taught(right, answered), task), right
