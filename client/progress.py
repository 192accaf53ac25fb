"""Shows how a run goes: bars on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from client import text
from client.models import AWAITING, File, Job, Source
from client.watching import Watcher

MOST_BARS = 6
LABEL_WIDTH = 36
BAR_WIDTH = 30
# The percentage, and a space between the columns.
FIXED_WIDTH = 4 + 3
LINE_SECONDS = 5.0
NEARLY = 99.9
# The share of the work from which on the time left is told: what is said earlier is far off.
ESTIMABLE = 0.05
IN_HAND = ("preparing", "transcribing")
UNPREPARED = ("uploaded", "preparing")


@dataclass(frozen=True)
class Row:
    """A bar in words: what goes on, how far it is (0 to 1), and more about it."""

    label: str
    share: float
    info: str


class Notes(Watcher):
    """Says what should be known, and what is sent: for runs without an end, several at once."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def sending(self, files: int, size: int) -> None:
        self.note(f"Sending {text.count(files, 'file')}, {text.size(size)}.")

    def note(self, message: str) -> None:
        text.say(self._console, text.printable(message))


class Progress(Notes):
    """What is known of a run; a context manager, which shows it while it lasts."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._lock = threading.RLock()
        self._files = self._size = 0
        self._files_arrived = self._size_arrived = 0
        self._running: dict[Source, int] = {}
        self._began = 0.0
        self._jobs: Sequence[Job] = ()
        self.ids: Sequence[str] = ()
        self.ignored = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def is_sending(self) -> bool:
        return self._files_arrived < self._files

    def found(self, sources: int, size: int, unreadable: int, ignored: int) -> None:
        self.ignored = ignored
        if sources or unreadable:
            lost = f"; {unreadable:,} of them can't be sent" if unreadable else ""
            others = f"; {text.count(ignored, 'other file')} ignored" if ignored else ""
            self.note(
                f"Found {text.count(sources + unreadable, 'file')} to transcribe, {text.size(size)}{lost}{others}."
            )

    def created(self, ids: Sequence[str]) -> None:
        self.ids = ids

    def sending(self, files: int, size: int) -> None:
        with self._lock:
            self._files, self._size, self._began = files, size, time.monotonic()
            self._files_arrived = self._size_arrived = 0
            self._running = {}
        self._changed()

    def sent(self, source: Source, count: int) -> None:
        with self._lock:
            self._running[source] = count
        self._changed()

    def arrived(self, source: Source) -> None:
        with self._lock:
            self._running.pop(source, None)
            self._files_arrived += 1
            self._size_arrived += source.size
        self._changed()

    def transcribing(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._changed()

    def _changed(self) -> None:
        """What is shown is out of date."""

    def _overall(self) -> Row | None:
        with self._lock:
            if self.is_sending:
                return self._upload()
            return _transcription(self._jobs) if self._jobs else None

    def _upload(self) -> Row:
        size = self._size_arrived + sum(self._running.values())
        share = size / self._size if self._size else self._files_arrived / self._files
        info = f"{self._files_arrived:,} of {text.count(self._files, 'file')}"
        elapsed = time.monotonic() - self._began
        if size and elapsed > 1:
            info += f", {text.size(size / elapsed)}/s"
            if share >= ESTIMABLE:
                info += f", {text.duration((self._size - size) * elapsed / size)} left"
        return Row("Uploading", share, info)

    def _details(self) -> list[Row]:
        """The files in hand, those that wait for something last."""
        with self._lock:
            if self.is_sending:
                return [_uploading(source, count) for source, count in self._running.items()]
            files = [file for job in self._jobs for file in job.files if file.state in IN_HAND]
        return [_in_hand(file) for file in sorted(files, key=_waits)]


class Bars(Progress):
    """For a terminal: the overall bar and a few of the files at work."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._label_width = 0

    def __enter__(self) -> Self:
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=8, transient=True)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _table(self) -> Table:
        table = Table.grid(*(Column(no_wrap=True) for _ in range(4)), padding=(0, 1))
        overall, details = self._overall(), self._details()
        if overall is None:
            return table
        shown = details[:MOST_BARS]
        width = self._console.width - max(len(row.info) for row in (overall, *shown)) - FIXED_WIDTH
        most = max(len(overall.label), min(LABEL_WIDTH, width - BAR_WIDTH // 2))
        labels = [overall.label, *(f"  {text.shortened(text.printable(row.label), most - 2)}" for row in shown)]
        # The bars move to the right once in a while, but not to and fro.
        self._label_width = min(most, max(self._label_width, *map(cell_len, labels)))
        table.columns[0].min_width = self._label_width
        for label, row in zip(labels, (overall, *shown), strict=True):
            bar = ProgressBar(total=1, completed=row.share, width=max(1, min(BAR_WIDTH, width - self._label_width)))
            table.add_row(Text(label), bar, f"{int(100 * row.share):3}%", Text(row.info, overflow="ellipsis"))
        if len(details) > len(shown):
            table.add_row(Text(f"  and {len(details) - len(shown):,} more"))
        return table


class Lines(Progress):
    """For logs and pipes: a line now and then, without control characters."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._label = self._line = ""
        self._when = 0.0

    def _changed(self) -> None:
        with self._lock:
            row = self._overall()
            if row is None:
                return
            line, now = f"{row.label}: {int(100 * row.share)} %, {row.info}.", time.monotonic()
            if row.label != self._label or (line != self._line and now - self._when > LINE_SECONDS):
                self._label, self._line, self._when = row.label, line, now
                self.note(line)


def _uploading(source: Source, count: int) -> Row:
    return Row(source.path, count / source.size if source.size else 1, text.size(source.size))


def _in_hand(file: File) -> Row:
    state = file.state
    if _waits(file):
        state = "to be written" if file.percent else "prepared"
    return Row(file.path, file.percent / 100, state)


def _waits(file: File) -> bool:
    """Whether the recogniser has not begun with a file, or is through with it: the server then says 99.9 per cent."""
    return file.state == "transcribing" and not 0 < file.percent < NEARLY


def _transcription(jobs: Sequence[Job]) -> Row:
    size = sum(job.size for job in jobs)
    share = sum(job.percent * job.size for job in jobs) / size / 100 if size else 0
    files = [file for job in jobs for file in job.files]
    if not share and any(job.state == "running" for job in jobs):
        prepared = sum(file.state not in (AWAITING, *UNPREPARED) for file in files)
        if prepared < len(files):
            return Row("Preparing", prepared / len(files), f"{prepared:,} of {text.count(len(files), 'file')}")
    ended = sum(file.final for file in files)
    info = f"{ended:,} of {text.count(len(files), 'file')}"
    left = [job.seconds_left for job in jobs if job.seconds_left]
    if left and share >= ESTIMABLE:
        info += f", about {text.duration(max(left))} left"
    elif all(job.state in (AWAITING, "queued") for job in jobs):
        info += ", waiting for the server to begin"
    return Row("Transcribing", share, info)
