"""The Chalice application inside this server, where API Gateway and Lambda are on AWS."""

import asyncio
from base64 import b64decode
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from anyio import CapacityLimiter, to_thread
from chalice.app import Chalice
from chalice.config import Config
from chalice.local import ForbiddenError, LocalChalice, LocalGateway, NotAuthorizedError, RouteMatcher
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chalicelib import errors
from chalicelib.access import Token
from chalicelib.errors import Problem, not_found, unauthorized
from chalicelib.forms import MEDIA

# The size is that of API Gateway; for forms that of OpenAI's API with some room for the rest, and time for slow lines.
MAX_BODY_BYTES, BODY_SECONDS = 10 * 10**6, 60.0
MAX_FORM_BYTES, FORM_SECONDS = 26 * 2**20, 600.0
# How many requests may wait for transcripts at once, without being in the way of others.
WAITING = 100


class Gateway:
    """Answers every request with the Chalice application, in a thread of its own.

    `authenticate` gives the token that an `Authorization` header carries: bodies are read for valid ones only, so that
    nobody else can fill the memory.
    """

    def __init__(self, app: Chalice, authenticate: Callable[[str | None], Token | None]) -> None:
        self._authenticate = authenticate
        # Many threads share the application: this class keeps the current request of each apart.
        app.__class__ = LocalChalice
        self._routes = RouteMatcher(list(app.routes))
        self._gateway = LocalGateway(app, Config(config_from_disk={"lambda_timeout": 60}))
        self._waiting = CapacityLimiter(WAITING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await self._body(request)
        limiter = self._waiting if request.url.path.startswith(errors.OPENAI) else None
        response = await to_thread.run_sync(self._answer, request, body, limiter=limiter)
        await response(scope, receive, send)

    async def _body(self, request: Request) -> bytes:
        declared = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        if declared and await run_in_threadpool(self._authenticate, request.headers.get("authorization")) is None:
            raise unauthorized()
        form = request.headers.get("content-type", "").lower().startswith(MEDIA)
        most, seconds = (MAX_FORM_BYTES, FORM_SECONDS) if form else (MAX_BODY_BYTES, BODY_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                return await _body(request, most)
        except TimeoutError:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time. Send it again.") from None

    def _answer(self, request: Request, body: bytes) -> Response:
        url = _url(request)
        # The server leaves out the body of an answer to HEAD.
        method = "GET" if request.method == "HEAD" else request.method
        try:
            self._routes.match_route(url)
        except ValueError:
            raise not_found("resource") from None
        try:
            return _response(self._gateway.handle_request(method, url, dict(request.headers), body))
        except (NotAuthorizedError, ForbiddenError):
            raise unauthorized() from None


def _url(request: Request) -> str:
    """Path and query as they were sent."""
    path: str = request.scope["raw_path"].decode()
    query: str = request.scope["query_string"].decode(errors="replace")
    if path.startswith("//"):
        raise not_found("resource")  # and not a host name, for which the gateway would take it
    return f"{path}?{query}"


async def _body(request: Request, most: int) -> bytes:
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body must not be larger than {most} bytes. Media go to the upload URLs of a job.",
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > most:
            raise too_large
    return bytes(body)


def _response(answer: dict[str, Any]) -> Response:
    body = answer["body"] or b""
    content = b64decode(body) if answer.get("isBase64Encoded") else body
    response = Response(content, answer["statusCode"], {"Content-Type": "application/json", **answer["headers"]})
    for name, values in answer["multiValueHeaders"].items():
        for value in values:
            response.headers.append(name, value)
    return response
