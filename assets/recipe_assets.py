"""All assets of one recipe, in the order in which data flows.

Belongs here: the list.
Does not: anything else.
"""

import dagster as dg

from assets import keys
from assets.baselines import baselines
from assets.candidates import candidate_of
from assets.champion import champion
from assets.contract import contract
from assets.evaluation import evaluation
from assets.exports import export_of
from assets.prompts import prompts
from assets.reasons import reasons
from assets.release import release
from assets.selection import selection
from assets.source import source
from assets.teacher import teacher
from assets.teacher_signal import teacher_signal
from assets.transfer_set import transfer_set
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile


def stage_names(recipe: Recipe) -> list[str]:
    """Every stage of a recipe, in the order in which data flows."""
    students = [student.name for student in recipe.students]
    return [
        keys.CONTRACT,
        keys.SOURCE,
        keys.PROMPTS,
        keys.TEACHER,
        keys.BASELINES,
        keys.TEACHER_SIGNAL,
        keys.TRANSFER_SET,
        *map(keys.candidate, students),
        *map(keys.export, students),
        keys.EVALUATION,
        keys.REASONS,
        keys.SELECTION,
        keys.RELEASE,
        keys.CHAMPION,
    ]


def assets_of(file: RecipeFile) -> dict[str, dg.AssetsDefinition]:
    """Every stage of a recipe and its asset."""
    recipe = file.recipe
    candidates = {keys.candidate(student.name): candidate_of(file, student) for student in recipe.students}
    exports = {keys.export(student.name): export_of(file, student) for student in recipe.students}
    made = {
        keys.CONTRACT: contract(file),
        keys.SOURCE: source(file),
        keys.PROMPTS: prompts(file),
        keys.TEACHER: teacher(file),
        keys.BASELINES: baselines(file),
        keys.TEACHER_SIGNAL: teacher_signal(file),
        keys.TRANSFER_SET: transfer_set(file),
        **candidates,
        **exports,
        keys.EVALUATION: evaluation(file),
        keys.REASONS: reasons(file),
        keys.SELECTION: selection(file),
        keys.RELEASE: release(file),
        keys.CHAMPION: champion(file),
    }
    return {stage: made[stage] for stage in stage_names(recipe)}
