"""A request is read within its limits, and a response has all that callers and proxies need."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stillhouse.serving.http import Headers, Request
from stillhouse.serving.refused import RefusedError
from tests.stillhouse.serving.conftest import RECIPE, Served

JSON = (b"content-type", b"application/json")


async def never() -> dict[str, Any]:
    """A body of which nothing comes."""
    await asyncio.Event().wait()
    raise AssertionError


def asked(receive: Callable[[], Any]) -> Request:
    return Request([JSON], "", receive)


def test_the_first_value_of_a_name_counts_as_for_every_proxy_before_it() -> None:
    headers = Headers([(b"x-host", b"b"), (b"host", b"a"), (b"host", b"c"), (b"x-odd", b"\xe9")])
    assert [headers.get(name, "none") for name in ("host", "x-host", "x-odd", "hos")] == ["a", "b", "é", "none"]


def test_a_body_that_does_not_arrive_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillhouse.serving.http.BODY_SECONDS", 0)

    async def reads() -> int:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(RefusedError) as refused:
            await asked(never).body(100)
        assert task.cancelling() == 0, "or a deadline of what is awaited next would not be seen"
        return refused.value.status

    assert asyncio.run(reads()) == 408


def test_a_request_that_is_ended_from_outside_is_not_answered_as_a_late_one() -> None:
    async def ends() -> None:
        reading = asyncio.create_task(asked(never).body(100))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(ends())


def test_nothing_ends_a_request_whose_body_was_there_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillhouse.serving.http.BODY_SECONDS", 0)

    async def there() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def reads() -> bytes:
        body = await asked(there).body(100)
        for _ in range(3):  # turns in which a timer that was left would come
            await asyncio.sleep(0)
        return body

    assert asyncio.run(reads()) == b"{}"


@pytest.mark.long
def test_a_response_says_what_it_is_how_long_and_by_which_release(served: Served) -> None:
    answered = served.predict(text="who is the king ?")
    serving = served.slot.serving
    assert serving is not None
    assert dict(answered.headers) == {
        "content-type": "application/json",
        "content-length": str(len(answered.content)),
        "x-request-id": answered.json()["id"],
        "x-stillhouse-release": serving.champion.release,
    }
    shown = served.client.get("/metrics")
    assert shown.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert f'endpoint="predict",recipe="{RECIPE}",status="200"}} 1.0' in shown.text
    assert served.client.get("/healthz").headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/v1/{RECIPE}/predict", 405),
        ("PUT", f"/v1/{RECIPE}/feedback", 405),
        ("OPTIONS", f"/v1/{RECIPE}", 405),
        ("POST", "/metrics", 405),
        ("DELETE", "/healthz", 405),
        ("POST", f"/v1/{RECIPE}/predict/", 404),
        ("GET", "/healthz/", 404),
        ("POST", f"/v1/{RECIPE}/predicts", 404),
        ("POST", "/predict", 404),
        ("POST", "/v1//predict", 404),
        ("GET", "/", 404),
    ],
)
def test_what_is_nearly_a_question_is_refused_as_all_else_is_and_counted(
    served: Served, method: str, path: str, status: int
) -> None:
    assert served.predict(text="a").status_code == 200
    refused = served.client.request(method, path, json={"text": "ann@example.org"}, follow_redirects=False)
    assert refused.status_code == status
    assert set(refused.json()) == {"error", "expected", "id"} and "ann" not in refused.text
    assert refused.json()["id"] == refused.headers["x-request-id"]
    assert refused.headers.get("allow") == (refused.json()["expected"] if status == 405 else None)
    shown = served.client.get("/metrics").text
    assert sum(f'status="{status}"}} 1.0' in line for line in shown.splitlines()) == 1


@pytest.mark.long
def test_who_asks_for_the_head_alone_gets_it(served: Served) -> None:
    asked = served.client.head("/healthz")
    assert (asked.status_code, asked.headers["content-length"]) == (200, "3")
