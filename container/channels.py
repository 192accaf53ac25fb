"""What is said in which channel of a sound: one channel, or several that are transcribed apart."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk
from container.cutting import cut, telling
from container.guards import ALL
from container.vad import SpeechDetector

SAME = 0.99
"""Correlation from which two channels are the same sound, louder or softer: lossy formats make small differences."""


@dataclass(frozen=True)
class Heard:
    """Seconds of sound and the chunks of the channels that differ, those of each after the other.

    Of channels with the same sound the first counts; `several` differ of the `count` that there are. `telling` is what
    to tell the language by, if anything is to be heard.
    """

    duration: float
    chunks: list[Chunk]
    telling: Chunk | None
    count: int
    several: bool


class Listener:
    """Listens to all channels of one stream of sound, each with a `detector` of its own."""

    def __init__(self, detector: Callable[[], SpeechDetector]) -> None:
        self._detector = detector
        self._detectors = [detector()]
        self._products: NDArray[np.float64] = np.zeros((1, 1))

    def feed(self, block: NDArray[np.int16]) -> None:
        """Hear the next samples, 16 kHz, with a column for each channel if there are several."""
        block = block.reshape(len(block), -1)
        count = block.shape[1]
        if len(self._products) != count:
            self._detectors += [self._detector() for _ in range(1, count)]
            self._products = np.zeros((count, count))
        loud = block.astype(np.float32)
        self._products += loud.T @ loud
        for detector, samples in zip(self._detectors, block.T, strict=True):
            detector.feed(samples)

    def finish(self, guards: Collection[Guard] = ALL) -> Heard:
        """What was said from the first sample to the last; without the guard `speech`, all that was to be heard."""
        activities = [detector.finish() for detector in self._detectors]
        different: list[int] = []
        for channel in range(len(activities)):
            if not any(self._same(channel, earlier) for earlier in different):
                different.append(channel)

        def chunks(guards: Collection[Guard]) -> list[Chunk]:
            return [
                chunk.model_copy(update={"channel": channel})
                for channel in different
                for chunk in cut(activities[channel], guards)
            ]

        spoken = chunks([*guards, Guard.SPEECH])
        heard = spoken if Guard.SPEECH in guards else chunks(guards)
        return Heard(activities[0].duration, heard, telling(spoken or heard), len(activities), len(different) > 1)

    def _same(self, one: int, other: int) -> bool:
        return bool(
            abs(self._products[one, other]) > SAME * np.sqrt(self._products[one, one] * self._products[other, other])
        )
