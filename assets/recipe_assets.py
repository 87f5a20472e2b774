"""All assets of one recipe, in the order in which data flows.

Belongs here: the list.
Does not: anything else.
"""

import dagster as dg

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
from stillhouse.recipe.reading import RecipeFile
from stillhouse.stages import names


def assets_of(file: RecipeFile) -> dict[str, dg.AssetsDefinition]:
    """Every stage of a recipe and its asset."""
    recipe = file.recipe
    candidates = {names.candidate(student.name): candidate_of(file, student) for student in recipe.students}
    exports = {names.export(student.name): export_of(file, student) for student in recipe.students}
    made = {
        names.CONTRACT: contract(file),
        names.SOURCE: source(file),
        names.PROMPTS: prompts(file),
        names.TEACHER: teacher(file),
        names.BASELINES: baselines(file),
        names.TEACHER_SIGNAL: teacher_signal(file),
        names.TRANSFER_SET: transfer_set(file),
        **candidates,
        **exports,
        names.EVALUATION: evaluation(file),
        names.REASONS: reasons(file),
        names.SELECTION: selection(file),
        names.RELEASE: release(file),
        names.CHAMPION: champion(file),
    }
    return {stage: made[stage] for stage in names.stage_names(recipe)}
