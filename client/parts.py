"""Sends a file in parts, several at once, and goes on where an earlier upload of it was broken off."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx

from client import disk
from client.calls import Calls
from client.errors import Refused, SourceLost, Unreachable
from client.models import File, PartsState, Upload
from client.transport import UPLOADS, Retries, refused_upload
from client.workers import Workers

AT_ONCE = 4
# URLs are asked for by so many, so that asking costs little and they are used soon.
ASKED = 16
ROUNDS = 3
# So often a part is sent again that arrived damaged, or whose URL had expired.
ANOTHER_GO = 3


class PartsUpload:
    """`slots` bounds the parts that are sent at once, of all files. `sent` is told how many bytes are there or out."""

    def __init__(
        self,
        calls: Calls,
        slots: threading.Semaphore,
        job: str,
        file: File,
        local: Path,
        sent: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        self._calls = calls
        self._slots = slots
        self._job = job
        self._file = file
        self._local = local
        self._sent = sent
        self._stop = stop
        self._lock = threading.Lock()
        self._counts: dict[int, int] = {}

    def run(self) -> None:
        """Raises SourceLost, Stopped and what calls raise."""
        changed_at = disk.changed_at(self._local)
        for last in (False,) * (ROUNDS - 1) + (True,):
            etags = self._send_missing(self._ask({}))
            if disk.changed_at(self._local) != changed_at:
                raise SourceLost("It changed while it was being sent.")
            try:
                self._calls.complete(self._job, self._file.n, etags, self._stop)
            except Refused as error:
                # Parts were lost after all: the server tells which when it is asked again.
                if error.status != HTTPStatus.CONFLICT or last:
                    raise
            else:
                return

    def _ask(self, checksums: Mapping[int, str]) -> PartsState:
        return self._calls.parts(self._job, self._file.n, checksums, self._stop)

    def _send_missing(self, known: PartsState) -> dict[int, str]:
        """The ETags of all parts, by number, once they are there."""
        etags: dict[int, str] = {}
        going: dict[Future[str], int] = {}
        with Workers(AT_ONCE) as workers:
            for missing in self._missing(known, etags):
                uploads = self._ask(missing).uploads
                for number, crc32 in missing.items():
                    task = workers.submit(self._send, known, number, crc32, uploads[number])
                    going[task] = number
                _collect(going, etags, AT_ONCE)
            _collect(going, etags, 0)
        return etags

    def _missing(self, known: PartsState, etags: dict[int, str]) -> Iterator[dict[int, str]]:
        """The checksums of the parts that are not there, by number, a few at a time; of the others `etags` is told."""
        missing: dict[int, str] = {}
        for number in range(1, known.count + 1):
            crc32 = disk.crc32(self._local, self._file.size, *self._span(known, number), self._stop)
            stored = known.stored.get(number)
            if stored is not None and stored.crc32 in (None, crc32):
                etags[number] = stored.etag
                self._count(number, stored.size)
            else:
                missing[number] = crc32
            if len(missing) == ASKED or (missing and number == known.count):
                yield missing
                missing = {}

    def _send(self, known: PartsState, number: int, crc32: str, request: Upload) -> str:
        """The ETag of a part, once it is there."""
        retries = Retries(self._calls.transport.patience, self._stop)
        refused = 0
        while True:
            try:
                with self._slots:
                    response = self._put(request, *self._span(known, number), number)
            except Unreachable as error:
                self._calls.transport.wait(retries, error, UPLOADS)
            else:
                if response.is_success and "ETag" in response.headers:
                    return str(response.headers["ETag"])
                refused += not response.is_success
                if refused > ANOTHER_GO or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise refused_upload(response)
                if response.status_code == HTTPStatus.BAD_REQUEST:
                    crc32 = disk.crc32(self._local, self._file.size, *self._span(known, number), self._stop)
            # The URL may have expired, or the part arrived without us hearing of it: asking settles both.
            answer = self._ask({number: crc32})
            stored = answer.stored.get(number)
            if stored is not None and stored.crc32 == crc32:
                return stored.etag
            request = answer.uploads[number]

    def _put(self, request: Upload, offset: int, length: int, number: int) -> httpx.Response:
        headers = httpx.Headers(request.headers)
        headers["Content-Length"] = str(length)
        sent = partial(self._count, number)
        content = disk.blocks(self._local, self._file.size, sent, self._stop, offset, length)
        return self._calls.transport.send(request.method, request.url, headers, content)

    def _span(self, known: PartsState, number: int) -> tuple[int, int]:
        offset = (number - 1) * known.part_size
        return offset, min(known.part_size, self._file.size - offset)

    def _count(self, number: int, count: int) -> None:
        with self._lock:
            self._counts[number] = count
            self._sent(sum(self._counts.values()))


def _collect(going: dict[Future[str], int], etags: dict[int, str], most: int) -> None:
    """Takes in the results of what is `going`, until no more than `most` are left."""
    while len(going) > most:
        for future in wait(going, return_when=FIRST_COMPLETED).done:
            etags[going.pop(future)] = future.result()
