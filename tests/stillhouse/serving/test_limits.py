"""Load is shed before work begins, deadlines are kept, and nothing that a caller sends is said again."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from stillhouse.recipe.serving import ServingSpec
from stillhouse.serving.loaded import LoadedRelease
from tests.stillhouse.serving.conftest import BOTH_WAYS, RECIPE, Served

pytestmark = pytest.mark.long

TEXT = "who is the king ?"
SECRET = "ann.lee@example.org"


def at_once(served: Served, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    """Send requests that arrive in the same turn of the loop."""

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(served.client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await asyncio.gather(*(client.post(f"/v1/{RECIPE}/predict", json=body) for body in bodies))

    return asyncio.run(send())


@BOTH_WAYS
def test_more_than_may_wait_are_said_to_come_again_and_the_others_are_answered(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.slot.limits = ServingSpec(concurrency=3)
    asked, say = [], LoadedRelease.say
    monkeypatch.setattr(LoadedRelease, "say", lambda release, text: (asked.append(text), say(release, text))[1])
    answered = at_once(served, [{"text": TEXT}] * 8)
    assert sorted(each.status_code for each in answered) == [200] * 3 + [503] * 5
    assert {each.headers["retry-after"] for each in answered if each.status_code == 503} == {"1"}
    assert len(asked) == 3 and served.slot.waiting == 0
    assert served.predict(text=TEXT).status_code == 200


@BOTH_WAYS
def test_bodies_that_come_later_are_counted_when_they_are_there(served: Served) -> None:
    served.slot.limits = ServingSpec(concurrency=3)
    headers = {"content-type": "application/json"}

    async def send() -> list[httpx.Response]:
        everybody_waits = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            await everybody_waits.wait()
            yield json.dumps({"text": TEXT}).encode()

        transport = httpx.ASGITransport(served.client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            asked = [
                asyncio.create_task(client.post(f"/v1/{RECIPE}/predict", content=body(), headers=headers))
                for _ in range(8)
            ]
            await asyncio.sleep(0.1)
            everybody_waits.set()
            return await asyncio.gather(*asked)

    answered = asyncio.run(send())
    assert sorted(each.status_code for each in answered) == [200] * 3 + [503] * 5
    assert served.slot.waiting == 0


@BOTH_WAYS
def test_an_expired_deadline_is_not_computed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    say, clock = LoadedRelease.say, iter(float(number) for number in range(1000))

    def counted(release: LoadedRelease, text: str) -> object:
        asked.append(text)
        return say(release, text)

    monkeypatch.setattr(LoadedRelease, "say", counted)
    monkeypatch.setattr("stillhouse.serving.app.time.perf_counter", lambda: next(clock))  # a second passes at each look
    assert served.predict(text=TEXT, deadline_ms=500).status_code == 504 and asked == []
    assert served.predict(texts=[TEXT] * 5, deadline_ms=4500).status_code == 504
    assert 0 < len(asked) < 5
    assert served.predict(text=TEXT, deadline_ms=60_000).status_code == 200


@BOTH_WAYS
def test_a_body_that_grows_beyond_the_limit_is_not_read_to_its_end(served: Served) -> None:
    sent = []

    def parts() -> Any:
        for number in range(100):
            sent.append(number)
            yield b" " * 10_000

    answered = served.client.post(
        f"/v1/{RECIPE}/predict", content=parts(), headers={"content-type": "application/json"}
    )  # fmt: skip
    assert answered.status_code == 413 and "content-length" not in answered.request.headers


@BOTH_WAYS
@pytest.mark.parametrize("length", ["abc", "-1", "1e3"])
def test_a_length_that_is_no_number_is_a_mistake_of_the_caller(served: Served, length: str) -> None:
    headers = {"content-type": "application/json", "content-length": length}
    assert served.client.post(f"/v1/{RECIPE}/predict", content=b"{}", headers=headers).status_code == 422


@BOTH_WAYS
def test_personal_data_is_said_nowhere_whatever_goes_wrong(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said, post = [], served.client.post
    url = f"/v1/{RECIPE}"

    def raises(release: LoadedRelease, text: str) -> None:
        raise ValueError(f"cannot read {text}")

    said.append(served.predict(text=f"write to {SECRET}", key=SECRET))
    said.append(post(f"{url}/predict", content=f'{{"text": "{SECRET}", '.encode(), headers=JSON))
    said.append(post(f"{url}/predict", content=f'{{"text": "a", "{SECRET}": 1}}'.encode(), headers=JSON))
    said.append(post(f"{url}/predict", json={"text": {SECRET: SECRET}}))
    said.append(post(f"{url}/predict", json={"text": "a", "key": SECRET * 20}))
    said.append(post(f"{url}/predict", json={"text": "a", "deadline_ms": SECRET}))
    said.append(post(f"{url}/predict", json={"text": f"{SECRET} " * 100}))
    said.append(post(f"{url}/feedback", json={"id": SECRET, "truth": SECRET, "by": SECRET}))
    said.append(post(f"/v1/{SECRET}/predict", json={"text": SECRET}))
    said.append(served.client.get(f"/{SECRET}"))
    monkeypatch.setattr(LoadedRelease, "say", raises)
    said.append(served.predict(text=f"write to {SECRET}", key=SECRET))
    assert said[-1].status_code == 500 and said[-1].json()["id"] in caplog.text and "ValueError" in caplog.text
    said.append(served.client.get("/metrics"))
    everything = "\n".join([each.text + str(each.headers) for each in said])
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    captured = capfd.readouterr()
    for place in (everything, ours, captured.out, captured.err):
        assert "ann.lee" not in place
    assert "ann.lee" not in str([row.key for row in served.kept if hasattr(row, "key")])


JSON = {"content-type": "application/json"}
