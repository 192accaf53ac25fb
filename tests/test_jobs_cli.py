"""`transcribe list`, `status`, `download`, `cancel`, `retry`, `delete`, `--json` and what shells complete."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from chalicelib import control, keys, languages, limits
from chalicelib.jobs import FileError, FileState
from client import Client, Refused, completion, report
from client.cli import main
from client.languages import NAMES
from client.run import APART
from tests.finishing import SECONDS, Bench, bench, first
from tests.serving import CHECKOUT, MISSING
from tests.test_cli import environment, process, timeless, transcribe
from tests.test_client import fill, texts

FIELDS = {
    "id", "title", "state", "error", "created_at", "formats", "labels", "size", "files_total", "files_by_state",
    "audio_seconds", "percent", "seconds_left", "dollars",
}  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path / "site") as started:
        yield started


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("TRANSCRIBE_SERVER", "TRANSCRIBE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return folder


def sent(server: Bench, *paths: str) -> str:
    """The id of a job of Ann's whose files have been sent."""
    with Client(server.url, server.token) as client:
        job = client.create_job([(path, 5) for path in paths])
        fill("media")
        for file in job.files:
            client.upload(job.id, file, Path("media"))
    Path("media").unlink()
    return job.id


def lines(result: Result) -> list[dict[str, Any]]:
    """What was printed for scripts: nothing but JSON, in ASCII."""
    assert result.stdout.isascii()
    return [json.loads(line) for line in result.stdout.splitlines()]


class TestList:
    def test_a_line_for_each_job(self, server: Bench) -> None:
        done, started = sent(server, "week1/a.mp4", "week1/fail.mp4"), sent(server, "talk.mp4")
        result = transcribe(server, "list")
        head, *rows = (line.split() for line in result.stdout.splitlines())
        assert head == ["JOB", "CREATED", "STATE", "DONE", "FILES", "TITLE"]
        assert [(row[0], row[3:]) for row in rows] == [
            (started, ["succeeded", "100", "%", "1", "talk.mp4"]),
            (done, ["partial", "100", "%", "2", "week1/"]),
        ]
        assert (result.stderr, result.exit_code) == ("", 0)

    def test_the_latest(self, server: Bench) -> None:
        ids = [sent(server, f"{n}.mp4") for n in range(3)]
        result = transcribe(server, "list", "--limit", "2")
        assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [ids[2], ids[1]]
        assert result.stderr == "There are older ones: --limit 20 lists more.\n"

    def test_for_scripts(self, server: Bench) -> None:
        id = sent(server, "é.mp4")
        (job,) = lines(transcribe(server, "list", "--json"))
        assert set(job) == FIELDS
        assert (job["id"], job["title"], job["files_by_state"]) == (id, "é.mp4", {"succeeded": 1})

    def test_a_folder_of_that_name(self, server: Bench) -> None:
        fill("list/a.mp4")
        assert transcribe(server, "list").stdout.split() == ["JOB", "CREATED", "STATE", "DONE", "FILES", "TITLE"]
        assert transcribe(server, "./list").exit_code == 0
        assert transcribe(server, "--force", "--", "list").exit_code == 0
        assert set(texts()) == {"list/a.txt", "list/a.srt"}
        assert len(transcribe(server, "list", "--json").stdout.splitlines()) == 2


class TestStatus:
    def test_in_words(self, server: Bench) -> None:
        id = sent(server, "week1/a.mp4", "week1/fail.mp4")
        result = transcribe(server, "status", id)
        assert result.stdout == (
            f"{id}: week1/\n"
            "  partial; 2 files, 10 bytes: 1 succeeded, 1 failed\n"
            "  week1/fail.mp4: There is no sound in it.\n"
        )
        assert (result.stderr, result.exit_code) == ("", 0)

    def test_for_scripts(self, server: Bench) -> None:
        id = sent(server, "a.mp4", "fail.mp4")
        (job,) = lines(transcribe(server, "status", id, "--json"))
        assert set(job) == FIELDS | {"failed"}
        assert (job["state"], job["percent"], job["audio_seconds"]) == ("partial", 100.0, SECONDS)
        assert job["failed"] == [
            {"n": 1, "path": "fail.mp4", "error": "There is no sound in it.", "error_code": "no_sound"}
        ]

    def test_those_that_are_there_are_told(self, server: Bench) -> None:
        id = sent(server, "a.mp4")
        result = transcribe(server, "status", MISSING, id, "../x", "--json")
        assert [job["id"] for job in lines(result)] == [id]
        assert result.stderr == f"Error: {MISSING}: There is no such job.\nError: ../x: There is no such job.\n"
        assert result.exit_code == 1

    def test_many_failures(self, server: Bench) -> None:
        id = sent(server, *(f"{n} fail.mp4" for n in range(15)))
        assert transcribe(server, "status", id).stdout.splitlines()[-1] == (
            "  and 3 other failed files (--json lists all)"
        )

    def test_without_a_job(self) -> None:
        result = transcribe(None, "status")
        assert result.stderr.splitlines()[0] == "Usage: transcribe status [OPTIONS] JOB..."
        assert result.exit_code == 2


class TestDownload:
    def test_the_tree_that_was_sent(self, server: Bench) -> None:
        id = sent(server, "w1/a.mp4", "b.mp4")
        result = transcribe(server, "download", id, "-o", "out")
        assert timeless(result.stdout) == (
            "Downloaded 2 files in 0 s:\n  out/b.txt\n  out/b.srt\n  out/w1/a.txt\n  out/w1/a.srt\n"
        )
        assert (result.stderr, result.exit_code) == ("", 0)
        assert texts()["out/w1/a.srt"] == "srt of a.mp4\n"

    def test_what_is_there_is_kept(self, server: Bench) -> None:
        id = sent(server, "a.mp4", "b.mp4")
        fill("a.txt", "a.srt", "b.txt", content=b"mine")
        kept = transcribe(server, "download", id)
        assert timeless(kept.stdout) == (
            "Downloaded 1 file in 0 s:\n  b.txt\n  b.srt\n"
            "Skipped 1 file with transcripts already there (--force redoes them).\n"
        )
        assert texts() == {"a.txt": "mine", "a.srt": "mine", "b.txt": "mine", "b.srt": "srt of b.mp4\n"}
        transcribe(server, "download", id, "--force")
        assert texts()["a.txt"] == "txt of a.mp4\n"

    def test_what_is_not_there_yet(self, server: Bench) -> None:
        server.finisher.hold.set()
        id = sent(server, "a.mp4")
        result = transcribe(server, "download", id, "--json")
        assert lines(result) == [
            {
                "path": "a.mp4",
                "error": "It is not transcribed yet: the job is queued.",
                "skipped": False,
                "transcripts": {},
                "language": None,
                "audio_seconds": 0,
                "warnings": [],
            }
        ]
        assert (result.stderr, result.exit_code) == ("", 1)

    def test_jobs_with_a_file_of_the_same_path(self, server: Bench) -> None:
        """The first that was named has its transcript there, and nothing passes for that of the other."""
        ids = [sent(server, "a.mp4", "b.mp4"), sent(server, "a.mp4")]
        server.site.objects.put(keys.transcript(ids[0], "a", "txt"), b"first")
        result = transcribe(server, "download", *ids, "--json")
        assert [(line["path"], line["error"]) for line in lines(result) if line["error"]] == [
            ("a.mp4", f"Job {ids[0]} has a file of this path too. {APART}")
        ]
        assert (len(lines(result)), texts()["a.txt"], result.exit_code) == (3, "first", 1)

    def test_those_that_are_there_are_fetched(self, server: Bench) -> None:
        id = sent(server, "a.mp4")
        result = transcribe(server, "download", MISSING, id, "--json")
        assert [line["error"] for line in lines(result)] == [None]
        assert (result.stderr, result.exit_code) == (f"Error: {MISSING}: There is no such job.\n", 1)


class TestControl:
    def test_cancel(self, server: Bench) -> None:
        server.finisher.hold.set()
        id = sent(server, "a.mp4")
        assert transcribe(server, "cancel", id).stdout == f"Cancelled {id}.\n"
        (job,) = lines(transcribe(server, "cancel", id, "--json"))
        assert (set(job), job["state"], job["files_by_state"]) == (FIELDS, "cancelled", {"cancelled": 1})

    def test_retry(self, server: Bench) -> None:
        id = sent(server, "a.mp4", "fail.mp4")
        server.finisher.hold.set()
        assert transcribe(server, "retry", id).stdout == f"Retrying {id}.\n"
        result = transcribe(server, "retry", id)
        assert result.stderr == f"Error: {id}: This job has not ended yet: there is nothing to retry.\n"
        assert result.exit_code == 1

    def test_retry_of_an_upload(self, server: Bench) -> None:
        id = sent(server, "a.mp4", "fail.mp4")
        records = server.site.records
        for state, error in ((FileState.TRANSCRIBING, None), (FileState.FAILED, "missing")):
            file = records.file(id, 1)
            assert file is not None
            records.move_file(file, state, {"error": error and FileError(code=error, message="It is gone.")})
        result = transcribe(server, "retry", id)
        assert result.stdout == f"Retrying {id}. It awaits 1 file: transcribe --job {id} PATH...\n"
        fill("in/a.mp4", "in/fail.mp4")
        assert (
            transcribe(server, "--job", id, "in").stderr.splitlines()[-1] == "  in/fail.mp4: There is no sound in it."
        )

    def test_delete(self, server: Bench) -> None:
        ids = [sent(server, "a.mp4"), sent(server, "b.mp4")]
        asked = transcribe(server, "delete", *ids)
        assert asked.stderr == "Delete 2 jobs for good? [y/N]: Aborted!\n"
        assert (asked.stdout, asked.exit_code) == ("", 1)
        assert transcribe(server, "delete", ids[0], "--yes").stdout == f"Deleted {ids[0]}.\n"
        result = transcribe(server, "delete", *ids, "--yes", "--json")
        assert lines(result) == [{"id": ids[1], "state": "deleted"}]
        assert (result.stderr, result.exit_code) == (f"Error: {ids[0]}: There is no such job.\n", 1)
        assert transcribe(server, "list", "--json").stdout == ""

    def test_ctrl_c_at_the_question(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(_: str) -> str:
            raise KeyboardInterrupt

        id = sent(server, "a.mp4")
        monkeypatch.setattr("click.termui.visible_prompt_func", interrupt)
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(["delete", id])
        assert ended.value.code == 130
        assert transcribe(server, "status", id).exit_code == 0


class TestErrors:
    @pytest.mark.parametrize("command", [["list"], ["status", MISSING], ["delete", "-y", MISSING]])
    def test_no_server(self, command: list[str]) -> None:
        result = transcribe(None, *command)
        assert result.stderr.splitlines()[-1] == (
            "Error: No server is given: set TRANSCRIBE_SERVER or --server. `make serve` prints both server and token."
        )
        assert result.exit_code == 2

    def test_a_refused_token(self, server: Bench) -> None:
        result = transcribe(server, "list", "--token", "wrong", "--json")
        assert result.stderr == (
            "Error: The server does not take the token. "
            "Set TRANSCRIBE_TOKEN or --token to a valid one of this server.\n"
        )
        assert (result.stdout, result.exit_code) == ("", 3)

    def test_beyond_a_limit(self, server: Bench) -> None:
        fill("a.mp4")
        token = server.site.token("ann", limits={"audio_hours_per_month": 1})
        with Client(server.url, token) as client:
            job = server.site.records.job(client.create_job([("b.mp4", 5)]).id)
        limits.spend(server.site.records, job, time.time(), audio_seconds=3600)
        result = transcribe(server, "a.mp4", "--token", token)
        assert result.stderr.splitlines()[-1].startswith(
            "Error: The token has used 1.00 of its 1 hours of audio of this month."
        )
        assert result.exit_code == 3

    def test_a_token_without_the_scope(self, server: Bench) -> None:
        fill("a.mp4")
        result = transcribe(server, "a.mp4", "--token", server.site.token("ann", scopes=["read"]))
        assert result.stderr.splitlines()[-1].startswith("Error: The token has not the scope 'write'")
        assert result.exit_code == 3

    def test_ctrl_c(self, server: Bench) -> None:
        server.fault = lambda scope: HTTPStatus.SERVICE_UNAVAILABLE if scope["path"] == "/jobs" else None
        with process(server, "list") as running:
            assert running.stderr is not None
            assert running.stderr.readline().startswith("The server answers '503")
            running.send_signal(2)
            running.communicate(timeout=10)
        assert running.returncode == 130


class TestJson:
    def test_every_file_is_a_line(self, server: Bench) -> None:
        bad = os.fsdecode(b"caf\xe9.mp4")
        fill("in/é short.mp4", "in/fail.mp4", "in/skipped.mp4", f"in/{bad}")
        fill("in/skipped.txt", "in/skipped.srt")
        result = transcribe(server, "in", "--json")
        told = {line.pop("path"): line for line in lines(result)}
        nothing = {"skipped": False, "transcripts": {}, "language": None, "audio_seconds": 0, "warnings": []}
        assert told == {
            "in/é short.mp4": {
                **nothing,
                "error": None,
                "transcripts": {"txt": "in/é short.txt", "srt": "in/é short.srt"},
                "audio_seconds": SECONDS,
                "warnings": ["It ends early."],
            },
            "in/fail.mp4": {**nothing, "error": "There is no sound in it."},
            "in/skipped.mp4": {
                **nothing,
                "error": None,
                "skipped": True,
                "transcripts": {"txt": "in/skipped.txt", "srt": "in/skipped.srt"},
            },
            f"in/{bad}": {**nothing, "error": "Its name is not valid UTF-8. Rename it."},
        }
        assert result.exit_code == 1

    def test_lines_come_one_by_one(self, server: Bench) -> None:
        """A script can work with the first while the others are transcribed."""
        fill("a.mp4", "skipped.mp4", "skipped.txt", "skipped.srt")
        server.finisher.hold.set()
        with process(server, "skipped.mp4", "a.mp4", "--json") as running:
            assert running.stdout is not None
            assert json.loads(running.stdout.readline())["path"] == "skipped.mp4"
            server.finisher.release()
            assert [json.loads(line)["path"] for line in running.stdout] == ["a.mp4"]
        assert running.returncode == 0

    def test_the_way_back_keeps_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        fill("a.mp4")
        with main.make_context("transcribe", ["a.mp4", "--skip-existing", "--json"]) as context:
            report.unfinished(Console(stderr=True), ["x"], context)
        assert "\n  transcribe --job x --skip-existing --json a.mp4\n" in capsys.readouterr().err


class TestLibrary:
    def test_call_by_call(self, server: Bench) -> None:
        with Client(server.url, server.token) as client:
            first, second = sent(server, "w/a.mp4", "w/fail.mp4"), sent(server, "b.mp4")
            assert [job.id for job in client.jobs()] == [second, first]
            assert list(client.jobs(label=("course", "biology"))) == []
            assert client.summary(first) == next(job for job in client.jobs() if job.id == first)
            assert client.summary(first).files_by_state == {"succeeded": 1, "failed": 1}
            assert [file.path for file in client.files(first, state="failed")] == ["w/fail.mp4"]
            assert client.models() == ["base", "tiny.en"]
            estimate = client.estimate([("a.wav", 176_400 * 60), ("b.wav", 0)], "tiny.en")
            assert (estimate.audio_seconds, estimate.dollars) == (60.0, 0.0)
            assert 0 < (estimate.seconds or 0) < 60
            server.finisher.hold.set()
            assert client.retry(first).state == "queued"
            assert client.cancel(first).state == "cancelled"
            results = {str(result.path): result.error for result in client.fetch([first], output="out")}
            assert results == {
                "w/a.mp4": None,
                "w/fail.mp4": "The job was cancelled before this file was finished.",
            }
            client.delete(first)
            assert [job.id for job in client.jobs()] == [second]
        assert set(texts()) == {"out/w/a.txt", "out/w/a.srt"}

    def test_lists_have_pages(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chalicelib.service.PAGE", 2)
        ids = [sent(server, f"{n}.mp4") for n in range(5)]
        with Client(server.url, server.token) as client:
            assert [job.id for job in client.jobs()] == ids[::-1]

    def test_an_answer_that_is_lost_makes_no_second_job(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        made = server.site.records.add_job.__func__  # type: ignore[attr-defined]
        lost = iter([True, False])

        def add_and_fail(*arguments: Any) -> None:
            made(*arguments)
            if next(lost):
                raise RuntimeError("the answer is lost")

        with Client(server.url, server.token) as client:
            client.models()
            monkeypatch.setattr(type(server.site.records), "add_job", add_and_fail)
            job = client.create_job([("a.mp4", 5)])
            assert [job.id for job in client.jobs()] == [job.id]
        assert server.paths.count("POST /jobs") == 2

    @pytest.mark.parametrize("call", ["retry", "delete"])
    def test_an_answer_that_is_lost_is_no_refusal(
        self, server: Bench, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """What the request has done already is what a second one would be refused for."""
        done, lost = getattr(control, call), iter([True, False])

        def do_and_fail(*arguments: Any) -> Any:
            answer = done(*arguments)
            if next(lost):
                raise RuntimeError("the answer is lost")
            return answer

        id = sent(server, "fail.mp4")
        server.finisher.hold.set()
        with Client(server.url, server.token) as client:
            client.models()
            monkeypatch.setattr(control, call, do_and_fail)
            told = getattr(client, call)(id)
            assert [job.state for job in client.jobs()] == ([told.state] if told else [])
            assert told is None or told.state == "queued"
            with pytest.raises(Refused):
                getattr(client, call)(id)


def shell(server: Bench, words: str, last: str = "") -> list[str]:
    """What bash offers for the last word after some others."""
    script = f"""
        eval "$(_TRANSCRIBE_COMPLETE=bash_source transcribe)"
        compopt() {{ :; }}
        COMP_WORDS=(transcribe {words} '{last}')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _transcribe_completion transcribe
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {**os.environ, **environment(server), "PATH": path, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


class TestCompletion:
    def test_in_bash(self, server: Bench) -> None:
        ids = [sent(server, "a.mp4"), sent(server, "b.mp4")]
        assert shell(server, "", "st") == ["status"]
        assert shell(server, "status") == ids[::-1]
        assert shell(server, f"cancel {ids[0]}") == [ids[1]]
        assert shell(server, "in --format", "txt,s") == ["txt,srt"]

    @pytest.mark.parametrize(
        ("words", "last", "offered"),
        [
            ("", "d", ["file d", "plain download", "plain delete"]),
            ("--force", "d", ["file d"]),
            ("--language", "d", ["plain da", "plain danish", "plain de", "plain dutch"]),
            ("--language", "Ger", ["plain german"]),
            ("--language", "hai", ["plain haitian"]),
            ("--model", "", ["plain base", "plain tiny.en"]),
            ("--task", "tran", ["plain transcribe", "plain translate"]),
            ("list", "--js", ["plain --json"]),
            ("--server http://127.0.0.1:1 --model", "", []),
        ],
    )
    def test_words(self, server: Bench, words: str, last: str, offered: list[str]) -> None:
        environ = {
            **environment(server),
            "_TRANSCRIBE_COMPLETE": "zsh_complete",
            "COMP_WORDS": f"transcribe {words} {last}",
            "COMP_CWORD": str(len(words.split()) + 1),
        }
        result = CliRunner().invoke(main, [], env=environ, prog_name="transcribe")
        answer = result.stdout.splitlines()
        assert [" ".join(answer[n : n + 2]) for n in range(0, len(answer) - 2, 3)] == offered

    def test_a_server_that_does_not_answer(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(completion, "SECONDS", 0.1)
        server.fault = first(9, "GET", "/jobs", HTTPStatus.IM_A_TEAPOT)
        assert shell(server, "status") == []

    def test_languages_are_those_of_the_service(self) -> None:
        assert NAMES.keys() == languages.CODES
