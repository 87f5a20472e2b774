"""A server on this machine that speaks OpenAI's protocol: it answers, counts, bills, and fails where it is asked to.

Belongs here: the server, and the ways in which one fails.
Does not: what Stillhouse makes of it (test_endpoint.py).
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Fault = str
"""What becomes of a call instead of its answer; see `_Handler.do_POST`."""
USD_IN, USD_OUT = 2.0, 10.0
"""What the server charges for a million tokens."""


@dataclass
class Server:
    """What a server is to do, and what it has seen.

    Args:
        answer: from the last message to the reply.
        alternatives: from the last message to the tokens that might have come first, with their log-probabilities;
            None where the server tells none.
        faults: by the number of a call, counted from 0.
        model: by the number of a call, what answers.
        key: that it asks for; none where it asks for none.
        takes: seconds for an answer.
        retry_after: seconds that it asks to wait where there are too many calls.
        tokens_per_minute: that it reads and writes in any sixty seconds; it answers 429 beyond them.
        now: seconds, by whose clock.
        refuses: from the last message to whether it turns that text away (422).
        models: the day on which each of its models ends, or none; or the status in place of a list of them.
    """

    answer: Callable[[str], str]
    faults: Mapping[int, Fault] = field(default_factory=dict)
    model: Callable[[int], str] = lambda number: "large-2026-06"
    key: str | None = None
    takes: float = 0.0
    retry_after: str = "0"
    alternatives: Callable[[str], Mapping[str, float]] | None = None
    refuses: Callable[[str], bool] = lambda text: False
    models: Mapping[str, str | None] | int = 404
    tokens_per_minute: int | None = None
    now: Callable[[], float] = time.monotonic
    turned_away: int = 0
    formats: list[Any] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    url: str = ""
    usd: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    _now: int = 0
    _counted: list[tuple[float, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def calls(self) -> int:
        """Calls that came in, those that failed too."""
        return sum(self.asked.values())

    def enter(self, text: str) -> int:
        with self._lock:
            number = self.calls
            self.asked[text] += 1
            self._now += 1
            self.at_once = max(self.at_once, self._now)
            return number

    def bill(self, usd: float) -> None:
        with self._lock:
            self.usd += usd

    @staticmethod
    def tokens_of(text: str) -> int:
        """Tokens that a call with this last message takes, read and written."""
        return len(text.split()) + 1

    def has_room_for(self, text: str) -> bool:
        """Whether the tokens of the last minute let it answer; they are counted then."""
        with self._lock:
            now, tokens = self.now(), self.tokens_of(text)
            self._counted = [(at, each) for at, each in self._counted if at > now - 60]
            if sum(each for _, each in self._counted) + tokens > (self.tokens_per_minute or 1e9):
                self.turned_away += 1
                return False
            self._counted.append((now, tokens))
            return True

    def leave(self) -> None:
        with self._lock:
            self._now -= 1


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve on a free port of the loopback address."""
    handler = type("_Bound", (_Handler,), {"server_told": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def answer_a_batch(server: Server, requests: Path, replies: Path) -> None:
    """Answer a file of requests as a batch API does: in another order, each as the server answers the same call."""
    lines = []
    for request in map(json.loads, reversed(requests.read_text("utf-8").splitlines())):
        call = Request(server.url.removesuffix("/v1") + request["url"], json.dumps(request["body"]).encode())
        try:
            with urlopen(call) as answered:
                status, body = answered.status, json.load(answered)
        except HTTPError as refused:
            status, body = refused.code, json.load(refused)
        response = {"status_code": status, "request_id": "r", "body": body}
        lines.append({"id": "b", "custom_id": request["custom_id"], "response": response, "error": None})
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines))


class _Handler(BaseHTTPRequestHandler):
    server_told: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        models, name = self.server_told.models, self.path.rpartition("/models/")[2]
        if isinstance(models, int) or name not in models:
            self._send(models if isinstance(models, int) else 404, {"error": {"message": "not here"}})
            return
        said = {"id": name, "object": "model", "created": 0, "owned_by": "test", "shutdown_date": models[name]}
        self._send(200, said)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told, text = self.server_told, body["messages"][-1]["content"]
        number = told.enter(text)
        told.authorizations.add(self.headers["Authorization"])
        if "response_format" in body:
            told.formats.append(body["response_format"])
        try:
            if told.key is not None and self.headers["Authorization"] != f"Bearer {told.key}":
                self._send(401, {"error": {"message": f"no such key: {self.headers['Authorization']}"}})
                return
            time.sleep(told.takes)
            fault = told.faults.get(number, "422" if told.refuses(text) else "")
            fault = fault if told.has_room_for(text) else "429"
            if fault.isdecimal():
                self._send(
                    int(fault),
                    {"error": {"message": "not now"}},
                    {"Retry-After": told.retry_after} if fault == "429" else {},
                )
            elif fault == "quotes":
                self._send(403, {"error": {"message": f"nobody may ask: {text}"}})
            elif fault == "cut":
                self.close_connection = True
                self.connection.close()
            elif fault == "page":
                self._write(200, b"<html>Please sign in</html>", "text/html")
            elif fault == "deep":
                self._write(200, b"[" * 200_000, "application/json")
            else:
                tokens = told.tokens_of(text) - 1, 1
                # Before it answers: whoever has its answer may look at the bill.
                told.bill((tokens[0] * USD_IN + tokens[1] * USD_OUT) / 1e6)
                self._send(200, self._reply(fault, number, text, tokens, told=body.get("logprobs") is True))
        finally:
            told.leave()

    def _reply(self, fault: Fault, number: int, text: str, tokens: tuple[int, int], *, told: bool) -> dict[str, Any]:
        said = self.server_told.answer(text)
        content: str | None = said
        reason, refusal = "stop", None
        if fault == "null":
            content = None
        if fault == "refusal":
            content, refusal = None, "I cannot help with that"
        if fault == "length":
            content, reason = said[:2], "length"
        if fault == "outside":
            content = "none of these"
        if fault == "error":
            content, reason = "", "error"
        counts: dict[str, Any] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        if fault == "usage":
            counts = {"prompt_tokens": "many"}
        if fault == "negative":
            counts["prompt_tokens"] = -1_000_000
        if fault == "lies":
            counts["prompt_tokens"] = 1_000_000
        message = {"role": "assistant", "content": content, "refusal": refusal}
        return {
            "id": str(number),
            "object": "chat.completion",
            "model": self.server_told.model(number),
            "choices": [
                {"index": 0, "message": message, "finish_reason": reason, "logprobs": self._tokens(text, told)}
            ],
            "usage": counts,
        }

    def _tokens(self, text: str, told: bool) -> dict[str, Any] | None:
        """The alternatives of the one token of an answer, the most probable first."""
        if not told or self.server_told.alternatives is None:
            return None
        found = sorted(self.server_told.alternatives(text).items(), key=lambda each: -each[1])
        listed = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in found[:20]]
        return {"content": [{**listed[0], "top_logprobs": listed}], "refusal": None}

    def _send(self, status: int, body: dict[str, Any], headers: Mapping[str, str] = {}) -> None:
        self._write(status, json.dumps(body).encode(), "application/json", headers)

    def _write(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] = {}) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:  # whoever asked is gone, and has to pay all the same
            self.close_connection = True
