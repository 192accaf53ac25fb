"""Jobs and files as the API shows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chalicelib.access import Token
from chalicelib.jobs import FileState, Job, JobState, MediaFile, Webhook
from chalicelib.parts import MULTIPART_BYTES, Layout
from chalicelib.ports import Part, Upload


def job(job: Job, now: float) -> dict[str, Any]:
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "created_at": _time(job.created_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
        "error": job.error,
        "options": job.options.model_dump(mode="json"),
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
        "webhook": _webhook(job.webhook),
    }


def file(file: MediaFile, options: list[str]) -> dict[str, Any]:
    """`options` are the formats of the job: the transcripts that a finished file has.

    `multipart` is there while a file is awaited that had better be sent in parts.
    """
    done = file.state == FileState.SUCCEEDED
    large = file.state == FileState.AWAITING_UPLOAD and file.size >= MULTIPART_BYTES
    return {
        "n": file.n,
        "path": file.path,
        "size": file.size,
        "state": file.state,
        "error": file.error.model_dump() if file.error else None,
        "warnings": file.warnings,
        "language": file.language,
        "audio_seconds": round(file.audio_seconds, 3),
        "percent": 100.0 if done else _share(file.speech_seconds_done, file.speech_seconds),
        "output": file.output,
        "transcripts": {f: f"/jobs/{file.job}/files/{file.n}/transcript?format={f}" for f in options} if done else {},
        **({"multipart": multipart(Layout(file.size))} if large else {}),
    }


def token(token: Token, used: Mapping[str, float], now: float) -> dict[str, Any]:
    """`used` are the month's audio seconds and dollars."""
    return {
        "id": token.id,
        "owner": token.owner,
        "name": token.name,
        "scopes": list(token.scopes),
        "created_at": _time(token.created_at),
        "expires_at": _time(token.expires_at),
        "expired": token.expires_at is not None and now >= token.expires_at,
        "last_used_at": _time(token.last_used_at),
        "limits": token.limits.model_dump(),
        "used_this_month": {
            "audio_hours": round(used.get("audio_seconds", 0) / 3600, 3),
            "dollars": round(used.get("dollars", 0), 6),
        },
        "webhook": token.webhook,
    }


def _webhook(webhook: Webhook | None) -> dict[str, Any] | None:
    """Without its secret."""
    if webhook is None:
        return None
    return {
        "url": webhook.url,
        "attempts": webhook.attempts,
        "delivered_at": _time(webhook.delivered_at),
        "error": webhook.error,
    }


def upload(upload: Upload) -> dict[str, Any]:
    return {"method": upload.method, "url": upload.url, "headers": upload.headers}


def multipart(layout: Layout) -> dict[str, Any]:
    return {"part_size": layout.part_size, "parts": layout.count}


def part(part: Part) -> dict[str, Any]:
    return {"number": part.number, "size": part.size, "etag": part.etag, "crc32": part.crc32}


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
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
