"""A request as the web server hands it over, and the response that goes back: ASGI, and no more of it than is used.

Belongs here: headers, a body and how much of it is read for how long, sending.
Does not: which endpoint answers, and what it says (app.py).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import NamedTuple

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Send

from stillhouse.base import Record
from stillhouse.serving.refused import RefusedError

BODY_SECONDS = 10
"""In which a request's body has to arrive: who sends it more slowly holds a connection for nothing."""
_LATE = "the body did not arrive"

Header = tuple[bytes, bytes]
"""Name, in small letters, and value."""


class Headers:
    """What a request says of itself.

    Args:
        sent: as they came; of several of one name the first counts.
    """

    __slots__ = ("_sent",)

    def __init__(self, sent: Sequence[Header]) -> None:
        self._sent = sent

    def get(self, name: str, default: str = "") -> str:
        """The value of a name, or what stands for none."""
        wanted = name.encode()
        for each, value in self._sent:  # they are few, and three of them are asked for
            if each == wanted:
                return value.decode("latin-1")
        return default


class Request:
    """What was asked.

    Args:
        headers: as they came.
        recipe: that its address names; empty where it names none.
        body: gives it, part by part; or all of it, where it is there.
    """

    __slots__ = ("_body", "headers", "recipe")

    def __init__(self, headers: Sequence[Header], recipe: str, body: Receive | bytes) -> None:
        self._body, self.headers, self.recipe = body, Headers(headers), recipe

    async def body(self, at_most: int) -> bytes:
        """All of the body, or no more of it than is taken.

        Args:
            at_most: bytes.

        Raises:
            RefusedError: if it is not said to be JSON, has more bytes or takes too long.
            ClientDisconnect: if the caller goes away.
        """
        if not self.headers.get("content-type").startswith("application/json"):
            # A page of another site can send anything else from a browser without asking first.
            raise RefusedError(415, "the content type is another", "content-type: application/json")
        announced = self.headers.get("content-length")
        if announced.isdecimal() and int(announced) > at_most:
            raise _too_large(at_most)
        if isinstance(self._body, bytes):
            if len(self._body) > at_most:
                raise _too_large(at_most)
            return self._body
        task = asyncio.current_task()
        assert task is not None
        # As `asyncio.timeout` does it, at a quarter of what that costs.
        late = asyncio.get_running_loop().call_later(BODY_SECONDS, task.cancel, _LATE)
        try:
            return await _read(self._body, at_most)
        except asyncio.CancelledError as cancelled:
            if _LATE not in cancelled.args:
                raise
            task.uncancel()
            raise RefusedError(408, _LATE, f"all of it within {BODY_SECONDS} seconds") from None
        finally:
            late.cancel()


async def _read(receive: Receive, at_most: int) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > at_most:
            raise _too_large(at_most)
        more = message.get("more_body", False)
    return body


def _too_large(at_most: int) -> RefusedError:
    return RefusedError(413, "the body is too large", f"at most {at_most} bytes")


class Response(NamedTuple):
    """What is sent back.

    Attributes:
        status: of HTTP.
        body: all of it.
        headers: beside the length of the body and the id of the request.
        afterwards: to be called once it was sent; None where there is nothing more to do.
    """

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()
    afterwards: Callable[[], None] | None = None

    def all_headers(self, id: str) -> list[Header]:
        """All that belong to it as the answer to a request."""
        return [*self.headers, (b"content-length", b"%d" % len(self.body)), (b"x-request-id", id.encode())]

    async def send(self, send: Send, id: str) -> None:
        """Send it as the answer to a request."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.all_headers(id)})
        await send({"type": "http.response.body", "body": self.body})
        if self.afterwards is not None:
            self.afterwards()


AtOnce = Callable[[bytes], Coroutine[None, None, tuple[Response, str]]]
"""Takes the body of a request; what it gives ends in the response and the request's id, and now and then gives way to
the event loop."""

JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")


def json_response(content: Record, status: int, *headers: Header) -> Response:
    """A record as JSON."""
    return Response(status, content.model_dump_json().encode(), (*headers, JSON))


def text_response(text: str) -> Response:
    """Lines for people, and for programs that look at the status alone."""
    return Response(200, text.encode(), (_TEXT,))
