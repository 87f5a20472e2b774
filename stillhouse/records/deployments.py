"""Who should serve: all of it in one entry of the ledger, which every replica obeys.

Belongs here: a deployment as it is written and read, and that it takes the place of the one which its writer saw.
Does not: which release may serve (stillhouse/stages/champion.py), promoting, going back and holding (promotion.py), the
way of a challenger (rollouts.py).

An entry is the whole desired state and no change to an earlier one, so that whoever reads the newest knows what to do.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, ValidationError

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.records.ledger import Entry, Expected, Kind, Ledger

Because = Literal[
    "round", "rollback", "promote", "hold", "resume",
    "offer", "stage", "rollout", "withdraw", "stuck", "quarantine",
]  # fmt: skip
"""What brought a deployment about: a round by itself, or the command of a person; from `offer` on a rollout: a
challenger is offered, moves a stage on, takes over, is withdrawn, or is held for want of evidence; or a slice is taken
from the champion."""

_KINDS: tuple[Kind, ...] = ("promotion", "deployment")
"""A promotion of an earlier version stands without a deployment."""


class DeployedRelease(Record):
    """A release that answers."""

    release: str = Field(description="Digest of the release.")
    manifest: str = Field(description="Identity of its manifest.")
    student: str = Field(description="Name of the student in it.")

    @property
    def in_words(self) -> str:
        """What people are shown: student, and the beginning of the digest."""
        return f"{self.student} {self.release[:12]}"


class Hold(Record):
    """A person's word that no round may change who serves."""

    by: str
    reason: str
    since: str = Field(description="When, ISO 8601, UTC.")


class Stage(StrEnum):
    """How far a challenger has come."""

    SHADOW = "shadow"
    """it answers nobody: texts that the champion was asked are put to it, too"""
    CANARY = "canary"
    """it answers a share of the callers"""


class Challenger(Record):
    """A release that passed its gates and is on its way to be the champion."""

    deployed: DeployedRelease
    export: str = Field(
        description="Digest of what callers are answered by: the model in it, and its teacher with a cascade."
    )
    stage: Stage
    share: float = Field(ge=0, lt=1, description="Of the callers that it answers; 0 in the shadow.")
    salt: str = Field(
        description="Decides with a caller's key who is among them, the same ones in each stage; of this rollout alone."
    )
    offered: str = Field(description="When its way began, ISO 8601, UTC.")
    since: str = Field(description="When this stage began, or a person had it go on; likewise.")
    run_id: str = Field(description="The run that offered it.")
    gates: str = Field(description="Digest of the names of the gates that were found open then.")
    stuck: str | None = Field(
        None, description="What is missing, where it has not shown enough for so long that a person has to decide."
    )

    @property
    def in_words(self) -> str:
        """The release, as people are shown it."""
        return self.deployed.in_words


class Quarantine(Record):
    """A part of the requests that the champion does not answer, until a day.

    What decides is known when a request comes: the label that the champion would give, the length of the text, or what
    callers say of it.
    """

    slice: str = Field(description="As the person named it.")
    labels: tuple[str, ...] = Field((), description="Answers of the champion that are meant, if they decide.")
    characters: tuple[int, int | None] | None = Field(
        None, description="Fewest and most characters of the texts that are meant; no most for all that are longer."
    )
    column: str | None = Field(None, description="A column that callers send, if it decides.")
    values: tuple[str, ...] = Field((), description="Of that column, those that are meant; so is a text without one.")
    instead: DeployedRelease | None = Field(
        description="Who answers instead: an earlier champion; null for the teacher behind the champion."
    )
    by: str
    reason: str
    since: str = Field(description="When, ISO 8601, UTC.")
    until: date = Field(description="The last day on which it counts, in UTC.")

    @property
    def in_words(self) -> str:
        """Who answers what, and until when."""
        who = "the teacher" if self.instead is None else self.instead.in_words
        return f"{self.slice} is answered by {who} until {self.until}"


@dataclass(frozen=True)
class Deployment:
    """The desired state of a recipe.

    Args:
        number: of its entry in the ledger.
        at: when it was written, ISO 8601, UTC.
        champion: the release that answers.
        hold: while there is one, only a person changes who serves.
        because: what brought it about.
        challenger: the release that is on its way to take over; at most one.
        quarantine: parts of the requests that the champion does not answer, those whose day has passed included.
    """

    number: int
    at: str
    champion: DeployedRelease
    hold: Hold | None
    because: Because
    challenger: Challenger | None = None
    quarantine: tuple[Quarantine, ...] = ()


def is_loaded(challenger: Challenger | None, *, shadow_is_live: bool) -> bool:
    """Whether servers have a challenger loaded: it answers callers, or is asked once they were answered.

    Args:
        challenger: the one on its way, if there is one.
        shadow_is_live: whether servers ask it in the shadow, by the recipe.
    """
    return challenger is not None and (shadow_is_live or challenger.stage is Stage.CANARY)


def desired(ledger: Ledger, recipe: str) -> Deployment | None:
    """The newest deployment of a recipe, None before its first promotion."""
    deployment, promotion = ledger.newest(recipe, "deployment"), ledger.newest(recipe, "promotion")
    if promotion is None:
        return None
    if deployment is None or deployment.sequence < promotion.sequence:
        return _of_promotion(promotion)
    return deployment_of(deployment)


def serving_now(ledger: Ledger, recipe: str) -> Deployment:
    """The newest deployment of a recipe.

    Raises:
        StillhouseError: if nothing was promoted yet.
    """
    found = desired(ledger, recipe)
    if found is None:
        raise StillhouseError(
            "it has no champion yet",
            where=recipe,
            expected="a release that serves",
            do=f"`stillhouse run {recipe}` makes one; `stillhouse diagnose {recipe}` says what is in its way.",
        )
    return found


def deployment_of(entry: Entry) -> Deployment:
    """A deployment as it stands in the ledger.

    Raises:
        StillhouseError: if it is none, as one of a later version or one that was written by hand.
    """
    body = entry.body
    try:
        hold, challenger = body["hold"], body.get("challenger")  # an earlier version knew of no challenger
        return Deployment(
            number=entry.sequence,
            at=entry.at,
            champion=DeployedRelease.model_validate(body["champion"]),
            hold=None if hold is None else Hold.model_validate(hold),
            because=body["because"],
            challenger=None if challenger is None else Challenger.model_validate(challenger),
            quarantine=tuple(Quarantine.model_validate(each) for each in body.get("quarantine", ())),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise StillhouseError(
            "it is not a deployment",
            where=f"ledger entry {entry.sequence} of {entry.recipe}",
            expected="an entry as this version writes it",
            do=f"`stillhouse audit {entry.recipe}` says whether it was altered; a later version may have written it.",
        ) from error


def entry_of(
    champion: DeployedRelease,
    because: Because,
    *,
    seen: Deployment | None,
    hold: Hold | None,
    challenger: Challenger | None = None,
    quarantine: tuple[Quarantine, ...] = (),
) -> tuple[Kind, dict[str, Any]]:
    """Kind and body of the entry of a deployment.

    Args:
        champion: the release that answers from now on.
        because: what brings it about.
        seen: the deployment that it takes the place of.
        hold: the hold that is in force from now on.
        challenger: the release that is on its way to take over from now on.
        quarantine: what the champion does not answer from now on.
    """
    body: dict[str, Any] = {
        "champion": champion.model_dump(),
        "hold": None if hold is None else hold.model_dump(),
        "because": because,
        "replaces": seen.number if seen else None,
    }
    if challenger is not None:
        body["challenger"] = challenger.model_dump(mode="json")
    if quarantine:
        body["quarantine"] = [each.model_dump(mode="json") for each in quarantine]
    return "deployment", body


def in_place_of(seen: Deployment | None) -> Expected:
    """What `Ledger.append_all` has to find for a deployment that was decided upon seeing another one."""
    return Expected(_KINDS, seen.number if seen else None)


def _of_promotion(entry: Entry) -> Deployment:
    body = entry.body
    champion = DeployedRelease(release=body["digest"], manifest=body["manifest"], student=body["student"])
    return Deployment(entry.sequence, entry.at, champion, None, body.get("because", "round"))
