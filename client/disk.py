"""Local files, read and written so that neither a half nor a mix of two ever counts as one."""

import base64
import hashlib
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zlib_ng import zlib_ng

from client import text
from client.errors import SourceLost, Stopped

BLOCK = 1 << 18


def blocks(
    file: Path,
    size: int,
    sent: Callable[[int], None],
    stop: threading.Event,
    offset: int = 0,
    length: int | None = None,
) -> Iterator[bytes]:
    """The `length` bytes from `offset` (all, if not given) of a file that must have `size`.

    `sent` is told how many were taken so far. Raises SourceLost before the last block is given if the file has another
    size, and Stopped if `stop` is set.
    """
    length = size - offset if length is None else length
    count = 0
    sent(count)
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            while block := stream.read(min(BLOCK, length - count)):
                if stop.is_set():
                    raise Stopped
                if os.fstat(stream.fileno()).st_size != size:
                    break
                yield block
                count += len(block)
                sent(count)
    except OSError as error:
        raise SourceLost(f"It can't be read any more: {text.reason(error)}.") from None
    if count < length:
        raise SourceLost("Its size changed while it was being sent.")


def crc32(file: Path, size: int, offset: int, length: int, stop: threading.Event) -> str:
    """The base64 of the CRC-32 (big-endian) of a part of a file. Raises as `blocks` does."""
    checksum = 0
    for block in blocks(file, size, _ignore, stop, offset, length):
        checksum = zlib_ng.crc32(block, checksum)
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()


def md5(file: Path, size: int, stop: threading.Event) -> str:
    """The base64 of the MD5 of a file, which S3 and its like check uploads by. Raises as `blocks` does."""
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks(file, size, _ignore, stop):
        digest.update(block)
    return base64.b64encode(digest.digest()).decode()


def changed_at(file: Path) -> int:
    """When a file was last written, in nanoseconds. Raises SourceLost."""
    try:
        return file.stat().st_mtime_ns
    except OSError as error:
        raise SourceLost(f"It can't be read any more: {text.reason(error)}.") from None


def require_writable(folder: Path) -> None:
    """Raises OSError if no file can be written to a folder, which need not exist yet. Nothing is left there."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    with tempfile.TemporaryFile(dir=there):
        pass


def _ignore(_: object) -> None:
    pass


@contextmanager
def replacing(target: Path) -> Iterator[Callable[[bytes], Any]]:
    """A `write` for what shall be in `target` once the block has ended well; until then there is what was before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as stream:
            yield stream.write
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
