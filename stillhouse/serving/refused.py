"""A request that gets no answer.

Belongs here: that, as an exception and as the body of the response.
Does not: when (answer.py, tokens.py, app.py), how it is sent (app.py).
"""

from stillhouse.base import Record


class RefusedError(Exception):
    """A request that gets no answer, in words of ours alone.

    Args:
        status: of HTTP.
        what: what is wrong.
        expected: what would have been accepted.
        headers: to send with it.
    """

    def __init__(self, status: int, what: str, expected: str, **headers: str) -> None:
        self.status, self.what, self.expected = status, what, expected
        self.headers = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        super().__init__(what)


class Refusal(Record):
    """The body of every response that is no answer."""

    error: str
    expected: str
    id: str
