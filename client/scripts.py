"""What `--json` prints: a line of JSON for each thing, in ASCII, with fields that stay."""

import json
from collections.abc import Iterable
from typing import Any

import click

from client.models import File, Result, Summary


def say(fields: dict[str, Any]) -> None:
    click.echo(json.dumps(fields))


def result(result: Result) -> dict[str, Any]:
    return {
        "path": str(result.path),
        "error": result.error,
        "skipped": result.skipped,
        "transcripts": {format: str(path) for format, path in result.transcripts.items()},
        "language": result.language,
        "audio_seconds": result.audio_seconds,
        "warnings": list(result.warnings),
    }


def job(job: Summary) -> dict[str, Any]:
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "error": job.error,
        "created_at": job.created_at,
        "formats": list(job.formats),
        "labels": dict(job.labels),
        "size": job.size,
        "files_total": job.files_total,
        "files_by_state": dict(job.files_by_state),
        "audio_seconds": job.audio_seconds,
        "percent": job.percent,
        "seconds_left": job.seconds_left,
        "dollars": job.dollars,
    }


def failures(files: Iterable[File]) -> list[dict[str, Any]]:
    return [{"n": file.n, "path": file.path, "error": file.error, "error_code": file.error_code} for file in files]
