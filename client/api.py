"""The client of a transcription service: all its calls, and `transcribe`, which does it all."""

import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from client.calls import Calls
from client.models import Options, Result
from client.run import Run
from client.watching import Watcher


class Client(Calls):
    """One server, used with one token; safe to use from several threads at once.

        with Client("http://127.0.0.1:8000", token) as client:
            for result in client.transcribe(["lectures"], formats=["srt"]):
                print(result.path, result.error)

    What every call may raise, and what `patience` and `note` are, is said of `Calls`.
    """

    def transcribe(
        self,
        paths: Iterable[str | os.PathLike[str]] = (),
        *,
        formats: Sequence[str] = ("txt", "srt"),
        output: str | os.PathLike[str] | None = None,
        language: str = "auto",
        task: str = "transcribe",
        model: str | None = None,
        prompt: str = "",
        force: bool = False,
        jobs: Sequence[str] = (),
        watcher: Watcher | None = None,
    ) -> Generator[Result]:
        """Transcribes files and folders of media; yields what became of each file, as it becomes known.

        Transcripts are written beside their sources, or as the same tree below `output`. One that is there already is
        kept unless `force`, and a file that has them all is skipped. If ids of earlier `jobs` are given, those are
        continued instead: what they await is sent from `paths`, and their transcripts are fetched in their formats.
        """
        options = Options(tuple(formats), language, task, model, prompt)
        run = Run(self, options, None if output is None else Path(output), force, watcher or Watcher())
        local = [Path(path) for path in paths]
        yield from run.continued(jobs, local) if jobs else run.new(local)
