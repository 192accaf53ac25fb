"""Uploads that never fail, how quick they are, and what they take: `python -m bench.uploads [survive|speed|many]`."""

import contextlib
import hashlib
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from bench.upload_server import Place
from chalicelib import keys
from chalicelib.parts import MIB, PART_BYTES
from client import Client, File, Job, disk
from client.watching import Watcher

GB = 10**9
PATIENCE_SECONDS = 900

MOST_SENT_TWICE = 2
SURVIVOR_BYTES = 3 * GB
LINE = 10**8

STREAMS = 16
SPEED_BYTES = 2**31
ROUNDS = 3
LEAST_SPEED = 0.8
MOST_MEMORY = 200 * 10**6

FILES = 1000
FILE_BYTES = 20_000
MOST_SECONDS = 60.0


@dataclass
class Server:
    """A server in a process of its own, which can be killed and started again at its address."""

    place: Place
    part_bytes: int
    rate: int = 0
    port: int = 0
    process: "subprocess.Popen[str] | None" = None
    memory: int = 0
    token: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            self.port, self.token = _free_port(), self.place.token()
        arguments = [str(self.place.folder), str(self.port), str(self.part_bytes), str(self.rate)]
        command = [sys.executable, "-m", "bench.upload_server", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError("the server did not start")

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.memory = max(self.memory, _peak(self.process.pid))
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def serving(folder: Path, part_bytes: int = PART_BYTES, rate: int = 0) -> Iterator[Server]:
    server = Server(Place(folder / "server"), part_bytes, rate)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass(frozen=True)
class Survival:
    """`twice` are the parts that arrived whole more than once, of `parts`."""

    size: int
    parts: int
    twice: int
    same: bool
    seconds: float
    memory: int

    @property
    def holds(self) -> bool:
        return self.same and self.twice <= MOST_SENT_TWICE

    def __str__(self) -> str:
        state = "the same by its SHA-256" if self.same else "NOT WHOLE"
        return (
            f"{self.size / GB:.2f} GB in {self.parts} parts, the client killed at 30 %, the URLs expired at 45 %, the "
            f"server killed at 60 %, a part damaged at 75 %: {state} after {self.seconds:.0f} s; {self.twice} parts "
            f"sent twice (bound {MOST_SENT_TWICE}); server memory {self.memory / 1e6:.0f} MB"
        )


def survive(folder: Path, size: int, rate: int, part_bytes: int = PART_BYTES) -> Survival:
    """Sends a file by the command line, with all that can go wrong on the way, over a line of `rate` bytes a second.

    (Without a line, most parts that the server is killed with have arrived, and just miss their answer.)
    """
    source = folder / "talk.mp4"
    write(source, size)
    began = time.monotonic()
    with serving(folder, part_bytes, rate) as server, (folder / "client.log").open("w") as log:
        place, count = server.place, -(-size // part_bytes)

        def share(wanted: float) -> None:
            _wait(lambda: len(set(place.arrived())) >= wanted * count, client, folder / "client.log")

        client = _transcribe(server, source, folder, log)
        try:
            share(0.30)
            client.kill()
            client.wait()
            client = _transcribe(server, source, folder, log)
            share(0.45)
            place.later.touch()
            share(0.60)
            time.sleep(random.uniform(0, 0.1))  # noqa: S311 (not just when a part has arrived)
            server.kill()
            time.sleep(0.5)
            server.start()
            share(0.75)
            place.spoil.touch()
            client.wait(PATIENCE_SECONDS)
        finally:
            client.kill()
        arrived = place.arrived()
        (key,) = place.objects().keys(keys.UPLOADS)
        same = sha256(place.objects().path(key)) == sha256(source) and not place.spoil.exists()
        memory = max(server.memory, _peak(server.process.pid) if server.process else 0)
    twice = sum(arrived.count(number) > 1 for number in set(arrived))
    return Survival(size, count, twice, same, time.monotonic() - began, memory)


@dataclass(frozen=True)
class Speed:
    """Bytes a second, of the best of some rounds, which take turns."""

    curl: float
    parts: float
    client: float
    memory: int

    @property
    def holds(self) -> bool:
        return self.parts >= LEAST_SPEED * self.curl and self.memory < MOST_MEMORY

    def __str__(self) -> str:
        return (
            f"one curl -T {self.curl / 1e6:.0f} MB/s; {STREAMS} uploads in parts {self.parts / 1e6:.0f} MB/s, "
            f"{self.parts / self.curl:.0%} of that (bound {LEAST_SPEED:.0%}); by one process of our client, {STREAMS} "
            f"files at once, {self.client / 1e6:.0f} MB/s; server memory {self.memory / 1e6:.0f} MB "
            f"(bound {MOST_MEMORY / 1e6:.0f} MB)"
        )


def speed(folder: Path, size: int, rounds: int) -> Speed:
    """Sends the same bytes by one plain stream, by many uploads in parts (both with curl) and by our client."""
    whole = folder / "whole.mp4"
    write(whole, size)
    sources = [folder / f"{n}.mp4" for n in range(STREAMS)]
    for n, source in enumerate(sources):
        _copy(whole, source, n * (size // STREAMS), size // STREAMS)
    pieces = _pieces(sources, folder)
    rates: dict[str, list[float]] = {"curl": [], "parts": [], "client": []}
    with serving(folder) as server, Client(server.url, server.token) as client:
        ways: dict[str, tuple[Sequence[Path], Callable[[Job], None]]] = {
            "curl": ([whole], lambda job: _curl_whole(job, whole)),
            "parts": (sources, lambda job: _curl_parts(client, job, pieces, folder)),
            "client": (sources, lambda job: _by_client(server, job, sources)),
        }
        for _ in range(rounds):
            for name, (files, send) in ways.items():
                job = client.create_job([(file.name, file.stat().st_size) for file in files])
                os.sync()
                began = time.monotonic()
                send(job)
                rates[name].append(size / (time.monotonic() - began))
                if client.job(job.id).awaited:
                    raise RuntimeError(f"{name}: not all has arrived")
                server.place.objects().delete(keys.upload(job.id, ""))
        assert server.process is not None
        memory = _peak(server.process.pid)
    return Speed(max(rates["curl"]), max(rates["parts"]), max(rates["client"]), memory)


@dataclass(frozen=True)
class Many:
    files: int
    creating: float
    seconds: float
    memory: int

    @property
    def holds(self) -> bool:
        return self.seconds < MOST_SECONDS and self.creating < 2 and self.memory < MOST_MEMORY

    def __str__(self) -> str:
        return (
            f"{self.files} files as one job: POST /jobs {self.creating:.2f} s (bound 2 s); found, created and uploaded "
            f"by the client in {self.seconds:.1f} s (bound {MOST_SECONDS:.0f} s); server memory "
            f"{self.memory / 1e6:.0f} MB"
        )


@dataclass
class Clock(Watcher):
    """When the last file had arrived."""

    left: int
    arrived_at: float = 0

    def arrived(self, *_: object) -> None:
        self.left -= 1
        self.arrived_at = time.monotonic()


def many(folder: Path, files: int) -> Many:
    """Sends many small files as one job by the client library."""
    media = folder / "media"
    for n in range(files):
        file = media / f"week{n % 50}" / f"{n}.mp3"
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, FILE_BYTES)
    clock = Clock(files)
    with serving(folder) as server, Client(server.url, server.token) as client:
        began = time.monotonic()
        client.create_job([(f"{n}.mp3", FILE_BYTES) for n in range(files)])
        creating = time.monotonic() - began
        began = time.monotonic()
        for _ in client.transcribe([media], watcher=clock):
            pass
        assert server.process is not None
        memory = _peak(server.process.pid)
    if clock.left:
        raise RuntimeError(f"{clock.left} files have not arrived")
    return Many(files, creating, clock.arrived_at - began, memory)


def write(file: Path, size: int) -> None:
    """Bytes no two parts of which are the same."""
    noise = secrets.token_bytes(min(size, MIB))
    with file.open("wb") as stream:
        for start in range(0, size, MIB):
            stream.write((start.to_bytes(8, "big") + noise[8:])[: size - start])


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _transcribe(server: Server, source: Path, folder: Path, log: IO[str]) -> "subprocess.Popen[bytes]":
    variables = {
        "TRANSCRIBE_SERVER": server.url,
        "TRANSCRIBE_TOKEN": server.token,
        "XDG_STATE_HOME": str(folder / "state"),
    }
    command = [sys.executable, "-m", "client.cli", str(source)]
    return subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log)


def _wait(condition: Callable[[], bool], client: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if client.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the client ended too early: {log.read_text()}")
        time.sleep(0.005)


def _curl_whole(job: Job, source: Path) -> None:
    upload = job.files[0].upload
    assert upload is not None
    subprocess.run(["curl", "-sS", "--fail", "-T", str(source), upload.url], check=True)


def _pieces(sources: Sequence[Path], folder: Path) -> dict[int, list[Path]]:
    """The parts of files as files, since curl sends whole files only."""
    pieces: dict[int, list[Path]] = {}
    for n, source in enumerate(sources):
        size = source.stat().st_size
        for offset in range(0, size, PART_BYTES):
            piece = folder / f"{n}.{offset // PART_BYTES + 1}"
            _copy(source, piece, offset, min(PART_BYTES, size - offset))
            pieces.setdefault(n, []).append(piece)
    return pieces


def _curl_parts(client: Client, job: Job, pieces: dict[int, list[Path]], folder: Path) -> None:
    """Each file is asked for, sent part after part by a curl of its own, and completed."""

    def send(n: int) -> None:
        checksums = {
            number: disk.crc32(piece, size, 0, size, threading.Event())
            for number, piece in enumerate(pieces[n], 1)
            if (size := piece.stat().st_size)
        }
        uploads = client.parts(job.id, n, checksums).uploads
        config = folder / f"{n}.curl"
        config.write_text(
            "\n".join(
                f'upload-file = "{piece}"\nurl = "{uploads[number].url}"\noutput = "/dev/null"'
                for number, piece in enumerate(pieces[n], 1)
            )
        )
        subprocess.run(["curl", "-sS", "--fail", "-K", str(config)], check=True)
        stored = client.parts(job.id, n).stored
        client.complete(job.id, n, {number: part.etag for number, part in stored.items()})

    with ThreadPoolExecutor(STREAMS) as threads:
        list(threads.map(send, pieces))


def _by_client(server: Server, job: Job, sources: Sequence[Path]) -> None:
    with Client(server.url, server.token) as client, ThreadPoolExecutor(STREAMS) as threads:

        def send(file: File) -> None:
            client.upload(job.id, file, sources[file.n])

        list(threads.map(send, job.files))


def _copy(source: Path, target: Path, offset: int, length: int) -> None:
    with source.open("rb") as stream, target.open("wb") as copy:
        stream.seek(offset)
        for start in range(0, length, MIB):
            copy.write(stream.read(min(MIB, length - start)))


def _peak(pid: int) -> int:
    """The most resident memory that a process has had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


MEASURES: dict[str, Callable[[Path], Survival | Speed | Many]] = {
    "survive": lambda folder: survive(folder, SURVIVOR_BYTES, LINE),
    "speed": lambda folder: speed(folder, SPEED_BYTES, ROUNDS),
    "many": lambda folder: many(folder, FILES),
}


def main() -> None:
    missed = False
    for name in sys.argv[1:] or MEASURES:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_STATE_HOME"] = f"{folder}/state"
            measured = MEASURES[name](Path(folder))
        print(f"{name}: {measured}", flush=True)
        missed = missed or not measured.holds
    sys.exit(missed)


if __name__ == "__main__":
    main()
