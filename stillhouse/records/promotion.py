"""Changing who serves: by a round, or by a person who chooses a release, goes back to one, or holds what serves.

Belongs here: the entries that each of these writes, all or none, and that the witness remembers them.
Does not: whether the gates of a release are open (checks/gate_states.py), finding one (orchestration/promotable.py),
the way of a challenger before it serves (rollouts.py).

Each is written in place of the deployment that its writer saw: of two who decide at once one wins, and the other is
refused before anything is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from stillhouse.digests import digest_of
from stillhouse.errors import StillhouseError
from stillhouse.records.champions import BY_A_PERSON, withdrawal_of
from stillhouse.records.deployments import (
    Because,
    DeployedRelease,
    Deployment,
    Hold,
    entry_of,
    in_place_of,
    serving_now,
)
from stillhouse.records.governance import signed
from stillhouse.records.ledger import Entry, Kind, Ledger
from stillhouse.records.manifest import ReliedOn
from stillhouse.records.witness import Witness, WitnessedHead, place_of


@dataclass(frozen=True)
class Promotion:
    """What came of asking for a promotion.

    Args:
        entry: the ledger's newest promotion of the recipe.
        changed: whether another release serves than before.
        witness: what the witness said, in one line.
        witnessed: whether it remembers the entry.
    """

    entry: Entry
    changed: bool
    witness: str
    witnessed: bool


def promote(
    ledger: Ledger,
    witness: Witness,
    recipe: str,
    offered: DeployedRelease,
    *,
    seen: Deployment | None,
    export: str,
    run_id: str,
    relied_on: Sequence[ReliedOn],
) -> Promotion:
    """Make the release of a round the champion, or leave it so, and see to it that the witness knows.

    The release that serves is promoted again when other gates were relied on than at its promotion, such as those of a
    newer version, so that an audit finds the verdicts of every gate before the promotion. What a person promoted is
    left alone.

    Args:
        ledger: where it is recorded.
        witness: what remembers the head.
        recipe: whose champion.
        offered: the release.
        seen: the deployment of the moment at which the release was found fit to take its place.
        export: what callers are answered by, see `answers_of`.
        run_id: the run that promotes.
        relied_on: every gate that was found open.

    Raises:
        StillhouseError: if the release, or one that answers alike, was withdrawn, or a person holds the champion.
        OvertakenError: if another deployment was written since.
    """
    refuse(ledger, recipe, offered.release, seen=seen, export=export)
    before = ledger.newest(recipe, "promotion")
    gates = names_of_gates(relied_on)
    changed = before is None or before.body["digest"] != offered.release
    same = before is not None and (before.body.get("because") in BY_A_PERSON or before.body.get("gates") == gates)
    if before is None or changed or not same:
        entry = serve(ledger, recipe, offered, "round", seen=seen, more={"run_id": run_id, "gates": gates})
    else:
        entry = before
    witnessed, said = tell(ledger, witness, entry)
    return Promotion(entry, changed, said, witnessed)


def names_of_gates(relied_on: Sequence[ReliedOn]) -> str:
    """Digest of which gates were relied on, whatever they found."""
    return digest_of(sorted({f"{gate.asset}:{gate.gate}" for gate in relied_on}))


def refuse(ledger: Ledger, recipe: str, release: str, *, seen: Deployment | None, export: str) -> None:
    """Raise if no round may bring a release in. The gates on the release ask the same, and may have looked earlier.

    Args:
        ledger: with withdrawals.
        recipe: whose champion.
        release: digest of the release.
        seen: the deployment of this moment.
        export: what callers are answered by, see `answers_of`.

    Raises:
        StillhouseError: if it, or one that answers alike, was withdrawn, or a person holds another release.
    """
    withdrawn = withdrawal_of(ledger, recipe, release=release, export=export)
    if withdrawn is not None:
        raise StillhouseError(
            f"{release[:12]} was withdrawn on {withdrawn.at[:10]} by {withdrawn.by}: {withdrawn.reason}",
            where=f"{recipe}/release",
            expected="a release that was not withdrawn",
            do=f"`stillhouse promote {recipe} {release[:12]} --by NAME --reason WHY` brings it back.",
        )
    if seen is not None and seen.hold is not None and seen.champion.release != release:
        raise StillhouseError(
            f"{seen.hold.by} holds {seen.champion.release[:12]} since {seen.hold.since[:10]}: {seen.hold.reason}",
            where=f"{recipe}/release",
            expected="a champion that rounds may replace",
            do=f"`stillhouse resume {recipe} --by NAME --reason WHY` lets them; `promote` brings in this one.",
        )


def go_back(
    ledger: Ledger,
    recipe: str,
    seen: Deployment,
    target: DeployedRelease,
    *,
    exports: tuple[str, str],
    by: str,
    reason: str,
) -> Entry:
    """Record that the release which serves is withdrawn and another one serves from now on; both or neither.

    Args:
        ledger: where it is recorded.
        recipe: whose champion.
        seen: the deployment whose champion is withdrawn.
        target: what serves from now on; a withdrawal of it is lifted.
        exports: digests of the models in the two, in this order.
        by: who decides.
        reason: why.

    Returns:
        The promotion.

    Raises:
        StillhouseError: if nobody or no reason is named, or both hold one model, so that nothing would change.
        OvertakenError: if another deployment was written since.
    """
    if exports[0] == exports[1]:
        raise StillhouseError(
            f"{target.release[:12]} holds the very model that serves",
            where=recipe,
            expected="a release of another model",
            do=f"`stillhouse leaderboard {recipe}` shows the models of every round.",
        )
    decision = signed(by, reason)
    withdrawal = {"release": seen.champion.release, "export": exports[0], **decision}
    return serve(
        ledger, recipe, target, "rollback", seen=seen, more={"export": exports[1], **decision}, first=withdrawal
    )


def bring_in(
    ledger: Ledger,
    recipe: str,
    seen: Deployment | None,
    target: DeployedRelease,
    *,
    export: str,
    by: str,
    reason: str,
) -> Entry:
    """Record that a person has a release serve, whatever withdrew or held it back; nothing else is withdrawn.

    Args:
        ledger: where it is recorded.
        recipe: whose champion.
        seen: the deployment that it takes the place of.
        target: what serves from now on.
        export: what callers are answered by, see `answers_of`.
        by: who decides.
        reason: why.

    Returns:
        The promotion.

    Raises:
        StillhouseError: if nobody or no reason is named.
        OvertakenError: if another deployment was written since.
    """
    return serve(ledger, recipe, target, "promote", seen=seen, more={"export": export, **signed(by, reason)})


def hold(ledger: Ledger, recipe: str, *, by: str, reason: str) -> Entry:
    """Have no round change who serves until a person resumes; a person still can.

    Raises:
        StillhouseError: if nothing serves yet, it is held already, or nobody or no reason is named.
        OvertakenError: if another deployment was written meanwhile.
    """
    seen = serving_now(ledger, recipe)
    if seen.hold is not None:
        raise StillhouseError(
            f"{seen.hold.by} holds it since {seen.hold.since[:10]}: {seen.hold.reason}",
            where=recipe,
            expected="a champion that rounds may replace",
            do=f"`stillhouse resume {recipe} --by NAME --reason WHY` ends that.",
        )
    decision = signed(by, reason)
    since = ledger.now().isoformat(timespec="seconds")
    held = Hold(by=decision["by"], reason=decision["reason"], since=since)
    return _without_promotion(ledger, recipe, seen, "hold", hold=held, decision=decision)


def resume(ledger: Ledger, recipe: str, *, by: str, reason: str) -> Entry:
    """Let a challenger go on that was held for want of evidence, or else rounds change who serves again.

    One of the two: who lets a challenger go on need not know that somebody else holds the champion.

    Raises:
        StillhouseError: if nobody holds it, or nobody or no reason is named.
        OvertakenError: if another deployment was written meanwhile.
    """
    seen = serving_now(ledger, recipe)
    challenger, still = seen.challenger, None
    if challenger is not None and challenger.stuck is not None:
        still = seen.hold
        goes_on = {"stuck": None, "since": ledger.now().isoformat(timespec="seconds")}
        seen = replace(seen, challenger=challenger.model_copy(update=goes_on))
    elif seen.hold is None:
        raise StillhouseError(
            "nobody holds it", where=recipe, expected="a champion that is held",
            do=f"`stillhouse run {recipe}` looks at its gates again.",
        )  # fmt: skip
    return _without_promotion(ledger, recipe, seen, "resume", hold=still, decision=signed(by, reason))


def _without_promotion(
    ledger: Ledger, recipe: str, seen: Deployment, because: Because, *, hold: Hold | None, decision: dict[str, str]
) -> Entry:
    kind, body = entry_of(
        seen.champion, because, seen=seen, hold=hold, challenger=seen.challenger, quarantine=seen.quarantine
    )
    return ledger.append_all(recipe, [(kind, {**body, **decision})], expected=in_place_of(seen))[0]


def serve(
    ledger: Ledger,
    recipe: str,
    target: DeployedRelease,
    because: Because,
    *,
    seen: Deployment | None,
    more: dict[str, Any],
    first: dict[str, Any] | None = None,
) -> Entry:
    """Write promotion and deployment, after a withdrawal if there is one; the promotion is given back.

    With the champion goes what is about it: a challenger that was compared with it, and what was taken from it.
    """
    promotion = {
        "digest": target.release,
        "manifest": target.manifest,
        "student": target.student,
        "before": seen.champion.release if seen else None,
        **({} if because == "round" else {"because": because}),
        **more,
    }
    happened: list[tuple[Kind, dict[str, Any]]] = [] if first is None else [("withdrawal", first)]
    happened.append(("promotion", promotion))
    stays = seen is not None and seen.champion.release == target.release
    happened.append(
        entry_of(
            target,
            because,
            seen=seen,
            hold=seen.hold if seen else None,
            challenger=seen.challenger if seen and stays else None,
            quarantine=seen.quarantine if seen and stays else (),
        )
    )
    entries = ledger.append_all(recipe, happened, expected=in_place_of(seen))
    return next(entry for entry in entries if entry.kind == "promotion")


def tell(ledger: Ledger, witness: Witness, entry: Entry) -> tuple[bool, str]:
    """Have the witness remember a promotion.

    One that cannot be reached stops nothing: it is said here, the audit says it, and the next run tells it.

    Returns:
        Whether it remembers, and one line that says so or why not.
    """
    signature = ledger.signatures().get(entry.sequence)
    head = WitnessedHead(
        place=place_of(ledger.url),
        beginning=ledger.beginning(),
        sequence=entry.sequence,
        digest=entry.digest,
        at=entry.at,
        recipe=entry.recipe,
        release=entry.body["digest"],
        key=signature.key if signature else None,
        signature=signature.value if signature else None,
    )
    try:
        witness.remember(head)
    except StillhouseError as error:
        return False, str(error)
    return True, f"{witness.name} remembers ledger entry {entry.sequence}"
