"""Steps of a job that was cancelled, deleted or has ended: they end quietly and store nothing."""

from pathlib import Path

import pytest

from chalicelib import keys
from chalicelib.jobs import FileState, Job, JobState, MediaFile, Options
from chalicelib.transcript import Batch, BatchChunk
from local.worker import Workplace

ENDS = [*(state for state in JobState if state.final), None]


@pytest.mark.parametrize("state", ENDS)
def test_late_steps_do_no_harm(tmp_path: Path, models_dir: Path, jfk: Path, state: JobState | None) -> None:
    steps = Workplace(tmp_path, models_dir, b"secret", 1, 1).steps()
    states = [FileState.UPLOADED, FileState.PREPARING, FileState.TRANSCRIBING]
    files = [
        MediaFile(job="j", n=n, path=f"{n}.wav", output=f"{n}", size=1, state=state) for n, state in enumerate(states)
    ]
    job = Job(
        id="j",
        owner="o",
        state=JobState.RUNNING,
        options=Options(model="tiny.en"),
        created_at=0,
        size=3,
        counts=dict.fromkeys(states, 1),
    )
    steps.records.add_job(job, files)
    for file in files:
        steps.objects.put(file.key, jfk.read_bytes())
    if state is None:
        steps.records.hide_job(job, 0, 0)
    else:
        steps.records.change_job("j", [JobState.RUNNING], {"state": state})
    before = steps.records.job("j"), steps.records.files("j", 10)

    assert steps.plan("j") == []
    for file in files:
        steps.prepare("j", file.n)
        steps.merge("j", file.n)
        steps.fail_file("j", file.n, "unprepared", "It could not be read.")
    assert steps.batch("j") == []
    assert steps.transcribe("j", Batch(index=0, chunks=[BatchChunk(file=2, index=0, seconds=5)])) == 0
    steps.finish("j")
    steps.fail_job("j", "It failed.")
    assert (steps.records.job("j"), steps.records.files("j", 10)) == before
    assert list(steps.objects.keys(keys.work("j"))) == []
    assert list(steps.objects.keys("transcripts/j/")) == []


def test_the_end_of_one_attempt_is_not_that_of_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a job that is cancelled and retried while what its workflow needed is deleted."""
    steps = Workplace(tmp_path, tmp_path, b"secret", 1, 1).steps()
    job = Job(id="j", owner="o", state=JobState.RUNNING, options=Options(), created_at=0, size=1, counts={})
    steps.records.add_job(job, [])

    def meanwhile(*_: object) -> None:
        steps.records.change_job("j", [JobState.RUNNING], {"attempt": 2})

    monkeypatch.setattr(type(steps.objects), "delete", meanwhile)
    steps.finish("j")
    recorded = steps.records.job("j")
    assert recorded is not None
    assert recorded.state == JobState.RUNNING


def test_decoding_stops_when_the_job_is_cancelled(
    tmp_path: Path, models_dir: Path, jfk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("container.hearing.ASK_SECONDS", 0.0)
    steps = Workplace(tmp_path, models_dir, b"secret", 1, 1).steps()
    file = MediaFile(job="j", n=0, path="a.wav", output="a", size=1, state=FileState.UPLOADED)
    counts = {FileState.UPLOADED: 1}
    job = Job(id="j", owner="o", state=JobState.RUNNING, options=Options(), created_at=0, size=1, counts=counts)
    steps.records.add_job(job, [file])
    steps.objects.put(file.key, jfk.read_bytes())
    source = type(steps.objects).source

    def cancelled(objects: object, key: str) -> str:
        steps.records.change_job("j", [JobState.RUNNING], {"state": JobState.CANCELLED})
        return source(objects, key)  # type: ignore[arg-type]

    monkeypatch.setattr(type(steps.objects), "source", cancelled)
    steps.prepare("j", 0)
    assert list(steps.objects.keys(keys.work("j"))) == []
