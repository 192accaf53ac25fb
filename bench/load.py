"""Fifty clients that poll, eight that upload and two whose media are transcribed: `python -m bench.load [SECONDS]`.

The real service runs as people run it. The clients are in processes of their own, one for each kind, and on the same
machine, so they take processor time from the service which they would not take elsewhere.
"""

import asyncio
import itertools
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from bench.preparing import looped
from bench.uploads import write
from client import Client, TranscribeError
from local import demo
from local.cli import CACHE
from tests.live import FINAL, live
from tests.serving import memory

SECONDS = 180.0
KINDS = ("polling", "uploading", "transcribing")
POLLING, UPLOADING, TRANSCRIBING = 50, 8, 2
MOST_P99 = 0.5

# What the client rests between two looks at a job, give or take a fifth.
INTERVAL = 2.0
# A line of 100 Mbit/s for each who uploads.
LINE = 12_500_000
# In a single request, and in parts.
UPLOADS = (20_000_000, 100_000_000)
SPEECH_MINUTES = 5.0
SPOKEN = "country can do for you"
WAITING_FILES = 1000


@dataclass(frozen=True)
class Place:
    server: str
    token: str
    folder: Path
    seconds: float

    def begin(self, kind: str) -> float:
        """Waits until the clients of all kinds are there; returns the time when all is to end."""
        (self.folder / kind).touch()
        while not all((self.folder / other).exists() for other in KINDS):
            time.sleep(0.05)
        return time.monotonic() + self.seconds


@dataclass
class Polled:
    """Seconds of each GET, and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass
class Done:
    """How many uploads or transcriptions were done, of how many bytes or seconds of speech, and what went wrong."""

    count: int = 0
    amount: float = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Load:
    seconds: float
    polled: Polled
    uploaded: Done
    transcribed: Done
    memory: int

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.polled.seconds, n=100)[98]

    @property
    def missed(self) -> list[str]:
        errors = self.polled.errors + self.uploaded.errors + self.transcribed.errors
        missed = [f"{len(errors)} errors, such as: {errors[0]}"] if errors else []
        if self.p99 >= MOST_P99:
            missed.append(f"p99 of GET: {1000 * self.p99:.0f} ms where {1000 * MOST_P99:.0f} ms are allowed")
        # Else there was no such load, and the figures are of something else.
        if len(self.polled.seconds) < 0.8 * POLLING * self.seconds / INTERVAL:
            missed.append("the clients came to too few requests")
        if self.uploaded.count < UPLOADING or self.transcribed.count < TRANSCRIBING:
            missed.append("not every client has uploaded, or had transcribed, something")
        return missed

    def __str__(self) -> str:
        gets, errors = sorted(self.polled.seconds), sum(len(p.errors) for p in (self.polled, self.uploaded))
        errors += len(self.transcribed.errors)
        return (
            f"{POLLING} clients polling, {UPLOADING} uploading, {TRANSCRIBING} transcribing for {self.seconds:.0f} s: "
            f"{errors} errors (bound 0); {len(gets):,} GETs: median {1000 * statistics.median(gets):.1f} ms, "
            f"p99 {1000 * self.p99:.0f} ms (bound {1000 * MOST_P99:.0f} ms), slowest {1000 * gets[-1]:.0f} ms; "
            f"{self.uploaded.count} uploads, {self.uploaded.amount / 1e9:.1f} GB; {self.transcribed.count} jobs, "
            f"{self.transcribed.amount / 60:.0f} minutes of speech; memory of the service's process at most "
            f"{self.memory / 1e6:.0f} MB"
        )


def measure(folder: Path, seconds: float) -> Load:
    models = CACHE / "models"
    looped(demo.speech(CACHE / "samples"), folder / "speech.wav", SPEECH_MINUTES)
    with live(folder / "data", models) as service:
        server, token = (service.environment[f"TRANSCRIBE_{name}"] for name in ("SERVER", "TOKEN"))
        with Client(server, token) as client:
            client.create_job([(f"week {n // 50}/{n}.mp4", 10**6) for n in range(WAITING_FILES)])
        place = Place(server, token, folder, seconds)
        with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as processes:
            polled = processes.submit(poll, place)
            uploaded = processes.submit(upload, place)
            transcribed = processes.submit(transcribe, place)
            results = polled.result(), uploaded.result(), transcribed.result()
        assert service.process is not None
        if "Traceback" in service.log.read_text():
            results[0].errors.append(service.log.read_text())
        return Load(seconds, *results, memory(service.process.pid, "VmHWM"))


def poll(place: Place) -> Polled:
    return asyncio.run(_poll(place))


async def _poll(place: Place) -> Polled:
    polled = Polled()
    looks = itertools.cycle((_follow, _follow, _follow, _page, _listen))
    end = place.begin("polling")
    await asyncio.gather(*(_poll_one(place, next(looks), polled, end) for _ in range(POLLING)))
    return polled


async def _poll_one(place: Place, look: Callable[["Asking"], Any], polled: Polled, end: float) -> None:
    headers = {"Authorization": f"Bearer {place.token}"}
    async with httpx.AsyncClient(base_url=place.server, headers=headers, timeout=30, verify=False) as http:  # noqa: S501
        asking = Asking(http, polled)
        await asyncio.sleep(random.uniform(0, INTERVAL))  # noqa: S311
        while time.monotonic() < end:
            try:
                await look(asking)
            except httpx.HTTPError as error:
                polled.errors.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(INTERVAL * random.uniform(0.8, 1.2))  # noqa: S311


@dataclass
class Asking:
    """A client that polls, and the job that it follows."""

    http: httpx.AsyncClient
    polled: Polled
    job: str | None = None

    async def get(self, path: str) -> httpx.Response:
        began = time.perf_counter()
        answer = await self.http.get(path)
        self.polled.seconds.append(time.perf_counter() - began)
        if answer.status_code not in (HTTPStatus.OK, HTTPStatus.FOUND):
            self.polled.errors.append(f"GET {path}: {answer.status_code}")
        return answer


async def _follow(asking: Asking) -> None:
    """One look at a job that runs, until it has ended."""
    if asking.job is None:
        listed = (await asking.get("/jobs?limit=20")).json()["jobs"]
        running = [job["id"] for job in listed if job["state"] in ("queued", "running")]
        asking.job = random.choice(running) if running else None  # noqa: S311
    elif (await asking.get(f"/jobs/{asking.job}")).json()["state"] in FINAL:
        asking.job = None


async def _page(asking: Asking) -> None:
    """A look at the job of many files, with all of them."""
    if asking.job is None:
        listed = (await asking.get("/jobs?limit=100")).json()["jobs"]
        asking.job = next(job["id"] for job in listed if job["files_total"] == WAITING_FILES)
    cursor = (await asking.get(f"/jobs/{asking.job}")).json()["next"]
    await asking.get(f"/jobs/{asking.job}/files?cursor={cursor}")


async def _listen(asking: Asking) -> None:
    """The list of jobs, and a transcript if there is one."""
    listed = (await asking.get("/jobs?limit=20")).json()["jobs"]
    done = [job["id"] for job in listed if job["state"] == "succeeded"]
    if done:
        answer = await asking.get(f"/jobs/{done[0]}/files/0/transcript?format=txt")
        transcript = await asking.get(answer.headers["Location"])
        if SPOKEN not in transcript.text:
            asking.polled.errors.append(f"a transcript: {transcript.text[:100]!r}")


def upload(place: Place) -> Done:
    """Each client sends one file after the other, over a line of its own."""
    files = [place.folder / f"{size}.mp4" for size in UPLOADS]
    for file, size in zip(files, UPLOADS, strict=True):
        write(file, size)
    done, end = Done(), place.begin("uploading")

    def send(n: int) -> None:
        with _client(place, done) as client:
            for file in itertools.cycle(files[n % 2 :] + files[: n % 2]):
                if time.monotonic() >= end:
                    return
                # The second file never comes, so that no work is begun.
                job = client.create_job([(file.name, file.stat().st_size), ("never.mp4", 1)])
                client.upload(job.id, job.files[0], file, sent=_line(time.monotonic()))
                if len(client.job(job.id).awaited) != 1:
                    done.errors.append("an upload has not arrived")
                client.delete(job.id)
                done.count += 1
                done.amount += file.stat().st_size

    _at_once(UPLOADING, send)
    return done


def _line(began: float) -> Callable[[int], None]:
    return lambda count: time.sleep(max(0.0, began + count / LINE - time.monotonic()))


def transcribe(place: Place) -> Done:
    """Each client has the same speech transcribed, again and again."""
    done, end = Done(), place.begin("transcribing")

    def again(n: int) -> None:
        with _client(place, done) as client:
            for turn in itertools.count():
                if time.monotonic() >= end:
                    return
                output = place.folder / f"{n} {turn}"
                for result in client.transcribe([place.folder / "speech.wav"], output=output, formats=["txt"]):
                    if result.error or SPOKEN not in result.transcripts["txt"].read_text():
                        done.errors.append(f"a transcription: {result.error or 'it lacks words'}")
                    done.count += 1
                    done.amount += result.audio_seconds

    _at_once(TRANSCRIBING, again)
    return done


def _at_once(count: int, action: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(action, range(count)))


@contextmanager
def _client(place: Place, done: Done) -> Iterator[Client]:
    """What it has to try again is an error here."""
    with Client(place.server, place.token, note=done.errors.append) as client:
        try:
            yield client
        except TranscribeError as error:
            done.errors.append(str(error))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as folder:
        load = measure(Path(folder), seconds)
    print(load)
    if load.missed:
        sys.exit("\n".join(load.missed))


if __name__ == "__main__":
    main()
