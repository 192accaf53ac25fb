"""The use cases of the API: each takes the caller and the raw request and returns what is to be answered."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from chalicelib import answers, capabilities, idempotency, ids, keys, limits, tokens, views, webhooks
from chalicelib.access import Token
from chalicelib.errors import conflict, not_found
from chalicelib.jobs import FileError, FileState, Job, JobState, MediaFile, output_paths, title
from chalicelib.limits import MemoryCounters
from chalicelib.ports import Counters, Index, JobExists, Objects, Records, Workflow
from chalicelib.records import give_up
from chalicelib.settings import Settings
from chalicelib.validation import field_error, page_size, whole_number, wrong_cursor, wrong_fields

PAGE = 100
FILES_PAGE = 1000
DAY_SECONDS = 24 * 3600

EXECUTION_ENDS = {
    "FAILED": "The transcription failed through a fault on our side. Retry the job: what is finished stays.",
    "TIMED_OUT": "The transcription did not end in the time it may take. Retry the job: what is finished stays.",
    "ABORTED": "The transcription was stopped by the operator of this service. Retry the job: what is finished stays.",
}


@dataclass(frozen=True)
class Service:
    """`stopping` is set when requests that wait for something had better end."""

    objects: Objects
    records: Records
    workflow: Workflow
    index: Index
    settings: Settings
    clock: Callable[[], float] = time.time
    counters: Counters = field(default_factory=MemoryCounters)
    stopping: threading.Event = field(default_factory=threading.Event)

    def health(self) -> answers.Health:
        return {
            "status": "ok",
            "version": self.settings.version,
            "models": sorted(self.settings.models),
            "default_model": self.settings.default_model,
            "diarizes": self.settings.diarizes,
        }

    def authenticate(self, authorization: str | None) -> Token | None:
        """The valid token that the `Authorization` header carries, `None` if there is none."""
        return tokens.authenticate(self.records, authorization, self.clock())

    def create_job(
        self, owner: str, body: str | bytes, key: str | None = None, token_id: str | None = None
    ) -> answers.JobWithFiles:
        """Records a job and answers with it and, per file, how to upload it.

        That is `upload`, a single request, for all files that one can take; large ones had better be sent in parts
        (see `chalicelib.multipart`). The same body with the same `Idempotency-Key` makes one job. It is made with a
        token of the owner, within whose limits it must be, or by the service itself.
        """
        new = capabilities.new_job(self.settings, body)
        now = self.clock()
        claim = None if key is None else idempotency.claim(self.records, owner, key, body, now)
        job_id, created_at = (ids.job_id(now), now) if claim is None else (claim.job, claim.created_at)
        if claim is not None and (made := self.records.job(job_id)) is not None:
            return self.view_with_uploads(made, self.records.files(job_id, len(new.files)))
        token = limits.admit_job(self.records, token_id, new.files, now)
        outputs = output_paths([file.path for file in new.files])
        files = [
            MediaFile(job=job_id, n=n, path=file.path, output=output, size=file.size)
            for n, (file, output) in enumerate(zip(new.files, outputs, strict=True))
        ]
        job = Job(
            id=job_id,
            owner=owner,
            title=new.title or title([file.path for file in new.files]),
            options=new.options,
            created_at=created_at,
            size=sum(file.size for file in files),
            counts={FileState.AWAITING_UPLOAD: len(files)},
            sealed=new.sealed,
            labels=new.labels,
            delete_at=None if new.keep_days is None else math.ceil(created_at) + new.keep_days * DAY_SECONDS,
            token=token_id,
            webhook=webhooks.wanted(new.webhook, token),
        )
        try:
            self.records.add_job(job, files)
        except JobExists:
            recorded = self.records.job(job_id)
            if recorded is None:
                raise conflict("The job of this Idempotency-Key has been deleted. Send another key.") from None
            job, files = recorded, self.records.files(job_id, len(files))
        return self.view_with_uploads(job, files)

    def job(self, owner: str, job_id: str) -> answers.JobWithFiles:
        """The job with its first files; `next` is the cursor for the others, so that asking often stays cheap."""
        job = self.find_job(owner, job_id)
        return {**views.job(job, self.clock()), **self._files(job, -1, PAGE)}

    def files(self, owner: str, job_id: str, cursor: str | None, state: str | None = None) -> answers.Files:
        """Files of a job by number, all or those that are in one state."""
        if state is not None and state not in list(FileState):
            raise wrong_fields(field_error("state", f"must be one of {', '.join(FileState)}"))
        after = -1 if cursor is None else whole_number(cursor)
        if after is None:
            raise wrong_cursor()
        job = self.find_job(owner, job_id)
        return self._files(job, after, FILES_PAGE, None if state is None else job.recorded_states(FileState(state)))

    def jobs(self, owner: str, cursor: str | None, limit: str | None, label: str | None = None) -> answers.Jobs:
        """The owner's jobs, newest first, all or those with a label, given as `name:value`."""
        name, colon, value = (label or "").partition(":")
        if label is not None and not colon:
            raise wrong_fields(
                field_error("label", "must be the name and the value of a label, as in 'course:biology'")
            )
        count = page_size(limit, PAGE, PAGE)
        if cursor is not None and not ids.is_job_id(cursor):
            raise wrong_cursor()
        jobs = self.records.jobs(owner, count + 1, cursor, None if label is None else (name, value))
        more = len(jobs) > count
        now = self.clock()
        return {"jobs": [views.job(job, now) for job in jobs[:count]], "next": jobs[count - 1].id if more else None}

    def upload(self, owner: str, job_id: str, n: str) -> answers.Upload:
        """A fresh upload request for a file that has not arrived, for when the first has expired."""
        _, file = self.find_awaited(owner, job_id, n)
        if file.size > self.settings.largest_put:
            raise conflict("This file is too large for one request. Send it in parts: POST /jobs/<id>/files/<n>/parts.")
        return self._upload(file)

    def find_awaited(self, owner: str, job_id: str, n: str) -> tuple[Job, MediaFile]:
        """A file that has to be uploaded, and its job. Raises Problem."""
        job, file = self.find_file(owner, job_id, n)
        if job.state.final:
            raise conflict(f"This job has ended. To go on with it, retry it first: POST /jobs/{job.id}/retry.")
        if file.state != FileState.AWAITING_UPLOAD:
            raise conflict("This file has been uploaded already.")
        return job, file

    def transcribed(self, owner: str, job_id: str, n: str) -> tuple[Job, MediaFile]:
        """A file that has a transcript, and its job. Raises Problem."""
        job, file = self.find_file(owner, job_id, n)
        file = job.shown(file)
        if file.state in (FileState.FAILED, FileState.CANCELLED):
            raise conflict(f"This file has no transcript: {file.error.message if file.error else 'it failed.'}")
        if file.state != FileState.SUCCEEDED:
            raise conflict("This file is not transcribed yet. Ask again when its state is 'succeeded'.")
        return job, file

    def transcript_url(self, owner: str, job_id: str, n: str, format: str | None) -> str:
        """Where a transcript can be downloaded for a while."""
        job = self.find_job(owner, job_id)
        if format not in job.options.formats:
            raise wrong_fields(
                field_error("format", f"must be one of the job's formats: {', '.join(job.options.formats)}")
            )
        _, file = self.transcribed(owner, job_id, n)
        name = f"{PurePosixPath(file.output).name}.{format}"
        return self.objects.presign_get(keys.transcript(job.id, file.output, format), self.settings.url_seconds, name)

    def media_url(self, owner: str, job_id: str, n: str) -> str:
        """Where the recording itself can be played for a while."""
        _, file = self.find_file(owner, job_id, n)
        if file.state == FileState.AWAITING_UPLOAD or self.objects.size(file.key) is None:
            raise conflict("The recording is not there: it has not been uploaded yet, or has been deleted.")
        name = PurePosixPath(file.path).name
        return self.objects.presign_get(file.key, self.settings.url_seconds, name)

    def object_created(self, key: str, size: int) -> None:
        """Takes note of an uploaded object and starts the workflow with the last one.

        Events may come twice, late or in any order, and for objects that belong to no job.
        """
        named = keys.parse_upload(key)
        file = self.records.file_by_path(*named) if named else None
        if file is None:
            return
        if file.state == FileState.AWAITING_UPLOAD:
            self._arrived(file, size)
        self.start_if_complete(file.job)

    def start_if_complete(self, job_id: str) -> None:
        job = self.records.job(job_id)
        if job is None or not job.sealed or job.count(FileState.AWAITING_UPLOAD):
            return
        waiting = (JobState.AWAITING_UPLOAD, JobState.QUEUED)
        queued = self.records.change_job(job_id, waiting, {"state": JobState.QUEUED})
        if queued:
            self.workflow.start(queued.execution)

    def execution_ended(self, execution: str, status: str) -> None:
        """Takes note that a job's workflow did not come to its own end, with a status of `EXECUTION_ENDS`.

        A workflow that fails by itself has told why before, and that stays.
        """
        job_id, attempt = ids.parse_execution(execution)
        job = self.records.job(job_id)
        if job is not None and job.attempt == attempt and not job.state.final:
            give_up(self.records, job_id, EXECUTION_ENDS[status], self.clock())

    def _arrived(self, file: MediaFile, size: int) -> None:
        if size == file.size:
            self.records.move_file(file, FileState.UPLOADED)
            return
        message = f"{size} bytes arrived where {file.size} were declared. Retry the job, and upload the file again."
        self.records.move_file(file, FileState.FAILED, {"error": FileError(code="size_mismatch", message=message)})

    def find_job(self, owner: str, job_id: str) -> Job:
        """Raises a Problem if there is no such job, or it is another owner's."""
        job = self.records.job(job_id)
        if job is None or job.owner != owner:
            raise not_found("job")
        return job

    def find_file(self, owner: str, job_id: str, n: str) -> tuple[Job, MediaFile]:
        """A file and its job. Raises a Problem if there is no such file, or it is another owner's."""
        job = self.find_job(owner, job_id)
        number = whole_number(n)
        file = None if number is None else self.records.file(job.id, number)
        if file is None:
            raise not_found("file")
        return job, file

    def _files(self, job: Job, after: int, limit: int, states: Collection[FileState] | None = None) -> answers.Files:
        """As many as an answer has room for, at most `limit`."""
        found = self.records.files(job.id, limit + 1, after, states)
        shown = [views.file(job.shown(file), job.options.formats) for file in found[:limit]]
        weights = itertools.accumulate(map(views.weight, shown))
        page = [view for view, weight in zip(shown, weights, strict=True) if weight <= views.MOST_WEIGHT]
        return {"files": page, "next": str(page[-1]["n"]) if len(found) > len(page) else None}

    def view_with_uploads(self, job: Job, files: Sequence[MediaFile]) -> answers.JobWithFiles:
        """The job with these files, and how to upload those that have not arrived, as far as an answer has room.

        For the others it is told by `upload`.
        """
        shown = [views.file(job.shown(file), job.options.formats) for file in files]
        room = views.MOST_WEIGHT - sum(map(views.weight, shown))
        for file, view in zip(files, shown, strict=True):
            if view["state"] == FileState.AWAITING_UPLOAD and file.size <= self.settings.largest_put:
                upload = self._upload(file)
                room -= views.weight(upload)
                if room < 0:
                    break
                view["upload"] = upload
        return {**views.job(job, self.clock()), "files": shown, "next": None}

    def _upload(self, file: MediaFile) -> answers.Upload:
        return views.upload(self.objects.presign_put(file.key, file.size, self.settings.url_seconds))
