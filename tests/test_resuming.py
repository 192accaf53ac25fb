"""The client's uploads in parts, and that it goes on with what was left unfinished, against the real server."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

import pytest
from starlette.types import Scope

import client
from bench import uploads
from chalicelib import keys, parts, views
from chalicelib.jobs import FileState, JobState
from client import Client, File, Job, Options, Result, Watcher
from client.unfinished import FORGOTTEN_SECONDS, Unfinished
from local.objects import DiskObjects
from tests.conftest import Figure
from tests.finishing import Bench, bench, first
from tests.serving import eventually

PART = 2**20
SIZE = 5 * PART + 7


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", PART)
    monkeypatch.setattr(views, "MULTIPART_BYTES", 2 * PART)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path / "site") as started:
        yield started


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("talk.mp4").write_bytes(os.urandom(SIZE))
    return Path("talk.mp4")


def sent(server: Bench) -> int:
    return sum(path.startswith("PUT /objects/") for path in server.paths)


def created(client: Client, server: Bench) -> tuple[str, File, str]:
    """A job for the talk: its id, its file, and the key of the object."""
    job = client.create_job([("talk.mp4", SIZE)])
    assert server.site.objects.size(keys.upload(job.id, "talk.mp4")) is None
    return job.id, job.files[0], keys.upload(job.id, "talk.mp4")


class TestParts:
    def test_a_large_file_goes_in_parts(self, server: Bench, talk: Path) -> None:
        counts: list[int] = []
        with Client(server.url, server.token) as client:
            job, file, key = created(client, server)
            assert file.multipart
            client.upload(job, file, talk, sent=counts.append)
            assert client.job(job).state == "succeeded"
            assert not client.job(job).files[0].multipart
            client.upload(job, file, talk)
        assert server.site.objects.get(key) == talk.read_bytes()
        assert (max(counts), counts[-1]) == (SIZE, SIZE)
        assert sent(server) == 6

    def test_only_what_is_missing_is_sent(self, server: Bench, talk: Path) -> None:
        with Client(server.url, server.token) as client:
            job, file, key = created(client, server)
            server.fault = lambda scope: (
                HTTPStatus.GONE if scope["method"] == "PUT" and b"part=4&" in scope["query_string"] else None
            )
            with pytest.raises(Exception, match="HTTP 410"):
                client.upload(job, file, talk)
            (there,) = (set(client.parts(job, 0).stored) for _ in range(1))
            assert 4 not in there
            before, server.fault = sent(server), lambda _: None
            client.upload(job, client.job(job).files[0], talk)
        assert sent(server) - before == 6 - len(there)
        assert server.site.objects.get(key) == talk.read_bytes()

    def test_parts_of_another_file_are_sent_again(self, server: Bench, talk: Path) -> None:
        with Client(server.url, server.token) as client:
            job, file, key = created(client, server)
            stop = threading.Event()
            server.fault = first(99, "POST", f"/jobs/{job}/files/0/complete", HTTPStatus.PAYMENT_REQUIRED)
            with pytest.raises(Exception, match="does not answer like"):
                client.upload(job, file, talk, stop=stop)
            content = bytearray(talk.read_bytes())
            content[PART] ^= 1
            talk.write_bytes(content)
            before, server.fault = sent(server), lambda _: None
            client.upload(job, file, talk)
        assert sent(server) - before == 1
        assert server.site.objects.get(key) == content

    @pytest.mark.parametrize(
        ("method", "path"), [("PUT", "/objects"), ("POST", "/jobs/{}/files/0/parts"), ("POST", "/jobs/{}/files/0/comp")]
    )
    def test_passing_trouble_is_ridden_out(self, server: Bench, talk: Path, method: str, path: str) -> None:
        with Client(server.url, server.token) as client:
            job, file, key = created(client, server)
            server.fault = first(2, method, path.format(job), HTTPStatus.BAD_GATEWAY)
            client.upload(job, file, talk)
        assert server.site.objects.get(key) == talk.read_bytes()

    def test_an_answer_that_was_lost(self, server: Bench, talk: Path) -> None:
        """The parts are there though the server did not say so; they are not sent again."""
        with Client(server.url, server.token) as client:
            job, file, key = created(client, server)
            write = DiskObjects.part_draft

            def lost(self: DiskObjects, key: str, upload: str, span: parts.Span, crc32: str) -> object:
                draft = write(self, key, upload, span, crc32)
                if span.number == 2 and not self.parts(key, upload, 2, 2):
                    publish = draft.publish

                    def publish_and_fail() -> None:
                        publish()
                        raise RuntimeError("the answer is lost")

                    draft.publish = publish_and_fail  # type: ignore[method-assign]
                return draft

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(DiskObjects, "part_draft", lost)
                client.upload(job, file, talk)
        assert server.site.objects.get(key) == talk.read_bytes()
        assert sent(server) == 6

    def test_an_upload_that_was_aborted_begins_anew(self, server: Bench, talk: Path) -> None:
        with Client(server.url, server.token) as client:
            job, file, key = created(client, server)

            def abort(_: object) -> None:
                if sent(server) == 3:
                    server.site.objects.delete(keys.upload(job, ""))

            server.fault = abort
            client.upload(job, file, talk)
        assert server.site.objects.get(key) == talk.read_bytes()

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            pytest.param(lambda path: path.unlink(), "It can't be read any more: No such file", id="vanished"),
            pytest.param(lambda path: path.write_bytes(b"x"), "Its size changed while it was being sent.", id="shrunk"),
            pytest.param(lambda path: os.utime(path, (1, 1)), "It changed while it was being sent.", id="written"),
        ],
    )
    def test_a_file_that_changes(
        self, server: Bench, talk: Path, spoil: Callable[[Path], object], message: str
    ) -> None:
        with Client(server.url, server.token) as api:
            job, file, key = created(api, server)
            counts = []

            def once(count: int) -> None:
                counts.append(count)
                if len(counts) == 3:
                    spoil(talk)

            with pytest.raises(client.SourceLost, match=message):
                api.upload(job, file, talk, sent=once)
        assert server.site.objects.size(key) is None

    def test_it_can_be_stopped(self, server: Bench, talk: Path) -> None:
        stop = threading.Event()
        with Client(server.url, server.token) as api:
            job, file, key = created(api, server)
            with pytest.raises(client.Stopped):
                api.upload(job, file, talk, sent=lambda count: stop.set() if count else None, stop=stop)
        assert server.site.objects.size(key) is None

    def test_damage_to_a_small_file_is_mended(self, server: Bench, talk: Path) -> None:
        talk.write_bytes(b"media")
        with Client(server.url, server.token) as client:
            job = client.create_job([("talk.mp4", 5)])
            server.fault = first(1, "PUT", "/objects", HTTPStatus.BAD_REQUEST)
            client.upload(job.id, job.files[0], talk)
            assert client.job(job.id).state == "succeeded"
        digest = next(headers["content-md5"] for method, _, headers in server.requests if method == "PUT")
        assert digest == "YpM6KVHvAfTq/ZvfTTzS8A=="


def interrupted(server: Bench, *arguments: str) -> str:
    """The id of the job that is left when the command line is killed, with one file sent and another not."""
    going = threading.Event()

    def fault(scope: Scope) -> HTTPStatus | None:
        if scope["method"] == "PUT" and scope["path"].endswith("/b.mp4"):
            going.set()
            return HTTPStatus.SERVICE_UNAVAILABLE
        return None

    server.fault = fault
    command = [sys.executable, "-m", "client.cli", *arguments]
    variables = {"TRANSCRIBE_SERVER": server.url, "TRANSCRIBE_TOKEN": server.token, "PYTHONPATH": str(uploads_folder())}
    process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
    assert going.wait(20)
    (job,) = server.site.records.jobs("ann", 10)
    assert eventually(lambda: server.site.records.file(job.id, 0).state == FileState.UPLOADED)  # type: ignore[union-attr]
    process.kill()
    process.wait()
    server.fault = lambda _: None
    return job.id


class Leaving(Watcher):
    """Presses Ctrl-C as soon as all is sent."""

    def transcribing(self, _: Sequence[Job]) -> None:
        raise KeyboardInterrupt


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def uploads_folder() -> Path:
    return Path(uploads.__file__).parent.parent


class TestUnfinished:
    @pytest.fixture(autouse=True)
    def media(self, talk: Path) -> None:
        talk.unlink()
        for name in ("in/a.mp4", "in/w/b.mp4"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(b"media")

    def jobs(self, server: Bench) -> int:
        return server.paths.count("POST /jobs")

    def test_the_same_command_goes_on_after_a_kill(self, server: Bench, state_home: Path) -> None:
        interrupted(server, "in")
        puts = sent(server)
        with Client(server.url, server.token) as client:
            results = list(client.transcribe([Path("../here/in").absolute()]))
            assert [result.error for result in results] == [None, None]
            assert self.jobs(server) == 1
            assert sent(server) - puts == 1
            assert Path("in/w/b.txt").read_text() == "txt of b.mp4\n"
            assert [path for path in state_home.rglob("*") if path.is_file()] == []
            assert all(result.skipped for result in client.transcribe(["in"]))

    def test_other_files_or_options_make_another_job(self, server: Bench) -> None:
        with Client(server.url, server.token) as client:
            interrupted(server, "in", "--language", "en")
            list(client.transcribe(["in"], force=True))
            assert self.jobs(server) == 2
            Path("in/a.mp4").write_bytes(b"other")
            list(client.transcribe(["in"], language="en", force=True))
            assert self.jobs(server) == 3
        with Client(server.url, server.site.token("bob")) as client:
            list(client.transcribe(["in"], language="en", force=True))
        assert self.jobs(server) == 4

    def test_a_job_that_runs_is_followed(self, server: Bench) -> None:
        server.finisher.hold.set()
        with Client(server.url, server.token) as client:
            running = client.transcribe(["in"], formats=["srt"], watcher=Leaving())
            with pytest.raises(KeyboardInterrupt):
                next(running)
            server.finisher.release()
            assert [result.error for result in client.transcribe(["in"], formats=["srt"])] == [None, None]
        assert (self.jobs(server), sent(server)) == (1, 2)

    @pytest.mark.parametrize("by_id", [False, True])
    def test_one_run_waits_for_another(self, server: Bench, by_id: bool) -> None:
        """Which would send the same parts, and each would have the other's refused."""
        Path("in/w/b.mp4").write_bytes(os.urandom(SIZE))
        results: list[Result] = []
        waiting = Notes()
        server.finisher.hold.set()
        with Client(server.url, server.token) as client:

            def run(watcher: Watcher, *jobs: str) -> threading.Thread:
                thread = threading.Thread(
                    target=lambda: results.extend(client.transcribe(["in"], jobs=jobs, watcher=watcher))
                )
                thread.start()
                return thread

            runs = [run(Watcher())]
            assert eventually(lambda: sent(server) > 1)
            runs.append(run(waiting, *(job.id for job in client.jobs() if by_id)))
            told = eventually(lambda: bool(waiting.notes))
            server.finisher.release()
            for thread in runs:
                thread.join()
        assert told
        assert [result.error for result in results] == [None] * 4
        assert waiting.notes == ["Another run is at some of these files. Waiting for it to end."]
        assert (self.jobs(server), sent(server)) == (1, 7)

    def test_a_run_that_waits_can_be_interrupted(self, server: Bench) -> None:
        server.finisher.hold.set()
        variables = {"TRANSCRIBE_SERVER": server.url, "TRANSCRIBE_TOKEN": server.token}
        variables["PYTHONPATH"] = str(uploads_folder())
        with Client(server.url, server.token) as client:
            going = threading.Thread(target=lambda: list(client.transcribe(["in"])))
            going.start()
            assert eventually(lambda: bool(server.finisher.held))
            command = [sys.executable, "-m", "client.cli", "in"]
            environ = {**os.environ, **variables}
            with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
                assert process.stderr is not None
                assert process.stderr.readline() == "Another run is at some of these files. Waiting for it to end.\n"
                process.send_signal(signal.SIGINT)
                assert process.wait(10) == 130
            server.finisher.release()
            going.join()
        assert self.jobs(server) == 1

    def test_more_files_than_before(self, server: Bench) -> None:
        interrupted(server, "in")
        Path("in/c.mp4").write_bytes(b"media")
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["in"]))
        assert [result.error for result in results] == [None] * 3
        assert self.jobs(server) == 2
        counts = sorted(job.files for job in server.site.records.jobs("ann", 10))
        assert counts == [1, 2]

    @pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.FAILED])
    def test_a_job_of_which_nothing_comes_is_left(self, server: Bench, state: JobState) -> None:
        id = interrupted(server, "in")
        server.site.records.change_job(id, [JobState.AWAITING_UPLOAD], {"state": state})
        with Client(server.url, server.token) as client:
            assert [result.error for result in client.transcribe(["in"])] == [None, None]
        assert self.jobs(server) == 2

    def test_what_cannot_be_fetched_is_fetched_another_time(self, server: Bench) -> None:
        Path("out").mkdir()
        Path("out/a.txt").mkdir()
        with Client(server.url, server.token) as client:
            results = client.transcribe(["in"], formats=["txt"], output="out", force=True)
            assert sorted(bool(result.error) for result in results) == [False, True]
            Path("out/a.txt").rmdir()
            results = client.transcribe(["in"], formats=["txt"], output="out", force=True)
            assert [result.error for result in results] == [None, None]
        assert self.jobs(server) == 1

    def test_a_memory_that_is_damaged_or_not_to_be_had_does_not_matter(
        self, server: Bench, state_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        interrupted(server, "in")
        (file,) = (path for path in state_home.rglob("*") if path.is_file())
        assert server.token not in f"{file}{file.read_text()}"
        for text in ("", "[]", "{}", '{"job": "x", "options": {}, "files": {"a": 1}}', "\x00"):
            file.write_text(text)
            assert list(Unfinished(file.parent).matching(Options(), [])) == []
        monkeypatch.setenv("XDG_STATE_HOME", str(file))
        with Client(server.url, server.token) as client:
            assert [result.error for result in client.transcribe(["in"])] == [None, None]

    def test_old_memories_fade(self, server: Bench, state_home: Path) -> None:
        interrupted(server, "in")
        (file,) = (path for path in state_home.rglob("*") if path.is_file())
        old = file.stat().st_mtime - FORGOTTEN_SECONDS - 1
        os.utime(file, (old, old))
        with Client(server.url, server.token) as client:
            list(client.transcribe(["in"]))
        assert self.jobs(server) == 2


@pytest.mark.alone
def test_an_upload_survives(tmp_path: Path, figure: Figure) -> None:
    survival = uploads.survive(tmp_path, 100_000_000, 25_000_000, 5 * 2**20)
    figure(str(survival))
    assert survival.holds


def test_bytes_of_the_bench_differ(tmp_path: Path) -> None:
    uploads.write(tmp_path / "a", 3 * 2**20 + 5)
    content = (tmp_path / "a").read_bytes()
    blocks = {hashlib.sha256(content[start : start + 2**20]).digest() for start in range(0, len(content), 2**20)}
    assert (len(content), len(blocks)) == (3 * 2**20 + 5, 4)
