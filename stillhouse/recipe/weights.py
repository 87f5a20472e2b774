"""What a recipe says of pretrained weights.

Belongs here: their source, and what pins them.
Does not: reading them (stillhouse/models/), what more is said of a teacher (teacher.py).
"""

import re

from pydantic import Field, ValidationInfo, field_validator

from stillhouse.recipe.fields import SHA256, Part


class WeightsSpec(Part):
    """Pretrained weights, pinned."""

    source: str = Field(
        description="where the weights are: package://<import name>/<folder>, hf://<org>/<name>, or a local folder; of "
        "a stored teacher the file with its answers, as data.source names one; of an endpoint its server"
    )
    revision: str = Field(
        description="version of the source; for hf:// the commit, since a branch or a tag can move; of stored answers "
        "which model gave them, and when"
    )
    fingerprint: str | None = Field(
        None,
        pattern=SHA256,
        description="SHA-256 of weights, config and tokenizer before training, as `stillhouse new` writes it; when "
        "left out, those of the first round are trusted and later rounds are held to them",
    )
    licence: str = Field(
        description="SPDX identifier of the licence; of stored answers the terms they were given under"
    )

    @field_validator("revision")
    @classmethod
    def _a_branch_is_no_pin(cls, revision: str, info: ValidationInfo) -> str:
        if str(info.data.get("source")).startswith("hf://") and not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError(
                f"{revision!r} is not a commit of 40 hexadecimal digits: a branch or a tag can move to other weights; "
                "copy the commit from the repository's history"
            )
        return revision

    @property
    def address(self) -> str:
        """Source and revision in one word, as records of what came from outside have it."""
        return f"{self.source}@{self.revision}"
