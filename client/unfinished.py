"""What is remembered here of jobs that were not followed to their ends, so that the same command goes on with them."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from client.models import Job, Options, Source

FORGOTTEN_SECONDS = 30 * 24 * 3600
# What a file is known by again: its path here, its path in the job, its size and when it was last written.
Identity = tuple[str, str, int, int]


@dataclass(frozen=True)
class Unfinished:
    """The unfinished jobs of one server and token, a small file for each in `folder`.

    What cannot be written or read is not remembered: no job depends on it.
    """

    folder: Path

    @classmethod
    def of(cls, server: str, token: str) -> "Unfinished":
        """Those in the folder for the state of programs (XDG), under a hash that tells nobody the token."""
        home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        user = hashlib.sha256(json.dumps([server, token]).encode()).hexdigest()[:32]
        return cls(Path(os.path.expanduser(home)) / "transcribe" / user)  # noqa: PTH111 (which raises where there is no home)

    def remember(self, job: Job, options: Options, sources: Mapping[int, Source], held: contextlib.ExitStack) -> None:
        """Takes down a new job, and which source each of its files, by number, is. It is `held` as by `hold`."""
        with contextlib.suppress(OSError, ValueError):
            target = self._file(job.id)
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = {str(n): _identity(source) for n, source in sources.items()}
            draft = self.folder / secrets.token_hex(8)
            draft.write_text(json.dumps({"job": job.id, "options": options.body(), "files": files}))
            _lock(held.enter_context(draft.open()))
            draft.replace(target)

    def hold(self, job: str, held: contextlib.ExitStack, waiting: Callable[[], None]) -> bool:
        """Keeps a job from other runs until `held` ends, once none has it; whether it is remembered still.

        `waiting` is called if another run has it, and may take long.
        """
        with contextlib.suppress(OSError, ValueError):
            file = held.enter_context(self._file(job).open())
            _lock(file, waiting)
            return os.fstat(file.fileno()).st_nlink > 0
        return False

    def forget(self, job: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file(job).unlink(missing_ok=True)

    def matching(self, options: Options, sources: Iterable[Source]) -> Iterator[tuple[str, dict[int, Source]]]:
        """The jobs with these options all of whose files are among `sources`, unchanged: ids and files by number.

        The newest come first, and no source is in two of them.
        """
        saved = sorted(self._saved(), key=lambda saved: saved[0], reverse=True)
        here: dict[Identity, Source] = {}
        for source in sources if saved else ():
            with contextlib.suppress(OSError):
                here[_identity(source)] = source
        for job, body, files in saved:
            if body == options.body() and files and here.keys() >= set(files.values()):
                yield job, {n: here.pop(identity) for n, identity in files.items()}

    def _saved(self) -> Iterator[tuple[str, Any, dict[int, Identity]]]:
        for file in self.folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                if time.time() - file.stat().st_mtime > FORGOTTEN_SECONDS:
                    file.unlink()
                    continue
                saved = json.loads(file.read_text())
                files = {int(n): (path, name, size, at) for n, (path, name, size, at) in saved["files"].items()}
                yield str(saved["job"]), saved["options"], files

    def _file(self, job: str) -> Path:
        if not job.isalnum() or not self.folder.is_absolute():
            raise ValueError(f"no place for {job!r}")
        return self.folder / f"{job}.json"


def _lock(file: IO[str], waiting: Callable[[], None] = lambda: None) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        pass  # On a disk that has no locks, each run is on its own.


def _identity(source: Source) -> Identity:
    """Raises OSError."""
    return str(source.local.resolve()), source.path, source.size, source.local.stat().st_mtime_ns
