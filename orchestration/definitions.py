"""The code location that Dagster loads: every recipe in defs/, and the resources they share."""

from pathlib import Path

import dagster as dg

from orchestration.build import shared_definitions
from orchestration.component import DistillationRecipe as DistillationRecipe

defs = dg.Definitions.merge(dg.load_from_defs_folder(path_within_project=Path(__file__).parent), shared_definitions())
