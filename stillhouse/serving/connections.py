"""One connection of a caller: how many bytes headers may take, and how long; and the short way to an answer.

Belongs here: what uvicorn leaves open between a connection and the application.
Does not: bodies and responses (http.py), who may ask (tokens.py).

uvicorn keeps the headers of a request until they are whole, and waits for them as long as a caller likes. So whoever
reaches the port, with or without a token, could fill the memory of the process or hold all of its connections. And of
a request that would rather go on in another protocol, as Java's HTTP client says of its first one, it loses the body
(Kludex/uvicorn#2722).

A question that is there whole, as nearly all are, is answered without a task and messages of ASGI, which cost more than
half of what a web server costs. What comes slowly, is large or may have to wait goes uvicorn's way.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from stillhouse.serving.http import AtOnce, Header, Response

HEAD_BYTES = 65_536
"""That may come without the end of a request's headers or any of its body, beyond those of a first read."""
HEAD_SECONDS = 10
"""From the connection, or a request's first byte, to the end of the headers."""
HELD_SECONDS, HELD_BYTES = 0.1, 16_384
"""For which a question waits for its body to be answered at once, and of which size; many clients send it by itself."""
_OF_ANOTHER_PROTOCOL = frozenset({b"upgrade", b"http2-settings"})


class Answers(Protocol):
    """The application, beside what ASGI has of it."""

    def at_once(self, address: bytes, headers: Sequence[Header]) -> AtOnce | None:
        """How a POST to an address is answered that is there whole; None where its answer has to be waited for."""
        ...


class _Nobody:
    """Who waits for what comes of a request that is answered at once."""

    def set(self) -> None:
        """Nobody is woken."""


class _AtOnce:
    """A request that is answered at once, as far as uvicorn asks a request how it stands.

    Args:
        answers: how it is answered, once its body is there.
    """

    __slots__ = ("answers", "body", "disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self, answers: AtOnce) -> None:
        self.answers = answers
        self.body = bytearray()
        self.keep_alive = True
        self.disconnected = self.response_complete = False
        self.message_event = _NOBODY


_NOBODY = _Nobody()


class Connection(HttpToolsProtocol):
    """A connection of uvicorn that ends where headers are too long or too slow, and reads each request as HTTP/1.1.

    Args:
        config: of uvicorn, with our server as its application.
        given: the rest of what uvicorn gives a connection.
        named: likewise.
    """

    def __init__(self, config: Config, *given: Any, **named: Any) -> None:
        super().__init__(config, *given, **named)
        self._answers: Answers = config.app  # type: ignore[assignment]  # as it was handed over, without uvicorn's own
        self._held: _AtOnce | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self.parser: Any = _Parser(self)
        self._late: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._in_vain = 0
        self._came_further = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Wait for the first request, and not for ever."""
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more; a question that is held is one whose caller went away, as where it was not."""
        self._expect_nothing()
        for timer in (self._overdue, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()
        self._let_go()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless what comes leads nowhere."""
        self._came_further = False
        super().data_received(data)
        if self._held is not None and self._overdue is None:
            self._look_again(self._held)
        if self.transport.is_closing():
            self._expect_nothing()
            return
        self._in_vain = 0 if self._came_further else self._in_vain + len(data)
        if self._in_vain > HEAD_BYTES:
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif (self.parser.is_in_headers or self._is_drained) and not self.flow.read_paused:
            self._expect_headers()
        else:
            self._expect_nothing()

    @property
    def _is_drained(self) -> bool:
        """Whether what comes belongs to a request that was answered before all of it was there, or to none."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self._idle_since is None

    def _expect_headers(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._end, HTTPStatus.REQUEST_TIMEOUT)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end(self, status: HTTPStatus) -> None:
        """Say why, unless a response is under way, and close."""
        self._expect_nothing()
        if (self.cycle is None or self.cycle.response_complete) and self.parser.is_in_headers:
            said = status.phrase.encode() + b"\n"
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, status.phrase.encode(), len(said), said)
            )
        self.transport.close()

    # Of a question that is there whole.

    def _hold(self) -> bool:
        """Hold a question back until it is known whether its body came, too."""
        if self.parser.get_method() != b"POST" or (self.cycle is not None and not self.cycle.response_complete):
            return False
        if self.flow.write_paused or self.expect_100_continue or not self.parser.should_keep_alive():
            return False
        if self.parser.get_http_version() != "1.1":
            return False
        at_once = self._answers.at_once(self.url, self.headers)
        if at_once is None:
            return False
        self.cycle = self._held = _AtOnce(at_once)  # type: ignore[assignment]  # all that is asked of it
        return True

    def _look_again(self, held: _AtOnce) -> None:
        """Look later whether a question is held still; one timer looks after all that come meanwhile."""
        self._overdue = self.loop.call_later(HELD_SECONDS, self._look_after, held)

    def _look_after(self, held: _AtOnce) -> None:
        self._overdue = None
        if self._held is held:
            self._let_go()
        elif self._held is not None:
            self._look_again(self._held)

    def _let_go(self) -> None:
        """Go the way of all others with a question of which more is still to come."""
        held, self._held = self._held, None
        if held is not None:
            self.cycle = None  # type: ignore[assignment]  # of uvicorn: nothing is under way
            self._go_uvicorns_way()
            self.cycle.keep_alive = held.keep_alive  # no more where the server is asked to end
            super().on_body(bytes(held.body))

    def _go_uvicorns_way(self) -> None:
        read = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, headers, self.expect_100_continue = read
        self.headers += headers  # of the scope
        super().on_headers_complete()

    def _go_on(self, cycle: _AtOnce, answering: Coroutine[None, None, tuple[Response, str]]) -> None:
        """Work on an answer up to where it gives way, or to its end."""
        try:
            answering.send(None)
        except StopIteration as ended:
            response, id = ended.value
        except BaseException:
            self.transport.close()
            raise
        else:
            self.loop.call_soon(self._go_on, cycle, answering)
            return
        self._respond(cycle, response, id)  # not above: what fails here is logged, and would be with the answer

    def _respond(self, cycle: _AtOnce, response: Response, id: str) -> None:
        if not self.transport.is_closing():  # as where what came behind the question was no request
            said = [STATUS_LINE[response.status]]
            for headers in (self.server_state.default_headers, response.all_headers(id)):
                for name, value in headers:
                    said += name, b": ", value, b"\r\n"
            said += b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", response.body
            self.transport.write(b"".join(said))
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
        if response.afterwards is not None:
            response.afterwards()

    # Between two requests: one timer for a connection, where uvicorn starts and stops one for each request.

    def on_response_complete(self) -> None:
        """Go on with the request that came meanwhile, or wait for the next one."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._wait_for_the_next()

    def _wait_for_the_next(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._close_when_idle_for(self.timeout_keep_alive)

    def _close_when_idle_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if nothing came for so long; the end of a request that is under way starts the timer."""
        self.timeout_keep_alive_task = None
        if self._idle_since is not None:
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self._close_when_idle_for(left)
            else:
                super().timeout_keep_alive_handler()

    # Of the parser.

    def on_message_begin(self) -> None:
        """A request begins; what uvicorn makes of one is made when it goes uvicorn's way."""
        self._came_further = True
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._came_further = True
        if not self._hold():
            self._go_uvicorns_way()

    def on_body(self, body: bytes) -> None:
        """Some of its body has come."""
        self._came_further = True
        if self._held is not None and len(self._held.body) + len(body) > HELD_BYTES:
            self._let_go()
        if self._held is None:
            super().on_body(body)
        else:
            self._held.body += body

    def on_message_complete(self) -> None:
        """All of it has come; where it was answered before, the next one is waited for from now on."""
        self._came_further = True
        held, self._held = self._held, None
        if held is not None:
            self._go_on(held, held.answers(bytes(held.body)))
            return
        super().on_message_complete()
        if self.cycle.response_complete and self._idle_since is None:
            self._wait_for_the_next()


class _Parser:
    """Reads requests of a connection, each as if it asked for no other protocol.

    httptools ends such a request with its headers. So these are read once more without the words that ask, which a
    server may pass by (RFC 9110, 7.8), and the body behind them.

    Args:
        connection: gets what was read.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parser = self._new()
        self.is_in_headers = True

    def _new(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        return parser

    def feed_data(self, data: bytes) -> None:
        """Read on."""
        while data:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as asked:
                data = self._without_upgrade() + data[asked.args[0] :]
                self._parser = self._new()
            else:
                return

    def _without_upgrade(self) -> bytes:
        """The head of the request that was read, in HTTP/1.1, without what it says of another protocol."""
        method = self._parser.get_method()
        if method == b"CONNECT":
            raise HttpParserError("this is no proxy")
        connection, lines = self._connection, []
        for name, value in connection.headers:
            if name == b"connection":
                words = (word.strip() for word in value.split(b","))
                value = b", ".join(word for word in words if word.lower() not in _OF_ANOTHER_PROTOCOL)
            if name not in _OF_ANOTHER_PROTOCOL:
                lines.append(b"%s: %s\r\n" % (name, value))
        version = self._parser.get_http_version().encode()
        return b"%s %s HTTP/%s\r\n%s\r\n" % (method, connection.url, version, b"".join(lines))

    def should_upgrade(self) -> bool:
        """Never."""
        return False

    def should_keep_alive(self) -> bool:
        """Whether the caller would ask more by this connection."""
        return self._parser.should_keep_alive()

    def get_method(self) -> bytes:
        """Of the request that is read."""
        return self._parser.get_method()

    def get_http_version(self) -> str:
        """Of the request that is read."""
        return self._parser.get_http_version()

    # Of httptools.

    def on_message_begin(self) -> None:
        """A request begins."""
        self.is_in_headers = True
        self._connection.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Some of its address."""
        self._connection.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers; what comes behind a body is none, whatever it is called."""
        if self.is_in_headers:
            # As uvicorn has it, without a call of its own for each of the many.
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self._connection.expect_100_continue = True
            self._connection.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Its headers are whole, unless they are to be read once more."""
        if not self._parser.should_upgrade():
            self.is_in_headers = False
            self._connection.on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of its body."""
        self._connection.on_body(body)

    def on_message_complete(self) -> None:
        """All of it has come."""
        if not self._parser.should_upgrade():
            self._connection.on_message_complete()
