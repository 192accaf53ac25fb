"""The HTTP API. Each route is one call deep: the use cases are in `chalicelib.service`."""

import functools
import os
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from chalice.app import (
    AuthRequest,
    AuthResponse,
    Chalice,
    CloudWatchEvent,
    DynamoDBEvent,
    Rate,
    Request,
    Response,
    S3Event,
    SQSEvent,
)

from chalicelib import (
    control,
    description,
    editing,
    errors,
    estimates,
    forms,
    inbox,
    keys,
    limits,
    multipart,
    openai,
    page,
    pages,
    platform,
    retention,
    search,
    tokens,
)
from chalicelib.access import Scope, scope_of
from chalicelib.aws.events import objects_created
from chalicelib.errors import Problem

app = Chalice(app_name="transcribe", configure_logs=False)
# API Gateway spoils bytes that it takes for text.
app.api.binary_types.append(forms.MEDIA)

# Needed where events are subscribed to, which is `chalice deploy` alone; it finds no bucket of this name.
MEDIA_BUCKET = os.environ.get("MEDIA_BUCKET", "MEDIA_BUCKET-is-not-set")
TABLE_STREAM_ARN = os.environ.get("TABLE_STREAM_ARN", "TABLE_STREAM_ARN-is-not-set")
WEBHOOKS_QUEUE_ARN = os.environ.get("WEBHOOKS_QUEUE_ARN", "WEBHOOKS_QUEUE_ARN-is-not-set")
CREATED = ["s3:ObjectCreated:*"]
EXECUTION_ENDED = {
    "source": ["aws.states"],
    "detail-type": ["Step Functions Execution Status Change"],
    "detail": {
        "stateMachineArn": [os.environ.get("STATE_MACHINE_ARN", "STATE_MACHINE_ARN-is-not-set")],
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
    },
}


# API Gateway asks once a minute for each token, so there a revoked one ends up to a minute later. What a request may do
# is looked at with every request, in `route`.
@app.authorizer(ttl_seconds=60)
def bearer(request: AuthRequest) -> AuthResponse:
    token = platform.service().authenticate(request.token)
    if token is None:
        return AuthResponse(routes=[], principal_id="nobody")
    allowed: dict[str, Any] = {"token": token.id, "scopes": " ".join(token.scopes)}
    if token.limits.requests_per_minute is not None:
        allowed["requests_per_minute"] = token.limits.requests_per_minute
    return AuthResponse(routes=["*"], principal_id=token.owner, context=allowed)


@app.middleware("http")
def only_problems(event: Any, answer: Callable[[Any], Response]) -> Response:
    """Gives the errors of Chalice itself (wrong method or media type, a crash) the shape of all others."""
    response = answer(event)
    if response.status_code < HTTPStatus.BAD_REQUEST or response.headers.get("Content-Type") == errors.CONTENT_TYPE:
        return response
    return _problem(errors.of_status(HTTPStatus(response.status_code)), response.headers)


def route(
    path: str, method: str = "GET", *, scope: Scope | None = None, authorizer: Any = bearer, **kwargs: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`app.route` whose view may raise a Problem, and takes tokens of the right scope and within their rate alone.

    The scope is that of the method unless it is named. Without an authorizer a route is for everybody.
    """
    needed = scope or scope_of(method)

    def register(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def answer(**arguments: str) -> Any:
            try:
                if authorizer is not None:
                    _admit(needed)
                return view(**arguments)
            except Problem as problem:
                return _problem(problem, problem.headers)

        registered: Callable[..., Any] = app.route(path, methods=[method], authorizer=authorizer, **kwargs)(answer)
        return registered

    return register


@route("/", authorizer=None)
def web_page() -> Any:
    return _asset(page.index(platform.service().settings.object_origins))


@route("/assets/{name}", authorizer=None)
def web_page_asset(name: str) -> Any:
    return _asset(page.asset(name))


@route("/openapi.json", authorizer=None)
def api_description() -> Any:
    return description.document(platform.service().settings, _base("/openapi.json"))


@route("/docs", authorizer=None)
def api_reference() -> Any:
    return _asset(description.page(platform.service().settings, _base("/docs")))


@route("/health", authorizer=None)
def health() -> Any:
    return platform.service().health()


@route("/jobs", "POST")
def create_job() -> Any:
    request = _request()
    key = request.headers.get("Idempotency-Key")
    created = platform.service().create_job(_owner(), request.raw_body, key, _token())
    return Response(created, {"Location": f"{_base('/jobs')}/jobs/{created['id']}"}, HTTPStatus.CREATED)


@route("/jobs/estimate", "POST", scope=Scope.READ)
def estimate_job() -> Any:
    return estimates.estimate(platform.service().settings, _request().raw_body)


@route("/jobs")
def list_jobs() -> Any:
    return platform.service().jobs(_owner(), _query("cursor"), _query("limit"), _query("label"))


@route("/jobs/{job_id}")
def get_job(job_id: str) -> Any:
    return platform.service().job(_owner(), job_id)


@route("/jobs/{job_id}", "DELETE")
def delete_job(job_id: str) -> Any:
    control.delete(platform.service(), _owner(), job_id)
    return Response("", {"Content-Type": "text/plain"}, HTTPStatus.NO_CONTENT)


@route("/jobs/{job_id}/cancel", "POST")
def cancel_job(job_id: str) -> Any:
    return control.cancel(platform.service(), _owner(), job_id)


@route("/jobs/{job_id}/retry", "POST")
def retry_job(job_id: str) -> Any:
    return control.retry(platform.service(), _owner(), job_id, _token())


@route("/jobs/{job_id}/files")
def list_files(job_id: str) -> Any:
    return platform.service().files(_owner(), job_id, _query("cursor"), _query("state"))


@route("/jobs/{job_id}/files", "POST")
def add_files(job_id: str) -> Any:
    added = pages.add(platform.service(), _owner(), job_id, _request().raw_body, _token())
    return Response(added, {}, HTTPStatus.CREATED)


@route("/jobs/{job_id}/files/{n}/upload", "POST")
def renew_upload(job_id: str, n: str) -> Any:
    return platform.service().upload(_owner(), job_id, n)


@route("/jobs/{job_id}/files/{n}/parts", "POST")
def get_parts(job_id: str, n: str) -> Any:
    return multipart.parts(platform.service(), _owner(), job_id, n, _request().raw_body)


@route("/jobs/{job_id}/files/{n}/parts", "DELETE")
def abort_parts(job_id: str, n: str) -> Any:
    multipart.abort(platform.service(), _owner(), job_id, n)
    return Response("", status_code=HTTPStatus.NO_CONTENT)


@route("/jobs/{job_id}/files/{n}/complete", "POST")
def complete_upload(job_id: str, n: str) -> Any:
    return multipart.complete(platform.service(), _owner(), job_id, n, _request().raw_body)


@route("/jobs/{job_id}/files/{n}/transcript")
def get_transcript(job_id: str, n: str) -> Any:
    return _found(platform.service().transcript_url(_owner(), job_id, n, _query("format")))


@route("/jobs/{job_id}/files/{n}/transcript", "PUT")
def edit_transcript(job_id: str, n: str) -> Any:
    return editing.edit(platform.service(), _owner(), job_id, n, _request().raw_body)


@route("/jobs/{job_id}/files/{n}/versions")
def list_versions(job_id: str, n: str) -> Any:
    return editing.versions(platform.service(), _owner(), job_id, n)


@route("/jobs/{job_id}/files/{n}/versions/{version}")
def get_version(job_id: str, n: str, version: str) -> Any:
    return _found(editing.version_url(platform.service(), _owner(), job_id, n, version))


@route("/jobs/{job_id}/files/{n}/media")
def get_media(job_id: str, n: str) -> Any:
    return _found(platform.service().media_url(_owner(), job_id, n))


@route("/v1/audio/transcriptions", "POST", content_types=[forms.MEDIA])
def transcribe_audio() -> Any:
    return _spoken(openai.transcribe)


@route("/v1/audio/translations", "POST", content_types=[forms.MEDIA])
def translate_audio() -> Any:
    return _spoken(openai.translate)


@route("/v1/models")
def list_models() -> Any:
    return openai.models(platform.service())


@route("/search")
def search_transcripts() -> Any:
    return search.search(platform.service(), _owner(), _query("q"), _query("cursor"), _query("limit"))


@route("/token")
def get_own_token() -> Any:
    service = platform.service()
    return tokens.one(service.records, _token(), service.clock())


@route("/tokens", "POST", scope=Scope.ADMIN)
def create_token() -> Any:
    service = platform.service()
    created = tokens.make(service.records, _request().raw_body, service.clock())
    return Response(created, {"Location": f"{_base('/tokens')}/tokens/{created['id']}"}, HTTPStatus.CREATED)


@route("/tokens", scope=Scope.ADMIN)
def list_tokens() -> Any:
    service = platform.service()
    return tokens.every(service.records, service.clock())


@route("/tokens/{token_id}", "DELETE", scope=Scope.ADMIN)
def revoke_token(token_id: str) -> Any:
    tokens.revoke(platform.service().records, token_id)
    return Response("", {"Content-Type": "text/plain"}, HTTPStatus.NO_CONTENT)


@app.on_s3_event(MEDIA_BUCKET, CREATED, prefix=keys.UPLOADS)
def object_created(event: S3Event) -> None:
    for created in objects_created(event.to_dict()):
        platform.service().object_created(created.key, created.size)


@app.on_s3_event(MEDIA_BUCKET, CREATED, prefix=keys.INBOX, suffix=f"/{keys.DONE}")
def folder_done(event: S3Event) -> None:
    for created in objects_created(event.to_dict()):
        inbox.folder_done(platform.service(), created.key, created.time, created.version)


@app.on_dynamodb_record(TABLE_STREAM_ARN)
def table_changed(event: DynamoDBEvent) -> None:
    platform.announcements().table_changed(event.to_dict())


@app.on_sqs_message(queue_arn=WEBHOOKS_QUEUE_ARN, batch_size=1)
def webhook_due(event: SQSEvent) -> None:
    platform.announcements().webhook_due(event.to_dict(), time.time())


@app.on_cw_event(EXECUTION_ENDED)
def execution_ended(event: CloudWatchEvent) -> None:
    platform.service().execution_ended(event.detail["name"], event.detail["status"])


@app.schedule(Rate(5, Rate.MINUTES))
def catch_up(_: CloudWatchEvent) -> None:
    platform.overlooked().sweep()


@app.schedule(Rate(1, Rate.MINUTES))
def sweep(_: CloudWatchEvent) -> None:
    retention.sweep(platform.service())


def _request() -> Request:
    assert app.current_request is not None, "only while a request is answered"
    return app.current_request


def _owner() -> str:
    return str(_request().context["authorizer"]["principalId"])


def _token() -> str:
    """The id of the token that the request came with."""
    return str(_request().context["authorizer"]["token"])


def _admit(needed: Scope) -> None:
    """Raises Problem if the request's token has not the scope, or has made too many requests."""
    allowed, service = _request().context["authorizer"], platform.service()
    # API Gateway hands on the authorizer's numbers as text.
    rate = allowed.get("requests_per_minute")
    per_minute = None if rate is None else int(rate)
    limits.admit(service.counters, _token(), allowed["scopes"].split(), per_minute, needed, service.clock())


def _query(name: str) -> str | None:
    parameters = _request().query_params
    return parameters.get(name) if parameters else None


def _base(path: str) -> str:
    """What comes before the route's own path: `/api` in that stage of API Gateway."""
    return str(_request().context["path"]).removesuffix(path)


def _found(url: str) -> Response:
    """Leads to `url`; who asks for JSON, as scripts in browsers that can't see where they are led, is told it."""
    if _request().headers.get("accept", "").startswith("application/json"):
        return Response({"url": url})
    return Response("", {"Location": url, "Content-Type": "text/plain"}, HTTPStatus.FOUND)


def _spoken(answer: Callable[..., openai.Spoken]) -> Response:
    request = _request()
    spoken = answer(platform.service(), _owner(), _token(), request.headers["content-type"], request.raw_body)
    return Response(spoken.body, {"Content-Type": spoken.media})


def _asset(asset: page.Asset) -> Response:
    return Response(asset.body, dict(asset.headers))


def _problem(problem: Problem, headers: Mapping[str, str | list[str]] = {}) -> Response:
    body = errors.document(problem, _request().context["resourcePath"])
    return Response(body, {**headers, "Content-Type": errors.CONTENT_TYPE}, problem.status)
