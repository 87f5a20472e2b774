"""What the audit of a recipe is held against: its gates, what Dagster shows, the witness and the keys.

Belongs here: bringing these together from the installation.
Does not: the audit itself (stillhouse/audit/), printing it (commands/).
"""

import os

import dagster as dg

from assets.keys import key_of
from checks.stages import UNWAIVABLE, gates_of
from orchestration.batches import batches_in
from orchestration.stages_now import stages_now
from stillhouse.audit.answers import AnswerAudit, audit_answer
from stillhouse.audit.audit import audit
from stillhouse.audit.content import altered
from stillhouse.audit.records import Audit, AuditedAgainst
from stillhouse.audit.rows import RowAudit, audit_row
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.segments import TrafficStore
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.keys import Keys
from stillhouse.records.witness import Witness
from stillhouse.serving.ids import RequestIds, issued_at
from stillhouse.stages.names import CHAMPION


def audit_recipe(home: Home, recipe: str, *, written_down: str | None = None) -> Audit:
    """Audit the champion of a recipe against everything that this installation knows; nothing is written.

    Args:
        home: the installation.
        recipe: name of the recipe.
        written_down: a head's digest that somebody noted.
    """
    builds = BuildStore(home)
    return audit(builds.store, builds.ledger, recipe, _outside(home, recipe, written_down))


def audit_request(home: Home, recipe: str, id: str) -> AnswerAudit:
    """Audit one answer that a server of this installation gave; nothing is written.

    Args:
        home: the installation.
        recipe: name of the recipe.
        id: of the answer.

    Raises:
        StillhouseError: if this installation issued no such id, there is no secret to tell it by, or no such answer is
            kept.
    """
    if not RequestIds.known(home.serving).is_ours(id):
        raise StillhouseError(
            "no server of this installation issued this id",
            where="--request",
            expected="the id of an answer, 28 characters",
            do="Copy it from the answer, or ask where the server runs: the secret below STILLHOUSE_HOME tells.",
        )
    builds, traffic = BuildStore(home), TrafficStore(home.artifacts, recipe)
    outside = _outside(home, recipe, None)
    return audit_answer(builds.store, builds.ledger, traffic, outside, id=id, issued_at=issued_at(id))


def audit_teachers_row(home: Home, recipe: str, prompt_id: str) -> RowAudit:
    """Audit what the teacher said of one row that the champion comes from; nothing is written.

    Raises:
        StillhouseError: see `audit_row`.
    """
    return audit_row(BuildStore(home), recipe, _outside(home, recipe, None), prompt_id=prompt_id)


def _outside(home: Home, recipe: str, written_down: str | None) -> AuditedAgainst:
    return AuditedAgainst(
        gates_of=lambda stage: gates_of(stage).names(blocking=True),
        unwaivable=UNWAIVABLE,
        witness=Witness.from_environment(),
        trusted=Keys.from_environment().trusted(),
        written_down=written_down,
        shown=champion_that_dagster_shows(home, recipe),
    )


def champion_that_dagster_shows(home: Home, recipe: str) -> str | None:
    """Digest of the champion artifact in Dagster's newest event about it; None where there is no such event.

    None, too, where Dagster's databases cannot be written, such as on a read-only copy of the state: SQLite does not
    open them there, and what they show decides nothing.
    """
    if not (home.dagster / "dagster.yaml").exists() or not os.access(home.dagster, os.W_OK):
        return None
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        wanted = dg.AssetRecordsFilter(asset_key=key_of(recipe, CHAMPION))
        records = instance.fetch_materializations(wanted, limit=1).records
    event = records[0].asset_materialization if records else None
    digest = event.metadata.get("digest") if event else None
    return str(digest.value) if digest is not None else None


def altered_artifacts(instance: dg.DagsterInstance, builds: BuildStore, file: RecipeFile) -> tuple[int, list[str]]:
    """Hash every current artifact of a recipe: how many there are, and one line for each that was altered."""
    newest = [now.newest for now in stages_now(builds, file, batches_in(instance, file)) if now.newest is not None]
    return len(newest), altered(builds.store, [(made.address, made.digest, made.manifest) for made in newest])
