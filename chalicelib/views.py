"""Jobs and files as the API shows them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from chalicelib import answers
from chalicelib.access import Token
from chalicelib.jobs import FileState, Format, Job, JobState, MediaFile, Options, Webhook
from chalicelib.parts import MULTIPART_BYTES, Layout
from chalicelib.ports import Part, Upload

MOST_WEIGHT = 6_000_000
"""What the files of an answer may weigh: Lambda takes 6 MiB, and the rest of an answer is small."""


def weight(view: Mapping[str, object]) -> int:
    """The bytes of a view in what Lambda answers, which has the answer's JSON as a text in JSON."""
    return len(json.dumps(json.dumps(view)))


def job(job: Job, now: float) -> answers.Job:
    return {**told(job, now), "webhook": _webhook(job.webhook)}


def told(job: Job, now: float) -> answers.ToldJob:
    """A job without what only its owner may know of it."""
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "created_at": time(job.created_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
        "error": job.error,
        "options": _options(job.options),
        "sealed": job.sealed,
        "labels": job.labels,
        "delete_at": _time(job.delete_at),
        "size": job.size,
        "files_total": job.files,
        "files_by_state": job.shown_counts,
        "audio_seconds": round(job.audio_seconds, 3),
        "percent": _percent(job),
        "seconds_left": _seconds_left(job, now),
        "gigabyte_seconds": round(job.gigabyte_seconds, 3),
        "processor_seconds": round(job.processor_seconds, 3),
        "dollars": round(job.dollars, 6),
    }


def file(file: MediaFile, formats: Sequence[Format]) -> answers.File:
    """`formats` are those of the job: the transcripts that a finished file has.

    `multipart` is there while a file is awaited that had better be sent in parts.
    """
    done = file.state == FileState.SUCCEEDED
    large = file.state == FileState.AWAITING_UPLOAD and file.size >= MULTIPART_BYTES
    view: answers.File = {
        "n": file.n,
        "path": file.path,
        "size": file.size,
        "state": file.state,
        "error": {"code": file.error.code, "message": file.error.message} if file.error else None,
        "warnings": file.warnings,
        "language": file.language,
        "audio_seconds": round(file.audio_seconds, 3),
        "percent": 100.0 if done else _share(file.speech_seconds_done, file.speech_seconds),
        "output": file.output,
        "transcripts": {f: f"/jobs/{file.job}/files/{file.n}/transcript?format={f}" for f in formats} if done else {},
    }
    if large:
        view["multipart"] = multipart(Layout(file.size))
    return view


def token(token: Token, used: Mapping[str, float], now: float) -> answers.Token:
    """`used` are the month's audio seconds and dollars."""
    return {
        "id": token.id,
        "owner": token.owner,
        "name": token.name,
        "scopes": list(token.scopes),
        "created_at": time(token.created_at),
        "expires_at": _time(token.expires_at),
        "expired": token.expires_at is not None and now >= token.expires_at,
        "last_used_at": _time(token.last_used_at),
        "limits": {
            "requests_per_minute": token.limits.requests_per_minute,
            "audio_hours_per_month": token.limits.audio_hours_per_month,
            "dollars_per_month": token.limits.dollars_per_month,
            "largest_file": token.limits.largest_file,
            "files_per_job": token.limits.files_per_job,
        },
        "used_this_month": {
            "audio_hours": round(used.get("audio_seconds", 0) / 3600, 3),
            "dollars": round(used.get("dollars", 0), 6),
        },
        "webhook": token.webhook,
    }


def _webhook(webhook: Webhook | None) -> answers.Delivery | None:
    """Without its secret."""
    if webhook is None:
        return None
    return {
        "url": webhook.url,
        "attempts": webhook.attempts,
        "delivered_at": _time(webhook.delivered_at),
        "error": webhook.error,
    }


def upload(upload: Upload) -> answers.Upload:
    return {"method": "PUT", "url": upload.url, "headers": upload.headers}


def multipart(layout: Layout) -> answers.Division:
    return {"part_size": layout.part_size, "parts": layout.count}


def part(part: Part) -> answers.StoredPart:
    return {"number": part.number, "size": part.size, "etag": part.etag, "crc32": part.crc32}


def _options(options: Options) -> answers.ChosenOptions:
    """Of a job, which has a model."""
    return {
        "language": options.language,
        "task": options.task,
        "model": options.model or "",
        "formats": options.formats,
        "prompt": options.prompt,
        "word_timestamps": options.word_timestamps,
        "diarize": options.diarize,
        "channels": options.channels,
        "guards": options.guards,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else time(seconds)


def time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _share(done: float, whole: float) -> float:
    """Per cent; never 100 before the file or job is finished, since stitching is still to come."""
    return min(99.9, round(100 * done / whole, 1)) if whole else 0.0


def _percent(job: Job) -> float:
    finished = job.state.final and job.state != JobState.CANCELLED
    return 100.0 if finished else _share(job.speech_seconds_done, job.speech_seconds)


def _seconds_left(job: Job, now: float) -> float | None:
    """What is still to be recognised, at the speed since recognition was last taken up; `None` while unknown."""
    done = job.speech_seconds_done - job.recognised_before
    if job.state != JobState.RUNNING or job.recognising_since is None or done <= 0:
        return None
    return round((now - job.recognising_since) * max(0.0, job.speech_seconds - job.speech_seconds_done) / done, 1)
