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
    return Request({"headers": [JSON], "path_params": {}}, receive)


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
def test_what_is_nearly_a_question_to_a_served_recipe_goes_the_way_of_all_others(served: Served) -> None:
    def ask(method: str, path: str) -> int:
        return served.client.request(method, path, json={"text": "a"}, follow_redirects=False).status_code

    assert ask("POST", f"/v1/{RECIPE}/predict") == 200
    assert ask("GET", f"/v1/{RECIPE}/predict") == 405
    assert ask("POST", f"/v1/{RECIPE}/predict/") == 307
    assert ask("POST", f"/v1/{RECIPE}/predicts") == ask("POST", "/predict") == 404
    assert ask("HEAD", "/healthz") == 200
