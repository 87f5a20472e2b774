"""The server's interface as OpenAPI 3.1, for people's tools: from the records by which requests are read and answered.

Belongs here: the document.
Does not: those records (answer.py, refused.py), answering (app.py). It is made when somebody asks for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from stillhouse.recipe.record import FieldSpec, RecordSpec
from stillhouse.serving.answer import Answer, Answers, Question, Truth, WhoServes
from stillhouse.serving.desired import Slot
from stillhouse.serving.http import BODY_SECONDS
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.serving.refused import Refusal
from stillhouse.serving.tokens import Scope
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.numbers import SPELLING
from stillhouse.tasks.score import NumericScore

Json = dict[str, Any]

_OF_A_RECIPE: tuple[tuple[type, JsonSchemaMode], ...] = (
    (Question, "validation"), (Truth, "validation"), (Answer, "serialization"), (Answers, "serialization"),
    (WhoServes, "serialization"),
)  # fmt: skip
_WHY = {
    401: "No token that is known here.",
    403: "The token is for something else.",
    404: "No such recipe is served here.",
    408: f"The body did not arrive within {BODY_SECONDS} seconds.",
    413: "The body is too large.",
    415: "The content type is another than application/json.",
    421: "The host is another than this machine, where no token is asked for.",
    422: "The body is not what is expected, or beyond a limit.",
    500: "The server has failed; its log has the id.",
    501: "No traffic of this recipe is kept.",
    503: "Too many requests are waiting, or nothing is served yet: come again.",
    504: "The deadline of the request has passed.",
}
_WITH_A_BODY = (408, 413, 415, 422)
_ALWAYS = (401, 403, 421, 500)


def described(slots: Mapping[str, Slot], *, tokens_are_asked_for: bool) -> Json:
    """The document for what a server serves now.

    Args:
        slots: what is served, by recipe; the labels and limits of each are in it.
        tokens_are_asked_for: whether a request without a token is refused.
    """
    schemas, paths = _schemas([(Refusal, "serialization")], ""), dict[str, Json]()
    for slot in slots.values():
        schemas |= _schemas_of(slot)
        paths |= _paths_of(slot)
    paths |= {
        "/healthz": {"get": _operation("health", "The process answers.", {200: _text("It does.")}, refused=(500,))},
        "/readyz": {
            "get": _operation("readiness", "Each recipe has a release that was verified and probed.",
                              {200: _text("Ready; what is in the way all the same, a line each.")}, refused=(500, 503))
        },
        "/metrics": {
            "get": _operation("metrics", "For Prometheus.", {200: _text("The metrics.")}, scope=Scope.METRICS)
        },
    }  # fmt: skip
    for operation in (operation for path in paths.values() for operation in path.values()):
        if "security" in operation and not tokens_are_asked_for:
            operation["security"].insert(0, {})  # where none is asked for, one that is brought does no harm
    bearer = "Made by `stillhouse tokens new`; a token is for some of: " + ", ".join(Scope)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Stillhouse", "version": version("stillhouse"), "summary": "Students that are served."},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": bearer}},
        },
    }


def _paths_of(slot: Slot) -> Iterator[tuple[str, Json]]:
    name, limits = slot.name, slot.limits
    body = f"At most {limits.body_bytes:,} bytes."
    answered = _json(
        "An answer, or the answers to several texts in their order.", *map(_ref(name), ("Answer", "Answers"))
    )
    answered["headers"]["X-Stillhouse-Release"] = {
        "description": "The release that answered the first text.", "schema": {"type": "string"}
    }  # fmt: skip
    asked = _operation(
        f"predict_{name}", "Answer a text, or several.", {200: answered}, scope=Scope.PREDICT,
        body=(body, _ref(name)("Question")), refused=(404, *_WITH_A_BODY, 503, 504),
    )  # fmt: skip
    truth = _operation(
        f"feedback_{name}", "Say what turned out to be true of an answer; twice changes nothing.",
        {202: {"description": "It is kept.", "headers": _headers()}}, scope=Scope.FEEDBACK,
        body=(body, _ref(name)("Truth")), refused=(404, *_WITH_A_BODY, 501, 503),
    )  # fmt: skip
    serves = _operation(
        f"who_serves_{name}", "Which release serves, and its labels.",
        {200: _json("What serves.", _ref(name)("WhoServes"))}, scope=Scope.PREDICT, refused=(404, 503),
    )  # fmt: skip
    yield f"/v1/{name}/predict", {"post": asked}
    yield f"/v1/{name}/feedback", {"post": truth}
    yield f"/v1/{name}", {"get": serves}


def _operation(
    operation: str,
    summary: str,
    answers: Mapping[int, Json],
    *,
    scope: Scope | None = None,
    body: tuple[str, Json] | None = None,
    refused: Iterable[int] = (),
) -> Json:
    known = sorted({*refused, *(_ALWAYS if scope else ())})
    refusals = {status: _json(_WHY[status], {"$ref": "#/components/schemas/Refusal"}) for status in known}
    for status in {401, 503} & refusals.keys():
        header = {401: "WWW-Authenticate", 503: "Retry-After"}[status]
        refusals[status]["headers"][header] = {"schema": {"type": "string"}}
    found: Json = {
        "operationId": operation,
        "summary": summary,
        "responses": {str(status): said for status, said in {**answers, **refusals}.items()},
    }
    if scope is not None:
        found["security"] = [{"token": [scope.value]}]
    if body is not None:
        description, schema = body
        content = {"application/json": {"schema": schema}}
        found["requestBody"] = {"description": description, "required": True, "content": content}
    return found


def _json(description: str, *schemas: Json) -> Json:
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": list(schemas)}
    return {"description": description, "headers": _headers(), "content": {"application/json": {"schema": schema}}}


def _text(description: str) -> Json:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"description": description, "headers": _headers(), "content": content}


def _headers() -> Json:
    return {"X-Request-Id": {"description": "Of the request, as in the answer.", "schema": {"type": "string"}}}


def _ref(recipe: str) -> Any:
    return lambda record: {"$ref": f"#/components/schemas/{recipe}.{record}"}


def _schemas(records: Iterable[tuple[type, JsonSchemaMode]], prefix: str) -> Json:
    """Of each record, under its name behind a prefix."""
    adapters = [(record, mode, TypeAdapter[Any](record)) for record, mode in records]
    _, made = TypeAdapter.json_schemas(adapters, ref_template=f"#/components/schemas/{prefix}{{model}}")
    return {f"{prefix}{name}": schema for name, schema in made["$defs"].items()}


def _schemas_of(slot: Slot) -> Json:
    """The records as this recipe has them: its labels, and its limits."""
    prefix = f"{slot.name}."
    schemas = _schemas(_OF_A_RECIPE, prefix)
    question, answer, truth = (schemas[prefix + name]["properties"] for name in ("Question", "Answer", "Truth"))
    _narrow(question["texts"], maxItems=slot.limits.texts)
    serving = slot.serving
    if serving is not None:
        champion, who_answer = serving.champion, serving.who_answer
        most = f"at most {champion.max_characters:,} characters, in the spelling in which texts are compared"
        question["text"]["description"] += f"; {most}"
        question["texts"]["description"] += f"; each {most}"
        if champion.gives_sets:
            one_of = {"type": "array", "items": {"enum": _labels(who_answer)}, "uniqueItems": True}
            truth["truth"] = {"anyOf": [truth["truth"], one_of], "description": truth["truth"].pop("description")}
        elif isinstance(champion.task, NumericScore):
            scales = [each.task for each in who_answer if isinstance(each.task, NumericScore)]
            lowest, highest = min(each.lowest for each in scales), max(each.highest for each in scales)
            number = {"type": "number", "minimum": lowest, "maximum": highest}
            as_text = {**truth["truth"], "pattern": SPELLING}
            truth["truth"] = {"anyOf": [as_text, number], "description": as_text.pop("description")}
        elif isinstance(champion.task, Extraction):
            records = [_record(each.task.spec) for each in who_answer if isinstance(each.task, Extraction)]
            truth["truth"] = {"anyOf": [truth["truth"], *records], "description": truth["truth"].pop("description")}
            answer["record"] |= {"anyOf": records}
        else:
            truth["truth"]["enum"] = _labels(who_answer)
        if champion.gives_sets:
            answer["labels"]["items"] = {"enum": _labels(who_answer)}
        else:
            if champion.gives_numbers:
                answer["label"]["pattern"] = SPELLING
            elif not champion.gives_records:
                answer["label"]["enum"] = _labels(who_answer)
            del answer["labels"]
        if not champion.gives_records:
            del answer["record"]
    return schemas


def _record(spec: RecordSpec) -> Json:
    """An object of these fields."""
    fields = {name: _field(field) for name, field in spec.fields.items()}
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name, field in spec.fields.items() if not field.optional],
        "additionalProperties": False,
    }


def _field(field: FieldSpec) -> Json:
    """What a field may hold; one that reads its value has none where the text says none."""
    forms: dict[str, Json] = {"choice": {"enum": list(field.of)}, "number": {"type": "number"}}
    value = forms.get(field.kind, {"type": "string"})
    return {"anyOf": [value, {"type": "null"}]} if field.optional or field.reads else value


def _labels(releases: Iterable[LoadedRelease]) -> list[str]:
    """All labels that one of these may give."""
    return sorted({label for release in releases for label in release.labels})


def _narrow(schema: Json, **limits: Any) -> None:
    """Add limits to a list that may be left out as well."""
    next(each for each in schema["anyOf"] if each["type"] == "array").update(limits)
