"""moto behind uvicorn. Its own server makes a connection and a thread for each request, and reads headers slowly."""

import asyncio
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.wsgi import build_environ

from tests.serving import serving

# Functions ask for something while they are asked for.
AT_ONCE = 200


class Emulator:
    """moto's WSGI application as one of ASGI."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        # uvicorn passes a message here that it never looks at.
        environ: Any = build_environ(scope, {}, io.BytesIO(body))  # type: ignore[arg-type]
        query = scope["query_string"].decode()
        environ["RAW_URI"] = scope["raw_path"].decode() + (f"?{query}" if query else "")
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
        status, headers, content = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._answer, environ
        )
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, environ: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        started: list[Any] = []

        def start_response(*told: Any) -> Any:
            started[:] = told

        answer = self._app(environ, start_response)
        try:
            content = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
        return int(started[0].split()[0]), headers, content


@contextmanager
def running() -> Iterator[str]:
    """The URL under which the emulator listens while the context lasts."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="emulator") as threads, serving(Emulator(threads)) as url:
        yield url
