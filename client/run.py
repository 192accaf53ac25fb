"""One run from files to transcripts: find, create jobs, send, follow, fetch."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path, PurePath
from typing import Self

from client import disk, naming, text, walking
from client.errors import Refused, TranscribeError
from client.models import AWAITING, File, Job, Options, Result, Source
from client.sending import AT_ONCE, RunJob, Sending
from client.unfinished import Unfinished
from client.uploading import Uploads
from client.walking import Found
from client.watching import Watcher
from client.workers import Workers

MOST_FILES = 1000
APART = "Fetch one job without the other, into another folder (--output)."


class Run:
    def __init__(
        self,
        calls: Uploads,
        options: Options,
        output: Path | None,
        force: bool,
        watcher: Watcher,
        unfinished: Unfinished,
    ) -> None:
        self._calls = calls
        self._options = options
        self._output = output
        self._force = force
        self._watcher = watcher
        self._unfinished = unfinished
        self._sending = Sending(calls, watcher)
        self._title: str | None = None
        self._jobs: dict[str, RunJob] = {}
        self._stems: dict[str, Path] = {}
        self._stuck: list[str] = []
        self._unfetched: set[str] = set()
        self._takers: dict[str, str] = {}
        self._writable: set[Path] = set()
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def new(self, found: Found, title: str | None) -> Iterator[Result]:
        """Transcribes what was found, in jobs that an earlier run left unfinished, and in new ones, called `title`."""
        self._title = title
        yield from found.unreadable
        self._place({}, found.sources)
        resumed = self._resume(found.sources)
        todo = []
        for source in found.sources:
            if source in resumed:
                continue
            skipped = self._skipped(source.local, source.path, self._options.formats)
            if skipped is not None:
                yield skipped
            elif self._output is None and (reason := self._unwritable(self._stems[source.path].parent)):
                yield Result(source.local, reason)
            else:
                todo.append(source)
        wanted = [*resumed, *todo]
        if wanted:
            self._require_output()
        self._watcher.found(len(wanted), _size(wanted), len(found.unreadable), found.ignored)
        if resumed:
            self._watcher.note(f"Going on with {text.count(len(resumed), 'file')} of an earlier run.")
            self._watcher.created(list(self._jobs))
        for start in range(0, len(todo), MOST_FILES):
            yield from self._create(todo[start : start + MOST_FILES])
        yield from self._send(list(self._jobs))
        yield from self._fetch()

    def _resume(self, sources: Sequence[Source]) -> set[Source]:
        """Takes up the unfinished jobs of these sources, and returns those that are in them."""
        resumed: set[Source] = set()
        for id, files in self._unfinished.matching(self._options, sources):
            if not self._hold(id):
                continue
            job = self._known(id)
            if job is None or {file.n: file.path for file in job.files} != {n: files[n].path for n in files}:
                self._unfinished.forget(id)
            else:
                self._jobs[id] = RunJob(job, files)
                resumed.update(files.values())
        return resumed

    def _hold(self, id: str) -> bool:
        """Waits for another run that is at a job, if there is one; whether the job is unfinished still."""
        return self._unfinished.hold(
            id, self._held, lambda: self._watcher.note("Another run is at some of these files. Waiting for it to end.")
        )

    def _known(self, id: str) -> Job | None:
        """A job from which transcripts can be had still."""
        try:
            job = self._calls.job(id)
        except Refused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None
        return None if job.state in ("failed", "cancelled") else job

    def continued(self, ids: Sequence[str], paths: Sequence[Path]) -> Iterator[Result]:
        """Sends what earlier jobs still await from `paths`, and fetches their transcripts."""
        for id in sorted(ids, reverse=True):
            self._hold(id)
        self._require_output()
        self._take_up([self._calls.job(id) for id in ids], paths)
        self._watcher.created(list(self._jobs))
        yield from self._send(list(self._jobs))
        yield from self._fetch()
        if self._stuck:
            raise TranscribeError("\n".join(self._stuck))

    def finished(self, ids: Sequence[str]) -> Iterator[Result]:
        """Fetches what transcripts of earlier jobs there are by now."""
        jobs = [self._calls.job(id) for id in ids]
        self._take_up(jobs, ())
        todo: list[tuple[Job, File]] = []
        for job in jobs:
            for file in job.files:
                done = file.state == "succeeded"
                skipped = self._skipped(Path(file.path), file.path, job.formats) if done else None
                if skipped is None:
                    todo.append((job, file))
                else:
                    yield skipped
        with Workers(AT_ONCE) as workers:
            going = [self._begin(workers, job, file) for job, file in todo]
            yield from (future.result() for future in as_completed(going))

    def _take_up(self, jobs: Sequence[Job], paths: Sequence[Path]) -> None:
        """Makes earlier jobs those of this run, with the sources of theirs that are found at `paths`."""
        found = walking.find(paths)
        here = {source.path: source for source in found.sources}
        folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else Path()
        others = [file.path for job in jobs for file in job.files if file.path not in here]
        self._place({path: folder / _safe(path) for path in others}, found.sources)
        for job in jobs:
            sources = {file.n: here[file.path] for file in job.files if _is_here(file, here)}
            self._jobs[job.id] = RunJob(job, sources)

    def _skipped(self, local: Path, path: str, formats: Iterable[str]) -> Result | None:
        """What to say of a file whose transcripts are all there and shall be kept; else `None`."""
        transcripts = self._transcripts(path, formats)
        if self._force or not all(map(os.path.exists, transcripts.values())):
            return None
        return Result(local, transcripts=transcripts, skipped=True)

    def _place(self, elsewhere: Mapping[str, Path], sources: Sequence[Source]) -> None:
        """Decides where the transcripts go, of files here and of files known from their job alone."""
        files: dict[str, tuple[Path, Path | None]] = {path: (wanted, None) for path, wanted in elsewhere.items()}
        files |= {source.path: (source.local, source.local) for source in sources}
        if self._output is not None:
            files = {path: (self._output / path, local) for path, (_, local) in files.items()}
        self._stems = dict(zip(files, naming.stems(files.values()), strict=True))

    def _require_output(self) -> None:
        """Raises TranscribeError if the folder for the transcripts can't be written: better now than after the work."""
        if self._output is not None and (reason := self._unwritable(self._output)):
            raise TranscribeError(reason)

    def _unwritable(self, folder: Path) -> str | None:
        """Why no transcripts can be written to a folder."""
        if folder not in self._writable:
            try:
                disk.require_writable(folder)
            except OSError as error:
                return f"No transcripts can be written to {text.path(folder)}: {text.reason(error)}."
            self._writable.add(folder)
        return None

    def _transcripts(self, path: str, formats: Iterable[str]) -> dict[str, Path]:
        return {format: naming.transcript(self._stems[path], format) for format in formats}

    def _create(self, sources: Sequence[Source]) -> Iterator[Result]:
        """Creates a job, without the files that the server refuses."""
        while sources:
            try:
                files = [(source.path, source.size) for source in sources]
                job = self._calls.create_job(files, self._options, self._title if len(files) > 1 else None)
            except Refused as refused:
                wrong = refused.by_file()
                if wrong is None:
                    raise
                yield from (Result(sources[n].local, reason) for n, reason in wrong.items())
                sources = [source for n, source in enumerate(sources) if n not in wrong]
            else:
                own = self._jobs[job.id] = RunJob(job, {file.n: sources[file.n] for file in job.files})
                self._unfinished.remember(job, self._options, own.sources, self._held)
                self._watcher.created(list(self._jobs))
                return

    def _send(self, ids: Sequence[str]) -> Iterator[Result]:
        sources = [self._jobs[id].sources[file.n] for id in ids for file in self._jobs[id].to_send]
        if sources:
            self._watcher.sending(len(sources), _size(sources))
        for id in ids:
            lost = self._sending.upload(self._jobs[id])
            if lost:
                yield from self._again_without(id, lost)

    def _again_without(self, id: str, lost: Mapping[int, str]) -> Iterator[Result]:
        """Reports the lost files, and sends the others in a new job, since a job starts only when all files are in."""
        own = self._jobs.pop(id)
        yield from (Result(own.path(file), lost[file.n]) for file in own.job.files if file.n in lost)
        others = [file for file in own.job.files if file.n not in lost]
        if any(file.n not in own.sources for file in others):
            self._unfinished.forget(id)
            self._stuck.append(
                f"Job {id} can't start before {text.count(len(lost), 'file')} more of it arrived. "
                "Name all the files and folders that it was created with."
            )
            return
        sources = []
        for source in (own.sources[file.n] for file in others):
            try:
                sources.append(replace(source, size=walking.readable_size(source.local)))
            except OSError as error:
                yield Result(source.local, f"It can't be read any more: {text.reason(error)}.")
        if len(sources) == len(others):
            self._sending.discard(own)
        self._unfinished.forget(id)
        self._watcher.created(list(self._jobs))
        if sources:
            self._watcher.note(f"Sending the other {text.count(len(sources), 'file')} again as a new job.")
            before = set(self._jobs)
            yield from self._create(sources)
            yield from self._send([id for id in self._jobs if id not in before])

    def _fetch(self) -> Iterator[Result]:
        """Follows the jobs to their ends, and writes each transcript as soon as it is there."""
        latest = {id: own.job for id, own in self._jobs.items()}
        ended: set[tuple[str, int]] = set()
        going: set[Future[Result]] = set()
        try:
            with Workers(AT_ONCE) as workers:
                for job in self._calls.follow(*self._jobs):
                    latest[job.id] = job
                    self._watcher.transcribing(list(latest.values()))
                    for file in job.files:
                        if (file.final or job.final) and (job.id, file.n) not in ended:
                            ended.add((job.id, file.n))
                            going.add(self._begin(workers, job, file))
                    done = {future for future in going if future.done()}
                    yield from _results(going, done)
                yield from _results(going, as_completed(list(going)))
        except TranscribeError:
            # What has been written has to be known.
            yield from _results(going, [future for future in going if future.done() and not future.exception()])
            raise
        for id in self._jobs.keys() - self._unfetched:
            self._unfinished.forget(id)

    def _begin(self, workers: Workers, job: Job, file: File) -> Future[Result]:
        """Has a file finished. Of jobs that share its path, the first that has its transcripts is the one to fetch."""
        if file.state == "succeeded":
            self._takers.setdefault(file.path, job.id)
        return workers.submit(self._finish, job, file)

    def _finish(self, job: Job, file: File) -> Result:
        path = self._jobs[job.id].path(file)
        if file.state != "succeeded":
            state = job.state.replace("_", " ")
            how = "was not transcribed" if job.final else "is not transcribed yet"
            return Result(path, file.error or job.error or f"It {how}: the job is {state}.")
        if self._takers[file.path] != job.id:
            return Result(path, f"Job {self._takers[file.path]} has a file of this path too. {APART}")
        transcripts = self._transcripts(file.path, job.formats)
        fetched = []
        for format, target in transcripts.items():
            try:
                if self._force or not target.exists():
                    self._calls.download(job.id, file.n, format, target)
                    fetched.append(format)
            except OSError as error:
                reason = f"{text.path(target)} can't be written: {text.reason(error)}."
            except Refused as error:
                reason = str(error)
            else:
                continue
            self._unfetched.add(job.id)
            return Result(path, reason, {done: transcripts[done] for done in fetched}, fetched=tuple(fetched))
        return Result(path, None, transcripts, file.warnings, file.language, file.audio_seconds, fetched=tuple(fetched))


def _results(going: set[Future[Result]], done: Iterable[Future[Result]]) -> Iterator[Result]:
    """The results of those that are done, which are `going` no more."""
    for future in done:
        going.discard(future)
        yield future.result()


def _size(sources: Iterable[Source]) -> int:
    return sum(source.size for source in sources)


def _is_here(file: File, here: Mapping[str, Source]) -> bool:
    return file.path in here and (file.state != AWAITING or here[file.path].size == file.size)


def _safe(path: str) -> str:
    """A path of the server's answer, which must not lead out of the folder that it is put in."""
    parsed = PurePath(path)
    if parsed.anchor or not parsed.parts or ".." in parsed.parts:
        raise TranscribeError(f"The server names a file outside of the job's folder: {text.printable(path)}.")
    return path
