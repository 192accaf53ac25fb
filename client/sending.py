"""The files of a job on their way, and the end of a job that can't start without those that don't arrive."""

import time
from collections.abc import Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Event

from client import text
from client.errors import Refused, SourceLost, Stopped
from client.models import AWAITING, File, Job, Source
from client.uploading import Uploads
from client.watching import Watcher
from client.workers import Workers

AT_ONCE = 4
# The room of a deleted job is free within a second or so, or a little later at a busy server.
CLEARING_SECONDS = 60.0
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class RunJob:
    """A job of the run: its files as they were first seen, and those of them that are here, by number."""

    job: Job
    sources: Mapping[int, Source]

    @property
    def to_send(self) -> list[File]:
        return [file for file in self.job.awaited if file.n in self.sources]

    def path(self, file: File) -> Path:
        """What the user knows the file as."""
        return self.sources[file.n].local if file.n in self.sources else Path(file.path)


class Sending:
    def __init__(self, calls: Uploads, watcher: Watcher) -> None:
        self._calls = calls
        self._watcher = watcher
        self._room_until = 0.0

    def upload(self, own: RunJob) -> dict[int, str]:
        """Sends the files of a job; returns why some are not there, by number."""
        lost = {file.n: _missing(file) for file in own.job.awaited if file.n not in own.sources}
        stop = Event()
        with Workers(AT_ONCE) as workers:
            try:
                going = {workers.submit(self._upload_one, own, file, stop): file.n for file in own.to_send}
                for future in as_completed(going):
                    match future.exception():
                        case SourceLost() | Refused() as error:
                            lost[going[future]] = str(error)
                            # The job can't start without it, so a file that is gone spares the others the way.
                            if isinstance(error, SourceLost):
                                stop.set()
                        case None | Stopped():
                            pass
                        case error:
                            raise error
            finally:
                stop.set()
        return lost

    def _upload_one(self, own: RunJob, file: File, stop: Event) -> None:
        source = own.sources[file.n]
        sent = partial(self._watcher.sent, source)
        while True:
            try:
                self._calls.upload(own.job.id, file, source.local, sent=sent, stop=stop)
                break
            except Refused as error:
                if error.status != HTTPStatus.INSUFFICIENT_STORAGE or time.monotonic() >= self._room_until:
                    raise
            if stop.wait(PAUSE_SECONDS):
                raise Stopped
        self._watcher.arrived(source)

    def discard(self, own: RunJob) -> None:
        """Deletes a job that would wait for ever, unless others may be sending to it, or it has transcripts."""
        if any(file.n not in own.sources for file in own.job.files):
            return
        try:
            job = self._calls.summary(own.job.id)
            if job.state == AWAITING and job.files_by_state.keys() <= {AWAITING, "uploaded"}:
                self._calls.delete(job.id)
                self._room_until = time.monotonic() + CLEARING_SECONDS
        except Refused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def _missing(file: File) -> str:
    return f"The job awaits it with {text.count(file.size, 'byte')}, but it is not among the files given."
