"""What Stillhouse writes on a run of Dagster, and what can be read from one.

Belongs here: the names of our tags, which recipes a run is of, and which process works on it.
Does not: ending runs (dead_runs.py), asking for runs (dispatcher.py).
"""

from collections.abc import Mapping, Sequence
from uuid import uuid4

import dagster as dg

from assets.keys import stage_of
from orchestration.dagster_internals import REPOSITORY_LABEL_TAG, SINGLETON_REPOSITORY_NAME
from stillhouse.digests import digest_of
from stillhouse.processes import ProcessName
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages.names import BESIDE, stage_names
from stillhouse.stages.versions import code_version

EVENTS_IN_A_TAG = 3
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.SUSPENDED,
    dg.DagsterRunStatus.CANCELING,
)
"""The statuses of a run that has not ended."""
LOCATION = "stillhouse"
"""Name of the code location, as `dg dev` names it: sensors and schedules stay on or off from one to the other."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The configuration of a run in this process of which somebody else says what is worth reading."""
SHOWN_WITH_THE_CODE_LOCATION = {REPOSITORY_LABEL_TAG: f"{SINGLETON_REPOSITORY_NAME}@{LOCATION}"}
"""What a run of the command line has to carry, so that the overview and the pages of jobs show it among the others."""
DISTIL, INGEST = "distil", "ingest"
"""What the two jobs of a recipe do; its name follows after an underscore."""
OF_DAYS = "traffic"
"""The job that sums up a day of answers, likewise."""
LIVE = "live_report"
"""The job that reports on one."""
SHADOWS = "shadow"
"""The job that replays what was asked to the release that is on its way."""
RECIPE_TAG = "stillhouse/recipe"
BECAUSE_TAG = "stillhouse/because"
"""Why it was started, in words."""
EVENTS_TAG = "stillhouse/events"
"""Which events it takes, by kind and key; the ledger has all of them where they are many."""
STATE_TAG = "stillhouse/state"
"""What it was asked to change: a digest of the first exit condition that did not hold, and of all before it."""
ATTEMPT_TAG = "stillhouse/attempt"
"""Which attempt at that state it belongs to."""
OUTCOME_TAG = "stillhouse/outcome"
"""How it ended, in words: the champion that was promoted or kept, or what stopped it.

Written by the run itself before it ends: a finished run without it was killed.
"""
PROCESS_TAG = "stillhouse/process"
VERSION_TAG = "stillhouse/version"
"""Of recipe and code, by which it was to work. A person's stop counts until one of them is changed."""


def version_of(file: RecipeFile) -> str:
    """Digest of a recipe and of the code of its stages, as this process has them."""
    return digest_of([file.recipe.digest, [code_version(stage) for stage in stage_names(file.recipe)]])


def recipes_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """The recipes that a run works on: by the tag of our jobs, by the keys that were selected, or else by its steps.

    A run that sums up days of answers works on none of them, and has a lock of its own: no round waits for it.
    """
    if RECIPE_TAG in run.tags:
        return [run.tags[RECIPE_TAG]]
    keys = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    selected = {lock_of_days(key.path[0]) if stage_of(key) in BESIDE else key.path[0] for key in keys}
    if not selected and run.execution_plan_snapshot_id is not None:  # a job that somebody made of our assets
        steps = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).step_keys_to_execute
        selected = {step.partition("__")[0] for step in steps}
    return sorted(selected)


def lock_of_days(recipe: str) -> str:
    """The lock under which days of answers are summed up; no recipe has a name with a dot."""
    return f"{recipe}.{OF_DAYS}"


def is_round(run: dg.DagsterRun) -> bool:
    """Whether it is a run of one of our jobs, and not of a few assets that somebody picked."""
    return run.job_name in {f"{job}_{run.tags.get(RECIPE_TAG)}" for job in (DISTIL, INGEST)}


def goes_the_whole_way(run: dg.DagsterRun) -> bool:
    """Whether it is a round that is to reach the champion."""
    return run.job_name == f"{DISTIL}_{run.tags.get(RECIPE_TAG)}"


def in_a_tag(events: Sequence[str]) -> str:
    """The names of events as a run shows them: the first few, and how many more there are."""
    shown = ", ".join(events[:EVENTS_IN_A_TAG])
    return f"{shown} and {len(events) - EVENTS_IN_A_TAG} more" if len(events) > EVENTS_IN_A_TAG else shown or "none"


def new_run_id() -> str:
    """A name for a run that begins in this process."""
    return str(uuid4())


def process_tag(run_id: str) -> dict[str, str]:
    """Say on a run that this process works on it; with the run's id, as a re-execution inherits the tags."""
    return {PROCESS_TAG: f"{run_id} {ProcessName.of_this_process()}"}


def process_of(run_id: str, tags: Mapping[str, str]) -> ProcessName | None:
    """The process that works on a run, or None while none has said so."""
    owner, _, process = tags.get(PROCESS_TAG, "").partition(" ")
    return ProcessName.parse(process) if owner == run_id else None
