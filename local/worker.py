"""The inside of a worker process: it runs steps over this machine's disk, one at a time, with a model kept loaded."""

import errno
import functools
import logging
import os
import resource
import signal
import sqlite3
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from chalicelib.metering import Meter
from container import catalogue
from container.recogniser import Recogniser, Shelf
from container.steps import Steps
from container.vad import SpeechDetector
from container.voices import Voices
from local.files import DiskFull
from local.objects import DiskObjects
from local.records import DATABASE, SQLiteRecords
from local.search import SQLiteIndex

logger = logging.getLogger(__name__)

# Some fourteen chunks, four of which are heard together, led by those before. Small enough that jobs take turns.
BATCH_SECONDS = 360
# Steps on the processor's niceness scale: whoever asks the service is answered before recognition goes on.
NICENESS = 10
# A disk that is full or fails, and too little memory, processes or open files for the moment.
SYSTEM_TROUBLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO),
    *(errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE),
)


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
        return SQLiteRecords(self.data / DATABASE)

    def index(self) -> SQLiteIndex:
        return SQLiteIndex(self.data / "search.sqlite")

    def steps(self) -> Steps:
        def load(model: str) -> Recogniser:
            return Recogniser(catalogue.path(model, self.models), self.threads)

        @functools.cache
        def voices() -> Voices:
            return Voices(catalogue.path(catalogue.VOICES, self.models))

        return Steps(
            objects=self.objects(),
            records=self.records(),
            index=self.index(),
            recogniser=Shelf(load).get,
            detector=lambda: SpeechDetector(catalogue.path(catalogue.VAD, self.models)),
            voices=voices,
            batch_seconds=lambda _: BATCH_SECONDS,
            workers=self.processes,
        )


def main(workplace: Workplace, orders: Connection) -> None:
    """Runs the steps that come through `orders` and answers each with its outcome and result, until that is closed.

    The outcomes: "done", "failed", or "trouble" where the machine is to blame and the same may well succeed later.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which then ends its workers
    os.nice(NICENESS)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    steps: Steps | None = None
    while True:
        try:
            step, arguments = orders.recv()
        except EOFError:
            return
        try:
            steps = steps or workplace.steps()
            meter = Meter()
            result = getattr(steps, step)(*arguments)
            meter.count(steps.records, arguments[0], _gigabytes())
            orders.send(("done", result))
        except Exception as error:
            logger.exception("%s failed", step)
            orders.send(("trouble" if _is_trouble(error) else "failed", repr(error)))


def _gigabytes() -> float:
    """The most memory that this process has held so far; Linux tells KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _is_trouble(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in SYSTEM_TROUBLE
    if isinstance(error, sqlite3.OperationalError):  # SQLITE_ERROR is our own fault: wrong SQL
        return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF != sqlite3.SQLITE_ERROR
    return isinstance(error, DiskFull)


def _leave_with_parent(parent: int) -> None:
    """Ends this process with its parent, however that ended and whatever is being done."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
