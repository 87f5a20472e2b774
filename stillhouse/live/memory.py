"""Whether servers hold more memory than a recipe allows.

Belongs here: the limit held against what servers say, in words.
Does not: what a server says (stillhouse/serving/memory.py), what follows (orchestration/watch.py, rollout.py).

A limit is of a whole process: champion, earlier champions that are kept warm, a challenger, and whatever other recipes
the process serves. What a process held at one moment says little, so a server says what it held through `BEATS`
heartbeats in a row, and that alone is held against the limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from stillhouse.base import Record
from stillhouse.recipe.contract import Recipe
from stillhouse.records.replicas import BEATS, Heartbeat


@dataclass(frozen=True)
class MemoryLimits:
    """What a server's process may hold, in 1e6 bytes; None without a limit.

    Args:
        alone: while it has no challenger loaded.
        with_challenger: while it has one, which answers callers or is asked in the shadow.
    """

    alone: float | None = None
    with_challenger: float | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> "MemoryLimits":
        """As a recipe has them, by its watch and by its rollout."""
        watch, rollout = recipe.watch, recipe.rollout
        return cls(
            alone=None if watch is None else watch.memory_mb_at_most,
            with_challenger=None if rollout is None else rollout.canary.memory_mb_at_most,
        )

    def at(self, *, with_challenger: bool) -> float | None:
        """The limit that holds for a deployment."""
        return self.with_challenger if with_challenger else self.alone


class OverMemory(Record):
    """Servers over the limit."""

    limit_mb: float
    held_mb: dict[str, float] = Field(
        description="Of each server that is over it, the least that its process held through the heartbeats."
    )
    servers: int = Field(description="That said what they held, those within the limit included.")
    beats: int = Field(BEATS, description="Heartbeats in a row.")

    @property
    def sentence(self) -> str:
        """What is too much, for a person."""
        worst = max(self.held_mb, key=lambda name: self.held_mb[name])
        return (
            f"{len(self.held_mb)} of {self.servers} servers hold too much memory: {worst} "
            f"{self.held_mb[worst]:,.0f} MB through {self.beats} heartbeats in a row; at most {self.limit_mb:,.0f} MB"
        )


def most_held(heartbeats: Sequence[Heartbeat]) -> float | None:
    """The most that one server held, of those that say so."""
    return max((each.held_mb for each in heartbeats if each.held_mb is not None), default=None)


def over_memory(heartbeats: Sequence[Heartbeat], deployment: int, limit_mb: float | None) -> OverMemory | None:
    """The servers of a deployment that are over a limit; None where none is, or there is no limit.

    Args:
        heartbeats: of the servers that are up.
        deployment: those that serve another one are passed over: their memory is that of other releases.
        limit_mb: of the recipe.
    """
    if limit_mb is None:
        return None
    held = {
        each.replica: each.held_mb for each in heartbeats if each.deployment == deployment and each.held_mb is not None
    }
    over = {name: each for name, each in held.items() if each > limit_mb}
    return OverMemory(limit_mb=limit_mb, held_mb=over, servers=len(held)) if over else None
