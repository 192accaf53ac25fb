"""A worker process as seen from the service, and the crew of them."""

import multiprocessing
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from local import worker
from local.worker import Workplace

# A process that has imported what workers need, and forks them: each is there at once, and they share its memory.
FORKS = multiprocessing.get_context("forkserver")


class StepFailed(Exception):
    """The step raised an exception."""


class Trouble(Exception):
    """The machine is to blame (a full disk, say), not the step: the same may well succeed later."""


class WorkerLost(Exception):
    """The worker process died at the step."""


class Worker:
    """One process; should it die, the next step starts another."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._lock = threading.Lock()
        self._ended = False
        self._start()

    def _start(self) -> None:
        orders, theirs = FORKS.Pipe()
        process = FORKS.Process(target=worker.main, args=(self._workplace, theirs), daemon=True)
        process.start()
        theirs.close()
        self._orders, self._process = orders, process

    def run(self, step: str, arguments: tuple[Any, ...]) -> Any:
        """What the step returns. Raises StepFailed, Trouble or WorkerLost."""
        with self._lock:
            if not self._ended and self._orders.poll():  # an idle worker says nothing: its end of the pipe is closed
                try:
                    self._start()
                except OSError as error:
                    raise Trouble(f"no worker could be started: {error!r}") from None
        try:
            self._orders.send((step, arguments))
            outcome, result = self._orders.recv()
        except (EOFError, OSError):
            self._process.join()
            assert self._process.pid is not None
            self._workplace.objects().clear_left_by(self._process.pid)
            raise WorkerLost(f"exit code {self._process.exitcode}") from None
        if outcome == "done":
            return result
        raise Trouble(result) if outcome == "trouble" else StepFailed(result)

    def interrupt(self) -> None:
        """Ends the step at work at once, which is then lost; the next starts another process."""
        with self._lock:
            self._process.kill()

    def end(self) -> None:
        """Ends the process at once and for good."""
        with self._lock:
            self._ended = True
        self._process.kill()
        self._process.join()


class Crew:
    """Workers that serve whoever has waited longest."""

    def __init__(self, workplace: Workplace) -> None:
        FORKS.set_forkserver_preload([worker.__name__])
        self._workers = [Worker(workplace) for _ in range(workplace.processes)]
        self._idle = deque(self._workers)
        self._waiting: deque[Future[Worker]] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self) -> Iterator[Worker]:
        """An idle worker, in the order of asking; that of a dismissed crew loses every step."""
        turn: Future[Worker] = Future()
        self._waiting.append(turn)
        self._serve()
        borrowed = turn.result()
        try:
            yield borrowed
        finally:
            self._idle.append(borrowed)
            self._serve()

    def dismiss(self) -> None:
        """Ends all workers at once, also those at work."""
        for each in self._workers:
            each.end()

    def _serve(self) -> None:
        with self._lock:
            while self._idle and self._waiting:
                self._waiting.popleft().set_result(self._idle.popleft())
