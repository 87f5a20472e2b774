"""On how many servers a challenger is asked no more, because it failed there too often.

Belongs here: that, from what servers say, in words, and whether it is most of them.
Does not: when one server asks it no more (stillhouse/serving/breaker.py), what follows (orchestration/rollout.py).

A server of an earlier version does not say it, and counts as one that asks.
"""

from collections.abc import Sequence

from pydantic import Field

from stillhouse.base import Record
from stillhouse.records.replicas import Heartbeat


class Stopped(Record):
    """Servers that ask the challenger no more."""

    servers: tuple[str, ...] = Field(description="Which ask it no more, by name.")
    alive: int = Field(description="Servers that serve the recipe, these included.")

    @property
    def is_on_most(self) -> bool:
        """Whether it is on more than half of them."""
        return 2 * len(self.servers) > self.alive

    @property
    def sentence(self) -> str:
        """What was found, for a person."""
        return (
            f"it failed so often that {len(self.servers)} of {self.alive} servers ask it no more: "
            f"{', '.join(self.servers)}"
        )

    @property
    def asked_on(self) -> str:
        """Where it is still asked."""
        return f"asked on {self.alive - len(self.servers)} of {self.alive} servers"


def stopped_on(heartbeats: Sequence[Heartbeat], deployment: int) -> Stopped | None:
    """The servers of a deployment on which its challenger is asked no more; None where it is asked on all.

    Args:
        heartbeats: of the servers that are up.
        deployment: by which the challenger answers; what servers of another one say is of another stage or challenger.
    """
    alive = [each for each in heartbeats if each.deployment is not None]
    found = tuple(each.replica for each in alive if each.deployment == deployment and each.challenger_stopped)
    return Stopped(servers=found, alive=len(alive)) if found else None
