"""The command `transcribe` as people and scripts meet it: what it prints, its exit codes, Ctrl-C."""

import io
import os
import pty
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

import _pywhispercpp as whisper
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

import client
from client import File, Job, report, text
from client.cli import main
from client.languages import NAMES
from client.progress import Lines
from tests.finishing import HANG, Bench, bench
from tests.serving import CHECKOUT
from tests.test_client import fill, texts

JOB = "[0-9a-z]{26}"
USAGE = "Usage: transcribe [OPTIONS] PATH...\nTry 'transcribe --help' for help.\n\nError: "


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


def environment(server: Bench) -> dict[str, str]:
    return {"TRANSCRIBE_SERVER": server.url, "TRANSCRIBE_TOKEN": server.token}


def transcribe(server: Bench | None, *arguments: str) -> Result:
    environ = environment(server) if server else {}
    return CliRunner(env={"COLUMNS": "300"}).invoke(main, arguments, env=environ, prog_name="transcribe")


def process(
    server: Bench, *arguments: str, env: Mapping[str, str] | None = None, before: Callable[[], object] = list
) -> "subprocess.Popen[str]":
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT), **(environment(server) if env is None else env)}

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which it is not where tests run in the background
        before()

    command = [sys.executable, "-m", "client.cli", *arguments]
    return subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare
    )


def timeless(text: str) -> str:
    return re.sub(r"in \d+ s", "in 0 s", text)


class TestWords:
    def test_one_short_file_is_shown(self, server: Bench) -> None:
        fill("talk.mp4")
        result = transcribe(server, "talk.mp4")
        assert timeless(result.stdout) == ("Transcribed 1 file in 0 s:\n  talk.txt\n  talk.srt\n\ntxt of talk.mp4\n")
        assert result.stderr == (
            "Found 1 file to transcribe, 5 bytes.\nUploading: 0 %, 0 of 1 file.\nTranscribing: 100 %, 1 of 1 file.\n"
        )
        assert result.exit_code == 0

    def test_a_folder_with_a_failure(self, server: Bench) -> None:
        fill("in/w1/b.mp4", "in/a fail.mp4", "in/short.mp4", "in/slides.pdf")
        result = transcribe(server, "in", "-o", "out", "--format", "vtt,json")
        assert timeless(result.stdout) == (
            "Transcribed 2 files in 0 s:\n"
            "  out/short.vtt\n  out/short.json\n  out/w1/b.vtt\n  out/w1/b.json\n"
            "Note on in/short.mp4: It ends early.\n"
        )
        assert result.stderr.splitlines() == [
            "Found 3 files to transcribe, 15 bytes; 1 other file ignored.",
            "Uploading: 0 %, 0 of 3 files.",
            "Transcribing: 100 %, 3 of 3 files.",
            "1 file failed:",
            "  in/a fail.mp4: There is no sound in it.",
        ]
        assert result.exit_code == 1
        assert set(texts()) == {
            "in/slides.pdf", "out/short.vtt", "out/short.json", "out/w1/b.vtt", "out/w1/b.json"
        }  # fmt: skip

    def test_many_files_are_not_listed(self, server: Bench) -> None:
        fill(*(f"in/{n}.mp4" for n in range(7)))
        beside, below = transcribe(server, "in"), transcribe(server, "in", "-o", "out")
        assert timeless(beside.stdout) == "Transcribed 7 files in 0 s. 14 transcripts are beside their sources.\n"
        assert timeless(below.stdout) == "Transcribed 7 files in 0 s. 14 transcripts are in out.\n"

    def test_a_second_run_skips(self, server: Bench) -> None:
        fill("in/a.mp4", "in/b.mp4")
        transcribe(server, "in")
        result = transcribe(server, "in")
        assert (result.stdout, result.stderr, result.exit_code) == (
            "Skipped 2 files with transcripts already there (--force redoes them).\n", "", 0
        )  # fmt: skip
        assert transcribe(server, "in", "--force").stdout.startswith("Transcribed 2 files in ")

    def test_nothing_to_transcribe(self, server: Bench) -> None:
        fill("in/a.pdf", "in/b.pdf")
        result = transcribe(server, "in")
        assert result.stderr == "Nothing to transcribe: there is no audio or video in in (2 other files there).\n"
        assert (result.stdout, result.exit_code) == ("", 1)

    def test_names_do_not_reach_the_terminal_raw(self, server: Bench) -> None:
        bad = os.fsdecode(b"caf\xe9.mp4")
        fill("in/\x1b[31mred.mp4", f"in/{bad}")
        result = transcribe(server, "in")
        assert result.stderr.splitlines() == [
            "Found 2 files to transcribe, 5 bytes; 1 of them can't be sent.",
            "2 files failed:",
            "  in/\\x1b[31mred.mp4: Its path must not hold control characters: rename it.",
            "  in/caf\\xe9.mp4: Its name is not valid UTF-8. Rename it.",
        ]
        assert result.exit_code == 1

    def test_formats_named_one_by_one(self, server: Bench) -> None:
        fill("a.mp4")
        result = transcribe(server, "a.mp4", "-f", "vtt", "-f", "TSV, vtt", "--format", "json")
        assert timeless(result.stdout) == "Transcribed 1 file in 0 s:\n  a.vtt\n  a.tsv\n  a.json\n"

    @pytest.mark.parametrize(
        ("size", "said"),
        [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (123_456, "123 kB"),
            (5 * 10**12, "5.0 TB"),
        ],
    )
    def test_sizes(self, size: int, said: str) -> None:
        assert text.size(size) == said

    def test_no_markup_in_names(self, server: Bench) -> None:
        fill("[bold]x[/bold] :smile:.mp4")
        result = transcribe(server, "[bold]x[/bold] :smile:.mp4", "-f", "srt")
        assert timeless(result.stdout) == "Transcribed 1 file in 0 s:\n  [bold]x[/bold] :smile:.srt\n"


def test_the_version_is_told() -> None:
    result = transcribe(None, "--version")
    assert (result.stdout, result.exit_code) == (f"transcribe {version('transcribe-service')}\n", 0)


class TestLanguages:
    @pytest.mark.parametrize("given", ["English", "ENGLISH", "en", "EN"])
    def test_a_language_has_a_name_and_a_code(self, server: Bench, given: str) -> None:
        fill("talk.mp4")
        result = transcribe(server, "talk.mp4", "--language", given)
        assert result.exit_code == 0, result.stderr
        (job,) = server.site.records.jobs("ann", 1)
        assert job.options.language == "en"

    def test_names_are_those_of_whisper(self) -> None:
        assert all(whisper.whisper_lang_id(names[0].lower()) == whisper.whisper_lang_id(code) >= 0
                   for code, names in NAMES.items())  # fmt: skip

    def test_all_are_listed(self) -> None:
        listed = " ".join(transcribe(None, "--help").stdout.split())
        assert all(f"{names[0]} ({code})" in listed for code, names in NAMES.items())


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "env", "message"),
        [
            pytest.param(
                ["a.mp4"],
                {},
                "No server is given: set TRANSCRIBE_SERVER or --server. `make serve` prints both server and token.",
                id="no-server",
            ),
            pytest.param(
                ["a.mp4"],
                {"TRANSCRIBE_SERVER": "http://127.0.0.1:1"},
                "No token is given: set TRANSCRIBE_TOKEN or --token. `make serve` prints both server and token.",
                id="no-token",
            ),
            pytest.param(
                ["a.mp4", "--server", "localhost:1", "--token", "x"],
                {},
                "The server must be an address such as http://127.0.0.1:8000, not 'localhost:1'.",
                id="no-address",
            ),
            pytest.param(
                [],
                {},
                "Name files or folders to transcribe, or a job to come back to (--job ID).",
                id="no-path",
            ),
            pytest.param(["b.mp4"], {}, "Invalid value for 'PATH...': Path 'b.mp4' does not exist.", id="no-file"),
            pytest.param(
                ["a.mp4", "-f", "srt,doc"],
                {},
                "Invalid value for '-f' / '--format': 'doc' is not one of txt, srt, vtt, json, tsv.",
                id="no-format",
            ),
            pytest.param(
                ["a.mp4", "--language", "deu"],
                {},
                "Invalid value for '--language': 'deu' is no language that Whisper knows. "
                "'transcribe --help' lists all.",
                id="no-language-alike",
            ),
            pytest.param(
                ["a.mp4", "--language", "Deutsch"],
                {},
                "Invalid value for '--language': 'Deutsch' is no language that Whisper knows. "
                "'transcribe --help' lists all.",
                id="no-language-in-its-own-words",
            ),
            pytest.param(
                ["a.mp4", "--language", "Englsh"],
                {},
                "Invalid value for '--language': 'Englsh' is no language that Whisper knows. "
                "Did you mean English (en)? 'transcribe --help' lists all.",
                id="no-language",
            ),
        ],
    )
    def test_usage(self, arguments: list[str], env: dict[str, str], message: str) -> None:
        fill("a.mp4")
        result = CliRunner().invoke(main, arguments, env=env, prog_name="transcribe")
        assert (result.stderr, result.stdout, result.exit_code) == (f"{USAGE}{message}\n", "", 2)

    def test_the_server_refuses_an_option(self, server: Bench) -> None:
        fill("a.mp4")
        result = transcribe(server, "a.mp4", "--model", "huge")
        assert result.stderr.splitlines()[1:] == ["Error: --model must be one of those installed: base, tiny.en."]
        assert result.exit_code == 2

    def test_every_wrong_field_is_told(self, server: Bench) -> None:
        fill(*(f"in/{n}\\.mp4" for n in range(3)))
        result = transcribe(server, "in", "--prompt", "x" * 901)
        told = result.stderr.splitlines()[1:]
        assert all(line.startswith(f"Error: files[{n}].path must not hold '\\'") for n, line in enumerate(told[:3]))
        assert told[3:] == ["Error: --prompt must have no more than 900 characters."]
        assert result.exit_code == 2

    def test_an_unknown_job(self, server: Bench) -> None:
        result = transcribe(server, "--job", "../x y")
        assert (result.stderr, result.exit_code) == ("Error: There is no such job.\n", 2)

    def test_a_refused_token(self, server: Bench) -> None:
        fill("a.mp4")
        result = transcribe(server, "a.mp4", "--token", "wrong")
        assert result.stderr.splitlines()[1:] == [
            "Error: The server does not take the token. Set TRANSCRIBE_TOKEN or --token to a valid one of this server."
        ]
        assert result.exit_code == 3

    def test_no_server_there(self, server: Bench) -> None:
        fill("a.mp4")
        server.stop()
        result = transcribe(server, "a.mp4")
        server.restart()
        assert result.stderr.splitlines()[1:] == [
            f"Error: Nothing answers at {server.url} (connection refused). Is the server running?"
        ]
        assert result.exit_code == 3

    def test_a_full_disk_spoils_only_what_does_not_fit(self, server: Bench) -> None:
        """`txt of …` is longer than the limit for one of the two."""
        fill("in/a.mp4", "in/a much longer name.mp4")
        limit = len("txt of a.mp4\n")
        with process(server, "in", "-f", "txt", before=lambda: _limit_files(limit)) as running:
            stdout, stderr = running.communicate()
        assert timeless(stdout) == "Transcribed 1 file in 0 s:\n  in/a.txt\n"
        assert stderr.splitlines()[-2:] == [
            "1 file failed:",
            "  in/a much longer name.mp4: in/a much longer name.txt can't be written: File too large.",
        ]
        assert running.returncode == 1
        assert texts() == {"in/a.txt": "txt of a.mp4\n"}


def _limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def wait_for(running: "subprocess.Popen[str]", line: str) -> None:
    """Returns when the command has said a line that begins so."""
    assert running.stderr is not None
    assert any(said.startswith(line) for said in running.stderr)


def interrupted(running: "subprocess.Popen[str]", line: str) -> "re.Match[str]":
    """Presses Ctrl-C when a line begins so. What is said then: the `state`, and the `command` to come back to `id`."""
    wait_for(running, line)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=10)
    said = re.search(
        rf"(?P<state>Stopped.*)\nTo come back to it:\n\n  (?P<command>transcribe --job (?P<id>{JOB}).*)\n\n$", stderr
    )
    assert said, stderr
    assert running.returncode == 130
    return said


class TestInterrupts:
    def test_following_and_back(self, server: Bench) -> None:
        fill("my talks/a.mp4", "my talks/w/b.mp4")
        server.finisher.hold.set()
        with process(server, "my talks", "--output", "out", "-f", "srt,txt", "--language", "en") as running:
            said = interrupted(running, "Transcribing")
        assert said["state"] == "Stopped following; the server goes on."
        assert said["command"] == (
            f"transcribe --job {said['id']} --output out --format srt,txt --language en 'my talks'"
        )
        server.finisher.release()
        result = transcribe(server, *shlex.split(said["command"])[1:])
        assert timeless(result.stdout) == (
            "Transcribed 2 files in 0 s:\n  out/a.srt\n  out/a.txt\n  out/w/b.srt\n  out/w/b.txt\n"
        )
        assert (result.stderr, result.exit_code) == ("Transcribing: 100 %, 2 of 2 files.\n", 0)

    def test_sending_and_back(self, server: Bench) -> None:
        fill("in/a.mp4", "in/b.mp4")
        server.fault = lambda scope: HANG if scope["method"] == "PUT" and scope["path"].endswith("b.mp4") else None
        env = {"TRANSCRIBE_SERVER": server.url}
        with process(server, "in", "--token", server.token, env=env) as running:
            said = interrupted(running, "Uploading")
        assert said["state"] == "Stopped before all files were sent."
        assert said["command"] == f'transcribe --job {said["id"]} --token "$TRANSCRIBE_TOKEN" in'
        server.fault = lambda _: None
        result = transcribe(server, "--job", said["id"], "in")
        assert result.exit_code == 0
        assert set(texts()) == {"in/a.txt", "in/a.srt", "in/b.txt", "in/b.srt"}

    def test_an_odd_name_in_the_command(self, server: Bench) -> None:
        fill("-it's.mp4", "a\tb")
        server.finisher.hold.set()
        with process(server, "--", "-it's.mp4", "a\tb") as running:
            said = interrupted(running, "Transcribing")
        assert said["command"] == f"""transcribe --job {said["id"]} -- '-it'"'"'s.mp4' $'a\\tb'"""

    def test_a_second_ctrl_c_ends_at_once(self, server: Bench) -> None:
        fill("a.mp4")
        server.fault = lambda scope: HANG if scope["method"] == "PUT" else None
        with process(server, "a.mp4") as running:
            wait_for(running, "Uploading")
            time.sleep(0.3)
            running.send_signal(signal.SIGINT)
            time.sleep(0.2)
            running.send_signal(signal.SIGINT)
            start = time.monotonic()
            _, stderr = running.communicate()
        assert time.monotonic() - start < 2
        assert (stderr, running.returncode) == ("", 130)

    def test_without_sources(self, server: Bench) -> None:
        fill("in/w/a.mp4")
        with process(server, "in") as running:
            running.communicate()
        id = server.site.records.jobs("ann", 1)[0].id
        result = transcribe(server, "--job", id, "-o", "elsewhere")
        assert timeless(result.stdout) == (
            "Transcribed 1 file in 0 s:\n  elsewhere/w/a.txt\n  elsewhere/w/a.srt\n\ntxt of a.mp4\n"
        )
        assert result.exit_code == 0

    def test_files_that_are_awaited_but_not_named(self, server: Bench) -> None:
        fill("in/a.mp4", "in/b.mp4")
        server.fault = lambda scope: HANG if scope["method"] == "PUT" else None
        with process(server, "in") as running:
            said = interrupted(running, "Uploading")
        server.fault = lambda _: None
        result = transcribe(server, "--job", said["id"])
        assert result.stderr == (
            "2 files failed:\n"
            "  a.mp4: The job awaits it with 5 bytes, but it is not among the files given.\n"
            "  b.mp4: The job awaits it with 5 bytes, but it is not among the files given.\n"
        )
        assert result.exit_code == 1

    def test_the_server_goes_away(self, server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("client.transport.FEWEST_ATTEMPTS", 2)
        monkeypatch.setattr("client.connecting.PATIENCE", 0)
        fill("a.mp4")
        server.fault = lambda scope: HTTPStatus.BAD_GATEWAY if scope["method"] == "PUT" else None
        result = transcribe(server, "a.mp4")
        id = server.site.records.jobs("ann", 1)[0].id
        assert result.stderr.splitlines()[2:] == [
            "The server answers '502 Bad Gateway'. Trying again for 0 seconds.",
            "Error: The server answers '502 Bad Gateway'.",
            "To come back to it:",
            "",
            f"  transcribe --job {id} a.mp4",
            "",
        ]
        assert result.exit_code == 3


def test_on_a_terminal(server: Bench) -> None:
    """Bars while it lasts, nothing left of them after it, and the cursor back."""
    fill(*(f"in/{n}.mp4" for n in range(12)), "in/fail.mp4")
    server.finisher.hold.set()
    ours, theirs = pty.openpty()
    environ = {**os.environ, **environment(server), "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "client.cli", "in"]
    with subprocess.Popen(command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b""
        while data := _read(ours):
            shown += data
            if b"Transcribing" in shown:
                server.finisher.release()
    assert running.returncode == 1
    text = shown.decode()
    assert "Found 13 files to transcribe, 65 bytes." in text
    assert "waiting for the server to begin" in text
    assert text.split()[-7:] == ["in/fail.mp4:", "There", "is", "no", "sound", "in", "it."]
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_lines_on_a_terminal_break_between_words() -> None:
    fill(*(f"in/a long name {n}.mp4" for n in range(3)))
    assert _on_a_terminal("in", "--server", "http://127.0.0.1:1", "--token", "x") == [
        "Found 3 files to transcribe, 15 bytes.",
        "Error: Nothing answers at http://127.0.0.1:1",
        "(connection refused). Is the server running?",
    ]
    assert _on_a_terminal("in", "--server", "http://127.0.0.1:1")[-2:] == [
        "Error: No token is given: set TRANSCRIBE_TOKEN or",
        "--token. `make serve` prints both server and token.",
    ]


def test_failures_and_commands_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What belongs together is indented; a command can be copied."""
    console = Console(stderr=True, force_terminal=True, width=40, color_system=None)
    report.failed(console, [client.Result(Path("my talks/a.mp4"), "It can't be read: No such file or directory.")])
    with main.make_context("transcribe", ["--job", "x" * 26, "--output", "somewhere else"]) as context:
        report.unfinished(console, ["y" * 26], context)
    assert capsys.readouterr().err.splitlines() == [
        "1 file failed:",
        "  my talks/a.mp4: It can't be read: No",
        "    such file or directory.",
        "To come back to it:",
        "",
        f"  transcribe --job {'y' * 26} --output 'somewhere else'",
        "",
    ]


def _on_a_terminal(*arguments: str) -> list[str]:
    """What is left on a terminal of 52 columns."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "COLUMNS": "52"}
    command = [sys.executable, "-m", "client.cli", *arguments]
    with subprocess.Popen(command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b"".join(iter(partial(_read, ours), b""))
    assert running.returncode > 0
    return [line for line in re.sub(r"\x1b\[[?\d]*\w|\r", "", shown.decode()).split("\n") if line]


def _read(terminal: int) -> bytes:
    """What was written to a terminal; nothing when it was closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


class TestProgress:
    @pytest.fixture
    def said(self, monkeypatch: pytest.MonkeyPatch) -> tuple[Lines, io.StringIO]:
        monkeypatch.setattr("client.progress.LINE_SECONDS", 0)
        stream = io.StringIO()
        return Lines(Console(file=stream)), stream

    def test_only_what_changed(self, said: tuple[Lines, io.StringIO]) -> None:
        lines, stream = said
        for percent, left in [(0.0, None)] * 3 + [(4.9, 500.0)] * 2 + [(5.0, 190.0), (5.0, 190.0), (50.0, 100.0)]:
            lines.transcribing([_job("running", percent, ["transcribing", "transcribing"], left)])
        assert stream.getvalue().splitlines() == [
            "Transcribing: 0 %, 0 of 2 files.",
            "Transcribing: 4 %, 0 of 2 files.",
            "Transcribing: 5 %, 0 of 2 files, about 3 min 10 s left.",
            "Transcribing: 50 %, 0 of 2 files, about 1 min 40 s left.",
        ]

    def test_preparing(self, said: tuple[Lines, io.StringIO]) -> None:
        lines, stream = said
        lines.transcribing([_job("queued", 0, ["uploaded"] * 4)])
        lines.transcribing([_job("running", 0, ["uploaded"] * 4)])
        lines.transcribing([_job("running", 0, ["failed", "transcribing", "preparing", "uploaded"])])
        lines.transcribing([_job("running", 0, ["failed", "transcribing", "transcribing", "transcribing"])])
        lines.transcribing([_job("running", 8, ["failed", "succeeded", "preparing", "transcribing"])])
        assert stream.getvalue().splitlines() == [
            "Transcribing: 0 %, 0 of 4 files, waiting for the server to begin.",
            "Preparing: 0 %, 0 of 4 files.",
            "Preparing: 50 %, 2 of 4 files.",
            "Transcribing: 0 %, 1 of 4 files.",
            "Transcribing: 8 %, 2 of 4 files.",
        ]


def _job(state: str, percent: float, files: Sequence[str], left: float | None = None) -> Job:
    parts = tuple(
        File(n, f"{n}.mp4", 5, state, None, None, (), None, 1.0, 0.0, str(n), None) for n, state in enumerate(files)
    )
    return Job(
        id="x",
        title="x",
        state=state,
        error=None,
        created_at="2026-11-26T00:00:00.000Z",
        formats=("txt",),
        labels={},
        size=5,
        files_total=len(parts),
        files_by_state={},
        audio_seconds=1.0,
        percent=percent,
        seconds_left=left,
        dollars=0.0,
        files=parts,
    )


def test_lines_are_plain_and_rare(server: Bench) -> None:
    fill(*(f"in/{n}.mp4" for n in range(60)))
    with process(server, "in") as running:
        stdout, stderr = running.communicate()
    assert running.returncode == 0
    assert not re.search(r"[^\x20-\x7e\n]", stdout + stderr)
    assert len(stderr.splitlines()) < 10
