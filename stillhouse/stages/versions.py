"""Which version of our code a stage is made by.

Belongs here: the version of a stage, computed from what its module imports.
Does not: how source is digested (stillhouse/source_code.py), the version of a gate (checks/gate.py).

A stage whose artifact was made by another version is stale: it is made again, and nothing is read from it until then.
"""

from stillhouse.source_code import closure_digest
from stillhouse.stages.names import kind_of

BY_VALUE = ("stillhouse.recipe",)
"""What a recipe says counts by its value, which each plan names among what it depends on, and not by the code that
reads it: another field of the recipe is no reason to train a teacher again. What its modules compute from that decides
content as any other code does, and counts function by function, wherever a stage uses it by name."""

ASIDE = (
    "stillhouse.records",
    *(f"stillhouse.{name}" for name in ("errors", "progress", "home", "processes", "recipe.reading")),
)
"""What records hold counts by its value as well. What tells a person how it goes, and where things are kept, decides no
content."""


def code_version(stage: str) -> str:
    """Version of the code of a stage such as `prompts` or `candidates/small`."""
    return closure_digest(f"stillhouse.stages.{kind_of(stage)}", ASIDE, BY_VALUE)
