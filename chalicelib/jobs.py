"""The job model: what is asked for, what is recorded, and the rules that need no platform."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, Field, model_validator

from chalicelib import keys, languages
from chalicelib.fields import UNIQUE, Language, Request

MAX_FILES = 100_000
"""Files in a job."""
# Whisper reads at most 224 tokens of prompt, four characters each in English.
MAX_PROMPT_CHARACTERS = 900


class JobState(StrEnum):
    AWAITING_UPLOAD = "awaiting_upload"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (JobState.AWAITING_UPLOAD, JobState.QUEUED, JobState.RUNNING)


class FileState(StrEnum):
    AWAITING_UPLOAD = "awaiting_upload"
    UPLOADED = "uploaded"
    PREPARING = "preparing"
    TRANSCRIBING = "transcribing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    # Never recorded: what a cancelled job has left unfinished is shown as this.
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (FileState.SUCCEEDED, FileState.FAILED, FileState.CANCELLED)


UNFINISHED = tuple(state for state in FileState if not state.final)


class Task(StrEnum):
    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Channels(StrEnum):
    MIX = "mix"
    SPLIT = "split"


class Guard(StrEnum):
    """What keeps Whisper from inventing text; see `container.guards`."""

    SPEECH = "speech"
    OUTSIDE = "outside"
    ATTEMPTS = "attempts"
    LOOPS = "loops"
    SOUNDS = "sounds"
    PHANTOMS = "phantoms"


class Format(StrEnum):
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"
    TSV = "tsv"


Named = TypeVar("Named", Format, Guard)


def distinct(names: list[Named]) -> list[Named]:
    if len(set(names)) < len(names):
        raise ValueError("must name each once")
    return names


class Options(Request):
    """How to transcribe."""

    language: Annotated[Language, Field(description="What is spoken; detected once for each file unless told.")] = (
        languages.AUTO
    )
    task: Task = Task.TRANSCRIBE
    model: Annotated[str | None, Field(description="Null: the service's own.")] = None
    formats: Annotated[list[Format], Field(min_length=1, json_schema_extra=UNIQUE), AfterValidator(distinct)] = Field(
        default=list(Format)
    )
    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS, description="Names and terms that occur.")] = ""
    word_timestamps: Annotated[bool, Field(description="Whether `json` lists the words.")] = True
    diarize: Annotated[bool, Field(description="Whether to tell speakers apart by their voices.")] = False
    channels: Annotated[Channels, Field(description="Those that are split are transcribed each as a speaker.")] = (
        Channels.MIX
    )
    guards: Annotated[
        list[Guard],
        Field(json_schema_extra=UNIQUE, description="What is to keep invented text away."),
        AfterValidator(distinct),
    ] = Field(default=list(Guard))

    @model_validator(mode="after")
    def one_way_to_tell_speakers_apart(self) -> "Options":
        if self.diarize and self.channels == Channels.SPLIT:
            raise ValueError("must not have both 'diarize' and 'channels': \"split\", which has a speaker a channel")
        return self


class FileError(BaseModel):
    """Why a file has no transcript: a stable code for programs, a sentence for people."""

    code: str
    message: str


class MediaFile(BaseModel):
    """File number `n` of a job. `output` is the path of its transcripts, without suffix.

    `stored_as` is the key of its object where that is not the one to which a job's files are uploaded; `multipart` the
    id of its upload in parts, if one was begun.
    `speech_seconds` of `audio_seconds` are to be recognised, `speech_seconds_done` of them are.
    """

    job: str
    n: int
    path: str
    output: str
    size: int
    state: FileState = FileState.AWAITING_UPLOAD
    error: FileError | None = None
    language: str | None = None
    warnings: list[str] = []
    audio_seconds: float = 0
    speech_seconds: float = 0
    speech_seconds_done: float = 0
    stored_as: str | None = None
    multipart: str | None = None

    @property
    def key(self) -> str:
        return self.stored_as or keys.upload(self.job, self.path)


SUMS = ("audio_seconds", "speech_seconds", "speech_seconds_done")
"""The fields of a file whose sums its job has."""

CANCELLED = FileError(code="cancelled", message="The job was cancelled before this file was finished.")


class Webhook(BaseModel):
    """Where the end of a job is told, the secret that signs it, and how that went so far."""

    url: str
    secret: str
    attempts: int = 0
    delivered_at: float | None = None
    error: str | None = None


class Job(BaseModel):
    """One submission by one owner. Times are seconds since 1970; the sums are over the job's files.

    Recognition was last taken up at `recognising_since`, with `recognised_before` seconds of speech done already.
    The workflow runs for the `attempt`th time. Files may be added until the job is `sealed`; at `delete_at` all of it
    is deleted.
    The steps so far held `gigabyte_seconds` of memory, took `processor_seconds`, and cost `dollars` (see
    `chalicelib.metering`). `token` is the id of the token that made it.
    """

    id: str
    owner: str
    title: str = ""
    state: JobState = JobState.AWAITING_UPLOAD
    options: Options
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    error: str | None = None
    size: int
    counts: dict[FileState, int]
    audio_seconds: float = 0
    speech_seconds: float = 0
    speech_seconds_done: float = 0
    recognising_since: float | None = None
    recognised_before: float = 0
    gigabyte_seconds: float = 0
    processor_seconds: float = 0
    dollars: float = 0
    token: str | None = None
    webhook: Webhook | None = None
    attempt: int = 1
    sealed: bool = True
    labels: dict[str, str] = {}
    delete_at: int | None = None

    @property
    def execution(self) -> str:
        """The name of the workflow's run, never used before: Step Functions knows names for 90 days."""
        return self.id if self.attempt == 1 else f"{self.id}-{self.attempt}"

    @property
    def files(self) -> int:
        return sum(self.counts.values())

    def count(self, state: FileState) -> int:
        return self.counts.get(state, 0)

    def shown(self, file: MediaFile) -> MediaFile:
        """A file of this job as its owner sees it: what is unfinished when the job ends will not be finished.

        So the end of a job is one change, however many files it has, and a retry goes on from what is recorded.
        """
        if file.state.final or not self.state.final:
            return file
        if self.state == JobState.CANCELLED:
            return file.model_copy(update={"state": FileState.CANCELLED, "error": CANCELLED})
        error = FileError(code="unfinished", message=self.error or "The job ended before this file was finished.")
        return file.model_copy(update={"state": FileState.FAILED, "error": error})

    @property
    def shown_counts(self) -> dict[FileState, int]:
        """How many files are shown in each state, without those that none is in."""
        shown = Counter(self.counts)
        if self.state.final:
            unfinished = sum(shown.pop(state, 0) for state in UNFINISHED)
            shown[FileState.CANCELLED if self.state == JobState.CANCELLED else FileState.FAILED] += unfinished
        return {state: count for state, count in shown.items() if count}

    def recorded_states(self, shown: FileState) -> tuple[FileState, ...]:
        """The states that the records may have of a file that is shown in this one."""
        if not self.state.final:
            return (shown,)
        instead = FileState.CANCELLED if self.state == JobState.CANCELLED else FileState.FAILED
        recorded = () if shown in UNFINISHED or shown == FileState.CANCELLED else (shown,)
        return (*recorded, *UNFINISHED) if shown == instead else recorded

    @property
    def outcome(self) -> JobState:
        """The final state that the states of the files amount to."""
        succeeded = self.count(FileState.SUCCEEDED)
        if succeeded == self.files:
            return JobState.SUCCEEDED
        return JobState.PARTIAL if succeeded else JobState.FAILED


class Claim(BaseModel):
    """That a request was the first one to do something about the job; `id` stands for what that is."""

    id: str
    job: str
    request_sha256: str
    created_at: float
    expires_at: float


def title(paths: Sequence[str]) -> str:
    """What to call a job of these files: the folder that all lie in, with a slash, or else the first file."""
    folder = paths[0].partition("/")[0] + "/"
    return folder if len(paths) > 1 and all(path.startswith(folder) for path in paths) else paths[0]


def output_paths(paths: Sequence[str], is_taken: Callable[[str], bool] = lambda _: False) -> list[str]:
    """Where the transcripts of each path go, without suffix: the path less its suffix where that is free.

    `talk.mp4` and `talk.mov` in one folder become `talk` and `talk.mov`, so that neither overwrites the other.
    `is_taken` tells whether other files of the job leave no room for such an output.
    """
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    taken: set[str] = set()

    def free(output: str) -> bool:
        clash = output in taken or any(f"{output}.{format}" in folders for format in Format)
        return not clash and not is_taken(output)

    outputs = []
    for path in paths:
        stem = str(PurePosixPath(path).with_suffix(""))
        numbered = (f"{path} ({number})" for number in itertools.count(2))
        output = next(filter(free, itertools.chain((stem, path), numbered)))
        taken.add(output)
        outputs.append(output)
    return outputs
