"""A server to be uploaded to, which keeps a book of what arrives and can spoil it: `python -m bench.upload_server`."""

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chalicelib import ids, parts, tokens, views
from chalicelib.access import NewToken
from chalicelib.jobs import JobState
from chalicelib.service import Service
from chalicelib.settings import Settings
from local.objects import DiskObjects
from local.records import SQLiteRecords
from local.search import SQLiteIndex
from local.server import application, serve

OWNER = "bench"
# Longer than URLs live.
LATER_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Place:
    """The folder of a server, and the notes by which it and those who watch it talk to each other."""

    folder: Path

    @property
    def book(self) -> Path:
        """A line for each part that arrived whole, good or damaged: its number and its size."""
        return self.folder / "book"

    @property
    def later(self) -> Path:
        """Once this file is there, it is a day later, so that all URLs signed before have expired."""
        return self.folder / "later"

    @property
    def spoil(self) -> Path:
        """The next part that comes is damaged on its way, and this file is taken away."""
        return self.folder / "spoil"

    def arrived(self) -> list[int]:
        """The numbers of the parts that arrived whole, in that order."""
        return [int(line.split()[0]) for line in self.book.read_text().splitlines()] if self.book.exists() else []

    def index(self) -> SQLiteIndex:
        return SQLiteIndex(self.folder / "search.sqlite")

    def objects(self) -> DiskObjects:
        return DiskObjects(self.folder / "objects", b"secret" * 6, self._clock)

    def records(self) -> SQLiteRecords:
        return SQLiteRecords(self.folder / "records.sqlite")

    def token(self) -> str:
        self.folder.mkdir(exist_ok=True)
        return tokens.create(self.records(), NewToken(owner=OWNER), time.time()).secret

    def _clock(self) -> float:
        return time.time() + LATER_SECONDS * self.later.exists()


@dataclass(frozen=True)
class Ending:
    """A workflow that ends every job at once: a bench of uploads needs no transcripts."""

    records: SQLiteRecords

    def start(self, execution: str) -> None:
        ended = {"state": JobState.FAILED, "error": "This is a bench.", "finished_at": time.time()}
        self.records.change_job(ids.parse_execution(execution)[0], [JobState.QUEUED], ended)

    def stop(self, execution: str) -> None:
        pass


class Line:
    """A network of so many bytes a second, shared by all."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free = 0.0

    async def carry(self, size: int) -> None:
        self._free = max(self._free, time.monotonic()) + size / self._rate
        await asyncio.sleep(self._free - time.monotonic())


class Book:
    """Between the network and the application."""

    def __init__(self, app: ASGIApp, place: Place, line: Line) -> None:
        self._app = app
        self._place = place
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = dict(pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair)
        if scope["method"] != "PUT" or "part" not in query:
            await self._app(scope, receive, send)
            return
        size, received = int(query["size"]), 0

        async def noting() -> Message:
            nonlocal received
            message = await receive()
            body = message.get("body", b"")
            await self._line.carry(len(body))
            received += len(body)
            if body and self._place.spoil.exists():
                self._place.spoil.unlink()
                message = {**message, "body": bytes([body[0] ^ 1]) + body[1:]}
            if body and received == size:
                with self._place.book.open("a") as book:
                    book.write(f"{query['part']} {size}\n")
            return message

        await self._app(scope, noting, send)


def main() -> None:
    """Arguments: folder, port, size of parts (files of two are sent so), bytes a second.

    With 0 for any, no book is kept, so what is measured is the server alone.
    """
    place, (port, part_bytes, rate) = Place(Path(sys.argv[1])), map(int, sys.argv[2:])
    parts.PART_BYTES, views.MULTIPART_BYTES = part_bytes, 2 * part_bytes  # type: ignore[attr-defined]
    objects, records = place.objects(), place.records()
    objects.clear_unfinished()
    settings = Settings(models={"tiny.en": False}, default_model="tiny.en", largest_file=10**12, largest_put=10**12)
    app = application(Service(objects, records, Ending(records), place.index(), settings), objects)
    serve(Book(app, place, Line(rate)) if rate else app, "127.0.0.1", port, lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
