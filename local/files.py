"""Files that are there whole, and stay there."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from chalicelib.ports import NoRoom


class DiskFull(NoRoom):
    """There is no room on the disk."""


@contextlib.contextmanager
def disk_full() -> Iterator[None]:
    """Raises DiskFull where the operating system says so."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull from None
        raise


def start_writing(descriptor: int, offset: int, size: int) -> None:
    """Has the system put these bytes of a file on the disk from now on, so that little is left when they are synced.

    Linux does so for bytes that are said to be needed no more; those that are on the disk by then leave its memory.
    """
    if sys.platform == "linux":
        os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)


def sync_folder(folder: Path) -> None:
    """Puts the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
