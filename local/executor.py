"""The workflow on one machine: what Step Functions does on AWS, with worker processes and threads."""

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.records import SQLiteRecords
from local.worker import Workplace
from local.workers import Crew, StepFailed, Trouble, WorkerLost

logger = logging.getLogger(__name__)

# Beyond this many, jobs wait for each other.
JOBS_AT_ONCE = 16
ATTEMPTS = 3
LONGEST_PAUSE = 60.0

UNPREPARED = ("unprepared", "The file could not be read. Send it again.")
UNMERGED = ("unmerged", "The transcript could not be written. Send the file again.")
UNFINISHED = "The service could not finish this job; its log says why. Send it again."


class Stopped(Exception):
    """The service is being stopped; the job goes on when it is started again."""


class GaveUp(Exception):
    """A step failed at every attempt."""


class Executor:
    """Runs jobs through the steps, several jobs side by side over one crew of worker processes."""

    def __init__(self, workplace: Workplace, records: SQLiteRecords) -> None:
        self._records = records
        # A job asks for one worker more than there are, so that all are busy and yet other jobs get their turn.
        self._tasks_a_job = workplace.processes + 1
        self._crew = Crew(workplace)
        self._threads = ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="job")
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self, job: str) -> None:
        with self._lock:
            if job not in self._running and not self._stopping.is_set():
                self._running.add(job)
                self._threads.submit(self._run, job)

    def resume(self) -> None:
        """Goes on with the jobs that an earlier run of the service left unfinished."""
        for job in self._records.unfinished():
            self.start(job.id)

    def stop(self) -> None:
        """Ends the workers at once: what is finished is on disk, the rest is done at the next start."""
        with self._lock:
            self._stopping.set()
        self._crew.dismiss()
        self._threads.shutdown(cancel_futures=True)

    def _run(self, job: str) -> None:
        try:
            try:
                self._workflow(job)
            except GaveUp:
                self._do("fail_job", job, UNFINISHED)
        except Stopped:
            pass
        except Exception:
            logger.exception("job %s is left as it is until the next start", job)
        finally:
            with self._lock:
                self._running.discard(job)

    def _workflow(self, job: str) -> None:
        files = self._do("plan", job)
        self._map("prepare", job, files, UNPREPARED)
        self._map("transcribe", job, self._do("batch", job))
        self._map("merge", job, files, UNMERGED)
        self._do("finish", job)

    def _map(self, step: str, job: str, items: Iterable[Any], failure: tuple[str, str] | None = None) -> None:
        """Runs a step for each item; a file whose step was given up fails, with the code and message of `failure`.

        A batch that was given up shows in `merge`, which misses its chunks.
        """

        def do(item: Any) -> None:
            try:
                self._do(step, job, item)
            except GaveUp:
                if failure:
                    self._do("fail_file", job, item, *failure)

        with ThreadPoolExecutor(self._tasks_a_job) as threads:
            for _ in threads.map(do, items):
                pass

    def _do(self, step: str, *arguments: Any) -> Any:
        """What a step returns, however long the machine is in trouble.

        Raises GaveUp after ATTEMPTS failures, and Stopped.
        """
        failures, pause = 0, 1.0
        while True:
            try:
                with self._crew.borrow() as worker:
                    return worker.run(step, arguments)
            except (StepFailed, WorkerLost, Trouble) as error:
                if self._stopping.is_set():
                    raise Stopped from None
                failures += not isinstance(error, Trouble)
                logger.warning("%s of job %s: %s: %s", step, arguments[0], type(error).__name__, error)
            if failures == ATTEMPTS:
                raise GaveUp(step)
            if self._stopping.wait(pause):
                raise Stopped
            pause = min(2 * pause, LONGEST_PAUSE)
