"""The workflow on one machine: what Step Functions does on AWS, with worker processes and threads."""

import logging
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chalicelib import ids
from local.records import SQLiteRecords
from local.worker import Workplace
from local.workers import Crew, StepFailed, Trouble, Worker, WorkerLost

logger = logging.getLogger(__name__)

# Beyond this many, jobs wait for each other.
JOBS_AT_ONCE = 16
ATTEMPTS = 3
LONGEST_PAUSE = 60.0

UNPREPARED = ("unprepared", "The file could not be read. Send it again.")
UNMERGED = ("unmerged", "The transcript could not be written. Send the file again.")
END = object()
UNFINISHED = "The service could not finish this job; its log says why. Send it again."


class Cancelled(Exception):
    """The run was stopped, and will not go on."""


class Stopped(Exception):
    """The service is being stopped; the job goes on when it is started again."""


class GaveUp(Exception):
    """A step failed at every attempt."""


@dataclass(eq=False)
class Run:
    """A run of the workflow for a job, the workers at its steps, and the run that is to follow it."""

    execution: str
    halted: threading.Event = field(default_factory=threading.Event)
    workers: set[Worker] = field(default_factory=set)
    following: str | None = None

    @property
    def job(self) -> str:
        return ids.parse_execution(self.execution)[0]


class Executor:
    """`chalicelib.ports.Workflow`: runs jobs through the steps, side by side over one crew of worker processes."""

    def __init__(self, workplace: Workplace, records: SQLiteRecords) -> None:
        self._records = records
        # A job asks for one worker more than there are, so that all are busy and yet other jobs get their turn.
        self._tasks_a_job = workplace.processes + 1
        self._crew = Crew(workplace)
        self._threads = ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="job")
        self._running: dict[str, Run] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self, execution: str) -> None:
        with self._lock:
            run = Run(execution)
            running = self._running.get(run.job)
            if running is None:
                self._begin(run)
            elif running.execution != execution:
                running.following = execution

    def stop(self, execution: str) -> None:
        with self._lock:
            run = self._running.get(ids.parse_execution(execution)[0])
            if run is not None and run.execution == execution:
                run.halted.set()
                for worker in run.workers:
                    worker.interrupt()

    def resume(self) -> None:
        """Goes on with the jobs that an earlier run of the service left unfinished."""
        for job in self._records.unfinished():
            self.start(job.execution)

    def close(self) -> None:
        """Ends the workers at once: what is finished is on disk, the rest is done at the next start."""
        with self._lock:
            self._stopping.set()
            for run in self._running.values():
                run.halted.set()
        self._crew.dismiss()
        self._threads.shutdown(cancel_futures=True)

    def _begin(self, run: Run) -> None:
        if not self._stopping.is_set():
            self._running[run.job] = run
            self._threads.submit(self._run, run)

    def _run(self, run: Run) -> None:
        try:
            try:
                self._workflow(run)
            except GaveUp:
                self._do(run, "fail_job", UNFINISHED)
            except Cancelled:
                self._do(Run(run.execution), "finish")  # which leaves the job as it is, and no work files
        except Stopped:
            pass
        except Exception:
            logger.exception("job %s is left as it is until the next start", run.job)
        finally:
            with self._lock:
                del self._running[run.job]
                if run.following is not None:
                    self._begin(Run(run.following))

    def _workflow(self, run: Run) -> None:
        files = self._do(run, "plan")
        self._map(run, "prepare", files, UNPREPARED)
        self._map(run, "transcribe", self._do(run, "batch"))
        self._map(run, "merge", files, UNMERGED)
        self._do(run, "finish")

    def _map(self, run: Run, step: str, items: Iterable[Any], failure: tuple[str, str] | None = None) -> None:
        """Runs a step for each item; a file whose step was given up fails, with the code and message of `failure`.

        A batch that was given up shows in `merge`, which misses its chunks.
        """

        waiting, lock = iter(items), threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    item = next(waiting, END)
                if item is END:
                    return
                try:
                    self._do(run, step, item)
                except GaveUp:
                    if failure:
                        self._do(run, "fail_file", item, *failure)

        # As many tasks as there are threads, and not as there are items, of which there may be a hundred thousand.
        with ThreadPoolExecutor(self._tasks_a_job) as threads:
            for task in [threads.submit(work) for _ in range(self._tasks_a_job)]:
                task.result()

    def _do(self, run: Run, step: str, *arguments: Any) -> Any:
        """What a step returns, however long the machine is in trouble.

        Raises GaveUp after ATTEMPTS failures, Cancelled and Stopped.
        """
        failures, pause = 0, 1.0
        while True:
            try:
                with self._crew.borrow() as worker, self._at_work(run, worker):
                    return worker.run(step, (run.job, *arguments))
            except (StepFailed, WorkerLost, Trouble) as error:
                self._check(run)
                failures += not isinstance(error, Trouble)
                logger.warning("%s of job %s: %s: %s", step, run.job, type(error).__name__, error)
            if failures == ATTEMPTS:
                raise GaveUp(step)
            run.halted.wait(pause)
            self._check(run)
            pause = min(2 * pause, LONGEST_PAUSE)

    @contextmanager
    def _at_work(self, run: Run, worker: Worker) -> Iterator[None]:
        """Whoever stops the run interrupts the worker until the context ends."""
        with self._lock:
            self._check(run)
            run.workers.add(worker)
        try:
            yield
        finally:
            with self._lock:
                run.workers.discard(worker)

    def _check(self, run: Run) -> None:
        if self._stopping.is_set():
            raise Stopped
        if run.halted.is_set():
            raise Cancelled
