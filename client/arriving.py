"""Watches a folder: new media files become jobs once they have stopped changing."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from client import text, walking
from client.errors import NotAuthorized, Refused, TranscribeError
from client.models import Result, Source
from client.walking import Found
from client.workers import Workers

# A copy that rests for longer than that is taken for finished; that it goes on is noticed.
SETTLED_SECONDS = 10.0
LOOK_SECONDS = 2.0
# So that a huge folder does not keep the disk busy.
REST_PER_LOOK = 10
AT_ONCE = 4
PAUSE_SECONDS = 60.0


@dataclass
class Seen:
    """A file, or what was wrong with it, as it has been `since` then; whether it was told."""

    stamp: object
    since: float
    told: bool = False


class Arrivals:
    """The media files of a folder, each once it has been there unchanged for so many seconds.

    One that changes later comes again. Empty files do not come: something may be about to be written there.
    """

    def __init__(self, folder: Path, settled: float) -> None:
        self._folder = folder
        self._settled = settled
        # What is gone is kept: a drive that was away and is back has brought nothing new.
        self._seen: dict[Path, Seen] = {}

    def look(self) -> Found:
        found = walking.find([self._folder])
        now = time.monotonic()
        sources = [
            source for source in found.sources if source.size and self._is_new(source.local, _stamp(source), now)
        ]
        unreadable = [result for result in found.unreadable if self._is_new(result.path, result.error, now)]
        return Found(sources, unreadable)

    def _is_new(self, path: Path, stamp: object, now: float) -> bool:
        seen = self._seen.get(path)
        if seen is None or seen.stamp != stamp:
            self._seen[path] = Seen(stamp, now)
            return False
        if seen.told or now - seen.since < self._settled:
            return False
        seen.told = True
        return True


@dataclass
class Sent:
    """A file as it was when it was sent: what has been told of it, and what was written of it, and when."""

    stamp: object
    told: list[str | None] = field(default_factory=list)
    written: dict[Path, int | None] = field(default_factory=dict)


class Watch:
    """Has `transcribe` work at what arrives, in a few batches at once; each begins with all that is there by then."""

    def __init__(
        self,
        arrivals: Arrivals,
        transcribe: Callable[[Found], Iterator[Result]],
        note: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self._arrivals = arrivals
        self._transcribe = transcribe
        self._note = note
        self._stop = stop
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._waiting: dict[Path, Source] = {}
        self._going: dict[Future[None], Sequence[Source]] = {}
        self._not_before = 0.0
        self._sent: dict[Path, Sent] = {}

    def results(self) -> Generator[Result]:
        """What becomes of each file, until `stop` is set. Raises what no other attempt can mend."""
        with Workers(AT_ONCE) as workers:
            while not self._stop.is_set():
                began = time.monotonic()
                arrived = self._arrivals.look()
                yield from arrived.unreadable
                self._waiting |= {source.local: source for source in arrived.sources}
                self._end_batches()
                self._begin_batch(workers)
                yield from self._until(began + max(LOOK_SECONDS, REST_PER_LOOK * (time.monotonic() - began)))

    def _begin_batch(self, workers: Workers) -> None:
        busy = {source.local for batch in self._going.values() for source in batch}
        batch = [source for local, source in self._waiting.items() if local not in busy]
        if batch and len(self._going) < AT_ONCE and time.monotonic() >= self._not_before:
            for source in batch:
                del self._waiting[source.local]
            self._going[workers.submit(self._run, batch)] = batch

    def _run(self, batch: Sequence[Source]) -> None:
        for source in batch:
            self._discard_old(source)
        for result in self._transcribe(Found(list(batch))):
            fetched = [result.transcripts[format] for format in result.fetched]
            self._sent[result.path].written |= {path: _written_at(path) for path in fetched}
            self._tell(result)
            if self._stop.is_set():
                return

    def _discard_old(self, source: Source) -> None:
        """Discards what was written here of a file as it was before, unless somebody else has changed it since."""
        stamp = _stamp(source)
        sent = self._sent.setdefault(source.local, Sent(stamp))
        if stamp in (None, sent.stamp):
            return
        for path, written_at in sent.written.items():
            if _written_at(path) == written_at:
                path.unlink(missing_ok=True)
        self._sent[source.local] = Sent(stamp)

    def _tell(self, result: Result) -> None:
        """Once, however often the same comes of a file as it is."""
        told = self._sent[result.path].told
        if result.error not in told:
            told.append(result.error)
            self._results.put(result)

    def _end_batches(self) -> None:
        for future in [future for future in self._going if future.done()]:
            batch, error = self._going.pop(future), future.exception()
            if isinstance(error, Refused) and error.status == HTTPStatus.NOT_FOUND:
                # Somebody has deleted the job, and does not want to have it made again.
                for source in batch:
                    self._tell(Result(source.local, str(error)))
            elif isinstance(error, TranscribeError) and _is_passing(error):
                self._note(f"{error} Trying again in {text.duration(PAUSE_SECONDS)}.")
                self._not_before = time.monotonic() + PAUSE_SECONDS
                self._waiting = {source.local: source for source in batch} | self._waiting
            elif error is not None:
                raise error

    def _until(self, end: float) -> Iterator[Result]:
        """The results that come until then."""
        while (left := end - time.monotonic()) > 0 and not self._stop.is_set():
            try:
                yield self._results.get(timeout=left)
            except queue.Empty:
                return


def _is_passing(error: TranscribeError) -> bool:
    """Whether it may go better another time: beyond a month's limit, or with a network's login page for the server."""
    if isinstance(error, Refused):
        return error.status == HTTPStatus.PAYMENT_REQUIRED
    return not isinstance(error, NotAuthorized)


def _stamp(source: Source) -> object:
    try:
        return source.size, source.local.stat().st_mtime_ns
    except OSError:
        return None


def _written_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
