"""What is true right now of every recipe: stages, gates, champion.

Belongs here: the shape that people script against, and whether all is well.
Does not: printing it (commands/), deciding gates (checks/).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from assets.keys import batches_name, key_of
from assets.materializations import Materialization, newest_artifact_if_any, other_event_in_dagster
from assets.requested_rows import RequestedRows, requested_rows
from checks.gate_states import AssetState, GateState, asset_state, states_of_batches
from checks.stages import gates_of, waiver_rules
from orchestration.approvals import waivers_to_give_again
from orchestration.batches import drop_folder_lines
from orchestration.event_list import EventShown, waiting_events
from stillhouse.base import Record
from stillhouse.errors import StillhouseError
from stillhouse.recipe.plays import RiskSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.champions import promoted
from stillhouse.records.deployments import Challenger, Hold, desired
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import valid_waivers
from stillhouse.records.ledger import Ledger
from stillhouse.records.locks import who_works_on
from stillhouse.records.looks import LookKind, last_looks
from stillhouse.records.plays import closed_in_words, closure_of
from stillhouse.records.rollouts import counting
from stillhouse.records.rounds import rounds_to_the_champion
from stillhouse.stages.names import BASE, BATCHED, SHADOW, stage_names, stages_beside
from stillhouse.stages.shadow import ShadowFacts
from stillhouse.summaries import shadow as summary

LOOKS_ARE_LATE_AFTER = timedelta(minutes=10)
"""Beyond what the recipe lets pass between two looks; a daemon that takes in much at once may miss some."""
_WORST_FIRST = (
    GateStatus.FAILED,
    GateStatus.INCONCLUSIVE,
    GateStatus.STALE,
    GateStatus.MISSING,
    GateStatus.WAIVED,
    GateStatus.PASSED,
)


class GateShown(Record):
    """One gate, as it is now."""

    name: str
    state: GateStatus
    sentence: str = Field(description="What it found, or why that does not count.")
    asset: str = Field(description="Address of what it looks at.")


class PieceStatus(Record):
    """A stage, or one batch of it."""

    digest: str | None = Field(description="Of its newest artifact; null if there is none.")
    age_seconds: int | None = Field(description="Since that was made or found again.")
    run_id: str | None
    stale: tuple[str, ...] = Field(description="Why what is there no longer counts, one clause each.")
    gates: tuple[GateShown, ...] = Field(description="Every blocking gate.")


class StageStatus(PieceStatus):
    """A stage; of one that is made batch by batch, digest and age of the base batch and the worst of all batches.

    Of one that is made day by day, those of the newest day.
    """

    batches: dict[str, PieceStatus] | None = Field(None, description="Null for a stage that there is once.")


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


class Running(Record):
    """Who works on a recipe now."""

    by: str = Field(description="A run, or a command with its process.")
    since: str = Field(description="ISO 8601, UTC.")
    because: str = Field(description="What started it; empty where that is not known.")


class LastRound(Record):
    """How the last round ended."""

    at: str = Field(description="When, ISO 8601, UTC.")
    ending: str = Field(description="promoted, kept, taken in, closed or broke.")
    sentence: str
    because: str = Field(description="What started it; empty for a run of the UI.")
    events: int = Field(description="How many events it has answered.")


class Verified(Record):
    """What hashing every current artifact found."""

    artifacts: int
    problems: tuple[str, ...]


class RecipeStatus(Record):
    """What is true right now of one recipe."""

    champion: ChampionStatus | None
    running: Running | None = Field(None, description="Null where nobody works on it now.")
    stages: dict[str, StageStatus]
    beside: dict[str, StageStatus] = Field(
        {},
        description="Stages with gates that are not part of a round, by the last day that was looked at; `batches` has "
        "it, and each earlier day of which a gate is not open.",
    )
    dagster: tuple[str, ...] = Field(
        description="What Dagster's events say otherwise than the ledger; changes nothing."
    )
    drop_folder: tuple[str, ...] = Field(description="What a person should know of the files there.")
    waivers: tuple[str, ...] = Field(description="Waivers that count no longer, with what to do.")
    closed: str | None = Field(description="Why a play lets no round start by itself; null where none does.")
    risks: tuple[str, ...] = Field(description="Risks whose day of review has come.")
    nobody_looks: str | None = Field(
        description="That no daemon has looked for new rows lately; null where one has, or there is no champion yet."
    )
    last_round: LastRound | None = Field(description="How the last round ended, and what started it.")
    events: tuple[EventShown, ...] = Field(description="What has happened and waits for a round.")
    requested_rows: tuple[RequestedRows, ...] = Field(description="More rows of a slice that a model needs.")
    verified: Verified | None = Field(None, description="Null where no artifact was hashed.")

    @property
    def is_well(self) -> bool:
        """Whether there is a champion, every gate is open, nothing is stale and no hashed artifact was altered.

        Of gates beside the rounds those count that were found wanting, or have not looked at a day that was made.
        """
        gates = [gate for stage in self.stages.values() for gate in stage.gates]
        beside = [gate for stage in self.beside.values() for gate in stage.gates]
        return (
            self.champion is not None
            and not any(stage.stale for stage in self.stages.values())
            and all(gate.state.is_open for gate in gates)
            and not any(is_closed_beside(gate.state) for gate in beside)
            and not (self.verified and self.verified.problems)
        )


class Status(Record):
    """What is true right now of every recipe, by its name."""

    recipes: dict[str, RecipeStatus]

    @property
    def all_is_well(self) -> bool:
        """Whether that can be said of every recipe."""
        return all(recipe.is_well for recipe in self.recipes.values())


@dataclass(frozen=True)
class StageNow:
    """A stage, or one batch of it, as the ledger has it now.

    Args:
        stage: its name.
        batch: which batch, for a stage that is made batch by batch.
        state: its newest materialization, its gates, and why it no longer counts, if it does not.
    """

    stage: str
    batch: str | None
    state: AssetState

    @property
    def newest(self) -> Materialization | None:
        """Its newest materialization."""
        return self.state.newest

    @property
    def gates(self) -> tuple[GateState, ...]:
        """Every blocking gate."""
        return self.state.gates


def stages_now(builds: BuildStore, file: RecipeFile, batches: Iterable[str]) -> list[StageNow]:
    """Every stage of a recipe in the order of the data, batched stages once for each batch, the base first."""
    waivers = valid_waivers(builds.ledger, file.name, waiver_rules(file.recipe))
    ordered = sorted({BASE, *batches}, key=lambda batch: (batch != BASE, batch))
    return [
        StageNow(stage, batch, asset_state(builds, file.recipe, waivers, key_of(file.name, stage), batch))
        for stage in stage_names(file.recipe)
        for batch in (ordered if stage in BATCHED else [None])
    ]


def beside_now(builds: BuildStore, file: RecipeFile) -> list[StageNow]:
    """Stages with gates that are no part of a round: the newest day, and each earlier one of which a gate is not open.

    Days that the recipe keeps, the newest first; what was found of earlier ones is over with their rows.
    """
    wanted = [stage for stage in stages_beside(file.recipe) if gates_of(stage).names(blocking=True)]
    if file.recipe.traffic is None or not wanted:
        return []
    waivers = valid_waivers(builds.ledger, file.name, waiver_rules(file.recipe))
    today = builds.ledger.now().date()
    days = [(today - timedelta(days=back)).isoformat() for back in range(file.recipe.traffic.days + 1)]
    return [
        StageNow(stage, state.batch, state)
        for stage in wanted
        for number, state in enumerate(states_of_batches(builds.ledger, waivers, key_of(file.name, stage), days))
        if number == 0 or any(is_closed_beside(gate.state) for gate in state.gates)
    ]


def is_closed_beside(state: GateStatus) -> bool:
    """Whether a gate beside the rounds is closed: of a day nobody looks again only because code has changed."""
    return not state.is_open and state is not GateStatus.STALE


def batches_in(instance: dg.DagsterInstance, file: RecipeFile) -> list[str]:
    """The batches that a recipe has now."""
    return list(instance.get_dynamic_partitions(batches_name(file.name)))


def other_events_in_dagster(instance: dg.DagsterInstance, stages: Iterable[StageNow]) -> list[str]:
    """What Dagster's event log says otherwise than the ledger, one line each; it changes nothing."""
    lines = (other_event_in_dagster(instance, now.state.key, now.batch, now.newest) for now in stages)
    return [line for line in lines if line is not None]


def status(instance: dg.DagsterInstance, builds: BuildStore, files: Iterable[RecipeFile]) -> Status:
    """Digest, age and gates of each stage, and the champion, for each recipe."""
    return Status(recipes={file.name: _recipe_status(instance, builds, file) for file in files})


def _recipe_status(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> RecipeStatus:
    every = stages_now(builds, file, batches_in(instance, file))
    stages: dict[str, list[StageNow]] = {}
    for now in every:
        stages.setdefault(now.stage, []).append(now)
    beside: dict[str, list[StageNow]] = {}
    for now in beside_now(builds, file):
        beside.setdefault(now.stage, []).append(now)
    champion = champion_status(builds, file.name)
    return RecipeStatus(
        champion=champion,
        running=_running(builds, file.name),
        stages={stage: _stage_status(found) for stage, found in stages.items()},
        beside={stage: _stage_status(found) for stage, found in beside.items()},
        dagster=tuple(other_events_in_dagster(instance, every)),
        drop_folder=tuple(drop_folder_lines(builds, file)),
        waivers=tuple(waivers_to_give_again(builds.ledger, file)),
        closed=closed_by_a_play(builds.ledger, file.name),
        risks=risks_to_review(builds.ledger, file),
        nobody_looks=None if champion is None else _nobody_looks(builds, file),
        last_round=last_round(builds.ledger, file.name),
        events=waiting_events(builds.ledger, file),
        requested_rows=requested_rows(builds, file),
    )


def _running(builds: BuildStore, recipe: str) -> Running | None:
    holder = who_works_on(builds.home, recipe)
    if holder is None:
        return None
    begun, ended = builds.ledger.newest(recipe, "round_begun"), builds.ledger.newest(recipe, "round")
    is_it = begun is not None and (ended is None or ended.body["run_id"] != begun.body["run_id"])
    because = begun.body["because"] if begun is not None and is_it else ""
    return Running(by=holder.by, since=holder.since.isoformat(timespec="seconds"), because=because)


def _nobody_looks(builds: BuildStore, file: RecipeFile) -> str | None:
    """That new rows and events are not noticed, as far as it can be seen."""
    last = last_looks(builds.home.ledger_url, file.name).get(LookKind.ROUNDS)
    late_after = LOOKS_ARE_LATE_AFTER + timedelta(seconds=file.recipe.refresh.watch_seconds)
    if last is not None and datetime.now(UTC) - last < late_after:
        return None
    since = "yet" if last is None else f"since {last:%Y-%m-%d %H:%M} UTC"
    return f"no daemon has looked for new rows {since}, so no round starts by itself: `stillhouse ui` runs one"


def closed_by_a_play(ledger: Ledger, recipe: str) -> str | None:
    """Why a play lets no round of a recipe start by itself, and what a person can do; None where none does."""
    closure = closure_of(ledger, recipe)
    return None if closure is None else closed_in_words(recipe, closure)


def risks_to_review(ledger: Ledger, file: RecipeFile) -> tuple[str, ...]:
    """The risks of a recipe whose day of review has come, one line each."""
    today = ledger.now().date()
    return tuple(risk_in_words(risk) for risk in file.recipe.risks if risk.review <= today)


def risk_in_words(risk: RiskSpec) -> str:
    """A risk that is to be looked at again."""
    return f"the risk '{risk.name}' was to be looked at by {risk.review} by {risk.owner}: {risk.what}"


def last_round(ledger: Ledger, recipe: str) -> LastRound | None:
    """How the last round that was to reach the champion ended."""
    rounds = rounds_to_the_champion(ledger, recipe)
    if not rounds:
        return None
    body = rounds[-1].body
    return LastRound(
        at=rounds[-1].at,
        ending=body["ending"],
        sentence=body["sentence"],
        because=body["because"],
        events=len(body.get("events", ())),
    )


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


def _stage_status(found: list[StageNow]) -> StageStatus:
    base = dict(_one(found[0]))
    if found[0].batch is None:
        return StageStatus(**base)
    base["stale"] = tuple(dict.fromkeys(why for now in found for why in _why_not_current(now)))
    columns = zip(*(now.gates for now in found), strict=True)
    base["gates"] = tuple(_gate(min(gates, key=lambda gate: _WORST_FIRST.index(gate.state))) for gates in columns)
    return StageStatus(**base, batches={str(now.batch): _one(now) for now in found})


def _one(now: StageNow) -> PieceStatus:
    newest = now.newest
    return PieceStatus(
        digest=newest.digest if newest else None,
        age_seconds=round((datetime.now(UTC) - newest.at).total_seconds()) if newest else None,
        run_id=newest.run_id if newest else None,
        stale=tuple(_why_not_current(now)),
        gates=tuple(_gate(gate) for gate in now.gates),
    )


def _why_not_current(now: StageNow) -> list[str]:
    broken = [now.state.broken] if now.state.broken else []
    return [*now.state.stale, *broken]


def _gate(gate: GateState) -> GateShown:
    return GateShown(name=gate.name, state=gate.state, sentence=gate.sentence, asset=gate.asset)
