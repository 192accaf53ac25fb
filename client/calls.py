"""The API of a transcription service, call by call."""

import dataclasses
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from client import disk
from client.errors import Refused, Unreachable
from client.models import Estimate, File, Job, Options, PartsState, Summary, Upload
from client.transport import DOWNLOADS, Retries, Transport

T = TypeVar("T")
R = TypeVar("R")
FRESH_URLS = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
# So that a job of very many files does not keep the server busy, 10 times what an answer took is rested, up to 5 s.
REST_PER_WORK, LONGEST_REST = 10, 5.0


def ignore(_: object) -> None:
    pass


class Calls:
    """The calls to one server, made with one token; safe to use from several threads at once.

    Every call may raise NotAuthorized, Refused and Unreachable: the latter at once if the server has never answered,
    else after `patience` seconds of trying again, and never if that is `math.inf`. All are TranscribeErrors. `note` is
    told what delays the work. `ca_file` has certificates (PEM) to trust beside those that always are.
    """

    def __init__(
        self,
        server: str,
        token: str,
        *,
        patience: float = 120,
        note: Callable[[str], None] = ignore,
        ca_file: str | os.PathLike[str] | None = None,
    ) -> None:
        self.transport = Transport(server, token, patience, note, ca_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()

    def create_job(
        self, files: Iterable[tuple[str, int]], options: Options | None = None, title: str | None = None
    ) -> Job:
        """Creates a job of files, each a path and a size in bytes. The files of the answer have their `upload`.

        Without a `title` it is called after the folder that all paths begin with, or else the first file.
        """
        body = {"files": _declared(files), "options": (options or Options()).body(), "title": title}
        # Should the answer be lost, the same request sent again is answered with the same job.
        return self._job("POST", "/jobs", body, {"Idempotency-Key": secrets.token_hex(16)})

    def job(self, id: str) -> Job:
        """The job as it is now, with all its files."""
        return self._job("GET", _path(id))

    def models(self) -> list[str]:
        """The names of the models that the server has."""
        return self._ask(lambda data: [str(name) for name in data["models"]], "GET", "/health")

    def summary(self, id: str) -> Summary:
        """The job as it is now, without its files: a single request, however many there are."""
        return self._ask(Summary.parse, "GET", _path(id))

    def jobs(self, label: tuple[str, str] | None = None) -> Iterator[Summary]:
        """The jobs of the token's owner, newest first: all, or those with a label, given by name and value."""
        query = {} if label is None else {"label": ":".join(label)}
        yield from self._pages("/jobs", "jobs", Summary.parse, query)

    def files(self, id: str, cursor: str | None = None, state: str | None = None) -> Iterator[File]:
        """The files of a job by number: all, or those from a cursor that the server gave, or those in one state."""
        query = {"cursor": cursor, "state": state}
        given = {name: value for name, value in query.items() if value is not None}
        yield from self._pages(_path(id, "files"), "files", File.parse, given)

    def cancel(self, id: str) -> Summary:
        """Stops a job; transcripts that are finished stay. Harmless if it is cancelled already."""
        return self._ask(Summary.parse, "POST", _path(id, "cancel"))

    def retry(self, id: str) -> Summary:
        """Has another go at the failed files of a job that has ended, or at what was cancelled.

        Files whose upload failed are awaited again: `transcribe(paths, jobs=[id])` sends them.
        """
        try:
            return self._ask(Summary.parse, "POST", _path(id, "retry"))
        except Refused as error:
            if not error.again or error.status != HTTPStatus.CONFLICT or (job := self.summary(id)).final:
                raise
            return job

    def delete(self, id: str) -> None:
        """Deletes a job and all that belongs to it, for good."""
        try:
            self.transport.call("DELETE", _path(id))
        except Refused as error:
            if not error.again or error.status != HTTPStatus.NOT_FOUND:
                raise

    def estimate(self, files: Iterable[tuple[str, int]], model: str | None = None) -> Estimate:
        """What a job of files, each a path and a size in bytes, would take and cost; nothing is created."""
        chosen = {} if model is None else {"model": model}
        return self._ask(Estimate.parse, "POST", "/jobs/estimate", {"files": _declared(files), **chosen})

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

    def parts(
        self, job: str, n: int, checksums: Mapping[int, str] = {}, stop: threading.Event | None = None
    ) -> PartsState:
        """How the upload of file `n` in parts stands; and the requests for the parts whose `checksums` are given.

        Those are the base64 of their CRC-32, by number. What is told of parts that are there is of these alone then.
        """
        wanted = [{"number": number, "crc32": crc32} for number, crc32 in checksums.items()]
        path = _path(job, "files", n, "parts")
        return self._ask(PartsState.parse, "POST", path, {"parts": wanted}, stop=stop)

    def complete(self, job: str, n: int, etags: Mapping[int, str], stop: threading.Event | None = None) -> None:
        """Makes file `n` of its parts, whose `etags` are given by number."""
        parts = [{"number": number, "etag": etags[number]} for number in sorted(etags)]
        self._ask(File.parse, "POST", _path(job, "files", n, "complete"), {"parts": parts}, stop=stop)

    def fresh_upload(self, job: str, file: File, stop: threading.Event | None = None) -> Upload | None:
        """A new request for an upload, `None` if the file has arrived."""
        try:
            return self._ask(Upload.parse, "POST", _path(job, "files", file.n, "upload"), stop=stop)
        except Refused as error:
            if error.status == HTTPStatus.CONFLICT:
                return None
            raise

    def download(self, job: str, n: int, format: str, target: Path) -> None:
        """Writes a transcript of file `n` to `target`, whole or not at all. Raises OSError if it can't be written."""
        retries = Retries(self.transport.patience)
        expired = 0
        while True:
            url = self._transcript_url(job, n, format)
            try:
                with disk.replacing(target) as write:
                    self.transport.receive(url, write)
                    return
            except Unreachable as error:
                self.transport.wait(retries, error, DOWNLOADS)
            except Refused as error:
                expired += 1
                if error.status != HTTPStatus.FORBIDDEN or expired > FRESH_URLS:
                    raise

    def _transcript_url(self, job: str, n: int, format: str) -> str:
        answer = self.transport.call("GET", _path(job, "files", n, "transcript"), query={"format": format})
        if "Location" not in answer.headers:
            raise self.transport.foreign(answer)
        return answer.headers["Location"]

    def _job(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Job:
        job, cursor = self._ask(lambda data: (Job.parse(data), data["next"]), method, path, body, headers=headers)
        if cursor is None:
            return job
        return dataclasses.replace(job, files=(*job.files, *self.files(job.id, cursor)))

    def _pages(
        self, path: str, name: str, parse: Callable[[Mapping[str, Any]], T], query: Mapping[str, str]
    ) -> Iterator[T]:
        """What is listed under `name`, page after page."""

        def page(data: Mapping[str, Any]) -> tuple[list[T], str | None]:
            return [parse(one) for one in data[name]], data["next"]

        while True:
            listed, cursor = self._ask(page, "GET", path, query=query)
            yield from listed
            if cursor is None:
                return
            query = {**query, "cursor": cursor}

    def _ask(
        self,
        parse: Callable[[Any], R],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
    ) -> R:
        answer = self.transport.call(method, path, body, query, headers, stop)
        try:
            return parse(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self.transport.foreign(answer) from None


def _declared(files: Iterable[tuple[str, int]]) -> list[dict[str, str | int]]:
    return [{"path": path, "size": size} for path, size in files]


def _path(job: str, *parts: str | int) -> str:
    return "/".join(("/jobs", quote(job, safe=""), *map(str, parts)))
