"""What is done with records in the same way on every platform."""

from collections.abc import Iterator

from chalicelib.jobs import JobState, MediaFile
from chalicelib.ports import Records

PAGE = 1000


def every_file(records: Records, job: str) -> Iterator[MediaFile]:
    """The files of a job by number, fetched page by page."""
    after = -1
    while page := records.files(job, PAGE, after):
        yield from page
        after = page[-1].n


def give_up(records: Records, job: str, message: str, now: float) -> None:
    """Ends a job that cannot go on: its unfinished files have failed with `message`, the others stay delivered."""
    ended = records.job(job)
    if ended is not None:
        changes = {"state": ended.outcome, "error": message, "finished_at": now}
        records.change_job(job, (JobState.QUEUED, JobState.RUNNING), changes)
