"""A teacher behind a server, as it is said of a new recipe.

Belongs here: what has to be said of it.
Does not: what a recipe may say besides (stillhouse/recipe/asking.py), asking it (stillhouse/teachers/endpoint.py).
"""

from dataclasses import dataclass

from stillhouse.errors import StillhouseError


@dataclass(frozen=True)
class TeacherServer:
    """A teacher that a run asks over the network.

    Args:
        url: of its server, ending in /v1.
        model: as the server names it.
        usd_per_million_in: price of a million tokens read.
        usd_per_million_out: price of a million tokens written.
        usd_at_most: that all calls may ever cost together.
        api_key_env: variable with the key; None where there is none.
    """

    url: str
    model: str
    usd_per_million_in: float
    usd_per_million_out: float
    usd_at_most: float
    api_key_env: str | None = None


def server_of(
    url: str | None, model: str | None, usd_in: float | None, usd_out: float | None, usd_at_most: float | None,
    api_key_env: str | None,
) -> TeacherServer | None:  # fmt: skip
    """A teacher behind a server as it is said by options; None where none is.

    Raises:
        StillhouseError: if a part of it is missing; no price is assumed, since none of them is free by default.
    """
    said = {"--endpoint": url, "--model": model, "--usd-in": usd_in, "--usd-out": usd_out, "--usd-at-most": usd_at_most}
    if all(each is None for each in (*said.values(), api_key_env)):
        return None
    if url is None or model is None or usd_in is None or usd_out is None or usd_at_most is None:
        missing = [option for option, each in said.items() if each is None]
        raise StillhouseError(
            f"of a teacher behind a server {', '.join(missing)} is not said",
            where="stillhouse new",
            expected="its address, its model, USD for a million tokens read and written, and what all may cost",
            do="Add it; a server of your own has the prices 0.",
        )
    return TeacherServer(url, model, usd_in, usd_out, usd_at_most, api_key_env)
