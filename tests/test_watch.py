"""`transcribe --watch` and `Client.watch`: what comes into a folder is transcribed, once, whatever happens."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest
from starlette.types import Scope

from chalicelib.jobs import FileState
from chalicelib.records import every_file
from client import Client, NotAuthorized, Refused, Result, Watcher, arriving, transport
from tests.finishing import Bench, bench, first
from tests.serving import CHECKOUT
from tests.test_cli import environment, transcribe
from tests.test_client import fill, texts

SETTLED = 0.3
# The command, in a hurry.
COMMAND = f"""
from client import api, arriving, cli
arriving.LOOK_SECONDS = 0.05
api.Arrivals = lambda folder, _: arriving.Arrivals(folder, {SETTLED})
cli.main(prog_name="transcribe")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path / "site") as started:
        yield started


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    (folder / "in").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(arriving, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(arriving, "PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(transport, "LONGEST_DELAY", 0.3)
    return folder


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@dataclass
class Watching:
    """A watch over the folder `in`, in a thread; what it has said so far."""

    server: Bench
    token: str = ""
    formats: Sequence[str] = ("txt",)
    notes: Notes = field(default_factory=Notes)
    results: list[Result] = field(default_factory=list)
    error: Exception | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watching":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            token = self.token or self.server.token
            with Client(self.server.url, token, patience=math.inf, note=self.notes.note) as client:
                watch = client.watch("in", formats=self.formats, settled=SETTLED, watcher=self.notes, stop=self._stop)
                self.results.extend(watch)
        except Exception as error:
            self.error = error

    def said(self) -> dict[str, str | None]:
        """What has become of each file, as last told."""
        return {str(result.path): result.error for result in list(self.results)}


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def puts(server: Bench) -> list[str]:
    """The names of the files whose uploads began, in that order."""
    return [Path(path).name for path in server.paths if path.startswith("PUT /objects/")]


def jobs(server: Bench) -> int:
    return len(server.site.records.jobs("ann", 100))


def arrived(server: Bench) -> set[str]:
    """The names of the files that have come whole."""
    records = server.site.records
    found = [file for job in records.jobs("ann", 100) for file in every_file(records, job.id)]
    return {Path(file.path).name for file in found if file.state == FileState.UPLOADED}


class TestArrivals:
    def test_each_once_and_again_when_it_changes(self) -> None:
        arrivals = arriving.Arrivals(Path("in"), 0.2)

        def come() -> list[str]:
            return [source.path for source in arrivals.look().sources]

        fill("in/w/a.mp4", "in/b.mp4", "in/slides.pdf", "in/.hidden.mp4")
        fill("in/empty.mp4", content=b"")
        assert come() == []
        assert come() == []
        time.sleep(0.25)
        assert come() == ["b.mp4", "w/a.mp4"]
        assert come() == []
        fill("in/b.mp4", content=b"other media")
        assert come() == []
        time.sleep(0.25)
        assert come() == ["b.mp4"]
        Path("in").rename("away")
        assert come() == []
        Path("away").rename("in")
        time.sleep(0.25)
        assert come() == []

    def test_one_that_grows_does_not_come(self) -> None:
        arrivals = arriving.Arrivals(Path("in"), 0.2)
        for size in range(1, 8):
            fill("in/a.mp4", content=b"x" * size)
            assert arrivals.look().sources == []
            time.sleep(0.1)
        time.sleep(0.15)
        assert [source.size for source in arrivals.look().sources] == [7]

    def test_what_cannot_be_read_is_told_once(self) -> None:
        bad = Path("in") / os.fsdecode(b"caf\xe9.mp4")
        fill(str(bad))
        arrivals = arriving.Arrivals(Path("in"), 0)
        assert [len(arrivals.look().unreadable) for _ in range(3)] == [0, 1, 0]


class TestWatch:
    def test_what_is_and_what_comes(self, server: Bench) -> None:
        fill("in/done.mp4", "in/w/a.mp4", "in/fail.mp4")
        fill("in/done.txt", content=b"mine")
        with Watching(server) as watching:
            until(lambda: len(watching.results) == 3)
            assert jobs(server) == 1
            fill("in/w/b.mp4")
            until(lambda: len(watching.results) == 4)
        assert watching.said() == {
            "in/done.mp4": None,
            "in/w/a.mp4": None,
            "in/fail.mp4": "There is no sound in it.",
            "in/w/b.mp4": None,
        }
        assert texts() == {"in/done.txt": "mine", "in/w/a.txt": "txt of a.mp4\n", "in/w/b.txt": "txt of b.mp4\n"}
        assert jobs(server) == 2
        assert sorted(puts(server)) == ["a.mp4", "b.mp4", "fail.mp4"]

    def test_a_copy_is_sent_when_it_is_whole(self, server: Bench) -> None:
        with Watching(server) as watching, Path("in/a.mp4").open("ab", buffering=0) as copy:
            for _ in range(10):
                copy.write(b"media")
                time.sleep(0.1)
            assert (jobs(server), watching.results) == (0, [])
            until(lambda: watching.results)
        (job,) = server.site.records.jobs("ann", 9)
        assert server.site.objects.get(f"uploads/{job.id}/a.mp4") == 10 * b"media"

    def test_new_ones_do_not_wait_for_those_before(self, server: Bench) -> None:
        server.finisher.hold.set()
        fill("in/a.mp4")
        with Watching(server) as watching:
            until(lambda: puts(server) == ["a.mp4"])
            fill("in/b.mp4")
            until(lambda: puts(server) == ["a.mp4", "b.mp4"])
            server.finisher.release()
            until(lambda: len(watching.results) == 2)
        assert jobs(server) == 2

    def test_a_file_that_changes_is_sent_again(self, server: Bench) -> None:
        """Its transcripts are replaced, but not one that somebody has corrected."""
        fill("in/a.mp4", "in/b.mp4")
        with Watching(server) as watching:
            until(lambda: len(watching.results) == 2)
            Path("in/b.txt").write_text("corrected")
            first_written = Path("in/a.txt").stat().st_mtime_ns
            fill("in/a.mp4", "in/b.mp4", content=b"longer media")
            until(lambda: len(watching.results) == 4)
        assert texts() == {"in/a.txt": "txt of a.mp4\n", "in/b.txt": "corrected"}
        assert Path("in/a.txt").stat().st_mtime_ns != first_written
        assert sorted(puts(server)) == ["a.mp4", "a.mp4", "b.mp4"]
        assert [result.skipped for result in watching.results].count(True) == 1

    def test_a_transcript_that_was_there_before_is_kept(self, server: Bench) -> None:
        fill("in/a.mp4")
        fill("in/a.txt", content=b"mine")
        with Watching(server, formats=("txt", "srt")) as watching:
            until(lambda: watching.results)
            first_written = Path("in/a.srt").stat().st_mtime_ns
            fill("in/a.mp4", content=b"longer media")
            until(lambda: len(watching.results) == 2)
        assert texts() == {"in/a.txt": "mine", "in/a.srt": "srt of a.mp4\n"}
        assert Path("in/a.srt").stat().st_mtime_ns != first_written

    def test_no_mix_of_old_and_new(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not even where one of the old ones could not be written."""
        download, full = Client.download, [True]

        def once_full(self: Client, job: str, n: int, format: str, target: Path) -> None:
            if format == "srt" and full and full.pop():
                raise OSError(errno.ENOSPC, "No space left on device")
            download(self, job, n, format, target)

        monkeypatch.setattr(Client, "download", once_full)
        fill("in/a.mp4")
        with Watching(server, formats=("txt", "srt")) as watching:
            until(lambda: watching.results)
            assert watching.results[0].transcripts == {"txt": Path("in/a.txt")}
            first_written = Path("in/a.txt").stat().st_mtime_ns
            fill("in/a.mp4", content=b"longer media")
            until(lambda: len(watching.results) == 2)
        assert [result.error for result in watching.results] == [
            "in/a.srt can't be written: No space left on device.",
            None,
        ]
        assert Path("in/a.txt").stat().st_mtime_ns != first_written

    @pytest.mark.parametrize("seen", [True, False])
    def test_what_is_delivered_outlasts_a_passing_error(self, server: Bench, seen: bool) -> None:
        """It is told once and not fetched again; but it is replaced when its file changes later."""
        server.finisher.hold.set()
        fill("in/a.mp4", "in/b.mp4")

        def fault(scope: Scope) -> HTTPStatus | None:
            followed = re.fullmatch("/jobs/[a-z0-9]+", scope["path"])
            return HTTPStatus.OK if followed and Path("in/a.txt").exists() and (watching.results or not seen) else None

        with Watching(server) as watching:
            until(lambda: server.finisher.held)
            (id,) = server.finisher.held
            server.fault = fault
            server.finisher.finish_first(id)
            until(lambda: watching.notes.notes)
            first_written = Path("in/a.txt").stat().st_mtime_ns
            time.sleep(1)
            server.fault = lambda _: None
            server.finisher.release()
            until(lambda: len(watching.results) == 2)
            assert Path("in/a.txt").stat().st_mtime_ns == first_written
            fill("in/a.mp4", content=b"longer media")
            until(lambda: len(watching.results) == 3)
        assert [str(result.path) for result in watching.results] == ["in/a.mp4", "in/b.mp4", "in/a.mp4"]
        assert Path("in/a.txt").stat().st_mtime_ns != first_written

    def test_a_server_that_goes_and_comes(self, server: Bench) -> None:
        """Before anything is sent, and while a job is followed; a network that is away looks the same."""
        server.stop()
        fill("in/a.mp4")
        with Watching(server) as watching:
            until(lambda: watching.notes.notes)
            server.finisher.hold.set()
            server.restart()
            until(lambda: server.finisher.held)
            server.stop()
            fill("in/b.mp4")
            time.sleep(1)
            server.restart()
            server.finisher.release()
            until(lambda: len(watching.results) == 2)
        assert watching.notes.notes[:2] == [
            f"Nothing answers at {server.url} (connection refused). Is the server running? "
            "Trying again until it works.",
            "The server answers again.",
        ]
        assert watching.said() == {"in/a.mp4": None, "in/b.mp4": None}
        assert (jobs(server), sorted(puts(server))) == (2, ["a.mp4", "b.mp4"])

    def test_a_network_that_wants_a_login_is_waited_for(self, server: Bench) -> None:
        with Watching(server) as watching:
            until(lambda: server.paths)
            server.fault = first(2, "POST", "/jobs", HTTPStatus.PAYMENT_REQUIRED)
            fill("in/a.mp4")
            until(lambda: watching.results)
        assert (
            watching.notes.notes
            == [
                f"{server.url} does not answer like a transcription service (402 Payment Required). "
                "Check TRANSCRIBE_SERVER or --server. Trying again in 0 s."
            ]
            * 2
        )
        assert (jobs(server), puts(server)) == (1, ["a.mp4"])

    def test_a_job_that_is_deleted_is_not_made_again(self, server: Bench) -> None:
        server.finisher.hold.set()
        fill("in/a.mp4")
        with Watching(server) as watching, Client(server.url, server.token) as client:
            until(lambda: server.finisher.held)
            client.delete(server.finisher.held.pop())
            until(lambda: watching.results)
            time.sleep(1)
        assert watching.said() == {"in/a.mp4": "There is no such job."}
        assert puts(server) == ["a.mp4"]

    def test_what_waiting_cannot_mend_ends_it(self, server: Bench) -> None:
        with Watching(server, "wrong") as watching:
            until(lambda: watching.error)
        assert isinstance(watching.error, NotAuthorized)
        fill("in/a.mp4")
        with Client(server.url, server.token) as client:
            watch = client.watch("in", model="huge", settled=0)
            with pytest.raises(Refused, match=r"options\.model must be one of those installed: base, tiny\.en"):
                list(watch)


class Command:
    """`transcribe --watch in` in a process of its own."""

    def __init__(self, server: Bench, *arguments: str) -> None:
        environ = {**os.environ, **environment(server), "PYTHONPATH": str(CHECKOUT)}
        command = [sys.executable, "-c", COMMAND, "--watch", "in", "-f", "txt", *arguments]
        self.process = subprocess.Popen(
            command,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def ended(self) -> tuple[str, str, int]:
        """What it has printed by a Ctrl-C, and its exit code."""
        self.process.send_signal(signal.SIGINT)
        stdout, stderr = self.process.communicate(timeout=10)
        return stdout, stderr, self.process.returncode


class TestCommand:
    def test_lines(self, server: Bench) -> None:
        fill("in/a.mp4", "in/fail.mp4", "in/done.mp4", "in/done.txt")
        command = Command(server)
        until(lambda: "in/a.txt" in texts())
        time.sleep(0.3)
        stdout, stderr, code = command.ended()
        assert stdout == "in/a.mp4: in/a.txt\n"
        assert stderr.splitlines() == [
            "Watching in. Ctrl-C ends it; the same command goes on.",
            "Sending 2 files, 10 bytes.",
            "in/fail.mp4: There is no sound in it.",
        ]
        assert code == 130

    def test_killed_and_started_again(self, server: Bench) -> None:
        """With one file arrived and another under way, and again while their job runs: each is sent once."""
        server.finisher.hold.set()
        server.fault = lambda scope: HTTPStatus.SERVICE_UNAVAILABLE if scope["path"].endswith("/b.mp4") else None
        fill("in/a.mp4", "in/b.mp4")
        command = Command(server)
        until(lambda: "b.mp4" in puts(server) and arrived(server) == {"a.mp4"})
        command.kill()
        server.fault, tried = lambda _: None, puts(server).count("b.mp4")
        command = Command(server)
        until(lambda: server.finisher.held)
        command.kill()
        server.finisher.release()
        command = Command(server, "--json")
        until(lambda: set(texts()) == {"in/a.txt", "in/b.txt"})
        time.sleep(0.3)
        stdout, _, code = command.ended()
        assert {json.loads(line)["path"] for line in stdout.splitlines()} == {"in/a.mp4", "in/b.mp4"}
        assert code == 130
        assert (jobs(server), puts(server).count("a.mp4"), puts(server).count("b.mp4")) == (1, 1, tried + 1)

    @pytest.mark.parametrize("more", [["in"], ["--job", "x"], ["--force"]])
    def test_alone(self, server: Bench, more: list[str]) -> None:
        result = transcribe(server, "--watch", "in", *more)
        assert result.stderr.splitlines()[-1] == (
            "Error: With --watch FOLDER neither other paths nor --job nor --force can be given."
        )
        assert result.exit_code == 2

    def test_a_refused_token(self, server: Bench) -> None:
        result = transcribe(server, "--watch", "in", "--token", "wrong")
        assert result.stderr.splitlines()[1].startswith("Error: The server does not take the token.")
        assert result.exit_code == 3
