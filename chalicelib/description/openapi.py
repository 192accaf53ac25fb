"""The API's description as an OpenAPI 3.1 document, made of the types that requests and answers have."""

import functools
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from chalicelib import answers, errors
from chalicelib.description import examples
from chalicelib.description.operations import JSON, Answer, Operation, Parameter
from chalicelib.description.problems import PROBLEMS
from chalicelib.description.routes import OPERATIONS

ABOUT = """Point it at videos, and their transcripts come back.

Create a job with `POST /jobs`, send the bytes of each file to its `upload`, ask `GET /jobs/{job_id}` how it goes, and
fetch the transcripts. Media and transcripts go to and from signed URLs, which need no token and are no part of this
description.

Every error is a problem document (RFC 9457) whose `detail` says what to do. Fields that are not told here may be added
to answers at any time."""
AUTHORIZATION = """A token, made with `transcriber tokens create` or `POST /tokens`. What it allows depends on its
scopes: `read` (see the jobs of its owner), `write` (make, change and delete them) and `admin` (manage everybody's
tokens)."""
ALWAYS = {HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE}
WITH_TOKEN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
WITH_BODY = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
SCHEMAS = "#/components/schemas/"


class _Schemas(GenerateJsonSchema):
    """Without titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


@functools.cache
def document(base: str, version: str, models: tuple[str, ...]) -> dict[str, Any]:
    """The whole document, of a service that is at the path `base` and has these models."""
    kinds = {kind: TypeAdapter(kind) for kind in _kinds()}
    found, shared = TypeAdapter.json_schemas(
        [(kind, "validation", adapter) for kind, adapter in kinds.items()],
        ref_template=f"{SCHEMAS}{{model}}",
        schema_generator=_Schemas,
    )
    schemas = {kind: schema for (kind, _), schema in found.items()}
    paths: dict[str, dict[str, Any]] = {}
    for group, operations in OPERATIONS.items():
        for operation in operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(group, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Transcription service", "version": version, "description": ABOUT},
        **({"servers": [{"url": base}]} if base else {}),
        "tags": [{"name": group} for group in OPERATIONS],
        "paths": paths,
        "webhooks": {"job": {"post": _webhook(schemas)}},
        "components": {
            "schemas": {name: _with_models(schema, models) for name, schema in shared["$defs"].items()},
            "responses": {_name(status): _problem(status) for status in PROBLEMS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": AUTHORIZATION}},
        },
    }


def statuses(operation: Operation) -> list[HTTPStatus]:
    """Those of the errors that an operation may be answered with."""
    found = {*operation.problems, *ALWAYS}
    if operation.needs:
        found |= WITH_TOKEN
    if operation.body:
        found |= WITH_BODY
    if any(parameter.place == "path" for parameter in operation.parameters):
        found |= {HTTPStatus.NOT_FOUND}
    return sorted(found)


def _kinds() -> Iterator[Any]:
    yield answers.ProblemDocument
    yield answers.Message
    for operation in (operation for group in OPERATIONS.values() for operation in group):
        if operation.body:
            yield operation.body
        for answer in operation.answers:
            if answer.kind:
                yield answer.kind


def _operation(group: str, operation: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"tags": [group], "summary": operation.summary, "operationId": operation.name}
    if operation.about:
        described["description"] = operation.about
    described["security"] = [{"token": [operation.needs.value]}] if operation.needs else []
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        content = {operation.body_media: {"schema": schemas[operation.body], "example": operation.example}}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    described["responses"] = {
        **{str(answer.status.value): _answer(answer, schemas) for answer in operation.answers},
        **{str(status.value): {"$ref": f"#/components/responses/{_name(status)}"} for status in statuses(operation)},
    }
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.about,
        "required": parameter.required or parameter.place == "path",
        "schema": dict(parameter.schema),
        "example": parameter.example,
    }


def _answer(answer: Answer, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.about}
    texts = {media: {"schema": {"type": "string"}} for media in answer.others}
    if answer.headers:
        described["headers"] = {name: _header(about) for name, about in answer.headers.items()}
    if answer.kind:
        example = {} if answer.example is None else {"example": answer.example}
        described["content"] = {JSON: {"schema": schemas[answer.kind], **example}, **texts}
    elif answer.media:
        described["content"] = {answer.media: {"schema": {"type": "string"}}}
    return described


def _webhook(schemas: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "summary": "A job has ended",
        "description": "Sent to the `webhook` of a job or token, and again for a day until it is answered with 2xx or "
        "410. Verify the signature as Standard Webhooks says.",
        "requestBody": {
            "content": {JSON: {"schema": schemas[answers.Message], "example": examples.MESSAGE}},
        },
        "responses": {"2XX": {"description": "It was taken."}, "410": {"description": "No more of this job."}},
    }


def _problem(status: HTTPStatus) -> dict[str, Any]:
    when, problem = PROBLEMS[status]
    headers = {"Retry-After": _header("Seconds to wait.")} if "Retry-After" in problem.headers else {}
    content = {"schema": {"$ref": f"{SCHEMAS}{answers.ProblemDocument.__name__}"}, "example": problem.body()}
    return {
        "description": when,
        **({"headers": headers} if headers else {}),
        "content": {errors.CONTENT_TYPE: content},
    }


def _header(about: str) -> dict[str, Any]:
    return {"description": about, "schema": {"type": "string"}}


def _name(status: HTTPStatus) -> str:
    """`Not Found` as `NotFound`."""
    return "".join(word for word in status.phrase.title() if word.isalnum())


def _with_models(schema: Mapping[str, Any], models: tuple[str, ...]) -> dict[str, Any]:
    """A schema whose `model`, if it asks for one, is one of those installed."""
    properties = schema.get("properties", {})
    if "model" not in properties or "anyOf" not in properties["model"] or "assumptions" in properties:
        return dict(schema)
    model = {**properties["model"], "anyOf": [{"enum": list(models)}, {"type": "null"}]}
    return {**schema, "properties": {**properties, "model": model}}
