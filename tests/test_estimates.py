"""What jobs take and cost: told before, and measured."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib import estimates, prices, speeds, tokens
from chalicelib.access import NewToken
from chalicelib.aws import environment
from chalicelib.errors import Problem
from chalicelib.jobs import JobState
from chalicelib.metering import Meter
from chalicelib.settings import Capacity, Settings
from local.records import SQLiteRecords
from tests.serving import serving_site
from tests.test_records import add, job_id

HOUR = 3600
CAPACITY = Capacity(workers=8, processors=1.7, gigabytes=2.94, batch_seconds=600, start_seconds=5, gigabyte_second=2e-5)
SETTINGS = Settings(models={"base": True, "mine": True}, default_model="base", largest_file=10**12, capacity=CAPACITY)


def estimate(settings: Settings, *files: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**estimates.estimate(settings, json.dumps({"files": list(files), **more}))}


def test_an_hour_on_eight_functions() -> None:
    told = estimate(SETTINGS, {"path": "a.mp4", "size": 5, "audio_seconds": HOUR})
    busy = HOUR * (speeds.processor_seconds("base") or 0) + 12
    assert told["audio_seconds"] == HOUR
    assert told["processor_seconds"] == pytest.approx(busy, abs=0.1)
    assert told["gigabyte_seconds"] == pytest.approx(2.94 * (busy / 1.7 + 6 * 5), rel=0.01)
    assert told["dollars"] == pytest.approx(told["gigabyte_seconds"] * 2e-5, rel=0.01)
    # Six batches of ten minutes side by side, after decoding and two cold starts.
    assert told["seconds"] == pytest.approx(600 * 0.064 / 1.7 + 12 + 10, abs=0.1)
    assert told["assumptions"]["lengths_from_sizes"] == 0
    assert told["assumptions"]["speed_is_measured"] is True


def test_lengths_follow_from_sizes() -> None:
    files = [
        {"path": "a.WAV", "size": 1_764_000},
        {"path": "b.mp3", "size": 160_000},
        {"path": "c.x", "size": 1_875_000},
    ]
    told = estimate(SETTINGS, *files, {"path": "d.mp3", "size": 1, "audio_seconds": 0.5})
    assert told["audio_seconds"] == pytest.approx(30.5)
    assert told["assumptions"]["lengths_from_sizes"] == 3


def test_more_workers_are_sooner_done_and_cost_about_the_same() -> None:
    def told(workers: int) -> dict[str, Any]:
        capacity = Capacity(workers=workers, batch_seconds=30, gigabyte_second=1.0)
        settings = Settings(models={"base": True}, default_model="base", largest_file=1, capacity=capacity)
        return estimate(settings, *({"path": f"{n}.mp3", "size": 9, "audio_seconds": 600} for n in range(8)))

    one, four = told(1), told(4)
    assert one["seconds"] == pytest.approx(4 * four["seconds"], rel=0.01)
    assert one["dollars"] == four["dollars"]


@pytest.mark.parametrize(
    ("model", "seconds"),
    [("tiny.en", 1200), ("base", 1200), ("medium", 680), ("large-v3-turbo", 637), ("large-v3", 340), ("mine", 1200)],
)
def test_no_model_is_given_more_than_fits_into_a_function(model: str, seconds: int) -> None:
    """With the memory that a stack has by default, as docs/operations.md has it."""
    capacity = environment.settings({"MODELS": f"{model}:multilingual"}).capacity
    batch = speeds.batch_seconds(capacity.batch_seconds, speeds.processor_seconds(model), capacity.processors)
    assert int(batch) == seconds


def test_a_batch_that_is_smaller_takes_more_functions() -> None:
    settings = replace(SETTINGS, models={"large-v3": True}, capacity=replace(CAPACITY, batch_seconds=1200.0))
    told = estimate(settings, {"path": "a.mp3", "size": 9, "audio_seconds": 1200}, model="large-v3")
    assert told["seconds"] == pytest.approx(600 + 1200 * 12 / 3600 + 10, abs=0.1)


def test_a_model_of_ones_own_has_no_figures() -> None:
    told = estimate(SETTINGS, {"path": "a.mp3", "size": 16_000}, model="mine")
    assert (told["audio_seconds"], told["seconds"], told["dollars"]) == (1.0, None, None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "files must be given"),
        ({"files": []}, "files must hold at least 1"),
        ({"files": [{"path": "a", "size": -1}]}, r"files\[0\].size must be 0 or more"),
        ({"files": [{"path": "a", "size": 10**400}]}, r"files\[0\].size must be"),
        ({"files": [{"path": "a", "size": 1, "audio_seconds": 1e9}]}, r"files\[0\].audio_seconds"),
        ({"files": [{"path": "a", "size": 1}], "model": "huge"}, "model must be one of those installed: base, mine"),
    ],
)
def test_what_cannot_be_estimated(body: Any, said: str) -> None:
    with pytest.raises(Problem, match=said):
        estimates.estimate(SETTINGS, json.dumps(body))


def test_over_http(tmp_path: Path) -> None:
    with serving_site(tmp_path) as served:
        told = served.ann.post("/jobs/estimate", json={"files": [{"path": "a.mp3", "size": 16_000 * 60}]})
    assert told.status_code == 200, told.text
    assert (told.json()["audio_seconds"], told.json()["dollars"]) == (60.0, 0)


def test_capacity_on_aws_is_what_the_stack_says() -> None:
    told = {"TRANSCRIBE_MEMORY": "1769", "MAX_CONCURRENCY": "50", "BATCH_SECONDS": "300", "ARCHITECTURE": "arm64"}
    capacity = environment.settings({"MODELS": "base:multilingual", **told}).capacity
    assert (capacity.workers, capacity.processors, capacity.batch_seconds) == (50, 1.0, 300.0)
    assert capacity.gigabyte_second == prices.GIGABYTE_SECOND["arm64"]


def test_work_is_metered_in_the_job_and_the_month(tmp_path: Path) -> None:
    """With the programs that it runs."""
    records = SQLiteRecords(tmp_path / "records.sqlite")
    token = tokens.create(records, NewToken(owner="ann"), time.time()).token
    job = add(records)
    records.change_job(job.id, list(JobState), {"token": token.id})
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    began, meter, begun = time.monotonic(), Meter(), time.monotonic()
    subprocess.run([sys.executable, "-c", burn], check=True)
    least = time.monotonic() - begun
    meter.count(records, job.id, 2.0, 0.5, 0.25)
    took = time.monotonic() - began
    metered = records.job(job.id)
    assert metered is not None
    assert 2 * least <= metered.gigabyte_seconds <= 2 * took, "storing it may take long on a busy disk"
    assert 0.2 <= metered.processor_seconds <= took + 0.1
    assert metered.dollars == pytest.approx(metered.gigabyte_seconds / 2 + 0.25)
    (listed,) = tokens.every(records, time.time())["tokens"]
    assert listed["used_this_month"]["dollars"] == pytest.approx(metered.dollars, abs=1e-6)
    Meter().count(records, job_id(9), 1.0)  # a job that is gone
