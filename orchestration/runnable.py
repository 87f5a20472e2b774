"""What of recipes can be run: their assets, gates and jobs, and what every run of them gets.

Belongs here: all that a process needs that runs a job itself.
Does not: what asks for runs, which are schedules and sensors (build.py), how any of it works.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from assets.external import external_assets
from assets.recipe_assets import assets_beside, assets_of
from checks.check_op import stage_checks
from checks.stages import gates_of
from orchestration.automation import automated
from orchestration.dagster_databases import make_events_quick
from orchestration.dagster_internals import UnresolvedAssetJobDefinition
from orchestration.freshness import refreshed
from orchestration.jobs import jobs_of
from orchestration.recipe_check import load_mistakes
from orchestration.resources import RESOURCES
from stillhouse.recipe.reading import InvalidRecipeError, RecipeFile


@dataclass(frozen=True)
class RunnableRecipe:
    """What of one recipe can be run.

    Args:
        definitions: its assets, gates and jobs.
        jobs: the same jobs, by what they do.
    """

    definitions: dg.Definitions
    jobs: Mapping[str, UnresolvedAssetJobDefinition]


def runnable_recipe(file: RecipeFile) -> RunnableRecipe:
    """All of one recipe that can be run.

    Raises:
        InvalidRecipeError: if a field has a value that Dagster refuses, or names a gate that does not exist.
    """
    mistakes = load_mistakes(file)
    if mistakes:
        raise InvalidRecipeError(list(mistakes))
    with beta_features():
        assets, beside, jobs = assets_of(file), assets_beside(file), jobs_of(file)
        definitions = dg.Definitions(
            assets=[*refreshed(file, automated(file, assets.values())), *beside.values(), *external_assets(file)],
            asset_checks=[stage_checks(file, stage, gates_of(stage)) for stage in (*assets, *beside)],
            jobs=list(jobs.values()),
        )
    return RunnableRecipe(definitions, jobs)


def for_every_run() -> dg.Definitions:
    """What every run gets, however many recipes there are.

    Steps run in the process of their run: under the multiprocess executor each would load torch again. Whoever loads
    definitions, code server and run worker, also writes events.
    """
    make_events_quick()
    return dg.Definitions(resources=RESOURCES, executor=dg.in_process_executor)


def runnable(files: Iterable[RecipeFile]) -> dg.Definitions:
    """All of the given recipes that can be run, to run it in this process."""
    return dg.Definitions.merge(*(runnable_recipe(file).definitions for file in files), for_every_run())


@contextmanager
def beta_features() -> Iterator[None]:
    """Use owners and conditions in the code server, which Dagster warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield
