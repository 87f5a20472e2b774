"""What the records of all rooms have in common.

Belongs here: the one base of everything that is written as JSON and read back.
Does not: the parts of a recipe, which may not quote what they refuse (stillhouse/recipe/fields.py).
"""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, and with no field but those it names, so that a misspelt one is an error and not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")
