"""The API of a transcription service, call by call."""

import dataclasses
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from client import disk
from client.errors import Refused, Unreachable
from client.models import File, Job, Options, Upload
from client.transport import DOWNLOADS, UPLOADS, Retries, Transport, refusal, through

T = TypeVar("T")
FRESH_URLS = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
# So that a job of very many files does not keep the server busy, 10 times what an answer took is rested, up to 5 s.
REST_PER_WORK, LONGEST_REST = 10, 5.0


def _ignore(_: object) -> None:
    pass


class Calls:
    """The calls to one server, made with one token; safe to use from several threads at once.

    Every call may raise NotAuthorized, Refused and Unreachable: the latter at once if the server has never answered,
    else after `patience` seconds of trying again. All are TranscribeErrors. `note` is told what delays the work.
    """

    def __init__(
        self, server: str, token: str, *, patience: float = 120, note: Callable[[str], None] = _ignore
    ) -> None:
        self._transport = Transport(server, token, patience, note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def create_job(self, files: Iterable[tuple[str, int]], options: Options | None = None) -> Job:
        """Creates a job of files, each a path and a size in bytes. The files of the answer have their `upload`."""
        declared = [{"path": path, "size": size} for path, size in files]
        return self._job("POST", "/jobs", {"files": declared, "options": (options or Options()).body()})

    def job(self, id: str) -> Job:
        """The job as it is now, with all its files."""
        return self._job("GET", _path(id))

    def files(self, id: str, cursor: str | None = None) -> Iterator[File]:
        """The files of a job by number: all, or those from a cursor that the server gave."""

        def parse(data: Mapping[str, Any]) -> tuple[list[File], str | None]:
            return [File.parse(file) for file in data["files"]], data["next"]

        while True:
            query = {} if cursor is None else {"cursor": cursor}
            files, cursor = self._ask(parse, "GET", _path(id, "files"), query=query)
            yield from files
            if cursor is None:
                return

    def follow(self, *ids: str) -> Iterator[Job]:
        """Yields each job as it is now, again and again, until it has come to its end."""
        going = list(ids)
        pause = FIRST_PAUSE
        while going:
            began = time.monotonic()
            jobs = [self.job(id) for id in going]
            work = time.monotonic() - began
            yield from jobs
            going = [job.id for job in jobs if not job.final]
            if going:
                rest = min(REST_PER_WORK * work, LONGEST_REST)
                time.sleep(max(pause * random.uniform(0.8, 1.2), rest))  # noqa: S311
                pause = min(pause * 1.25, LONGEST_PAUSE)

    def upload(
        self,
        job: str,
        file: File,
        local: Path,
        *,
        sent: Callable[[int], None] = _ignore,
        stop: threading.Event | None = None,
    ) -> None:
        """Sends a local file as `file` of a job; harmless if it is there already.

        `sent` is told how many of its bytes have gone out, from 0 with each attempt. Raises SourceLost if the file
        can't be read whole, and Stopped soon after `stop` is set.
        """
        stop = stop or threading.Event()
        retries = Retries(self._transport.patience, stop)
        request = file.upload
        expired = 0
        while request := request or self._fresh_upload(job, file, stop):
            headers = httpx.Headers(request.headers)
            headers["Content-Length"] = str(file.size)
            content = disk.blocks(local, file.size, sent, stop)
            try:
                response = self._transport.send(request.method, request.url, headers, content)
            except Unreachable as error:
                self._transport.wait(retries, error, UPLOADS)
            else:
                if response.is_success or response.status_code == HTTPStatus.PRECONDITION_FAILED:
                    return
                expired += 1
                if response.status_code != HTTPStatus.FORBIDDEN or expired > FRESH_URLS:
                    answered = f"The upload was answered with HTTP {response.status_code}.{through(response.url)}"
                    raise Refused(response.status_code, str(refusal(response) or answered))
            # The URL may have expired, or the file arrived without us hearing of it: a fresh one settles both.
            request = None

    def download(self, job: str, n: int, format: str, target: Path) -> None:
        """Writes a transcript of file `n` to `target`, whole or not at all. Raises OSError if it can't be written."""
        retries = Retries(self._transport.patience)
        expired = 0
        while True:
            url = self._transcript_url(job, n, format)
            try:
                with disk.replacing(target) as write:
                    self._transport.receive(url, write)
                    return
            except Unreachable as error:
                self._transport.wait(retries, error, DOWNLOADS)
            except Refused as error:
                expired += 1
                if error.status != HTTPStatus.FORBIDDEN or expired > FRESH_URLS:
                    raise

    def _fresh_upload(self, job: str, file: File, stop: threading.Event) -> Upload | None:
        """A new request for an upload, `None` if the file has arrived."""
        try:
            return self._ask(Upload.parse, "POST", _path(job, "files", file.n, "upload"), stop=stop)
        except Refused as error:
            if error.status == HTTPStatus.CONFLICT:
                return None
            raise

    def _transcript_url(self, job: str, n: int, format: str) -> str:
        answer = self._transport.call("GET", _path(job, "files", n, "transcript"), query={"format": format})
        if "Location" not in answer.headers:
            raise self._transport.foreign(answer)
        return answer.headers["Location"]

    def _job(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Job:
        job, cursor = self._ask(lambda data: (Job.parse(data), data["next"]), method, path, body)
        if cursor is None:
            return job
        return dataclasses.replace(job, files=(*job.files, *self.files(job.id, cursor)))

    def _ask(
        self,
        parse: Callable[[Any], T],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
    ) -> T:
        answer = self._transport.call(method, path, body, query, stop)
        try:
            return parse(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._transport.foreign(answer) from None


def _path(job: str, *parts: str | int) -> str:
    return "/".join(("/jobs", quote(job, safe=""), *map(str, parts)))
