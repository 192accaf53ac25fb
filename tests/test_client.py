"""The client library against the real server; only the workflow behind it ends at once."""

import errno
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse

import client
from chalicelib import retention, service
from chalicelib.jobs import FileState, JobState, MediaFile
from chalicelib.jobs import Job as RecordedJob
from chalicelib.ports import Upload
from client import Client, File, Job, Options, Result, Watcher, routes, run, sending, transport
from local.database import DatabaseFull
from local.files import DiskFull
from local.objects import DiskObjects
from tests.conftest import Figure
from tests.finishing import SECONDS, Bench, bench, first
from tests.serving import CHECKOUT, serving

MIB = 2**20
ODD_NAMES = ["a b+c.mp4", "100%.mp4", "#1?&=.mp4", "quote'\".mp4", "🎬/映像 ü.mp4", "~.$;,@!(x).mp4", "[b]x[/b].mp4"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path / "site") as started:
        yield started


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def fill(*paths: str, content: bytes = b"media") -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def texts() -> dict[str, str]:
    """The transcripts below the current folder, and any other file that should not be there."""
    files = (path for path in Path().rglob("*") if path.is_file() and path.suffix not in (".mp4", ".mov"))
    return {str(path): path.read_text() for path in files}


def errors(results: Sequence[Result]) -> dict[str, str | None]:
    return {str(result.path): result.error for result in results}


@dataclass
class Notes(Watcher):
    """Remembers notes and jobs; `before_sending` is run once, between the creation of a job and its uploads."""

    before_sending: object = None

    def __post_init__(self) -> None:
        self.notes: list[str] = []
        self.ids: list[Sequence[str]] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def created(self, ids: Sequence[str]) -> None:
        self.ids.append(ids)

    def sending(self, *_: int) -> None:
        action, self.before_sending = self.before_sending, None
        if callable(action):
            action()


@pytest.mark.usefixtures("here")
class TestTranscribe:
    def test_five_lines(self, server: Bench) -> None:
        fill("lectures/w1/intro.mp4", "lectures/fail.mp4", "lectures/short.mp4")
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["lectures"], formats=["srt"]))
        assert sorted(results, key=lambda result: result.path) == [
            Result(Path("lectures/fail.mp4"), "There is no sound in it."),
            Result(
                Path("lectures/short.mp4"),
                transcripts={"srt": Path("lectures/short.srt")},
                warnings=("It ends early.",),
                audio_seconds=SECONDS,
                fetched=("srt",),
            ),
            Result(
                Path("lectures/w1/intro.mp4"),
                transcripts={"srt": Path("lectures/w1/intro.srt")},
                audio_seconds=SECONDS,
                fetched=("srt",),
            ),
        ]
        assert texts() == {
            "lectures/w1/intro.srt": "srt of intro.mp4\n",
            "lectures/short.srt": "srt of short.mp4\n",
        }

    def test_a_job_is_called_after_the_folder(self, server: Bench) -> None:
        fill("lectures/a.mp4", "lectures/b.mp4", "talk/c.mp4")
        with Client(server.url, server.token) as client:
            for paths in (["lectures"], ["talk"], ["lectures/b.mp4", "talk/c.mp4"]):
                list(client.transcribe(paths, force=True))
            assert [job.title for job in client.jobs()] == ["b.mp4", "c.mp4", "lectures/"]

    def test_odd_names_below_output(self, server: Bench) -> None:
        fill(*(f"in/{name}" for name in ODD_NAMES))
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["in"], output="out/deep", formats=["txt"]))
        assert errors(results) == {f"in/{name}": None for name in ODD_NAMES}
        assert texts() == {
            f"out/deep/{name.removesuffix('.mp4')}.txt": f"txt of {Path(name).name}\n" for name in ODD_NAMES
        }

    def test_names_that_the_server_refuses_do_not_hold_up_the_others(self, server: Bench) -> None:
        long = "x" * 237 + ".mp4"
        bad = os.fsdecode(b"caf\xe9.mp4")
        fill("in/good.mp4", "in/back\\slash.mp4", "in/bell\a.mp4", f"in/{long}", f"in/{bad}")
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["in"], formats=["txt"]))
        slashes = "Its path must not hold '\\': part folders by '/', and rename a file that has it in its name."
        assert errors(results) == {
            "in/good.mp4": None,
            "in/back\\slash.mp4": slashes,
            "in/bell\a.mp4": "Its path must not hold control characters: rename it.",
            f"in/{long}": "Its path must not hold a name longer than 240 bytes: shorten it.",
            f"in/{bad}": "Its name is not valid UTF-8. Rename it.",
        }
        assert texts() == {"in/good.txt": "txt of good.mp4\n"}

    def test_wrong_options_are_told(self, server: Bench) -> None:
        fill("a.mp4")
        with Client(server.url, server.token) as api, pytest.raises(client.Refused) as caught:
            list(api.transcribe(["a.mp4"], model="huge", language="xx"))
        assert caught.value.status == 422
        assert caught.value.fields == [
            ("options.language", "must be 'auto' or the code of a language that Whisper knows, such as 'en'")
        ]

    def test_existing_transcripts(self, server: Bench) -> None:
        """They are kept unless forced; a file that has all is not sent."""
        fill("a.mp4", "b.mp4", "c.mp4")
        fill("a.txt", "b.txt", "b.srt", content=b"mine")
        with Client(server.url, server.token) as client:
            results = {str(result.path): result for result in client.transcribe(["a.mp4", "b.mp4", "c.mp4"])}
            assert results["b.mp4"] == Result(
                Path("b.mp4"), transcripts={"txt": Path("b.txt"), "srt": Path("b.srt")}, skipped=True
            )
            assert (results["a.mp4"].skipped, results["a.mp4"].fetched) == (False, ("srt",))
            assert texts() == {
                "a.txt": "mine",
                "a.srt": "srt of a.mp4\n",
                "b.txt": "mine",
                "b.srt": "mine",
                "c.txt": "txt of c.mp4\n",
                "c.srt": "srt of c.mp4\n",
            }
            assert sum(method == "PUT" for method, _, _ in server.requests) == 2
            list(client.transcribe(["a.mp4", "b.mp4"], force=True))
        assert {path: text for path, text in texts().items() if path[0] in "ab"} == {
            f"{name}.{format}": f"{format} of {name}.mp4\n" for name in "ab" for format in ("txt", "srt")
        }

    def test_a_file_added_beside_one_of_the_same_stem(self, server: Bench) -> None:
        """It is not taken for done because the other is, which keeps its transcripts."""
        fill("in/talk.mp4")
        with Client(server.url, server.token) as client:
            list(client.transcribe(["in"], formats=["txt"]))
            time.sleep(0.02)
            fill("in/talk.mov")
            results = {result.path.name: result for result in client.transcribe(["in"], formats=["txt"])}
            again = list(client.transcribe(["in"], formats=["txt"]))
        assert texts() == {"in/talk.txt": "txt of talk.mp4\n", "in/talk.mov.txt": "txt of talk.mov\n"}
        assert {name: result.skipped for name, result in results.items()} == {"talk.mp4": True, "talk.mov": False}
        assert [result.skipped for result in again] == [True, True]

    def test_more_files_than_a_job_takes(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run, "MOST_FILES", 3)
        names = ["talk.mov", "talk.mp4", *(f"{n}.mp4" for n in range(5))]
        fill(*(f"in/{name}" for name in names))
        watcher = Notes()
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["in"], output="out", formats=["txt"], watcher=watcher))
            assert errors(results) == {f"in/{name}": None for name in names}
            assert texts() == {
                "out/talk.mov.txt": "txt of talk.mov\n",
                "out/talk.mp4.txt": "txt of talk.mp4\n",
                **{f"out/{n}.txt": f"txt of {n}.mp4\n" for n in range(5)},
            }
            assert [len(client.job(id).files) for id in watcher.ids[-1]] == [3, 3, 1]

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            pytest.param(
                lambda path: path.unlink(), "It can't be read any more: No such file or directory.", id="vanished"
            ),
            pytest.param(
                lambda path: path.write_bytes(b"grown media"), "Its size changed while it was being sent.", id="grown"
            ),
            pytest.param(lambda path: path.write_bytes(b""), "Its size changed while it was being sent.", id="emptied"),
        ],
    )
    def test_a_file_lost_while_sending(self, server: Bench, spoil: object, message: str) -> None:
        """The others are sent again as a job of their own, since the first could never start; it is deleted."""
        assert callable(spoil)
        fill(*(f"in/{n}.mp4" for n in range(8)))
        watcher = Notes(lambda: spoil(Path("in/5.mp4")))
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["in"], formats=["txt"], watcher=watcher))
            assert [job.files_by_state for job in client.jobs()] == [{"succeeded": 7}]
        assert errors(results) == {f"in/{n}.mp4": message if n == 5 else None for n in range(8)}
        assert texts() == {f"in/{n}.txt": f"txt of {n}.mp4\n" for n in range(8) if n != 5}
        assert watcher.notes == ["Sending the other 7 files again as a new job."]

    def test_nothing_left_of_a_job(self, server: Bench) -> None:
        fill("a.mp4")
        watcher = Notes(Path("a.mp4").unlink)
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["a.mp4"], watcher=watcher))
            assert list(client.jobs()) == []
        assert errors(results) == {"a.mp4": "It can't be read any more: No such file or directory."}
        assert (watcher.notes, watcher.ids[-1]) == ([], [])

    def test_a_disk_without_room_for_all(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """What fits is sent again when the server has cleared away what came first."""
        objects = server.site.objects

        def require_room(_: DiskObjects, size: int) -> None:
            if size == 5 and len(list(objects.keys("uploads/"))) == 4:
                raise DiskFull

        def sweep(_: object) -> None:
            if sum(path.startswith("PUT") for path in server.paths) == 8:
                retention.sweep(server.site.service)

        monkeypatch.setattr(DiskObjects, "require_room", require_room)
        monkeypatch.setattr(sending, "PAUSE_SECONDS", 0.1)
        monkeypatch.setattr(sending, "AT_ONCE", 1)
        server.fault = sweep
        fill(*(f"in/{n}.mp4" for n in range(5)))
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["in"], formats=["txt"]))
        full = "The server's disk has no room for these 5 bytes. Send the file again when there is room."
        assert errors(results) == {f"in/{n}.mp4": full if n == 4 else None for n in range(5)}
        assert sum(path.startswith("PUT") for path in server.paths) == 11

    def test_a_job_is_kept_for_what_is_not_here_any_more(self, server: Bench) -> None:
        fill("in/a.mp4", "in/b.mp4", "in/c.mp4")

        def lose() -> None:
            Path("in/b.mp4").unlink()
            Path("in/c.mp4").unlink()

        with Client(server.url, server.token) as client:
            job = client.create_job([(f"{name}.mp4", 5) for name in "abc"])
            client.upload(job.id, job.files[2], Path("in/c.mp4"))
            results = list(client.transcribe(["in"], formats=["txt"], jobs=[job.id], watcher=Notes(lose)))
            assert client.job(job.id).files[2].state == "uploaded"
        gone = "It can't be read any more: No such file or directory."
        assert errors(results) == {"in/a.mp4": None, "in/b.mp4": gone, "in/c.mp4": gone}

    def test_a_job_with_transcripts_is_kept(self, server: Bench) -> None:
        """One that was retried for the sake of a file whose upload had failed."""
        fill("in/a.mp4", "in/b.mp4")
        with Client(server.url, server.token) as client:
            id = client.create_job([("a.mp4", 5), ("b.mp4", 5)]).id
            records = server.site.records
            file = records.file(id, 0)
            assert file is not None
            records.move_file(file, FileState.SUCCEEDED, {})
            list(client.transcribe(["in"], formats=["txt"], jobs=[id], watcher=Notes(Path("in/b.mp4").unlink)))
            assert client.job(id).files[0].state == "succeeded"

    def test_transcripts_that_cannot_be_written(self, server: Bench) -> None:
        fill("a.mp4", "b.mp4")
        Path("a.txt").mkdir()
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["a.mp4", "b.mp4"], formats=["txt"], force=True))
        assert errors(results) == {"a.mp4": "a.txt can't be written: Is a directory.", "b.mp4": None}
        assert texts() == {"b.txt": "txt of b.mp4\n"}

    @pytest.mark.parametrize("resumed", [False, True])
    def test_a_folder_that_cannot_be_written_is_told_before_anything_is_sent(
        self, server: Bench, resumed: bool
    ) -> None:
        fill("in/a.mp4", "file")
        with Client(server.url, server.token) as api:
            jobs = [api.create_job([("a.mp4", 5)]).id] if resumed else []
            server.requests.clear()
            for output, reason in (("file", "Not a directory"), ("file/new", "Not a directory")):
                with pytest.raises(client.TranscribeError) as caught:
                    list(api.transcribe(["in"], output=output, jobs=jobs))
                assert str(caught.value) == f"No transcripts can be written to {output}: {reason}."
        assert server.paths == []

    def test_a_folder_that_cannot_be_written_holds_up_no_other(
        self, server: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def require_writable(folder: Path) -> None:
            if folder.name == "disc":
                raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr("client.disk.require_writable", require_writable)
        fill("in/disc/a.mp4", "in/disc/b.mp4", "in/c.mp4")
        fill("in/disc/b.txt", content=b"before")
        with Client(server.url, server.token) as client:
            results = list(client.transcribe(["in"], formats=["txt"]))
        assert errors(results) == {
            "in/disc/a.mp4": "No transcripts can be written to in/disc: Read-only file system.",
            "in/disc/b.mp4": None,
            "in/c.mp4": None,
        }
        assert sum(path.startswith("PUT") for path in server.paths) == 1

    def test_a_job_that_fails_as_a_whole(self, server: Bench) -> None:
        fill("a.mp4")
        server.finisher.hold.set()
        with Client(server.url, server.token) as client:
            running = client.transcribe(["a.mp4"], watcher=Notes())
            ending = threading.Timer(0.7, lambda: _fail(server, "The machine broke. Send the job again."))
            ending.start()
            assert errors(list(running)) == {"a.mp4": "The machine broke. Send the job again."}


def _fail(server: Bench, error: str) -> None:
    id = server.finisher.held.pop()
    server.site.records.change_job(id, [JobState.QUEUED], {"state": JobState.FAILED, "error": error})


@pytest.mark.usefixtures("here")
class TestContinue:
    def test_what_is_awaited_is_sent(self, server: Bench) -> None:
        fill("in/w/a.mp4", "in/b.mp4", "in/new.mp4")
        with Client(server.url, server.token) as client:
            job = client.create_job([("b.mp4", 5), ("w/a.mp4", 5)], Options(formats=("vtt",)))
            client.upload(job.id, job.files[0], Path("in/b.mp4"))
            assert [file.path for file in client.job(job.id).awaited] == ["w/a.mp4"]
            results = list(client.transcribe(["in"], jobs=[job.id]))
        assert errors(results) == {"in/b.mp4": None, "in/w/a.mp4": None}
        assert texts() == {"in/b.vtt": "vtt of b.mp4\n", "in/w/a.vtt": "vtt of a.mp4\n"}

    def test_without_sources(self, server: Bench) -> None:
        fill("a.mp4")
        with Client(server.url, server.token) as client:
            job = client.create_job([("w/a.mp4", 5)])
            client.upload(job.id, job.files[0], Path("a.mp4"))
            results = list(client.transcribe(jobs=[job.id]))
            assert errors(results) == {"w/a.mp4": None}
            list(client.transcribe(jobs=[job.id], output="out"))
        assert texts() == {
            f"{folder}w/a.{format}": f"{format} of a.mp4\n" for folder in ("", "out/") for format in ("txt", "srt")
        }

    def test_files_that_are_not_there_any_more(self, server: Bench) -> None:
        """One was sent before and now is gone, another is awaited: the job can't start, nor be sent anew."""
        fill("in/a.mp4", "in/b.mp4", "in/c.mp4")
        with Client(server.url, server.token) as api:
            job = api.create_job([(f"{name}.mp4", 5) for name in "abc"])
            api.upload(job.id, job.files[0], Path("in/a.mp4"))
            Path("in/a.mp4").unlink()
            fill("in/b.mp4", content=b"another size")
            with pytest.raises(client.TranscribeError) as caught:
                list(api.transcribe(["in"], jobs=[job.id]))
            assert [file.path for file in api.job(job.id).awaited] == ["b.mp4"]
        assert str(caught.value) == (
            f"Job {job.id} can't start before 1 file more of it arrived. "
            "Name all the files and folders that it was created with."
        )

    def test_the_others_go_on_where_all_are_there(self, server: Bench) -> None:
        fill("in/a.mp4", "in/b.mp4")
        watcher = Notes()
        with Client(server.url, server.token) as client:
            job = client.create_job([(f"{name}.mp4", 5) for name in "abc"])
            results = list(client.transcribe(["in"], jobs=[job.id], watcher=watcher))
            assert [file.path for file in client.job(job.id).awaited] == ["c.mp4"]
        assert errors(results) == {
            "c.mp4": "The job awaits it with 5 bytes, but it is not among the files given.",
            "in/a.mp4": None,
            "in/b.mp4": None,
        }
        assert watcher.notes == ["Sending the other 2 files again as a new job."]

    @pytest.mark.parametrize("path", ["/etc/x.mp4", "../x.mp4", "a/../../x.mp4"])
    def test_a_server_cannot_write_elsewhere(self, server: Bench, path: str) -> None:
        fill("a.mp4")
        with Client(server.url, server.token) as api:
            job = api.create_job([("a.mp4", 5)])
            records = server.site.records
            file = records.file(job.id, 0)
            assert file is not None
            records.move_file(file, FileState.UPLOADED, {"path": path})
            with pytest.raises(client.TranscribeError) as caught:
                list(api.transcribe(jobs=[job.id]))
        assert str(caught.value) == f"The server names a file outside of the job's folder: {path}."


@pytest.mark.usefixtures("here")
class TestCalls:
    def test_call_by_call(self, server: Bench) -> None:
        size = 2 * MIB + 1
        Path("a.mp4").write_bytes(os.urandom(size))
        counts: list[int] = []
        with Client(server.url, server.token) as client:
            job = client.create_job([("w/a.mp4", size)], Options(formats=("srt",), language="en", prompt="Ask"))
            assert (job.state, job.percent, job.size, job.final) == ("awaiting_upload", 0.0, size, False)
            client.upload(job.id, job.files[0], Path("a.mp4"), sent=counts.append)
            assert counts == [*range(0, size, MIB // 4), size]
            stored = server.site.objects.get(f"uploads/{job.id}/w/a.mp4")
            assert stored == Path("a.mp4").read_bytes()
            *_, job = client.follow(job.id)
            assert (job.state, job.percent, job.formats, job.awaited) == ("succeeded", 100.0, ("srt",), [])
            assert list(client.files(job.id)) == list(job.files) == [
                File(0, "w/a.mp4", size, "succeeded", None, None, (), None, SECONDS, 100.0, "w/a", None)
            ]  # fmt: skip
            client.download(job.id, 0, "srt", Path("new/folder/a.srt"))
        assert texts() == {"new/folder/a.srt": "srt of a.mp4\n"}
        record = server.site.records.job(job.id)
        assert record is not None
        assert (record.options.language, record.options.prompt) == ("en", "Ask")

    def test_an_empty_file_is_sent(self, server: Bench) -> None:
        fill("a.mp4", content=b"")
        with Client(server.url, server.token) as client:
            job = client.create_job([("a.mp4", 0)])
            client.upload(job.id, job.files[0], Path("a.mp4"))
            assert client.job(job.id).final

    def test_pages(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(service, "PAGE", 3)
        monkeypatch.setattr(service, "FILES_PAGE", 2)
        with Client(server.url, server.token) as client:
            job = client.create_job([(f"{n}.mp4", 1) for n in range(5)])
            assert [file.n for file in client.files(job.id)] == [0, 1, 2, 3, 4]
            assert [file.n for file in client.job(job.id).files] == [0, 1, 2, 3, 4]

    def test_an_upload_that_is_there_already(self, server: Bench) -> None:
        fill("a.mp4")
        with Client(server.url, server.token) as client:
            job = client.create_job([("a.mp4", 5), ("b.mp4", 5)])
            client.upload(job.id, job.files[0], Path("a.mp4"))
            client.upload(job.id, job.files[0], Path("a.mp4"))  # 412 of the signed URL
            client.upload(job.id, client.job(job.id).files[0], Path("a.mp4"))  # 409 of a fresh one
            assert [file.state for file in client.job(job.id).files] == ["uploaded", "awaiting_upload"]

    def test_an_expired_url_is_renewed(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        presign = DiskObjects.presign_put
        fill("a.mp4")
        with Client(server.url, server.token) as client, monkeypatch.context() as patched:
            patched.setattr(DiskObjects, "presign_put", lambda self, key, size, _: presign(self, key, size, -9))
            job = client.create_job([("a.mp4", 5)])
            patched.undo()
            client.upload(job.id, job.files[0], Path("a.mp4"))
            assert client.job(job.id).state == "succeeded"
        assert [path for path in server.paths if "objects" in path or "upload" in path] == [
            f"PUT /objects/uploads/{job.id}/a.mp4",
            f"POST /jobs/{job.id}/files/0/upload",
            f"PUT /objects/uploads/{job.id}/a.mp4",
        ]

    def test_an_upload_refused_for_good(self, server: Bench) -> None:
        fill("a.mp4", "b.mp4")
        server.fault = first(99, "PUT", "/objects", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        with Client(server.url, server.token) as api:
            results = list(api.transcribe(["a.mp4"]))
        assert errors(results) == {"a.mp4": "The upload was answered with HTTP 413."}

    @pytest.mark.parametrize(("method", "path"), [("PUT", "/objects"), ("GET", "/jobs"), ("GET", "/objects")])
    def test_passing_trouble_is_ridden_out(self, server: Bench, method: str, path: str) -> None:
        fill("a.mp4")
        notes: list[str] = []
        server.fault = first(2, method, path, HTTPStatus.SERVICE_UNAVAILABLE)
        with Client(server.url, server.token, note=notes.append) as client:
            assert errors(list(client.transcribe(["a.mp4"], formats=["txt"]))) == {"a.mp4": None}
        assert texts() == {"a.txt": "txt of a.mp4\n"}
        assert notes == [
            "The server answers '503 Service Unavailable'. Trying again for 120 seconds.",
            "The server answers again.",
        ]

    def test_a_disk_without_room_is_told_in_one_sentence(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        full = iter([DatabaseFull()])

        def add_job(job: RecordedJob, files: Iterable[MediaFile]) -> None:
            for error in full:
                raise error
            add(job, files)

        add = server.site.records.add_job
        monkeypatch.setattr(server.site.records, "add_job", add_job)
        notes: list[str] = []
        with Client(server.url, server.token, note=notes.append) as client:
            client.create_job([("a.mp4", 5)])
        assert notes == ["The server's disk is full. Trying again for 120 seconds.", "The server answers again."]

    def test_a_job_is_never_created_twice(self, server: Bench) -> None:
        server.fault = first(1, "POST", "/jobs", HTTPStatus.BAD_GATEWAY)
        with Client(server.url, server.token) as api, pytest.raises(client.Unreachable) as caught:
            api.create_job([("a.mp4", 5)])
        assert str(caught.value) == "The server answers '502 Bad Gateway'."
        assert server.paths == ["POST /jobs"]

    def test_a_download_is_whole_or_not_there(self, server: Bench) -> None:
        fill("a.mp4")
        fill("a.txt", content=b"before")
        with Client(server.url, server.token) as api:
            job = api.create_job([("a.mp4", 5)])
            api.upload(job.id, job.files[0], Path("a.mp4"))
            server.fault = first(1, "GET", "/objects", HTTPStatus.GONE)
            with pytest.raises(client.Refused):
                api.download(job.id, 0, "txt", Path("a.txt"))
        assert texts() == {"a.txt": "before"}


@pytest.mark.usefixtures("here")
class TestServer:
    def test_a_restart_is_ridden_out(self, server: Bench) -> None:
        fill("a.mp4")
        server.finisher.hold.set()
        notes: list[str] = []
        states: list[str] = []

        def restart() -> None:
            while "queued" not in states:
                time.sleep(0.05)
            server.stop()
            time.sleep(1)
            server.restart()
            server.finisher.release()

        class States(Watcher):
            def transcribing(self, jobs: Sequence[Job]) -> None:
                states.extend(job.state for job in jobs)

        thread = threading.Thread(target=restart)
        thread.start()
        with Client(server.url, server.token, note=notes.append) as client:
            assert errors(list(client.transcribe(["a.mp4"], formats=["txt"], watcher=States()))) == {"a.mp4": None}
        thread.join()
        assert notes == [
            f"Nothing answers at {server.url} (connection refused). Is the server running? "
            "Trying again for 120 seconds.",
            "The server answers again.",
        ]

    def test_an_outage_does_not_slow_down_what_follows(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        pauses: list[float] = []
        with Client(server.url, server.token) as client:
            job = client.create_job([("a.mp4", 5)])
            server.fault = first(3, "GET", "/jobs", HTTPStatus.BAD_GATEWAY)
            monkeypatch.setattr("client.calls.time.sleep", pauses.append)
            following = client.follow(job.id)
            states = [next(following).state for _ in range(6)]
        assert states == ["awaiting_upload"] * 6
        assert pauses[0] == 5.0
        assert all(pause <= 2.4 for pause in pauses[1:])

    def test_patience_ends(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "LONGEST_DELAY", 0.1)
        with Client(server.url, server.token, patience=0.5) as api:
            job = api.create_job([("a.mp4", 5)])
            server.stop()
            with pytest.raises(client.Unreachable):
                api.job(job.id)
            server.restart()

    def test_a_server_that_was_never_there(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        assert _complaint(f"http://127.0.0.1:{port}") == (
            f"Nothing answers at http://127.0.0.1:{port} (connection refused). Is the server running?"
        )

    def test_an_unknown_name(self) -> None:
        assert _complaint("http://nowhere.invalid") == (
            "The name nowhere.invalid is not known (DNS). Check the address and the network."
        )

    def test_no_tls(self, server: Bench) -> None:
        secure = server.url.replace("http:", "https:")
        assert re.fullmatch(
            rf"No secure connection to {secure} \(TLS: .+\)\. Is it http:// instead\?", _complaint(secure)
        )

    def test_another_server(self) -> None:
        with serving(PlainTextResponse("Hello")) as url:
            assert _complaint(url) == (
                f"{url} does not answer like a transcription service (200 OK). Check TRANSCRIBE_SERVER or --server."
            )
        moved = PlainTextResponse("", HTTPStatus.MOVED_PERMANENTLY, {"Location": "https://a.example/jobs?secret"})
        with serving(moved) as url:
            assert _complaint(url) == (
                f"{url} does not answer like a transcription service (301 Moved Permanently). "
                "It sends on to https://a.example. Check TRANSCRIBE_SERVER or --server."
            )

    @pytest.mark.parametrize(("path", "status"), [("foo", "404 Not Found"), ("jobs", "405 Method Not Allowed")])
    def test_another_path_of_the_server(self, server: Bench, path: str, status: str) -> None:
        address = f"{server.url}/{path}"
        assert _complaint(address, server.token) == (
            f"{address} does not answer like a transcription service ({status}). Check TRANSCRIBE_SERVER or --server."
        )

    def test_a_wrong_token(self, server: Bench) -> None:
        with Client(server.url, "wrong") as api, pytest.raises(client.NotAuthorized):
            api.job("x")

    @pytest.mark.parametrize("address", ["", "localhost:8000", "ftp://host", "http://", "http://me:pw@host"])
    def test_addresses_that_are_none(self, address: str) -> None:
        with pytest.raises(client.TranscribeError, match=r"must be an address such as http://127\.0\.0\.1:8000, not"):
            Client(address, "token")

    @pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "tokén"])
    def test_tokens_that_are_none(self, token: str) -> None:
        with pytest.raises(client.NotAuthorized, match="The token is empty or holds characters"):
            Client("http://127.0.0.1:1", token)


PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies, to set some in."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.usefixtures("here")
class TestProxies:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_this_machine_needs_none(self, server: Bench, proxies: pytest.MonkeyPatch, host: str) -> None:
        """Neither calls nor uploads and downloads, whose URLs have the server's host."""
        fill("a.mp4")
        with serving(PlainTextResponse("", HTTPStatus.BAD_GATEWAY)) as proxy:
            proxies.setenv("http_proxy", proxy)
            proxies.setenv("all_proxy", proxy)
            with Client(server.url.replace("127.0.0.1", host), server.token) as client:
                assert errors(list(client.transcribe(["a.mp4"], formats=["txt"]))) == {"a.mp4": None}
        assert texts() == {"a.txt": "txt of a.mp4\n"}

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://[::1]:8000/x", None),
            ("http://127.8.9.1", None),
            ("http://me.localhost", None),
            ("http://here.example:81", None),
            ("https://127.0.0.2", None),
            ("http://there.example", "http://proxy.example:3128"),
            ("https://there.example", "http://other.example:1"),
        ],
    )
    def test_which(self, proxies: pytest.MonkeyPatch, url: str, expected: str | None) -> None:
        proxies.setenv("http_proxy", "me:secret@proxy.example:3128")
        proxies.setenv("all_proxy", "http://other.example:1")
        proxies.setenv("no_proxy", "here.example")
        assert routes.proxy(httpx.URL(url)) == expected

    def test_one_that_is_not_there(self, proxies: pytest.MonkeyPatch) -> None:
        proxies.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
        assert _complaint("http://service.example") == (
            "No connection to http://service.example: nothing answers at the proxy (connection refused). "
            "The way there is the proxy http://127.0.0.1:1, set in the environment "
            "(http_proxy or all_proxy; no_proxy exempts servers)."
        )

    @pytest.mark.parametrize(
        ("status", "url", "message"),
        [
            (HTTPStatus.BAD_GATEWAY, "http://service.example", "The server answers '502 Bad Gateway'."),
            (
                HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
                "http://service.example",
                "http://service.example does not answer like a transcription service "
                "(407 Proxy Authentication Required).",
            ),
            (
                HTTPStatus.BAD_REQUEST,  # what the server in the proxy's place says to CONNECT
                "https://service.example",
                "The connection to https://service.example failed: 400 Bad Request.",
            ),
        ],
    )
    def test_one_that_says_no(self, proxies: pytest.MonkeyPatch, status: HTTPStatus, url: str, message: str) -> None:
        with serving(PlainTextResponse("", status)) as proxy:
            proxies.setenv("all_proxy", proxy.replace("//", "//me:secret@"))
            said = _complaint(url)
        assert said.removesuffix(" Check TRANSCRIBE_SERVER or --server.") == (
            f"{message} The way there is the proxy {proxy}, set in the environment "
            f"({url.partition(':')[0]}_proxy or all_proxy; no_proxy exempts servers)."
        )

    def test_uploads_and_downloads(self, server: Bench, proxies: pytest.MonkeyPatch) -> None:
        """Whose URLs may have another host than the server."""
        fill("a.mp4")
        said = "The way there is the proxy http://127.0.0.1:1, set in the environment"
        proxies.setenv("http_proxy", "http://127.0.0.1:1")
        api = transport.Transport(server.url, server.token, 1, print)
        with pytest.raises(client.Unreachable, match=said):
            api.send("PUT", "http://store.example/x?secret", httpx.Headers(), [b"x"])
        with pytest.raises(client.Unreachable, match=said):
            api.receive("http://store.example/x?secret", print)
        api.close()

    def test_one_that_is_no_http_proxy(self, proxies: pytest.MonkeyPatch) -> None:
        proxies.setenv("http_proxy", "gopher://me:secret@proxy.example")
        assert _complaint("http://service.example") == (
            "The proxy that is set for http:// addresses (environment variable http_proxy or all_proxy) can't be used: "
            "it must be an HTTP proxy."
        )


def _complaint(url: str, token: str = "token") -> str:  # noqa: S107
    with pytest.raises(client.TranscribeError) as caught, Client(url, token) as api:
        api.create_job([("a.mp4", 5)])
    return str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
        (RuntimeError("Server disconnected."), "Server disconnected"),
    ],
)
def test_a_connection_that_ends_is_told_in_words(error: Exception, said: str) -> None:
    ended = httpx.ReadError(str(error))
    ended.__cause__ = error
    assert transport._diagnosis(ended, httpx.URL("http://service.example")) == (
        f"The connection to http://service.example failed: {said}."
    )


@pytest.mark.usefixtures("here")
def test_the_token_goes_to_the_api_alone(
    server: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Uploads and downloads go to another origin here, as on AWS."""
    caplog.set_level("DEBUG")
    fill("a.mp4")
    store = Bench(server.site, server.finisher, server.token)
    store.start()
    put, get = DiskObjects.presign_put, DiskObjects.presign_get

    def put_elsewhere(self: DiskObjects, key: str, size: int, seconds: int) -> Upload:
        request = put(self, key, size, seconds)
        return replace(request, url=request.url.replace(server.url, store.url))

    def get_elsewhere(self: DiskObjects, key: str, seconds: int, filename: str) -> str:
        return get(self, key, seconds, filename).replace(server.url, store.url)

    monkeypatch.setattr(DiskObjects, "presign_put", put_elsewhere)
    monkeypatch.setattr(DiskObjects, "presign_get", get_elsewhere)
    with Client(server.url, server.token) as api:
        assert errors(list(api.transcribe(["a.mp4"], formats=["txt"]))) == {"a.mp4": None}
        shown = f"{api!r} {vars(api)!r} {vars(api.transport)!r}"
    store.stop()
    assert [path.partition("/objects/")[0] for path in store.paths] == ["PUT ", "GET "]
    assert not any("authorization" in headers or server.token in str(headers) for _, _, headers in store.requests)
    assert all(headers["authorization"] == f"Bearer {server.token}" for _, _, headers in server.requests)
    assert texts() == {"a.txt": "txt of a.mp4\n"}
    assert server.token not in shown
    assert not any(server.token in record.getMessage() for record in caplog.records)


def test_urls_are_resolved_below_the_address() -> None:
    """The API may lie below a path, as behind API Gateway; presigned URLs may be anywhere."""
    api = transport.Transport("https://a.example/api/", "token", 1, print)
    assert api.resolve("/objects/x?y=1") == "https://a.example/api/objects/x?y=1"
    assert api.resolve("https://b.example/x?y=1") == "https://b.example/x?y=1"


# Runs a client in a process of its own, so that its peak memory is its own too.
SEND = """
import resource, sys
from pathlib import Path
from client import Client
server, token, path = sys.argv[1:]
with Client(server, token) as client:
    job = client.create_job([("a.mp4", Path(path).stat().st_size)])
    client.upload(job.id, job.files[0], Path(path))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.usefixtures("here")
def test_memory_does_not_grow_with_the_file(server: Bench, figure: Figure) -> None:
    def peak(size: int) -> int:
        with Path("a.mp4").open("wb") as file:
            file.truncate(size)
        command = [sys.executable, "-c", SEND, server.url, server.token, "a.mp4"]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return int(done.stdout) * 1024

    small, start = peak(MIB), time.monotonic()
    growth = peak(1024 * MIB) - small
    figure(f"1 GiB sent in {time.monotonic() - start:.1f} s; memory {growth / MIB:.1f} MiB above that for 1 MiB")
    assert growth < 16 * MIB


@pytest.mark.usefixtures("here")
def test_hundreds_of_files(server: Bench, figure: Figure) -> None:
    fill(*(f"in/week{n % 10}/{n}.mp4" for n in range(300)))
    began, worked = time.monotonic(), time.process_time()
    with Client(server.url, server.token) as api:
        results = list(api.transcribe(["in"]))
    seconds, work = time.monotonic() - began, time.process_time() - worked
    figure(f"300 files sent and 600 transcripts fetched in {seconds:.1f} s, {work:.1f} of the processor's")
    assert [result.error for result in results] == [None] * 300
    assert len(texts()) == 600
    assert work < 20, "of client and server"
    assert seconds < 60
