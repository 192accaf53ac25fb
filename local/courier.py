"""Tells webhooks the ends of jobs: what SQS and a function do on AWS."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from chalicelib import webhooks
from chalicelib.webhooks import Sender
from local.records import Delivery, SQLiteRecords

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# A slow receiver must not keep the others waiting.
MOST_AT_ONCE = 16


class Courier:
    """Delivers what is due from the records, in threads of its own, until it is stopped.

    What a killed service was delivering is delivered again at the next start, with the same id.
    """

    def __init__(self, records: SQLiteRecords, sender: Sender, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._sender = sender
        self._clock = clock
        self._under_way: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Leaves what is under way to the end of the process, or to the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            try:
                due = self._records.deliveries(self._clock())
            except sqlite3.Error:
                logger.exception("what is due to webhooks cannot be read")
                continue
            waiting = [delivery for delivery in due if delivery.id not in self._under_way]
            for delivery in waiting[: MOST_AT_ONCE - len(self._under_way)]:
                self._under_way.add(delivery.id)
                threading.Thread(target=self._deliver, args=(delivery,), daemon=True).start()

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self.attempt(delivery)
        except Exception:
            logger.exception("the end of job %s could not be told", delivery.job)
        finally:
            self._under_way.discard(delivery.id)

    def attempt(self, delivery: Delivery) -> None:
        now = self._clock()
        over = webhooks.deliver(self._records, self._sender, delivery.job, delivery.id, now)
        due = now + webhooks.pause(delivery.attempts + 1)
        if over or due > delivery.since + webhooks.GIVE_UP_SECONDS:
            self._records.remove_delivery(delivery)
        else:
            self._records.put_off(delivery, due)
