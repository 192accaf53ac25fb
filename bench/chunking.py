"""What cuts do to the words, and what hearing costs beside recognising.

`python -m bench.chunking MODELS MODEL SOUND CORES` prints what is heard of a file as a whole, and figures:

- `cut_at_pauses`: wrong words, of a hundred, if the file is divided every minute at the nearest pause, each part then
  cut, packed and recognised as a file of its own, against the words of the whole;
- `cut_anywhere`: the same, divided at the very second, in the middle of a word or not;
- `preparing`, `recognising`: seconds of processors for decoding, voice activity and cutting, and for recognising, both
  with their models loaded, as for every file but a process's first.
"""

import resource
import sys
import time
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.heard import Heard
from bench.scoring import errors, normaliser
from chalicelib.jobs import Guard
from chalicelib.transcript import BatchChunk, Chunk, Segment, Span
from container import catalogue, media
from container.cutting import cut, speech_spans
from container.guards import ALL
from container.lanes import Lanes
from container.stitching import stitch
from container.vad import FRAME_SECONDS, Activity, SpeechDetector
from container.whole import heard

EVERY = 60.0
"""Seconds between two forced cuts."""

MEMORY = 8 << 30


def divided(activity: Activity, cuts: Sequence[float]) -> list[Chunk]:
    """The chunks of an activity whose parts between the cuts are files of their own."""
    frames = [0, *(round(at / FRAME_SECONDS) for at in cuts), len(activity.probability)]
    chunks: list[Chunk] = []
    for first, last in pairwise(frames):
        start = first * FRAME_SECONDS
        part = Activity(
            activity.probability[first:last],
            activity.loudness[first:last],
            min(activity.duration - start, (last - first) * FRAME_SECONDS),
        )
        chunks += [_moved(chunk, start) for chunk in cut(part)]
    return chunks


def minutes(duration: float) -> list[float]:
    return [EVERY * number for number in range(1, int(duration / EVERY) + 1) if EVERY * number < duration]


def at_pauses(spans: Sequence[Span], duration: float) -> list[float]:
    """For each minute the middle of the pause that is nearest to it."""
    middles = [(before.end + after.start) / 2 for before, after in pairwise(spans)]
    return sorted({min(middles, key=lambda middle: abs(middle - at)) for at in minutes(duration)} if middles else [])


def _moved(chunk: Chunk, by: float) -> Chunk:
    speech = [Span(start=span.start + by, end=span.end + by) for span in chunk.speech]
    return chunk.model_copy(update={"start": chunk.start + by, "end": chunk.end + by, "speech": speech})


def apart(models: Path, model: str, sound: Path, cores: int) -> Heard:
    began, vad = time.monotonic(), catalogue.path(catalogue.VAD, models)
    SpeechDetector(vad).feed(np.zeros(media.BLOCK, np.int16))
    used, detector, blocks = processor_seconds(), SpeechDetector(vad), []
    for block in media.decode(str(sound)):
        detector.feed(block)
        blocks.append(block)
    samples, activity = np.concatenate(blocks), detector.finish()
    chunks = cut(activity)
    preparing = processor_seconds() - used
    lanes = Lanes(models, cores, MEMORY)
    hear(samples, chunks[:cores], lanes, model)
    loaded, used = time.monotonic(), processor_seconds()
    whole = hear(samples, chunks, lanes, model)
    recognising, done = processor_seconds() - used, time.monotonic()
    paused = divided(activity, at_pauses(speech_spans(activity), activity.duration))
    anywhere = divided(activity, minutes(activity.duration))
    wrong = [errors(whole, hear(samples, each, lanes, model), normaliser()).rate for each in (paused, anywhere)]
    return Heard(
        text=whole,
        loading=loaded - began,
        recognising=done - loaded,
        figures={
            "cut_at_pauses": 100 * wrong[0],
            "cut_anywhere": 100 * wrong[1],
            "preparing": preparing,
            "recognising": recognising,
        },
    )


def processor_seconds() -> float:
    """Of this process and of the programs that it ran."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def hear(
    samples: NDArray[np.int16], chunks: Sequence[Chunk], lanes: Lanes, model: str, guards: Collection[Guard] = ALL
) -> str:
    """The text of chunks, recognised side by side."""

    def recognise(share: Sequence[BatchChunk]) -> list[tuple[int, list[Segment]]]:
        rounds = heard(lanes.recogniser(model), samples, chunks, share, guards=guards)
        return [said for together in rounds for said in together.items()]

    row = [BatchChunk(file=0, index=index, seconds=chunk.seconds) for index, chunk in enumerate(chunks)]
    found = dict(said for share in lanes.share(model, row, recognise) for said in share)
    return " ".join(segment.text for segment in stitch([found[index] for index in range(len(chunks))]))


def main() -> None:
    models, model, sound, cores = sys.argv[1:]
    print(apart(Path(models), model, Path(sound), int(cores)).model_dump_json())


if __name__ == "__main__":
    main()
