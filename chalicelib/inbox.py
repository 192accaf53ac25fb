"""Drop-in folders: what any S3 tool puts under `inbox/<name>/` becomes a job when `done.txt` follows."""

import logging
from collections import Counter
from contextlib import suppress

from chalicelib import ids, keys, suffixes
from chalicelib.fields import relative_path
from chalicelib.jobs import FileError, FileState, Job, MediaFile, Options, output_paths, title
from chalicelib.ports import JobExists, Objects
from chalicelib.service import Service

OWNER = "inbox"

log = logging.getLogger(__name__)


def folder_done(service: Service, done: str, time: float, version: str) -> None:
    """Makes a job of the media files in the folder of the object `done`, and starts it.

    `time` is when the object was written and `version` tells this writing from any other, so that there is one job for
    each, however often it is told. The media stay where they are. Their paths in the job begin with the folder's name.
    """
    name = keys.parse_done(done)
    if name is None:
        return
    job_id = ids.event_job_id(time, done, version)
    if service.records.job(job_id) is None:
        files = _files(service.objects, job_id, keys.drop_in(name))
        if not files:
            log.warning("nothing to transcribe in %s", keys.drop_in(name))
            return
        with suppress(JobExists):  # told twice at once, or once more after the job was deleted
            service.records.add_job(_job(job_id, files, service.settings.default_model, time), files)
    service.start_if_complete(job_id)


def _job(id: str, files: list[MediaFile], model: str, time: float) -> Job:
    return Job(
        id=id,
        owner=OWNER,
        title=title([file.path for file in files]),
        options=Options(model=model),
        created_at=time,
        size=sum(file.size for file in files),
        counts=Counter(file.state for file in files),
    )


def _files(objects: Objects, job_id: str, prefix: str) -> list[MediaFile]:
    found = {key.removeprefix(keys.INBOX): size for key, size in objects.sizes(prefix) if suffixes.is_media(key)}
    outputs = output_paths(list(found))
    return [
        _file(MediaFile(job=job_id, n=n, path=path, output=output, size=size, stored_as=f"{keys.INBOX}{path}"))
        for n, ((path, size), output) in enumerate(zip(found.items(), outputs, strict=True))
    ]


def _file(file: MediaFile) -> MediaFile:
    """The file as uploaded, or failed if its path could not be written to every disk."""
    try:
        relative_path(file.path)
    except ValueError as wrong:
        message = f"The path {wrong}. Rename the file and put {keys.DONE} there again."
        return file.model_copy(update={"state": FileState.FAILED, "error": FileError(code="bad_path", message=message)})
    return file.model_copy(update={"state": FileState.UPLOADED})
