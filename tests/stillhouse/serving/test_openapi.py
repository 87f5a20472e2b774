"""What the server says of its interface holds: for requests that it takes or refuses, and for what it answers."""

import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from stillhouse.recipe.serving import ServingSpec
from stillhouse.serving.app import Server
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.tokens import Scope
from tests.stillhouse.conftest import LABELS
from tests.stillhouse.serving.conftest import RECIPE, Served

pytestmark = pytest.mark.long

TEXT = "who is the king ?"
Json = dict[str, Any]


def document(served: Served) -> Json:
    answered = served.client.get("/openapi.json")
    assert answered.status_code == 200 and answered.headers["content-type"] == "application/json"
    said: Json = answered.json()
    return said


def fits(document: Json, schema: Json, instance: object) -> bool:
    """Whether a schema of the document lets something pass."""
    whole = {**schema, "components": document["components"]}
    return bool(Draft202012Validator(whole).is_valid(instance))


def parts(value: object) -> Iterator[Json]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from parts(inner)
    if isinstance(value, list):
        for inner in value:
            yield from parts(inner)


def test_it_is_openapi(served: Served) -> None:
    """The rules of OpenAPI 3.1 that this document could break: what has to be there, names, references, schemas."""
    said = document(served)
    assert re.fullmatch(r"3\.1\.\d+", said["openapi"]) and said["info"]["title"] and said["info"]["version"]
    assert set(said) <= {"openapi", "info", "servers", "paths", "components"}
    operations = [(path, method, each) for path, item in said["paths"].items() for method, each in item.items()]
    assert {method for _, method, _ in operations} <= {"get", "post"}
    assert all(path.startswith("/") and "{" not in path for path, _, _ in operations), "no parameter is left unsaid"
    named = [each["operationId"] for _, _, each in operations]
    assert len(set(named)) == len(named)
    for _, _, each in operations:
        assert set(each) <= {"operationId", "summary", "security", "requestBody", "responses"} and each["responses"]
        for status, response in each["responses"].items():
            assert re.fullmatch("[1-5][0-9][0-9]", status) and response["description"]
            assert set(response) <= {"description", "headers", "content"}
        assert all(set(need) <= set(said["components"]["securitySchemes"]) for need in each.get("security", []))
    for name, schema in said["components"]["schemas"].items():
        assert re.fullmatch("[a-zA-Z0-9._-]+", name)
        Draft202012Validator.check_schema(schema)
    for reference in (each["$ref"] for each in parts(said) if "$ref" in each):
        found: Any = said
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found


def test_every_endpoint_is_in_it(served: Served) -> None:
    server = served.client.app
    assert isinstance(server, Server)
    routes = {
        (route.path.format(recipe=RECIPE), method)
        for route in server._router.routes  # type: ignore[attr-defined]
        for method in route.methods or ()  # one for all methods refuses them
    }
    found = {(path, method.upper()) for path, item in document(served)["paths"].items() for method in item}
    assert routes - {(path, "HEAD") for path, _ in routes} - {("/openapi.json", "GET")} == found


QUESTIONS: list[tuple[Json, bool]] = [
    ({"text": TEXT}, True),
    ({"texts": [TEXT, TEXT]}, True),
    ({"text": TEXT, "texts": None, "key": "customer 7", "deadline_ms": 60_000.5}, True),
    ({"text": None, "texts": [TEXT], "columns": {"channel": "post"}}, True),
    ({"texts": [TEXT] * 64}, True),
    ({}, False),
    ({"text": TEXT, "texts": [TEXT]}, False),
    ({"text": None}, False),
    ({"texts": []}, False),
    ({"texts": [TEXT] * 65}, False),
    ({"text": 7}, False),
    ({"text": TEXT, "model": "other"}, False),
    ({"text": TEXT, "key": ""}, False),
    ({"text": TEXT, "key": "k" * 201}, False),
    ({"text": TEXT, "deadline_ms": 0}, False),
    ({"text": TEXT, "columns": {"channel": "p" * 201}}, False),
    ({"text": TEXT, "columns": {str(number): "x" for number in range(21)}}, False),
]


@pytest.mark.parametrize(("body", "is_taken"), QUESTIONS)
def test_a_question_is_taken_where_its_schema_lets_it_pass(served: Served, body: Json, is_taken: bool) -> None:
    said = document(served)
    operation = said["paths"][f"/v1/{RECIPE}/predict"]["post"]
    assert fits(said, operation["requestBody"]["content"]["application/json"]["schema"], body) is is_taken
    answered = served.predict(**body)
    assert answered.status_code == (200 if is_taken else 422)
    holds(said, operation, answered)


def holds(document: Json, operation: Json, answered: httpx.Response) -> None:
    """A response is one of those that are said of its operation, headers and all."""
    expected = operation["responses"][str(answered.status_code)]
    assert {name.lower() for name in expected["headers"]} <= set(answered.headers)
    if "content" not in expected:
        assert not answered.content
        return
    (kind, content), *others = expected["content"].items()
    assert not others and answered.headers["content-type"].startswith(kind)
    instance = answered.json() if kind == "application/json" else answered.text
    assert fits(document, content["schema"], instance)
    if isinstance(instance, dict):  # and no schema that lets anything pass
        assert not fits(document, content["schema"], {}) and not fits(document, content["schema"], {"answers": [{}]})


def test_feedback_is_taken_where_its_schema_lets_it_pass(served: Served) -> None:
    said, id = document(served), served.predict(text=TEXT).json()["id"]
    operation = said["paths"][f"/v1/{RECIPE}/feedback"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    truth = {"id": id, "truth": LABELS[0]}
    bodies: list[tuple[Json, bool]] = [
        (truth, True), ({**truth, "by": "desk:2"}, True), ({**truth, "by": "Desk 2"}, False),
        ({**truth, "truth": "no label of it"}, False), ({"id": id}, False), ({**truth, "note": "x"}, False),
    ]  # fmt: skip
    for body, is_taken in bodies:
        assert fits(said, schema, body) is is_taken, body
        answered = served.feedback(**body)
        assert answered.status_code == (202 if is_taken else 422)
        holds(said, operation, answered)


def test_answers_have_labels_of_the_release_and_limits_are_those_of_the_recipe(served: Served) -> None:
    said = document(served)
    schemas = said["components"]["schemas"]
    assert schemas[f"{RECIPE}.Answer"]["properties"]["label"]["enum"] == sorted(LABELS)
    assert "at most 1,000 characters" in schemas[f"{RECIPE}.Question"]["properties"]["text"]["description"]
    served.slot.limits = ServingSpec(texts=2, body_bytes=5000)
    said = document(served)
    operation = said["paths"][f"/v1/{RECIPE}/predict"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert operation["requestBody"]["description"] == "At most 5,000 bytes."
    assert fits(said, schema, {"texts": [TEXT] * 2}) and not fits(said, schema, {"texts": [TEXT] * 3})
    answer = served.predict(text=TEXT).json()
    of_answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert fits(said, of_answer, answer) and not fits(said, of_answer, {**answer, "label": "no label of it"})


def test_an_earlier_champion_that_stands_in_may_answer_with_labels_of_its_own(served: Served) -> None:
    assert served.slot.serving is not None
    earlier: Any = SimpleNamespace(instead=SimpleNamespace(labels=frozenset({*LABELS, "of before"})))
    served.slot.serving = replace(served.slot.serving, taken=(earlier,))
    properties = document(served)["components"]["schemas"][f"{RECIPE}.Answer"]["properties"]
    assert properties["label"]["enum"] == sorted([*LABELS, "of before"])


def test_every_refusal_is_said(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    said, path = document(served), f"/v1/{RECIPE}/predict"
    operation, client = said["paths"][path]["post"], served.client
    sent = {"content-type": "application/json"}
    refused = [
        client.post("/v1/nobody/predict", json={"text": TEXT}),
        client.post(path, content=b'{"text": "x"}', headers={"content-type": "text/plain"}),
        client.post(path, content=b" " * 300_000, headers=sent),
        client.post(path, content=b"no JSON", headers=sent),
        client.post(path, json={"text": TEXT}, headers={"host": "elsewhere.example.org"}),
    ]
    served.slot.limits = ServingSpec(concurrency=1)
    served.slot.waiting = 1
    refused.append(served.predict(text=TEXT))
    served.slot.limits, served.slot.waiting = ServingSpec(), 0
    monkeypatch.setattr(LoadedRelease, "say", lambda release, clean: 1 / 0)
    refused.append(served.predict(text=TEXT))
    assert [each.status_code for each in refused] == [404, 415, 413, 422, 421, 503, 500]
    for each in refused:
        holds(said, operation, each)
    monkeypatch.undo()
    holds(said, said["paths"][f"/v1/{RECIPE}"]["get"], client.get(f"/v1/{RECIPE}"))
    for name in ("/healthz", "/readyz"):
        holds(said, said["paths"][name]["get"], client.get(name))
    served.slot.serving = None
    for name in (f"/v1/{RECIPE}", "/readyz"):
        answered = client.get(name)
        assert answered.status_code == 503
        holds(said, said["paths"][name]["get"], answered)
    assert "enum" not in document(served)["components"]["schemas"][f"{RECIPE}.Answer"]["properties"]["label"]


def test_a_token_is_said_to_be_needed_where_it_is(served: Served) -> None:
    operation = document(served)["paths"][f"/v1/{RECIPE}/predict"]["post"]
    assert operation["security"] == [{}, {"token": ["predict"]}], "on this machine none is asked for"
    for_feedback, token = served.tokens.new("desk", [Scope.FEEDBACK]), served.tokens.new("shop", [Scope.PREDICT])
    refused = served.client.get("/openapi.json")
    assert refused.status_code == 401, "labels and names of recipes are for those who may ask"
    said = served.client.get("/openapi.json", headers={"authorization": f"Bearer {token}"}).json()
    operation = said["paths"][f"/v1/{RECIPE}/predict"]["post"]
    assert operation["security"] == [{"token": ["predict"]}]
    assert said["paths"]["/metrics"]["get"]["security"] == [{"token": ["metrics"]}]
    assert "security" not in said["paths"]["/healthz"]["get"]
    for answered in (
        served.predict(text=TEXT),
        served.client.post(f"/v1/{RECIPE}/predict", json={}, headers={"authorization": f"Bearer {for_feedback}"}),
    ):
        assert answered.status_code in (401, 403)
        holds(said, operation, answered)
