"""The lines of docs/stored-completions.md that export what a service has stored, on a server of its protocol."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from stillhouse.home import CHECKOUT
from stillhouse.teachers.stored_answers import read_answers
from tests.stillhouse.teachers.answered import recipe

ASKED = {
    f"chat-{n}": (f"Ticket: {'invoice' if n % 2 else 'password'} {n}", ("access", "billing")[n % 2]) for n in range(5)
}
A_PAGE = 2


class _Stored(BaseHTTPRequestHandler):
    """Lists completions a page at a time, and the messages of each."""

    def do_GET(self) -> None:
        """Answer with a page."""
        at = urlsplit(self.path)
        if at.path == "/v1/chat/completions":
            after = parse_qs(at.query).get("after", [""])[0]
            names = [name for name in ASKED if name > after]
            self._say([_completion(name) for name in names[:A_PAGE]], has_more=len(names) > A_PAGE)
        else:
            text, _ = ASKED[at.path.split("/")[-2]]
            said = [
                {"id": "m0", "role": "system", "content": "Route it."},
                {"id": "m1", "role": "user", "content": text},
            ]
            self._say(said, has_more=False)

    def _say(self, data: list[dict[str, object]], *, has_more: bool) -> None:
        body = json.dumps({"object": "list", "data": data, "has_more": has_more}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on the test's terminal."""


def _completion(name: str) -> dict[str, object]:
    message = {"role": "assistant", "content": ASKED[name][1]}
    return {
        "id": name, "object": "chat.completion", "created": 0, "model": "large",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    }  # fmt: skip


@contextmanager
def stored() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stored)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_lines_of_the_page_export_a_file_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs" / "stored-completions.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with stored() as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        exec(compile(lines, "docs/stored-completions.md", "exec"), {})
    found = read_answers(recipe(tmp_path, "completions.jsonl", format="chat", usage="usage"))
    assert (found.records, found.without_text, found.unreadable) == (len(ASKED), 0, 0)
    assert sorted(found.answers["answer"]) == sorted(said for _, said in ASKED.values())
    assert set(found.answers["tokens"]) == {9} and set(found.answers["tokens_out"]) == {1}
