"""Local files, read and written so that neither a half nor a mix of two ever counts as one."""

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client import text
from client.errors import SourceLost, Stopped

BLOCK = 1 << 18


def blocks(file: Path, size: int, sent: Callable[[int], None], stop: threading.Event) -> Iterator[bytes]:
    """The bytes of a file that must have `size` of them; `sent` is told how many were taken so far.

    Raises SourceLost before the last block is given if the file has another size, and Stopped if `stop` is set.
    """
    count = 0
    sent(count)
    try:
        with file.open("rb") as stream:
            while block := stream.read(min(BLOCK, size - count)):
                if stop.is_set():
                    raise Stopped
                if os.fstat(stream.fileno()).st_size != size:
                    break
                yield block
                count += len(block)
                sent(count)
    except OSError as error:
        raise SourceLost(f"It can't be read any more: {text.reason(error)}.") from None
    if count < size:
        raise SourceLost("Its size changed while it was being sent.")


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
