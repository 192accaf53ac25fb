"""Stopping a job, having another go at it, and deleting it."""

from typing import Any

from chalicelib import answers, limits, retention, views
from chalicelib.errors import conflict
from chalicelib.jobs import UNFINISHED, FileState, Job, JobState, MediaFile, Webhook
from chalicelib.service import Service

PAGE = 1000
UNENDED = [state for state in JobState if not state.final]

UPLOAD_FAILED = {"size_mismatch", "missing", "gone"}
"""The errors of files whose media have to be sent again."""

HOPELESS = {"bad_path", "empty", "no_audio"}
"""The errors of files of which nothing better can come, with whatever version of the service."""

AS_NEW: dict[str, Any] = {
    "error": None,
    "language": None,
    "warnings": [],
    "audio_seconds": 0,
    "speech_seconds": 0,
    "speech_seconds_done": 0,
    "multipart": None,
}


def cancel(service: Service, owner: str, job_id: str) -> answers.Job:
    """Stops a job for good, or until it is retried; transcripts that are finished stay. Harmless if done before."""
    job = service.find_job(owner, job_id)
    now = service.clock()
    cancelled = service.records.change_job(job_id, UNENDED, {"state": JobState.CANCELLED, "finished_at": now})
    if cancelled is None:
        job = service.find_job(owner, job_id)
        if job.state != JobState.CANCELLED:
            raise conflict("This job has ended already.")
    service.workflow.stop(job.execution)
    return views.job(cancelled or job, now)


def retry(service: Service, owner: str, job_id: str, token_id: str | None = None) -> answers.Job:
    """Has another go at what failed, or was cancelled, in a job that has ended.

    A file whose upload failed waits for another upload; the others need none. Should this break off, nothing is lost
    and it can be asked for again.
    """
    job = service.find_job(owner, job_id)
    if not job.state.final:
        raise conflict("This job has not ended yet: there is nothing to retry.")
    limits.admit_job(service.records, token_id, [], service.clock())
    _renew_files(service, job)
    job = service.find_job(owner, job_id)
    if not job.state.final:  # Another request for the same was quicker.
        return views.job(job, service.clock())
    if not any(job.count(state) for state in UNFINISHED):
        raise conflict("There is nothing to retry: no file of this job has failed in a way that another go may mend.")
    anew = {
        "state": JobState.AWAITING_UPLOAD,
        "attempt": job.attempt + 1,
        "error": None,
        "started_at": None,
        "finished_at": None,
        "recognising_since": None,
        "webhook": job.webhook and Webhook(url=job.webhook.url, secret=job.webhook.secret),
    }
    service.records.change_job(job_id, [job.state], anew)
    service.start_if_complete(job_id)
    return views.job(service.find_job(owner, job_id), service.clock())


def delete(service: Service, owner: str, job_id: str) -> None:
    """Deletes a job and all that belongs to it: nothing of it can be reached from now on, and soon nothing is left."""
    retention.remove(service, service.find_job(owner, job_id), int(service.clock()))


def _renew_files(service: Service, job: Job) -> None:
    """Takes files that have failed, or were being worked at, back to where their media has arrived, or has to.

    It stops when another request for the same was quicker, whose files may be at work by now.
    """
    after = -1
    states = (FileState.FAILED, FileState.PREPARING, FileState.TRANSCRIBING)
    while page := service.records.files(job.id, PAGE, after, states):
        now = service.records.job(job.id)
        if now is None or now.attempt != job.attempt or not now.state.final:
            return
        hopeful = [file for file in page if file.error is None or file.error.code not in HOPELESS]
        sent_again = [file for file in hopeful if _has_to_be_sent(file)]
        for file in sent_again:
            service.objects.remove(file.key)  # An upload never overwrites.
        service.records.move_files(sent_again, FileState.AWAITING_UPLOAD, AS_NEW)
        arrived = [file for file in hopeful if not _has_to_be_sent(file)]
        service.records.move_files(arrived, FileState.UPLOADED, AS_NEW)
        after = page[-1].n


def _has_to_be_sent(file: MediaFile) -> bool:
    return file.error is not None and file.error.code in UPLOAD_FAILED and file.stored_as is None
