"""A site whose workflow is over at once: for tests of what clients see, with everything else real."""

import json
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anyio
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chalicelib import ids, keys
from chalicelib.jobs import FileError, FileState, JobState, MediaFile
from chalicelib.service import Service
from chalicelib.settings import Settings
from local.objects import DiskObjects
from local.records import SQLiteRecords
from local.server import Server, application
from tests.serving import Site

SECONDS = 11.0
# A fault that is no answer at all.
HANG = HTTPStatus.IM_A_TEAPOT


@dataclass
class Finisher:
    """Transcribes `<name>` as `<format> of <name>`, unless there is `fail` in its name. Waits while `hold` is set."""

    objects: DiskObjects
    records: SQLiteRecords
    hold: threading.Event = field(default_factory=threading.Event)
    held: list[str] = field(default_factory=list)

    def start(self, execution: str) -> None:
        job, _ = ids.parse_execution(execution)
        if self.hold.is_set():
            self.held.append(job)
        else:
            self.finish(job)

    def stop(self, execution: str) -> None:
        job, _ = ids.parse_execution(execution)
        if job in self.held:
            self.held.remove(job)

    def release(self) -> None:
        self.hold.clear()
        while self.held:
            self.finish(self.held.pop())

    def finish_first(self, id: str) -> None:
        """Transcribes the first file of a job that is held."""
        job = self.records.job(id)
        file = self.records.file(id, 0)
        assert job is not None
        assert file is not None
        self.records.change_job(id, [JobState.QUEUED], {"state": JobState.RUNNING, "started_at": 0.0})
        self._finish(file, [str(format) for format in job.options.formats])

    def finish(self, id: str) -> None:
        going = {"state": JobState.RUNNING, "started_at": 0.0}
        job = self.records.change_job(id, [JobState.QUEUED, JobState.RUNNING], going)
        assert job is not None
        for file in self.records.files(id, 10_000):
            if file.state == FileState.UPLOADED:
                self._finish(file, [str(format) for format in job.options.formats])
        job = self.records.job(id)
        assert job is not None
        self.records.change_job(id, [JobState.RUNNING], {"state": job.outcome, "finished_at": 1.0})

    def _finish(self, file: MediaFile, formats: list[str]) -> None:
        if "fail" in file.path:
            error = FileError(code="no_sound", message="There is no sound in it.")
            self.records.move_file(file, FileState.FAILED, {"error": error})
            return
        for format in formats:
            text = f"{format} of {Path(file.path).name}\n"
            if format == "json":
                text = json.dumps(
                    {"task": "transcribe", "language": "en", "duration": 11, "text": text, "segments": []}
                )
            self.objects.put(keys.transcript(file.job, file.output, format), text.encode())
        warnings = ["It ends early."] if "short" in file.path else []
        self.records.move_file(file, FileState.SUCCEEDED, {"audio_seconds": SECONDS, "warnings": warnings})


Fault = Callable[[Scope], HTTPStatus | None]


@dataclass
class Bench:
    """A server for clients to be tried against, its address, and what has been sent to it."""

    site: Site
    finisher: Finisher
    token: str
    url: str = ""
    fault: Fault = lambda _: None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    # With a file of certificate and key it speaks TLS.
    certificate: Path | None = None
    wait_seconds: float = 24
    _server: Server | None = None
    _thread: threading.Thread | None = None

    @classmethod
    def at(cls, folder: Path) -> "Bench":
        site = Site.at(folder)
        return cls(site, Finisher(site.objects, site.records), site.token("ann"))

    @property
    def paths(self) -> list[str]:
        """Method and path of the requests so far, without the ids of jobs."""
        return [f"{method} {path}" for method, path, _ in self.requests]

    def start(self, port: int = 0) -> None:
        settings = Settings(
            models={"tiny.en": False, "base": True},
            default_model="tiny.en",
            largest_file=10**12,
            wait_seconds=self.wait_seconds,
        )
        service = Service(self.site.objects, self.site.records, self.finisher, self.site.index, settings)
        app = self._noting(application(service, self.site.objects))
        self._server = Server(app, "127.0.0.1", port, stopping=service.stopping.set)
        self._server.config.ssl_certfile = self.certificate
        self._thread = threading.Thread(target=self._server.run, name="bench")
        self._thread.start()
        self.url = self._server.url.replace("http:", "https:") if self.certificate else self._server.url

    def stop(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.should_exit = True
        self._thread.join()

    def restart(self) -> None:
        """On the port that it had."""
        self.start(int(self.url.rpartition(":")[2]))

    def _noting(self, app: ASGIApp) -> ASGIApp:
        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            self.requests.append((scope["method"], scope["path"], headers))
            status = self.fault(scope)
            if status is HANG:
                await anyio.sleep_forever()
            elif status is None:
                await app(scope, receive, send)
            else:
                await PlainTextResponse(status.phrase, status)(scope, receive, send)

        return noting


@contextmanager
def bench(folder: Path, wait_seconds: float = 24) -> Iterator[Bench]:
    started = Bench.at(folder)
    started.wait_seconds = wait_seconds
    started.start()
    try:
        yield started
    finally:
        started.finisher.release()
        started.stop()


def first(count: int, method: str, path: str, status: HTTPStatus) -> Fault:
    """Answers the first `count` requests of a method, on a path that begins so, with a status."""
    left = [count]

    def fault(scope: MutableMapping[str, Any]) -> HTTPStatus | None:
        if scope["method"] != method or not scope["path"].startswith(path) or not left[0]:
            return None
        left[0] -= 1
        return status

    return fault
