"""Errors that a caller of the API can act on (RFC 9457 problem details)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any


class Problem(Exception):
    """An error with an HTTP status, told to the caller in one sentence that says what to do.

    `errors` names the wrong fields: `[{"field": "files[3].path", "message": "..."}]`; `headers` go with the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[dict[str, str]] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers)

    def body(self) -> dict[str, Any]:
        """The problem document."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = self.errors
        return document


CONTENT_TYPE = "application/problem+json"
# The part of the API that clients of OpenAI's use, which look for `error`.
OPENAI = "/v1/"


def document(problem: Problem, path: str) -> dict[str, Any]:
    """The problem document that is answered to a request for `path`."""
    body = problem.body()
    return {**body, "error": _of_openai(problem)} if path.startswith(OPENAI) else body


def _of_openai(problem: Problem) -> dict[str, Any]:
    kind = "invalid_request_error"
    if problem.status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = "server_error"
    field = problem.errors[0]["field"] if problem.errors else None
    return {"message": problem.detail, "type": kind, "param": field, "code": None}


def not_found(what: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"There is no such {what}.")


def conflict(detail: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, detail)


def unauthorized() -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "The token is missing, unknown or expired. Send a valid one as 'Authorization: Bearer <token>'.",
    )


ADVICE = {
    HTTPStatus.NOT_FOUND: "There is no such resource.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This resource does not take this method.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Send JSON with 'Content-Type: application/json'.",
}
OUR_FAULT = "Something went wrong on our side. Try again later."
THEIR_FAULT = "The request cannot be answered as it is."


def of_status(status: HTTPStatus) -> Problem:
    """The problem of a status alone."""
    otherwise = OUR_FAULT if status >= HTTPStatus.INTERNAL_SERVER_ERROR else THEIR_FAULT
    return Problem(status, ADVICE.get(status, otherwise))
