"""The workflow on one machine: what Step Functions does on AWS, with worker processes and threads."""

import contextlib
import logging
import multiprocessing
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from pebble import ProcessPool

from local import worker
from local.worker import Workplace

logger = logging.getLogger(__name__)

# Beyond this many, jobs wait for each other. Each one only has a few tasks at a time in the pool, so they take turns.
JOBS_AT_ONCE = 16
ATTEMPTS = 3
BACKOFF_SECONDS = 1.0

Task = tuple[Any, ...]


class Stopping(Exception):
    """The service is being stopped; the job goes on when it is started again."""


class Executor:
    """Runs jobs through the steps, several jobs side by side over one pool of worker processes."""

    def __init__(self, workplace: Workplace) -> None:
        self._steps = workplace.steps()
        self._records = workplace.records()
        self._tasks_a_job = workplace.processes + 1
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(workplace.processes, initializer=worker.enter, initargs=(workplace,), context=context)
        self._threads = ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="job")
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self, job: str) -> None:
        with self._lock:
            if job in self._running or self._stopping.is_set():
                return
            self._running.add(job)
        self._threads.submit(self._run, job)

    def resume(self) -> None:
        """Goes on with the jobs that an earlier run of the service left unfinished."""
        for job in self._records.unfinished():
            self.start(job.id)

    def stop(self) -> None:
        """Ends the workers at once: what is finished is on disk, the rest is done at the next start."""
        self._stopping.set()
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
        self._threads.shutdown(cancel_futures=True)

    def _run(self, job: str) -> None:
        try:
            self._workflow(job)
        except Stopping:
            pass
        except Exception:
            logger.exception("job %s failed", job)
            with contextlib.suppress(LookupError):
                self._steps.fail_job(job, "The service could not finish this job; its log says why. Send it again.")
        finally:
            with self._lock:
                self._running.discard(job)

    def _workflow(self, job: str) -> None:
        steps = self._steps
        files = steps.plan(job)
        self._map("prepare", [(job, n) for n in files], self._give_up("unprepared", "The file could not be read."))
        batches = steps.batch(job)
        self._map("transcribe", [(job, batch) for batch in batches], lambda _: None)
        self._map("merge", [(job, n) for n in files], self._give_up("unmerged", "The transcript could not be written."))
        steps.finish(job)

    def _give_up(self, code: str, message: str) -> Callable[[Task], None]:
        return lambda task: self._steps.fail_file(task[0], task[1], code, f"{message} Send the file again.")

    def _map(self, step: str, tasks: Iterable[Task], give_up: Callable[[Task], None]) -> None:
        """Runs a step on all tasks, each tried up to `ATTEMPTS` times, then handed to `give_up`.

        A batch that is given up shows in `merge`, which misses its chunks.
        """
        waiting = iter(tasks)
        pending: dict[Future[None], tuple[Task, int]] = {}
        while True:
            while len(pending) < self._tasks_a_job and (task := next(waiting, None)):
                pending[self._submit(step, task)] = task, 1
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                task, attempt = pending.pop(future)
                error = self._error(future)
                if error is None:
                    continue
                logger.warning("%s %s, attempt %d: %r", step, task, attempt, error)
                if attempt == ATTEMPTS:
                    give_up(task)
                else:
                    self._pause(BACKOFF_SECONDS * 2 ** (attempt - 1))
                    pending[self._submit(step, task)] = task, attempt + 1

    def _submit(self, step: str, task: Task) -> "Future[None]":
        if self._stopping.is_set():
            raise Stopping
        future: Future[None] = self._pool.schedule(worker.run, args=[step, *task])
        return future

    def _error(self, future: "Future[None]") -> BaseException | None:
        if self._stopping.is_set() or future.cancelled():
            raise Stopping
        return future.exception()

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Stopping
