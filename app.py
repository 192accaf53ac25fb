"""The HTTP API. Each route is one call deep: the use cases are in `chalicelib.service`."""

import functools
import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from chalice.app import AuthRequest, AuthResponse, Chalice, CloudWatchEvent, Rate, Request, Response, S3Event

from chalicelib import control, editing, errors, inbox, keys, multipart, page, pages, platform, retention
from chalicelib.aws.events import objects_created
from chalicelib.errors import Problem

app = Chalice(app_name="transcribe", configure_logs=False)

# Needed where events are subscribed to, which is `chalice deploy` alone; it finds no bucket of this name.
MEDIA_BUCKET = os.environ.get("MEDIA_BUCKET", "MEDIA_BUCKET-is-not-set")
CREATED = ["s3:ObjectCreated:*"]
EXECUTION_ENDED = {
    "source": ["aws.states"],
    "detail-type": ["Step Functions Execution Status Change"],
    "detail": {
        "stateMachineArn": [os.environ.get("STATE_MACHINE_ARN", "STATE_MACHINE_ARN-is-not-set")],
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
    },
}


@app.authorizer(ttl_seconds=60)
def bearer(request: AuthRequest) -> AuthResponse:
    owner = platform.service().owner(request.token)
    return AuthResponse(routes=["*"] if owner else [], principal_id=owner or "nobody")


@app.middleware("http")
def only_problems(event: Any, answer: Callable[[Any], Response]) -> Response:
    """Gives the errors of Chalice itself (wrong method or media type, a crash) the shape of all others."""
    response = answer(event)
    if response.status_code < HTTPStatus.BAD_REQUEST or response.headers.get("Content-Type") == errors.CONTENT_TYPE:
        return response
    return _problem(errors.of_status(HTTPStatus(response.status_code)), response.headers)


def route(path: str, method: str = "GET", **kwargs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`app.route` whose view may raise a Problem."""

    def register(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def answer(**arguments: str) -> Any:
            try:
                return view(**arguments)
            except Problem as problem:
                return _problem(problem)

        registered: Callable[..., Any] = app.route(path, methods=[method], **kwargs)(answer)
        return registered

    return register


@route("/")
def web_page() -> Any:
    return _asset(page.index(platform.service().settings.object_origins))


@route("/assets/{name}")
def web_page_asset(name: str) -> Any:
    return _asset(page.asset(name))


@route("/health")
def health() -> Any:
    return platform.service().health()


@route("/jobs", "POST", authorizer=bearer)
def create_job() -> Any:
    created = platform.service().create_job(_owner(), _request().raw_body, _request().headers.get("Idempotency-Key"))
    return Response(created, {"Location": f"/jobs/{created['id']}"}, HTTPStatus.CREATED)


@route("/jobs", authorizer=bearer)
def list_jobs() -> Any:
    return platform.service().jobs(_owner(), _query("cursor"), _query("limit"), _query("label"))


@route("/jobs/{job_id}", authorizer=bearer)
def get_job(job_id: str) -> Any:
    return platform.service().job(_owner(), job_id)


@route("/jobs/{job_id}", "DELETE", authorizer=bearer)
def delete_job(job_id: str) -> Any:
    control.delete(platform.service(), _owner(), job_id)
    return Response("", {"Content-Type": "text/plain"}, HTTPStatus.NO_CONTENT)


@route("/jobs/{job_id}/cancel", "POST", authorizer=bearer)
def cancel_job(job_id: str) -> Any:
    return control.cancel(platform.service(), _owner(), job_id)


@route("/jobs/{job_id}/retry", "POST", authorizer=bearer)
def retry_job(job_id: str) -> Any:
    return control.retry(platform.service(), _owner(), job_id)


@route("/jobs/{job_id}/files", authorizer=bearer)
def list_files(job_id: str) -> Any:
    return platform.service().files(_owner(), job_id, _query("cursor"), _query("state"))


@route("/jobs/{job_id}/files", "POST", authorizer=bearer)
def add_files(job_id: str) -> Any:
    return Response(pages.add(platform.service(), _owner(), job_id, _request().raw_body), {}, HTTPStatus.CREATED)


@route("/jobs/{job_id}/files/{n}/upload", "POST", authorizer=bearer)
def renew_upload(job_id: str, n: str) -> Any:
    return platform.service().upload(_owner(), job_id, n)


@route("/jobs/{job_id}/files/{n}/parts", "POST", authorizer=bearer)
def get_parts(job_id: str, n: str) -> Any:
    return multipart.parts(platform.service(), _owner(), job_id, n, _request().raw_body)


@route("/jobs/{job_id}/files/{n}/parts", "DELETE", authorizer=bearer)
def abort_parts(job_id: str, n: str) -> Any:
    multipart.abort(platform.service(), _owner(), job_id, n)
    return Response("", status_code=HTTPStatus.NO_CONTENT)


@route("/jobs/{job_id}/files/{n}/complete", "POST", authorizer=bearer)
def complete_upload(job_id: str, n: str) -> Any:
    return multipart.complete(platform.service(), _owner(), job_id, n, _request().raw_body)


@route("/jobs/{job_id}/files/{n}/transcript", authorizer=bearer)
def get_transcript(job_id: str, n: str) -> Any:
    return _found(platform.service().transcript_url(_owner(), job_id, n, _query("format")))


@route("/jobs/{job_id}/files/{n}/transcript", "PUT", authorizer=bearer)
def edit_transcript(job_id: str, n: str) -> Any:
    return editing.edit(platform.service(), _owner(), job_id, n, _request().raw_body)


@route("/jobs/{job_id}/files/{n}/versions", authorizer=bearer)
def list_versions(job_id: str, n: str) -> Any:
    return editing.versions(platform.service(), _owner(), job_id, n)


@route("/jobs/{job_id}/files/{n}/versions/{version}", authorizer=bearer)
def get_version(job_id: str, n: str, version: str) -> Any:
    return _found(editing.version_url(platform.service(), _owner(), job_id, n, version))


@route("/jobs/{job_id}/files/{n}/media", authorizer=bearer)
def get_media(job_id: str, n: str) -> Any:
    return _found(platform.service().media_url(_owner(), job_id, n))


@app.on_s3_event(MEDIA_BUCKET, CREATED, prefix=keys.UPLOADS)
def object_created(event: S3Event) -> None:
    for created in objects_created(event.to_dict()):
        platform.service().object_created(created.key, created.size)


@app.on_s3_event(MEDIA_BUCKET, CREATED, prefix=keys.INBOX, suffix=f"/{keys.DONE}")
def folder_done(event: S3Event) -> None:
    for created in objects_created(event.to_dict()):
        inbox.folder_done(platform.service(), created.key, created.time, created.version)


@app.on_cw_event(EXECUTION_ENDED)
def execution_ended(event: CloudWatchEvent) -> None:
    platform.service().execution_ended(event.detail["name"], event.detail["status"])


@app.schedule(Rate(1, Rate.MINUTES))
def sweep(_: CloudWatchEvent) -> None:
    retention.sweep(platform.service())


def _request() -> Request:
    assert app.current_request is not None, "only while a request is answered"
    return app.current_request


def _owner() -> str:
    return str(_request().context["authorizer"]["principalId"])


def _query(name: str) -> str | None:
    parameters = _request().query_params
    return parameters.get(name) if parameters else None


def _found(url: str) -> Response:
    """Leads to `url`; who asks for JSON, as scripts in browsers that can't see where they are led, is told it."""
    if _request().headers.get("accept", "").startswith("application/json"):
        return Response({"url": url})
    return Response("", {"Location": url, "Content-Type": "text/plain"}, HTTPStatus.FOUND)


def _asset(asset: page.Asset) -> Response:
    return Response(asset.body, dict(asset.headers))


def _problem(problem: Problem, headers: Mapping[str, str | list[str]] = {}) -> Response:
    return Response(problem.body(), {**headers, "Content-Type": errors.CONTENT_TYPE}, problem.status)
