"""What Dagster's freshness daemon would find at a moment, by its own evaluators and without waiting for it."""

import asyncio
from datetime import datetime

import dagster as dg
import time_machine
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE
from dagster._core.loader import LoadingContextForTest

from assets.keys import stage_of
from orchestration.build import definitions
from stillhouse.recipe.reading import RecipeFile


def freshness(instance: dg.DagsterInstance, file: RecipeFile, at: datetime) -> dict[str, str]:
    """The state of each stage that has a freshness policy, at a moment, by the newest event of its asset."""
    nodes = definitions([file]).resolve_asset_graph().asset_nodes
    found = {}
    with time_machine.travel(at, tick=False):
        for node in nodes:
            if node.freshness_policy is not None:
                evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(node.freshness_policy)]()
                state = asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node))
                found[stage_of(node.key)] = state.value
    return found
