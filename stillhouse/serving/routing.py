"""Who answers a request: the champion, the challenger, or somebody else what was taken from the champion.

Belongs here: which callers are the challenger's, when it is asked no more here, which requests are in quarantine.
Does not: what should serve (stillhouse/records/rollouts.py), asking (answer.py, app.py).

Nothing statistical is computed in a request: who moves a challenger on or withdraws it reads the rows later
(orchestration/rollout.py). The breaker (breaker.py) is this process's own, and works without ledger and Dagster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from stillhouse.digests import uniform_of
from stillhouse.live.segments import end_of
from stillhouse.records.deployments import Quarantine
from stillhouse.serving.breaker import ChallengerBreaker
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.tasks.label_sets import carries

Arm = Literal["champion", "challenger", "instead"]
"""Whose a request was. `challenger` stays even where it failed and the champion answered; `instead` is what was taken
from the champion."""


def is_the_challengers(salt: str, key: str, share: float) -> bool:
    """Whether a caller is among the share that a challenger answers: the same in every process and at every time.

    Who is in a share is in each larger one, too.

    Args:
        salt: of the rollout.
        key: what stays the same for the caller; of one that gives none the id of the request.
        share: of all callers, in [0, 1).

    Returns:
        True with that chance over keys: the first 53 bits of a SHA-256 are a number in [0, 1).
    """
    return uniform_of(sha256(f"{salt} {key}".encode()).digest()) < share


@dataclass(frozen=True, slots=True)
class ServedChallenger:
    """A challenger that answers a share of the callers, or is asked once they were answered.

    Args:
        release: loaded and proven.
        share: of the callers; 0 in the shadow.
        salt: of the rollout.
        breaker: this process's own.
    """

    release: LoadedRelease
    share: float
    salt: str
    breaker: ChallengerBreaker = field(default_factory=ChallengerBreaker)

    @property
    def is_asked_in_the_shadow(self) -> bool:
        """Whether it is asked once callers were answered: for one that hands texts on, callers of the teacher's answers
        would wait."""
        return self.share == 0 and not self.breaker.is_open and self.release.cascade is None

    def answers(self, key: str) -> bool:
        """Whether a caller is its own, as long as it is asked at all."""
        return not self.breaker.is_open and is_the_challengers(self.salt, key, self.share)


@dataclass(frozen=True, slots=True)
class Taken:
    """A part of the requests that the champion does not answer.

    Args:
        quarantine: what is meant, and until when.
        instead: the release that answers; None where it cannot be loaded here, and where the teacher is to answer.
    """

    quarantine: Quarantine
    instead: LoadedRelease | None

    @property
    def is_the_teachers(self) -> bool:
        """Whether the teacher behind the champion is to answer."""
        return self.quarantine.instead is None

    def holds(
        self, label: str, characters: int, columns: Mapping[str, str], at: float, *, is_set: bool = False
    ) -> bool:
        """Whether a request is meant.

        Args:
            label: that the champion would give.
            characters: of the text in its one spelling.
            columns: what the caller says of the text, by column.
            at: when the request came, in seconds since 1970.
            is_set: whether the label is a set of labels.
        """
        if at >= end_of(self.quarantine.until.isoformat()):
            return False
        if self.quarantine.characters is not None:
            fewest, most = self.quarantine.characters
            return fewest <= characters and (most is None or characters <= most)
        if self.quarantine.column is not None:  # a caller that does not say is treated as one that it is about
            return columns.get(self.quarantine.column, self.quarantine.values[0]) in self.quarantine.values
        return carries(label, self.quarantine.labels, is_set=is_set)
