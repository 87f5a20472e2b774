"""The guard in front of the webserver: what another site, a stranger or a careless setting can send is refused."""

import json
import socket
from collections.abc import Mapping, Sequence
from threading import Thread
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from assets.keys import CALLS
from orchestration.guard import COOKIE, LARGEST_BODY, LOOPBACK, Authority, Guard, Rules, same_origin
from orchestration.ui import UiListening, rules_for
from stillhouse.errors import StillhouseError
from tests.orchestration.guarded import INNER, OWN, TOKEN, says_reached

QUERY, MUTATION = "{ version }", 'mutation { deletePipelineRun(runId: "x") { __typename } }'
HIDDEN_MUTATIONS = [
    MUTATION,
    "query A { version } mutation B { wipeAssets { __typename } }",
    "fragment F on Mutation { wipeAssets { __typename } } mutation { ...F }",
    "# query\n\ufeffmutation{wipeAssets{__typename}}",
    "mutation M($a: Int) @skip(if: true) { wipeAssets { __typename } }",
]
REPORTS = [
    "mutation { reportRunlessAssetEvents(eventParams: {}) { __typename } }",
    "mutation { other: reportRunlessAssetEvents(eventParams: {}) { __typename } }",
    "mutation { ...F } fragment F on Mutation { ... on Mutation { reportRunlessAssetEvents { __typename } } }",
]


LOCAL = Rules()


def ask(
    path: str = "/graphql",
    method: str = "GET",
    *,
    rules: Rules = LOCAL,
    inner: Starlette = INNER,
    body: Any = None,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    **changed: str | None,
) -> tuple[int, str]:
    """One request as the UI's own page sends it, with some headers changed or, by None, left out."""
    own = {**OWN, **{name.replace("_", "-"): value for name, value in changed.items()}}
    sent = [(name, value) for name, value in own.items() if value is not None]
    sent += list(headers.items() if isinstance(headers, Mapping) else headers)
    encoded = [(name.encode(), value.encode()) for name, value in sent]
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    with TestClient(Guard(inner, rules), "http://localhost:3000", follow_redirects=False) as client:
        answer = client.request(method, path, content=content, headers=encoded)
    return answer.status_code, answer.text


def was_reached(answer: tuple[int, str]) -> bool:
    status, text = answer
    assert ("reached" in text) == (status == 200), answer
    return status == 200


# ---- whose page asks


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:3000", "LOCALHOST:8000", "127.0.0.1:3000", "[::1]:3000", "[0:0::1]"]
)
def test_this_machine_is_asked_by_its_own_names_and_through_a_tunnel(host: str) -> None:
    assert was_reached(ask("/assets", host=host, origin=None))
    assert was_reached(ask("/graphql", "POST", body={"query": MUTATION}, host=host, origin=f"http://{host}".lower()))


@pytest.mark.parametrize(
    "host",
    ["evil.example:3000", "localhost.evil.example", "localhost@evil.example", "127.0.0.1.nip.io", "localhost:3000@evil",
     "localhost:", "localhost:99999999", "", " ", "localhost/", "[::1", "[::2]:3000", "10.0.0.7:3000", "0.0.0.0:3000",
     "localhost,evil.example", "localhost evil", "2130706433"],
)  # fmt: skip
def test_a_name_that_somebody_else_has_pointed_here_is_refused(host: str) -> None:
    for origin in (None, f"http://{host}"):
        assert ask("/assets", host=host, origin=origin)[0] in (400, 403)
        assert ask("/graphql", "POST", body={"query": QUERY}, host=host, origin=origin)[0] in (400, 403)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://localhost:3001", "http://localhost", "https://localhost:3000.evil.example", "null",
     "http://127.0.0.1:3000", "file://", "", "http://localhost:3000@evil.example", "http://localhost:3000/",
     "ftp://localhost:3000", "localhost:3000", "http://localhost:3000 http://evil.example"],
)  # fmt: skip
def test_another_origin_is_refused_whatever_it_asks(origin: str) -> None:
    assert ask("/assets", origin=origin)[0] == 403
    assert ask("/graphql", "POST", body={"query": QUERY}, origin=origin)[0] == 403
    assert ask("/graphql", "OPTIONS", origin=origin)[0] == 403


def test_headers_that_two_readers_could_read_differently_are_refused() -> None:
    for name in ("host", "origin", "content-type"):
        assert ask("/graphql", "POST", body={"query": QUERY}, headers=[(name, OWN[name])])[0] == 400
    ends = [("content-length", "4"), ("transfer-encoding", "chunked")]
    status, said = ask("/graphql", "POST", body={"query": QUERY}, headers=ends)
    assert status == 400 and "are both given" in said


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_what_follows_a_request_with_two_ends_is_not_answered(http: Literal["h11", "httptools"]) -> None:
    """Regression: a proxy that goes by the one header would hand on as a body what h11 read as a request of its own."""
    server = uvicorn.Server(uvicorn.Config(Guard(INNER, LOCAL), http=http, lifespan="off", log_config=None))
    own = "".join(f"{name}: {value}\r\n" for name, value in OWN.items())
    hidden = f"GET /assets HTTP/1.1\r\n{own}\r\n"
    ends = f"Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = Thread(target=server.run, kwargs={"sockets": [listener]})
        serving.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=30) as asked:
                asked.sendall(f"POST /graphql HTTP/1.1\r\n{own}{ends}\r\n0\r\n\r\n{hidden}".encode())
                answers = b"".join(iter(lambda: asked.recv(4096), b"")).decode()
        finally:
            server.should_exit = True
            serving.join()
    assert answers.startswith("HTTP/1.1 400 ") and answers.count("HTTP/1.1 ") == 1 and "reached" not in answers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_from_elsewhere_opens_a_page_and_does_no_more(site: str) -> None:
    link = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert was_reached(ask("/assets", headers=link, origin=None))
    assert ask("/graphql?" + urlencode({"query": QUERY}), headers=link, origin=None)[0] == 403
    assert ask("/graphql", "POST", body={"query": QUERY}, headers=link, origin=None)[0] == 403
    for mode, dest in (("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("navigate", "iframe")):
        embedded = {**link, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        assert ask("/assets", headers=embedded, origin=None)[0] == 403
    assert was_reached(ask("/assets", headers={"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}))
    assert was_reached(ask("/assets", headers={"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, origin=None))


def test_no_other_site_can_show_a_page_in_a_frame() -> None:
    with TestClient(Guard(INNER, Rules()), "http://localhost:3000") as client:
        assert client.get("/assets").headers["x-frame-options"] == "SAMEORIGIN"


NAMES = st.sampled_from(["localhost", "127.0.0.1", "[::1]", "evil.example", "localhost.evil.example", "", "[::2]"])
PIECES = st.sampled_from(["@", ":", "/", "\\", "#", "?", " ", "\t", "%00", "3000", "80", "http://", ".", ",", "é"])
AUTHORITIES = st.lists(NAMES | PIECES | st.text(max_size=3), min_size=1, max_size=5).map("".join)


@given(AUTHORITIES)
@example("localhost@evil.example")
def test_whatever_host_is_accepted_is_ours_for_any_other_reader_too(text: str) -> None:
    read = Authority.read(text)
    if read is not None and read.name in LOOPBACK:
        # The standard library takes the name after an @ and before a colon, as browsers do.
        assert urlsplit(f"http://{text}/").hostname in (read.name, text.lower().strip("[]").split("]")[0])
        assert "@" not in text and "evil" not in text


@given(AUTHORITIES, st.sampled_from(["http", "https", "HTTP", "file", ""]))
def test_only_the_origin_that_was_asked_is_ours(text: str, scheme: str) -> None:
    host = Authority.read("localhost:3000")
    assert host is not None
    assert same_origin(f"{scheme}://{text}", host) == (scheme in ("http", "https") and text.lower() == "localhost:3000")


# ---- what is asked


def test_questions_are_answered_by_get_and_by_post() -> None:
    assert was_reached(ask("/graphql?" + urlencode({"query": QUERY})))
    answer = ask("/graphql", "POST", body={"query": QUERY, "variables": {"a": "mutation { x }"}})
    assert was_reached(answer) and json.loads(answer[1].removeprefix("reached POST "))["query"] == QUERY
    assert was_reached(ask("/graphql", "POST", body={"query": "query mutation { version }"}))
    assert was_reached(ask("/graphql", "POST", body=[{"query": QUERY}, {"query": QUERY}]))
    assert was_reached(ask("/graphql", headers={"accept": "text/html"}))


def test_a_mutation_by_the_page_itself_or_by_a_script_is_let_through() -> None:
    assert was_reached(ask("/graphql", "POST", body={"query": MUTATION}))
    assert was_reached(ask("/graphql", "POST", body={"query": MUTATION}, origin=None))
    assert was_reached(
        ask("/graphql", "POST", body={"query": MUTATION}, content_type="application/json; charset=utf-8")
    )


@pytest.mark.parametrize("mutation", HIDDEN_MUTATIONS)
def test_a_mutation_is_refused_by_get_and_where_nothing_may_change(mutation: str) -> None:
    for more in ({}, {"operationName": "A"}):
        for method in ("GET", "HEAD"):
            assert ask("/graphql?" + urlencode({"query": mutation, **more}), method)[0] == 403
        for body in ({"query": mutation, **more}, [{"query": QUERY}, {"query": mutation, **more}]):
            assert ask("/graphql", "POST", body=body, rules=Rules(read_only=True))[0] == 403
    first, last = {"query": QUERY}, {"query": mutation}
    for pair in ((first, last), (last, first)):
        assert ask("/graphql?" + "&".join(urlencode(each) for each in pair))[0] == 403


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("report", REPORTS)
def test_a_report_of_an_asset_or_check_from_outside_is_never_taken(report: str, method: str) -> None:
    path = "/graphql?" + urlencode({"query": report}) if method == "GET" else "/graphql"
    status, text = ask(path, method, body={"query": report} if method == "POST" else None)
    assert status == 403 and "decided by what Stillhouse's own runs enter in its ledger" in text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
@pytest.mark.parametrize("kind", ["check", "materialization", "observation"])
def test_the_rest_reports_are_closed(kind: str, method: str) -> None:
    for path in (
        f"/report_asset_{kind}/small/selection",
        f"/report_asset_{kind}/?asset_key=small",
        f"/%72eport_asset_{kind}/a",
    ):
        assert ask(path, method, body={"passed": True})[0] == 403


def test_a_call_that_asks_for_a_round_is_the_one_report_that_is_taken() -> None:
    calls = "/report_asset_materialization/small/calls"
    assert ask(calls, "POST", body={"description": "prices have changed"})[0] == 200
    for path in (f"{calls}/x", f"/report_asset_materialization/small/x/{CALLS}", "/report_asset_materialization/calls"):
        assert ask(path, "POST", body={})[0] == 403, path
    assert ask(calls.replace("materialization", "check"), "POST", body={})[0] == 403
    assert ask(calls, "GET")[0] == 403
    assert ask(calls, "POST", body={}, content_type="text/plain")[0] == 415
    assert ask(calls, "POST", body={}, rules=Rules(read_only=True))[0] == 403
    assert ask(calls, "POST", body={}, rules=Rules(token=TOKEN))[0] == 401
    assert ask(calls, "POST", body={}, origin="https://evil.example")[0] == 403
    assert ask(calls, "POST", body=b" " * (LARGEST_BODY + 1))[0] == 413


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/graphql", "text/plain; application/json", "text/plain;x=application/json", "application/json-seq",
     "application/jsonx"],
)  # fmt: skip
def test_what_a_page_may_send_without_asking_first_changes_nothing(content_type: str | None) -> None:
    assert ask("/graphql", "POST", body={"query": MUTATION}, content_type=content_type)[0] == 415
    path = "/graphql?" + urlencode({"query": MUTATION})
    assert ask(path, "POST", body=b"", content_type=content_type)[0] == 415


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_nothing_but_graphql_takes_more_than_get(method: str) -> None:
    assert ask("/assets", method, body={})[0] == 405
    assert method == "POST" or ask("/graphql", method, body={"query": QUERY})[0] == 405


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'"mutation"',
        b"null",
        b"\xff\xfe",
        b'{"query": 1}',
        b'{"query": null}',
        b'{"query": "{"}',
        b"{}",
    ],
)
def test_a_body_that_cannot_be_understood_is_refused(body: bytes) -> None:
    assert ask("/graphql", "POST", body=body)[0] == 400


def test_a_document_without_end_is_refused() -> None:
    assert ask("/graphql", "POST", body={"query": "{" + " " * LARGEST_BODY + "version }"})[0] == 413
    assert ask("/graphql", "POST", body={"query": "{a" * 20_000 + "}" * 20_000})[0] == 400


@given(st.text(st.characters(codec="utf-8", min_codepoint=0, max_codepoint=0x2FF), max_size=3), st.booleans())
@example("", False)
@example("\n", False)
@example("/", False)
def test_no_other_spelling_of_the_path_leads_around_the_rules(more: str, before: bool) -> None:
    path = quote(f"/{more}/graphql" if before else f"/graphql{more}")
    asked: list[str] = []

    async def changes_state(request: Request) -> Response:
        asked.append(str(request.url))
        return PlainTextResponse("done")

    elsewhere = Route("/{path:path}", says_reached)
    ask(
        path + "?" + urlencode({"query": MUTATION}),
        inner=Starlette(routes=[Route("/graphql", changes_state), elsewhere]),
    )
    assert asked == []


# ---- websockets


def talk(rules: Rules, message: Any = None, *, path: str = "/graphql", **changed: str | None) -> str:
    """Connect as the UI does, send a message and return the answer; raises WebSocketDisconnect if refused."""
    own = {
        "host": OWN["host"],
        "origin": OWN["origin"],
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    sent = {name: value for name, value in own.items() if value is not None}
    client = TestClient(Guard(INNER, rules), "http://localhost:3000")
    with client, client.websocket_connect(path, headers=sent) as socket:
        socket.send_text(message if isinstance(message, str) else json.dumps(message))
        return socket.receive_text()


SUBSCRIBE = {"type": "start", "id": "1", "payload": {"query": "subscription { pipelineRunLogs { __typename } }"}}


def test_the_page_subscribes() -> None:
    assert "reached" in talk(Rules(), {"type": "connection_init", "payload": {}})
    assert "reached" in talk(Rules(), SUBSCRIBE)
    assert "reached" in talk(Rules(token=TOKEN), SUBSCRIBE, cookie=f"{COOKIE}={TOKEN}")


@pytest.mark.parametrize(
    ("rules", "changed"),
    [
        (Rules(), {"origin": "http://evil.example"}), (Rules(), {"origin": "null"}),
        (Rules(), {"host": "evil.example"}),
        (Rules(), {"origin": "http://localhost:8888"}), (Rules(), {"path": "/other"}), (Rules(token=TOKEN), {}),
        (Rules(token=TOKEN), {"cookie": f"{COOKIE}=wrong"}), (Rules(), {"sec_fetch_site": "cross-site"}),
    ],
)  # fmt: skip
def test_a_websocket_of_a_stranger_is_refused(rules: Rules, changed: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect):
        talk(rules, SUBSCRIBE, **changed)


@pytest.mark.parametrize("message", [*HIDDEN_MUTATIONS, *REPORTS])
def test_a_mutation_by_websocket_is_refused(message: str) -> None:
    for kind in ("start", "subscribe"):
        with pytest.raises(WebSocketDisconnect):
            talk(Rules(), {"type": kind, "id": "1", "payload": {"query": message}})


@pytest.mark.parametrize("message", ["", "no JSON", "[]", '{"payload": {"query": 1}}'])
def test_a_message_of_another_protocol_ends_the_websocket(message: str) -> None:
    with pytest.raises(WebSocketDisconnect):
        talk(Rules(), message)


# ---- the token


def test_without_the_token_nothing_is_answered() -> None:
    rules = Rules(token=TOKEN)
    for path, method, body in (
        ("/", "GET", None),
        ("/graphql", "POST", {"query": QUERY}),
        ("/server_info", "GET", None),
    ):
        for headers in (
            {}, {"cookie": f"{COOKIE}="}, {"cookie": f"{COOKIE}={TOKEN}x"}, {"cookie": f"other={TOKEN}"},
            {"authorization": "Bearer "}, {"authorization": f"Bearer {TOKEN[:-1]}"},
            {"authorization": f"Basic {TOKEN}"}, {"authorization": TOKEN}, {"cookie": f"{COOKIE}=\u00e9"},
        ):  # fmt: skip
            assert ask(path, method, body=body, rules=rules, headers=headers)[0] == 401
    assert ask(f"/graphql?token={TOKEN}", "POST", body={"query": QUERY}, rules=rules)[0] == 401


def test_with_the_token_pages_and_mutations_are_answered() -> None:
    rules = Rules(token=TOKEN)
    for headers in ({"cookie": f"a=1; bad[]={{;{COOKIE}={TOKEN}; b=2"}, {"authorization": f"bearer {TOKEN}"}):
        assert was_reached(ask("/", rules=rules, headers=headers))
        assert was_reached(ask("/graphql", "POST", body={"query": MUTATION}, rules=rules, headers=headers))


def test_the_token_does_not_open_the_door_for_another_site() -> None:
    headers = {"cookie": f"{COOKIE}={TOKEN}"}
    assert ask("/", rules=Rules(token=TOKEN), headers=headers, origin="http://evil.example")[0] == 403
    assert ask("/", rules=Rules(token=TOKEN), headers=headers, host="evil.example", origin=None)[0] == 403
    assert ask("/report_asset_check/a", "POST", body={}, rules=Rules(token=TOKEN), headers=headers)[0] == 403


@pytest.mark.parametrize(
    ("path", "place"),
    [("/", "/"), ("/assets?view=checks&x=", "/assets?view=checks&x="), ("//evil.example/a", "/evil.example/a"),
     ("/%5Cevil.example", "/%5Cevil.example"), ("/a%3Fb", "/a%3Fb")],
)  # fmt: skip
def test_one_visit_with_the_token_leaves_a_cookie_and_an_address_without_it(path: str, place: str) -> None:
    joint = "&" if "?" in path else "?"
    with TestClient(Guard(INNER, Rules(token=TOKEN)), "http://localhost:3000", follow_redirects=False) as client:
        answer = client.get(f"http://localhost:3000{path}{joint}token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, place)
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=lax" in cookie and "secure" not in cookie
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert client.get("/assets").text.startswith("reached")


def test_the_cookie_is_for_https_only_where_browsers_come_by_https() -> None:
    rules = rules_for(UiListening(addresses=("https://ui.example.com",)), TOKEN)
    with TestClient(Guard(INNER, rules), "https://ui.example.com", follow_redirects=False) as client:
        assert "secure" in client.get(f"/?token={TOKEN}").headers["set-cookie"].lower()
        own = {"origin": "https://ui.example.com"}
        assert client.post("/graphql", json={"query": MUTATION}, headers=own).status_code == 200


def test_a_wrong_token_in_the_address_is_refused() -> None:
    for path in ("/?token=", "/?token=wrong", f"/?Token={TOKEN}", "/?token=%C3%A9"):
        assert ask(path, rules=Rules(token=TOKEN))[0] == 401


# ---- which rules hold where


@pytest.mark.experiment("F1")
def test_for_this_machine_only_no_token_is_asked_and_elsewhere_always() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        assert rules_for(UiListening(host), None).token is None
    exposed = [
        UiListening("0.0.0.0"),
        UiListening("::"),
        UiListening("10.0.0.7"),
        UiListening("box"),
        UiListening(addresses=("http://a.b",)),
    ]
    made = {rules_for(listening, None).token for listening in exposed}
    assert len(made) == len(exposed) and min(len(token or "") for token in made) >= 32
    assert rules_for(UiListening(), TOKEN).token == TOKEN


@pytest.mark.parametrize("token", ["", "short", "with blank 0123456789", "0123456789;abcdef0", "é" * 20])
def test_a_token_that_can_be_guessed_or_not_sent_is_one_plain_line(token: str) -> None:
    with pytest.raises(StillhouseError, match="STILLHOUSE_UI_TOKEN: the token cannot be used"):
        rules_for(UiListening("0.0.0.0"), token)


@pytest.mark.parametrize(
    "address", ["ui.example.com", "ftp://a.b", "https://a.b/path", "https://u:p@a.b", "https://", "https://a.b?x=1"]
)
def test_an_address_that_no_browser_shows_is_one_plain_line(address: str) -> None:
    with pytest.raises(StillhouseError, match="not an address of a server"):
        rules_for(UiListening(addresses=(address,)), None)


def test_a_server_on_every_interface_is_asked_by_any_ip_but_not_by_any_name() -> None:
    rules = rules_for(UiListening("0.0.0.0"), TOKEN)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for host in ("10.0.0.7:3000", "[fe80::1]:3000", "localhost"):
        assert was_reached(ask("/", rules=rules, host=host, origin=None, headers=bearer))
    assert ask("/", rules=rules, host="evil.example", origin=None, headers=bearer)[0] == 403


def test_the_name_of_a_proxy_is_accepted_once_it_was_given() -> None:
    rules = rules_for(UiListening(addresses=("https://ui.example.com:8443/",)), TOKEN)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    own = {"host": "ui.example.com:8443", "origin": "https://ui.example.com:8443"}
    assert was_reached(ask("/graphql", "POST", body={"query": MUTATION}, rules=rules, headers=bearer, **own))
    assert ask("/", rules=Rules(), host="ui.example.com:8443", origin=None)[0] == 403
