"""The real service in processes of its own, as people run it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

FINAL = {"succeeded", "partial", "failed", "cancelled"}


@dataclass
class Live:
    """`transcriber serve` over the folder `data`; its log goes to `log`, that of earlier runs before it."""

    data: Path
    models: Path
    model: str = "tiny.en"
    process: "subprocess.Popen[str] | None" = None
    environment: dict[str, str] = field(default_factory=dict)
    said_before: int = 0

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    @property
    def said(self) -> str:
        """The log without its first `said_before` letters."""
        return self.log.read_text()[self.said_before :]

    @property
    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.environment['TRANSCRIBE_TOKEN']}"}
        return _client(base_url=self.environment["TRANSCRIBE_SERVER"], headers=headers)

    def start(self, start_new_session: bool = False) -> None:
        options = ["--port", "0", "--data", str(self.data), "--models", str(self.models), "--model", self.model]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local.cli", "serve", *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=start_new_session,
            )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline().strip() for _ in range(2)]
        assert all(lines), self.log.read_text()
        self.environment = dict(line.removeprefix("export ").split("=", 1) for line in lines)

    def stop(self) -> None:
        """Ctrl-C."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(20) == 0, self.log.read_text()

    def kill(self) -> None:
        """kill -9 of the service and all its workers."""
        assert self.process is not None
        service = psutil.Process(self.process.pid)
        for process in [service, *service.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def transcribe(
        self, *arguments: str | os.PathLike[str], cwd: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """The command line client with the service's environment."""
        return subprocess.run(
            [sys.executable, "-m", "client.cli", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **self.environment},
            cwd=cwd,
            capture_output=True,
            text=True,
        )

    def submit(self, files: Mapping[str, Path], **options: Any) -> str:
        """Creates a job of files by their relative paths, uploads them, and returns its id."""
        declared = [{"path": path, "size": file.stat().st_size} for path, file in files.items()]
        with self.http as http, _client() as storage:
            job = http.post("/jobs", json={"files": declared, "options": options}).raise_for_status().json()
            for declared_file, file in zip(job["files"], files.values(), strict=True):
                upload = declared_file["upload"]
                with file.open("rb") as content:
                    storage.request(upload["method"], upload["url"], headers=upload["headers"], content=content)
        return str(job["id"])

    def job(self, id: str) -> dict[str, Any]:
        with self.http as http:
            job: dict[str, Any] = http.get(f"/jobs/{id}").raise_for_status().json()
        return job

    def wait(
        self,
        id: str,
        until: Callable[[dict[str, Any]], bool] | None = None,
        seconds: float = 300,
        interval: float = 0.05,
    ) -> dict[str, Any]:
        """The job as soon as `until` holds for it, or else it has ended."""
        deadline = time.monotonic() + seconds
        with self.http as http:
            while time.monotonic() < deadline:
                job: dict[str, Any] = http.get(f"/jobs/{id}").raise_for_status().json()
                if (until or (lambda job: job["state"] in FINAL))(job):
                    return job
                assert until is None or job["state"] not in FINAL, "the job ended before what was waited for"
                time.sleep(interval)
        raise TimeoutError(self.log.read_text())

    def transcript(self, id: str, n: int, format: str) -> str:
        with self.http as http:
            answer = http.get(f"/jobs/{id}/files/{n}/transcript", params={"format": format}, follow_redirects=True)
        return answer.raise_for_status().text


def _client(**options: Any) -> httpx.Client:
    """Loading certificates, which are not needed here, takes longer than most requests."""
    return httpx.Client(timeout=60, verify=False, **options)  # noqa: S501


@contextlib.contextmanager
def live(data: Path, models: Path, model: str = "tiny.en") -> Iterator[Live]:
    service = Live(data, models, model)
    service.start()
    try:
        yield service
    finally:
        service.stop()
