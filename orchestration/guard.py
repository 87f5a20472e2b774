"""Who may ask the webserver for what.

Belongs here: the rules, and the ASGI middleware that applies them to each request before Dagster sees it.
Does not: starting and ending the webserver (ui.py).

Dagster's own webserver has no login, takes mutations by GET and reads a POST without a content type, so that any page
which the operator has open can launch, wipe or report in his name. What is not named here as allowed is refused.
"""

import hmac
import ipaddress
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from graphql import FieldNode, GraphQLError, Node, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assets.keys import CALLS
from stillhouse.hosts import is_ip, is_loopback
from stillhouse.recipe.fields import NAME_PATTERN

GRAPHQL = "/graphql"
REPORTS = "/report_asset_"
REPORT_MUTATION = "reportRunlessAssetEvents"
NO_REPORTS = (
    "what is made and which gates are open is decided by what Stillhouse's own runs enter in its ledger; a report from "
    "outside is not taken"
)
CALL = re.compile(rf"/report_asset_materialization/{NAME_PATTERN}/{CALLS}")
"""The one asset that may be reported: that somebody asks for a round. It stands for nothing that was made."""
LARGEST_BODY = 1 << 20
"""Bytes of a GraphQL request: a backfill of thousands of partitions has a tenth; parsing more holds up the others."""

COOKIE = "stillhouse_ui"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


@dataclass(frozen=True)
class Rules:
    """What one webserver allows.

    Args:
        names: names and IP addresses by which browsers may ask, lower case, without port and brackets.
        any_ip: every IP address may be asked by. A page that rebinds a name of its own is never asked for by an IP.
        token: what every request has to bring; None where only this machine can ask.
        read_only: refuse every mutation.
        https: those of the names that browsers reach by https, through a proxy.
    """

    names: frozenset[str] = LOOPBACK
    any_ip: bool = False
    token: str | None = None
    read_only: bool = False
    https: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GuardRefusal:
    """Why a request gets no answer."""

    status: HTTPStatus
    reason: str


_TOO_LARGE = GuardRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LARGEST_BODY:,} bytes")


@dataclass(frozen=True)
class Authority:
    """The part of an address that says which server: a name or an IP address, and a port if one is written."""

    name: str
    port: int | None

    @classmethod
    def read(cls, text: str) -> "Authority | None":
        """Read a Host header, or what follows `//` in an Origin; None if it is not exactly `name` or `name:port`."""
        match = _AUTHORITY.fullmatch(text.lower())
        if match is None:
            return None
        name = match[1]
        if name.startswith("["):
            try:
                name = str(ipaddress.IPv6Address(name[1:-1]))
            except ipaddress.AddressValueError:
                return None
        return cls(name, None if match[2] is None else int(match[2]))

    def port_for(self, scheme: str) -> int:
        """The port that is meant where none is written."""
        return _DEFAULT_PORTS[scheme] if self.port is None else self.port


def is_wildcard(host: str) -> bool:
    """Whether a server that listens on `host` is reached by every address of this machine."""
    return is_ip(host) and ipaddress.ip_address(host).is_unspecified


def names_of(host: str) -> frozenset[str]:
    """Names by which a server that listens on `host` is asked: a wildcard is also known by this machine's names."""
    if is_loopback(host):
        return LOOPBACK | {host}
    if is_wildcard(host):
        return LOOPBACK | {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset({host.lower()})


class Guard:
    """ASGI middleware that refuses what the rules do not allow.

    Args:
        app: the webserver.
        rules: what is allowed.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, _with_safe_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = foreign(scope, headers, self._rules)
        if refusal is None and self._rules.token is not None and not _brings(headers, self._rules.token):
            answer = _token_visit(scope, headers, self._rules)
            if isinstance(answer, Response):
                await answer(scope, receive, send)
                return
            refusal = answer
        if refusal is None:
            refusal = not_allowed(scope, headers, self._rules)
        if refusal is None and scope["path"] == GRAPHQL:
            if scope["method"] == "POST":
                body = await _body(receive)
                refusal = refused_body(body, self._rules)
                receive = _replaying(body or b"", receive)
            else:
                refusal = refused_query(scope["query_string"])
        elif refusal is None and scope["method"] == "POST":  # a call
            body = await _body(receive)
            refusal = _TOO_LARGE if body is None else None
            receive = _replaying(body or b"", receive)
        if refusal is not None:
            await _answer(refusal, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, token = Headers(scope=scope), self._rules.token
        allowed = foreign(scope, headers, self._rules) is None and scope["path"] == GRAPHQL
        if not allowed or (token is not None and not _brings(headers, token)):
            await receive()  # the wish to connect, which has to be taken before it is refused
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return

        async def only_questions() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and refused_frame(message) is not None:
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
                return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
            return message

        await self._app(scope, only_questions, send)


def foreign(scope: Scope, headers: Headers, rules: Rules) -> GuardRefusal | None:
    """Refuse what another site's page sends, or sends for by a name that it has pointed here (DNS rebinding).

    Args:
        scope: the request, of HTTP or of a websocket.
        headers: those of the scope.
        rules: which names are ours.
    """
    for name in ("host", "origin", "content-type", "authorization"):
        if len(headers.getlist(name)) > 1:
            return GuardRefusal(HTTPStatus.BAD_REQUEST, f"header {name} is given more than once")
    if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may see the end of it elsewhere
        return GuardRefusal(HTTPStatus.BAD_REQUEST, "content-length and transfer-encoding are both given")
    if _CONTROL.search(scope["path"]):  # a route may match before a newline at the end
        return GuardRefusal(HTTPStatus.BAD_REQUEST, "a control character in the path")
    host = Authority.read(headers.get("host", ""))
    if host is None or not (host.name in rules.names or (rules.any_ip and is_ip(host.name))):
        return GuardRefusal(
            HTTPStatus.FORBIDDEN, "Host is not a name of this server; `stillhouse ui --address` adds that of a proxy"
        )
    origin = headers.get("origin")
    if origin is not None and not same_origin(origin, host):
        return GuardRefusal(HTTPStatus.FORBIDDEN, "Origin is another site")
    # A browser says by itself where a request comes from. A link from elsewhere opens a page here, and does no more.
    if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
        goes_there = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if not goes_there or scope["path"] == GRAPHQL or scope.get("method") != "GET":
            return GuardRefusal(HTTPStatus.FORBIDDEN, "another site's page asked")
    return None


def same_origin(origin: str, host: Authority) -> bool:
    """Whether an Origin header names the server that the Host header names.

    Args:
        origin: such as `http://localhost:3000`; `null` is a page without an origin, and never ours.
        host: the Host header. Its port is the browser's, which a tunnel may have changed.
    """
    scheme, _, rest = origin.partition("://")
    authority = Authority.read(rest)
    if scheme not in _DEFAULT_PORTS or authority is None:
        return False
    return (authority.name, authority.port_for(scheme)) == (host.name, host.port_for(scheme))


def not_allowed(scope: Scope, headers: Headers, rules: Rules) -> GuardRefusal | None:
    """Refuse methods, addresses and content types that no part of the UI uses, but for calls that ask for a round.

    A page of another site may send a form or plain text without asking first, but never JSON.
    """
    path, method = scope["path"], scope["method"]
    is_call = method == "POST" and CALL.fullmatch(path) is not None and not rules.read_only
    if path.startswith(REPORTS) and not is_call:
        return GuardRefusal(HTTPStatus.FORBIDDEN, NO_REPORTS)
    if method in ("GET", "HEAD", "OPTIONS"):
        return None
    if not is_call and (method != "POST" or path != GRAPHQL):
        return GuardRefusal(HTTPStatus.METHOD_NOT_ALLOWED, f"only {GRAPHQL} takes anything but GET, by POST")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return GuardRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the content type has to be application/json")
    return None


def refused_query(query_string: bytes) -> GuardRefusal | None:
    """Refuse GraphQL by GET that would change something.

    Args:
        query_string: what follows `?` in the address; of a parameter that is given twice both are looked at.
    """
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name == "query" and (refusal := _refused_document(value, mutations=False)) is not None:
            return refusal
    return None


def refused_body(body: bytes | None, rules: Rules) -> GuardRefusal | None:
    """Refuse a GraphQL request that is no question and not allowed, or cannot be understood.

    Args:
        body: JSON of one request or of a list of requests; None if it was too large to be read.
        rules: whether mutations are allowed.
    """
    if body is None:
        return _TOO_LARGE
    try:
        content = json.loads(body)
    except ValueError:
        return GuardRefusal(HTTPStatus.BAD_REQUEST, "the body is not JSON")
    for request in content if isinstance(content, list) else [content]:
        query = request.get("query") if isinstance(request, dict) else None
        if (refusal := _refused_document(query, mutations=not rules.read_only)) is not None:
            return refusal
    return None


def refused_frame(message: Message) -> GuardRefusal | None:
    """Refuse a message over a websocket that is not of Dagster's protocol, or brings a mutation."""
    try:
        content = json.loads(message.get("text") or "")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return GuardRefusal(HTTPStatus.BAD_REQUEST, "not a JSON object")
    payload = content.get("payload")
    if not isinstance(payload, dict) or "query" not in payload:
        return None
    return _refused_document(payload["query"], mutations=False)


def _refused_document(query: Any, *, mutations: bool) -> GuardRefusal | None:
    """Refuse a document with a mutation where none is allowed.

    Every operation of the document counts, whichever would be run: that is the server's choice, and may differ.
    """
    if not isinstance(query, str):
        return GuardRefusal(HTTPStatus.BAD_REQUEST, "no GraphQL query found in the request")
    try:
        document = parse(query, no_location=True)
    except GraphQLError as error:
        return GuardRefusal(HTTPStatus.BAD_REQUEST, error.message)
    nodes = list(_nodes(document))
    if any(isinstance(node, FieldNode) and node.name.value == REPORT_MUTATION for node in nodes):
        return GuardRefusal(HTTPStatus.FORBIDDEN, NO_REPORTS)
    operations = {node.operation for node in nodes if isinstance(node, OperationDefinitionNode)}
    if OperationType.MUTATION in operations and not mutations:
        return GuardRefusal(HTTPStatus.FORBIDDEN, "this way nothing can be changed: by GET, by websocket or read-only")
    return None


def _nodes(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        for key in node.keys:
            value = getattr(node, key, None)
            children = value if isinstance(value, list | tuple) else [value]
            waiting += [child for child in children if isinstance(child, Node)]


def _brings(headers: Headers, token: str) -> bool:
    """Whether a request brings the token, as a cookie or as `Authorization: Bearer`."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    offered = [bearer.strip()] if scheme.lower() == "bearer" else []
    for cookie in ";".join(headers.getlist("cookie")).split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == COOKIE:
            offered.append(value)
    return any([_same(each, token) for each in offered])


def _same(offered: str, token: str) -> bool:
    return hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), token.encode())


def _token_visit(scope: Scope, headers: Headers, rules: Rules) -> Response | GuardRefusal:
    """Take the token out of an address into a cookie, and send the browser to the same address without it."""
    assert rules.token is not None
    asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    offered = [value for name, value in asked if name == "token"]
    if scope["method"] != "GET" or not any([_same(each, rules.token) for each in offered]):
        return GuardRefusal(
            HTTPStatus.UNAUTHORIZED, "open the address with ?token= that `stillhouse ui` printed, or send it as Bearer"
        )
    rest = urlencode([(name, value) for name, value in asked if name != "token"])
    # One slash at the beginning: two, or one and a backslash, would be another server's address.
    place = "/" + quote(scope["path"].lstrip("/")) + (f"?{rest}" if rest else "")
    answer = RedirectResponse(place, HTTPStatus.SEE_OTHER)
    host = Authority.read(headers["host"])
    secure = host is not None and host.name in rules.https
    answer.set_cookie(COOKIE, rules.token, httponly=True, samesite="lax", secure=secure)
    answer.headers["referrer-policy"] = "no-referrer"
    answer.headers["cache-control"] = "no-store"
    return answer


async def _body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """A `receive` that begins with a body which was read already."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _with_safe_headers(send: Send) -> Send:
    """Add that no other site may show our pages in a frame, where a click on it would be a click here."""

    async def send_safely(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["x-frame-options"] = "SAMEORIGIN"
            headers["cross-origin-resource-policy"] = "same-origin"
        await send(message)

    return send_safely


def _answer(refusal: GuardRefusal, scope: Scope) -> Response:
    # Whoever is not understood may not have ended where it seems: what follows on its connection is not read.
    ends = {"connection": "close"} if refusal.status is HTTPStatus.BAD_REQUEST else None
    if scope["path"] == GRAPHQL:  # what the UI's client can show
        content = {"data": None, "errors": [{"message": f"refused: {refusal.reason}"}]}
        return JSONResponse(content, refusal.status, ends)
    return PlainTextResponse(f"refused: {refusal.reason}\n", refusal.status, ends)
