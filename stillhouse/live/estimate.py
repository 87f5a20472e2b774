"""Which live answers the teacher is asked about, and what its answers say of all of them.

Belongs here: the plan of asking of a recipe, who was drawn, and joining the teacher's answers.
Does not: the estimate's arithmetic (stillhouse/statistics/live_agreement.py), asking (asking.py).

Agreement is that of the answers which the student gave by itself: what the teacher answered in its place agrees, and of
what it gave because the teacher was away it is known to be unsure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.arrays import BoolArray, FloatArray
from stillhouse.base import Record
from stillhouse.live.baseline import AgreementScale
from stillhouse.live.kept_records import KeptRecords
from stillhouse.live.segments import HANDED_ON, MODEL_FAILED
from stillhouse.live.text_ids import text_ids
from stillhouse.statistics.live_agreement import (
    AskingPlan,
    LiveAgreement,
    debiased_disagreement,
    is_asked,
    live_agreement,
    plan_asking,
)
from stillhouse.tasks.alike import alike

_ROUNDING = 1e-9


class AskedFrom(Record):
    """The share that the teacher is asked about, from a moment on."""

    after: float = Field(description="Requests that arrived later, in seconds since 1970.")
    share: float = Field(ge=0, le=1)


@dataclass(frozen=True)
class AgreementPlan:
    """Whom the teacher is asked about under one budget.

    Args:
        scale: chance of agreement by confidence.
        plan: chance of asking by chance of agreement.
    """

    scale: AgreementScale
    plan: AskingPlan

    @property
    def lowest(self) -> float:
        """The least that one request can add to the debiased disagreement: each of the scale's bins is looked at.

        Also one that no golden row is in, which an answer may fall into all the same.
        """
        agreement = self.scale.of_bins
        return float(((1 - agreement) * (1 - 1 / self.plan.chance(agreement))).min()) - _ROUNDING


def plan_of(scale: AgreementScale | None, share: float) -> AgreementPlan | None:
    """The plan for a budget; None where nobody is asked."""
    if scale is None or share <= 0:
        return None
    return AgreementPlan(scale, plan_asking(scale.of_golden_rows, threshold=0.0, budget=share))


def by_budget(rows: pl.DataFrame, budgets: Sequence[AskedFrom]) -> list[tuple[AskedFrom, pl.DataFrame]]:
    """Rows of traffic by the budget that was in force when they arrived, the earliest budget first.

    Args:
        rows: with `at`.
        budgets: by `after`; what arrived before the first of them was not watched, and is left out.
    """
    ends = [*(each.after for each in budgets), float("inf")]
    return [
        (budget, rows.filter((pl.col("at") > begin) & (pl.col("at") <= end)))
        for budget, (begin, end) in zip(budgets, pairwise(ends), strict=True)
    ]


def of_this_secret(rows: pl.DataFrame, is_ours: Callable[[str], bool]) -> pl.DataFrame:
    """Of answers that are records, those that can be compared: kept under another secret the same words look otherwise,
    and would count as disagreement.

    Args:
        rows: with `id`.
        is_ours: whether an id was issued under the secret of this installation.
    """
    return rows.filter(pl.Series([is_ours(id) for id in rows["id"]], dtype=pl.Boolean))


@dataclass(frozen=True)
class Drawn:
    """Answers of the student, and whether the teacher is asked about each.

    Args:
        rows: `id`, `label`, `text` and its `prompt_id` of each, see `text_ids`.
        agreement: shape (n,), calibrated chance that the teacher agrees.
        chance: shape (n,), of asking.
        asked: shape (n,).
    """

    rows: pl.DataFrame
    agreement: FloatArray
    chance: FloatArray
    asked: BoolArray

    @property
    def texts(self) -> list[str]:
        """Those that the teacher is asked about."""
        return self.rows.filter(pl.Series(self.asked))["text"].to_list()

    def heard(self, said: pl.DataFrame, tolerance: float | None = None, records: KeptRecords | None = None) -> "Heard":
        """Join what the teacher said; where it gave no answer it counts as not asked.

        Args:
            said: `prompt_id`, `answer`.
            tolerance: of answers that are numbers; None of labels.
            records: how answers that are records are kept; None of any other.
        """
        both = self.rows.join(said.unique("prompt_id"), on="prompt_id", how="left", maintain_order="left")
        if records is not None:
            both = both.with_columns(records.kept_of_places(both, "answer"))
        agreed = both.select(alike(pl.col("answer"), pl.col("label"), tolerance).fill_null(False)).to_series()
        return Heard(
            self.agreement,
            self.chance,
            self.asked & both["answer"].is_not_null().to_numpy(),
            agreed.to_numpy(),
        )


@dataclass(frozen=True)
class Heard:
    """Answers of the student, and those of the teacher where it was asked: the arguments of `live_agreement`."""

    agreement: FloatArray
    chance: FloatArray
    asked: BoolArray
    agreed: BoolArray

    def __len__(self) -> int:
        return len(self.agreement)

    @property
    def estimate(self) -> LiveAgreement | None:
        """Label-free and debiased agreement; None of fewer than two answers."""
        if len(self) < 2:
            return None
        return live_agreement(self.agreement, self.chance, self.asked, self.agreed)

    @property
    def disagreement(self) -> FloatArray:
        """What each adds to the debiased disagreement."""
        return debiased_disagreement(self.agreement, self.chance, self.asked, self.agreed)


def together(parts: Sequence[Heard]) -> Heard:
    """Several as one."""
    empty = Heard(np.zeros(0), np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))
    return Heard(*(np.concatenate([getattr(each, name) for each in (empty, *parts)]) for name in empty.__dict__))


def drawn(rows: pl.DataFrame, texts: pl.DataFrame, plan: AgreementPlan, key: bytes) -> Drawn:
    """Draw the answers that the teacher is asked about.

    Args:
        rows: of traffic.
        texts: `replica`, `number` and `text`; an answer without one, which was erased or has expired, is left out
            whether or not it would have been drawn, so that the rest stays unbiased.
        plan: chances of agreement and of asking.
        key: see `is_asked`.
    """
    answered = rows.filter(~HANDED_ON & ~MODEL_FAILED & pl.col("label").is_not_null())
    whole = answered.join(texts.select("replica", "number", "text"), on=["replica", "number"], maintain_order="left")
    agreement = plan.scale.chance(whole["confidence"].to_list())
    chance = plan.plan.chance(agreement)
    asked = np.array(
        [is_asked(id, float(each), key=key) for id, each in zip(whole["id"], chance, strict=True)], dtype=np.bool_
    )
    ids = text_ids(whole["text"])
    return Drawn(whole.select("id", "label", "text").with_columns(ids), agreement, chance, asked)


Ask = Callable[[Sequence[str]], pl.DataFrame]
"""From texts to `prompt_id` and `answer`."""


def heard_of(
    rows: pl.DataFrame,
    texts: pl.DataFrame,
    scale: AgreementScale | None,
    budgets: Sequence[AskedFrom],
    key: bytes,
    ask: Ask,
    *,
    of_all: bool = False,
    tolerance: float | None = None,
    records: KeptRecords | None = None,
) -> list[tuple[AgreementPlan, Heard]]:
    """Draw, ask, and join, for each budget that was in force while the rows arrived.

    Args:
        rows: of traffic, by one release.
        texts: see `drawn`.
        scale: chance of agreement by confidence, of that release.
        budgets: see `by_budget`.
        key: see `is_asked`.
        ask: the teacher, or what it is known to have said.
        of_all: also those that the teacher was to answer: it agrees there for certain, since nothing of them is kept.
        tolerance: of answers that are numbers; None of labels.
        records: how answers that are records are kept; None of any other.
    """
    found = []
    for budget, some in by_budget(rows, budgets):
        plan = plan_of(scale, budget.share)
        if plan is not None and some.height:
            chosen = drawn(some, texts, plan, key)
            heard = chosen.heard(ask(chosen.texts), tolerance, records)
            found.append((plan, together([heard, _handed_on(some, texts)]) if of_all else heard))
    return found


def _handed_on(rows: pl.DataFrame, texts: pl.DataFrame) -> Heard:
    """Those that the teacher was to answer; one without its text is left out as it is among the others."""
    answered = rows.filter(HANDED_ON & ~MODEL_FAILED & pl.col("label").is_not_null())
    many = answered.join(texts, on=["replica", "number"], how="semi").height
    return Heard(np.ones(many), np.ones(many), np.ones(many, np.bool_), np.ones(many, np.bool_))
