"""What the records of all rooms have in common.

Belongs here: the one base of everything that is written as JSON and read back.
Does not: the parts of a recipe, which may not quote what they refuse (stillhouse/recipe/fields.py).
"""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, and with no field but those it names, so that a misspelt one is an error and not a default."""

    # A field that has a default is written all the same, so the schema of what is written says that it is there.
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)
