"""What is true right now of every recipe: stages, gates, champion.

Belongs here: the shape that people script against, and whether all is well.
Does not: printing it (tables/status.py), stages in the ledger (stages_now.py), who serves (champion_status.py).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from assets.requested_rows import RequestedRows, requested_rows
from checks.gate_states import GateState
from orchestration.approvals import waivers_to_give_again
from orchestration.batches import batches_in, drop_folder_lines
from orchestration.champion_status import ChampionStatus, champion_status
from orchestration.event_list import EventShown, waiting_events
from orchestration.stages_now import StageNow, beside_now, is_closed_beside, other_events_in_dagster, stages_now
from stillhouse.base import Record
from stillhouse.live.segments import TRAFFIC, TrafficStore
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.ledger import Ledger
from stillhouse.records.locks import who_works_on
from stillhouse.records.looks import LookKind, last_looks
from stillhouse.records.plays import closed_by_a_play, risks_to_review
from stillhouse.records.rounds import rounds_to_the_champion

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
    clock: str | None = Field(
        None, description="That the ledger is ahead of this machine's clock; null where it is not."
    )
    kept_traffic: str | None = Field(
        None,
        description="That answers are kept though the recipe has no `traffic:` any more, and until when; null "
        "where that is not so.",
    )
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
        risks=tuple(each.in_words for each in risks_to_review(builds.ledger, file.recipe.risks)),
        clock=builds.ledger.ahead_of_the_clock(),
        kept_traffic=_kept_traffic(builds, file),
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


def _kept_traffic(builds: BuildStore, file: RecipeFile) -> str | None:
    """That answers are kept of a recipe that keeps none any more, and until when."""
    store = TrafficStore(builds.home.artifacts, file.name)
    days = [] if file.recipe.traffic is not None else store.days()
    if not days:
        return None
    kept, promised = f"answers from {days[0]} to {days[-1]} are kept", store.promised()
    remove = f"remove {builds.home.artifacts}/{TRAFFIC}/{file.name}"
    if promised is None:
        return (
            f"{kept} and never expire, since the recipe has no `traffic:` any more: put it back until they have "
            f"expired, or {remove}"
        )
    return (
        f"{kept}, though the recipe has no `traffic:` any more: texts for {promised.text_days} days and answers for "
        f"{promised.days}, as it said last, while a server runs or another recipe keeps traffic; or {remove}"
    )


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
