"""The periodic sweep of what is to be deleted, in a thread beside the server."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib import retention
from chalicelib.service import Service

logger = logging.getLogger(__name__)

# It is one look at an index.
INTERVAL_SECONDS = 1.0
PATIENCE_SECONDS = 2.0


@contextmanager
def sweeping(service: Service) -> Iterator[None]:
    """Deletes what is due, as long as the context lasts."""
    ended = threading.Event()
    thread = threading.Thread(target=_sweep, args=(service, ended), name="sweeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE_SECONDS)  # What is not done by then is taken up again by the next run.


def _sweep(service: Service, ended: threading.Event) -> None:
    while not ended.wait(INTERVAL_SECONDS):
        try:
            retention.sweep(service)
        except Exception:
            logger.exception("what is to be deleted could not be; it is tried again")
