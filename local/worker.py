"""The inside of a worker process: the steps over this machine's disk, with the models kept loaded."""

import functools
import logging
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from container import catalogue
from container.recogniser import Recogniser
from container.steps import Steps
from container.vad import SpeechDetector
from local.objects import DiskObjects
from local.records import SQLiteRecords

# Small enough that progress is seen and jobs take turns, large enough that handing over costs nothing.
BATCH_SECONDS = 60


@dataclass(frozen=True)
class Workplace:
    """Where the data and the models are, what signs URLs, and how many processes and threads do the work."""

    data: Path
    models: Path
    secret: bytes
    processes: int
    threads: int

    def objects(self) -> DiskObjects:
        return DiskObjects(self.data / "objects", self.secret)

    def records(self) -> SQLiteRecords:
        return SQLiteRecords(self.data / "records.sqlite")

    def steps(self) -> Steps:
        @functools.lru_cache(maxsize=1)
        def recogniser(model: str) -> Recogniser:
            return Recogniser(catalogue.path(model, self.models), self.threads)

        return Steps(
            objects=self.objects(),
            records=self.records(),
            recogniser=recogniser,
            detector=lambda: SpeechDetector(catalogue.path(catalogue.VAD, self.models)),
            batch_seconds=BATCH_SECONDS,
            at_least=self.processes,
        )


_steps: list[Steps] = []


def enter(workplace: Workplace) -> None:
    """Makes this process a worker; it ends when its parent does, however that came about."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    _steps[:] = [workplace.steps()]


def run(step: str, *arguments: Any) -> None:
    """Runs one step of `Steps` by its name."""
    getattr(_steps[0], step)(*arguments)


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
