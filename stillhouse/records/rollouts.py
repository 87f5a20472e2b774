"""The way of a challenger: offered, moved on, held for want of evidence, withdrawn, or the champion.

Belongs here: the entry that each step writes, and slices that are taken from the champion.
Does not: what a step rests on (orchestration/rollout.py), who answers a caller (stillhouse/serving/routing.py).

Each step is written in place of the deployment that its writer saw, as every change of who serves (promotion.py): of a
sensor and a person who decide at once one wins, and a step that was killed before it was written has not happened.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.records.deployments import (
    Because,
    Challenger,
    DeployedRelease,
    Deployment,
    Quarantine,
    Stage,
    entry_of,
    in_place_of,
    serving_now,
)
from stillhouse.records.governance import signed
from stillhouse.records.ledger import Entry, Kind, Ledger
from stillhouse.records.manifest import ReliedOn
from stillhouse.records.promotion import Promotion, names_of_gates, refuse, serve, tell
from stillhouse.records.witness import Witness

BY_ITSELF = "rollout"
"""Who signs what is withdrawn without a person."""


@dataclass(frozen=True)
class Offer:
    """What came of offering a release.

    Args:
        challenger: the one that is on its way now.
        is_it: whether that is the release which was offered; else it waits for the one before it.
        changed: whether it was offered now, and not before.
    """

    challenger: Challenger
    is_it: bool
    changed: bool

    @property
    def sentence(self) -> str:
        """What came of it, in one line."""
        name = self.challenger.in_words
        if self.is_it:
            return f"{name} is offered, in {self.challenger.stage}"
        return f"{name} is on its way, and this release waits for it"


def offer(
    ledger: Ledger,
    recipe: str,
    offered: DeployedRelease,
    *,
    seen: Deployment,
    export: str,
    run_id: str,
    relied_on: Sequence[ReliedOn],
) -> Offer:
    """Begin the way of a release that passed its gates, unless another one is on its way and not stuck.

    Args:
        ledger: where it is recorded.
        recipe: whose champion it is to replace.
        offered: the release.
        seen: the deployment of the moment at which it was found fit.
        export: what callers are answered by, see `answers_of`.
        run_id: the run that offers it.
        relied_on: every gate that was found open.

    Raises:
        StillhouseError: if the release, or one that answers alike, was withdrawn, or a person holds the champion.
        OvertakenError: if another deployment was written since.
    """
    refuse(ledger, recipe, offered.release, seen=seen, export=export)
    under_way = seen.challenger
    if under_way is not None:
        is_it = under_way.deployed.release == offered.release
        if is_it or under_way.stuck is None:
            return Offer(under_way, is_it, changed=False)
    now = _now(ledger)
    challenger = Challenger(
        deployed=offered,
        export=export,
        stage=Stage.SHADOW,
        share=0.0,
        salt=secrets.token_hex(16),
        offered=now,
        since=now,
        run_id=run_id,
        gates=names_of_gates(relied_on),
    )
    _write(ledger, recipe, seen, "offer", challenger)
    return Offer(challenger, is_it=True, changed=True)


def move_on(ledger: Ledger, recipe: str, seen: Deployment, *, share: float, evidence: Record) -> Entry:
    """Have the challenger answer a share of the callers from now on, larger than before.

    Raises:
        StillhouseError: if there is no challenger, it is withdrawn or held, or the share is no larger.
        OvertakenError: if another deployment was written since.
    """
    challenger = _free(ledger, recipe, seen)
    if share <= challenger.share:
        raise StillhouseError(
            f"it answers {challenger.share:g} of the callers already", where=recipe,
            expected="a larger share", do="See `rollout.canary.shares` of the recipe.",
        )  # fmt: skip
    next_stage = {"stage": Stage.CANARY, "share": share, "since": _now(ledger)}
    return _write(ledger, recipe, seen, "stage", challenger.model_copy(update=next_stage), evidence=evidence)


def take_over(ledger: Ledger, witness: Witness, recipe: str, seen: Deployment, *, evidence: Record) -> Promotion:
    """Make the challenger the champion.

    Raises:
        StillhouseError: if there is no challenger, or it is withdrawn or held.
        OvertakenError: if another deployment was written since.
    """
    challenger = _free(ledger, recipe, seen)
    more = {
        "run_id": challenger.run_id,
        "gates": challenger.gates,
        "export": challenger.export,
        "evidence": evidence.model_dump(mode="json"),
    }
    entry = serve(ledger, recipe, challenger.deployed, "rollout", seen=seen, more=more)
    witnessed, said = tell(ledger, witness, entry)
    return Promotion(entry, changed=True, witness=said, witnessed=witnessed)


def withdraw(
    ledger: Ledger, recipe: str, seen: Deployment, *, by: str, reason: str, evidence: Record | None = None
) -> Entry:
    """End the way of the challenger: it answers nobody from now on, and no round offers it again.

    It is withdrawn while a person holds the champion, too: what is held is who serves, and that stays.

    Raises:
        StillhouseError: if there is no challenger, or nobody or no reason is named.
        OvertakenError: if another deployment was written since.
    """
    challenger = _challenger(recipe, seen)
    decision = signed(by, reason)
    withdrawal = {"release": challenger.deployed.release, "export": challenger.export, **decision}
    return _write(
        ledger, recipe, seen, "withdraw", None, evidence=evidence, more=decision, first=("withdrawal", withdrawal)
    )


def keep_back(ledger: Ledger, recipe: str, seen: Deployment, *, missing: str, evidence: Record) -> Entry:
    """Hold the challenger where it is for want of evidence: from now on a person decides, or the next release comes.

    Raises:
        StillhouseError: if there is no challenger.
        OvertakenError: if another deployment was written since.
    """
    stuck = _challenger(recipe, seen).model_copy(update={"stuck": missing})
    return _write(ledger, recipe, seen, "stuck", stuck, evidence=evidence)


def quarantine(
    ledger: Ledger, recipe: str, wanted: Quarantine, *, days_at_most: int, seen: Deployment | None = None
) -> Quarantine:
    """Take a part of the requests from the champion until a day; the same part again gets another day.

    Args:
        ledger: where it is recorded.
        recipe: whose champion.
        wanted: as it was asked for; name and reason are given their normal form here.
        days_at_most: how far away its last day may be.
        seen: the deployment in which who answers instead was found; the newest when left out.

    Raises:
        StillhouseError: if nothing serves, nobody or no reason is named, or the day has passed or is far away.
        OvertakenError: if another deployment was written since.
    """
    seen = seen or serving_now(ledger, recipe)
    decision, today = signed(wanted.by, wanted.reason), ledger.now().date()
    last = today + timedelta(days=days_at_most)
    if not today <= wanted.until <= last:
        raise StillhouseError(
            f"{wanted.until.isoformat()} {'has passed' if wanted.until < today else 'is too far away'}",
            where="--until",
            expected=f"a day from {today.isoformat()} to {last.isoformat()}",
            do="Name the last day on which it counts; `waiver_days_at_most` of the recipe is the limit.",
        )
    given = wanted.model_copy(
        update={"by": decision["by"], "reason": decision["reason"], "since": _now(ledger)}
    )  # fmt: skip
    others = tuple(each for each in counting(seen, today) if each.slice != wanted.slice)
    _write(ledger, recipe, seen, "quarantine", seen.challenger, taken=(*others, given), more=decision)
    return given


def counting(deployment: Deployment, day: date) -> tuple[Quarantine, ...]:
    """What the champion does not answer on a day."""
    return tuple(each for each in deployment.quarantine if each.until >= day)


def _challenger(recipe: str, seen: Deployment) -> Challenger:
    if seen.challenger is None:
        raise StillhouseError(
            "no release is on its way to take over", where=recipe, expected="a challenger",
            do=f"`stillhouse run {recipe}` offers the next release that passes its gates.",
        )  # fmt: skip
    return seen.challenger


def _free(ledger: Ledger, recipe: str, seen: Deployment) -> Challenger:
    """The challenger, if nothing holds it where it is."""
    challenger = _challenger(recipe, seen)
    refuse(ledger, recipe, challenger.deployed.release, seen=seen, export=challenger.export)
    if challenger.stuck is not None:
        raise StillhouseError(
            f"{challenger.deployed.release[:12]} is held: {challenger.stuck}", where=recipe,
            expected="a challenger that may go on",
            do=f"`stillhouse resume {recipe} --by NAME --reason WHY` has it go on; `promote` brings it in.",
        )  # fmt: skip
    return challenger


def _write(
    ledger: Ledger,
    recipe: str,
    seen: Deployment,
    because: Because,
    challenger: Challenger | None,
    *,
    evidence: Record | None = None,
    taken: tuple[Quarantine, ...] | None = None,
    more: dict[str, str] | None = None,
    first: tuple[Kind, dict[str, Any]] | None = None,
) -> Entry:
    """Write a deployment with the champion as it is, after another entry if there is one."""
    kind, body = entry_of(
        seen.champion,
        because,
        seen=seen,
        hold=seen.hold,
        challenger=challenger,
        quarantine=seen.quarantine if taken is None else taken,
    )
    body |= more or {}
    if evidence is not None:
        body["evidence"] = evidence.model_dump(mode="json")
    happened = [] if first is None else [first]
    return ledger.append_all(recipe, [*happened, (kind, body)], expected=in_place_of(seen))[-1]


def _now(ledger: Ledger) -> str:
    return ledger.now().isoformat(timespec="milliseconds")  # an approval has to be later than a stage
