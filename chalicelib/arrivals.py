"""Uploads that have arrived although nobody was told, as when a process was killed or an event was lost."""

from chalicelib import keys
from chalicelib.jobs import FileState
from chalicelib.service import Service

PAGE = 1000


def catch_up(service: Service, job_id: str) -> None:
    """Takes note of a job's objects that are there and awaited still; starts the job if nothing is awaited any more."""
    present = dict(service.objects.sizes(keys.upload(job_id, "")))
    after = -1
    while present and (page := service.records.files(job_id, PAGE, after, [FileState.AWAITING_UPLOAD])):
        for file in page:
            if file.key in present:
                service.object_created(file.key, present[file.key])
        after = page[-1].n
    service.start_if_complete(job_id)
