"""What DynamoRecords does besides the contract of `test_records`."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib import tokens
from chalicelib.access import NewToken
from chalicelib.aws import platform, table
from chalicelib.aws.records import DynamoRecords
from chalicelib.jobs import FileState, Job, JobState, MediaFile
from chalicelib.ports import JobExists
from tests.aws import TABLE
from tests.test_records import add, job_id, media_files, new_job

Item = dict[str, Any]


@pytest.fixture
def records(aws_environment: dict[str, str]) -> DynamoRecords:
    return platform.records(aws_environment)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LONGEST_PAUSE", 0.001)


def items() -> list[Item]:
    found: list[Item] = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    return found


def asked(records: DynamoRecords) -> list[str]:
    """The names of the requests made from here on."""
    names: list[str] = []
    records.client.meta.events.register("before-call.dynamodb", lambda model, **_: names.append(model.name))
    return names


def refuse(records: DynamoRecords, operation: str, times: int, code: str, *reasons: str) -> None:
    """Lets the next `times` requests of one kind fail as DynamoDB would."""
    left = iter(range(times))
    error = {
        "Error": {"Code": code, "Message": "refused by the test"},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }

    def fail(**_: Any) -> None:
        if next(left, None) is not None:
            raise ClientError(error, operation)  # type: ignore[arg-type, unused-ignore]

    records.client.meta.events.register(f"before-call.dynamodb.{operation}", fail)


def test_the_keys_and_attributes_of_the_items(aws_environment: dict[str, str]) -> None:
    records = platform.records({**aws_environment, "RETENTION_DAYS": "2"})
    job = add(records)
    tokens.create(records, NewToken(owner="ann", days=1), now=100.5)
    by_key = {(item["pk"]["S"], item["sk"]["S"]): item for item in items()}
    (token,) = (key for key in by_key if key[0] == "tokens")
    waiting = ("waiting", f"000000001535#{job.id}")
    assert set(by_key) == {
        (f"job#{job.id}", "job"),
        (f"job#{job.id}", "file#00000000"),
        ("owner#ann", job.id),
        waiting,
        token,
    }
    assert by_key[waiting]["since"] == {"N": "1234.5678"}
    assert by_key[f"job#{job.id}", "file#00000000"]["path"] == {"S": "week1/0.mp4"}
    assert by_key[f"job#{job.id}", "job"]["created_at"] == {"N": "1234.5678"}
    assert by_key[f"job#{job.id}", "job"]["counts"] == {"M": {"awaiting_upload": {"N": "1"}}}
    # 1234.5678 s and two days, rounded up.
    of_the_job = [item for key, item in by_key.items() if key not in (token, waiting)]
    assert {item["expires"]["N"] for item in of_the_job} == {"174035"}
    assert by_key[token]["expires"] == {"N": "86501"}


def test_without_retention_nothing_of_a_job_expires(records: DynamoRecords) -> None:
    add(records)
    assert all("expires" not in item for item in items())


@pytest.mark.parametrize("seconds", [0.1, 1 / 3, 1763821234.123456, 1e-7, 5e15])
def test_numbers_come_back_exactly(records: DynamoRecords, seconds: float) -> None:
    job = add(records)
    records.change_job(job.id, [JobState.AWAITING_UPLOAD], {"started_at": seconds})
    records.move_file(media_files(job.id, 1)[0], FileState.UPLOADED, {"audio_seconds": seconds})
    changed, file = records.job(job.id), records.file(job.id, 0)
    assert changed is not None
    assert file is not None
    assert (changed.started_at, changed.audio_seconds, file.audio_seconds) == (seconds, seconds, seconds)
    assert isinstance(file.audio_seconds, float)


def test_sums_do_not_gather_the_errors_of_floats(records: DynamoRecords) -> None:
    job = add(records)
    for _ in range(10):
        records.add_speech_done(job.id, 0, 0.1)
    after = records.job(job.id)
    assert after is not None
    assert after.speech_seconds_done == 1.0  # as floats: 0.9999999999999999


def test_how_many_requests_a_job_of_many_files_takes(records: DynamoRecords) -> None:
    names = asked(records)
    job = add(records, count=250)
    assert names == ["TransactWriteItems"] * 4  # 99 files each, and the job with its owner
    names.clear()
    assert records.job(job.id) == job
    assert names == ["GetItem"]
    names.clear()
    assert records.files(job.id, 1001) == media_files(job.id, 250)
    assert names == ["Query"]
    names.clear()
    assert records.file_by_path(job.id, "week1/249.mp4") == media_files(job.id, 250)[249]
    assert names == ["Query", "GetItem"]


def test_a_job_half_added_is_not_seen_and_can_be_added_again(records: DynamoRecords) -> None:
    job, files = new_job(job_id(0), 150), media_files(job_id(0), 150)

    def broken() -> Any:
        yield from files[:120]
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        records.add_job(job, broken())
    assert len(items()) == 99
    assert records.job(job.id) is None
    assert records.jobs("ann", 10) == []
    records.add_job(job, files)
    assert records.job(job.id) == job
    assert records.files(job.id, 1000) == files


def test_a_job_is_added_once(records: DynamoRecords) -> None:
    job = add(records, count=2)
    assert records.move_file(media_files(job.id, 2)[0], FileState.UPLOADED)
    moved = records.job(job.id)
    with pytest.raises(JobExists, match=job.id):
        records.add_job(job, media_files(job.id, 2))
    with pytest.raises(JobExists):
        records.add_job(job, [])
    assert records.job(job.id) == moved
    assert [file.state for file in records.files(job.id, 2)] == [FileState.UPLOADED, FileState.AWAITING_UPLOAD]


def test_one_of_many_adds_a_job(records: DynamoRecords) -> None:
    together = threading.Barrier(8)

    def try_to_add(n: int) -> int | None:
        job = new_job(job_id(0), 3, owner=f"owner {n}")
        together.wait()
        try:
            records.add_job(job, media_files(job.id, 3))
        except JobExists:
            return None
        return n

    with ThreadPoolExecutor(8) as threads:
        winners = [n for n in threads.map(try_to_add, range(8)) if n is not None]
    assert len(winners) == 1
    job = records.job(job_id(0))
    assert job is not None
    assert job.owner == f"owner {winners[0]}"
    assert [[job.id for job in records.jobs(f"owner {n}", 9)] for n in range(8) if n not in winners] == [[]] * 7


def test_many_jobs_of_an_owner(records: DynamoRecords) -> None:
    for n in range(105):
        add(records, n)
    names = asked(records)
    assert [job.id for job in records.jobs("ann", 101)] == [job_id(n) for n in range(104, 3, -1)]
    assert names == ["Query", "BatchGetItem", "BatchGetItem"]


def test_jobs_that_have_expired_do_not_shorten_the_page(records: DynamoRecords) -> None:
    for n in range(6):
        add(records, n)
    for n in (5, 4, 2):
        records.client.delete_item(TableName=TABLE, Key={"pk": {"S": f"job#{job_id(n)}"}, "sk": {"S": "job"}})
    assert [job.id for job in records.jobs("ann", 3)] == [job_id(n) for n in (3, 1, 0)]
    assert [job.id for job in records.jobs("ann", 2)] == [job_id(n) for n in (3, 1)]


@pytest.mark.usefixtures("quick")
def test_keys_left_out_of_a_batch_are_asked_for_again(records: DynamoRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        add(records, n)
    answer = records.client.batch_get_item

    def first_only(RequestItems: Item) -> Item:
        keys = RequestItems[TABLE]["Keys"]
        result: Item = answer(RequestItems={TABLE: {**RequestItems[TABLE], "Keys": keys[:1]}})
        return {**result, "UnprocessedKeys": {TABLE: {"Keys": keys[1:]}} if keys[1:] else {}}

    monkeypatch.setattr(records.client, "batch_get_item", first_only)
    assert [job.id for job in records.jobs("ann", 3)] == [job_id(n) for n in (2, 1, 0)]


Change = Callable[[DynamoRecords, Job], object]

CHANGES: list[tuple[str, Change]] = [
    (
        "TransactWriteItems",
        lambda records, job: records.move_file(media_files(job.id, 1)[0], FileState.UPLOADED),
    ),
    (
        "UpdateItem",
        lambda records, job: records.change_job(job.id, [JobState.AWAITING_UPLOAD], {"state": JobState.QUEUED}),
    ),
]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("operation", "change", "code", "reasons"),
    [
        (*CHANGES[0], "TransactionCanceledException", ["None", "TransactionConflict"]),
        (*CHANGES[0], "TransactionCanceledException", ["ThrottlingError", "None"]),
        (*CHANGES[0], "TransactionCanceledException", ["ProvisionedThroughputExceeded", "None"]),
        (*CHANGES[1], "TransactionConflictException", []),
    ],
)
def test_a_change_that_meets_another_is_made_in_the_end(
    records: DynamoRecords, operation: str, change: Change, code: str, reasons: list[str]
) -> None:
    job = add(records)
    refuse(records, operation, 5, code, *reasons)
    names = asked(records)
    assert change(records, job)
    assert records.job(job.id) != job
    # "before-call" of the refusals ran first, so only the sixth attempt was counted.
    assert names.count(operation) == 1


@pytest.mark.usefixtures("quick")
def test_patience_ends(records: DynamoRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PATIENCE_SECONDS", 0.02)
    job = add(records)
    refuse(records, "TransactWriteItems", sys.maxsize, "TransactionCanceledException", "None", "TransactionConflict")
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        records.move_file(media_files(job.id, 1)[0], FileState.UPLOADED)
    assert records.job(job.id) == job


def test_what_is_no_contention_is_raised_at_once(records: DynamoRecords) -> None:
    job = add(records)
    refuse(records, "TransactWriteItems", 1, "TransactionCanceledException", "ValidationError", "None")
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        records.move_file(media_files(job.id, 1)[0], FileState.UPLOADED)


def test_progress_between_reading_and_moving_is_not_lost(records: DynamoRecords) -> None:
    job = add(records)
    file = media_files(job.id, 1)[0]
    late = iter([2.5, 1.25])

    def progress(**_: Any) -> None:
        seconds = next(late, None)
        if seconds is not None:
            platform.records({"TABLE": TABLE}).add_speech_done(job.id, 0, seconds)

    records.client.meta.events.register("before-call.dynamodb.TransactWriteItems", progress)
    assert records.move_file(file, FileState.SUCCEEDED, {"speech_seconds_done": 10})
    moved = records.job(job.id)
    assert moved is not None
    assert moved.speech_seconds_done == 10
    after = records.file(job.id, 0)
    assert after is not None
    assert after.speech_seconds_done == 10


def test_a_file_that_was_just_read_is_moved_at_once(records: DynamoRecords) -> None:
    """Also after the progress of many chunks, whose sum must be the same after a float has held it."""
    job = add(records)
    for seconds in (14.912, 27.008, 3.04, 29.999):
        records.add_speech_done(job.id, 0, seconds)
    file = records.file(job.id, 0)
    assert file is not None
    names = asked(records)
    assert records.move_file(file, FileState.SUCCEEDED, {"speech_seconds_done": 74.96})
    assert names == ["TransactWriteItems"]


def test_a_file_whose_job_is_gone_is_not_moved(records: DynamoRecords) -> None:
    job = add(records)
    records.client.delete_item(TableName=TABLE, Key={"pk": {"S": f"job#{job.id}"}, "sk": {"S": "job"}})
    left = media_files(job.id, 1)[0]
    assert not records.move_file(left, FileState.UPLOADED)
    assert records.file(job.id, 0) == left
    assert records.job(job.id) is None


@pytest.mark.parametrize("text", ["x" * 10_000, "é" * 1500, "\ud800", ""])
def test_keys_that_cannot_be_are_not_there(records: DynamoRecords, text: str) -> None:
    assert records.token(text) is None
    assert records.job(text) is None
    assert records.file_by_path(text, "a.mp4") is None
    assert records.jobs(text, 1) == []


def test_any_number_of_a_file_may_be_asked_for(records: DynamoRecords) -> None:
    job = add(records, count=2)
    assert records.file(job.id, 10**9 - 1) is None
    assert records.files(job.id, 10, after=10**9 - 1) == []
    assert [file.n for file in records.files(job.id, 10, after=0)] == [1]


def test_fields_of_media_files_all_come_back(records: DynamoRecords) -> None:
    job = new_job(job_id(0))
    file = MediaFile(job=job.id, n=0, path="a/é.mp4", output="a/é", size=5 * 2**40, stored_as="inbox/a/é.mp4")
    records.add_job(job, [file])
    assert records.file(job.id, 0) == file
    assert records.file_by_path(job.id, "a/é.mp4") == file
