"""When a server asks the teacher instead of letting the student answer.

Belongs here: what student and teacher have to hold together, and what that may cost in calls of the teacher.
Does not: finding the threshold (stillhouse/stages/cascade.py), how a server asks the teacher (serving.py).
"""

from pydantic import Field

from stillhouse.recipe.bar import Fraction
from stillhouse.recipe.fields import Name, Part


class CascadeSpec(Part):
    """The student answers where it is sure enough, the teacher elsewhere; part of the bar."""

    margin: Fraction = Field(
        description="largest acceptable drop of their accuracy together below the teacher's alone; narrower than the "
        "bar's own, which the student has to hold alone, as it answers alone when the teacher is away"
    )
    delta: float = Field(
        0.10,
        gt=0,
        lt=0.5,
        allow_inf_nan=False,
        description="chance that the threshold breaks that margin all the same",
    )
    share_at_most: Fraction = Field(0.30, description="share of golden rows that the teacher may have to answer")
    protect: tuple[Name, ...] = Field((), description="slices whose texts the teacher answers always")
    request_columns: tuple[str, ...] = Field(
        (),
        description="columns of slices whose value callers send with each text; only slices by these, or by `label`, "
        "as the student answers, can be protected, since of others a server does not know which texts are in them",
    )
