"""What the API answers, as types: the use cases build these, and the API's description is made of them.

Times are in UTC, as in RFC 3339. Docstrings and descriptions are shown to the API's users.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from chalicelib.access import Scope
from chalicelib.jobs import Channels, FileState, Format, Guard, JobState, Task


def _said(description: str, **schema: Any) -> Any:
    return Field(description=description, json_schema_extra=schema or None)


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Next = Annotated[str | None, _said("The cursor of the following page; null on the last.")]


class WrongField(TypedDict):
    field: Annotated[str, _said("Where it is in the request, such as `files[3].path`.")]
    message: Annotated[str, _said("What it must be.")]


class ProblemDocument(TypedDict):
    """An error (RFC 9457): what is wrong, and what to do."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: Annotated[str, _said("One sentence, or a few, for people.")]
    errors: NotRequired[Annotated[list[WrongField], _said("The wrong fields, if it is fields that are wrong.")]]
    error: NotRequired[Annotated["OpenAIError", _said("The same as OpenAI's clients expect it, below `/v1/`.")]]


class Health(TypedDict):
    status: Literal["ok"]
    version: str
    models: Annotated[list[str], _said("The names of the models that are installed.")]
    default_model: Annotated[str, _said("The one of jobs that name none.")]
    diarizes: Annotated[bool, _said("Whether speakers can be told apart by their voices.")]


class Location(TypedDict):
    url: Annotated[str, _said("Signed, and valid for 12 hours.", format="uri")]


class Upload(TypedDict):
    """The request that sends a file, or a part of one: its body are the bytes."""

    method: Literal["PUT"]
    url: Annotated[str, _said("Signed, and valid for 12 hours.", format="uri")]
    headers: Annotated[dict[str, str], _said("All of them have to be sent.")]


class Division(TypedDict):
    """How a file is divided into parts."""

    part_size: Annotated[int, _said("Bytes of each part but the last, which may be smaller.")]
    parts: Annotated[int, _said("How many parts there are.")]


class FileFailure(TypedDict):
    """Why a file has no transcript."""

    code: Annotated[str, _said("For programs, such as `not_media`.")]
    message: Annotated[str, _said("For people.")]


class File(TypedDict):
    """A file of a job."""

    n: Annotated[int, _said("Its number in the job, from 0.", minimum=0)]
    path: str
    size: Annotated[int, _said("In bytes.")]
    state: FileState
    error: FileFailure | None
    warnings: Annotated[list[str], _said("What may be wrong with the transcript, for people.")]
    language: Annotated[str | None, _said("What is spoken, once that is known.")]
    audio_seconds: Annotated[float, _said("Its length, once that is known; 0 before.")]
    percent: Annotated[float, _said("How much of its speech is recognised.")]
    output: Annotated[str, _said("The path of its transcripts, without suffix.")]
    transcripts: Annotated[dict[Format, str], _said("The path of the request for each transcript, when it is there.")]
    multipart: NotRequired[Annotated[Division, _said("There if the file had better be sent in parts.")]]
    upload: NotRequired[
        Annotated[
            Upload,
            _said(
                "Told when files are added, of those that a single request can send, as far as the answer has room: "
                "`POST /jobs/{job_id}/files/{n}/upload` tells it of each."
            ),
        ]
    ]


class ChosenOptions(TypedDict):
    """The options of a job, with the defaults filled in."""

    language: str
    task: Task
    model: str
    formats: list[Format]
    prompt: str
    word_timestamps: bool
    diarize: bool
    channels: Channels
    guards: list[Guard]


class Delivery(TypedDict):
    """Where the end of a job is told, and how that went so far."""

    url: str
    attempts: int
    delivered_at: Time | None
    error: str | None


class ToldJob(TypedDict):
    """A job as webhooks are told of it."""

    id: str
    title: Annotated[str, _said("As given, or the folder that all files are in, or else the path of the first.")]
    state: JobState
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    error: Annotated[str | None, _said("Why the job ended before its files were finished, for people.")]
    options: ChosenOptions
    sealed: Annotated[bool, _said("Whether it has all its files. It starts when it has and all are uploaded.")]
    labels: dict[str, str]
    delete_at: Annotated[Time | None, _said("When all of it will be deleted; null: it is kept.")]
    size: Annotated[int, _said("Bytes of all files.")]
    files_total: int
    files_by_state: Annotated[dict[FileState, int], _said("How many files are in each state that some are in.")]
    audio_seconds: Annotated[float, _said("The length of the files, as far as it is known.")]
    percent: Annotated[float, _said("How much of all speech is recognised.")]
    seconds_left: Annotated[float | None, _said("An estimate, while the job is running; null if there is none.")]
    gigabyte_seconds: Annotated[float, _said("Memory times time of what has been done.")]
    processor_seconds: Annotated[float, _said("Processor time of what has been done.")]
    dollars: Annotated[float, _said("What Lambda charges for it; 0 on one machine.")]


class Job(ToldJob):
    """A job, without its files."""

    webhook: Delivery | None


class Message(TypedDict):
    """That a job has ended, signed as Standard Webhooks says."""

    type: Annotated[str, _said("`job.` and the state of the job.", examples=["job.succeeded"])]
    timestamp: Annotated[Time, _said("When the job ended.")]
    data: ToldJob


class Files(TypedDict):
    """A page of a job's files, by number."""

    files: list[File]
    next: Next


class JobWithFiles(Job):
    """A job with a page of its files, by number."""

    files: list[File]
    next: Next


class Jobs(TypedDict):
    """A page of jobs, newest first."""

    jobs: list[Job]
    next: Next


class StoredPart(TypedDict):
    """A part that has arrived."""

    number: int
    size: int
    etag: str
    crc32: Annotated[str | None, _said("Of its bytes, big-endian, base64; null if the store does not tell.")]


class PartUpload(Upload):
    """The request that sends a part; the answer to it has an `ETag`."""

    number: int


class Parts(Division):
    """How a file is divided, which parts have arrived, and how to send others."""

    stored: Annotated[list[StoredPart], _said("Those of the parts asked for, or of all, that have arrived.")]
    uploads: Annotated[list[PartUpload], _said("One for each part asked for.")]


class Version(TypedDict):
    """A version of a transcript: `original`, or a correction."""

    id: str
    created_at: Annotated[Time | None, _said("Null for the original.")]


class Versions(TypedDict):
    """The versions of a transcript, oldest first: the last is the current one."""

    versions: list[Version]


class Hit(TypedDict):
    """A passage, or some that follow each other, with what was searched for."""

    job: str
    title: str
    file: Annotated[int, _said("Its number in the job.")]
    path: str
    start: Annotated[float, _said("The second at which the first word that was found is said.")]
    snippet: str
    marks: Annotated[list[list[int]], _said("From and to which character of the snippet the words stand.")]
    before: Annotated[bool, _said("Whether the passage has more before the snippet.")]
    after: Annotated[bool, _said("Whether it has more after it.")]


class Hits(TypedDict):
    """What was found so far; there is no more only if `next` is null."""

    hits: list[Hit]
    next: str | None


class BytesPerSecond(TypedDict):
    """What lengths are guessed from, by the kind of a file."""

    unpacked: int
    lossless: int
    lossy: int
    video: int


class Assumptions(TypedDict):
    """What an estimate rests on."""

    model: str
    speech_share: Annotated[float, _said("How much of the audio is taken for speech.")]
    processor_seconds_per_audio_second: Annotated[float | None, _said("Null for a model of unknown speed.")]
    speed_is_measured: bool
    lengths_from_sizes: Annotated[int, _said("How many files' lengths were guessed from their sizes.")]
    bytes_per_second: BytesPerSecond
    workers: int
    processors_per_worker: float
    gigabytes_per_worker: float
    start_seconds: float


class Work(TypedDict):
    """What a job takes: all null for a model of unknown speed."""

    seconds: Annotated[float | None, _said("From the last upload to the transcripts.")]
    gigabyte_seconds: float | None
    processor_seconds: float | None
    dollars: float | None


class Estimate(Work):
    """What a job would take."""

    audio_seconds: float
    assumptions: Assumptions


class TokenLimits(TypedDict):
    """What a token may use; null is no limit."""

    requests_per_minute: int | None
    audio_hours_per_month: float | None
    dollars_per_month: float | None
    largest_file: Annotated[int | None, _said("In bytes.")]
    files_per_job: int | None


class Used(TypedDict):
    """What a token has used in this month (UTC)."""

    audio_hours: float
    dollars: float


class Token(TypedDict):
    """A token, without what it is sent as."""

    id: str
    owner: str
    name: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    expired: bool
    last_used_at: Time | None
    limits: TokenLimits
    used_this_month: Used
    webhook: Annotated[str | None, _said("What is told of the end of every job that names no other.")]


class NewlyMadeToken(Token):
    """A token with its secrets, which are shown this once."""

    token: Annotated[str, _said("What to send as `Authorization: Bearer <token>`.")]
    webhook_secret: Annotated[str | None, _said("What signs the messages to its webhooks.")]


class Tokens(TypedDict):
    tokens: list[Token]


class TranscriptionText(TypedDict):
    text: str


class VerboseWord(TypedDict):
    word: str
    start: float
    end: float


class VerboseSegment(TypedDict):
    """A segment with the figures that OpenAI's API has."""

    id: int
    seek: Annotated[int, _said("The start in hundredths of a second.")]
    start: float
    end: float
    text: str
    tokens: Annotated[list[int], _said("Always empty.")]
    temperature: Annotated[float, _said("Always 0.")]
    avg_logprob: Annotated[float, _said("The mean of the logarithms of the words' probabilities.")]
    compression_ratio: Annotated[float, _said("How many times smaller the text is when compressed by zlib.")]
    no_speech_prob: Annotated[float, _said("Always 0: where nobody speaks there is no segment.")]


class VerboseTranscription(TypedDict):
    """A transcript with its times, in seconds."""

    task: Task
    language: Annotated[str, _said("Its code, such as `en`.")]
    duration: float
    text: str
    segments: NotRequired[list[VerboseSegment]]
    words: NotRequired[list[VerboseWord]]


class OpenAIModel(TypedDict):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModels(TypedDict):
    object: Literal["list"]
    data: list[OpenAIModel]


class OpenAIError(TypedDict):
    """An error as clients of OpenAI's API look for it."""

    message: str
    type: str
    param: str | None
    code: str | None
