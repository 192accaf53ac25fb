"""What the service needs of a platform. `local/` and `chalicelib/aws/` each implement all four."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.access import Token
from chalicelib.jobs import Claim, FileState, Job, JobState, MediaFile
from chalicelib.parts import MOST_PARTS, Span
from chalicelib.terms import Phrase


class JobExists(Exception):
    """A job of this id is recorded already, or was deleted a short while ago."""


class ObjectMissing(Exception):
    """There is no object under this key."""


class ObjectExists(Exception):
    """There is an object under this key, and it must not be overwritten."""


class UploadMissing(Exception):
    """There is no such upload in parts: it was completed, aborted or forgotten."""


class PartsDiffer(Exception):
    """The parts that were stored are not those that were named."""


class NoRoom(Exception):
    """There is no room for an object."""


class UnknownCursor(Exception):
    """This does not tell where a search stopped."""


@dataclass(frozen=True)
class Upload:
    """An HTTP request that stores one object when it is sent with the object's bytes as its body."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Deletion:
    """That all of a job is to be deleted from `due` on, and again until `last`, for what came late. Unix seconds."""

    job: str
    due: int
    last: int = 0


@dataclass(frozen=True)
class Part:
    """A part that is stored. `crc32` is the base64 of its CRC-32, big-endian; `None` if the store does not tell."""

    number: int
    size: int
    etag: str
    crc32: str | None


Pieces = Sequence[tuple[float, str]]
"""A passage of a transcript, cut where the second at which it is said is known: the seconds, and the texts."""


@dataclass(frozen=True)
class Passage:
    """A passage of file number `n` of a job."""

    job: str
    n: int
    pieces: Pieces

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)


@dataclass(frozen=True)
class Found:
    """What a search has found so far; `next` tells where it goes on, `None` if that is all."""

    passages: list[Passage]
    next: str | None


class Objects(Protocol):
    """Objects under keys (see `chalicelib.keys`). Writing is atomic: an object is there whole or not at all."""

    def presign_put(self, key: str, size: int, seconds: int) -> Upload:
        """A request that for `seconds` from now may store exactly `size` bytes once; never over an existing object."""

    def begin_parts(self, key: str, size: int) -> str:
        """Begins an upload of `size` bytes in parts, and returns its id. Raises NoRoom."""

    def presign_part(self, key: str, upload: str, span: Span, crc32: str, seconds: int) -> Upload:
        """A request that for `seconds` from now stores a part, if the body has its size and CRC-32; see `Part`.

        The answer to it has the part's ETag. A part may be stored again until the upload is completed.
        """

    def parts(self, key: str, upload: str, first: int = 1, last: int = MOST_PARTS) -> list[Part]:
        """The stored parts among those numbered from `first` to `last`, by number. Raises UploadMissing."""

    def complete_parts(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Makes the object of `parts`, which are all of them; never over an existing object.

        Raises UploadMissing, PartsDiffer, or ObjectExists.
        """

    def abort_parts(self, key: str, upload: str) -> None:
        """Discards the parts; harmless if there are none."""

    def presign_get(self, key: str, seconds: int, filename: str) -> str:
        """A URL that for `seconds` from now downloads the object under the name `filename`."""

    def source(self, key: str) -> str:
        """Where ffmpeg can read the object, seeking: a local path or an HTTPS URL. Raises ObjectMissing."""

    def put(self, key: str, data: bytes) -> None: ...

    def put_stream(self, key: str, blocks: Iterable[bytes]) -> None:
        """Stores what `blocks` yields, block by block; nothing is stored if the iteration raises."""

    def get(self, key: str) -> bytes:
        """Raises ObjectMissing."""

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes from offset `start`, fewer at the end of the object. Raises ObjectMissing."""

    def size(self, key: str) -> int | None:
        """The object's size in bytes, `None` if it is not there."""

    def keys(self, prefix: str) -> Iterator[str]: ...

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The keys that begin with `prefix`, each with its object's size in bytes."""

    def remove(self, key: str) -> None:
        """Deletes one object; harmless if it is not there."""

    def delete(self, prefix: str) -> None:
        """Deletes every object whose key begins with `prefix`, which ends with a slash, and unfinished uploads too."""


class Counters(Protocol):
    def count(self, key: str, amounts: Mapping[str, float], expires_at: float, now: float) -> dict[str, float]:
        """Adds to the sums of the counter `key` at once, and gives them as they then are.

        A counter may be forgotten from `expires_at` (seconds since 1970) on.
        """


class Records(Counters, Protocol):
    """Jobs, their files, the tokens, and counters. Every change is atomic, and conditional where it says so."""

    def add_job(self, job: Job, files: Iterable[MediaFile]) -> None:
        """Raises JobExists."""

    def job(self, id: str) -> Job | None: ...

    def jobs(
        self, owner: str, limit: int, before: str | None = None, label: tuple[str, str] | None = None
    ) -> list[Job]:
        """The owner's jobs, or those with a label, newest first (ids sort by time), from the one after id `before`."""

    def owners(self) -> list[str]:
        """Whoever has jobs. It may take minutes."""

    def claim(self, claim: Claim, now: float) -> Claim:
        """Records it, unless there is one of the same id that has not expired; returns the one that is recorded."""

    def add_files(self, job: Job, files: Sequence[MediaFile]) -> bool:
        """Adds files, numbered on from those that the job has, to a job that waits for uploads and is not sealed.

        False if it does not or is, or has other files by now; some of these may then have been added.
        """

    def paths(self, job: str, prefixes: Iterable[str], limit: int) -> dict[str, dict[str, int]]:
        """For each prefix, the first paths of files that begin with it, in order of code points, and their numbers."""

    def files_numbered(self, job: str, numbers: Iterable[int]) -> list[MediaFile]:
        """Those of these files that there are, in any order."""

    def change_job(self, id: str, when: Iterable[JobState], changes: Mapping[str, Any]) -> Job | None:
        """Sets fields of a job (by their names in `Job`) if its state is one of `when`; `None` if it is not."""

    def file(self, job: str, n: int) -> MediaFile | None: ...

    def file_by_path(self, job: str, path: str) -> MediaFile | None: ...

    def files(
        self, job: str, limit: int, after: int = -1, states: Collection[FileState] | None = None
    ) -> list[MediaFile]:
        """Files of a job by number, from the one after number `after`, of all states or some.

        What has just been moved to one of some states may be missing for a moment; what is given is in one of them.
        """

    def move_file(self, file: MediaFile, to: FileState, changes: Mapping[str, Any] = {}) -> bool:
        """Moves a file from the state it has in `file` to another and sets fields of it (named as in `MediaFile`).

        The job's counts and sums follow in the same transaction. False, with nothing changed, if the file's recorded
        state is no longer that of `file`, or the job is gone.
        """

    def move_files(self, files: Sequence[MediaFile], to: FileState, changes: Mapping[str, Any] = {}) -> None:
        """Moves files of one job as `move_file` does, at much less cost for each; others than these may be left out."""

    def set_multipart(self, file: MediaFile, upload: str | None) -> MediaFile | None:
        """Sets `multipart` of a file, which as it then is is returned.

        `None`, with nothing changed, if its recorded state or `multipart` are no longer those of `file`.
        """

    def add_speech_done(self, job: str, n: int, seconds: float) -> None:
        """Adds to `speech_seconds_done` of the file and of the job."""

    def hide_job(self, job: Job, due: int, last: int) -> Deletion | None:
        """Makes a job as if it had never been, but that it is in `deletions`; `None` if it was so already.

        Its id can't be used again, and its files stay recorded until they are deleted.
        """

    def deletions(self, now: float, limit: int) -> list[Deletion]:
        """What is due, the longest due first: jobs that were hidden, and others that have been kept for long enough."""

    def postpone(self, deletion: Deletion, due: int) -> Deletion | None:
        """`None` if somebody else did so, or was done with it, meanwhile."""

    def delete_files(self, job: str) -> None:
        """Deletes the records of a hidden job's files."""

    def forget(self, deletion: Deletion) -> None:
        """Deletes the last that is recorded of a hidden job."""

    def add_use(self, job: str, amounts: Mapping[str, float]) -> Job | None:
        """Adds to fields of a job (by their names in `Job`) in whatever state it is; the job as it then is."""

    def add_token(self, token: Token) -> None:
        """Puts it in the place of an earlier one with the same id."""

    def token(self, id: str) -> Token | None: ...

    def tokens(self) -> list[Token]: ...

    def use_token(self, id: str, now: float) -> None:
        """Sets `last_used_at` of a token, if it is there."""

    def remove_token(self, id: str) -> bool:
        """Whether there was one."""

    def counted(self, key: str) -> dict[str, float]:
        """The sums of a counter, none if it is not there."""


class Index(Protocol):
    """What was said in the transcripts of all owners. Nothing but a copy: it can be made again from the transcripts."""

    def put(self, job: Job, n: int, said: Sequence[Pieces]) -> None:
        """Takes in the passages of a file, in the order of time, in the place of those there are of it."""

    def remove(self, job: str) -> None:
        """Takes out all files of a job; harmless if there are none."""

    def find(self, owner: str, wanted: Sequence[Phrase], limit: int, after: str | None = None) -> Found:
        """Passages of the owner's files that hold all that is wanted, from where the cursor `after` tells.

        Newest first: files of newer jobs, of one job those transcribed or numbered last; a file's own in the order of
        time. There may be fewer than `limit` although others follow. Raises UnknownCursor.
        """


class Workflow(Protocol):
    """Runs of the workflow, each named after its job (`Job.execution`)."""

    def start(self, execution: str) -> None:
        """Starts a run; harmless if it was started before."""

    def stop(self, execution: str) -> None:
        """Stops a run within seconds; harmless if there is none. A step at work may end later than that."""
