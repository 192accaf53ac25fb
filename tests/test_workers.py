"""Who gets a worker, and what becomes of a step whose worker cannot be had: real processes over an empty folder."""

import multiprocessing.process
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from chalicelib.jobs import Options
from local.worker import Workplace
from local.workers import Crew, Trouble, WorkerLost
from tests.media_files import ffmpeg
from tests.serving import eventually
from tests.stepped import begun


@pytest.fixture
def crew(tmp_path: Path, models_dir: Path) -> Iterator[Crew]:
    (tmp_path / "objects").mkdir()
    crew = Crew(Workplace(tmp_path, models_dir, b"secret", processes=1, threads=1))
    yield crew
    crew.dismiss()


def test_who_waits_is_served_before_who_comes_back(crew: Crew) -> None:
    order = []

    def ask() -> None:
        with crew.borrow():
            order.append("waited")

    waiting = threading.Thread(target=ask)
    with crew.borrow():
        waiting.start()
        time.sleep(0.2)
    with crew.borrow():
        order.append("came back")
    waiting.join()
    assert order == ["waited", "came back"]


def test_a_worker_that_cannot_be_started_is_trouble_and_is_started_later(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_processes(_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    (server,) = (child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline()))
    (process,) = server.children()
    process.kill()
    process.wait(10)
    with crew.borrow() as worker:
        with monkeypatch.context() as patched:
            patched.setattr(multiprocessing.process.BaseProcess, "start", no_processes)
            with pytest.raises(Trouble, match="no worker could be started"):
                worker.run("plan", ("no such job",))
        assert worker.run("plan", ("no such job",)) == []


def test_a_worker_that_is_interrupted_leaves_nothing_half_written(crew: Crew, tmp_path: Path, models_dir: Path) -> None:
    long, drafts = tmp_path / "long.flac", tmp_path / "objects" / "tmp"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=r=16000:d=3600", long)
    begun(long, tmp_path, models_dir, Options(model="tiny.en"))
    others = drafts / "1-of-another-process"
    others.touch()
    with crew.borrow() as worker, ThreadPoolExecutor(1) as beside:
        step = beside.submit(worker.run, "prepare", ("j", 0))
        assert eventually(lambda: sum(draft.stat().st_size for draft in drafts.iterdir()) > 0)
        worker.interrupt()
        with pytest.raises(WorkerLost):
            step.result()
        assert list(drafts.iterdir()) == [others]
        assert worker.run("plan", ("no such job",)) == []
