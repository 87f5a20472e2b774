"""Further seeds of a student in its artifacts: a folder for each beside the model that ships, and facts of its own.

Belongs here: where they are, in what was trained and in what was exported.
Does not: training (stages/candidates.py), exporting (stages/exports.py), what their spread says
(evaluation/measures/seeds.py).
"""

from collections.abc import Collection
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.recipe.students import StudentSpec

SEEDS = "seeds"


def seed_folder(seed: int) -> str:
    """Where in an artifact the model of a further seed is."""
    return f"{SEEDS}/{seed}"


def models_by_seed(folder: Path, made: Collection[int], student: StudentSpec) -> dict[int, Path]:
    """The folders of the further seeds of a student, in the order of the recipe.

    Args:
        folder: of the artifact.
        made: the seeds that the artifact's facts name.
        student: as the recipe has it.

    Raises:
        StillhouseError: if the artifact was made with other seeds than the recipe names.
    """
    if sorted(made) != sorted(student.more_seeds):
        raise StillhouseError(
            f"it has {_named(made)}",
            where=str(folder),
            expected=f"{_named(student.more_seeds)}, as the recipe names",
            do=f"Materialize the candidate {student.name} again, and what is made from it.",
        )
    return {seed: folder / seed_folder(seed) for seed in student.more_seeds}


def _named(seeds: Collection[int]) -> str:
    return ", ".join(seed_folder(seed) for seed in sorted(seeds)) or "no further seeds"
