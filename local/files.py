"""Files that are there whole, and stay there."""

import contextlib
import errno
import os
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


def sync_folder(folder: Path) -> None:
    """Puts the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
