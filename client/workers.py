"""Threads that never keep the program from ending."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
GRACE = 1.0


class Workers:
    """A few daemon threads. At the end of the block what was not begun is dropped, and what is going on has 1 second.

    (ThreadPoolExecutor would wait for it, and so hold up whoever presses Ctrl-C.)
    """

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        deadline = time.monotonic() + GRACE
        for _ in self._threads:
            self._tasks.put(self._ended.set)
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def task() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        self._tasks.put(task)
        return future

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            if self._ended.is_set():
                return
            task()
