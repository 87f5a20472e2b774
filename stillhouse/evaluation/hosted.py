"""What a model behind a server costs and takes, by what was seen while it was asked.

Belongs here: the measurement. Does not: asking (stillhouse/teachers/), models of this machine (measures/).
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from stillhouse.base import Record


class Hosted(Record):
    """A model that nobody here can weigh or time alone: what its answers to the golden rows cost and took."""

    usd_per_1000_calls: float = Field(description="By the tokens that its server counted, at the recipe's prices.")
    teacher_usd_per_1000_calls: float = Field(description="The teacher's, by its pilot.")
    ms_p50: float = Field(
        description="Milliseconds in which half of the golden rows were answered that were asked by calls."
    )
    ms_p95: float = Field(description="Milliseconds in which 95 % of them were answered.")
    calls_at_once: int = Field(description="Calls that were under way at one time, at the most.")
    observed: str | None = Field(description="The model that the server says has answered.")


def hosted(
    usd: Sequence[float],
    milliseconds: Sequence[float],
    *,
    teacher_usd: float,
    calls_at_once: int,
    observed: str | None = None,
) -> Hosted:
    """Sum up what was seen of each golden row.

    Args:
        usd: what its answer cost, at least one.
        milliseconds: that its answer took; of those that were asked by calls.
        teacher_usd: what an answer of the teacher costs on average.
        calls_at_once: at the most.
        observed: who has answered.
    """
    p50, p95 = np.percentile(milliseconds, [50, 95]).tolist()
    return Hosted(
        usd_per_1000_calls=1000 * sum(usd) / len(usd),
        teacher_usd_per_1000_calls=1000 * teacher_usd,
        ms_p50=p50,
        ms_p95=p95,
        calls_at_once=calls_at_once,
        observed=observed,
    )
