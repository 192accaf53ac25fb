"""The periodic sweep of what is to be deleted, in a thread beside the server."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chalicelib import retention
from chalicelib.service import Service

logger = logging.getLogger(__name__)

# It is one look at an index.
INTERVAL_SECONDS = 1.0
FORGOTTEN_INTERVAL_SECONDS = 3600.0
PATIENCE_SECONDS = 2.0


@contextmanager
def sweeping(service: Service, clear_forgotten: Callable[[], None]) -> Iterator[None]:
    """Deletes what is due, as long as the context lasts, and once in a while what is forgotten."""
    ended = threading.Event()
    thread = threading.Thread(target=_sweep, args=(service, clear_forgotten, ended), name="sweeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE_SECONDS)  # What is not done by then is taken up again by the next run.


def _sweep(service: Service, clear_forgotten: Callable[[], None], ended: threading.Event) -> None:
    next_clearing = 0.0
    while not ended.wait(INTERVAL_SECONDS):
        try:
            retention.sweep(service)
            if time.monotonic() >= next_clearing:
                next_clearing = time.monotonic() + FORGOTTEN_INTERVAL_SECONDS
                clear_forgotten()
        except Exception:
            logger.exception("what is to be deleted could not be; it is tried again")
