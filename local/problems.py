"""Errors as HTTP answers, all in one shape."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from chalicelib import errors
from chalicelib.errors import Problem

logger = logging.getLogger(__name__)


def answer(problem: Problem, path: str, headers: Mapping[str, str] | None = None) -> Response:
    challenge = {"WWW-Authenticate": "Bearer"} if problem.status == HTTPStatus.UNAUTHORIZED else {}
    return JSONResponse(
        errors.document(problem, path),
        problem.status,
        {**challenge, **problem.headers, **(headers or {})},
        errors.CONTENT_TYPE,
    )


def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(error, request.url.path)


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer(errors.of_status(HTTPStatus(error.status_code)), request.url.path, error.headers)


def _disconnected(_: Request, __: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody is there to read it


def _crash(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    # The server closes it after this: who is not told may send the next request into it.
    closing = {"Connection": "close"}
    return answer(errors.of_status(HTTPStatus.INTERNAL_SERVER_ERROR), request.url.path, closing)


HANDLERS: Mapping[type[Exception], ExceptionHandler] = {
    Problem: _problem,
    HTTPException: _http_exception,
    ClientDisconnect: _disconnected,
    Exception: _crash,
}
