"""The names of Dagster that are not public, in one place: what an update of Dagster has to be held against.

Belongs here: each private name that we use, with what for and what would break without it.
Does not: cron lines, which gates need too (assets/cron.py); the parts that servers are put together from, which take
long to import and are used where they are imported (ui.py, services.py). A linter refuses them anywhere else.
"""

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.events import RunFailureReason, StepMaterializationData
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

__all__ = [
    "DATA_VERSION_TAG",  # on a champion that serves on, or that a person chose: else the UI shows no version
    "REPOSITORY_LABEL_TAG",  # with the next one, on runs of the command line: else the UI hides them from its overview
    "SINGLETON_REPOSITORY_NAME",
    "SQLITE_STORAGES",
    "AssetCheckExecutionRecord",  # for types: a check as it was stored
    "PartitionKeyFilter",  # the checks of one batch: else `diagnose` shows the evidence of another
    "RunFailureReason",  # whether Ctrl-C ended a run: else that is taken for a failure
    "StepFailureData",  # for types: what a step died of
    "StepMaterializationData",  # that a champion serves on, of the time of its decision: else it seems newer than it is
    "UnresolvedAssetJobDefinition",  # for types: what `dg.define_asset_job` returns
    "run_storage_id",
]

SQLITE_STORAGES = (
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
)
"""Modules that make an engine for each query, by a name `create_engine` of their own; a round is slower without it."""


def run_storage_id(instance: dg.DagsterInstance) -> str:
    """By what the storage of runs is known, if by anything: in another one webhook calls are numbered from 1."""
    from dagster._core.storage.runs import SqlRunStorage  # a second to import, and any instance has done it

    storage = instance.run_storage
    return storage.get_run_storage_id() if isinstance(storage, SqlRunStorage) else ""
