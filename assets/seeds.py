"""Further seeds of a student in its artifacts: a folder for each beside the model that ships, and facts of its own.

Belongs here: where they are, in what was trained and in what was exported.
Does not: making them (candidates.py, exports.py), what their spread says (stillhouse/evaluation/measures/seeds.py).
"""

from pathlib import Path

from assets.teacher import MODEL
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import StudentSpec
from stillhouse.records.builds import Artifact, Facts

SEEDS = "seeds"


def seed_folder(seed: int) -> str:
    """Where in an artifact the model of a further seed is."""
    return f"{SEEDS}/{seed}"


def facts_by_folder(artifact: Artifact) -> dict[str, Facts]:
    """The facts of each model in an artifact by its folder, the one that ships first."""
    more: dict[str, Facts] = artifact.facts.get(SEEDS, {})
    return {MODEL: artifact.facts, **{seed_folder(int(seed)): facts for seed, facts in more.items()}}


def models_by_seed(artifact: Artifact, student: StudentSpec) -> dict[int, Path]:
    """The folders of the further seeds of a student, in the order of the recipe.

    Raises:
        StillhouseError: if the artifact was made with other seeds than the recipe names.
    """
    made, named = [*facts_by_folder(artifact)][1:], [seed_folder(seed) for seed in student.more_seeds]
    if sorted(made) != sorted(named):
        raise StillhouseError(
            f"it has {', '.join(sorted(made)) or 'no further seeds'}",
            where=artifact.address,
            expected=f"{', '.join(named) or 'no further seeds'}, as the recipe names",
            do=f"Materialize the candidate {student.name} again, and what is made from it.",
        )
    return {seed: artifact.folder / seed_folder(seed) for seed in student.more_seeds}
