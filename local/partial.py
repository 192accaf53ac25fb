"""Uploads in parts on the disk: a file of the size to come, into which the parts are written where they belong.

So completing an upload is a matter of names. Beside the file lies its log, which says which parts are in it:

| line                            | says                                                       |
|---------------------------------|------------------------------------------------------------|
| `+ <number> <size> <crc> <run>` | a part is written, and there while the machine runs on     |
| `= <number>`                    | it is on the disk, and a power cut does not take it away   |
| `- <number>`                    | it is about to be written again, and does not count so far |

Whoever reads or adds holds the log's lock.
"""

import base64
import contextlib
import fcntl
import functools
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from zlib_ng import zlib_ng

from chalicelib.parts import Span
from chalicelib.ports import ObjectExists, Part, PartsDiffer, UploadMissing
from local.files import disk_full, start_writing, sync_folder

LOG = ".log"
FORGOTTEN_SECONDS = 7 * 24 * 3600


class ChecksumDiffers(Exception):
    """The bytes of a part are not those that its checksum was made of."""


class PartReplaced(Exception):
    """The same part is being received once more, and this one is out of date."""


@dataclass(frozen=True)
class PartialFile:
    """The upload whose parts are in the file `path`."""

    path: Path

    @classmethod
    def begin(cls, path: Path, size: int) -> Self:
        """Raises DiskFull."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk_full(), path.open("xb") as file:
            file.truncate(size)
            os.fsync(file.fileno())
        begun = cls(path)
        with disk_full(), begun._log.open("xb") as log:
            os.fsync(log.fileno())
        sync_folder(path.parent)
        return begun

    @property
    def _log(self) -> Path:
        return self.path.with_name(f"{self.path.name}{LOG}")

    def parts(self) -> dict[int, Part]:
        """The parts that are on the disk, by number. Raises UploadMissing."""
        with self._locked() as log:
            return _parse(log)

    @property
    def changed_at(self) -> float:
        """When it was begun or a part was last added, in seconds since 1970."""
        return max((path.stat().st_mtime for path in (self.path, self._log) if path.exists()), default=inf)

    @property
    def completed(self) -> bool:
        """Whether it has the name of the object as well, as when the service was killed just after giving it."""
        return self.path.exists() and self.path.stat().st_nlink > 1

    def make_way(self, number: int, crc32: str) -> bool:
        """Whether a part is to be written: if it is there with another checksum, it counts as missing from now on."""
        with self._locked() as log:
            stored = _parse(log).get(number)
            if stored is not None and stored.crc32 != crc32:
                _append(log, f"- {number}")
                os.fdatasync(log.fileno())
            return stored is None or stored.crc32 != crc32

    def add(self, span: Span, crc32: str) -> None:
        """Adds a part that is written."""
        with self._locked() as log:
            _append(log, f"+ {span.number} {span.size} {crc32} {_run()}")

    def confirm(self, number: int) -> None:
        """Takes note that a part is on the disk."""
        with self._locked() as log:
            _append(log, f"= {number}")
            fcntl.flock(log, fcntl.LOCK_UN)  # the disk is slow, and others need not wait for it
            os.fdatasync(log.fileno())

    def complete(self, parts: Sequence[Part], target: Path) -> None:
        """Gives the file its name; see `ports.Objects.complete_parts`."""
        with self._locked() as log:
            if _parse(log) != {part.number: part for part in parts}:
                raise PartsDiffer(target.name)
            with disk_full(), self.path.open("rb") as file:
                os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.hardlink_to(self.path)
            except FileExistsError:
                raise ObjectExists(target.name) from None
            sync_folder(target.parent)
            self.discard()

    def discard(self) -> None:
        # In this order: without its log, there is no upload.
        self._log.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The log, to be read from its start."""
        try:
            with self._log.open("r+b") as log:
                fcntl.flock(log, fcntl.LOCK_EX)
                if os.fstat(log.fileno()).st_nlink == 0 or self.completed:
                    raise UploadMissing(self.path.name)
                yield log
        except (FileNotFoundError, NotADirectoryError):
            raise UploadMissing(self.path.name) from None


class Slot:
    """Where one part is written; the draft that came last has it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.newest: PartDraft | None = None
        self.drafts = 0


class Slots:
    """The slots of the parts that are being received."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[tuple[Path, int], Slot] = {}

    def enter(self, path: Path, number: int, draft: "PartDraft") -> Slot:
        with self._lock:
            slot = self._slots.setdefault((path, number), Slot())
            slot.newest = draft
            slot.drafts += 1
            return slot

    def leave(self, path: Path, number: int) -> None:
        with self._lock:
            slot = self._slots[path, number]
            slot.drafts -= 1
            if not slot.drafts:
                del self._slots[path, number]


class PartDraft:
    """A part while it is received: a context manager. What is not published does not count.

    Where the same part is begun again, the earlier draft can do no more than end: it raises PartReplaced.
    """

    def __init__(self, file: PartialFile, span: Span, crc32: str, slots: Slots) -> None:
        self._partial = file
        self._span = span
        self._crc32 = crc32
        self._slots = slots
        self._written = self._checksum = 0

    def __enter__(self) -> Self:
        """Raises PartReplaced and UploadMissing."""
        self._slot = self._slots.enter(self._partial.path, self._span.number, self)
        try:
            with self._turn():
                self.needed = self._partial.make_way(self._span.number, self._crc32)
                self._file = self._partial.path.open("r+b", buffering=0)
        except BaseException:
            self._slots.leave(self._partial.path, self._span.number)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._slot.lock:  # a thread may still be at it
            self._file.close()
        self._slots.leave(self._partial.path, self._span.number)

    @property
    def etag(self) -> str:
        return etag(self._crc32)

    def write(self, *pieces: bytes) -> None:
        """Appends. Raises DiskFull and PartReplaced."""
        with self._turn(), disk_full():
            begin = self._written
            for piece in pieces:
                self._checksum = zlib_ng.crc32(piece, self._checksum)
            left: Sequence[bytes] = pieces
            while size := sum(map(len, left)):
                written = os.pwritev(self._file.fileno(), left, self._span.offset + self._written)
                self._written += written
                left = [b"".join(left)[written:]] if written < size else []
            start_writing(self._file.fileno(), self._span.offset + begin, self._written - begin)

    def publish(self) -> None:
        """Raises ChecksumDiffers, DiskFull, PartReplaced and UploadMissing."""
        with self._turn(), disk_full():
            if base64.b64encode(self._checksum.to_bytes(4)).decode() != self._crc32:
                raise ChecksumDiffers
            self._partial.add(self._span, self._crc32)
            os.fdatasync(self._file.fileno())
            self._partial.confirm(self._span.number)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        with self._slot.lock:
            if self._slot.newest is not self:
                raise PartReplaced
            yield


def clear_forgotten(root: Path, now: float) -> None:
    """Takes away the uploads below `root` to which nothing was added for a week, and what is left of completed ones."""
    for parent, _, names in os.walk(root):
        for name in names:
            file = PartialFile(Path(parent) / name.removesuffix(LOG))
            if file.completed or now - file.changed_at > FORGOTTEN_SECONDS:
                file.discard()


def clear_empty_folders(root: Path) -> None:
    """For use while nobody begins an upload."""
    for parent, _, _ in os.walk(root, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            Path(parent).rmdir()


def etag(crc32: str) -> str:
    return base64.b64decode(crc32).hex()


def _parse(log: BinaryIO) -> dict[int, Part]:
    written: dict[int, Part] = {}
    kept: set[int] = set()
    for line in _lines(log):
        match line.decode().split(" "):
            case ["+", number, size, crc32, run]:
                written[int(number)] = Part(int(number), int(size), etag(crc32), crc32)
                (kept.add if run == _run() else kept.discard)(int(number))
            case ["=", number]:
                kept.add(int(number))
            case ["-", number]:
                kept.discard(int(number))
    return {number: part for number, part in written.items() if number in kept}


@functools.cache
def _run() -> str:
    """What tells this run of the machine, from its start to its end, from all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return secrets.token_hex(16)  # that of this process, to be on the safe side


def _lines(log: BinaryIO) -> list[bytes]:
    """The lines of a log, without what was written of one when the service was killed."""
    log.seek(0)
    return log.read().split(b"\n")[:-1]


def _append(log: BinaryIO, line: str) -> None:
    with disk_full():
        log.seek(sum(len(line) + 1 for line in _lines(log)))
        log.truncate()
        log.write(f"{line}\n".encode())
        log.flush()
