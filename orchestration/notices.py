"""Sending people what they asked to be sent, wherever they read it: mail, chat, a web hook.

Belongs here: what is worth a notice between rounds, their addresses, and sending by apprise, which knows the services.
Does not: how a round ended (outcomes.py), what waits to be sent (stillhouse/records/outbox.py).

A notice that cannot be sent stops no round: the log of the run says so, without the address, which may hold a secret,
and it is tried again.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.requested_rows import requested_rows
from checks.gate_states import GateState
from orchestration.approvals import how_to_waive
from orchestration.dispatcher import used_up
from orchestration.event_list import waiting_events
from orchestration.freshness import overdue_after, overdue_decision
from orchestration.stages_now import beside_now
from stillhouse.errors import StillhouseError
from stillhouse.home import Home, recipes_folder
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.plays import PERIODS, PlaySpec
from stillhouse.recipe.reading import RecipeFile, read_recipe, recipes_in
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import desired
from stillhouse.records.events import history
from stillhouse.records.governance import WaiverRules, valid_waivers
from stillhouse.records.ledger import Ledger
from stillhouse.records.manifest import asset_and_batch
from stillhouse.records.outbox import Notice, Outbox, Tone
from stillhouse.records.plays import closed_by_a_play

EVENTS_IN_A_NOTICE = 5
SECONDS_BETWEEN_LOOKS = 60
ENDS_SOON = timedelta(days=3)
"""How long before its last day a waiver is worth a notice."""
HELD_LONG = timedelta(days=7)
"""After how long a hold is: whoever holds may have forgotten it."""
STANDING = "standing:"
"""What the subject of a notice begins with that is about how things stand, and not about an event."""
_RISK = f"{STANDING}risk:"


def notify_owners(ledger: Ledger, recipe: str, subject: str, key: str, notice: Notice) -> list[str]:
    """Send a notice to every address of `notify`; the recipe is read again each time, so that a new address counts.

    Args:
        ledger: in whose database it waits until it was sent.
        recipe: name of the recipe.
        subject: what the notice is about.
        key: what is the case; the same again is sent after `remind_days`.
        notice: what is said.

    Returns:
        One line for each address that was not reached, and why.
    """
    path = recipes_folder() / recipe / "defs.yaml"
    try:
        terms = read_recipe(path).recipe if path.exists() else None
    except StillhouseError as error:
        return [f"nobody was notified, because the recipe cannot be read: {' '.join(str(error).split())}"]
    if terms is None or not terms.addresses:
        return []
    now = datetime.now(UTC)
    Outbox(ledger.url).put(recipe, subject, key, notice, to=terms.notify, at=now)
    return list(_send(ledger, recipe, terms, now))


def look_and_send(builds: BuildStore, file: RecipeFile) -> list[str]:
    """Put what stands out of a recipe among its notices, and send what is due; one line for what was not taken.

    What failed to be sent is tried again, what still asks for a person is sent again after `remind_days`.
    """
    recipe, ledger = file.recipe, builds.ledger
    if not recipe.addresses:
        return []
    now, outbox = datetime.now(UTC), Outbox(ledger.url)
    owner_of = {f"{_RISK}{risk.name}": risk.owner for risk in recipe.risks}
    sent_to = dict[str, Sequence[str]]()
    for subject, (key, notice) in standing_of(builds, file):
        sent_to[subject] = recipe.notified(owner_of[subject]) if subject in owner_of else recipe.notify
        outbox.put(file.name, subject, key, notice, to=sent_to[subject], at=now)
    outbox.settle(file.name, STANDING, sent_to)
    for play in recipe.plays:
        for at, key, notice in _triggered(ledger, file.name, play, now):
            outbox.put(file.name, f"play:{play.name}", key, notice, to=recipe.notified(play.owner), at=at)
    return list(_send(ledger, file.name, recipe, now))


@dg.sensor(
    name="notices",
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends the owners of each recipe what they have not been sent, and reminds them",
)
def notices_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look at every recipe."""
    builds = BuildStore(Home.from_environment())
    lines = [
        f"{file.name}: {line}" for file in recipes_in(recipes_folder()).files for line in look_and_send(builds, file)
    ]
    return dg.SkipReason("\n".join(lines) or "everything that was due was sent")


def standing_of(builds: BuildStore, file: RecipeFile) -> Iterator[tuple[str, tuple[str, Notice]]]:
    """By subject, what stands out though no round has just ended: a key for it, and what is said."""
    name, ledger, now = file.name, builds.ledger, datetime.now(UTC)
    yield from _closed_beside(builds, file)
    yield from _used_up(builds, file)
    waivers = valid_waivers(ledger, name, WaiverRules.of(file.recipe, unwaivable=()))
    for waiver in waivers.by_gate_and_content.values():
        made = ledger.newest(name, "materialization", subject=waiver.gate.partition(":")[0])
        is_current = made is not None and made.body["digest"] == waiver.content
        if is_current and waiver.until - now.date() <= ENDS_SOON:
            text = f"{waiver.gate} closes again after {waiver.until}: {waiver.by} waived it, because: {waiver.reason}"
            notice = Notice(f"{name}: a waiver ends on {waiver.until}", text, Tone.LOOK)
            yield f"{STANDING}waiver:{waiver.gate}", (str(waiver.until), notice)
    deployed = desired(ledger, name)
    hold = deployed.hold if deployed else None
    if hold is not None and now - datetime.fromisoformat(hold.since) >= HELD_LONG:
        text = f"{hold.by} holds it since {hold.since[:10]}: {hold.reason}\n`stillhouse resume {name}` ends that."
        yield f"{STANDING}hold", (hold.since, Notice(f"{name}: the champion is held", text, Tone.LOOK))
    closed = closed_by_a_play(ledger, name)
    if closed is not None:
        yield f"{STANDING}closed", (closed, Notice(f"{name}: closed to rounds", closed, Tone.LOOK))
    for risk in file.recipe.risks:
        if risk.review <= now.date():
            notice = Notice(f"{name}: a risk is to be looked at", risk.in_words, Tone.LOOK)
            yield f"{_RISK}{risk.name}", (str(risk.review), notice)
    for asked in (each for each in requested_rows(builds, file) if each.critical):
        notice = Notice(f"{name}: rows of '{asked.slice}' are needed", asked.sentence, Tone.LOOK)
        yield f"{STANDING}rows:{asked.slice}", (f"{asked.rows_needed}", notice)
    if (decided := overdue_decision(ledger, file, now)) is not None:
        text = (
            f"No round has decided about the champion since {decided.at[:10]}; it is overdue after "
            f"{overdue_after(file) / timedelta(days=1):.3g} days.\n"
            f"`stillhouse diagnose {name}` says what is in the way."
        )
        yield f"{STANDING}overdue", (decided.body["digest"], Notice(f"{name}: overdue", text, Tone.LOOK))


def _closed_beside(builds: BuildStore, file: RecipeFile) -> Iterator[tuple[str, tuple[str, Notice]]]:
    """Gates of a day that were found wanting: each by itself, with the days; a new day on which it closes is news."""
    closed: dict[tuple[str, str], list[GateState]] = {}
    for day in beside_now(builds, file):
        for gate in (each for each in day.gates if each.state.was_decided):
            closed.setdefault((day.stage, gate.name), []).append(gate)
    for (stage, name), gates in closed.items():
        newest, days = gates[0], [str(asset_and_batch(each.asset)[1]) for each in gates]
        earlier = f"\nIt is closed of {len(days) - 1} earlier days, too." if len(days) > 1 else ""
        text = (
            f"{newest.asset}: {newest.sentence}{earlier}\n"
            f"`stillhouse diagnose {file.name}` says why that matters. Fix the cause and materialize the day again, or "
            f"{how_to_waive(f'{newest.asset}:{name}')}"
        )
        notice = Notice(f"{file.name}: {name} is closed on {days[0]}", text, Tone.LOOK)
        yield f"{STANDING}gate:{stage}:{name}", (days[0], notice)


def _used_up(builds: BuildStore, file: RecipeFile) -> Iterator[tuple[str, tuple[str, Notice]]]:
    """That something waits for a round, and the rounds or the money of 30 days are used up."""
    waiting = [each for each in waiting_events(builds.ledger, file) if each.starts_a_round]
    why = used_up(builds, file) if waiting else None
    if why is not None:
        text = f"{why}\nWhat waits: {waiting[0].sentence}" + (f", and {len(waiting) - 1} more" if waiting[1:] else "")
        yield f"{STANDING}budget", ("used up", Notice(f"{file.name}: no round may start by itself", text, Tone.LOOK))


def _triggered(ledger: Ledger, recipe: str, play: PlaySpec, now: datetime) -> Iterator[tuple[datetime, str, Notice]]:
    """What the owner of a play is sent in this period of its cadence, if anything; as of the first event in it."""
    period = PERIODS[play.cadence]
    number = int(now.timestamp() // period.total_seconds())
    begun = datetime.fromtimestamp(number * period.total_seconds(), UTC)
    events = [noted.event for noted in history(ledger, recipe)]
    triggers = [event for event in events if event.kind in play.on and event.first_seen >= begun]
    if triggers:
        said = [f"{event.kind.in_words}: {event.sentence}" for event in triggers[:EVENTS_IN_A_NOTICE]]
        more = f"All of them: `stillhouse events {recipe}`"
        text = "\n".join([f"{play.owner}: {play.do}", *said, more])
        yield triggers[0].first_seen, f"{number}", Notice(f"{recipe}: play '{play.name}'", text, Tone.PLAIN)


def _send(ledger: Ledger, recipe: str, terms: Recipe, now: datetime) -> Iterator[str]:
    outbox, fields, addresses = Outbox(ledger.url), list(terms.addresses), list(terms.addresses.values())
    for due in outbox.take_due(recipe, addresses, remind=timedelta(days=terms.remind_days), at=now):
        written = addresses[due.address]
        why = _not_sent(written, due.notice)
        if why is None:
            outbox.sent(due, written, now)
        else:
            outbox.not_taken(due, written, now)
            yield f"{fields[due.address]} of the recipe was not notified: {why}"


def _not_sent(written: str, notice: Notice) -> str | None:
    """Send a notice to an address as a recipe has it; why that did not work, or None."""
    name = written.removeprefix("${").removesuffix("}")
    address = os.environ.get(name, "") if name != written else written
    if not address:
        return f"the variable {name} is not set"
    import apprise

    sender = apprise.Apprise()
    if not sender.add(address):
        return "it is not an address that apprise knows"
    if not sender.notify(title=notice.title, body=notice.text, notify_type=notice.tone.value):
        return "the service did not take it; it is tried again"
    return None
