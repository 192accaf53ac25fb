"""What requests and answers look like: one lecture, from its upload to its corrected transcript."""

from typing import Any

from chalicelib import answers
from chalicelib.access import Scope
from chalicelib.jobs import Channels, FileState, Format, Guard, JobState, Task

JOB_ID = "01m81w9vyz7j05s4n1ank6m3za"
PATH = "biology/cells.mp4"
SIZE = 100_663_296
UPLOADS = f"http://127.0.0.1:8000/objects/uploads/{JOB_ID}/{PATH}"
PARTS: answers.Division = {"part_size": 8_388_608, "parts": 12}

NEW_JOB: dict[str, Any] = {
    "files": [{"path": PATH, "size": SIZE}],
    "options": {"language": "en", "formats": ["srt", "json"], "prompt": "Photosynthesis, chloroplast."},
    "labels": {"course": "biology"},
    "keep_days": 90,
}
MORE_FILES: dict[str, Any] = {"files": [{"path": "biology/leaves.mp4", "size": 2_098_708}], "sealed": True}

UPLOAD: answers.Upload = {
    "method": "PUT",
    "url": f"{UPLOADS}?size={SIZE}&expires=…&signature=…",
    "headers": {"Content-Length": str(SIZE)},
}
AWAITED: answers.File = {
    "n": 0,
    "path": PATH,
    "size": SIZE,
    "state": FileState.AWAITING_UPLOAD,
    "error": None,
    "warnings": [],
    "language": None,
    "audio_seconds": 0.0,
    "percent": 0.0,
    "output": "biology/cells",
    "transcripts": {},
    "multipart": PARTS,
    "upload": UPLOAD,
}
HITS: answers.Hits = {
    "hits": [
        {
            "job": JOB_ID,
            "title": PATH,
            "file": 0,
            "path": PATH,
            "start": 61.42,
            "snippet": "It happens in the chloroplast, which is green.",
            "marks": [[18, 29]],
            "before": False,
            "after": False,
        }
    ],
    "next": None,
}
UPLOADED: answers.File = {
    "n": 0,
    "path": PATH,
    "size": SIZE,
    "state": FileState.UPLOADED,
    "error": None,
    "warnings": [],
    "language": None,
    "audio_seconds": 0.0,
    "percent": 0.0,
    "output": "biology/cells",
    "transcripts": {},
}
DONE: answers.File = {
    **UPLOADED,
    "state": FileState.SUCCEEDED,
    "language": "en",
    "audio_seconds": 1204.5,
    "percent": 100.0,
    "transcripts": {
        format: f"/jobs/{JOB_ID}/files/0/transcript?format={format}" for format in (Format.SRT, Format.JSON)
    },
}
NEW: answers.Job = {
    "id": JOB_ID,
    "title": PATH,
    "state": JobState.AWAITING_UPLOAD,
    "created_at": "2026-11-18T11:00:00.000Z",
    "started_at": None,
    "finished_at": None,
    "error": None,
    "options": {
        "language": "en",
        "task": Task.TRANSCRIBE,
        "model": "tiny.en",
        "formats": [Format.SRT, Format.JSON],
        "prompt": "Photosynthesis, chloroplast.",
        "word_timestamps": True,
        "diarize": False,
        "channels": Channels.MIX,
        "guards": list(Guard),
    },
    "sealed": True,
    "labels": {"course": "biology"},
    "delete_at": "2027-02-16T11:00:00.000Z",
    "size": SIZE,
    "files_total": 1,
    "files_by_state": {FileState.AWAITING_UPLOAD: 1},
    "audio_seconds": 0.0,
    "percent": 0.0,
    "seconds_left": None,
    "gigabyte_seconds": 0.0,
    "processor_seconds": 0.0,
    "dollars": 0.0,
    "webhook": None,
}
FINISHED: answers.Job = {
    **NEW,
    "state": JobState.SUCCEEDED,
    "started_at": "2026-11-18T11:01:10.000Z",
    "finished_at": "2026-11-18T11:06:40.000Z",
    "files_by_state": {FileState.SUCCEEDED: 1},
    "audio_seconds": 1204.5,
    "percent": 100.0,
    "gigabyte_seconds": 412.3,
    "processor_seconds": 305.1,
}
CANCELLED: answers.Job = {**FINISHED, "state": JobState.CANCELLED, "percent": 41.3}
QUEUED: answers.Job = {**NEW, "state": JobState.QUEUED, "files_by_state": {FileState.UPLOADED: 1}}
CREATED: answers.JobWithFiles = {**NEW, "files": [AWAITED], "next": None}
WITH_FILES: answers.JobWithFiles = {**FINISHED, "files": [DONE], "next": None}
MESSAGE: answers.Message = {
    "type": "job.succeeded",
    "timestamp": "2026-11-18T11:06:40.000Z",
    "data": {name: value for name, value in FINISHED.items() if name != "webhook"},  # type: ignore[typeddict-item]
}

WANTED_PARTS: dict[str, Any] = {"parts": [{"number": 1, "crc32": "y/Q5Jg=="}]}
STORED_PARTS: answers.Parts = {
    **PARTS,
    "stored": [{"number": 2, "size": 8_388_608, "etag": "9a0364b9e99bb480dd25e1f0284c8555", "crc32": "0ohYbA=="}],
    "uploads": [
        {
            "number": 1,
            "method": "PUT",
            "url": f"{UPLOADS}?upload=…&part=1&signature=…",
            "headers": {"Content-Length": "8388608"},
        }
    ],
}
SENT_PARTS: dict[str, Any] = {"parts": [{"number": 1, "etag": "9a0364b9e99bb480dd25e1f0284c8555"}]}

EDIT: dict[str, Any] = {
    "replaces": "original",
    "segments": [{"id": 0, "text": "And so, my fellow Americans,"}, {"id": 1}],
}
VERSIONS: answers.Versions = {
    "versions": [
        {"id": "original", "created_at": None},
        {"id": "01m81xbq6v3r2n8g4t0kc5w9de", "created_at": "2026-11-18T12:00:00.000Z"},
    ]
}

FORM: dict[str, Any] = {"file": "…", "model": "whisper-1", "response_format": "json"}
SPOKEN: answers.TranscriptionText = {"text": "And so my fellow Americans ask not what your country can do for you …"}

ESTIMATED_FILES: dict[str, Any] = {"files": [{"path": PATH, "size": SIZE, "audio_seconds": 1204.5}]}
ESTIMATE: answers.Estimate = {
    "audio_seconds": 1204.5,
    "seconds": 63.1,
    "gigabyte_seconds": 412.3,
    "processor_seconds": 121.4,
    "dollars": 0.0,
    "assumptions": {
        "model": "tiny.en",
        "speech_share": 1.0,
        "processor_seconds_per_audio_second": 0.1,
        "speed_is_measured": True,
        "lengths_from_sizes": 0,
        "bytes_per_second": {"unpacked": 176_400, "lossless": 88_200, "lossy": 16_000, "video": 187_500},
        "workers": 2,
        "processors_per_worker": 1.0,
        "gigabytes_per_worker": 0.5,
        "start_seconds": 0.0,
    },
}

NEW_TOKEN: dict[str, Any] = {"owner": "ann", "name": "laptop", "days": 90, "limits": {"requests_per_minute": 600}}
TOKEN: answers.Token = {
    "id": "8dedb3b4055aae9b",
    "owner": "ann",
    "name": "laptop",
    "scopes": [Scope.READ, Scope.WRITE],
    "created_at": "2026-11-18T11:00:00.000Z",
    "expires_at": "2027-02-16T11:00:00.000Z",
    "expired": False,
    "last_used_at": None,
    "limits": {
        "requests_per_minute": 600,
        "audio_hours_per_month": None,
        "dollars_per_month": None,
        "largest_file": None,
        "files_per_job": None,
    },
    "used_this_month": {"audio_hours": 0.335, "dollars": 0.0},
    "webhook": None,
}
NEW_TOKEN_MADE: answers.NewlyMadeToken = {
    **TOKEN,
    "token": "8dedb3b4055aae9b.…",
    "webhook_secret": "whsec_…",
}
