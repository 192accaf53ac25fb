"""Speech to text as in OpenAI's API, so that its clients work: a form with a file comes in, its transcript goes out.

Behind each request is an ordinary job of one file, found again by what was sent: a request that is sent again, because
its answer was lost or took too long, goes on with the same job.
"""

import hashlib
import itertools
import json
import math
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema

from chalicelib import answers, control, forms, keys
from chalicelib.errors import Problem
from chalicelib.fields import Language, Request, relative_path
from chalicelib.jobs import MAX_PROMPT_CHARACTERS, FileState, Format, Job, MediaFile, Options, Task
from chalicelib.languages import AUTO
from chalicelib.ports import NoRoom
from chalicelib.requests import NewFile, NewJob
from chalicelib.service import Service
from chalicelib.validation import field_error, not_valid, wrong_fields

DEFAULT_MODEL = "whisper-1"
"""What clients call the service's own model if they know no other name."""
KEEP_DAYS = 1
FILE = "file"
# Nothing else can come of another go at files with these errors.
OF_THE_FILE = {"not_media", "no_audio", "incomplete", "damaged", "empty", "too_long"}
FIRST_PAUSE, LAST_PAUSE = 0.05, 1.0
RETRY_SECONDS = 2


class ResponseFormat(StrEnum):
    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


class Granularity(StrEnum):
    WORD = "word"
    SEGMENT = "segment"


def not_streamed(stream: str) -> str:
    if stream != "false":
        raise ValueError("must be false: transcripts come whole")
    return stream


def is_file(value: Any) -> Any:
    if not isinstance(value, tuple):
        raise ValueError("must be a file, with a name")
    return value


class Translation(Request):
    """A recording, and how to put it into English text."""

    file: Annotated[Any, AfterValidator(is_file), WithJsonSchema({"type": "string", "format": "binary"})]
    model: Annotated[str, Field(description="One that is installed, or `whisper-1` for the service's own.")]
    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS, description="Names and terms that occur.")] = ""
    response_format: ResponseFormat = ResponseFormat.JSON
    temperature: Annotated[
        float, Field(ge=0, le=1, description="Without effect: the same recording has the same transcript.")
    ] = 0


class Transcription(Translation):
    """A recording, and how to put it into text."""

    language: Annotated[Language, Field(description="What is spoken; detected unless told.")] = AUTO
    timestamp_granularities: Annotated[
        list[Granularity],
        Field(alias="timestamp_granularities[]", min_length=1, description="What `verbose_json` has the times of."),
    ] = Field(default=[Granularity.SEGMENT])
    stream: Annotated[str, AfterValidator(not_streamed), WithJsonSchema({"type": "string", "enum": ["false"]})] = (
        "false"
    )


Asked = TypeVar("Asked", bound=Translation)


@dataclass(frozen=True)
class Spoken:
    """A transcript as it is answered: a text, or what is to be sent as JSON."""

    body: Any
    media: str


def transcribe(service: Service, owner: str, token: str, content_type: str, body: bytes) -> Spoken:
    """Answers `POST /v1/audio/transcriptions`. Raises Problem."""
    asked = _read(Transcription, content_type, body)
    options = Options(language=asked.language, model=_model(asked), prompt=asked.prompt)
    return _answer(service, owner, token, options, asked, asked.timestamp_granularities)


def translate(service: Service, owner: str, token: str, content_type: str, body: bytes) -> Spoken:
    """Answers `POST /v1/audio/translations`. Raises Problem."""
    asked = _read(Translation, content_type, body)
    options = Options(task=Task.TRANSLATE, model=_model(asked), prompt=asked.prompt)
    return _answer(service, owner, token, options, asked, [Granularity.SEGMENT])


def models(service: Service) -> answers.OpenAIModels:
    """Answers `GET /v1/models`."""
    names = [DEFAULT_MODEL, *sorted(service.settings.models)]
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "transcribe"} for name in names],
    }


def _read(kind: type[Asked], content_type: str, body: bytes) -> Asked:
    form = forms.read(content_type, body)
    lists = {name: values if name.endswith("[]") else values[-1] for name, values in form.fields.items()}
    try:
        return kind.model_validate({**lists, **form.files})
    except ValidationError as error:
        raise not_valid(error) from None


def _model(asked: Translation) -> str | None:
    return None if asked.model == DEFAULT_MODEL else asked.model


def _answer(
    service: Service, owner: str, token: str, options: Options, asked: Translation, times: Sequence[Granularity]
) -> Spoken:
    sent, data = asked.file
    job_id = _job(service, owner, token, options, _name(sent), data)
    job, file = _ended(service, job_id)
    if file.state == FileState.CANCELLED:
        raise _settled(f"The job {job_id} was cancelled. Send the request again for another go.")
    if file.state == FileState.FAILED and file.error is not None:
        if file.error.code in OF_THE_FILE:
            raise wrong_fields(field_error(FILE, f"could not be transcribed: {file.error.message.rstrip('.')}"))
        raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"{file.error.message} Send the request again for another go.")

    def stored(format: Format) -> str:
        return service.objects.get(keys.transcript(job.id, file.output, format)).decode()

    match asked.response_format:
        case ResponseFormat.TEXT:
            return Spoken(stored(Format.TXT), "text/plain; charset=utf-8")
        case ResponseFormat.SRT:
            return Spoken(stored(Format.SRT), "text/plain; charset=utf-8")
        case ResponseFormat.VTT:
            return Spoken(stored(Format.VTT), "text/vtt; charset=utf-8")
        case ResponseFormat.JSON:
            return Spoken({"text": json.loads(stored(Format.JSON))["text"]}, "application/json")
        case ResponseFormat.VERBOSE_JSON:
            return Spoken(_verbose(json.loads(stored(Format.JSON)), times), "application/json")


def _job(service: Service, owner: str, token: str, options: Options, name: str, data: bytes) -> str:
    """The id of the job that transcribes `data`, which is under way or has ended. Raises Problem."""
    new = NewJob(files=[NewFile(path=name, size=len(data))], options=options, keep_days=KEEP_DAYS)
    body = new.model_dump_json()
    content = hashlib.sha256(body.encode() + data).hexdigest()
    for attempt in itertools.count():
        try:
            created = service.create_job(owner, body, f"{content}-{attempt}", token)
            break
        except Problem as problem:
            # A conflict: the job of this key was deleted.
            if problem.status != HTTPStatus.CONFLICT:
                raise _of_form(problem) from None
    job = service.find_job(owner, created["id"])
    file = service.records.file(job.id, 0)
    if file is not None and job.state.final and _worth_another_go(job.shown(file)):
        control.retry(service, owner, job.id, token)
        file = service.records.file(job.id, 0)
    if file is not None and file.state == FileState.AWAITING_UPLOAD:
        try:
            service.objects.put(file.key, data)
        except NoRoom:
            detail = "There is no room for this file. Send it again when there is room."
            raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, detail) from None
        service.object_created(file.key, len(data))
    return job.id


def _settled(detail: str) -> Problem:
    """What somebody wanted, and so is not to be undone by clients that try again by themselves after any conflict."""
    return Problem(HTTPStatus.CONFLICT, detail, headers={"X-Should-Retry": "false"})


def _name(sent: str) -> str:
    """The name of the job's file: that of the sent one without its folders, if it can be one."""
    try:
        return relative_path(PurePosixPath(sent.replace("\\", "/")).name)
    except ValueError:
        return "audio"


def _worth_another_go(file: MediaFile) -> bool:
    return file.state == FileState.CANCELLED or (file.error is not None and file.error.code not in OF_THE_FILE)


def _of_form(problem: Problem) -> Problem:
    """The problem of a job with the names that the fields have in the form."""
    errors = [field_error(_field(error["field"]), error["message"]) for error in problem.errors]
    return wrong_fields(*errors) if errors else problem


def _field(of_job: str) -> str:
    return FILE if of_job.startswith("files") else of_job.removeprefix("options.")


def _ended(service: Service, job_id: str) -> tuple[Job, MediaFile]:
    """The job when it has ended, and its file. Raises Problem if that takes longer than a request may."""
    deadline = time.monotonic() + service.settings.wait_seconds
    pause = FIRST_PAUSE
    while True:
        job, file = service.records.job(job_id), service.records.file(job_id, 0)
        if job is None or file is None:
            raise _settled(f"The job {job_id} was deleted meanwhile.")
        if job.state.final:
            return job, job.shown(file)
        left = deadline - time.monotonic()
        if left <= 0 or service.stopping.wait(min(pause, left)):
            how = f"Send the same request again to go on waiting, or fetch the result of the job: GET /jobs/{job_id}."
            headers = {"Retry-After": str(RETRY_SECONDS)}
            raise Problem(HTTPStatus.GATEWAY_TIMEOUT, f"The transcript is not ready yet. {how}", headers=headers)
        pause = min(LAST_PAUSE, pause * 1.3)


def _verbose(transcript: Mapping[str, Any], times: Sequence[Granularity]) -> answers.VerboseTranscription:
    verbose: answers.VerboseTranscription = {
        "task": transcript["task"],
        "language": transcript["language"],
        "duration": transcript["duration"],
        "text": transcript["text"],
    }
    segments = transcript["segments"]
    if Granularity.SEGMENT in times:
        verbose["segments"] = [_segment(segment) for segment in segments]
    if Granularity.WORD in times:
        verbose["words"] = [
            {"word": word["text"], "start": word["start"], "end": word["end"]}
            for segment in segments
            for word in segment["words"]
        ]
    return verbose


def _segment(segment: Mapping[str, Any]) -> answers.VerboseSegment:
    """With the figures that clients expect, as far as they have a meaning here."""
    text = segment["text"].encode()
    probabilities = [max(word["probability"], 1e-3) for word in segment["words"]]
    return {
        "id": segment["id"],
        "seek": round(segment["start"] * 100),
        "start": segment["start"],
        "end": segment["end"],
        "text": segment["text"],
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(sum(map(math.log, probabilities)) / len(probabilities), 4) if probabilities else 0.0,
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
        "no_speech_prob": 0.0,
    }
