"""Whether a challenger that answers callers fails or is slow more often than they are used to.

Belongs here: its requests by caller and day, the two guardrails, how many callers are missing.
Does not: which callers are its own (stillhouse/serving/routing.py), what follows (orchestration/rollout.py).

The unit is one caller on one day, never the request: those of one caller fail together, and counted by request half of
all alarms would be false (docs/benchmarks.md). A caller that gives no key is another one each time.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from pydantic import Field

from stillhouse.base import Record
from stillhouse.live.segments import HANDED_ON, MODEL_FAILED, TrafficStore
from stillhouse.recipe.rollout import CanarySpec
from stillhouse.statistics.betting import LARGEST, log_e_value
from stillhouse.statistics.verdicts import Verdict

ALPHA = 0.05
"""Chance that a challenger that is no worse than the limits is withdrawn, over both guardrails and all looks."""
GUARDRAILS = 2
CALLERS_AT_LEAST = 100
"""Callers of each stage, by day: of one that fails 5 % of them half are found by the 69th (docs/benchmarks.md)."""


class Guardrail(Record):
    """Something that must not happen to callers more often than a limit."""

    mean: float | None = Field(description="Mean over callers of the share of their requests; null without any.")
    champions: float | None = Field(description="The same of the champion's callers in the same days.")
    limit: float = Field(description="The champion's share and what the recipe allows beyond it.")
    e_value: float = Field(description="Against a mean of at most the limit; from 2 / 0.05 on it fails.")
    verdict: Verdict = Field(description="fail, or inconclusive: a guardrail finds harm and proves nothing else.")


class CanaryFound(Record):
    """What callers of the challenger met."""

    callers: int = Field(description="Callers by day, since it answers any.")
    of_this_stage: int = Field(description="Of them, those since this stage began.")
    requests: int
    failures: Guardrail
    slow: Guardrail

    @property
    def failed(self) -> str | None:
        """What is too frequent, in words; None where nothing is shown to be."""
        for what, found in (("failed", self.failures), ("were slow", self.slow)):
            if found.verdict is Verdict.FAIL and found.mean is not None:
                return (
                    f"{found.mean:.1%} of the requests of a caller {what}, over {self.callers:,} callers by day; the "
                    f"limit is {found.limit:.1%}"
                )
        return None

    @property
    def missing(self) -> int:
        """Callers by day that this stage still needs."""
        return max(CALLERS_AT_LEAST - self.of_this_stage, 0)


def canary_found(
    store: TrafficStore, days: Sequence[str], *, challenger: str, offered: float, since: float, spec: CanarySpec
) -> CanaryFound:
    """Look at what callers met.

    Args:
        store: of the recipe.
        days: of the rollout.
        challenger: digest of the release.
        offered: when the rollout began, in seconds since 1970.
        since: when this stage did.
        spec: with the limits.
    """
    frames = [store.frame(day, "requests").with_columns(day=pl.lit(day)) for day in ("", *days)]
    rows = pl.concat(frames).filter(pl.col("at") >= offered)
    rows = rows.with_columns(
        caller=pl.col("key").fill_null(pl.col("id")),
        failed=((pl.col("arm") == "challenger") & (pl.col("release") != challenger)) | MODEL_FAILED,
        # The teacher behind a release is slow, and that is what the recipe has it for.
        slow=pl.when(~HANDED_ON).then(pl.col("latency_ms") > spec.slow_ms),
    )
    first = rows.filter(pl.col("arm") == "challenger")["at"].min()
    beside = rows.filter((pl.col("arm") == "champion") & (pl.col("at") >= (math.inf if first is None else first)))
    own, others = _by_caller(rows.filter(pl.col("arm") == "challenger")), _by_caller(beside)
    return CanaryFound(
        callers=own.height,
        of_this_stage=int((own["last"] >= since).sum()),
        requests=int(own["requests"].sum()),
        failures=_guardrail(own["failed"], others["failed"], spec.errors_at_most),
        slow=_guardrail(own["slow"].drop_nulls(), others["slow"].drop_nulls(), spec.slow_at_most),
    )


def _by_caller(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each caller and day: shares of its requests, how many, and when the last one came."""
    return rows.group_by("caller", "day").agg(
        pl.col("failed").mean(), pl.col("slow").mean(), requests=pl.len(), last=pl.col("at").max()
    )


def _guardrail(own: pl.Series, others: pl.Series, beyond: float) -> Guardrail:
    """Hold the challenger's callers against those of the champion, which the same machine answered at the same time."""
    champions = None if others.is_empty() else float(others.to_numpy().mean())
    limit = min((champions or 0.0) + beyond, 0.999)
    values, counts = np.unique(own.to_numpy().astype(np.float64), return_counts=True)
    evidence = float(log_e_value(values, counts.astype(np.float64), mean_at_most=limit, lowest=0.0))
    fails = evidence >= math.log(GUARDRAILS / ALPHA)
    return Guardrail(
        mean=None if own.is_empty() else float(own.to_numpy().mean()),
        champions=champions,
        limit=limit,
        e_value=math.exp(min(evidence, math.log(LARGEST))),
        verdict=Verdict.FAIL if fails else Verdict.INCONCLUSIVE,
    )
