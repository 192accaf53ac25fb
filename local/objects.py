"""Objects as files below one folder."""

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from chalicelib import keys
from chalicelib.parts import MOST_PARTS, Span
from chalicelib.ports import ObjectMissing, Part, Upload
from local.files import DiskFull, disk_full, sync_folder
from local.partial import PartDraft, PartialFile, Slots, clear_empty_folders, clear_forgotten
from local.signing import Signer

KINDS = (keys.UPLOADS, keys.TRANSCRIPTS, keys.VERSIONS, keys.WORK)
TEMPORARY = "tmp"
PARTIAL = "partial"
# The records and the work files of running jobs need room as well.
RESERVED_BYTES = 256 * 2**20


class Draft:
    """A file that becomes an object when it is published, and is discarded when the context ends before.

    Published bytes are on the disk, as far as the operating system can tell: a power cut does not take them away.
    """

    def __init__(self, temporary: Path, target: Path) -> None:
        self._temporary = temporary
        self._target = target
        self._file = temporary.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # closing tries once more to write what did not fit
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, *pieces: bytes) -> None:
        """Appends. Raises DiskFull."""
        with disk_full():
            self._file.writelines(pieces)

    def publish(self, overwrite: bool) -> None:
        """Raises DiskFull, and FileExistsError if there is an object already that must not be overwritten."""
        with disk_full():
            self._file.flush()
            os.fsync(self._file.fileno())
        self._target.parent.mkdir(parents=True, exist_ok=True)
        if overwrite:
            self._temporary.replace(self._target)
        else:
            self._target.hardlink_to(self._temporary)
        sync_folder(self._target.parent)


@dataclass(frozen=True)
class DiskObjects:
    """`chalicelib.ports.Objects` below `root`, for any number of processes at once.

    URLs are signed under `secret` and lead to the server that answers the current request (`local.transfers`);
    so they can be had within a request only.
    """

    root: Path
    secret: bytes
    clock: Callable[[], float] = time.time
    _slots: Slots = field(default_factory=Slots, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.resolve())
        self._temporary.mkdir(parents=True, exist_ok=True)

    @property
    def signer(self) -> Signer:
        return Signer(self.secret)

    @property
    def _temporary(self) -> Path:
        return self.root / TEMPORARY

    def presign_put(self, key: str, size: int, seconds: int) -> Upload:
        url = self.signer.put_url(_checked(key), size, int(self.clock()) + seconds)
        return Upload("PUT", url, {"Content-Length": str(size)})

    def begin_parts(self, key: str, size: int) -> str:
        self.require_room(size)
        upload = secrets.token_hex(16)
        PartialFile.begin(self._parts_folder(key) / upload, size)
        return upload

    def presign_part(self, key: str, upload: str, span: Span, crc32: str, seconds: int) -> Upload:
        url = self.signer.part_url(_checked(key), upload, span, crc32, int(self.clock()) + seconds)
        return Upload("PUT", url, {"Content-Length": str(span.size)})

    def parts(self, key: str, upload: str, first: int = 1, last: int = MOST_PARTS) -> list[Part]:
        stored = self._partial(key, upload).parts()
        return [stored[number] for number in sorted(stored) if first <= number <= last]

    def complete_parts(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        self._partial(key, upload).complete(parts, self._path(key))

    def abort_parts(self, key: str, upload: str) -> None:
        self._partial(key, upload).discard()

    def presign_get(self, key: str, seconds: int, filename: str) -> str:
        return self.signer.get_url(_checked(key), filename, int(self.clock()) + seconds)

    def source(self, key: str) -> str:
        return str(self.path(key))

    def put(self, key: str, data: bytes) -> None:
        self.put_stream(key, [data])

    def put_stream(self, key: str, blocks: Iterable[bytes]) -> None:
        with self.draft(key) as draft:
            for block in blocks:
                self.require_room(len(block))
                draft.write(block)
            draft.publish(overwrite=True)

    def get(self, key: str) -> bytes:
        with self._open(key) as file:
            return file.read()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with self._open(key) as file:
            file.seek(start)
            return file.read(length)

    def size(self, key: str) -> int | None:
        try:
            status = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def keys(self, prefix: str) -> Iterator[str]:
        folder = self._path(f"{prefix}?").parent
        for parent, _, names in os.walk(folder):
            for name in names:
                key = (Path(parent) / name).relative_to(self.root).as_posix()
                if key.startswith(prefix):
                    yield key

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        return ((key, size) for key in self.keys(prefix) if (size := self.size(key)) is not None)

    def remove(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def delete(self, prefix: str) -> None:
        # All of it goes at once by a change of name; taking the files away may then need its time.
        name = prefix.removesuffix("/")
        for folder in (self._parts_folder(name), self._path(name)):
            doomed = self._new_temporary()
            with contextlib.suppress(FileNotFoundError):
                folder.rename(doomed)
                shutil.rmtree(doomed)

    def path(self, key: str) -> Path:
        """The file that holds an object. Raises ObjectMissing."""
        if self.size(key) is None:
            raise ObjectMissing(key)
        return self._path(key)

    def draft(self, key: str) -> Draft:
        """A new object, to be written and published."""
        return Draft(self._new_temporary(), self._path(key))

    def part_draft(self, key: str, upload: str, span: Span, crc32: str) -> PartDraft:
        """A part of an upload, to be written and published. Raises UploadMissing when it is entered."""
        return PartDraft(self._partial(key, upload), span, crc32, self._slots)

    def require_room(self, size: int) -> None:
        """Raises DiskFull if `size` bytes do not fit on the disk with some to spare."""
        if shutil.disk_usage(self.root).free < size + RESERVED_BYTES:
            raise DiskFull

    def clear_unfinished(self) -> None:
        """Takes away what a process that was killed left half written. For use while no other process writes."""
        self._clear("*")
        clear_empty_folders(self.root / PARTIAL)

    def clear_left_by(self, process: int) -> None:
        """Takes away what one process that was killed left half written."""
        self._clear(f"{process}-*")

    def clear_forgotten(self) -> None:
        """Takes away uploads in parts to which nothing was added for a week."""
        clear_forgotten(self.root / PARTIAL, self.clock())

    def _open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectMissing(key) from None

    def _new_temporary(self) -> Path:
        return self._temporary / f"{os.getpid()}-{secrets.token_hex(16)}"

    def _clear(self, pattern: str) -> None:
        for path in self._temporary.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _partial(self, key: str, upload: str) -> PartialFile:
        if not upload.isalnum():
            raise ValueError(f"{upload!r} is not the id of an upload")
        return PartialFile(self._parts_folder(key) / upload)

    def _parts_folder(self, key: str) -> Path:
        return self.root / PARTIAL / _checked(key)

    def _path(self, key: str) -> Path:
        return self.root / _checked(key)


def _checked(key: str) -> str:
    """`key` itself. ValueError if it could name a file outside the folders of its kind."""
    kind, _, rest = key.partition("/")
    if f"{kind}/" not in KINDS or "\0" in key or any(part in ("", ".", "..") for part in rest.split("/")):
        raise ValueError(f"{key!r} is not the key of an object")
    return key
