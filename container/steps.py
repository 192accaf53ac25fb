"""The workflow's steps. Each may be run again at any time: what is already done is skipped."""

import functools
import itertools
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import TypeAdapter

from chalicelib import keys, limits
from chalicelib.formats import store
from chalicelib.indexing import passages
from chalicelib.jobs import FileError, FileState, Job, JobState, MediaFile, Task
from chalicelib.languages import AUTO
from chalicelib.ports import Index, ObjectMissing, Objects, Records
from chalicelib.records import every_file, give_up
from chalicelib.transcript import Audio, Batch, BatchChunk, Segment, Transcript, Voice
from container import diarization
from container.engine import Request, positions
from container.guards import guessed
from container.hearing import Hearing, model, samples, stored
from container.media import MediaError
from container.packing import Turn, pack, rounds
from container.recogniser import Piece, Recogniser
from container.stitching import interleaved, stitch
from container.vad import SpeechDetector
from container.voices import Voices
from container.wanted import Unwanted, none, unless_unwanted

logger = logging.getLogger(__name__)

# Seconds to keep back for storing what was recognised last.
MARGIN = 10.0
# Objects read at a time, and files whose chunks are asked for before the next.
REQUESTS = 16
PAGE = 1000
ENGLISH_ONLY = (
    "Most of this is guessed. The model {model} knows English only: for other languages choose another model."
)
SEGMENTS = TypeAdapter(list[Segment])
VOICES = TypeAdapter(list[Voice])
BATCHES = TypeAdapter(list[Batch])
Said = dict[tuple[int, int], list[Segment]]
"""By the numbers of a file and of a chunk in it."""


class OutOfTime(Exception):
    """A step stopped before its time was up. Run again, it goes on where it stopped."""


def unlimited() -> float:
    return math.inf


@dataclass(frozen=True)
class Steps:
    """The steps over the ports of a platform.

    `recogniser` gives the loaded model of a name, `detector` a fresh voice activity detector, `voices` the loaded model
    of voices. Up to as many seconds of audio as `batch_seconds` gives for a model make a batch, and as many batches are
    made for each of the `workers`.
    """

    objects: Objects
    records: Records
    index: Index
    recogniser: Callable[[str], Recogniser]
    detector: Callable[[], SpeechDetector]
    voices: Callable[[], Voices]
    batch_seconds: Callable[[str], float]
    workers: int
    clock: Callable[[], float] = time.time

    @unless_unwanted(list[int])
    def plan(self, job_id: str) -> list[int]:
        """Marks the job as running and lists the numbers of its files that are to be done."""
        started = self._job(job_id).started_at or self.clock()
        self.records.change_job(job_id, [JobState.QUEUED], {"state": JobState.RUNNING, "started_at": started})
        files = [file.n for file in every_file(self.records, job_id) if not file.state.final]
        self.objects.put(keys.files(job_id), json.dumps(files).encode())
        return files

    @unless_unwanted(none)
    def prepare(self, job_id: str, n: int) -> None:
        """Decodes one file, finds the speech in it and cuts it into chunks.

        A file that cannot be used fails here, for good; anything else that goes wrong is raised, to be tried again.
        """
        job, file = self._job(job_id), self._file(job_id, n)
        if file.state == FileState.UPLOADED:
            self.records.move_file(file, FileState.PREPARING)
            file = file.model_copy(update={"state": FileState.PREPARING})
        if file.state != FileState.PREPARING:
            return
        try:
            audio = self._hearing.audio(job, file)
        except MediaError as error:
            if error.retryable:
                raise
            self._fail(file, error.code, error.message)
        except ObjectMissing:
            self._fail(file, "missing", "The uploaded file is gone. Retry the job, and upload it again.")
        else:
            found = {
                "language": audio.language,
                "warnings": audio.warnings,
                "audio_seconds": audio.duration,
                "speech_seconds": audio.speech_seconds,
            }
            if self.records.move_file(file, FileState.TRANSCRIBING, found):
                limits.spend(self.records, job, self.clock(), audio_seconds=audio.duration)

    @unless_unwanted(list[Batch])
    def batch(self, job_id: str) -> list[Batch]:
        """Packs the chunks of all prepared files into batches of about equal length."""
        job = self._job(job_id)
        prepared = (file.n for file in every_file(self.records, job_id) if file.state == FileState.TRANSCRIBING)
        chunks: list[BatchChunk] = []
        with ThreadPoolExecutor(REQUESTS) as requests:
            while page := list(itertools.islice(prepared, PAGE)):
                for found in requests.map(functools.partial(self._chunks, job_id), page):
                    chunks += found
        batches = pack(chunks, self.batch_seconds(model(job)), self.workers)
        self.objects.put(keys.batches(job_id), BATCHES.dump_json(batches))
        done = self._job(job_id).speech_seconds_done
        self.records.change_job(
            job_id, [JobState.RUNNING], {"recognising_since": self.clock(), "recognised_before": done}
        )
        return batches

    @unless_unwanted(float)
    def transcribe(self, job_id: str, batch: Batch, time_left: Callable[[], float] = unlimited) -> float:
        """Recognises the chunks of a batch that have no result yet; returns how many seconds of audio they were.

        Chunks of several runs are heard together, each led by what was said before it in its run. Raises OutOfTime when
        the next might take longer than the seconds that `time_left` gives.
        """
        job = self._job(job_id)
        files: dict[int, Audio] = {}
        languages: dict[str, list[BatchChunk]] = {}
        for item in batch.chunks:
            if item.file not in files:
                files[item.file] = stored(self.objects, job_id, item.file)
            languages.setdefault(files[item.file].language, []).append(item)
        slowest = done = 0.0
        said: Said = {}
        for items in languages.values():
            for together in rounds(items, self.recogniser(model(job)).at_once):
                left = [turn for turn in together if not self._read(job_id, turn.chunk, said)]
                if not left:
                    continue
                cost = sum(positions(turn.chunk.seconds) for turn in left)
                if time_left() < slowest * cost + MARGIN:
                    raise OutOfTime(f"stopped before chunk {left[0].chunk.index} of file {left[0].chunk.file}")
                self._job(job_id)
                started = time.monotonic()
                self._recognise(job, files, left, said)
                slowest = max(slowest, (time.monotonic() - started) / cost)
                done += sum(turn.chunk.seconds for turn in left)
        return done

    @unless_unwanted(none)
    def merge(self, job_id: str, n: int) -> None:
        """Stitches a file's chunks together and writes its transcripts, the JSON last, to be read and searched."""
        job, file = self._job(job_id), self._file(job_id, n)
        if file.state != FileState.TRANSCRIBING:
            return
        audio = stored(self.objects, job_id, n)
        try:
            found = [self.objects.get(keys.chunk(job_id, n, index)) for index in range(len(audio.chunks))]
            results = [SEGMENTS.validate_json(result) for result in found]
            if job.options.diarize:
                results = self._diarized(job_id, n, results)
        except ObjectMissing:
            self._fail(file, "untranscribed", "Part of the sound could not be transcribed. Send the file again.")
            return
        transcript = Transcript(
            language=audio.language,
            language_probability=audio.language_probability,
            model=model(job),
            task=job.options.task,
            duration=audio.duration,
            segments=_stitched(audio, results),
        )
        self.objects.put(keys.version(job_id, n, keys.ORIGINAL), transcript.model_dump_json().encode())
        store(self.objects, job, file, transcript)
        self.index.put(job, n, passages(transcript.segments))
        warnings = audio.warnings
        # A model that knows other languages would have detected one.
        english_only = job.options.language == AUTO and audio.language_probability is None
        if english_only and guessed(transcript.segments):
            warnings = [*warnings, ENGLISH_ONLY.format(model=model(job))]
        changes = {"speech_seconds_done": audio.speech_seconds, "warnings": warnings}
        self.records.move_file(file, FileState.SUCCEEDED, changes)

    def finish(self, job_id: str) -> None:
        """Deletes what only the workflow needed and gives the job its final state."""
        before = self.records.job(job_id)
        self.objects.delete(keys.work(job_id))
        job = self.records.job(job_id)
        # Cancelled and retried meanwhile, it is another attempt's to end.
        if job is not None and before is not None and job.attempt == before.attempt:
            changes = {"state": job.outcome, "finished_at": self.clock()}
            self.records.change_job(job_id, [JobState.RUNNING], changes)

    @unless_unwanted(none)
    def fail_file(self, job_id: str, n: int, code: str, message: str) -> None:
        """Records that the machinery gave up on a file."""
        self._job(job_id)
        file = self._file(job_id, n)
        if not file.state.final:
            self._fail(file, code, message)

    def fail_job(self, job_id: str, message: str) -> None:
        """Records that the machinery gave up on the whole job."""
        self.objects.delete(keys.work(job_id))
        give_up(self.records, job_id, message, self.clock())

    @property
    def _hearing(self) -> Hearing:
        return Hearing(self.objects, self.recogniser, self.detector, self._job)

    def _read(self, job_id: str, item: BatchChunk, said: Said) -> bool:
        """Whether a chunk has a result, which is added to what was said."""
        try:
            result = self.objects.get(keys.chunk(job_id, item.file, item.index))
        except ObjectMissing:
            return False
        said[item.file, item.index] = SEGMENTS.validate_json(result)
        return True

    def _recognise(self, job: Job, files: Mapping[int, Audio], together: list[Turn], said: Said) -> None:
        """Hears chunks of one language, stores what was said in each, and adds it to what was said before."""
        items = [turn.chunk for turn in together]
        pieces: list[Piece] = []
        for item in items:
            audio = files[item.file]
            chunk = audio.chunks[item.index]
            sound = samples(self.objects, job.id, item.file, audio.channels, chunk)
            if job.options.diarize:
                voices = self.voices().hear(sound, chunk)
                self.objects.put(keys.voices(job.id, item.file, item.index), VOICES.dump_json(voices))
            pieces.append((sound, chunk))
        request = Request(
            language=files[items[0].file].language,
            translate=job.options.task == Task.TRANSLATE,
            prompt=job.options.prompt,
        )
        before = [said[turn.before.file, turn.before.index] if turn.before else [] for turn in together]
        found = self.recogniser(model(job)).transcribe(pieces, request, job.options.guards, before)
        for item, segments in zip(items, found, strict=True):
            said[item.file, item.index] = segments
            self.objects.put(keys.chunk(job.id, item.file, item.index), SEGMENTS.dump_json(segments))
            self.records.add_speech_done(job.id, item.file, item.seconds)
            logger.info("transcribed chunk %d of file %d of job %s", item.index, item.file, job.id)

    def _diarized(self, job_id: str, n: int, results: list[list[Segment]]) -> list[list[Segment]]:
        """The chunks' segments with their speakers, cut where these change."""
        heard = [VOICES.validate_json(self.objects.get(keys.voices(job_id, n, index))) for index in range(len(results))]
        voices = list(itertools.chain.from_iterable(heard))
        speakers = diarization.cluster(voices)
        return [diarization.label(segments, voices, speakers) for segments in results]

    def _job(self, job_id: str) -> Job:
        """Raises Unwanted unless the job is to be done."""
        job = self.records.job(job_id)
        if job is None or job.state not in (JobState.QUEUED, JobState.RUNNING):
            raise Unwanted(f"job {job_id} is {job.state if job else 'gone'}")
        return job

    def _file(self, job_id: str, n: int) -> MediaFile:
        file = self.records.file(job_id, n)
        if file is None:
            raise Unwanted(f"file {n} of job {job_id} is gone")
        return file

    def _chunks(self, job_id: str, n: int) -> list[BatchChunk]:
        return [
            BatchChunk(file=n, index=index, seconds=round(chunk.seconds, 3))
            for index, chunk in enumerate(stored(self.objects, job_id, n).chunks)
        ]

    def _fail(self, file: MediaFile, code: str, message: str) -> None:
        self.records.move_file(file, FileState.FAILED, {"error": FileError(code=code, message=message)})


def _stitched(audio: Audio, results: list[list[Segment]]) -> list[Segment]:
    """The segments of a file from those of its chunks; of split channels each as a speaker."""
    if not audio.split:
        return stitch(results)
    apart: dict[int, list[list[Segment]]] = {}
    for chunk, segments in zip(audio.chunks, results, strict=True):
        apart.setdefault(chunk.channel, []).append(said_by(f"Channel {chunk.channel + 1}", segments))
    return interleaved([stitch(channel) for channel in apart.values()])


def said_by(speaker: str, segments: list[Segment]) -> list[Segment]:
    return [segment.model_copy(update={"speaker": speaker}) for segment in segments]
