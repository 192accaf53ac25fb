"""What every adapter of the Records port keeps to, and SQLite's own besides (DynamoDB's: `test_aws_records`)."""

import functools
import multiprocessing
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.access import Limits, Scope, Token
from chalicelib.aws import platform
from chalicelib.jobs import FileError, FileState, Job, JobState, MediaFile, Options
from chalicelib.ports import Deletion, JobExists, Records
from local.database import PATIENCE
from local.records import SQLiteRecords
from local.schema import MIGRATIONS, NewerRecords
from tests.conftest import Figure

Open = Callable[[], Records]


def sqlite(folder: Path) -> Open:
    return functools.partial(SQLiteRecords, folder / "records.sqlite")


@pytest.fixture(params=["sqlite", "dynamodb"])
def open_records(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one and the same store each time; SQLite's also in another process."""
    if request.param == "sqlite":
        return sqlite(tmp_path)
    return functools.partial(platform.records, request.getfixturevalue("aws_environment"))


@pytest.fixture
def records(open_records: Open) -> Records:
    return open_records()


def job_id(n: int) -> str:
    return f"01k{n:023d}"


def media_files(job: str, count: int) -> list[MediaFile]:
    return [MediaFile(job=job, n=n, path=f"week1/{n}.mp4", output=f"week1/{n}", size=n) for n in range(count)]


def new_job(id: str, count: int = 1, owner: str = "ann", state: JobState = JobState.AWAITING_UPLOAD) -> Job:
    return Job(
        id=id,
        owner=owner,
        state=state,
        options=Options(language="en", model="tiny.en", prompt="Ünï ☃"),
        created_at=1234.5678,
        size=sum(range(count)),
        counts={FileState.AWAITING_UPLOAD: count},
    )


def add(records: Records, n: int = 0, count: int = 1, owner: str = "ann") -> Job:
    job = new_job(job_id(n), count, owner)
    records.add_job(job, media_files(job.id, count))
    return job


def counted(records: Records, job: str) -> dict[FileState, int]:
    return dict(Counter(file.state for file in records.files(job, 10**6)))


def test_whoever_has_jobs_is_known(records: Records) -> None:
    assert records.owners() == []
    for n, owner in enumerate(["bob", "ann", "ann", "owner#é"]):
        add(records, n, owner=owner)
    records.hide_job(add(records, 4, owner="eve"), 0, 0)
    assert records.owners() == ["ann", "bob", "owner#é"]


def test_jobs_and_files_come_back_as_they_were(records: Records) -> None:
    job = add(records, count=3)
    assert records.job(job.id) == job
    assert records.files(job.id, 10) == media_files(job.id, 3)
    assert records.file(job.id, 2) == media_files(job.id, 3)[2]
    assert records.file_by_path(job.id, "week1/1.mp4") == media_files(job.id, 3)[1]


def test_what_is_not_there_is_none(records: Records) -> None:
    job = add(records)
    assert records.job(job_id(9)) is None
    assert records.file(job.id, 1) is None
    assert records.file(job_id(9), 0) is None
    assert records.file_by_path(job.id, "week1/0.MP4") is None
    assert records.files(job_id(9), 10) == []
    assert records.jobs("nobody", 10) == []
    assert records.token("none") is None
    assert records.change_job(job_id(9), list(JobState), {"state": JobState.QUEUED}) is None


def test_an_owner_sees_own_jobs_newest_first(records: Records) -> None:
    for n in (3, 1, 4, 0, 2):
        add(records, n, owner="ann" if n != 2 else "bob")
    assert [job.id for job in records.jobs("ann", 10)] == [job_id(n) for n in (4, 3, 1, 0)]
    assert [job.id for job in records.jobs("ann", 2)] == [job_id(4), job_id(3)]
    assert [job.id for job in records.jobs("ann", 2, before=job_id(3))] == [job_id(1), job_id(0)]
    assert [job.id for job in records.jobs("ann", 2, before=job_id(2))] == [job_id(1), job_id(0)]
    assert records.jobs("ann", 2, before=job_id(0)) == []
    assert [job.id for job in records.jobs("bob", 10)] == [job_id(2)]


def test_files_are_paged_by_number(records: Records) -> None:
    job = add(records, count=25)
    pages = [records.files(job.id, 10, after) for after in (-1, 9, 19, 24)]
    assert [[file.n for file in page] for page in pages] == [
        list(range(10)),
        list(range(10, 20)),
        list(range(20, 25)),
        [],
    ]


def test_a_job_changes_only_in_the_states_named(records: Records) -> None:
    job = add(records)
    running = {"state": JobState.RUNNING, "started_at": 99.5}
    assert records.change_job(job.id, [JobState.QUEUED], running) is None
    assert records.job(job.id) == job
    changed = records.change_job(job.id, [JobState.QUEUED, JobState.AWAITING_UPLOAD], running)
    assert changed == job.model_copy(update=running)
    assert records.job(job.id) == changed


def test_one_of_many_changes_a_job(open_records: Open) -> None:
    job = add(open_records())

    def change(_: int) -> Job | None:
        return open_records().change_job(job.id, [JobState.AWAITING_UPLOAD], {"state": JobState.QUEUED})

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(change, range(8)))
    assert sum(outcome is not None for outcome in outcomes) == 1


def test_a_moved_file_changes_the_job(records: Records) -> None:
    job = add(records, count=3)
    file = media_files(job.id, 3)[1]
    found = {"audio_seconds": 60.5, "speech_seconds": 40.25, "language": "en", "warnings": ["no title"]}
    assert records.move_file(file, FileState.TRANSCRIBING, found)
    moved = records.job(job.id)
    assert moved is not None
    assert (moved.count(FileState.AWAITING_UPLOAD), moved.count(FileState.TRANSCRIBING), moved.files) == (2, 1, 3)
    assert (moved.audio_seconds, moved.speech_seconds, moved.speech_seconds_done) == (60.5, 40.25, 0)
    expected = file.model_copy(update={**found, "state": FileState.TRANSCRIBING})
    assert records.file(job.id, 1) == expected

    records.add_speech_done(job.id, 1, 10.25)
    records.add_speech_done(job.id, 1, 20)
    sums = records.job(job.id)
    assert sums is not None
    assert sums.speech_seconds_done == 30.25
    done = records.file(job.id, 1)
    assert done == expected.model_copy(update={"speech_seconds_done": 30.25})

    # The file as it was before the progress: its state decides, the recorded sums are what changes.
    error = FileError(code="unreadable", message="It is not audio.")
    assert records.move_file(expected, FileState.FAILED, {"error": error, "speech_seconds_done": 40.25})
    failed = records.job(job.id)
    assert failed is not None
    assert failed.speech_seconds_done == 40.25
    assert failed.counts[FileState.FAILED] == 1
    file_failed = records.file(job.id, 1)
    assert file_failed is not None
    assert file_failed.error == error
    assert counted(records, job.id) == {FileState.AWAITING_UPLOAD: 2, FileState.FAILED: 1}


def test_a_file_no_longer_in_its_state_stays(records: Records) -> None:
    job = add(records, count=2)
    file = media_files(job.id, 2)[0]
    assert records.move_file(file, FileState.UPLOADED)
    once = records.job(job.id)
    assert not records.move_file(file, FileState.FAILED, {"language": "de"})
    assert records.job(job.id) == once
    assert records.file(job.id, 0) == file.model_copy(update={"state": FileState.UPLOADED})
    missing = file.model_copy(update={"n": 7})
    assert not records.move_file(missing, FileState.UPLOADED)


def test_an_upload_is_recorded_unless_another_was(records: Records) -> None:
    add(records)
    file = records.file(job_id(0), 0)
    assert file is not None
    begun = records.set_multipart(file, "one")
    assert begun == file.model_copy(update={"multipart": "one"})
    assert records.set_multipart(file, "two") is None
    assert records.file(file.job, 0) == begun
    ended = records.set_multipart(begun, None)
    assert ended == file
    assert records.set_multipart(ended, "three") is not None
    records.move_file(file, FileState.UPLOADED)
    assert records.set_multipart(file.model_copy(update={"multipart": "three"}), "four") is None
    assert records.set_multipart(file.model_copy(update={"n": 7}), "five") is None
    assert counted(records, file.job) == {FileState.UPLOADED: 1}


def test_progress_of_what_is_not_there_is_nothing(records: Records) -> None:
    job = add(records)
    records.add_speech_done(job.id, 7, 1.0)
    records.add_speech_done(job_id(9), 0, 1.0)
    assert records.job(job.id) == job


def test_fields_that_do_not_exist_are_refused(records: Records) -> None:
    job = add(records)
    with pytest.raises(ValueError, match="Job has no field colour"):
        records.change_job(job.id, list(JobState), {"colour": "red"})
    with pytest.raises(ValueError, match="MediaFile has no field colour"):
        records.move_file(media_files(job.id, 1)[0], FileState.UPLOADED, {"colour": "red"})
    assert records.job(job.id) == job
    assert records.files(job.id, 10) == media_files(job.id, 1)


def test_tokens(records: Records) -> None:
    forever = Token(id="a", owner="ann", secret_sha256="0" * 64, created_at=1.5)
    brief = Token(id="b", owner="bob", secret_sha256="1" * 64, created_at=1.5, expires_at=2.5)
    records.add_token(forever)
    records.add_token(brief)
    assert (records.token("a"), records.token("b")) == (forever, brief)
    assert sorted(records.tokens(), key=lambda token: token.id) == [forever, brief]
    records.use_token("a", 7.5)
    records.use_token("c", 7.5)
    assert records.token("a") == forever.model_copy(update={"last_used_at": 7.5})
    assert records.token("c") is None
    assert (records.remove_token("a"), records.remove_token("a"), records.remove_token("x" * 3000)) == (
        (True, False, False)
    )
    assert records.tokens() == [brief]


def test_a_token_is_kept_with_all_its_settings(records: Records) -> None:
    limits = Limits(requests_per_minute=7, audio_hours_per_month=1.5, largest_file=5 * 10**12)
    token = Token(
        id="a",
        owner="Ünï",
        secret_sha256="0" * 64,
        created_at=1.5,
        name="n",
        scopes=[Scope.READ, Scope.ADMIN],
        limits=limits,
        webhook="https://example.com/",
        webhook_secret="whsec_AAAA",  # noqa: S106
    )
    records.add_token(token)
    assert records.token("a") == token


def test_use_is_added_to_a_job_in_any_state(records: Records) -> None:
    job = add(records)
    records.add_use(job.id, {"gigabyte_seconds": 1.5, "dollars": 1e-7})
    records.change_job(job.id, list(JobState), {"state": JobState.FAILED})
    used = records.add_use(job.id, {"gigabyte_seconds": 2, "processor_seconds": 0.25})
    assert used == records.job(job.id)
    assert used is not None
    assert (used.gigabyte_seconds, used.processor_seconds, used.dollars) == (3.5, 0.25, 1e-7)
    assert records.add_use(job_id(9), {"dollars": 1}) is None


def test_counters_add_up_however_many_count(open_records: Open) -> None:
    records = open_records()
    assert records.counted("k") == {}
    assert records.count("k", {"a": 1, "b": 0.1}, 1e10, 0) == {"a": 1, "b": 0.1}
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: open_records().count("k", {"a": 2}, 1e10, 0), range(8)))
    assert records.count("k", {"b": 0.2}, 1e10, 0)["b"] == pytest.approx(0.3)
    assert records.counted("k") == {"a": 17, "b": pytest.approx(0.3)}
    assert records.counted("other") == {}


def test_files_of_some_states_are_paged_by_number(records: Records) -> None:
    job = add(records, count=12)
    add(records, 1, count=3)
    for file in media_files(job.id, 12):
        if file.n % 2:
            records.move_file(file, FileState.FAILED if file.n % 3 else FileState.SUCCEEDED)
    failed = records.files(job.id, 10, states=[FileState.FAILED])
    assert [(file.n, file.state) for file in failed] == [(n, FileState.FAILED) for n in (1, 5, 7, 11)]
    assert [file.n for file in records.files(job.id, 2, 1, [FileState.FAILED])] == [5, 7]
    ended = [FileState.SUCCEEDED, FileState.FAILED]
    assert [file.n for file in records.files(job.id, 4, 1, ended)] == [3, 5, 7, 9]
    assert records.files(job.id, 4, states=[FileState.PREPARING]) == []
    assert records.files(job.id, 4, states=[]) == []


def test_many_files_are_moved_at_once(records: Records) -> None:
    job = add(records, count=205)
    files = media_files(job.id, 205)
    records.move_file(files[0], FileState.UPLOADED, {"audio_seconds": 5})
    records.move_file(files[150], FileState.FAILED, {"audio_seconds": 2.5, "error": FileError(code="x", message="y")})
    found = records.file(job.id, 150)
    assert found is not None
    # The first is no longer what it is thought to be.
    some = [*files[:150], found, *files[151:201]]
    records.move_files(some, FileState.UPLOADED, {"audio_seconds": 0.25, "error": None})
    assert counted(records, job.id) == {FileState.UPLOADED: 201, FileState.AWAITING_UPLOAD: 4}
    after = records.job(job.id)
    assert after is not None
    assert {state: count for state, count in after.counts.items() if count} == counted(records, job.id)
    assert after.audio_seconds == 200 * 0.25 + 5
    moved = records.file(job.id, 150)
    assert moved is not None
    assert moved.error is None
    records.move_files([], FileState.FAILED)


def test_a_hidden_job_is_gone_and_its_id_is_taken(records: Records) -> None:
    job = add(records, count=3)
    other = add(records, 1)
    deletion = records.hide_job(job, 1000, 2000)
    assert deletion == Deletion(job.id, 1000, 2000)
    assert records.hide_job(job, 1000, 2000) is None
    assert records.job(job.id) is None
    assert [found.id for found in records.jobs("ann", 10)] == [other.id]
    assert records.change_job(job.id, list(JobState), {"state": JobState.QUEUED}) is None
    file = media_files(job.id, 3)[0]
    assert not records.move_file(file, FileState.UPLOADED)
    records.move_files([file], FileState.UPLOADED)
    records.add_speech_done(job.id, 0, 1.5)
    assert records.job(job.id) is None
    with pytest.raises(JobExists):
        records.add_job(job, media_files(job.id, 3))

    records.delete_files(job.id)
    assert records.files(job.id, 10) == []
    records.forget(deletion)
    assert records.deletions(10**10, 10) == []
    assert records.files(other.id, 10) == media_files(other.id, 1)
    records.add_job(job, media_files(job.id, 3))
    assert records.job(job.id) == job


def test_a_deletion_may_be_postponed_to_when_it_is_due(records: Records) -> None:
    first = records.hide_job(add(records), 100, 1000)
    assert first is not None
    again = records.postpone(first, 100)
    assert again in (first, replace(first, due=101))
    assert records.deletions(101, 10) == [again]


def test_deletions_come_when_they_are_due(records: Records) -> None:
    kept = new_job(job_id(0)).model_copy(update={"delete_at": 500})
    records.add_job(kept, media_files(kept.id, 1))
    hidden = add(records, 1)
    first = records.hide_job(hidden, 100, 2000)
    assert first is not None
    assert records.deletions(99.9, 10) == []
    assert records.deletions(100, 10) == [first]
    assert records.deletions(500.5, 10) == [first, Deletion(kept.id, 500)]
    assert records.deletions(500, 1) == [first]
    later = records.postpone(first, 900)
    assert later == Deletion(hidden.id, 900, 2000)
    assert records.postpone(first, 900) is None
    assert records.deletions(899, 10) == [Deletion(kept.id, 500)]
    assert records.hide_job(kept, 950, 3000) == Deletion(kept.id, 950, 3000)
    assert records.deletions(1000, 10) == [later, Deletion(kept.id, 950, 3000)]


def move_all(open_records: Open, job: str, count: int) -> list[int]:
    """Numbers of the files of `job`, all thought to be awaited, that this caller was the one to move."""
    records, awaited = open_records(), media_files(job, count)
    return [file.n for file in awaited if records.move_file(file, FileState.UPLOADED, {"audio_seconds": 0.5})]


def test_threads_racing_for_files_never_miscount(open_records: Open) -> None:
    records, files = open_records(), 40
    job = add(records, count=files)
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda _: move_all(lambda: records, job.id, files), range(8)))
    check_race(records, job.id, won, files)


def test_processes_racing_for_files_never_miscount(tmp_path: Path) -> None:
    open_records, files = sqlite(tmp_path), 300
    records = open_records()
    job = add(records, count=files)
    with multiprocessing.get_context("spawn").Pool(4) as processes:
        won = processes.starmap(move_all, [(open_records, job.id, files)] * 4)
    check_race(records, job.id, won, files)


def check_race(records: Records, job: str, won: list[list[int]], files: int) -> None:
    assert sorted(n for numbers in won for n in numbers) == list(range(files))
    after = records.job(job)
    assert after is not None
    assert {state: count for state, count in after.counts.items() if count} == {FileState.UPLOADED: files}
    assert after.audio_seconds == files * 0.5
    assert counted(records, job) == {FileState.UPLOADED: files}


def test_progress_from_many_threads_adds_up(records: Records) -> None:
    job = add(records, count=2)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: records.add_speech_done(job.id, n % 2, 0.25), range(200)))
    after = records.job(job.id)
    assert after is not None
    assert after.speech_seconds_done == 50
    assert [file.speech_seconds_done for file in records.files(job.id, 2)] == [25, 25]


@pytest.fixture
def database(tmp_path: Path) -> SQLiteRecords:
    return SQLiteRecords(tmp_path / "records.sqlite")


def test_jobs_to_be_resumed(database: SQLiteRecords) -> None:
    for n, state in enumerate(JobState):
        database.add_job(new_job(job_id(n), state=state), [])
    assert [job.state for job in database.unfinished()] == [JobState.QUEUED, JobState.RUNNING]
    assert [job.state for job in database.awaiting()] == [JobState.AWAITING_UPLOAD]
    database.change_job(job_id(1), [JobState.QUEUED], {"state": JobState.CANCELLED})
    assert [job.id for job in database.unfinished()] == [job_id(2)]


def test_a_job_is_added_with_all_its_files_or_not_at_all(database: SQLiteRecords) -> None:
    twice = media_files(job_id(0), 1) * 2
    with pytest.raises(sqlite3.IntegrityError):
        database.add_job(new_job(job_id(0), 2), twice)
    assert database.job(job_id(0)) is None
    assert database.files(job_id(0), 10) == []


def test_what_is_written_outlives_the_opening(tmp_path: Path) -> None:
    job = add(SQLiteRecords(tmp_path / "records.sqlite"), count=2)
    again = SQLiteRecords(tmp_path / "records.sqlite")
    assert again.job(job.id) == job
    assert again.files(job.id, 10) == media_files(job.id, 2)


def test_records_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    SQLiteRecords(path)
    newer = len(MIGRATIONS) + 1
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    with pytest.raises(NewerRecords, match=f"its schema is {newer}, and this version knows {len(MIGRATIONS)}"):
        SQLiteRecords(path)


def opened(path: Path) -> int:
    SQLiteRecords(path)
    return os.getpid()


def test_many_processes_may_create_the_records_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as processes:
        assert len(processes.map(opened, [tmp_path / "records.sqlite"] * 64, chunksize=1)) == 64
    assert SQLiteRecords(tmp_path / "records.sqlite").jobs("ann", 1) == []


def test_who_opens_a_new_file_waits_for_another_who_writes_to_it(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with ThreadPoolExecutor() as threads, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        opening = threads.submit(SQLiteRecords, path)
        with pytest.raises(TimeoutError):
            opening.result(0.2)
        writer.execute("COMMIT")
        assert opening.result(PATIENCE).jobs("ann", 1) == []


def test_a_forked_process_opens_its_own_connection(database: SQLiteRecords) -> None:
    job = add(database, count=4)

    def move(n: int) -> None:
        database.move_file(media_files(job.id, 4)[n], FileState.UPLOADED)

    processes = [multiprocessing.get_context("fork").Process(target=move, args=(n,)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    move(3)
    after = database.job(job.id)
    assert after is not None
    assert after.count(FileState.UPLOADED) == 4


@pytest.mark.alone
def test_large_jobs_stay_quick(database: SQLiteRecords, figure: Figure) -> None:
    job = new_job(job_id(0), 100_000)
    adding = seconds(lambda: database.add_job(job, iter(media_files(job.id, 100_000))))
    adding_1000 = seconds(lambda: add(database, 1, 1000))
    reading = min(seconds(lambda: database.job(job.id)) for _ in range(20))
    finding = min(seconds(lambda: database.file_by_path(job.id, "week1/77777.mp4")) for _ in range(20))
    paging = min(seconds(lambda: database.files(job.id, 1000, 90_000)) for _ in range(5))
    files = iter(database.files(job.id, 20))
    moving = min(seconds(lambda: database.move_file(next(files), FileState.UPLOADED)) for _ in range(20))
    figure(
        f"job of 100,000 files added in {adding:.2f} s, of 1,000 in {adding_1000 * 1e3:.0f} ms; then job "
        f"{reading * 1e3:.2f} ms, file by path {finding * 1e3:.2f} ms, page of 1,000 {paging * 1e3:.1f} ms, "
        f"move {moving * 1e3:.2f} ms"
    )
    assert adding < 15
    assert adding_1000 < 0.5
    assert max(reading, finding) < 0.005
    assert moving < 0.02
    assert paging < 0.05


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
