"""The event handlers of the app, over the emulated AWS: uploads, drop-in folders, and what becomes of executions."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest
from chalice.test import Client

from app import app
from chalicelib import control, inbox, keys, platform
from chalicelib.aws import platform as aws_platform
from chalicelib.aws.overlooked import Overlooked
from chalicelib.jobs import FileError, FileState, Job, JobState, MediaFile
from chalicelib.service import Service
from tests.aws import MEDIA

PATH = "week 1/50%+é.mp4"
TIME = "2026-03-01T12:00:00.123Z"
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.fixture
def service(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Service:
    service = aws_platform.service(aws_environment)
    monkeypatch.setattr(platform, "_provided", [service])
    return service


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    # It puts a copy in the place of the environment; used by several threads at once, it would leave one there.
    monkeypatch.setattr(os, "environ", os.environ)
    with Client(app) as client:
        yield client


def record(key: str, size: int = 0, version: str = "0055AED6DCD90281E5") -> dict[str, Any]:
    """One record of an event notification, as S3 writes it."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": TIME,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": MEDIA, "arn": f"arn:aws:s3:::{MEDIA}"},
            "object": {
                "key": quote_plus(key),
                "size": size,
                "eTag": EMPTY,
                "sequencer": version,
            },
        },
    }


def tell(client: Client, handler: str, *records: dict[str, Any]) -> None:
    client.lambda_.invoke(handler, {"Records": list(records)})


def new_job(service: Service, *files: tuple[str, int]) -> str:
    body = {"files": [{"path": path, "size": size} for path, size in files]}
    return str(service.create_job("ann", json.dumps(body))["id"])


def job_of(service: Service, id: str) -> Job:
    job = service.records.job(id)
    assert job is not None
    return job


def started(service: Service) -> list[str]:
    workflow: Any = service.workflow
    return [found["name"] for found in workflow.client.list_executions(stateMachineArn=workflow.arn)["executions"]]


def states(service: Service, job: str) -> list[FileState]:
    return [file.state for file in service.records.files(job, 100)]


def test_the_last_file_starts_the_workflow(service: Service, client: Client) -> None:
    job = new_job(service, (PATH, 10), ("b.mp4", 20))
    tell(client, "object_created", record(keys.upload(job, "b.mp4"), 20))
    assert states(service, job) == [FileState.AWAITING_UPLOAD, FileState.UPLOADED]
    assert started(service) == []
    tell(client, "object_created", record(keys.upload(job, PATH), 10))
    assert states(service, job) == [FileState.UPLOADED, FileState.UPLOADED]
    assert started(service) == [job]
    assert job_of(service, job).state == JobState.QUEUED


def test_the_keys_of_events_are_encoded(service: Service, client: Client) -> None:
    job = new_job(service, (PATH, 10))
    event = record(keys.upload(job, PATH), 10)
    assert event["s3"]["object"]["key"] == f"uploads%2F{job}%2Fweek+1%2F50%25%2B%C3%A9.mp4"
    tell(client, "object_created", event)
    assert states(service, job) == [FileState.UPLOADED]


def test_one_event_may_tell_of_many_objects(service: Service, client: Client) -> None:
    job = new_job(service, ("a.mp4", 1), ("b.mp4", 2))
    tell(client, "object_created", record(keys.upload(job, "a.mp4"), 1), record(keys.upload(job, "b.mp4"), 2))
    assert started(service) == [job]


def test_events_may_come_twice_and_at_once(service: Service, client: Client) -> None:
    job = new_job(service, ("a.mp4", 1), ("b.mp4", 2))
    events = [record(keys.upload(job, path), size) for path, size in (("b.mp4", 2), ("a.mp4", 1))] * 4
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda event: tell(client, "object_created", event), events))
    assert started(service) == [job]
    assert job_of(service, job).counts == {FileState.AWAITING_UPLOAD: 0, FileState.UPLOADED: 2}


def test_an_event_that_comes_when_the_job_has_ended_changes_nothing(service: Service, client: Client) -> None:
    job = new_job(service, ("a.mp4", 1))
    event = record(keys.upload(job, "a.mp4"), 1)
    tell(client, "object_created", event)
    ended = service.records.change_job(job, [JobState.QUEUED], {"state": JobState.SUCCEEDED})
    tell(client, "object_created", event)
    assert service.records.job(job) == ended
    assert started(service) == [job]


@pytest.mark.parametrize(
    "key",
    [
        "uploads/",
        "uploads/x",
        "uploads/x/",
        "uploads/01k0000000000000000000000a/a.mp4",
        "uploads/{job}/A.mp4",
        "other/a",
    ],
)
def test_objects_that_nobody_asked_for_are_ignored(service: Service, client: Client, key: str) -> None:
    job = new_job(service, ("a.mp4", 1))
    before = service.records.job(job)
    tell(client, "object_created", record(key.format(job=job), 1))
    assert service.records.job(job) == before
    assert started(service) == []


def test_a_file_of_another_size_fails_and_the_others_go_on(service: Service, client: Client) -> None:
    job = new_job(service, ("a.mp4", 1), ("b.mp4", 2))
    tell(client, "object_created", record(keys.upload(job, "a.mp4"), 9), record(keys.upload(job, "b.mp4"), 2))
    assert states(service, job) == [FileState.FAILED, FileState.UPLOADED]
    assert started(service) == [job]


def put(service: Service, *names: str, size: int = 3) -> None:
    for name in names:
        service.objects.put(f"inbox/{name}", b"x" * size)


def only_job(service: Service) -> tuple[Job, list[MediaFile]]:
    (job,) = service.records.jobs(inbox.OWNER, 10)
    return job, service.records.files(job.id, 100)


def test_a_drop_in_folder_becomes_a_job(service: Service, client: Client) -> None:
    put(service, "course/week 1/a.mp4", "course/B.MOV", "course/done.txt", "course/week 1/", "course/notes.txt")
    put(service, "course/._B.MOV", "course/week 1/done.txt", "other/c.mp4")
    tell(client, "folder_done", record("inbox/course/done.txt"))
    job, files = only_job(service)
    assert [(file.path, file.output, file.size, file.key, file.state) for file in files] == [
        ("course/B.MOV", "course/B", 3, "inbox/course/B.MOV", FileState.UPLOADED),
        ("course/week 1/a.mp4", "course/week 1/a", 3, "inbox/course/week 1/a.mp4", FileState.UPLOADED),
    ]
    assert (job.state, job.owner, job.size, job.counts) == (JobState.QUEUED, "inbox", 6, {FileState.UPLOADED: 2})
    assert (job.options.model, job.options.language, job.created_at) == ("tiny.en", "auto", 1772366400.123)
    assert started(service) == [job.id]


def test_the_objects_of_a_folder_are_not_asked_for_one_by_one(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(service, "course/a.mp4", "course/b.mp4", "course/done.txt")
    monkeypatch.delattr(type(service.objects), "size")
    tell(client, "folder_done", record("inbox/course/done.txt"))
    assert [file.size for file in only_job(service)[1]] == [3, 3]


def test_one_done_is_one_job_however_often_it_is_told(service: Service, client: Client) -> None:
    put(service, "course/a.mp4", "course/done.txt")
    event = record("inbox/course/done.txt")
    tell(client, "folder_done", event, event)
    job, files = only_job(service)
    service.records.move_file(files[0], FileState.PREPARING)
    put(service, "course/b.mp4")
    tell(client, "folder_done", event)
    again, files = only_job(service)
    assert again.id == job.id
    assert [file.state for file in files] == [FileState.PREPARING]
    assert started(service) == [job.id]


def test_one_done_is_one_job_if_it_is_told_at_once(service: Service, client: Client) -> None:
    put(service, "course/a.mp4", "course/done.txt")
    event = record("inbox/course/done.txt")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: tell(client, "folder_done", event), range(8)))
    assert started(service) == [only_job(service)[0].id]


def test_a_done_that_is_told_after_its_job_was_deleted_makes_no_other(service: Service, client: Client) -> None:
    put(service, "course/a.mp4", "course/done.txt")
    event = record("inbox/course/done.txt")
    tell(client, "folder_done", event)
    job, _ = only_job(service)
    control.delete(service, inbox.OWNER, job.id)
    tell(client, "folder_done", event)
    assert service.records.job(job.id) is None
    assert started(service) == [job.id]


def test_another_done_is_another_job(service: Service, client: Client) -> None:
    put(service, "course/a.mp4", "course/done.txt")
    tell(client, "folder_done", record("inbox/course/done.txt"))
    tell(client, "folder_done", record("inbox/course/done.txt", version="0055AED6DCD90281E6"))
    assert len(service.records.jobs(inbox.OWNER, 10)) == 2


def test_a_job_that_was_added_but_not_started_is_started_by_the_next_event(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def start(self, execution: str) -> None:
            raise TimeoutError(execution)

        def stop(self, execution: str) -> None:
            raise TimeoutError(execution)

    put(service, "course/a.mp4", "course/done.txt")
    monkeypatch.setattr(platform, "_provided", [replace(service, workflow=Broken())])
    with pytest.raises(TimeoutError):
        tell(client, "folder_done", record("inbox/course/done.txt"))
    monkeypatch.setattr(platform, "_provided", [service])
    tell(client, "folder_done", record("inbox/course/done.txt"))
    assert started(service) == [only_job(service)[0].id]


@pytest.mark.parametrize(
    "key", ["inbox/done.txt", "inbox//done.txt", "inbox/course/week 1/done.txt", "uploads/x/done.txt"]
)
def test_other_dones_are_no_end_of_a_folder(service: Service, client: Client, key: str) -> None:
    put(service, "course/a.mp4", "course/week 1/a.mp4")
    tell(client, "folder_done", record(key))
    assert service.records.jobs(inbox.OWNER, 10) == []


def test_a_folder_without_media_is_no_job(service: Service, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    put(service, "course/done.txt", "course/notes.txt")
    tell(client, "folder_done", record("inbox/course/done.txt"))
    assert service.records.jobs(inbox.OWNER, 10) == []
    assert "nothing to transcribe in inbox/course/" in caplog.text


def test_a_name_that_cannot_be_on_a_disk_fails_and_the_others_go_on(service: Service, client: Client) -> None:
    put(service, "course/a.mp4", "course//b.mp4", "course/done.txt")
    tell(client, "folder_done", record("inbox/course/done.txt"))
    job, files = only_job(service)
    assert {file.path: file.error for file in files} == {
        "course/a.mp4": None,
        "course//b.mp4": FileError(
            code="bad_path",
            message="The path must not hold empty parts, '.' or '..'. Rename the file and put done.txt there again.",
        ),
    }
    assert job.counts == {FileState.FAILED: 1, FileState.UPLOADED: 1}
    assert started(service) == [job.id]


def ended(job: str, status: str) -> dict[str, Any]:
    """The event of EventBridge."""
    arn = "arn:aws:states:eu-central-1:123456789012:stateMachine:transcribe"
    return {
        "version": "0",
        "id": "315c1398-40ff-a850-213b-158f73e60175",
        "account": "123456789012",
        "time": TIME,
        "region": "eu-central-1",
        "resources": [f"{arn}:{job}"],
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"executionArn": f"{arn}:{job}", "stateMachineArn": arn, "name": job, "status": status},
    }


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("FAILED", "failed through a fault on our side. Retry the job: what is finished stays."),
        ("TIMED_OUT", "did not end in the time it may take. Retry the job: what is finished stays."),
        (
            "ABORTED",
            "was stopped by the operator of this service. Retry the job: what is finished stays.",
        ),
    ],
)
def test_a_job_whose_execution_ended_has_failed(service: Service, client: Client, status: str, error: str) -> None:
    job = new_job(service, ("a.mp4", 1))
    service.records.change_job(job, list(JobState), {"state": JobState.RUNNING})
    client.lambda_.invoke("execution_ended", ended(job, status))
    after = job_of(service, job)
    assert (after.state, after.error) == (JobState.FAILED, f"The transcription {error}")
    assert after.finished_at is not None
    client.lambda_.invoke("execution_ended", ended(job, "ABORTED"))
    assert service.records.job(job) == after


def test_what_a_job_came_to_before_stays(service: Service, client: Client) -> None:
    job = new_job(service, ("a.mp4", 1))
    told = {"state": JobState.FAILED, "error": "The model is broken."}
    before = service.records.change_job(job, list(JobState), told)
    client.lambda_.invoke("execution_ended", ended(job, "FAILED"))
    client.lambda_.invoke("execution_ended", ended("unknown", "FAILED"))
    assert service.records.job(job) == before


def test_what_the_handlers_subscribe_to() -> None:
    found: dict[str, Any] = {source.name: source for source in app.event_sources}
    uploads, folders = found["object_created"], found["folder_done"]
    assert (uploads.events, uploads.prefix, uploads.suffix) == (["s3:ObjectCreated:*"], "uploads/", None)
    assert (folders.events, folders.prefix, folders.suffix) == (["s3:ObjectCreated:*"], "inbox/", "/done.txt")
    pattern = found["execution_ended"].event_pattern
    assert pattern["source"] == ["aws.states"]
    assert pattern["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]


@pytest.fixture
def sweep(service: Service, aws_environment: dict[str, str]) -> Callable[[float], None]:
    """What the schedule does when so many seconds have passed since now."""
    began = service.clock()

    def sweep(seconds: float) -> None:
        at = replace(service, clock=lambda: began + seconds)
        Overlooked(at, aws_platform.records(aws_environment)).sweep()

    return sweep


def upload(service: Service, job: str, path: str, size: int) -> None:
    service.objects.put(keys.upload(job, path), bytes(size))


def test_events_that_were_lost_are_made_up_for(service: Service, sweep: Callable[[float], None]) -> None:
    job = new_job(service, ("a.mp4", 3), ("b.mp4", 4), (PATH, 5))
    upload(service, job, "a.mp4", 3)
    sweep(200)
    assert states(service, job) == [FileState.AWAITING_UPLOAD] * 3, "too early"
    sweep(302)
    assert states(service, job) == [FileState.UPLOADED, FileState.AWAITING_UPLOAD, FileState.AWAITING_UPLOAD]
    upload(service, job, "b.mp4", 1)
    upload(service, job, PATH, 5)
    sweep(303)
    assert started(service) == [], "looked at not long ago"
    sweep(610)
    assert states(service, job) == [FileState.UPLOADED, FileState.FAILED, FileState.UPLOADED]
    assert started(service) == [job]
    sweep(10**6)
    assert (started(service), waiting(service)) == ([job], [])


def test_a_job_that_was_queued_alone_is_started(service: Service, sweep: Callable[[float], None]) -> None:
    """As when Step Functions could not be asked at any attempt to tell the event."""
    job = new_job(service, ("a.mp4", 3))
    service.records.move_file(service.records.files(job, 1)[0], FileState.UPLOADED)
    service.records.change_job(job, list(JobState), {"state": JobState.QUEUED})
    sweep(302)
    assert started(service) == [job]


def test_a_job_that_waits_again_is_looked_at_again(service: Service, sweep: Callable[[float], None]) -> None:
    job = new_job(service, ("a.mp4", 3))
    service.records.change_job(job, list(JobState), {"state": JobState.CANCELLED})
    sweep(302)
    assert waiting(service) == []
    control.retry(service, "ann", job)
    upload(service, job, "a.mp4", 3)
    sweep(310)
    assert started(service) == [f"{job}-2"]


def test_who_never_sends_the_rest_is_given_up(service: Service, sweep: Callable[[float], None]) -> None:
    job = new_job(service, ("a.mp4", 3))
    sweep(7 * 86400 - 100)
    assert waiting(service) == [job]
    sweep(7 * 86400 + 3600)
    assert waiting(service) == []
    assert job_of(service, job).state == JobState.AWAITING_UPLOAD


def waiting(service: Service) -> list[str]:
    records: Any = service.records
    return [found.job for found in records.waiting(10**11, 100)]
