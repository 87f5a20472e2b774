"""Several teachers that answer together, and how far they are from one another.

Belongs here: combining what the members said. Does not: the members (teacher.py, stored.py), making them
(stages/teacher.py), leaving rows out on which they disagree (verification.py).

Each member is captured under its own fingerprint, so that another rule, or a member more, asks nobody a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from stillhouse.arrays import BoolArray, FloatArray
from stillhouse.digests import digest_of
from stillhouse.recipe.teacher import Combination
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Task
from stillhouse.teachers.answers import outputs_for
from stillhouse.teachers.columns import ANSWER_SCHEMA, DISAGREEMENT, ERROR, TOOK, UNHEARD
from stillhouse.teachers.signal import SignalStore
from stillhouse.teachers.stored import Failure
from stillhouse.teachers.teacher import Teacher


@dataclass(frozen=True)
class Member:
    """One of the teachers.

    Args:
        teacher: who is asked.
        temperature: what its outputs are divided by, so that members are as sure as they are right.
        accuracy: share of validation rows on which it is right, in (0, 1): what its vote is worth.
        observed: the model that its server said has answered the pilot; None of one that is no server.
    """

    teacher: Teacher
    temperature: float
    accuracy: float
    observed: str | None = None


@dataclass(frozen=True)
class EnsembleTeacher:
    """Several teachers as one.

    Args:
        members: at least two.
        combine: the rule.
        task: what an answer is.
        signal: where what the members say is kept; None asks them and keeps nothing.
    """

    members: Sequence[Member]
    combine: Combination
    task: Task
    signal: SignalStore | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the members', in whatever order they come, of what they count and of the rule; of numbers also of
        the tolerance, which decides who disagrees."""
        of_members = [[each.teacher.fingerprint, each.temperature, each.accuracy] for each in self.members]
        near_enough = {"tolerance": self.task.tolerance} if isinstance(self.task, NumericScore) else {}
        return digest_of({"members": sorted(of_members), "combine": self.combine.value, **near_enough})

    def verify(self) -> None:
        """Make sure of each member.

        Raises:
            StillhouseError: if one would give another teacher's answers.
        """
        for member in self.members:
            member.teacher.verify()

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """What the members that answer a prompt say together, and the share of them that says otherwise.

        Args:
            prompts: columns prompt_id and text.

        Returns:
            A row of `ANSWER_SCHEMA` with `disagreement` for each, in the same order: the share of members that answer
            otherwise, of numbers further than the tolerance from that of all together. Where no member answers, the
            failure of the first. `observed` is null but where another model has answered than a member's pilot. Of
            what answers took (`TOOK`) the sums over the members that say it.
        """
        answers = [self._ask(member.teacher, prompts) for member in self.members]
        heard = np.array([each["failure"].is_null().to_numpy() for each in answers])
        outputs = np.stack([self._outputs(*each) for each in zip(self.members, answers, strict=True)])
        together, apart = self._together(outputs, heard)
        answered, nothing = heard.sum(axis=0) > 0, [None] * prompts.height
        return pl.DataFrame(
            {
                **dict.fromkeys(ANSWER_SCHEMA, nothing),
                "prompt_id": prompts["prompt_id"],
                "fingerprint": [self.fingerprint] * prompts.height,
                "logits": [row if there else None for row, there in zip(together.tolist(), answered, strict=True)],
                "failure": answers[0]["failure"].zip_with(pl.Series(~answered), pl.Series(nothing, dtype=pl.String)),
                "observed": self._observed(answers),
                "tokens": sum(each["tokens"].fill_null(0) for each in answers),
                DISAGREEMENT: [each if there else None for each, there in zip(apart.tolist(), answered, strict=True)],
            },
            schema={**ANSWER_SCHEMA, DISAGREEMENT: pl.Float32()},
        ).with_columns(*_took(answers), *_said_instead(answers[0], pl.Series(answered)), *_unheard(answers))

    def _observed(self, answers: Sequence[pl.DataFrame]) -> list[str | None]:
        rows = zip(*(each["observed"] for each in answers), strict=True)
        others = (
            (model for model, each in zip(row, self.members, strict=True) if model != each.observed) for row in rows
        )
        return [next((model for model in row if model is not None), None) for row in others]

    def _ask(self, teacher: Teacher, prompts: pl.DataFrame) -> pl.DataFrame:
        if self.signal is None:
            return teacher.ask(prompts)
        self.signal.capture(prompts, teacher)
        rows = self.signal.read(prompts["prompt_id"].to_list(), teacher.fingerprint)
        return prompts.select("prompt_id").join(rows, on="prompt_id", how="left", maintain_order="left")

    def _outputs(self, member: Member, answers: pl.DataFrame) -> FloatArray:
        """What a member says, labels as log-probabilities, shape (prompts, outputs); zeros where it says nothing."""
        answered = np.flatnonzero(answers["failure"].is_null())
        given = outputs_for(answers[answered], self.task)
        outputs = np.zeros((answers.height, len(self.task.names)))
        outputs[answered] = (
            self.task.stated(self.task.answers(given), member.accuracy)
            if self.combine is Combination.VOTES
            else self.task.outputs_of(given / member.temperature)
        )
        return outputs

    def _together(self, outputs: FloatArray, heard: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Outputs of shape (prompts, outputs), and the share of the members heard that answers otherwise, (prompts,).

        Args:
            outputs: shape (members, prompts, outputs).
            heard: shape (members, prompts), which of them answered.
        """
        counted = np.maximum(heard.sum(axis=0), 1)
        weight = heard[..., None] / counted[:, None]
        if self.combine is Combination.MEDIAN:
            together = _median(outputs, heard)
        elif self.combine is Combination.VOTES:
            shares = (np.exp(outputs) * weight).sum(axis=0)  # of nobody heard none, which no row keeps
            together = np.log(np.where(shares > 0, shares, 1.0))
        else:
            together = self.task.outputs_of((outputs * weight).sum(axis=0))
        otherwise = np.stack([~self.task.agree(each, together) for each in outputs]) & heard
        return together, otherwise.sum(axis=0) / counted


def _median(outputs: FloatArray, heard: BoolArray) -> FloatArray:
    """Of the members heard, shape (prompts, outputs); zeros where nobody is."""
    together, answered = np.zeros(outputs.shape[1:]), heard.any(axis=0)
    there = np.where(heard[..., None], outputs, np.nan)[:, answered]
    together[answered] = np.nanmedian(there, axis=0)
    return together


def _took(answers: Sequence[pl.DataFrame]) -> list[pl.Series]:
    """What the answers of all members took together, as far as any of them says it; null where one does not know."""
    said = {name: [each[name] for each in answers if name in each.columns] for name in TOOK}
    return [sum(columns[1:], start=columns[0]) for columns in said.values() if columns]


def _unheard(answers: Sequence[pl.DataFrame]) -> list[pl.Series]:
    """Which texts a member would still answer, whose server turned them away; nothing where there are none."""
    turned_away = [(each["failure"] == Failure.TURNED_AWAY.value).fill_null(False) for each in answers]
    either = pl.Series(UNHEARD, np.any([each.to_numpy() for each in turned_away], axis=0))
    return [either] if either.any() else []


def _said_instead(answers: pl.DataFrame, answered: pl.Series) -> list[pl.Series]:
    """What the member whose failure counts said in the place of an answer, where nobody has answered."""
    if ERROR not in answers.columns:
        return []
    return [answers[ERROR].zip_with(~answered, pl.Series([None] * len(answered), dtype=pl.String))]
