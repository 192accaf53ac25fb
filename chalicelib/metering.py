"""What the steps of a job take, added up in its record and in the month of the token that made it."""

import resource
import time

from chalicelib import limits
from chalicelib.ports import Records


class Meter:
    """Runs from when it is made; this process must be at one step only meanwhile."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy = _processor_seconds()

    def count(
        self, records: Records, job_id: str, gigabytes: float, gigabyte_second: float = 0.0, request: float = 0.0
    ) -> None:
        """Adds what was taken so far to a job; nothing happens if it is gone.

        On AWS `gigabytes` is the function's memory, and Lambda's prices are given: dollars per gigabyte and second, and
        dollars per request. On one machine it is what the worker holds at most, and it costs nothing. Processor seconds
        are those of the process and of the programs that it ran.
        """
        gigabyte_seconds = gigabytes * (time.monotonic() - self._began)
        used = {
            "gigabyte_seconds": gigabyte_seconds,
            "processor_seconds": _processor_seconds() - self._busy,
            "dollars": gigabyte_seconds * gigabyte_second + request,
        }
        job = records.add_use(job_id, {name: amount for name, amount in used.items() if amount > 0})
        limits.spend(records, job, time.time(), dollars=used["dollars"])


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
