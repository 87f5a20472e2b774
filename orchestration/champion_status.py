"""Who serves now, who chose it, and what is on its way to take over.

Belongs here: that, as people script against it.
Does not: the champion's page in the UI (assets/champion_page.py), deciding who serves (deployments.py, rollout.py).
"""

from pydantic import Field

from assets.keys import key_of
from assets.materializations import newest_artifact_if_any
from checks.stages import gates_of
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import promoted
from stillhouse.records.deployments import Challenger, Hold, desired
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.rollouts import counting
from stillhouse.stages.names import SHADOW
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.summaries import shadow as summary


class Decision(Record):
    """Who chose the release that serves."""

    by: str
    reason: str


class ChallengerStatus(Record):
    """A release that is on its way to take over."""

    digest: str = Field(description="Of the release.")
    student: str
    stage: str = Field(description="shadow or canary.")
    share: float = Field(description="Of the callers that it answers.")
    since: str = Field(description="When this stage began, ISO 8601, UTC.")
    held: bool = Field(description="Whether it has not shown enough for so long that a person has to decide.")
    missing: str | None = Field(description="What its shadow has not shown yet, and how many requests that would take.")
    truth: str | None = Field(
        None, description="How it does against what people said, beside the champion; null where nobody says it."
    )

    @property
    def in_words(self) -> str:
        """One line."""
        where = f"answers {self.share:.0%} of the callers" if self.share else "is in the shadow"
        held = ", held" if self.held else ""
        return f"{self.student} {self.digest[:12]} {where} since {self.since[:10]}{held}"


class ChampionStatus(Record):
    """What serves."""

    digest: str = Field(description="Of the release.")
    student: str
    since: str = Field(description="ISO 8601, UTC.")
    rolled_back: Decision | None = Field(None, description="Null where no person went back to it.")
    promoted: Decision | None = Field(None, description="Null where no person brought it in by `stillhouse promote`.")
    hold: Hold | None = Field(None, description="Null where rounds may replace it.")
    challenger: ChallengerStatus | None = Field(None, description="Null where no release is on its way.")
    quarantine: tuple[str, ...] = Field((), description="What the champion does not answer, who does, and until when.")


def champion_status(builds: BuildStore, recipe: str) -> ChampionStatus | None:
    """What serves, since when, who chose it and who holds it, where a person did."""
    newest, deployed = next(iter(promoted(builds.ledger, recipe)), None), desired(builds.ledger, recipe)
    if newest is None or deployed is None:
        return None
    by = None if newest.decided_by is None else Decision(by=newest.decided_by, reason=newest.reason)
    return ChampionStatus(
        digest=newest.release,
        student=newest.student,
        since=newest.since,
        rolled_back=by if newest.because == "rollback" else None,
        promoted=by if newest.because == "promote" else None,
        hold=deployed.hold,
        challenger=_challenger_status(builds, recipe, deployed.challenger),
        quarantine=tuple(each.in_words for each in counting(deployed, builds.ledger.now().date())),
    )


def _challenger_status(builds: BuildStore, recipe: str, challenger: Challenger | None) -> ChallengerStatus | None:
    if challenger is None:
        return None
    asset = f"{recipe}/{SHADOW}"
    newest = (
        builds.ledger.newest(recipe, "verdict", subject=asset, gate=gate)
        for gate in gates_of(SHADOW).names(blocking=False)
    )
    open_ = [
        entry.body["sentence"]
        for entry in newest
        if entry is not None and entry.at >= challenger.offered and entry.body["state"] != GateStatus.PASSED
    ]
    return ChallengerStatus(
        digest=challenger.deployed.release,
        student=challenger.deployed.student,
        stage=challenger.stage,
        share=challenger.share,
        since=challenger.since,
        held=challenger.stuck is not None,
        missing=challenger.stuck or "; ".join(open_) or None,
        truth=_truth_about(builds, recipe, challenger),
    )


def _truth_about(builds: BuildStore, recipe: str, challenger: Challenger) -> str | None:
    try:
        newest = newest_artifact_if_any(builds, key_of(recipe, SHADOW))
    except StillhouseError as error:  # all else is shown, and the stage has it as broken
        return f"not known, since the shadow cannot be read: {error}"
    if newest is None or newest.manifest.facts.get("rollout") != challenger.salt:
        return None
    return summary.truth(newest.facts(ShadowFacts))
