"""The real server over real records and objects, in a thread or in a process (`python -m tests.serving FOLDER`)."""

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from chalicelib import keys, tokens
from chalicelib.access import NewToken
from chalicelib.jobs import FileState
from chalicelib.parts import Span
from chalicelib.service import Service
from chalicelib.settings import Settings
from local import signing
from local.objects import DiskObjects
from local.records import SQLiteRecords
from local.search import SQLiteIndex
from local.server import Server, application, serve

MIB = 2**20
MISSING = "01k0000000000000000000000a"  # the id of no job
CHECKOUT = Path(__file__).parent.parent


class Started(list[str]):
    """A workflow that only notes which jobs were started."""

    def start(self, execution: str) -> None:
        self.append(execution)

    def stop(self, execution: str) -> None:
        self.append(f"stop {execution}")


@dataclass(frozen=True)
class Site:
    """All that a server works with, apart from the workflow."""

    objects: DiskObjects
    records: SQLiteRecords
    index: SQLiteIndex
    started: Started = field(default_factory=Started)

    @classmethod
    def at(cls, folder: Path) -> "Site":
        objects = DiskObjects(folder / "objects", b"secret" * 6)
        return cls(objects, SQLiteRecords(folder / "records.sqlite"), SQLiteIndex(folder / "search.sqlite"))

    @property
    def service(self) -> Service:
        settings = Settings(models={"tiny.en": False, "base": True}, default_model="tiny.en", largest_file=5 * 10**12)
        return Service(self.objects, self.records, self.started, self.index, settings)

    def app(self) -> ASGIApp:
        return application(self.service, self.objects)

    def token(self, owner: str, **settings: Any) -> str:
        """A token with what `settings` say of `NewToken`."""
        return tokens.create(self.records, NewToken(owner=owner, **settings), time.time()).secret

    def unfinished(self) -> list[Path]:
        """Files of uploads that have not ended."""
        return list((self.objects.root / "tmp").iterdir())


@dataclass(frozen=True)
class Served:
    """A site that is served at `url`, and two of its users."""

    url: str
    site: Site
    ann: httpx.Client
    bob: httpx.Client

    def job(self, *sizes: int, paths: list[str] | None = None) -> dict[str, Any]:
        """A new job of Ann's as it was answered, with files of these sizes."""
        names = paths or [f"week1/{n}.mp4" for n in range(len(sizes))]
        files = [{"path": path, "size": size} for path, size in zip(names, sizes, strict=True)]
        response = self.ann.post("/jobs", json={"files": files})
        assert response.status_code == HTTPStatus.CREATED, response.text
        created: dict[str, Any] = response.json()
        return created

    def expired_token(self, owner: str) -> str:
        return tokens.create(self.site.records, NewToken(owner=owner, days=1), time.time() - 86401).secret

    def put_url(self, key: str, size: int, seconds: int = 60) -> str:
        return self._signed(lambda: self.site.objects.presign_put(key, size, seconds).url)

    def get_url(self, key: str, filename: str = "a.txt", seconds: int = 60) -> str:
        return self._signed(lambda: self.site.objects.presign_get(key, seconds, filename))

    def part_url(self, key: str, upload: str, span: Span, checksum: str, seconds: int = 60) -> str:
        return self._signed(lambda: self.site.objects.presign_part(key, upload, span, checksum, seconds).url)

    def _signed(self, sign: Callable[[], str]) -> str:
        token = signing.base_url.set(self.url)
        try:
            return sign()
        finally:
            signing.base_url.reset(token)


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
def serving_site(folder: Path) -> Iterator[Served]:
    """A site over `folder`, served while the context lasts."""
    site = Site.at(folder)
    with (
        serving(site.app()) as url,
        client(url, site.token("ann")) as ann,
        client(url, site.token("bob")) as bob,
    ):
        yield Served(url, site, ann, bob)


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


def memory(process: int | str, name: str) -> int:
    """Bytes of resident memory of a process, or of "self": `VmRSS` now, `VmHWM` at most so far."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def assert_problem(response: httpx.Response, status: int, *said: str) -> None:
    """That the answer is an error of the one shape, whose detail holds what is `said`."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) - {"errors", "error"} == {"type", "title", "status", "detail"}
    assert problem["type"] == "about:blank"
    assert problem["title"] == HTTPStatus(status).phrase
    assert problem["status"] == status
    for words in said:
        assert words in problem["detail"]
    assert not re.search(r"Traceback|sqlite|/tmp|\.py|[a-z]Error", response.text)


def upload_of(job: dict[str, Any], n: int = 0) -> str:
    url: str = job["files"][n]["upload"]["url"]
    return url


def key_of(job: dict[str, Any], n: int = 0) -> str:
    return keys.upload(job["id"], job["files"][n]["path"])


def file_state(served: Served, job: dict[str, Any], n: int = 0) -> FileState:
    file = served.site.records.file(job["id"], n)
    assert file is not None
    return file.state


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def main() -> None:
    serve(Site.at(Path(sys.argv[1])).app(), "127.0.0.1", 0, lambda url: print(url, flush=True))
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
