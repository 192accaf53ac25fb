"""The real server over real records and objects, in a thread or in a process (`python -m tests.serving FOLDER`)."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from starlette.types import ASGIApp

from chalicelib import tokens
from chalicelib.service import Service
from chalicelib.settings import Settings
from local.objects import DiskObjects
from local.records import SQLiteRecords
from local.server import Server, application, serve

CHECKOUT = Path(__file__).parent.parent


class Started(list[str]):
    """A workflow that only notes which jobs were started."""

    def start(self, job: str) -> None:
        self.append(job)


@dataclass(frozen=True)
class Site:
    """All that a server works with, apart from the workflow."""

    objects: DiskObjects
    records: SQLiteRecords
    started: Started = field(default_factory=Started)

    @classmethod
    def at(cls, folder: Path) -> "Site":
        return cls(DiskObjects(folder / "objects", b"secret" * 6), SQLiteRecords(folder / "records.sqlite"))

    @property
    def service(self) -> Service:
        settings = Settings(models={"tiny.en": False, "base": True}, default_model="tiny.en", largest_file=5 * 10**12)
        return Service(self.objects, self.records, self.started, settings)

    def app(self) -> ASGIApp:
        return application(self.service, self.objects)

    def token(self, owner: str, lifetime: float | None = None) -> str:
        return tokens.create(self.records, owner, time.time(), lifetime)

    def unfinished(self) -> list[Path]:
        """Files of uploads that have not ended."""
        return list((self.objects.root / "tmp").iterdir())


def client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The URL under which `app` is served while the context lasts."""
    server = Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    try:
        yield server.url
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def serving_process(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server process over `folder`, and its URL."""
    command = [sys.executable, "-m", "tests.serving", str(folder)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def memory(process: int, name: str) -> int:
    """Bytes of resident memory of a process: `VmRSS` now, `VmHWM` at most so far."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def main() -> None:
    serve(Site.at(Path(sys.argv[1])).app(), "127.0.0.1", 0, lambda url: print(url, flush=True))
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
