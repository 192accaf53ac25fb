"""The HTTP server of one machine: the API and the objects on one port."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import app as api
from chalicelib import platform
from chalicelib.errors import Problem
from chalicelib.service import Service
from local import problems, signing
from local.gateway import Gateway
from local.objects import DiskObjects
from local.protocol import Protocol
from local.transfers import Transfers

# Longer than clients keep idle connections (httpx 5 s, browsers about 60 s), so that none is closed under their hands.
# The head of a request must be whole by then as well.
KEEP_ALIVE_SECONDS = 75
MAX_HEAD_BYTES = 64 * 2**10
# What requests and open transfers may take to end when the server is stopped.
GRACE_SECONDS = 3
BACKLOG = 2048


def application(service: Service, objects: DiskObjects) -> Starlette:
    """The API, working through `service`, and the objects it hands out URLs for."""
    platform.provide(service)
    gateway = Gateway(api, service.authenticate)
    compressed = GZipMiddleware(gateway)
    app = Starlette(
        routes=[
            Route("/", compressed),
            Route("/assets/{name}", compressed),
            Route("/docs", compressed),
            Route("/openapi.json", compressed),
            Route(f"{signing.PATH}{{key:path}}", Transfers(objects, service.object_created)),
        ],
        middleware=[Middleware(_Requests)],
        exception_handlers=problems.HANDLERS,
    )
    app.router.redirect_slashes = False
    app.router.default = gateway
    return app


def serve(
    app: ASGIApp, host: str, port: int, announce: Callable[[str], None], stopping: Callable[[], None] = lambda: None
) -> None:
    """Serves until SIGINT or SIGTERM, then ends within seconds; a second SIGINT ends it at once.

    `announce` is called with the server's URL as soon as it takes connections, `stopping` as soon as it takes no more;
    port 0 takes a free one. Raises OSError if the address cannot be had.
    """
    Server(app, host, port, announce, stopping).run()


class Server(uvicorn.Server):
    """Uvicorn on a socket that takes connections from the start. `should_exit` stops it from any thread."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        announce: Callable[[str], None] = lambda _: None,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",  # errors are logged where they are answered
                access_log=False,
                server_header=False,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._socket = _listen(host, port)
        self._announce = announce
        self._stopping = stopping

    @property
    def url(self) -> str:
        """As it is on this machine, for a server that listens on all of its addresses."""
        host, port = self._socket.getsockname()[:2]
        if ip_address(host.partition("%")[0]).is_unspecified:
            return f"http://localhost:{port}"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        super().run(sockets or [self._socket])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops on a signal and returns to the caller; uvicorn's own way would end the process here."""
        try:
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread, which alone gets signals
            yield
            return
        try:
            self._announce(self.url)  # not before a signal that answers it would be understood
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Requests:
    """What holds for every request: how its caller reached us, and that it ends when the server stops."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = False

        async def send_noting(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        scope = _in_origin_form(scope)
        signing.base_url.set(str(Request(scope).base_url).rstrip("/"))
        try:
            await self._app(scope, receive, send_noting)
        except asyncio.CancelledError:
            if not answering:
                stopping = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The server is being stopped. Try again later.")
                await problems.answer(stopping, scope["path"], {"Connection": "close"})(scope, receive, send)


def _in_origin_form(scope: Scope) -> Scope:
    """With the path alone where the request names the whole URL (RFC 9112, 3.2.2)."""
    raw: bytes = scope["raw_path"]
    scheme, absolute, rest = raw.partition(b"://")
    if not absolute or b"/" in scheme:
        return scope
    path = b"/" + rest.partition(b"/")[2]
    return {**scope, "raw_path": path, "path": unquote(path.decode("ascii"))}


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener
