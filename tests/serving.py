"""A real server for tests, in a thread, on a free port of the loopback interface."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from local.server import Server


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The URL under which `app` is served while the context lasts."""
    server = Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    try:
        yield server.url
    finally:
        server.should_exit = True
        thread.join()
