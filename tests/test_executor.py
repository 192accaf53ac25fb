"""The workflow on one machine when things go wrong: dying workers, Ctrl-C, a database that is not to be had."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import executor
from local.records import SQLiteRecords
from local.worker import Workplace
from tests.live import Live, live
from tests.media_files import ffmpeg


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("running") / "data", models_dir) as service:
        yield service


@pytest.fixture
def service(running: Live) -> Live:
    """One for many tests: whatever happens to it, it goes on."""
    running.said_before = len(running.log.read_text())
    return running


def workers(service: Live) -> list[psutil.Process]:
    return fork_server(service).children()


def fork_server(service: Live) -> psutil.Process:
    assert service.process is not None
    children = psutil.Process(service.process.pid).children()
    (found,) = (child for child in children if "forkserver" in " ".join(child.cmdline()))
    return found


def test_an_idle_worker_that_dies_is_replaced(service: Live, jfk: Path) -> None:
    service.wait(service.submit({"jfk.wav": jfk}))
    for worker in workers(service):
        worker.kill()
    job = service.wait(service.submit({"jfk.wav": jfk}))
    assert job["state"] == "succeeded"


def test_a_worker_that_dies_at_work_costs_one_attempt(service: Live, jfk: Path) -> None:
    id = service.submit({f"{n}.wav": jfk for n in range(8)})
    service.wait(id, lambda job: job["percent"] > 0)
    for worker in workers(service):
        worker.kill()
    job = service.wait(id)
    assert job["files_by_state"] == {"succeeded": 8}
    assert "WorkerLost: exit code -9" in service.said


def test_the_process_that_forks_workers_may_die_as_well(service: Live, jfk: Path) -> None:
    id = service.submit({f"{n}.wav": jfk for n in range(8)})
    service.wait(id, lambda job: job["percent"] > 0)
    fork_server(service).kill()
    assert service.wait(id)["files_by_state"] == {"succeeded": 8}


@pytest.mark.parametrize("state", ["preparing", "transcribing"])
def test_ctrl_c_in_the_middle_ends_soon_and_loses_nothing(
    tmp_path: Path, models_dir: Path, jfk: Path, state: str
) -> None:
    """The signal goes to the whole process group, as a terminal sends it."""
    minutes = 10 if state == "preparing" else 3
    ffmpeg("-stream_loop", "-1", "-i", jfk, "-t", str(60 * minutes), "-c", "copy", tmp_path / "long.wav")
    service = Live(tmp_path / "data", models_dir)
    service.start(start_new_session=True)
    try:
        id = service.submit({"long.wav": tmp_path / "long.wav"}, formats=["txt"])
        service.wait(id, lambda job: state in job["files_by_state"] and (state == "preparing" or job["percent"] > 0))
        time.sleep(0.3)
        assert service.process is not None
        began = time.monotonic()
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.process.wait(30) == 0
        assert time.monotonic() - began < 8
        assert "Traceback" not in service.log.read_text()
        service.start()
        job = service.wait(id, lambda job: job["audio_seconds"] > 0)
        assert job["audio_seconds"] == pytest.approx(60 * minutes, abs=0.1)
        assert job["files"][0]["warnings"] == []
    finally:
        service.stop()


def test_a_cancelled_job_leaves_the_workers_at_once_and_can_be_retried(
    service: Live, tmp_path: Path, jfk: Path
) -> None:
    ffmpeg("-stream_loop", "-1", "-i", jfk, "-t", "40", "-c", "copy", tmp_path / "long.wav")
    id = service.submit({"long.wav": tmp_path / "long.wav", "jfk.wav": jfk}, formats=["txt"], language="en")
    service.wait(id, lambda job: job["percent"] > 0)
    with service.http as http:
        began = time.monotonic()
        cancelled = http.post(f"/jobs/{id}/cancel").raise_for_status().json()
        assert cancelled["files_by_state"] == {"cancelled": 2}
        while (service.data / "objects" / "work" / id).exists():
            assert time.monotonic() - began < 5
            time.sleep(0.02)
        assert service.wait(service.submit({"jfk.wav": jfk}))["state"] == "succeeded"
        assert service.job(id)["state"] == "cancelled"
        assert http.post(f"/jobs/{id}/retry").raise_for_status().json()["state"] == "queued"
        job = service.wait(id)
        assert (job["state"], job["files_by_state"]) == ("succeeded", {"succeeded": 2})
        assert job["audio_seconds"] == pytest.approx(51, abs=0.1)
        assert service.transcript(id, 0, "txt").count("fellow Americans") > 2
        assert "Traceback" not in service.said


def test_a_deleted_job_leaves_nothing_however_busy_it_is(service: Live, tmp_path: Path, jfk: Path) -> None:
    ffmpeg("-stream_loop", "-1", "-i", jfk, "-t", "1800", "-c", "copy", tmp_path / "long.wav")
    id = service.submit({"long.wav": tmp_path / "long.wav"})
    service.wait(id, lambda job: "preparing" in job["files_by_state"])
    with service.http as http:
        began = time.monotonic()
        http.delete(f"/jobs/{id}").raise_for_status()
        assert http.get(f"/jobs/{id}").status_code == 404
        assert id not in [job["id"] for job in http.get("/jobs").json()["jobs"]]
    # Unlike pathlib, it goes on where a folder is deleted before it is looked into.
    objects = service.data / "objects"
    while [name for folder, _, names in os.walk(objects) for name in names if id in f"{folder}/{name}"]:
        assert time.monotonic() - began < 8
        time.sleep(0.02)
    assert service.wait(service.submit({"jfk.wav": jfk}))["state"] == "succeeded"
    assert "Traceback" not in service.said


def test_work_files_of_a_job_that_ended_as_the_service_was_killed_go_at_the_start(
    tmp_path: Path, models_dir: Path
) -> None:
    left = tmp_path / "data" / "objects" / "work" / "01k0000000000000000000000a" / "0"
    left.mkdir(parents=True)
    (left / "audio.s16").write_bytes(b"sound")
    with live(tmp_path / "data", models_dir):
        assert list((tmp_path / "data" / "objects" / "work").iterdir()) == []


def test_a_huge_job_is_taken_in_hand_a_few_files_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    done: list[int] = []
    ahead: list[int] = []

    class Idle:
        def run(self, _step: str, arguments: tuple[str, int]) -> None:
            ahead.append(len(taken) - len(done))
            done.append(arguments[1])

    class Crew:
        def __init__(self, _: object) -> None: ...

        @contextlib.contextmanager
        def borrow(self) -> Iterator[Idle]:
            yield Idle()

        def dismiss(self) -> None: ...

    def numbers() -> Iterator[int]:
        for n in range(20_000):
            taken.append(n)
            yield n

    monkeypatch.setattr(executor, "Crew", Crew)
    workplace = Workplace(tmp_path, tmp_path, b"secret", processes=2, threads=1)
    running = executor.Executor(workplace, SQLiteRecords(tmp_path / "records.sqlite"))
    running._map(executor.Run("job"), "prepare", numbers())
    running.close()
    assert sorted(done) == list(range(20_000))
    assert max(ahead) <= 3


def test_what_fails_at_every_attempt_fails_the_file(tmp_path: Path, models_dir: Path, jfk: Path) -> None:
    """The model is taken away under the service's feet: preparing works, recognising never does."""
    models = tmp_path / "models"
    models.mkdir()
    for file in models_dir.glob("*.*"):
        (models / file.name).symlink_to(file)
    with live(tmp_path / "data", models) as service:
        for model in models.glob("ggml-*.bin"):
            model.unlink()
        job = service.wait(service.submit({"jfk.wav": jfk}, language="en"))
        assert job["state"] == "failed"
        assert job["files"][0]["error"] == {
            "code": "untranscribed",
            "message": "Part of the sound could not be transcribed. Send the file again.",
        }
        assert service.log.read_text().count("transcribe of job") == 3
        assert not list((service.data / "objects" / "work").glob("*"))


def test_a_database_that_is_not_to_be_had_is_waited_for(service: Live, jfk: Path) -> None:
    service.wait(service.submit({"jfk.wav": jfk}))
    id = service.submit({f"{n}.wav": jfk for n in range(6)})
    service.wait(id, lambda job: job["percent"] > 0)
    with sqlite3.connect(service.data / "records.sqlite") as database:
        database.execute("BEGIN EXCLUSIVE")
        deadline = time.monotonic() + 60
        while "Trouble: OperationalError" not in service.said:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        database.rollback()
    job = service.wait(id)
    assert job["files_by_state"] == {"succeeded": 6}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of one GB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1G", "tmpfs", mount]).returncode:
        pytest.skip("mounting a disk needs root")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


def test_a_full_disk_is_waited_for(small_disk: Path, models_dir: Path, jfk: Path) -> None:
    def resize(megabytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={megabytes}M", small_disk], check=True)

    with live(small_disk / "data", models_dir) as service:
        id = service.submit({f"{n}.wav": jfk for n in range(12)}, formats=["txt"])
        service.wait(id, lambda job: job["percent"] > 0)
        resize(100)
        deadline = time.monotonic() + 60
        while "Trouble: DiskFull" not in service.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert service.job(id)["state"] == "running"
        resize(1000)
        assert service.wait(id)["files_by_state"] == {"succeeded": 12}


def test_an_upload_whose_event_was_lost_is_caught_up_at_the_start(tmp_path: Path, models_dir: Path, jfk: Path) -> None:
    """As after kill -9 between storing the last byte and taking note of it."""
    with live(tmp_path / "data", models_dir) as service, service.http as http:
        files = [{"path": "talks/jfk.wav", "size": jfk.stat().st_size}]
        id = http.post("/jobs", json={"files": files}).raise_for_status().json()["id"]
    stored = tmp_path / "data" / "objects" / "uploads" / id / "talks" / "jfk.wav"
    stored.parent.mkdir(parents=True)
    shutil.copy(jfk, stored)
    with live(tmp_path / "data", models_dir) as service:
        assert service.wait(id)["state"] == "succeeded"


def test_the_token_is_revoked_with_its_file(tmp_path: Path, models_dir: Path) -> None:
    with live(tmp_path / "data", models_dir) as service:
        before = dict(service.environment)
    (tmp_path / "data" / "token").unlink()
    with live(tmp_path / "data", models_dir) as service:
        assert service.environment["TRANSCRIBE_TOKEN"] != before["TRANSCRIBE_TOKEN"]
        with service.http as http:
            assert http.get("/jobs").status_code == 200
            http.headers["Authorization"] = f"Bearer {before['TRANSCRIBE_TOKEN']}"
            assert http.get("/jobs").status_code == 401


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (lambda data: (data / "secret").write_text("short"), "is damaged. Delete it"),
        (lambda data: _newer(data / "records.sqlite"), "newer version"),
        (lambda data: (data / "records.sqlite").mkdir(), "records.sqlite"),
    ],
    ids=["secret", "newer", "folder"],
)
def test_a_data_folder_that_cannot_be_used(tmp_path: Path, models_dir: Path, arrange: object, message: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    assert callable(arrange)
    arrange(data)
    options = ["--port", "0", "--data", str(data), "--models", str(models_dir)]
    run = subprocess.run([sys.executable, "-m", "local.cli", "serve", *options], capture_output=True, text=True)
    assert run.returncode == 1
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 999")
