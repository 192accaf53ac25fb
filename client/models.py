"""What the API answers, and what a run comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

AWAITING = "awaiting_upload"
FORMATS = ("txt", "srt", "vtt", "json", "tsv")


@dataclass(frozen=True)
class Options:
    """How to transcribe. The server knows which models and languages there are; `model=None` takes its default."""

    formats: Sequence[str] = ("txt", "srt")
    language: str = "auto"
    task: str = "transcribe"
    model: str | None = None
    prompt: str = ""
    diarize: bool = False
    channels: str = "mix"

    def body(self) -> dict[str, Any]:
        """The options as the API takes them."""
        model = {} if self.model is None else {"model": self.model}
        return {
            "formats": list(self.formats),
            "language": self.language,
            "task": self.task,
            "prompt": self.prompt,
            "diarize": self.diarize,
            "channels": self.channels,
            **model,
        }


class Wishes(TypedDict, total=False):
    """The fields of `Options` as the named arguments that they are made of."""

    formats: Sequence[str]
    language: str
    task: str
    model: str | None
    prompt: str
    diarize: bool
    channels: str


@dataclass(frozen=True)
class Upload:
    """The HTTP request that stores a file when it is sent with the file as its body. Its URL is a secret."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Upload":
        return cls(data["method"], data["url"], data["headers"])


@dataclass(frozen=True)
class StoredPart:
    """A part of a file that is at the server. `crc32` is the base64 of its CRC-32, `None` if the server has none."""

    number: int
    size: int
    etag: str
    crc32: str | None


@dataclass(frozen=True)
class PartsState:
    """How the upload of a file in `count` parts stands. All but the last have `part_size` bytes."""

    part_size: int
    count: int
    stored: Mapping[int, StoredPart]
    uploads: Mapping[int, Upload] = field(repr=False)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "PartsState":
        stored = [StoredPart(part["number"], part["size"], part["etag"], part["crc32"]) for part in data["stored"]]
        return cls(
            part_size=data["part_size"],
            count=data["parts"],
            stored={part.number: part for part in stored},
            uploads={upload["number"]: Upload.parse(upload) for upload in data["uploads"]},
        )


@dataclass(frozen=True)
class File:
    """File number `n` of a job. `output` is the path of its transcripts in the job's tree, without suffix.

    `multipart` if it is awaited, and had better be sent in parts.
    """

    n: int
    path: str
    size: int
    state: str
    error: str | None
    error_code: str | None
    warnings: tuple[str, ...]
    language: str | None
    audio_seconds: float
    percent: float
    output: str
    upload: Upload | None
    multipart: bool = False

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "File":
        error = data["error"] or {}
        return cls(
            n=data["n"],
            path=data["path"],
            size=data["size"],
            state=data["state"],
            error=error.get("message"),
            error_code=error.get("code"),
            warnings=tuple(data["warnings"]),
            language=data["language"],
            audio_seconds=data["audio_seconds"],
            percent=data["percent"],
            output=data["output"],
            upload=Upload.parse(data["upload"]) if "upload" in data else None,
            multipart="multipart" in data,
        )

    @property
    def final(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def awaited(self) -> bool:
        return self.state == AWAITING


@dataclass(frozen=True)
class Summary:
    """A job as it was when the server was asked, without its files. `created_at` is ISO 8601, in UTC."""

    id: str
    title: str
    state: str
    error: str | None
    created_at: str
    formats: tuple[str, ...]
    labels: Mapping[str, str]
    size: int
    files_total: int
    files_by_state: Mapping[str, int]
    audio_seconds: float
    percent: float
    seconds_left: float | None
    dollars: float

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Summary":
        return Summary(
            id=data["id"],
            title=data["title"],
            state=data["state"],
            error=data["error"],
            created_at=data["created_at"],
            formats=tuple(data["options"]["formats"]),
            labels=data["labels"],
            size=data["size"],
            files_total=data["files_total"],
            files_by_state=data["files_by_state"],
            audio_seconds=data["audio_seconds"],
            percent=data["percent"],
            seconds_left=data["seconds_left"],
            dollars=data["dollars"],
        )

    @property
    def final(self) -> bool:
        return self.state in ("succeeded", "partial", "failed", "cancelled")


@dataclass(frozen=True)
class Job(Summary):
    """A job with all its files."""

    files: tuple[File, ...]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Job":
        return cls(**vars(Summary.parse(data)), files=tuple(map(File.parse, data["files"])))

    @property
    def awaited(self) -> list[File]:
        """The files that have not arrived."""
        return [file for file in self.files if file.awaited]


@dataclass(frozen=True)
class Estimate:
    """What a job would take: seconds of sound, seconds until it is done, work, money.

    All but the first are `None` for a model whose speed the server does not know.
    """

    audio_seconds: float
    seconds: float | None
    processor_seconds: float | None
    gigabyte_seconds: float | None
    dollars: float | None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Estimate":
        return cls(
            audio_seconds=data["audio_seconds"],
            seconds=data["seconds"],
            processor_seconds=data["processor_seconds"],
            gigabyte_seconds=data["gigabyte_seconds"],
            dollars=data["dollars"],
        )


@dataclass(frozen=True)
class Source:
    """A local file, and its path in the tree that is sent."""

    local: Path
    path: str
    size: int


@dataclass(frozen=True)
class Result:
    """What became of one file: its transcripts by format, or why there are none but those fetched before.

    `skipped` if there was nothing to do; else `fetched` are the formats that were not kept as they were. `path` is the
    local file; for a job fetched without its sources, its path in the job.
    """

    path: Path
    error: str | None = None
    transcripts: Mapping[str, Path] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    language: str | None = None
    audio_seconds: float = 0
    skipped: bool = False
    fetched: tuple[str, ...] = ()
