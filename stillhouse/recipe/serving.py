"""How a recipe's champion is served.

Belongs here: what a server of this recipe takes at most.
Does not: where it listens and who may ask, which belong to the machine (stillhouse/serving/).
"""

from pydantic import Field

from stillhouse.recipe.fields import Part


class ServingSpec(Part):
    """Limits of one server, beyond which a request is refused before work on it begins."""

    concurrency: int = Field(
        64, ge=1, description="requests that wait or are worked on at one time; a further one is refused for a moment"
    )
    body_bytes: int = Field(200_000, ge=1_000, description="size of a request's body")
    texts: int = Field(64, ge=1, description="texts of one request")
