"""What routes have in common: their parameters and their usual answers."""

from http import HTTPStatus
from typing import Any

from chalicelib import answers, ids
from chalicelib.description import examples
from chalicelib.description.operations import Answer, Parameter
from chalicelib.idempotency import MAX_CHARACTERS
from chalicelib.jobs import FileState, Format
from chalicelib.search import MAX_PAGE as MAX_HITS
from chalicelib.search import MAX_QUERY
from chalicelib.service import PAGE

JOB_ID = {"type": "string", "pattern": f"^[{ids.ALPHABET}]{{26}}$"}
CURSOR = "The `next` of an earlier answer: what comes after it."


def ok(about: str, kind: Any, example: Any) -> tuple[Answer, ...]:
    return (Answer(HTTPStatus.OK, about, kind, example),)


def created(about: str, kind: Any, example: Any) -> tuple[Answer, ...]:
    where = {"Location": "The path of what was made."}
    return (Answer(HTTPStatus.CREATED, about, kind, example, headers=where),)


def gone(about: str) -> tuple[Answer, ...]:
    return (Answer(HTTPStatus.NO_CONTENT, about, media=None),)


def led(what: str) -> tuple[Answer, ...]:
    url = "http://127.0.0.1:8000/objects/transcripts/01m8…/biology/cells.srt?…"
    return (
        Answer(HTTPStatus.OK, f"With `Accept: application/json`: where {what} is.", answers.Location, {"url": url}),
        Answer(HTTPStatus.FOUND, f"Leads to {what}.", media=None, headers={"Location": "A signed URL."}),
    )


def spoken() -> tuple[Answer, ...]:
    kind = answers.TranscriptionText | answers.VerboseTranscription
    others = ("text/plain", "text/vtt")
    return (Answer(HTTPStatus.OK, "The transcript, as `response_format` asks.", kind, examples.SPOKEN, others=others),)


def page(about: str, media: str) -> tuple[Answer, ...]:
    return (Answer(HTTPStatus.OK, about, media=media),)


JOB = Parameter("path", "job_id", "The job's id.", JOB_ID, examples.JOB_ID)
N = Parameter("path", "n", "The file's number in the job.", {"type": "integer", "minimum": 0, "maximum": 10**9 - 1}, 0)
FILE = (JOB, N)
FORMAT = Parameter(
    "query", "format", "One of the job's formats.", {"enum": [format.value for format in Format]}, "srt", required=True
)
VERSION = Parameter("path", "version", "Its id.", {"type": "string"}, "original")
KEY = Parameter(
    "header",
    "Idempotency-Key",
    "Any text; the same request with the same key, sent again within a day, is answered with the same job.",
    {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS, "pattern": "^[ -~]+$"},
    "b5a1f1f6-6d5f-4f0e-8f0a-2c7e1f6f0c9b",
)
LIMIT = Parameter("query", "limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": PAGE}, 20)
LABEL = Parameter(
    "query", "label", "`name:value`: jobs with this label alone.", {"type": "string", "pattern": "^[^:]*:"}, "a:b"
)
STATE = Parameter(
    "query", "state", "Files in this state alone.", {"enum": [state.value for state in FileState]}, "failed"
)
JOBS_CURSOR = Parameter("query", "cursor", CURSOR, JOB_ID, examples.JOB_ID)
FILES_CURSOR = Parameter("query", "cursor", CURSOR, {"type": "string", "pattern": "^[0-9]{1,9}$"}, "999")
QUERY = Parameter(
    "query",
    "q",
    "Words that a passage must hold; what stands in quotes, as it stands there.",
    {"type": "string", "minLength": 1, "maxLength": MAX_QUERY},
    'country "fellow americans"',
    required=True,
)
HITS_LIMIT = Parameter(
    "query", "limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": MAX_HITS}, 20
)
HITS_CURSOR = Parameter("query", "cursor", CURSOR, {"type": "string"}, "1048575")
TOKEN = Parameter("path", "token_id", "The token's id.", {"type": "string"}, examples.TOKEN["id"])
ASSET = Parameter("path", "name", "As the page names it.", {"type": "string"}, "index.js")

NOT_FOUND, CONFLICT = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
WRONG, PAYMENT = HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.PAYMENT_REQUIRED
