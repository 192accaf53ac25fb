"""Whole media, heard and written down in one go, without a job."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chalicelib.jobs import Guard
from chalicelib.transcript import BatchChunk, Chunk, Segment, Transcript
from container import media
from container.cutting import cut, telling
from container.engine import Request
from container.guards import ALL
from container.lanes import Lanes
from container.packing import rounds
from container.recogniser import PLAIN, Recogniser
from container.steps import MARGIN, OutOfTime
from container.stitching import stitch
from container.vad import SpeechDetector


@dataclass(frozen=True)
class Whole:
    """Transcribes media with one model; the sound is kept in memory, 115 MB an hour."""

    lanes: Lanes
    detector: Callable[[], SpeechDetector]
    model: str

    def transcribe(self, source: str, time_left: Callable[[], float]) -> Transcript:
        """The transcript of a path or URL, its language detected. Raises MediaError or OutOfTime."""
        detector = self.detector()
        blocks = []
        for block in media.decode(source):
            detector.feed(block)
            blocks.append(block)
        samples = np.concatenate([np.zeros(0, np.int16), *blocks])
        activity = detector.finish()
        chunks = cut(activity)
        language, probability = self._language(samples, chunks)

        def recognise(share: Sequence[BatchChunk]) -> list[list[Segment]]:
            said: dict[int, list[Segment]] = {}
            rest = heard(self.lanes.recogniser(self.model), samples, chunks, share, Request(language=language))
            while len(said) < len(share):
                if time_left() < MARGIN:
                    raise OutOfTime(f"stopped after {len(said)} of {len(share)} chunks")
                said |= next(rest)
            return [said[item.index] for item in share]

        row = [BatchChunk(file=0, index=index, seconds=chunk.seconds) for index, chunk in enumerate(chunks)]
        shares = self.lanes.share(self.model, row, recognise)
        return Transcript(
            language=language,
            language_probability=probability,
            model=self.model,
            task="transcribe",
            duration=activity.duration,
            segments=stitch([segments for share in shares for segments in share]),
        )

    def _language(self, samples: NDArray[np.int16], chunks: list[Chunk]) -> tuple[str, float | None]:
        recogniser = self.lanes.recogniser(self.model)
        chunk = telling(chunks)
        if not recogniser.multilingual or chunk is None:
            return "en", None
        return recogniser.detect_language(_sound(samples, chunk), chunk)


def heard(
    recogniser: Recogniser,
    samples: NDArray[np.int16],
    chunks: Sequence[Chunk],
    share: Sequence[BatchChunk],
    request: Request = PLAIN,
    guards: Collection[Guard] = ALL,
) -> Iterator[dict[int, list[Segment]]]:
    """What is said in a share of a sound's chunks, by their numbers, round by round."""
    said: dict[int, list[Segment]] = {}
    for together in rounds(share, recogniser.at_once):
        numbers = [turn.chunk.index for turn in together]
        pieces = [(_sound(samples, chunks[number]), chunks[number]) for number in numbers]
        before = [said[turn.before.index] if turn.before else [] for turn in together]
        found = dict(zip(numbers, recogniser.transcribe(pieces, request, guards, before), strict=True))
        said |= found
        yield found


def _sound(samples: NDArray[np.int16], chunk: Chunk) -> NDArray[np.float32]:
    first, last = round(chunk.start * media.RATE), round(chunk.end * media.RATE)
    return media.as_floats(samples[first:last])
