"""How a round began and ended, said where somebody looks: in the ledger, on the run, on the champion, to the owners.

Belongs here: which events it takes, finding out from the ledger how it ended, and recording both.
Does not: why a run was started (dispatcher.py), whether a gate is open (checks/), sending notices (notices.py).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.champion_page import champion_page
from assets.keys import key_of
from assets.materializations import newest_materialization
from checks.stages import gates_of
from orchestration.dagster_internals import DATA_VERSION_TAG, StepMaterializationData
from orchestration.diagnosis import is_behind_a_closed_gate, what_broke
from orchestration.notices import notify_owners
from orchestration.runs import (
    BECAUSE_TAG,
    EVENTS_TAG,
    OUTCOME_TAG,
    RECIPE_TAG,
    goes_the_whole_way,
    in_a_tag,
    is_round,
)
from stillhouse.data.quoting import LONGEST_SENTENCE, quoted
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import desired
from stillhouse.records.events import RUN_ID, pending
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.manifest import asset_and_batch
from stillhouse.records.outbox import Notice, Tone
from stillhouse.records.rounds import Ending
from stillhouse.stages.names import BASE, CHAMPION

_TONES = {
    Ending.PROMOTED: Tone.GOOD,
    Ending.KEPT: Tone.PLAIN,
    Ending.TAKEN_IN: Tone.PLAIN,
    Ending.CLOSED: Tone.LOOK,
    Ending.BROKE: Tone.BROKEN,
}


@dataclass(frozen=True)
class RoundOutcome:
    """How a round ended.

    Args:
        ending: what it came to.
        sentence: the same with the names that matter, for a person.
        gate: address of the asset and name of the gate that closed, if one did.
    """

    ending: Ending
    sentence: str
    gate: str | None = None

    @property
    def key(self) -> str:
        """The same for rounds that end alike: at one gate, whatever it has found, or with one champion."""
        return f"{self.ending} {self.gate or self.sentence}"


@contextmanager
def outcome_recorded(
    instance: dg.DagsterInstance, builds: BuildStore, run: dg.DagsterRun, say: Callable[[str], None]
) -> Iterator[None]:
    """Work as a round, and write on the run and into the ledger what it is for and how it ended.

    A run of picked assets is no round. One that goes the whole way takes every event that waits, whoever started it:
    that is said before it reads anything, so that what happens from then on is for the next one.

    Args:
        instance: where the run is kept.
        builds: with the ledger.
        run: that works.
        say: takes a line for the log of the run.
    """
    if not is_round(run):
        yield
        return
    recipe = run.tags[RECIPE_TAG]
    before = builds.ledger.champion(recipe)
    taken = [event.name for event in pending(builds.ledger, recipe)] if goes_the_whole_way(run) else []
    which = {
        "run_id": run.run_id,
        "job": run.job_name,
        "batch": run.tags.get("dagster/partition"),
        "because": run.tags.get(BECAUSE_TAG, ""),
    }
    builds.ledger.append("round_begun", recipe, {**which, "events": taken})
    instance.add_run_tags(run.run_id, {EVENTS_TAG: in_a_tag(taken)})
    yield
    outcome = _outcome(instance, builds, run, before)
    found = [event.name for event in pending(builds.ledger, recipe) if event.facts.get(RUN_ID) == run.run_id]
    body = {
        **which,
        "events": [*taken, *found] if outcome.ending.answers_events else [],
        "ending": str(outcome.ending),
        "sentence": outcome.sentence,
        "gate": outcome.gate,
    }
    builds.ledger.append("round", recipe, body)
    instance.add_run_tags(run.run_id, {OUTCOME_TAG: outcome.sentence[:200]})
    if outcome.ending is not Ending.TAKEN_IN:  # such a run was not to reach the champion
        _show_on_champion(instance, builds, run, outcome)
        for line in notify_owners(builds.ledger, recipe, "round", outcome.key, _notice(recipe, run, outcome)):
            say(line)


def _notice(recipe: str, run: dg.DagsterRun, outcome: RoundOutcome) -> Notice:
    lines = [
        outcome.sentence,
        f"Started because: {run.tags.get(BECAUSE_TAG, 'asked for in the UI')}",
        f"Run {run.run_id[:8]}; `stillhouse diagnose {recipe}` says more.",
    ]
    return Notice(f"{recipe}: {outcome.ending}", "\n".join(lines), _TONES[outcome.ending])


def _show_on_champion(
    instance: dg.DagsterInstance, builds: BuildStore, run: dg.DagsterRun, outcome: RoundOutcome
) -> None:
    """Write an observation of the champion, which its page shows beside the materializations; nobody reads it back.

    A round that stops at a gate materializes no champion, and Dagster would paint the one that serves red for it: the
    run was planned to make it and failed. So such a run says last that the champion is as it was.
    """
    recipe = run.tags[RECIPE_TAG]
    metadata: dict[str, Any] = {
        "round": outcome.sentence,
        "ending": str(outcome.ending),
        "because": run.tags.get(BECAUSE_TAG, "asked for in the UI"),
        "run": dg.MetadataValue.dagster_run(run.run_id),
        **({"gate": outcome.gate} if outcome.gate else {}),
    }
    observation = dg.AssetObservation(key_of(recipe, CHAMPION), description=outcome.sentence, metadata=metadata)
    instance.report_runless_asset_event(observation)
    newest = newest_materialization(builds.ledger, key_of(recipe, CHAMPION))
    if newest is None or outcome.ending in (Ending.PROMOTED, Ending.KEPT):
        return
    same = dg.AssetMaterialization(
        key_of(recipe, CHAMPION),
        description=f"Serves on. The round: {outcome.sentence}",
        metadata={"digest": newest.digest, "manifest": newest.manifest, **champion_page(builds, recipe), **metadata},
        tags={DATA_VERSION_TAG: newest.digest},
    )
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        event_specific_data=StepMaterializationData(same),
        job_name=run.job_name,
        message=f"{recipe}/{CHAMPION} serves on",
    )
    # Of the time when a round last decided, so that the champion still grows overdue.
    instance.report_dagster_event(event, run_id=run.run_id, timestamp=newest.at.timestamp())


def _outcome(
    instance: dg.DagsterInstance, builds: BuildStore, run: dg.DagsterRun, before: dict[str, Any] | None
) -> RoundOutcome:
    recipe = run.tags[RECIPE_TAG]
    made = builds.ledger.newest(recipe, "materialization", subject=f"{recipe}/{CHAMPION}")
    if made is not None and made.body["run_id"] == run.run_id:
        champion = builds.ledger.champion(recipe)
        assert champion is not None  # the stage that was made has promoted one, now or earlier
        name = f"{champion['student']} {champion['digest'][:12]}"
        if before is None or before["digest"] != champion["digest"]:
            return RoundOutcome(Ending.PROMOTED, f"promoted {name}")
        return RoundOutcome(Ending.KEPT, f"champion kept: {name}{_offered_by(builds, run)}")
    for verdict in _verdicts_of(builds, run):
        gate = f"{verdict['asset']}:{verdict['gate']}"
        if verdict["state"] != GateStatus.PASSED and not verdict["waived"] and _is_blocking(verdict):
            return RoundOutcome(Ending.CLOSED, f"{gate} is {verdict['state']}: {verdict['sentence']}", gate)
    failures = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    for event in failures:
        if event.dagster_event is not None:
            step, failure = event.dagster_event.step_key, event.dagster_event.step_failure_data
            ending = Ending.CLOSED if is_behind_a_closed_gate(failure) else Ending.BROKE
            return RoundOutcome(ending, quoted(f"{step} failed: {what_broke(failure)}", LONGEST_SENTENCE))
    return RoundOutcome(Ending.TAKEN_IN, f"{run.tags.get('dagster/partition', BASE)} is taken in")


def _offered_by(builds: BuildStore, run: dg.DagsterRun) -> str:
    """What a run has offered to take over from the champion, as the end of a sentence."""
    deployed = desired(builds.ledger, run.tags[RECIPE_TAG])
    challenger = None if deployed is None else deployed.challenger
    if challenger is None or challenger.run_id != run.run_id:
        return ""
    return f"; {challenger.in_words} is offered and begins in the shadow"


def _verdicts_of(builds: BuildStore, run: dg.DagsterRun) -> list[dict[str, Any]]:
    """What gates found since the run was begun; a run that was taken up again has begun more than once."""
    recipe = run.tags[RECIPE_TAG]
    begun = builds.ledger.entries(recipe, "round_begun", subject=run.run_id)[0]
    entries = builds.ledger.entries(recipe, "verdict", after=begun.sequence)
    return [entry.body for entry in entries if entry.body["run_id"] == run.run_id]


def _is_blocking(verdict: dict[str, Any]) -> bool:
    asset, _ = asset_and_batch(verdict["asset"])
    return verdict["gate"] in gates_of(asset.split("/", 1)[1]).names(blocking=True)
