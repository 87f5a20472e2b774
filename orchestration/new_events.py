"""Finding out that something has happened to a recipe, and noting it as an event.

Belongs here: what a tick or a day finds: an overdue champion, a call from outside, matured feedback, another recipe or
code.
Does not: keeping events (stillhouse/records/events.py), what starts a round (dispatcher.py), files of rows
(batches.py), what a stage finds while it is made (assets/found.py).

Whatever is looked at here is state that exists, so a look that was killed is made up for by the next one.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl

from assets.keys import CALLS, outside
from orchestration.dagster_internals import DATA_VERSION_TAG, run_storage_id
from orchestration.freshness import overdue_after, overdue_decision
from orchestration.stages_now import StageNow
from stillhouse.data.quoting import quoted
from stillhouse.digests import digest_of
from stillhouse.live.segments import SECONDS_A_DAY, TrafficStore
from stillhouse.live.traffic import truths
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.events import Event, EventKind, Fact, history, note, note_once
from stillhouse.records.ledger import Ledger
from stillhouse.records.rounds import LABELS
from stillhouse.stages.facts import ContractFacts
from stillhouse.stages.names import CONTRACT
from stillhouse.stages.versions import code_version

CALLS_AT_ONCE = 1000
LONGEST_SENTENCE = 300
DAYS_LOOKED_AT = 31
"""How many days of answers are looked at for feedback that was not noted: of older ones it counts no more."""
STORAGE_ID = "storage_id"
STORAGE = "storage"


def note_overdue(ledger: Ledger, file: RecipeFile) -> None:
    """Note a champion about which no round has decided for longer than the recipe allows."""
    decided = overdue_decision(ledger, file, ledger.now())
    if decided is None:
        return
    key = f"{decided.body['digest'][:16]} decided {decided.at[:19]}"
    days = overdue_after(file) / timedelta(days=1)
    sentence = f"no round has decided about the champion since {decided.at[:10]}, and {days:.3g} days are allowed"
    note_once(ledger, file.name, EventKind.OVERDUE, key, sentence, {"days_at_most": days})


def note_calls(instance: dg.DagsterInstance, ledger: Ledger, file: RecipeFile) -> None:
    """Note what was reported of the external asset through which others ask for a round: what is new, and each once."""
    if EventKind.WEBHOOK not in file.recipe.refresh.start:
        return
    # Another storage of Dagster's, such as a Postgres that it was moved to, numbers from 1 on again.
    here = run_storage_id(instance)
    known = [event.facts for event in _of_kind(ledger, file.name, EventKind.WEBHOOK)]
    numbers = [facts.get(STORAGE_ID) for facts in known if facts.get(STORAGE, here) == here]
    last = max((number for number in numbers if isinstance(number, int)), default=None)
    wanted = dg.AssetRecordsFilter(asset_key=outside(file.name, CALLS), after_storage_id=last)
    for record in instance.fetch_materializations(wanted, limit=CALLS_AT_ONCE, ascending=True).records:
        said = record.asset_materialization
        assert said is not None
        metadata = {name: str(value.value) for name, value in said.metadata.items()}
        body = digest_of([said.description, metadata, (said.tags or {}).get(DATA_VERSION_TAG)])
        sentence = quoted(" ".join((said.description or "a call from outside").split()), LONGEST_SENTENCE)
        note(ledger, file.name, EventKind.WEBHOOK, body[:32], sentence, {STORAGE_ID: record.storage_id, STORAGE: here})


def note_labels(builds: BuildStore, file: RecipeFile, today: date) -> None:
    """Note each day of answers whose feedback has matured, and again what came of it later, as many as came.

    What is noted of a day adds up to the truths that are known of it, whenever they came and whenever somebody looks.
    """
    spec = file.recipe.traffic
    if spec is None:
        return
    store, known = TrafficStore(builds.home.artifacts, file.name), _of_kind(builds.ledger, file.name, EventKind.LABELS)
    counted = Counter[str]()
    for event in known:
        labels = event.facts.get(LABELS)
        counted[event.key.partition(" ")[0]] += labels if isinstance(labels, int) else 0
    said_on = [day for day in store.days() if store.segments(day, "feedback")]
    # Of an answer that came after the last feedback nobody has said anything, so that its day need not be read.
    last = min((today - timedelta(days=1 + spec.matures_after_days)).isoformat(), max(said_on, default=""))
    days = [day for day in store.days() if day <= last][-DAYS_LOOKED_AT:]
    if not days:
        return
    said = truths(store, since=days[0]).filter(pl.col("truth").is_not_null())
    until = datetime.combine(today, datetime.min.time(), UTC).timestamp() - spec.matures_after_days * SECONDS_A_DAY
    for day in days:
        found = store.frame(day, "requests").filter(pl.col("at") <= until)
        have, before = found.join(said, on="id", how="semi").height, counted[day]
        if have <= before:
            continue
        sentence = f"{have:,} of {found.height:,} answers of {day} have their truth"
        sentence += f", {have - before:,} since this was noted before" if before else ""
        facts: dict[str, Fact] = {
            "day": day,
            LABELS: have - before,
            "answers": found.height,
            "selection": spec.feedback,
        }
        # By what was counted before, so that of two that look at once one counts.
        note_once(builds.ledger, file.name, EventKind.LABELS, f"{day} after {before}", sentence, facts)


def note_changes(builds: BuildStore, file: RecipeFile, stages: Sequence[StageNow]) -> None:
    """Note that the recipe is another than the one that was frozen, or the code another than what made its stages."""
    made = {now.stage: now.newest for now in stages if now.newest is not None}
    contract = made.get(CONTRACT)
    frozen = None if contract is None else builds.artifact(contract.digest, contract.manifest).facts(ContractFacts)
    if frozen is not None and frozen.recipe != file.recipe.digest:
        what = f"the recipe is {file.recipe.digest[:12]} now"
        note_once(builds.ledger, file.name, EventKind.RECIPE, file.recipe.digest, what)
    manifests = {stage: builds.store.read_manifest(newest.digest, newest.manifest) for stage, newest in made.items()}
    changed = sorted(stage for stage, manifest in manifests.items() if manifest.code_digest != code_version(stage))
    if changed:
        key = digest_of([[stage, code_version(stage)] for stage in changed])
        note_once(builds.ledger, file.name, EventKind.CODE, key, f"the code of {', '.join(changed)} was changed")


def _of_kind(ledger: Ledger, recipe: str, kind: EventKind) -> list[Event]:
    return [noted.event for noted in history(ledger, recipe) if noted.event.kind is kind]
