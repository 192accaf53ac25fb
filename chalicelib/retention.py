"""How jobs go: nothing of a job is seen from one moment on, then objects and records are deleted, which may take long.

What can still come afterwards, by URLs signed before or from a step at work, is deleted when those have expired.
"""

import math

from chalicelib import idempotency, keys
from chalicelib.jobs import Job
from chalicelib.ports import Deletion
from chalicelib.service import Service

PAGE = 100
# Whoever takes a deletion in hand has so long; should that be a process that dies, another takes it after that.
LEASE_SECONDS = 900


def remove(service: Service, job: Job, due: int) -> Deletion | None:
    """Hides a job and stops it, to be deleted from `due` on; `None` if it was hidden before."""
    # Before that an Idempotency-Key would make it anew, with an execution whose name is taken.
    claimed_until = job.created_at + idempotency.KEPT_SECONDS
    last = math.ceil(max(service.clock() + service.settings.url_seconds, claimed_until))
    deletion = service.records.hide_job(job, due, last)
    if not job.state.final:
        service.workflow.stop(job.execution)
    return deletion


def sweep(service: Service) -> None:
    """Deletes what is due. Any number of these may run at once, and each may be killed."""
    while due := service.records.deletions(service.clock(), PAGE):
        for deletion in due:
            held = _take(service, deletion)
            if held is not None:
                _delete(service, held)


def _take(service: Service, deletion: Deletion) -> Deletion | None:
    until = math.ceil(service.clock()) + LEASE_SECONDS
    job = service.records.job(deletion.job)
    return service.records.postpone(deletion, until) if job is None else remove(service, job, until)


def _delete(service: Service, deletion: Deletion) -> None:
    for prefix in keys.of_job(deletion.job):
        service.objects.delete(prefix)
    service.index.remove(deletion.job)
    service.records.delete_files(deletion.job)
    now = math.ceil(service.clock())
    if now < deletion.last:
        service.records.postpone(deletion, min(deletion.last, now + service.settings.url_seconds))
    else:
        service.records.forget(deletion)
