"""The client of a transcription service: all its calls, and what is made of them for whole folders."""

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Unpack

from client import walking
from client.arriving import SETTLED_SECONDS, Arrivals, Watch
from client.calls import ignore
from client.models import Options, Result, Wishes
from client.run import Run
from client.unfinished import Unfinished
from client.uploading import Uploads
from client.walking import Found
from client.watching import Watcher

Name = str | os.PathLike[str]


class Client(Uploads):
    """One server, used with one token; safe to use from several threads at once.

        with Client("http://127.0.0.1:8000", token) as client:
            for result in client.transcribe(["lectures"], formats=["srt"]):
                print(result.path, result.error)

    What every call may raise, and what `patience`, `note` and `ca_file` are, is said of `Calls`.
    """

    def __init__(
        self,
        server: str,
        token: str,
        *,
        patience: float = 120,
        note: Callable[[str], None] = ignore,
        ca_file: Name | None = None,
    ) -> None:
        super().__init__(server, token, patience=patience, note=note, ca_file=ca_file)
        self._unfinished = Unfinished.of(self.transport.server, token)

    def transcribe(
        self,
        paths: Iterable[Name] = (),
        *,
        output: Name | None = None,
        force: bool = False,
        jobs: Sequence[str] = (),
        watcher: Watcher | None = None,
        **wishes: Unpack[Wishes],
    ) -> Generator[Result]:
        """Transcribes files and folders of media, as `Options` say; yields what became of each file, as soon as known.

        Transcripts are written beside their sources, or as the same tree below `output`. One that is there already is
        kept unless `force`, and a file that has them all is skipped. What an earlier run with these files and options
        left unfinished, by a kill or a failing network, goes on where it was, and one that goes on still is waited for.
        If ids of earlier `jobs` are given, those are continued instead: what they await is sent from `paths`, and their
        transcripts are fetched in their formats.
        """
        local = [Path(path) for path in paths]
        with self._run(Options(**wishes), output, force, watcher) as run:
            yield from run.continued(jobs, local) if jobs else run.new(walking.find(local), walking.title(local))

    def watch(
        self,
        folder: Name,
        *,
        output: Name | None = None,
        settled: float = SETTLED_SECONDS,
        watcher: Watcher | None = None,
        stop: threading.Event | None = None,
        **wishes: Unpack[Wishes],
    ) -> Generator[Result]:
        """Transcribes what comes into a folder, and is there already, until `stop` is set, as `transcribe` would.

        A file is sent when it has not changed for `settled` seconds, and again if it changes later; then those of its
        transcripts that were written here, and that nobody else has changed, are replaced. A client whose `patience` is
        `math.inf` waits for server and network for as long as it takes. Yields what became of each file; raises what
        waiting can't mend, such as NotAuthorized. What is going on when it ends, the same call goes on with.
        """
        next(self.jobs(), None)  # which tells at once whether there is such a server and it takes the token
        options, watcher = Options(**wishes), watcher or Watcher()

        def transcribe(found: Found) -> Iterator[Result]:
            with self._run(options, output, False, watcher) as run:
                yield from run.new(found, walking.title([Path(folder)]))

        arrivals = Arrivals(Path(folder), settled)
        yield from Watch(arrivals, transcribe, watcher.note, stop or threading.Event()).results()

    def fetch(self, jobs: Sequence[str], *, output: Name | None = None, force: bool = False) -> Generator[Result]:
        """Fetches what transcripts of earlier jobs there are by now, as the trees that were sent, below `output`.

        Yields what became of each file; a transcript that is there already is kept unless `force`.
        """
        yield from self._run(Options(), output, force).finished(jobs)

    def _run(self, options: Options, output: Name | None, force: bool, watcher: Watcher | None = None) -> Run:
        place = None if output is None else Path(output)
        return Run(self, options, place, force, watcher or Watcher(), self._unfinished)
