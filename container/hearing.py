"""What is found out about a file's sound before anything is recognised, and what of it is stored."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chalicelib import keys, languages
from chalicelib.jobs import Channels, Job, MediaFile
from chalicelib.ports import ObjectMissing, Objects
from chalicelib.transcript import Audio, Chunk
from container import media
from container.channels import Heard, Listener
from container.media import Findings, MediaError
from container.recogniser import Recogniser
from container.vad import SpeechDetector

# How often a long step asks whether it is still wanted, in seconds.
ASK_SECONDS = 15.0
# Sound tracks that are searched for speech.
MOST_TRACKS = 8
# Probability from which a language counts as detected.
CERTAIN = 0.5
NO_SPEECH = "No speech was found."
TRACK_TAKEN = "The file has {tracks} sound tracks: number {number} was transcribed."
NOT_SPLIT = "There is only one channel, or all have the same sound: nothing was split."
LANGUAGE_GUESSED = "The language was guessed ({language}, {percent} %). Name it with the option 'language'."
Track = tuple[Findings, Heard]


@dataclass(frozen=True)
class Hearing:
    """Listens to files. `ask` raises Unwanted unless the job of an id is still to be done."""

    objects: Objects
    recogniser: Callable[[str], Recogniser]
    detector: Callable[[], SpeechDetector]
    ask: Callable[[str], object]

    def audio(self, job: Job, file: MediaFile) -> Audio:
        """The file's audio, decoded and examined unless that was done before. Raises MediaError."""
        try:
            return stored(self.objects, job.id, file.n)
        except ObjectMissing:
            pass
        began = time.monotonic()
        findings, heard = self._best_track(job, file)
        warnings = list(findings.warnings)
        if not heard.chunks:
            warnings.append(NO_SPEECH)
        elif findings.tracks > 1:
            warnings.append(TRACK_TAKEN.format(tracks=findings.tracks, number=findings.track + 1))
        if job.options.channels == Channels.SPLIT and not heard.several:
            warnings.append(NOT_SPLIT)
        language, probability = self._language(job, file, heard)
        if probability is not None and probability < CERTAIN:
            warnings.append(LANGUAGE_GUESSED.format(language=language, percent=round(100 * probability)))
        audio = Audio(
            duration=heard.duration,
            language=language,
            language_probability=probability,
            warnings=warnings,
            channels=heard.count,
            split=heard.several,
            chunks=heard.chunks,
        )
        if time.monotonic() > began + ASK_SECONDS:
            self.ask(job.id)
        self.objects.put(keys.audio(job.id, file.n), audio.model_dump_json().encode())
        return audio

    def _best_track(self, job: Job, file: MediaFile) -> Track:
        """The sound track that a player would play, or if nobody speaks in it, the first one in which somebody does."""
        first = self._track(job, file)
        findings, heard = first
        others = [number for number in range(min(findings.tracks, MOST_TRACKS)) if number != findings.track]
        for number in [] if heard.chunks else others:
            try:
                other = self._track(job, file, number)
            except MediaError as error:
                if error.retryable:
                    raise
            else:
                if other[1].chunks:
                    return other
        return first

    def _track(self, job: Job, file: MediaFile, number: int | None = None) -> Track:
        """Decodes and examines one sound track, and stores its samples in place of any others."""
        findings, listener = Findings(), Listener(self.detector)
        split = job.options.channels == Channels.SPLIT

        def blocks(beside: ThreadPoolExecutor) -> Iterator[bytes]:
            asked, heard = time.monotonic(), beside.submit(lambda: None)
            for block in media.decode(self.objects.source(file.key), findings, number, split):
                if time.monotonic() > asked + ASK_SECONDS:
                    asked = time.monotonic()
                    self.ask(job.id)
                heard.result()
                heard = beside.submit(listener.feed, block)
                yield block.tobytes()
            heard.result()

        # The next block is decoded while one is listened to.
        with ThreadPoolExecutor(1) as beside:
            self.objects.put_stream(keys.samples(job.id, file.n), blocks(beside))
        return findings, listener.finish(job.options.guards)

    def _language(self, job: Job, file: MediaFile, heard: Heard) -> tuple[str, float | None]:
        """The language asked for, or else the one in which somebody speaks first for long enough to tell."""
        if job.options.language != languages.AUTO:
            return job.options.language, None
        recogniser = self.recogniser(model(job))
        if not recogniser.multilingual or heard.telling is None:
            return "en", None
        sound = samples(self.objects, job.id, file.n, heard.count, heard.telling)
        return recogniser.detect_language(sound, heard.telling)


def stored(objects: Objects, job_id: str, n: int) -> Audio:
    """What was found out about a file. Raises ObjectMissing."""
    return Audio.model_validate_json(objects.get(keys.audio(job_id, n)))


def samples(objects: Objects, job_id: str, n: int, channels: int, chunk: Chunk) -> NDArray[np.float32]:
    """The sound of a chunk, 16 kHz mono, -1 to 1, out of stored samples of so many channels."""
    first, last = round(chunk.start * media.RATE), round(chunk.end * media.RATE)
    row = media.SAMPLE * channels
    data = objects.get_range(keys.samples(job_id, n), row * first, row * (last - first))
    return media.as_floats(np.frombuffer(data, "<i2").reshape(-1, channels)[:, chunk.channel])


def model(job: Job) -> str:
    """The name of the job's model."""
    assert job.options.model is not None, "the service fills in its default"
    return job.options.model
