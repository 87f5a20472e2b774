"""How a recipe's champion is served.

Belongs here: what a server of this recipe is sent, what it takes at most, and how it asks the teacher.
Does not: where it listens and who may ask, which belong to the machine (stillhouse/serving/).
"""

from typing import Literal

from pydantic import Field, field_validator

from stillhouse.recipe.asking import is_server
from stillhouse.recipe.fields import Part


class TeacherCallsSpec(Part):
    """How a server asks the teacher, where the recipe has a cascade."""

    endpoint: str | None = Field(
        None, description="its server, where requests go to another one than teacher.source; of an endpoint alone"
    )
    deadline_ms: float = Field(
        300, gt=0, description="milliseconds after which the student's answer is given in place of the teacher's"
    )
    concurrency: int = Field(8, ge=1, le=256, description="texts that one server has the teacher answer at one time")
    usd_per_month: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="that calls of all servers may cost together in a calendar month, UTC; of an endpoint alone",
    )

    @field_validator("endpoint")
    @classmethod
    def _it_is_a_server(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not is_server(endpoint):
            raise ValueError("the address of a server, without a key, such as https://host/v1")
        return endpoint


class ServingSpec(Part):
    """What a server is asked, and its limits, beyond which a request is refused before work on it begins."""

    concurrency: int = Field(
        64, ge=1, description="requests that wait or are worked on at one time; a further one is refused for a moment"
    )
    body_bytes: int = Field(200_000, ge=1_000, description="size of a request's body")
    texts: int = Field(64, ge=1, description="texts of one request")
    request_columns: tuple[str, ...] = Field(
        (),
        description="columns of slices whose value callers send with each text: such a slice is watched and can be put "
        "in quarantine, and the traffic log keeps its values; a column by which a cascade may protect slices is named "
        "in cascade.request_columns instead",
    )
    teacher_away: Literal["answer", "refuse"] = Field(
        "answer",
        description="where the teacher should answer and cannot: answer = the student does, and the answer says so "
        "(`degraded`); refuse = status 503",
    )
    teacher: TeacherCallsSpec = Field(TeacherCallsSpec(), description="how the teacher is asked")
