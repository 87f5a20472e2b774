"""The web server under callers who send too much, too slowly, or would rather speak another protocol."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from stillhouse.serving.connections import HEAD_BYTES, HELD_BYTES, Connection
from stillhouse.serving.http import AtOnce, Header, Response

HOST = b"host: x\r\n"
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQ\r\n"
"""As Java's HTTP client sends it with the first request of a connection."""
A_READ = 262_144
"""The most that uvloop reads of a socket at once."""


class Application:
    """Says what was asked; of `/unread` before any of a body has come, of `/whole` at once where it came whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", scope["path"] != "/unread"
        while more:
            message = await receive()
            self.disconnected += message["type"] == "http.disconnect"
            body, more = body + message.get("body", b""), message.get("more_body", False)
        names = b",".join(name for name, _ in scope["headers"])
        said = b"%s %s [%s] %s" % (scope["method"].encode(), scope["path"].encode(), names, body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
        await send({"type": "http.response.body", "body": said})

    def at_once(self, address: bytes, headers: Sequence[Header]) -> AtOnce | None:
        async def answer(body: bytes) -> tuple[Response, str]:
            if body == b"error":
                raise RuntimeError("nobody expects this")
            for _ in range(3):
                await asyncio.sleep(0)
            return Response(200, b"at once " + body, afterwards=lambda: self.afterwards.append(body)), "an-id"

        return answer if address == b"/whole" else None

    def __init__(self) -> None:
        self.afterwards = list[bytes]()
        self.disconnected = 0


@dataclass
class Caller:
    """A caller at the level of bytes."""

    port: int
    application: Application
    config: uvicorn.Config

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, *parts: bytes) -> bytes:
        """All that comes back until the server closes, of requests the last of which asks it to."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return all_of(connection)


def all_of(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    heard = b""
    try:
        while part := connection.recv(65_536):
            heard += part
    except ConnectionResetError:  # what was sent and not read makes an end one of these
        pass
    return heard


def request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return line + b" HTTP/1.1\r\n" + HOST + b"".join(headers) + b"\r\n" + body


CLOSE = b"connection: close\r\n"


@pytest.fixture
def caller() -> Iterator[Caller]:
    listener, application = socket.create_server(("127.0.0.1", 0)), Application()
    config = uvicorn.Config(
        application, http=Connection, ws="none", loop="uvloop", lifespan="off", access_log=False, log_config=None,
        server_header=False, date_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Caller(listener.getsockname()[1], application, config)
    finally:
        server.should_exit = True
        thread.join(20)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.long
@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET / HTTP/1.1\r\nx: ", b"a" * 8192),
        (b"GET / HTTP/1.1\r\n", b"x: y\r\n" * 2048),
        (b"GET /", b"a" * 8192),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"x: y\r\n" * 2048),
        (b"POST /unread HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"x: y\r\n" * 2048),
        (b"POST /unread HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;x=", b"a" * 8192),
    ],
    ids=["one header", "headers", "address", "trailers", "trailers of what was answered", "a chunk's extension"],
)
def test_what_leads_nowhere_is_not_read_for_ever(caller: Caller, begin: bytes, more: bytes) -> None:
    before, sent = resident(), 0
    with caller.connect() as connection:
        connection.sendall(begin)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while sent < 1_000_000_000:
                connection.sendall(more)
                sent += len(more)
    # Beyond what it keeps there is what the two sockets hold between them.
    assert sent < 64_000_000 and resident() - before < 32_000_000
    assert caller.ask(request(b"GET /next", CLOSE)).endswith(b"GET /next [host,connection] ")


def test_headers_that_are_too_long_are_refused_by_name(caller: Caller) -> None:
    with caller.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        for _ in range((HEAD_BYTES + A_READ) // 4096 + 2):
            try:
                connection.sendall(b"a" * 4096)
            except (BrokenPipeError, ConnectionResetError):
                break
        heard = all_of(connection)
    assert not heard or heard.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


def test_headers_as_large_as_others_take_them_are_read(caller: Caller) -> None:
    large = b"x-large: " + b"a" * (HEAD_BYTES // 2) + b"\r\n"
    assert caller.ask(request(b"GET /", large, CLOSE)).endswith(b"GET / [host,x-large,connection] ")


def test_a_large_body_in_small_pieces_is_read(caller: Caller) -> None:
    pieces = b"1\r\na\r\n" * 50_000
    heard = caller.ask(request(b"POST /", b"transfer-encoding: chunked\r\n", CLOSE), pieces, b"0\r\n\r\n")
    assert heard.endswith(b"a" * 50_000)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nx: y\r\n"])
def test_headers_that_do_not_come_are_not_waited_for(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("stillhouse.serving.connections.HEAD_SECONDS", 0.05)
    with caller.connect() as connection:
        connection.sendall(sent)
        assert all_of(connection).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize(
    ("sent", "said"), [(b"\r\n", b""), (b"GET / HTTP/1.1\r\nx: y\r\n", b"HTTP/1.1 408 Request Timeout\r\n")]
)
def test_those_of_a_second_request_are_not_waited_for_either(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, sent: bytes, said: bytes
) -> None:
    with caller.connect() as connection:
        connection.sendall(request(b"GET /first"))
        assert connection.recv(1000).endswith(b"GET /first [host] ")
        monkeypatch.setattr("stillhouse.serving.connections.HEAD_SECONDS", 0.05)
        connection.sendall(sent)
        assert all_of(connection).partition(b"content-type")[0] == said


def test_a_body_that_is_answered_unread_is_not_taken_for_ever(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    with caller.connect() as connection:
        connection.sendall(request(b"POST /unread", b"content-length: 1000000\r\n", body=b"a"))
        assert b"POST /unread" in connection.recv(1000)
        monkeypatch.setattr("stillhouse.serving.connections.HEAD_SECONDS", 0.05)
        connection.sendall(b"a")
        assert all_of(connection) == b""


def test_one_whose_body_comes_after_its_answer_asks_again_on_the_same_connection(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caller.connect() as connection:
        connection.sendall(request(b"POST /unread", b"content-length: 5\r\n", body=b"a"))
        assert b"POST /unread" in connection.recv(1000)
        monkeypatch.setattr("stillhouse.serving.connections.HEAD_SECONDS", 0.01)
        connection.sendall(b"bcde")
        time.sleep(0.1)  # in which a timer that was left would end it
        connection.sendall(request(b"GET /second", CLOSE))
        assert all_of(connection).endswith(b"GET /second [host,connection] ")


LENGTH, CHUNKED = b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"
CHUNKS = b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


@pytest.mark.parametrize("headers", [H2C, b"connection: upgrade\r\nupgrade: websocket\r\n"], ids=["h2c", "websocket"])
@pytest.mark.parametrize(("of_body", "body"), [(LENGTH, b"hello"), (CHUNKED, CHUNKS)], ids=["length", "chunks"])
@pytest.mark.parametrize("size", [1, 7, 10_000], ids=["byte by byte", "in pieces", "at once"])
def test_a_request_that_would_rather_speak_another_protocol_is_answered_in_this_one(
    caller: Caller, headers: bytes, of_body: bytes, body: bytes, size: int
) -> None:
    sent = request(b"POST /a", headers, of_body, body=body) + request(b"GET /b", headers) + request(b"GET /c", CLOSE)
    heard = caller.ask(*(sent[start : start + size] for start in range(0, len(sent), size)))
    names = b"host,connection," + of_body.partition(b":")[0]
    for said in (b"POST /a [%s] hello" % names, b"GET /b [host,connection] ", b"GET /c [host,connection] "):
        assert said in heard
    assert heard.count(b"HTTP/1.1 200") == 3


def test_a_connection_that_is_to_be_closed_is_closed_though_it_asked_for_another_protocol(caller: Caller) -> None:
    with caller.connect() as connection:
        connection.sendall(request(b"GET /", b"connection: close, upgrade\r\nupgrade: h2c\r\n"))
        assert all_of(connection).endswith(b"GET / [host,connection] ")


def test_a_thousand_that_ask_for_another_protocol_at_once_are_all_answered(caller: Caller) -> None:
    heard = caller.ask(request(b"GET /", H2C) * 1000 + request(b"GET /last", CLOSE))
    assert heard.count(b"GET / [host,connection] ") == 1000 and heard.endswith(b"GET /last [host,connection] ")


def test_nothing_behind_a_body_counts_as_a_header(caller: Caller) -> None:
    body = b"5\r\nhello\r\n0\r\nauthorization: Bearer x\r\n\r\n"
    heard = caller.ask(request(b"POST /", CHUNKED, CLOSE, body=body))
    assert heard.endswith(b"POST / [host,transfer-encoding,connection] hello")


@pytest.mark.parametrize(
    "sent",
    [
        request(b"CONNECT x:1"),
        request(b"POST /", LENGTH, CHUNKED, body=CHUNKS),
        request(b"POST /", LENGTH, b"content-length: 6\r\n", body=b"hello"),
        request(b"POST /", b"content-length: -5\r\n", body=b"hello"),
        request(b"POST /", b"content-length : 5\r\n", body=b"hello"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["proxy", "two lengths", "lengths that differ", "below nothing", "a blank before a colon", "TLS", "HTTP/2"],
)
def test_what_another_server_may_read_otherwise_is_refused(caller: Caller, sent: bytes) -> None:
    assert caller.ask(sent).startswith(b"HTTP/1.1 400 ")


WHOLE = b"POST /whole"


def answers(heard: bytes) -> list[bytes]:
    """The bodies of answers, in the order in which they came; each is as long as its answer says."""
    found, rest = [], heard
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        found.append(rest[:length])
        rest = rest[length:]
    return found


def test_a_question_that_came_whole_is_answered_at_once_and_the_next_one_too(caller: Caller) -> None:
    with caller.connect() as connection:
        for text in (b"hello", b"salut"):
            connection.sendall(request(WHOLE, LENGTH, body=text))
            heard = connection.recv(1000)
            assert heard == b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\nx-request-id: an-id\r\n\r\nat once " + text
        connection.sendall(request(WHOLE, CHUNKED, body=CHUNKS))
        assert connection.recv(1000).endswith(b"at once hello")
        connection.sendall(request(b"GET /last", CLOSE))
        assert all_of(connection).endswith(b"GET /last [host,connection] ")
    assert caller.application.afterwards == [b"hello", b"salut", b"hello"]


def test_answers_come_in_the_order_of_the_questions_however_each_is_answered(caller: Caller) -> None:
    whole, other = request(WHOLE, LENGTH, body=b"hello"), request(b"POST /other", LENGTH, body=b"salut")
    heard = caller.ask(whole + other + whole + whole + request(b"GET /last", CLOSE))
    at_once, by_task = b"at once hello", b"POST /whole [host,content-length] hello"
    said = answers(heard)
    assert said[1] == b"POST /other [host,content-length] salut" and said[4] == b"GET /last [host,connection] "
    assert len(said) == 5 and {said[0], said[2], said[3]} <= {at_once, by_task}


@pytest.mark.parametrize(
    "headers",
    [CLOSE, b"expect: 100-continue\r\n"],
    ids=["the last one", "one that waits to be asked for its body"],
)
def test_a_question_that_asks_for_more_than_an_answer_goes_the_way_of_all_others(
    caller: Caller, headers: bytes
) -> None:
    heard = caller.ask(request(WHOLE, LENGTH, headers, body=b"hello") + request(b"GET /last", CLOSE))
    assert b"POST /whole [host,content-length," in heard and b"at once" not in heard


@pytest.mark.parametrize(
    "asked", [request(WHOLE, LENGTH, body=b"hello"), request(b"GET /other")], ids=["at once", "as all others"]
)
def test_a_connection_is_kept_as_long_as_requests_come_in_time_and_then_closed(caller: Caller, asked: bytes) -> None:
    caller.config.timeout_keep_alive = 1
    with caller.connect() as connection:
        for _ in range(5):  # longer than it is kept without one
            connection.sendall(asked)
            assert b"200 OK" in connection.recv(1000)
            time.sleep(0.3)
        assert all_of(connection) == b""
    caller.config.timeout_keep_alive = 3600
    with caller.connect() as another:
        another.sendall(asked)
        assert b"200 OK" in another.recv(1000)
        another.settimeout(1.5)
        with pytest.raises(TimeoutError):
            another.recv(1)


@pytest.mark.parametrize("late", [1, 5])
@pytest.mark.parametrize("seconds", [0.02, 10], ids=["too late", "in time"])
def test_a_question_whose_body_comes_by_itself_is_answered_and_the_next_one_too(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, late: int, seconds: float
) -> None:
    monkeypatch.setattr("stillhouse.serving.connections.HELD_SECONDS", seconds)
    sent, is_late = request(WHOLE, LENGTH, body=b"hello"), seconds < 1
    with caller.connect() as connection:
        for _ in range(3):
            connection.sendall(sent[:-late])
            time.sleep(0.1)
            connection.sendall(sent[-late:])
            heard = connection.recv(1000)
            assert heard.endswith(b"POST /whole [host,content-length] hello" if is_late else b"at once hello")
        connection.sendall(sent)
        assert connection.recv(1000).endswith(b"at once hello")


@pytest.mark.parametrize("size", [HELD_BYTES, HELD_BYTES + 1, 3_000_000])
def test_a_large_question_goes_the_way_of_all_others(caller: Caller, size: int) -> None:
    heard = caller.ask(
        request(WHOLE, b"content-length: %d\r\n" % size, body=b"a" * size) + request(b"GET /last", CLOSE)
    )
    first, last = answers(heard)
    at_once = b"at once " + b"a" * size
    assert first == (at_once if size == HELD_BYTES else b"POST /whole [host,content-length] " + b"a" * size)
    assert last == b"GET /last [host,connection] "


@pytest.mark.parametrize("of_body", [b"", b"hel"])
def test_a_question_that_never_comes_whole_is_one_whose_caller_went_away(
    caller: Caller, caplog: pytest.LogCaptureFixture, of_body: bytes
) -> None:
    """Regression: who left before the question was let go, within a tenth of a second, was never heard of."""
    for _ in range(20):
        with caller.connect() as connection:
            connection.sendall(request(WHOLE, LENGTH, body=of_body))
    assert caller.ask(request(b"GET /last", CLOSE)).endswith(b"GET /last [host,connection] ")
    until = time.monotonic() + 20
    while caller.application.disconnected < 20 and time.monotonic() < until:
        time.sleep(0.01)
    assert caller.application.disconnected == 20 and caplog.messages == []


def test_a_fault_in_an_answer_ends_its_connection_and_no_other(caller: Caller) -> None:
    with caller.connect() as connection, caller.connect() as another:
        connection.sendall(request(WHOLE, LENGTH, body=b"error"))
        assert all_of(connection) == b""
        another.sendall(request(WHOLE, LENGTH, body=b"hello"))
        assert another.recv(1000).endswith(b"at once hello")


def test_of_questions_with_something_else_behind_them_nothing_is_logged(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """Regression: the answer to the first, which nobody could be sent any more, was in the log with all it says."""
    heard = caller.ask(request(WHOLE, LENGTH, body=b"hello") * 2 + b"\0\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 400 ")
    with caller.connect() as connection:
        connection.sendall(request(WHOLE, LENGTH, body=b"salut"))
        assert connection.recv(1000).endswith(b"at once salut")
    assert caplog.messages == ["Invalid HTTP request received."] and "hello" not in caplog.text
    assert caller.application.afterwards == [b"hello", b"salut"]


def test_who_goes_away_before_the_answer_disturbs_nobody(caller: Caller) -> None:
    for _ in range(50):
        with caller.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # ends by a reset
            connection.sendall(request(WHOLE, LENGTH, body=b"hello"))
    with caller.connect() as connection:
        connection.sendall(request(WHOLE, LENGTH, body=b"hello"))
        assert connection.recv(1000).endswith(b"at once hello")
