"""Every recipe on one line: what serves, how its rounds go, and what it needs next.

Belongs here: that line, from ledger and Dagster's runs.
Does not: the stages and gates of one recipe (status.py), printing (tables/).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from assets.keys import key_of
from assets.materializations import newest_of_batches
from assets.requested_rows import requested_rows
from orchestration.batches import batches_in
from orchestration.champion_status import ChampionStatus, champion_status
from orchestration.dispatcher import Ask, next_step, paid_usd
from orchestration.event_list import waiting_events
from orchestration.freshness import overdue_decision
from orchestration.stages_now import beside_now, stages_now
from orchestration.status import LastRound, last_round
from stillhouse.base import Record
from stillhouse.live.memory import MemoryLimits, over_memory
from stillhouse.live.state import WatchBook
from stillhouse.live.watches import WatchKind
from stillhouse.recipe.plays import undecided
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.deployments import Deployment, desired, is_loaded
from stillhouse.records.locks import who_works_on
from stillhouse.records.plays import closed_by_a_play, risks_to_review
from stillhouse.records.replicas import Heartbeat, replicas_up
from stillhouse.records.rounds import MONTH, compute_usd, rounds_to_the_champion
from stillhouse.stages.live_report import LiveFacts
from stillhouse.stages.names import LIVE_REPORT, TRAFFIC
from stillhouse.stages.traffic import TrafficFacts
from stillhouse.statistics.live_agreement import LiveAgreement

DAYS_LOOKED_BACK = 7
"""For a day whose traffic was counted and reported on; what is older says nothing of now."""


class FleetLine(Record):
    """One recipe."""

    champion: ChampionStatus | None = Field(description="Null before the first promotion.")
    days_served: float | None = Field(description="Since its newest promotion.")
    servers: int = Field(description="That said within a minute what they serve of it.")
    behind: tuple[str, ...] = Field(description="Of these, those that serve something else than they should.")
    clocks: tuple[str, ...] = Field(description="Of these, those whose clock is off, and how far.")
    memory_mb: dict[str, float] = Field(
        description="That the process of each of them holds now, with all that it serves and keeps warm, in 1e6 bytes; "
        "of those whose system says so."
    )
    over_memory: str | None = Field(description="Which hold more than the recipe allows, if any do.")
    requests_a_day: int | None = Field(
        None, description="Of the newest day whose traffic was counted, those that a full log let go included."
    )
    agreement: LiveAgreement | None = Field(
        None, description="Of the champion with its teacher, of the newest day of this week whose report has it."
    )
    fallback_share: float | None = Field(
        None, description="Answers that come from the teacher or stand in for it, of the same week's newest report."
    )
    alarms: int | None = Field(None, description="What the watch found in 30 days; null where nothing is watched.")
    false_alarms_a_month: float | None = Field(
        None, description="That stable traffic may cause by the recipe, of `watch.false_alarms_per_year`."
    )
    gates_closed: int = Field(description="Gates that looked and are closed, those beside the rounds included.")
    rounds_at_most: int | None = Field(None, description="`refresh.rounds_per_month`.")
    usd: float | None = Field(None, description="Spent in 30 days on compute and the teacher; null without a limit.")
    usd_at_most: float | None = Field(None, description="`refresh.usd_per_month`.")
    overdue: bool = Field(description="Whether its last decision is older than the recipe allows.")
    last_round: LastRound | None
    rounds: int = Field(description="Rounds in the last 30 days.")
    promotions: int = Field(description="Times in the last 30 days that another release took over.")
    events: int = Field(description="What has happened and waits for a round.")
    requested_rows: int = Field(description="Slices that want for rows, as `stillhouse status` lists them.")
    closed: bool = Field(description="Whether a play lets no round start by itself until a person resumes it.")
    risks: int = Field(description="Risks whose day of review has come.")
    prune: tuple[str, ...] = Field(description="What is measured and decides nothing: to be given a limit, or pruned.")
    working: str | None = Field(description="Who works on it now.")
    next: str = Field(description="What it needs next, and whether by itself or from a person.")


class Fleet(Record):
    """Every recipe, by name."""

    recipes: dict[str, FleetLine]


def fleet(instance: dg.DagsterInstance, builds: BuildStore, files: Iterable[RecipeFile]) -> Fleet:
    """Look at each recipe once.

    Args:
        instance: with Dagster's runs.
        builds: with the ledger.
        files: the recipes.
    """
    return Fleet(recipes={file.name: _line(instance, builds, file) for file in files})


def _line(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> FleetLine:
    ledger, name = builds.ledger, file.name
    now = ledger.now()
    champion = champion_status(builds, name)
    rounds = rounds_to_the_champion(ledger, name)
    promotions = ledger.entries(name, "promotion")
    working, closed = who_works_on(builds.home, name), closed_by_a_play(ledger, name)
    batches, refresh = batches_in(instance, file), file.recipe.refresh
    step = next_step(instance, builds, file, batches)
    gates = [gate for each in (*stages_now(builds, file, batches), *beside_now(builds, file)) for gate in each.gates]
    limited = refresh.usd_per_month is not None
    servers, wanted = replicas_up(builds.home.ledger_url, name), desired(ledger, name)
    challenger = None if wanted is None else wanted.challenger
    loaded = is_loaded(challenger, shadow_is_live=file.recipe.shadow_is_live)
    limit = MemoryLimits.of(file.recipe).at(with_challenger=loaded)
    over = None if wanted is None else over_memory(servers, wanted.number, limit)
    return FleetLine(
        champion=champion,
        servers=len(servers),
        behind=_behind(servers, wanted),
        clocks=_clocks(servers),
        memory_mb={each.replica: each.memory_mb for each in servers if each.memory_mb is not None},
        over_memory=None if over is None else over.sentence,
        days_served=None if champion is None else (now - datetime.fromisoformat(champion.since)) / timedelta(days=1),
        overdue=overdue_decision(ledger, file, now) is not None,
        last_round=last_round(ledger, name),
        rounds=sum(now - entry.moment < MONTH for entry in rounds),
        promotions=sum(
            now - entry.moment < MONTH and entry.body.get("before") != entry.body["digest"] for entry in promotions
        ),
        events=len(waiting_events(ledger, file)),
        requested_rows=len(requested_rows(builds, file)),
        gates_closed=sum(gate.state.was_decided for gate in gates),
        rounds_at_most=refresh.rounds_per_month,
        usd=compute_usd(ledger, name, now - MONTH) + paid_usd(builds, file) if limited else None,
        usd_at_most=refresh.usd_per_month,
        closed=closed is not None,
        risks=len(risks_to_review(ledger, file.recipe.risks)),
        prune=tuple(undecided(file.recipe.terms)),
        working=None if working is None else working.by,
        next=closed or (f"a round: {step.because}" if isinstance(step, Ask) else step.sentence),
        **_live(builds, file, champion, now),
    )


def _live(builds: BuildStore, file: RecipeFile, champion: ChampionStatus | None, now: datetime) -> dict[str, Any]:
    """What is known of live answers, from what was summed up of days; no row of traffic is read."""
    recipe, found = file.recipe, dict[str, Any]()
    days = [(now - timedelta(days=back)).date().isoformat() for back in range(DAYS_LOOKED_BACK)]

    def newest(stage: str) -> Iterator[Artifact]:
        made = newest_of_batches(builds.ledger, key_of(file.name, stage), days).values()
        return (builds.artifact(each.digest, each.manifest) for each in made)

    if recipe.traffic is not None:
        counted = next((each.facts(TrafficFacts) for each in newest(TRAFFIC)), None)
        found["requests_a_day"] = None if counted is None else counted.answers + counted.thinned
    if recipe.watch is not None:
        reports = (each.facts(LiveFacts) for each in newest(LIVE_REPORT))
        own = [each for each in reports if champion is not None and each.release == champion.digest]
        shares = [each for each in (own[0].shares if own else ()) if each.kind == WatchKind.FALLBACK]
        found["agreement"] = next((each.agreement for each in own if each.agreement is not None), None)
        found["fallback_share"] = shares[0].share if shares and shares[0].rows else None
        since = (now - MONTH).timestamp()
        found["alarms"] = len(WatchBook(builds.ledger.url, file.name).findings(since=since))
        found["false_alarms_a_month"] = recipe.watch.false_alarms_per_year * MONTH.days / 365
    return found


def _behind(servers: Iterable[Heartbeat], wanted: Deployment | None) -> tuple[str, ...]:
    """What each server does that does not serve the newest deployment; it takes a second or two to follow one."""
    if wanted is None:
        return ()
    lines = []
    for each in servers:
        if each.refused == wanted.number:
            lines.append(f"{each.replica} cannot serve deployment {wanted.number}; its log says why")
        elif each.deployment != wanted.number:
            serves = "nothing yet" if each.deployment is None else f"deployment {each.deployment}"
            lines.append(f"{each.replica} serves {serves}, and deployment {wanted.number} is wanted")
    return tuple(lines)


def _clocks(servers: Iterable[Heartbeat]) -> tuple[str, ...]:
    """Whose clock is off: all that such a server keeps of its answers is filed under the wrong moment."""
    return tuple(
        f"the clock of {each.replica} is {abs(off).total_seconds():,.0f} s "
        f"{'ahead' if off > timedelta() else 'behind'}: see to the time service of its machine"
        for each in servers
        if (off := each.clock_is_ahead_by)
    )
